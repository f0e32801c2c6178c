//! What members and clients say to each other, in a line each; and which message is which when it arrives.

use crate::watcher::Passing;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use synod_checkers::history::{Create, MultiOp, MultiResult, Part, Reply, Request, Response};
use synod_reports::run::Message;
use synod_types::command::{Command, WriteOp};
use synod_types::peer::PeerMessage;
use synod_types::raft::Body;
use synod_types::{Acl, Proposal, raft};

/// Names that a text lists before it says how many more there are.
const LISTED_MAX: usize = 4;

/// The messages of a run, each matched with its arrival.
///
/// A link delivers in order or breaks, so a message that arrives is the first alike of those under way, and the ones
/// before it are lost.
#[derive(Default)]
pub struct Messages {
    all: Vec<Message>,
    under_way: BTreeMap<(u8, u8), VecDeque<(PeerMessage, usize)>>,
}

impl Messages {
    /// One was sent or has arrived.
    pub fn pass(&mut self, at_ns: u64, passing: Passing<'_>) {
        let Passing { from, to, arrived, message } = passing;
        let queue = self.under_way.entry((from, to)).or_default();
        if arrived {
            if let Some(place) = queue.iter().position(|(sent, _)| sent == message) {
                let (_, at) = queue.drain(..=place).next_back().expect("the one at the place");
                self.all[at].received_ns = Some(at_ns);
            }
            return;
        }
        queue.push_back((message.clone(), self.all.len()));
        let (kind, text) = told(message);
        self.all.push(Message { from, to, sent_ns: at_ns, received_ns: None, kind: kind.to_string(), text });
    }

    /// All of them; what has not arrived is lost.
    pub fn finish(self) -> Vec<Message> {
        self.all
    }
}

/// Kind and content of a message.
fn told(message: &PeerMessage) -> (&'static str, String) {
    match message {
        PeerMessage::Raft(message) => of_raft(message),
        PeerMessage::Forward { term, proposals, .. } => {
            let commands = listed(proposals.iter().map(|(_, command)| command_text(command)));
            ("forward", format!("to the leader of term {}: {commands}", term.0))
        }
        PeerMessage::ForwardRefused { requests, .. } => ("forward refused", format!("{} requests", requests.len())),
        PeerMessage::Touch { sequence, sessions } => {
            ("touch", format!("{} sessions were heard from, report {sequence}", sessions.len()))
        }
        PeerMessage::TouchReply { sequence, commit, .. } => {
            ("touched", format!("report {sequence}, {} is committed", commit.0))
        }
        PeerMessage::Digest { index, digest } => ("digest", format!("{:08x} at {index}", (digest >> 96) as u32)),
    }
}

fn of_raft(message: &raft::Message<Arc<Proposal>>) -> (&'static str, String) {
    let term = message.term.0;
    let granted = |granted: bool| if granted { "granted" } else { "refused" };
    match &message.body {
        Body::PreVote { last_index, last_term } => (
            "pre-vote",
            format!("would you vote for me in term {term}? log to {} of term {}", last_index.0, last_term.0),
        ),
        Body::PreVoteReply { granted: g } => ("pre-vote reply", format!("{}, term {term}", granted(*g))),
        Body::Vote { last_index, last_term, transfer } => {
            let asked = if *transfer { ", as the leader asked" } else { "" };
            ("vote", format!("vote for me in term {term}; log to {} of term {}{asked}", last_index.0, last_term.0))
        }
        Body::VoteReply { granted: g } => ("vote reply", format!("{}, term {term}", granted(*g))),
        Body::Append { prev_index, prev_term, entries, commit, round } if entries.is_empty() => {
            let after = format!("after {} of term {}", prev_index.0, prev_term.0);
            ("heartbeat", format!("term {term}, committed {}, round {round}, {after}", commit.0))
        }
        Body::Append { prev_index, entries, commit, .. } => {
            let commands = listed(entries.iter().map(|entry| match &entry.payload {
                Some(proposal) => command_text(&proposal.command),
                None => "opening of the term".into(),
            }));
            let count = entries.len();
            let (prev, commit) = (prev_index.0, commit.0);
            ("append", format!("append {count} after {prev} in term {term}, committed {commit}: {commands}"))
        }
        Body::AppendReply { matched, round, recovering } => {
            let recovering = if *recovering { ", not to be counted" } else { "" };
            ("appended", format!("durable to {}, round {round}, term {term}{recovering}", matched.0))
        }
        Body::AppendRejected { prev_index, conflict_index, conflict_term, .. } => {
            let try_at = format!("try {} of term {}", conflict_index.0, conflict_term.0);
            ("append rejected", format!("I do not have {}; {try_at}", prev_index.0))
        }
        Body::Snapshot { meta, offset, data, done } => {
            let done = if *done { ", the last" } else { "" };
            let to = offset + data.len() as u64;
            ("snapshot", format!("of {}: bytes {offset} to {to} of {}{done}", meta.index.0, meta.size_bytes))
        }
        Body::SnapshotReply { meta, received, installed } => {
            let installed = if *installed { ", installed" } else { "" };
            ("snapshot reply", format!("of {}: has {received} bytes{installed}", meta.index.0))
        }
        Body::TimeoutNow => ("timeout now", format!("campaign now, term {term}")),
        Body::ReadIndex { context } => ("read index", format!("question {context}, term {term}")),
        Body::ReadIndexReply { context, index } => ("read index reply", format!("question {context}: {}", index.0)),
        Body::Probe { .. } => ("probe", "who knows me?".into()),
        Body::ProbeReply { knows, barrier, .. } => {
            let what = if *knows { "I have a history" } else { "I am new as well" };
            let barrier = barrier.map_or(String::new(), |i| format!(", index {} restores your vote", i.0));
            ("probe reply", format!("term {term}, {what}{barrier}"))
        }
    }
}

