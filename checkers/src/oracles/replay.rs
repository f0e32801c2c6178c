//! The history replayed in zxid order through the naive tree. With ground truth the order and the set of writes are
//! the log's; without, `acknowledged` takes what clients were told.

use super::doubt::Doubts;
use super::log::{self, WriteResult};
use super::who::Who;
use crate::access::{self, may};
use crate::finding::{Finding, seconds};
use crate::history::{Applied, History, MultiResult, Operation, Part, Request, Response, WatchKind};
use crate::tree::{Stamp, Tree, code, split};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use synod_types::command::{self, Command};
use synod_types::session::{Owner, Password};
use synod_types::{Acl, Identity, Stat, Zxid};

pub(super) const ORACLE: &str = "zookeeper_versions";

/// What the replay gives to the oracles.
pub(crate) struct Replay {
    /// What disagreed.
    pub findings: Vec<Finding>,
    /// For each path, what happened to it, in order.
    pub timeline: BTreeMap<String, Vec<(i64, WatchKind)>>,
    /// Who may hear of a change, where not everybody may.
    pub listeners: BTreeMap<(i64, WatchKind, String), Arc<[Acl]>>,
    /// Who each connection's client is.
    pub who: Who,
    /// The tree in the end.
    pub tree: Tree,
    /// The sessions of the log in the end, with their timeouts in milliseconds.
    pub sessions: BTreeMap<i64, u32>,
    /// What writes of unknown outcome may have touched.
    pub clouds: Clouds,
}

/// Paths whose state is not known for certain, and the zxid up to which it is.
#[derive(Default)]
pub(crate) struct Clouds {
    /// With all below them.
    trees: BTreeMap<String, i64>,
    /// By themselves: children, counter, pzxid.
    nodes: BTreeMap<String, i64>,
}

impl Clouds {
    /// Whether nothing certain can be said about a path at this zxid.
    pub fn over(&self, path: &str, zxid: i64) -> bool {
        let clouded = |from: Option<&i64>| from.is_some_and(|from| *from < zxid);
        if clouded(self.nodes.get(path)) {
            return true;
        }
        let mut path = path;
        while !clouded(self.trees.get(path)) {
            if path == "/" || path.is_empty() {
                return false;
            }
            path = split(path).0;
        }
        true
    }

    /// Clouds what a write of unknown outcome touches.
    pub(super) fn add(&mut self, path: &str, sequential: bool, zxid: i64) {
        let insert = |clouds: &mut BTreeMap<String, i64>, path: &str| {
            let from = clouds.entry(path.to_string()).or_insert(zxid);
            *from = zxid.min(*from);
        };
        let parent = split(path).0;
        if sequential {
            insert(&mut self.trees, parent);
        } else {
            insert(&mut self.trees, path);
            insert(&mut self.nodes, parent);
        }
    }
}

/// A session as the log has it.
struct Session {
    owner: Owner,
    password: Password,
    timeout_ms: u32,
}

pub(super) struct Replaying<'a> {
    pub history: &'a History,
    pub tree: Tree,
    sessions: BTreeMap<i64, Session>,
    /// Whether the times of stats are known.
    pub times: bool,
    /// What writes of unknown outcome may have made of nodes.
    pub doubts: Doubts<'a>,
    /// By write of unknown outcome and place in it, the node that it made, where a read tells.
    pub names: BTreeMap<(usize, usize), &'a str>,
    /// Where `doubts` do not reach.
    pub clouds: Clouds,
    /// Operations that could not be decided.
    pub undecided: Vec<usize>,
    pub out: Replay,
}

impl Replay {
    /// Replays a history.
    pub fn of(history: &History) -> Replay {
        let out = Replay {
            findings: Vec::new(),
            timeline: BTreeMap::new(),
            listeners: BTreeMap::new(),
            who: Who::of(history),
            tree: Tree::new(),
            sessions: BTreeMap::new(),
            clouds: Clouds::default(),
        };
        let mut replaying = Replaying {
            history,
            tree: Tree::new(),
            sessions: BTreeMap::new(),
            times: history.truth.is_some(),
            doubts: Doubts::default(),
            names: BTreeMap::new(),
            clouds: Clouds::default(),
            undecided: Vec::new(),
            out,
        };
        let mut reads: Vec<usize> = (0..history.operations.len())
            .filter(|&i| history.operations[i].request.reads() && history.operations[i].acknowledged())
            .collect();
        reads.sort_by_key(|&i| history.operations[i].zxid);
        match &history.truth {
            Some(truth) => replaying.log(truth, &reads),
            None => replaying.acknowledged(&reads),
        }
        let sessions = replaying.sessions.iter().map(|(id, session)| (*id, session.timeout_ms)).collect();
        Replay { tree: replaying.tree, sessions, ..replaying.out }
    }
}

