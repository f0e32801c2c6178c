//! Writes of unknown outcome, where nobody knows the log: between which zxids each can have taken effect, and which of
//! them some read gives away.
//!
//! Such a write took effect once or never: after everything that anybody was told before it was called, and between
//! what its session was told of the writes before it and after it.

use super::log;
use super::replay::{unmodelled, write_result};
use crate::history::{Operation, Request};
use std::collections::{BTreeMap, BTreeSet};

/// Zxids strictly between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub after: i64,
    pub before: i64,
}

impl Window {
    pub fn holds(self, zxid: i64) -> bool {
        self.after < zxid && zxid < self.before
    }
}

/// Writes and ends of sessions of unknown outcome, and when they can have taken effect.
pub(super) fn windows(operations: &[Operation]) -> BTreeMap<usize, Window> {
    let writes = |o: &Operation| o.request.writes() || matches!(o.request, Request::CloseSession);
    let mut unknown: Vec<usize> =
        (0..operations.len()).filter(|&i| writes(&operations[i]) && !operations[i].acknowledged()).collect();
    let mut windows: BTreeMap<usize, Window> =
        unknown.iter().map(|&i| (i, Window { after: 0, before: i64::MAX })).collect();
    // What anybody was told before the call.
    unknown.sort_by_key(|&i| operations[i].call_ns);
    let mut returns: Vec<&Operation> = operations.iter().filter(|o| o.acknowledged()).collect();
    returns.sort_by_key(|o| o.return_ns);
    let mut returns = returns.into_iter().peekable();
    let mut told = 0;
    for i in unknown {
        while let Some(operation) = returns.next_if(|o| o.return_ns < Some(operations[i].call_ns)) {
            told = told.max(operation.zxid);
        }
        windows.entry(i).and_modify(|w| w.after = told);
    }
    // What its session was told of writes before and after.
    let told = |o: &Operation| writes(o) && o.acknowledged() && o.zxid > 0 && !write_result(o).is_some_and(unmodelled);
    let mut before: BTreeMap<i64, i64> = BTreeMap::new();
    for (i, operation) in operations.iter().enumerate() {
        let last = before.entry(operation.session).or_default();
        if told(operation) {
            *last = operation.zxid.max(*last);
        } else if let Some(window) = windows.get_mut(&i) {
            window.after = window.after.max(*last);
        }
    }
    let mut after: BTreeMap<i64, i64> = BTreeMap::new();
    for (i, operation) in operations.iter().enumerate().rev() {
        let next = after.entry(operation.session).or_insert(i64::MAX);
        if told(operation) {
            *next = operation.zxid.min(*next);
        } else if let Some(window) = windows.get_mut(&i) {
            window.before = *next;
        }
    }
    windows
}

/// What reads give away of writes of unknown outcome: their data is unique, and the stat tells their zxid.
#[derive(Default)]
pub(super) struct Attributed<'a> {
    /// When a write took effect, and the read that shows it.
    pub zxids: BTreeMap<usize, (i64, usize)>,
    /// By write and place in it, where the data was read.
    pub names: BTreeMap<(usize, usize), &'a str>,
}

impl<'a> Attributed<'a> {
    /// By all reads that were answered.
    pub fn of(operations: &'a [Operation], reads: &[usize]) -> Attributed<'a> {
        let by_data = by_data(operations);
        let mut attributed = Attributed::default();
        for &i in reads {
            if let Some(reply) = operations[i].reply()
                && let (Some(data), Some(stat)) = (&reply.data, &reply.stat)
                && let Some(&(write, at)) = by_data.get(&*data.0)
            {
                attributed.zxids.insert(write, (stat.mzxid.0, i));
                attributed.names.insert((write, at), operations[i].request.path());
            }
        }
        attributed
    }
}

/// Writes of unknown outcome by their data, where that is unique.
fn by_data(operations: &[Operation]) -> BTreeMap<&[u8], (usize, usize)> {
    let mut by_data = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for (i, operation) in operations.iter().enumerate() {
        for (at, change) in log::requested(operation.session, &operation.request).iter().enumerate() {
            if let Some(data) = change.data()
                && by_data.insert(data, (i, at)).is_some_and(|(before, _)| before != i)
            {
                twice.insert(data);
            }
        }
    }
    by_data.retain(|data, (i, _)| !twice.contains(data) && !operations[*i].acknowledged());
    by_data
}
