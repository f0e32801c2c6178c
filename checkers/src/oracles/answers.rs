//! Every request is answered, by its own reply, in its place.
//!
//! Nobody waits for ever: once the faults are over and everything under way has arrived, a request on a connection that
//! answers later calls is answered itself. A lost wake-up breaks no promise about values; it shows here. Replies come
//! in the order of the requests, and none is older than a watch event that came before it: the client has seen that
//! change and must find it in what it reads.
//!
//! Who asks for nothing is answered too: pings, as soon as all is quiet.
//!
//! Rules: `unanswered`, `ping`, `stray`, `behind_event`.

use crate::finding::{Finding, Severity, seconds};
use crate::history::{Change, History, Operation, Request};
use std::collections::{BTreeMap, BTreeSet};
use synod_types::Zxid;

const ORACLE: &str = "answers";

/// What is asked this long after it must be behind it.
const PATIENCE_NS: u64 = 3_000_000_000;

/// Checks a history.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = strays(history);
    findings.extend(behind_events(history));
    if history.header.quiescent {
        findings.extend(unanswered(history));
        findings.extend(pings(history));
    }
    findings
}

/// At the end of a history that came to rest all has been quiet for so long at least.
const QUIET_NS: u64 = 5_000_000_000;
/// A ping is answered within this time then.
const PING_PATIENCE_NS: u64 = 1_500_000_000;

/// Pings on connections that were opened or answered something when all was quiet already.
fn pings(history: &History) -> Vec<Finding> {
    let end = history.header.end_ns;
    let quiet = end.saturating_sub(QUIET_NS)..end.saturating_sub(PING_PATIENCE_NS);
    let changes = history.connections.iter().filter(|c| !matches!(c.change, Change::Connected { .. }));
    let ends: BTreeMap<u64, u64> = changes.map(|c| (c.connection, c.time_ns)).collect();
    let mut alive = BTreeSet::new();
    let mut findings = Vec::new();
    for (i, o) in history.operations.iter().enumerate().filter(|(_, o)| quiet.contains(&o.call_ns)) {
        let patience = o.call_ns + PING_PATIENCE_NS;
        if o.return_ns.is_some() {
            alive.insert(o.connection);
        }
        let waits = matches!(o.request, Request::Ping) && o.return_ns.is_none_or(|at| at > patience);
        if waits && alive.contains(&o.connection) && ends.get(&o.connection).is_none_or(|end| *end > patience) {
            let sentence = format!(
                "client {} pinged member {} at {} and had no answer in time",
                o.client,
                o.node,
                seconds(o.call_ns)
            );
            let finding = Finding::safety(ORACLE, "ping", "ping", sentence).severity(Severity::Liveness);
            findings.push(finding.operations([i]));
        }
    }
    findings
}

fn strays(history: &History) -> Vec<Finding> {
    let told = |stray: &crate::history::Stray| {
        let due = stray.due.map_or("none".into(), |due| format!("that of {due}"));
        let sentence = format!(
            "client {} received the reply of request {} at {} on connection {} where {due} was due",
            stray.client,
            stray.came,
            seconds(stray.time_ns),
            stray.connection
        );
        Finding::safety(ORACLE, "stray", "session", sentence)
    };
    history.strays.iter().map(told).collect()
}

fn behind_events(history: &History) -> Vec<Finding> {
    // Of each connection: the places of its events with the highest zxid up to there.
    let mut events: BTreeMap<u64, BTreeMap<u64, i64>> = BTreeMap::new();
    for event in history.watches.iter().filter(|e| e.zxid > 0) {
        let of_connection = events.entry(event.connection).or_default();
        let before = of_connection.range(..event.position).next_back().map_or(0, |(_, zxid)| *zxid);
        of_connection.insert(event.position, event.zxid.max(before));
    }
    let mut findings = Vec::new();
    for (i, operation) in history.operations.iter().enumerate().filter(|(_, o)| o.acknowledged() && o.zxid > 0) {
        let (Some(position), Some(events)) = (operation.position, events.get(&operation.connection)) else { continue };
        let Some((_, seen)) = events.range(..position).next_back() else { continue };
        if *seen > operation.zxid {
            let sentence = format!(
                "client {} was answered {} {} at zxid {}, after an event of zxid {}",
                operation.client,
                operation.request.name(),
                operation.request.path(),
                Zxid(operation.zxid),
                Zxid(*seen)
            );
            let finding = Finding::safety(ORACLE, "behind_event", operation.request.path(), sentence);
            findings.push(finding.operations([i]));
        }
    }
    findings
}

fn unanswered(history: &History) -> Vec<Finding> {
    let ended = history.ended();
    // A connection on which nothing came any more may be dead without either end knowing: only one that was used later
    // has a server that could have answered.
    let mut heard: BTreeMap<u64, u64> = BTreeMap::new();
    for operation in history.operations.iter().filter(|o| o.acknowledged()) {
        let last = heard.entry(operation.connection).or_default();
        *last = operation.call_ns.max(*last);
    }
    // Replies come in order: what is asked after the first that hangs waits behind it.
    let mut hanging = BTreeSet::new();
    let open = |(_, o): &(usize, &Operation)| {
        o.return_ns.is_none()
            && !ended.contains(&o.connection)
            && heard.get(&o.connection).is_some_and(|last| *last > o.call_ns + PATIENCE_NS)
            && hanging.insert(o.connection)
    };
    let told = |(i, o): (usize, &Operation)| {
        let sentence = format!(
            "client {} called {} {} at {} on member {}; the connection lived to the end and no answer came",
            o.client,
            o.request.name(),
            o.request.path(),
            seconds(o.call_ns),
            o.node
        );
        Finding::safety(ORACLE, "unanswered", o.request.name(), sentence).severity(Severity::Liveness).operations([i])
    };
    history.operations.iter().enumerate().filter(open).map(told).collect()
}