fn listed(texts: impl ExactSizeIterator<Item = String>) -> String {
    let count = texts.len();
    let mut text = texts.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if count > LISTED_MAX {
        text += &format!(", {} more", count - LISTED_MAX);
    }
    text
}

fn command_text(command: &Command) -> String {
    match command {
        Command::OpenSession { session, .. } => format!("open session {:#x}", session.0),
        Command::AttachSession { session, .. } => format!("attach session {:#x}", session.0),
        Command::CloseSession { session, .. } => format!("close session {:#x}", session.0),
        Command::ExpireSession { session, .. } => format!("expire session {:#x}", session.0),
        Command::Write { op, .. } => write_text(op),
        Command::Reap { path } => format!("reap {path}"),
        Command::RaiseVersion { to } => format!("raise the cluster version to {to}"),
    }
}

fn write_text(op: &WriteOp) -> String {
    match op {
        WriteOp::Create { path, .. } => format!("create {path}"),
        WriteOp::Refused { error } => format!("refused {error:?}"),
        WriteOp::Delete { path, .. } => format!("delete {path}"),
        WriteOp::SetData { path, .. } => format!("set {path}"),
        WriteOp::SetAcl { path, .. } => format!("set acl {path}"),
        WriteOp::Check { path, .. } => format!("check {path}"),
        WriteOp::Multi { ops } => format!("multi [{}]", ops.iter().map(write_text).collect::<Vec<_>>().join(", ")),
    }
}

/// A client's request.
pub fn request_text(request: &Request) -> String {
    let watched = |watch: bool| if watch { ", watch" } else { "" };
    let (name, path) = (request.name(), request.path());
    match request {
        Request::Create(create) => create_text(create),
        Request::Delete { version, .. } => format!("delete {path}{}", condition(*version)),
        Request::SetData { data, version, .. } => format!("set {path} = {}{}", data.text(), condition(*version)),
        Request::Exists { watch, .. } | Request::GetData { watch, .. } | Request::GetChildren { watch, .. } => {
            format!("{name} {path}{}", watched(*watch))
        }
        Request::Sync { .. } => format!("sync {path}"),
        Request::Multi { ops } => format!("multi [{}]", ops.iter().map(part_text).collect::<Vec<_>>().join(", ")),
        Request::OpenSession { timeout_ms, .. } => format!("open session, timeout {timeout_ms} ms"),
        Request::AttachSession { session, last_zxid_seen, .. } => {
            format!("attach session {session:#x}, seen zxid {last_zxid_seen:#x}")
        }
        Request::CloseSession | Request::Ping => name.to_string(),
        Request::SetWatches { relative_zxid, data, exist, child, persistent, recursive } => {
            let (data, exist, child) = (data.len(), exist.len(), child.len());
            let stay = persistent.len() + recursive.len();
            format!(
                "set watches since zxid {relative_zxid:#x}: {data} data, {exist} exist, {child} child, {stay} that stay"
            )
        }
        Request::SetAcl { acl, version, .. } => format!("{name} {path} = {}{}", acl_text(acl), condition(*version)),
        Request::Ephemerals { prefix } => format!("{name} {prefix:?}"),
        Request::ReadMany { reads } => {
            format!("{name} [{}]", reads.iter().map(Part::path).collect::<Vec<_>>().join(", "))
        }
        Request::Auth { id } => format!("{name} as {id}"),
        Request::AddWatch { recursive, .. } => format!("{name} {path}{}", if *recursive { " and below" } else { "" }),
        Request::Watching { kind, .. } => format!("{name} {path} of kind {kind}"),
        Request::WhoAmI => name.to_string(),
        Request::GetAcl { .. } | Request::CountBelow { .. } => format!("{name} {path}"),
    }
}

