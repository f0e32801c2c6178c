//! What ZooKeeper promises of sessions: none ends before its time, one that is resumed keeps its id and asks for the
//! right password, after its end it does nothing more and its ephemeral nodes are gone.
//!
//! A session's time runs from the last request that the leader must have heard of: pings, writes and connects that were
//! answered. Reads and syncs do not count: a member answers them before it has told the leader whose they are.
//! That ephemeral nodes live exactly as long as their session at each zxid is part of the replay
//! (`zookeeper_versions`); here is what the replies tell without it.
//!
//! A session lives on one connection: a member that has applied its move to another answers nothing over the old one.
//!
//! Rules: `attached_id`, `wrong_password`, `timeout`, `early_expiry`, `expired_alive`, `used_after_end`,
//! `ephemeral_outlives`, `never_expired`, `served_after_move`.

use crate::finding::{Finding, Severity, seconds};
use crate::history::{Applied, Change, History, Operation, Request};
use crate::tree::code;
use std::collections::BTreeMap;
use synod_types::Zxid;
use synod_types::command::{self, Command};
use synod_types::session::Owner;

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
    /// The timeouts it was granted, as the log has it: when it was applied first, how long, for which connection.
    granted: Vec<Grant>,
}

#[derive(Clone, Copy)]
struct Grant {
    at_ns: u64,
    timeout_ns: u64,
    zxid: i64,
    owner: Owner,
}

/// A session's end comes so much later than its timeout at most: elections, each of which begins it anew, a slow clock,
/// and what it takes to write it down.
const END_PATIENCE_NS: u64 = 8_000_000_000;

/// Checks a history.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sessions = collect(history, &mut findings);
    if let Some(truth) = &history.truth {
        for applied in truth.iter().filter(|a| a.outcome.result.is_ok()) {
            grant(applied, &mut sessions);
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
    moved(history, &sessions, &mut findings);
    if history.header.quiescent {
        findings.extend(history.truth.iter().flat_map(|truth| immortal(history, truth, &sessions)));
    }
    findings
}

fn grant(applied: &Applied, sessions: &mut BTreeMap<i64, Session<'_>>) {
    let (Command::OpenSession { session, owner, .. } | Command::AttachSession { session, owner, .. }) =
        &applied.command
    else {
        return;
    };
    if let Ok(command::Applied::Session(granted)) = &applied.outcome.result {
        sessions.entry(session.0).or_default().granted.push(Grant {
            at_ns: applied.applied_ns.unwrap_or(0),
            timeout_ns: u64::from(granted.timeout_ms) * 1_000_000,
            zxid: applied.zxid.0,
            owner: *owner,
        });
    }
}

/// Sessions that nobody uses and that do not end.
fn immortal(history: &History, truth: &[Applied], sessions: &BTreeMap<i64, Session<'_>>) -> Vec<Finding> {
    let mut used: BTreeMap<i64, u64> = BTreeMap::new();
    for operation in &history.operations {
        let id = operation.reply().and_then(|r| r.session.as_ref()).map_or(operation.session, |g| g.session);
        let last = used.entry(id).or_default();
        *last = operation.call_ns.max(operation.return_ns.unwrap_or(0)).max(*last);
    }
    for applied in truth {
        let (Command::Write { session, .. } | Command::AttachSession { session, .. }) = &applied.command else {
            continue;
        };
        let last = used.entry(session.0).or_default();
        *last = applied.applied_ns.unwrap_or(0).max(*last);
    }
    let term = truth.last().map(|a| a.term);
    let reign = truth.iter().find(|a| Some(a.term) == term).and_then(|a| a.applied_ns).unwrap_or(u64::MAX);
    let mut findings = Vec::new();
    for (id, session) in sessions.iter().filter(|(_, s)| s.end.is_none()) {
        let Some(last_grant) = session.granted.last() else { continue };
        let from = used.get(id).copied().unwrap_or(0).max(last_grant.at_ns).max(reign);
        let over =
            from.saturating_add(last_grant.timeout_ns + last_grant.timeout_ns / 20).saturating_add(END_PATIENCE_NS);
        if over < history.header.end_ns {
            let sentence = format!(
                "was not used after {}, its timeout is {}, and it had not ended by {}",
                seconds(from),
                seconds(last_grant.timeout_ns),
                seconds(history.header.end_ns)
            );
            findings.push(found("never_expired", *id, sentence, None).severity(Severity::Liveness));
        }
    }
    findings
}

/// Replies over a connection that show that the member had applied the session's move to another.
fn moved(history: &History, sessions: &BTreeMap<i64, Session<'_>>, findings: &mut Vec<Finding>) {
    // By connection, the zxid at which its session went elsewhere.
    let mut until: BTreeMap<u64, i64> = BTreeMap::new();
    for operation in &history.operations {
        let Some(granted) = operation.reply().and_then(|r| r.session.as_ref()) else { continue };
        let grants = sessions.get(&granted.session).map_or(&[][..], |s| &s.granted);
        let own = |g: &Grant| g.owner.node.0 == operation.node && Some(g.at_ns) <= operation.return_ns;
        let Some(at) = grants.iter().rposition(own) else { continue };
        if let Some(next) = grants[at + 1..].iter().find(|g| g.owner != grants[at].owner) {
            until.insert(operation.connection, next.zxid);
        }
    }
    for (i, operation) in history.operations.iter().enumerate().filter(|(_, o)| o.acknowledged() && o.zxid > 0) {
        let Some(until) = until.get(&operation.connection).filter(|until| operation.zxid >= **until) else { continue };
        let sentence = format!(
            "moved at zxid {}, yet {} called at {} over the connection it had left was answered at {}",
            Zxid(*until),
            operation.request.name(),
            seconds(operation.call_ns),
            Zxid(operation.zxid)
        );
        findings.push(found("served_after_move", operation.session, sentence, Some(i)));
    }
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
            if let Some((asked, (least, most))) = asked_ms(&operation.request).zip(history.header.timeouts_ms)
                && granted.timeout_ms != asked.clamp(least, most)
            {
                let sentence = format!("was granted {} ms for {asked}, bounds {least} and {most}", granted.timeout_ms);
                findings.push(found("timeout", id, sentence, Some(i)));
            }
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

fn asked_ms(request: &Request) -> Option<u32> {
    match request {
        Request::OpenSession { timeout_ms, .. } | Request::AttachSession { timeout_ms, .. } => Some(*timeout_ms),
        _ => None,
    }
}

/// Whether the answer shows that the leader extended the session.
fn heartbeat(operation: &Operation) -> bool {
    // What is too much for its server the server refuses by itself.
    let codes = [code::SESSION_EXPIRED, code::SESSION_MOVED, code::THROTTLED].map(Some);
    let refused = codes.contains(&operation.error());
    let connects = matches!(operation.request, Request::OpenSession { .. } | Request::AttachSession { .. });
    let heard = operation.request.writes() || matches!(operation.request, Request::Ping);
    operation.acknowledged() && !refused && (heard || connects && operation.reply().is_some())
}

/// Whether a session that was over at `at` ended before its time.
fn early(id: i64, session: &Session<'_>, at: u64, findings: &mut Vec<Finding>) {
    // A client that comes back may ask for less.
    let deadline = |(call, timeout): &(u64, u64)| {
        let later = session.granted.iter().filter(|g| g.at_ns > *call).map(|g| g.timeout_ns);
        call.saturating_add(later.fold(*timeout, u64::min))
    };
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
