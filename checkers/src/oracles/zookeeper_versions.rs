//! ZooKeeper's promises as the versions in its replies tell them: writes are linearizable in zxid order, reads show
//! the tree at exactly the zxid of their reply, a session never goes back, `sync` makes what follows fresh.
//!
//! Three passes: a replay in zxid order (`replay`), one sweep in time for real-time order, one walk over each
//! session's replies. With ground truth a fourth compares what clients were told with what the log holds.
//! Versions alone could be consistent lies; `blind` looks without them.
//!
//! Rules: `read_result`, `write_result`, `zxid_order`, `zxid_unique`, `outcome`, `attach` (replay); `write_floor`,
//! `sync_floor` (sweep); `session_order`, `reply_order` (walk); `not_in_log`, `other_in_log`, `twice`,
//! `session_fifo`, `session_gap`, `phantom` (log); `undecided`.

use super::Replay;
use super::log;
use super::replay::write_result;
use crate::finding::{Finding, seconds};
use crate::history::{Applied, History, Operation, Request};
use crate::tree::code;
use std::collections::{BTreeMap, BTreeSet};
use synod_types::Zxid;
use synod_types::command::Command;
use synod_types::znode::ErrorCode;

const ORACLE: &str = "zookeeper_versions";

/// Checks a history.
pub fn check(history: &History) -> Vec<Finding> {
    check_replayed(history, &Replay::of(history))
}

pub(super) fn check_replayed(history: &History, replay: &Replay) -> Vec<Finding> {
    let mut findings = replay.findings.clone();
    sweep(history, &mut findings);
    walk(history, &mut findings);
    if let Some(truth) = &history.truth {
        compare(history, truth, &mut findings);
    }
    findings
}

/// What a sentence says of an operation.
fn told(operation: &Operation) -> String {
    format!(
        "{} of client {} (called {}, returned {}, member {}, zxid {})",
        operation.request.name(),
        operation.client,
        seconds(operation.call_ns),
        operation.return_ns.map_or("never".into(), seconds),
        operation.node,
        Zxid(operation.zxid),
    )
}

/// Real time: the largest zxid that anybody was told before a call is a floor under what the call may give.
fn sweep(history: &History, findings: &mut Vec<Finding>) {
    let operations = &history.operations;
    let mut returns: Vec<usize> =
        (0..operations.len()).filter(|&i| operations[i].acknowledged() && operations[i].zxid > 0).collect();
    returns.sort_by_key(|&i| operations[i].return_ns);
    let mut calls: Vec<usize> = returns.iter().copied().filter(|&i| has_floor(&operations[i])).collect();
    calls.sort_by_key(|&i| operations[i].call_ns);
    let mut returned = returns.into_iter().peekable();
    let mut floor: Option<usize> = None;
    for i in calls {
        let operation = &operations[i];
        while let Some(j) = returned.next_if(|&j| operations[j].return_ns < Some(operation.call_ns)) {
            if floor.is_none_or(|f| operations[f].zxid < operations[j].zxid) {
                floor = Some(j);
            }
        }
        let Some(f) = floor else { continue };
        let before = &operations[f];
        let syncs = matches!(operation.request, Request::Sync { .. });
        let (broken, rule) = match syncs {
            true => (operation.zxid < before.zxid, "sync_floor"),
            false => (operation.zxid <= before.zxid, "write_floor"),
        };
        if broken {
            let sentence = format!("{} came after {} had returned, and is not later", told(operation), told(before));
            findings.push(Finding::safety(ORACLE, rule, operation.request.path(), sentence).operations([f, i]));
        }
    }
}

/// Writes that went through the log, and syncs.
fn has_floor(operation: &Operation) -> bool {
    match operation.request {
        Request::Sync { .. } => operation.reply().is_some(),
        _ => operation.request.writes() && logged(operation),
    }
}

/// Whether the answer is one that only applying the write can give.
fn logged(operation: &Operation) -> bool {
    write_result(operation).is_none_or(|code| !super::replay::unmodelled(code))
}

/// Each session in the order of its replies.
fn walk(history: &History, findings: &mut Vec<Finding>) {
    let operations = &history.operations;
    // By connection, in the order of calls; connections of a session in the order of their first call.
    let mut connections: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut sessions: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
    for (i, operation) in operations.iter().enumerate() {
        if !operation.acknowledged() {
            continue;
        }
        let session = match operation.reply().and_then(|r| r.session.as_ref()) {
            Some(granted) => granted.session,
            None => operation.session,
        };
        connections
            .entry(operation.connection)
            .or_insert_with(|| {
                sessions.entry(session).or_default().push(operation.connection);
                Vec::new()
            })
            .push(i);
    }
    for (session, members) in &sessions {
        let mut shown: Vec<usize> = Vec::new();
        for connection in members {
            // An older connection may go on beside this one; it counts with what it had shown before.
            let begin = connections[connection].first().map_or(0, |&i| operations[i].call_ns);
            let before = shown.iter().copied().filter(|&i| operations[i].return_ns < Some(begin));
            let mut highest = before.max_by_key(|&i| operations[i].zxid);
            let mut calls = connections[connection].clone();
            let mut last: Option<usize> = None;
            for &i in calls.iter().filter(|&&i| !matches!(operations[i].request, Request::Ping)) {
                if let Some(l) = last.replace(i)
                    && operations[l].position.is_some()
                    && operations[i].position.is_some()
                    && operations[l].position > operations[i].position
                {
                    let sentence = format!("{} was answered before {}", told(&operations[i]), told(&operations[l]));
                    findings.push(Finding::safety(ORACLE, "reply_order", "session", sentence).operations([l, i]));
                }
            }
            calls.sort_by_key(|&i| (operations[i].position, operations[i].return_ns));
            for i in calls.into_iter().filter(|&i| operations[i].zxid > 0) {
                shown.push(i);
                match highest {
                    Some(h) if operations[h].zxid > operations[i].zxid => {
                        let (now, before) = (told(&operations[i]), told(&operations[h]));
                        let sentence = format!("session {session:#x} went back: {now} after {before}");
                        findings.push(Finding::safety(ORACLE, "session_order", "session", sentence).operations([h, i]));
                    }
                    _ => highest = Some(i),
                }
            }
        }
    }
}