fn create_text(create: &Create) -> String {
    let ephemeral = if create.ephemeral { " ephemeral" } else { "" };
    let sequential = if create.sequential { " sequential" } else { "" };
    let container = if create.container { " container" } else { "" };
    let ttl = create.ttl_ms.map_or(String::new(), |ttl_ms| format!(" for {ttl_ms} ms"));
    let acl = create.acl.as_deref().map_or(String::new(), |acl| format!(" with {}", acl_text(acl)));
    format!("create {} = {}{ephemeral}{sequential}{container}{ttl}{acl}", create.path, create.data.text())
}

fn acl_text(acl: &[Acl]) -> String {
    let entries = acl.iter().map(|a| format!("{}:{} {:#x}", a.identity.scheme, a.identity.id, a.perms));
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

fn part_text(op: &MultiOp) -> String {
    match op {
        MultiOp::Create(create) => create_text(create),
        MultiOp::Delete { path, version } => format!("delete {path}{}", condition(*version)),
        MultiOp::SetData { path, data, version } => format!("set {path} = {}{}", data.text(), condition(*version)),
        MultiOp::Check { path, version } => format!("check {path}{}", condition(*version)),
    }
}

fn condition(version: i32) -> String {
    if version < 0 { String::new() } else { format!(" if version {version}") }
}

/// A member's answer, with its zxid.
pub fn response_text(reply: &Reply, zxid: String) -> String {
    let mut parts = Vec::new();
    parts.extend(reply.session.as_ref().map(|s| format!("session {:#x}, timeout {} ms", s.session, s.timeout_ms)));
    parts.extend(reply.path.clone());
    parts.extend(reply.data.as_ref().map(|data| format!("= {}", data.text())));
    parts.extend(reply.stat.as_ref().map(|stat| format!("version {}", stat.version)));
    parts.extend(reply.children.as_ref().map(|children| format!("[{}]", children.join(", "))));
    parts.extend(reply.acl.as_deref().map(acl_text));
    parts.extend(reply.paths.as_ref().map(|paths| format!("[{}]", paths.join(", "))));
    parts.extend(reply.count.map(|count| format!("{count} nodes")));
    parts.extend(reply.who.as_ref().map(|who| format!("{who:?}")));
    parts.extend(reply.many.iter().map(|one| match one {
        Response::Ok(reply) => response_text(reply, String::new()),
        Response::Error(code) => format!("error {code}"),
    }));
    parts.extend(reply.multi.iter().map(|result| match result {
        MultiResult::Created { path, .. } => format!("created {path}"),
        MultiResult::Deleted => "deleted".into(),
        MultiResult::Set { stat } => {
            format!("set{}", stat.map_or(String::new(), |s| format!(" to version {}", s.version)))
        }
        MultiResult::Checked => "checked".into(),
        MultiResult::Error(code) => format!("error {code}"),
    }));
    parts.push(zxid);
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_types::{Index, Term};

    #[test]
    fn what_does_not_arrive_is_lost_and_arrivals_keep_their_order() {
        let beat = |round| {
            let body =
                Body::Append { prev_index: Index(4), prev_term: Term(1), entries: vec![], commit: Index(4), round };
            PeerMessage::Raft(raft::Message { term: Term(1), body })
        };
        let mut messages = Messages::default();
        let mut pass = |at_ns, to, arrived, round| {
            messages.pass(at_ns, Passing { from: 1, to, arrived, message: &beat(round) });
        };
        pass(10, 2, false, 1);
        pass(20, 2, false, 2);
        pass(21, 3, false, 2);
        pass(30, 2, false, 2);
        pass(40, 2, true, 2);
        pass(50, 2, true, 2);
        pass(60, 2, true, 9);
        let arrivals: Vec<_> = messages.finish().iter().map(|m| (m.to, m.sent_ns, m.received_ns)).collect();
        assert_eq!(arrivals, [(2, 10, None), (2, 20, Some(40)), (3, 21, None), (2, 30, Some(50))]);
    }
}
