//! The history replayed in zxid order through the naive tree. With ground truth the order and the set of writes are
//! the log's. Without, they are those of the acknowledged writes, joined by the writes of unknown outcome whose unique
//! data some read has seen (its stat tells their zxid); what the rest may have touched is `clouded`, and a mismatch
//! there is undecided, not wrong.

use super::log::{self, WriteResult};
use crate::finding::{Finding, Severity, seconds};
use crate::history::{Applied, History, MultiResult, Operation, Request, WatchKind};
use crate::tree::{Stamp, Tree, code, split};
use std::collections::{BTreeMap, BTreeSet};
use synod_types::command::{self, Command};
use synod_types::session::{Owner, Password};
use synod_types::{Stat, Zxid};

const ORACLE: &str = "zookeeper_versions";

/// What the replay gives to the oracles.
pub(crate) struct Replay {
    /// What disagreed.
    pub findings: Vec<Finding>,
    /// For each path, what happened to it, in order.
    pub timeline: BTreeMap<String, Vec<(i64, WatchKind)>>,
    /// What writes of unknown outcome may have touched.
    pub clouds: Clouds,
}

/// Paths whose state is not known for certain.
#[derive(Default)]
pub(crate) struct Clouds {
    /// With all below them.
    trees: BTreeSet<String>,
    /// By themselves: children, counter, pzxid.
    nodes: BTreeSet<String>,
    writes: usize,
}

impl Clouds {
    /// Whether nothing certain can be said about a path.
    pub fn over(&self, path: &str) -> bool {
        if self.nodes.contains(path) {
            return true;
        }
        let mut path = path;
        while !self.trees.contains(path) {
            if path == "/" || path.is_empty() {
                return false;
            }
            path = split(path).0;
        }
        true
    }

    fn add(&mut self, path: &str, sequential: bool) {
        let parent = split(path).0;
        if sequential {
            self.trees.insert(parent.to_string());
        } else {
            self.trees.insert(path.to_string());
            self.nodes.insert(parent.to_string());
        }
    }
}

/// A session as the log has it.
struct Session {
    owner: Owner,
    password: Password,
}

struct Replaying<'a> {
    history: &'a History,
    tree: Tree,
    sessions: BTreeMap<i64, Session>,
    /// Whether the times of stats are known.
    times: bool,
    out: Replay,
}

impl Replay {
    /// Replays a history.
    pub fn of(history: &History) -> Replay {
        let out = Replay { findings: Vec::new(), timeline: BTreeMap::new(), clouds: Clouds::default() };
        let mut replaying =
            Replaying { history, tree: Tree::new(), sessions: BTreeMap::new(), times: history.truth.is_some(), out };
        let mut reads: Vec<usize> = (0..history.operations.len())
            .filter(|&i| history.operations[i].request.reads() && history.operations[i].acknowledged())
            .collect();
        reads.sort_by_key(|&i| history.operations[i].zxid);
        match &history.truth {
            Some(truth) => replaying.log(truth, &reads),
            None => replaying.acknowledged(&reads),
        }
        replaying.out
    }
}

