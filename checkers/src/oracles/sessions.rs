//! What ZooKeeper promises of sessions: none ends before its time, one that is resumed keeps its id and asks for the
//! right password, after its end it does nothing more and its ephemeral nodes are gone.
//!
//! A session's time runs from the last request that the leader must have heard of: pings, writes and connects that were
//! answered. Reads and syncs do not count: a member answers them before it has told the leader whose they are.
//! That ephemeral nodes live exactly as long as their session at each zxid is part of the replay
//! (`zookeeper_versions`); here is what the replies tell without it.
//!
//! Rules: `attached_id`, `wrong_password`, `early_expiry`, `expired_alive`, `used_after_end`, `ephemeral_outlives`.

use crate::finding::{Finding, seconds};
use crate::history::{Change, History, Operation, Request};
use crate::tree::code;
use std::collections::BTreeMap;
use synod_types::Zxid;
use synod_types::command::Command;

const ORACLE: &str = "sessions";

/// What is known of a session.
#[derive(Default)]
struct Session<'a> {
    password: Option<&'a [u8]>,
    /// Calls that its server's leader must have heard of, and the timeout that held then.
    heard: Vec<(u64, u64)>,
    timeout_ns: u64,
    /// The zxid of its end, and the time if known.
    end: Option<(i64, Option<u64>)>,
    /// Whether the end was the server's doing.
    expired: bool,
}

/// Checks a history.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sessions = collect(history, &mut findings);
    if let Some(truth) = &history.truth {
        for applied in truth.iter().filter(|a| a.outcome.result.is_ok()) {
            let (session, expired) = match &applied.command {
                Command::CloseSession { session, .. } => (session.0, false),
                Command::ExpireSession { session, .. } => (session.0, true),
                _ => continue,
            };
            if let Some(session) = sessions.get_mut(&session) {
                session.end = Some((applied.zxid.0, applied.applied_ns));
                session.expired = expired;
            }
        }
    }
    for (id, session) in &sessions {
        if let (true, Some((_, Some(at)))) = (session.expired, session.end) {
            early(*id, session, at, &mut findings);
        }
    }
    told_expired(history, &sessions, &mut findings);
    after_end(history, &sessions, &mut findings);
    findings
}

fn found(rule: &str, session: i64, sentence: String, operation: Option<usize>) -> Finding {
    Finding::safety(ORACLE, rule, "session", format!("session {session:#x} {sentence}")).operations(operation)
}

/// What the clients' calls tell.
fn collect<'a>(history: &'a History, findings: &mut Vec<Finding>) -> BTreeMap<i64, Session<'a>> {
    let mut sessions: BTreeMap<i64, Session<'a>> = BTreeMap::new();
    for (i, operation) in history.operations.iter().enumerate() {
        let granted = operation.reply().and_then(|r| r.session.as_ref());
        let id = match (&operation.request, granted) {
            (Request::OpenSession { .. }, Some(granted)) => granted.session,
            (Request::AttachSession { session, .. }, _) => *session,
            _ => operation.session,
        };
        let session = sessions.entry(id).or_default();
        if let Some(granted) = granted {
            session.timeout_ns = u64::from(granted.timeout_ms) * 1_000_000;
        }
        match &operation.request {
            Request::OpenSession { .. } => session.password = granted.map(|g| &*g.password.0),
            Request::AttachSession { password, .. } if granted.is_some() => {
                if granted.is_some_and(|g| g.session != id) {
                    let sentence = format!("was resumed at {} as another", seconds(operation.call_ns));
                    findings.push(found("attached_id", id, sentence, Some(i)));
                }
                if session.password.is_some_and(|right| right != password.0) {
                    let sentence = format!("was resumed at {} with a wrong password", seconds(operation.call_ns));
                    findings.push(found("wrong_password", id, sentence, Some(i)));
                }
            }
            Request::CloseSession if operation.reply().is_some() => session.end = Some((operation.zxid, None)),
            _ => {}
        }
        if heartbeat(operation) {
            session.heard.push((operation.call_ns, session.timeout_ns));
        }
    }
    sessions
}