/// What clients were told against what the log holds.
fn compare(history: &History, truth: &[Applied], findings: &mut Vec<Finding>) {
    let operations = &history.operations;
    let by_zxid: BTreeMap<i64, usize> = truth.iter().enumerate().map(|(t, a)| (a.zxid.0, t)).collect();
    let mut told_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut issued: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    let sessions_seen: BTreeSet<i64> = operations.iter().map(|o| o.session).collect();
    for (i, operation) in operations.iter().enumerate() {
        let closes = matches!(operation.request, Request::CloseSession);
        if !operation.request.writes() && !closes {
            continue;
        }
        issued.entry(operation.session).or_default().push(i);
        if !operation.acknowledged() || !logged(operation) || closes && operation.reply().is_none() {
            continue;
        }
        let path = operation.request.path();
        let mut found = |rule: &str, sentence: String, operations: Vec<usize>| {
            findings.push(Finding::safety(ORACLE, rule, path, sentence).operations(operations));
        };
        let Some(&t) = by_zxid.get(&operation.zxid) else {
            found("not_in_log", format!("{} was acknowledged, the log has no such zxid", told(operation)), vec![i]);
            continue;
        };
        if !log::same(&truth[t], operation) {
            let sentence = format!("{} has the zxid of {:?}", told(operation), truth[t].command);
            found("other_in_log", sentence, vec![i]);
            continue;
        }
        if let Some(other) = told_of.insert(t, i) {
            found("twice", format!("{} and {} are one", told(operation), told(&operations[other])), vec![other, i]);
        }
        let outcome = log::WriteResult::of_outcome(&truth[t].outcome);
        if !log::agrees(operation, &outcome, true) {
            let sentence = format!("{} was told {:?}, the log says {outcome:?}", told(operation), operation.response);
            found("reply", sentence, vec![i]);
        }
    }
    // The log's commands of a session are what its client issued, in that order, each at most once.
    let mut next: BTreeMap<i64, usize> = BTreeMap::new();
    for (t, applied) in truth.iter().enumerate() {
        let session = match &applied.command {
            Command::Write { session, .. } | Command::CloseSession { session, .. } => session.0,
            _ => continue,
        };
        // What came over a connection that the session had left was refused: it may come at any time, to no effect.
        let refused = matches!(applied.outcome.result, Err(ErrorCode::SessionMoved | ErrorCode::SessionExpired));
        if refused || !sessions_seen.contains(&session) {
            continue;
        }
        let issued = issued.get(&session).map_or(&[][..], |i| i);
        let from = next.entry(session).or_default();
        let at = match told_of.get(&t) {
            Some(told) => issued.iter().position(|i| i == told),
            None => {
                let rest = issued.iter().enumerate().skip(*from);
                // Who is told that the member has too much to do is told that nothing was done.
                let open = |i: usize| {
                    let o = &operations[i];
                    o.error() != Some(code::THROTTLED) && (!o.acknowledged() || !logged(o))
                };
                rest.filter(|&(_, &i)| open(i) && log::same(applied, &operations[i])).map(|(at, _)| at).next()
            }
        };
        match at {
            Some(at) if at >= *from => {
                // What a member refused for its load may never have been answered.
                if !history.header.overload {
                    findings.extend(gap(operations, &issued[*from..at], issued[at]));
                }
                *from = at + 1;
            }
            Some(at) => {
                let operation = &operations[issued[at]];
                let sentence = format!("{} took effect after a later request of its session", told(operation));
                findings.push(
                    Finding::safety(ORACLE, "session_fifo", operation.request.path(), sentence)
                        .operations([issued[at]]),
                );
            }
            None => {
                let sentence = format!(
                    "index {} zxid {} is a command of session {session:#x} that its client did not send, or sent \
                     only as often as the log already has it: {:?}",
                    applied.index.0, applied.zxid, applied.command
                );
                findings.push(Finding::safety(ORACLE, "phantom", "session", sentence));
            }
        }
    }
}

/// Requests of one connection that were skipped by a later one of it: what is sent in order is done in order, or not at
/// all from some point on. Only what writes a value of its own is surely the one that was skipped.
fn gap(operations: &[Operation], skipped: &[usize], done: usize) -> Option<Finding> {
    let after = &operations[done];
    let unmistakable =
        |o: &Operation| log::requested(o.session, &o.request).iter().any(|change| change.data().is_some());
    if !after.acknowledged() && !unmistakable(after) {
        return None;
    }
    let lost = |&&i: &&usize| {
        let o = &operations[i];
        o.connection == after.connection && !o.acknowledged() && unmistakable(o)
    };
    let &first = skipped.iter().find(lost)?;
    let sentence = format!("{} took effect and {}, sent before it, did not", told(after), told(&operations[first]));
    Some(Finding::safety(ORACLE, "session_gap", after.request.path(), sentence).operations([first, done]))
}