impl Replaying<'_> {
    fn found(&mut self, rule: &str, object: &str, sentence: String, operations: impl IntoIterator<Item = usize>) {
        self.out.findings.push(Finding::safety(ORACLE, rule, object, sentence).operations(operations));
    }

    /// The reads up to a zxid, exclusive, at the tree as it is.
    fn reads_before<'r>(&mut self, reads: &mut std::iter::Peekable<impl Iterator<Item = &'r usize>>, zxid: i64) {
        while let Some(i) = reads.next_if(|&&i| self.history.operations[i].zxid < zxid) {
            self.read(*i);
        }
    }

    fn read(&mut self, i: usize) {
        let operation = &self.history.operations[i];
        let path = operation.request.path();
        let Err(what) = seen(&self.tree, operation, self.times) else { return };
        if self.out.clouds.over(path) {
            self.out.clouds.writes += 1;
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
    fn keep_events(&mut self) {
        for event in self.tree.events.drain(..) {
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
            Command::OpenSession { session, password, owner, .. } if outcome.result.is_ok() => {
                self.sessions.insert(session.0, Session { owner: *owner, password: *password });
            }
            Command::AttachSession { session, password, owner, .. } => {
                let right = self.sessions.get(&session.0).is_some_and(|s| s.password == *password);
                match &outcome.result {
                    Ok(command::Applied::Session(granted)) if right && granted.session == *session => {
                        self.sessions.insert(session.0, Session { owner: *owner, password: *password });
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
                            self.sessions.insert(session.0, Session { owner: *owner, password: *password });
                        }
                    }
                }
            }
            Command::CloseSession { session, .. } | Command::ExpireSession { session, .. }
                if outcome.result.is_ok() =>
            {
                self.sessions.remove(&session.0);
                self.tree.end_session(stamp, session.0);
            }
            Command::Reap { path } if outcome.result.is_ok() => self.tree.reap(stamp, path),
            Command::Write { session, owner, op, .. } => {
                let got = WriteResult::of_outcome(outcome);
                let expected = match self.sessions.get(&session.0) {
                    None => WriteResult::Single(Err(code::SESSION_EXPIRED)),
                    Some(s) if s.owner != *owner => WriteResult::Single(Err(code::SESSION_MOVED)),
                    Some(_) if taken_at_its_word(&got) && !of_session(&got) => got.clone(),
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

    /// Without ground truth: the acknowledged writes and those of the rest that reads give away.
    fn acknowledged(&mut self, reads: &[usize]) {
        let operations = &self.history.operations;
        let mut steps: Vec<(i64, usize)> = Vec::new();
        let unknown = |o: &Operation| !o.acknowledged() && o.request.writes();
        let by_data = self.unknown_by_data();
        let mut attributed: BTreeMap<usize, i64> = BTreeMap::new();
        for &i in reads {
            if let Some(reply) = operations[i].reply()
                && let (Some(data), Some(stat)) = (&reply.data, &reply.stat)
                && let Some(&write) = by_data.get(&*data.0)
            {
                attributed.insert(write, stat.mzxid.0);
            }
        }
        // A session without an acknowledged end may have ended at any time, with its ephemeral nodes.
        let closed: BTreeSet<i64> = operations
            .iter()
            .filter(|o| matches!(o.request, Request::CloseSession) && o.acknowledged())
            .map(|o| o.session)
            .collect();
        for (i, operation) in operations.iter().enumerate() {
            let ends = matches!(operation.request, Request::CloseSession);
            if operation.acknowledged() && (operation.request.writes() || ends) && operation.zxid > 0 {
                steps.push((operation.zxid, i));
            } else if let Some(zxid) = attributed.get(&i) {
                steps.push((*zxid, i));
            } else if unknown(operation) {
                self.out.clouds.writes += 1;
                for change in log::requested(operation.session, &operation.request) {
                    if let Some((path, sequential)) = change.touches() {
                        self.out.clouds.add(path, sequential);
                    }
                }
            }
            if !closed.contains(&operation.session) {
                for change in log::requested(operation.session, &operation.request) {
                    if let crate::tree::Change::Create { path, owner: Some(_), sequential, .. } = change {
                        self.out.clouds.add(path, sequential);
                    }
                }
            }
        }
        steps.sort();
        let mut reads = reads.iter().peekable();
        let mut last = (i64::MIN, 0);
        for (zxid, i) in steps {
            if zxid == last.0 {
                let sentence = format!("operations {} and {i} have the same zxid {}", last.1, Zxid(zxid));
                self.found("zxid_unique", operations[i].request.path(), sentence, [last.1, i]);
            }
            last = (zxid, i);
            self.reads_before(&mut reads, zxid);
            self.write(zxid, i);
            self.keep_events();
        }
        self.reads_before(&mut reads, i64::MAX);
        if self.out.clouds.writes > 0 {
            let sentence = format!(
                "{} writes or reads could not be decided, as nothing tells whether and when some writes took effect",
                self.out.clouds.writes
            );
            let finding = Finding::safety(ORACLE, "undecided", "history", sentence).severity(Severity::Unknown);
            self.out.findings.push(finding);
        }
    }

    /// Writes of unknown outcome by their data, where that is unique.
    fn unknown_by_data(&self) -> BTreeMap<&[u8], usize> {
        let mut by_data = BTreeMap::new();
        let mut twice = BTreeSet::new();
        for (i, operation) in self.history.operations.iter().enumerate() {
            for change in log::requested(operation.session, &operation.request) {
                if let Some(data) = change.data()
                    && by_data.insert(data, i).is_some_and(|before| before != i)
                {
                    twice.insert(data);
                }
            }
        }
        by_data.retain(|data, i| !twice.contains(data) && !self.history.operations[*i].acknowledged());
        by_data
    }

    fn write(&mut self, zxid: i64, i: usize) {
        let operation = &self.history.operations[i];
        let stamp = Stamp { zxid, time_ms: 0 };
        if matches!(operation.request, Request::CloseSession) {
            self.tree.end_session(stamp, operation.session);
            return;
        }
        if write_result(operation).is_some_and(unmodelled) {
            return;
        }
        let changes = log::requested(operation.session, &operation.request);
        let expected = match &operation.request {
            Request::Multi { .. } => WriteResult::of_multi(changes.len(), self.tree.apply_all(stamp, &changes)),
            _ => WriteResult::Single(self.tree.apply(stamp, changes[0])),
        };
        if !operation.acknowledged() || log::agrees(operation, &expected, self.times) {
            return;
        }
        let path = operation.request.path();
        if changes.iter().filter_map(|c| c.touches()).any(|(path, _)| self.out.clouds.over(path)) {
            self.out.clouds.writes += 1;
            return;
        }
        let sentence = format!(
            "client {} called {} {path} at {} and got {:?} at zxid {}, expected {expected:?}",
            operation.client,
            operation.request.name(),
            seconds(operation.call_ns),
            operation.response,
            Zxid(zxid),
        );
        self.found("write_result", path, sentence, [i]);
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

/// Whether a write was refused for the sake of its session, which is modelled where there is ground truth.
fn of_session(result: &WriteResult) -> bool {
    matches!(result.error(), Some(code::SESSION_EXPIRED | code::SESSION_MOVED))
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
fn seen(tree: &Tree, operation: &Operation, times: bool) -> Result<(), String> {
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