impl Replaying<'_> {
    pub(super) fn found(
        &mut self,
        rule: &str,
        object: &str,
        sentence: String,
        operations: impl IntoIterator<Item = usize>,
    ) {
        self.out.findings.push(Finding::safety(ORACLE, rule, object, sentence).operations(operations));
    }

    /// The reads up to a zxid, exclusive, at the tree as it is.
    pub(super) fn reads_before<'r>(
        &mut self,
        reads: &mut std::iter::Peekable<impl Iterator<Item = &'r usize>>,
        zxid: i64,
    ) {
        while let Some(i) = reads.next_if(|&&i| self.history.operations[i].zxid < zxid) {
            self.read(*i);
        }
    }

    fn read(&mut self, i: usize) {
        let operation = &self.history.operations[i];
        let path = operation.request.path();
        let judged = match self.history.truth {
            Some(_) => saw(&self.tree, operation, self.out.who.at(i)),
            None => self.look(i),
        };
        let Err(what) = judged else { return };
        if self.clouds.over(path, operation.zxid) {
            self.undecided.push(i);
            return;
        }
        let sentence = format!(
            "client {} called {} {path} at {} on member {} and at zxid {} {what}",
            operation.client,
            operation.request.name(),
            seconds(operation.call_ns),
            operation.node,
            Zxid(operation.zxid),
        );
        self.found("read_result", path, sentence, [i]);
    }

    /// Moves what the tree reported to the timeline.
    pub(super) fn keep_events(&mut self) {
        for event in self.tree.events.drain(..) {
            if let Some(acl) = event.acl {
                self.out.listeners.insert((event.zxid, event.kind, event.path.clone()), acl);
            }
            self.out.timeline.entry(event.path).or_default().push((event.zxid, event.kind));
        }
    }

    fn log(&mut self, truth: &[Applied], reads: &[usize]) {
        let mut reads = reads.iter().peekable();
        let mut last = i64::MIN;
        for applied in truth {
            let zxid = applied.zxid.0;
            if zxid <= last {
                let sentence = format!("index {} has zxid {}, after {}", applied.index.0, Zxid(zxid), Zxid(last));
                self.found("zxid_order", "log", sentence, []);
            }
            last = last.max(zxid);
            self.reads_before(&mut reads, zxid);
            self.command(applied);
            self.keep_events();
        }
        self.reads_before(&mut reads, i64::MAX);
    }

    /// One entry of the log: what the members answered must be what the naive tree answers.
    fn command(&mut self, applied: &Applied) {
        let stamp = Stamp { zxid: applied.zxid.0, time_ms: applied.time_ms };
        let outcome = &applied.outcome;
        if outcome.zxid != applied.zxid {
            let sentence = format!("index {} has zxid {}, its outcome {}", applied.index.0, applied.zxid, outcome.zxid);
            self.found("outcome", "log", sentence, []);
        }
        match &applied.command {
            Command::OpenSession { session, password, owner, timeout_ms } if outcome.result.is_ok() => {
                let opened = Session { owner: *owner, password: *password, timeout_ms: *timeout_ms };
                self.sessions.insert(session.0, opened);
            }
            Command::AttachSession { session, password, owner, timeout_ms } => {
                let attached = Session { owner: *owner, password: *password, timeout_ms: *timeout_ms };
                let right = self.sessions.get(&session.0).is_some_and(|s| s.password == *password);
                match &outcome.result {
                    Ok(command::Applied::Session(granted)) if right && granted.session == *session => {
                        self.sessions.insert(session.0, attached);
                    }
                    Err(_) if !right => {}
                    result => {
                        let expected = if right { "granted" } else { "refused" };
                        let sentence = format!(
                            "attaching session {session} at zxid {} gave {result:?}, expected to be {expected}",
                            applied.zxid
                        );
                        self.found("attach", "session", sentence, []);
                        if result.is_ok() {
                            self.sessions.insert(session.0, attached);
                        }
                    }
                }
            }
            Command::CloseSession { session, owner } | Command::ExpireSession { session, owner } => {
                let expected = match self.sessions.get(&session.0) {
                    None => Err(code::SESSION_EXPIRED),
                    Some(s) if s.owner != *owner => Err(code::SESSION_MOVED),
                    Some(_) => Ok(()),
                };
                let got = outcome.result.as_ref().map(|_| ()).map_err(|error| error.code());
                if got != expected {
                    let sentence = format!(
                        "the end of session {session} at zxid {} gave {got:?}, expected {expected:?}",
                        applied.zxid
                    );
                    self.found("session_end", "session", sentence, []);
                }
                if got.is_ok() {
                    self.sessions.remove(&session.0);
                    self.tree.end_session(stamp, session.0);
                }
            }
            Command::Reap { path } if outcome.result.is_ok() => self.tree.reap(stamp, path),
            Command::Write { session, owner, op, identities } => {
                self.tree.who = Some(identities.clone());
                let got = WriteResult::of_outcome(outcome);
                let expected = match self.sessions.get(&session.0) {
                    None => WriteResult::Single(Err(code::SESSION_EXPIRED)),
                    Some(s) if s.owner != *owner => WriteResult::Single(Err(code::SESSION_MOVED)),
                    Some(_) if taken_at_its_word(&got) && !decided_by_the_log(&got) => got.clone(),
                    Some(_) => {
                        let changes = log::changes(session.0, op);
                        match op {
                            command::WriteOp::Multi { .. } => {
                                WriteResult::of_multi(changes.len(), self.tree.apply_all(stamp, &changes))
                            }
                            _ => WriteResult::Single(self.tree.apply(stamp, changes[0])),
                        }
                    }
                };
                if got != expected {
                    let path = first_path(op);
                    let sentence = format!(
                        "{op:?} of session {session} at index {} zxid {} gave {got:?}, expected {expected:?}",
                        applied.index.0, applied.zxid
                    );
                    self.found("write_result", path, sentence, []);
                }
            }
            // What failed changed nothing; commands of other data models do not touch the tree.
            _ => {}
        }
    }
}