/// Whether the answer shows that the leader extended the session.
fn heartbeat(operation: &Operation) -> bool {
    let refused = matches!(operation.error(), Some(code::SESSION_EXPIRED | code::SESSION_MOVED));
    let connects = matches!(operation.request, Request::OpenSession { .. } | Request::AttachSession { .. });
    let heard = operation.request.writes() || matches!(operation.request, Request::Ping);
    operation.acknowledged() && !refused && (heard || connects && operation.reply().is_some())
}

/// Whether a session that was over at `at` ended before its time.
fn early(id: i64, session: &Session<'_>, at: u64, findings: &mut Vec<Finding>) {
    let deadline = |(call, timeout): &(u64, u64)| call.saturating_add(*timeout);
    let last = session.heard.iter().filter(|(call, _)| *call < at).max_by_key(|h| deadline(h));
    if let Some(last) = last
        && at < deadline(last)
    {
        let sentence = format!(
            "expired by {}, but was heard of at {} with a timeout of {}",
            seconds(at),
            seconds(last.0),
            seconds(last.1)
        );
        findings.push(found("early_expiry", id, sentence, None));
    }
}

/// Clients that were told that their session is over.
fn told_expired(history: &History, sessions: &BTreeMap<i64, Session<'_>>, findings: &mut Vec<Finding>) {
    let events = history.connections.iter().filter_map(|c| match c.change {
        Change::Expired { session } => Some((session, c.time_ns, None)),
        _ => None,
    });
    let refusals = history.operations.iter().enumerate().filter_map(|(i, o)| match &o.request {
        Request::AttachSession { session, password, .. } if o.error() == Some(code::SESSION_EXPIRED) => {
            let right = sessions.get(session).is_some_and(|s| s.password == Some(&*password.0));
            right.then_some((*session, o.return_ns?, Some(i)))
        }
        _ => None,
    });
    for (id, at, operation) in events.chain(refusals) {
        let Some(session) = sessions.get(&id) else { continue };
        match (session.end, &history.truth) {
            (None, Some(_)) => {
                let sentence = format!("was called expired at {}, but never ended", seconds(at));
                findings.push(found("expired_alive", id, sentence, operation));
            }
            (Some((_, Some(end))), _) if end > at => {
                let sentence = format!("was called expired at {}, but ended at {}", seconds(at), seconds(end));
                findings.push(found("expired_alive", id, sentence, operation));
            }
            (None, None) => early(id, session, at, findings),
            _ => {}
        }
    }
}

/// What happens at zxids after a session's end.
fn after_end(history: &History, sessions: &BTreeMap<i64, Session<'_>>, findings: &mut Vec<Finding>) {
    let end = |id: i64| sessions.get(&id).and_then(|s| s.end).map(|(zxid, _)| zxid);
    for (i, operation) in history.operations.iter().enumerate() {
        let Some(reply) = operation.reply() else { continue };
        let uses = operation.request.writes() || operation.request.reads();
        if let Some(end) = end(operation.session).filter(|end| uses && operation.zxid > *end) {
            let sentence = format!(
                "ended at zxid {}, yet its {} called at {} succeeded at {}",
                Zxid(end),
                operation.request.name(),
                seconds(operation.call_ns),
                Zxid(operation.zxid)
            );
            findings.push(found("used_after_end", operation.session, sentence, Some(i)));
        }
        if let (true, Some(stat)) = (operation.request.reads(), &reply.stat)
            && let Some(end) = end(stat.ephemeral_owner).filter(|end| operation.zxid >= *end)
        {
            let sentence = format!(
                "ended at zxid {}, yet its node {} was seen at zxid {}",
                Zxid(end),
                operation.request.path(),
                Zxid(operation.zxid)
            );
            findings.push(found("ephemeral_outlives", stat.ephemeral_owner, sentence, Some(i)));
        }
    }
}