/// Whether an error comes from what the naive tree does not model: permissions, quotas, switched-off features,
/// sessions, overload.
pub(super) fn unmodelled(error: i32) -> bool {
    ![
        0,
        code::RUNTIME_INCONSISTENCY,
        code::BAD_ARGUMENTS,
        code::NO_NODE,
        code::BAD_VERSION,
        code::NO_CHILDREN_FOR_EPHEMERALS,
        code::NODE_EXISTS,
        code::NOT_EMPTY,
    ]
    .contains(&error)
}

fn taken_at_its_word(result: &WriteResult) -> bool {
    result.error().is_some_and(unmodelled)
}

/// Whether a write was refused for the sake of its session or of permissions: modelled where there is ground truth.
fn decided_by_the_log(result: &WriteResult) -> bool {
    let codes = [code::SESSION_EXPIRED, code::SESSION_MOVED, code::NO_AUTH, code::INVALID_ACL];
    result.error().is_some_and(|error| codes.contains(&error))
}

/// The error a client was told for a write, that of the failing operation for a multi.
pub(super) fn write_result(operation: &Operation) -> Option<i32> {
    let of_multi = operation.reply().and_then(|reply| {
        reply.multi.iter().find_map(|r| match r {
            MultiResult::Error(code) if *code != 0 => Some(*code),
            _ => None,
        })
    });
    operation.error().or(of_multi)
}

fn first_path(op: &command::WriteOp) -> &str {
    match op {
        command::WriteOp::Create { path, .. }
        | command::WriteOp::Delete { path, .. }
        | command::WriteOp::SetData { path, .. }
        | command::WriteOp::SetAcl { path, .. }
        | command::WriteOp::Check { path, .. } => path,
        command::WriteOp::Multi { ops } => ops.first().map_or("multi", first_path),
        command::WriteOp::Refused { .. } => "refused",
    }
}

/// Whether two stats are equal, times left out where they are not known.
pub(super) fn same_stat(a: &Stat, b: &Stat, times: bool) -> bool {
    times && a == b || !times && Stat { ctime: b.ctime, mtime: b.mtime, ..*a } == *b
}

/// Whether a read saw the tree as it is. The error says what it saw instead.
pub(super) fn seen(tree: &Tree, operation: &Operation, times: bool) -> Result<(), String> {
    let path = operation.request.path();
    let Some(expected) = tree.stat(path) else {
        return match operation.error() {
            Some(code::NO_NODE | code::NO_AUTH | code::BAD_ARGUMENTS) => Ok(()),
            _ => Err(format!("saw {:?}, expected that the node does not exist", operation.response)),
        };
    };
    let Some(reply) = operation.reply() else {
        return match operation.error() {
            Some(code::NO_AUTH) => Ok(()),
            error => Err(format!("got error {error:?}, expected the node with {expected:?}")),
        };
    };
    // The server itself keeps the system nodes' data and stats, below `/` only its children and their counters.
    let own = path == "/zookeeper" || path.starts_with("/zookeeper/");
    if let Some(stat) = &reply.stat
        && !own
        && !same_stat(stat, &expected, times)
    {
        return Err(format!("saw {stat:?}, expected {expected:?}"));
    }
    if let (Some(data), Some(expected)) = (&reply.data, tree.data(path))
        && !own
        && data.0 != expected
    {
        let expected = crate::history::Data(expected.to_vec());
        return Err(format!("saw data {data:?}, expected {expected:?}"));
    }
    if let (Some(children), Some(expected)) = (&reply.children, tree.children(path)) {
        let sorted: BTreeSet<&String> = children.iter().collect();
        if sorted.len() != children.len() || !sorted.iter().copied().eq(expected) {
            return Err(format!("saw children {children:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

/// Whether a read saw the tree as it is and as this client may see it. Who it is may be unknown.
fn saw(tree: &Tree, operation: &Operation, who: Option<&[Identity]>) -> Result<(), String> {
    let path = operation.request.path();
    let needed = match &operation.request {
        Request::Ephemerals { prefix } => {
            let all = matches!(prefix.trim(), "" | "/");
            let owned = tree.owned(operation.session).filter(|path| all || path.starts_with(prefix));
            let expected: Vec<String> = owned.map(str::to_string).collect();
            let seen = operation.reply().and_then(|r| r.paths.as_ref());
            return equal(seen, &expected, "paths");
        }
        Request::ReadMany { reads } => {
            let results = operation.reply().map_or(&[][..], |r| &r.many);
            if results.len() != reads.len() {
                return Err(format!("got {} results for {} reads", results.len(), reads.len()));
            }
            for (part, response) in reads.iter().zip(results) {
                let request = match part.clone() {
                    Part::Data { path } => Request::GetData { path, watch: false },
                    Part::Children { path } => Request::GetChildren { path, watch: false },
                };
                let one = Operation { request, response: Some(response.clone()), ..operation.clone() };
                saw(tree, &one, who).map_err(|what| format!("for {} {what}", part.path()))?;
            }
            return Ok(());
        }
        Request::GetAcl { .. } => may::READ | may::ADMIN,
        _ => may::READ,
    };
    if let Some(who) = who
        && tree.stat(path).is_some()
    {
        let may_read = tree.lets(path, needed, who);
        if may_read == (operation.error() == Some(code::NO_AUTH)) {
            let what = if may_read { "may" } else { "may not" };
            return Err(format!("saw {:?}, expected that {who:?} {what}", operation.response));
        }
    }
    seen(tree, operation, true)?;
    let reply = match &operation.response {
        Some(Response::Ok(reply)) => reply,
        _ => return Ok(()),
    };
    match &operation.request {
        Request::CountBelow { .. } => equal(reply.count.as_ref(), &(tree.below(path) as i32), "nodes below it"),
        Request::GetAcl { .. } if !crate::tree::SYSTEM.contains(&path) => {
            let Some(who) = who else { return Ok(()) };
            let all = tree.acl(path).unwrap_or_default();
            let expected = if tree.lets(path, may::ADMIN, who) { all } else { access::shown(&all) };
            equal(reply.acl.as_ref(), &expected, "list")
        }
        _ => Ok(()),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(seen: Option<&T>, expected: &T, what: &str) -> Result<(), String> {
    match seen == Some(expected) {
        true => Ok(()),
        false => Err(format!("saw {what} {seen:?}, expected {expected:?}")),
    }
}
