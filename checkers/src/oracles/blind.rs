//! A cross-check that looks at no zxid: each znode as a register with create, set, delete and read, searched for an
//! order by `linearizability`. An engine whose zxids are consistent lies passes `zookeeper_versions`, not this.
//!
//! ZooKeeper's reads are not linearizable, so only these take part: writes with the version they returned, errors that
//! one node alone explains, and reads that directly follow a `sync` of their connection, as one operation that begins
//! with the sync's call. The writes of a multi count one by one, which is weaker than the multi. Left out are nodes
//! that may vanish by themselves (ephemeral), whose names are uncertain (sequential creates of unknown outcome), or
//! that one multi writes twice; and of the rest what is called after the first `blind_operations_max` calls. Where the
//! search takes too long, it answers a weaker question, about the first half of the calls, and so on; a violation there
//! is one of the whole. `Looked` says how often.

use super::log::requested;
use super::{Options, replay};
use crate::finding::{Finding, Severity, seconds};
use crate::history::{Data, History, MultiResult, Operation, Request};
use crate::linearizability::{self, Limits, Spec, Verdict};
use crate::tree::{Change, Life, code};
use std::collections::{BTreeMap, BTreeSet};

const ORACLE: &str = "blind";

/// One znode: version and data, if it exists.
struct Znode;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Op {
    Create {
        data: Data,
    },
    /// The node was there.
    CreateRefused,
    Delete {
        version: i32,
    },
    /// `becomes` is the version that was returned.
    Set {
        data: Data,
        version: i32,
        becomes: Option<i32>,
    },
    /// Set or delete found no node.
    Absent,
    /// Set or delete found another version.
    OtherVersion {
        version: i32,
    },
    Read {
        seen: Option<(i32, Data)>,
    },
}

impl Spec for Znode {
    type Op = Op;
    type State = Option<(i32, Data)>;
    type Partition = ();

    fn partition(&self, _: &Op) {}

    fn initial(&self) -> Self::State {
        None
    }

    fn step(&self, state: &Self::State, op: &Op) -> Option<Self::State> {
        let fits = |wanted: i32| state.as_ref().is_some_and(|(now, _)| wanted == -1 || wanted == *now);
        match op {
            Op::Create { data } => state.is_none().then(|| Some((0, data.clone()))),
            Op::CreateRefused => state.is_some().then(|| state.clone()),
            Op::Delete { version } => fits(*version).then_some(None),
            Op::Set { data, version, becomes } => {
                let next = state.as_ref()?.0.wrapping_add(1);
                (fits(*version) && becomes.is_none_or(|b| b == next)).then(|| Some((next, data.clone())))
            }
            Op::Absent => state.is_none().then_some(None),
            Op::OtherVersion { version } => (state.is_some() && !fits(*version)).then(|| state.clone()),
            Op::Read { seen } => (state == seen).then(|| state.clone()),
        }
    }

    fn reads(&self, op: &Op) -> bool {
        matches!(op, Op::CreateRefused | Op::Absent | Op::OtherVersion { .. } | Op::Read { .. })
    }

    fn overwrites(&self, _: &Op) -> bool {
        false
    }
}

type Calls = Vec<(usize, linearizability::Operation<Op>)>;

/// What was found, and in how much of the history.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// What was found.
    pub findings: Vec<Finding>,
    /// How often the calls of a znode were halved.
    pub halvings: usize,
}

/// Checks a history.
pub fn check(history: &History, options: Options) -> Looked {
    let mut looked = Looked::default();
    let findings = &mut looked.findings;
    for (path, mut calls) in by_node(history) {
        if calls.iter().all(|(_, call)| !Znode.reads(&call.op)) && calls.len() < 2 {
            continue;
        }
        calls.sort_by_key(|(_, call)| call.call);
        take_first(&mut calls, options.blind_operations_max);
        let limits = Limits { configurations_max: options.blind_configurations_max };
        let (sources, verdict) = loop {
            let (sources, sample): (Vec<usize>, Vec<_>) = calls.iter().cloned().unzip();
            let verdict = linearizability::check(&Znode, &sample, limits);
            // Too many calls of unknown outcome: fewer calls are a weaker question, but one that has an answer.
            if matches!(verdict, Verdict::Unknown { .. }) && calls.len() > 8 {
                looked.halvings += 1;
                let half = calls.len() / 2;
                take_first(&mut calls, half);
                continue;
            }
            break (sources, verdict);
        };
        match verdict {
            Verdict::Linearizable { .. } => {}
            Verdict::Violation { blocked } => {
                let operation = &history.operations[sources[blocked]];
                let sentence = format!(
                    "no order of what was called before {} explains what client {} was told by {}",
                    operation.return_ns.map_or("the end".into(), seconds),
                    operation.client,
                    operation.request.name()
                );
                findings
                    .push(Finding::safety(ORACLE, "not_linearizable", path, sentence).operations([sources[blocked]]));
            }
            Verdict::Unknown { why } => {
                findings.push(Finding::safety(ORACLE, "undecided", path, why).severity(Severity::Unknown));
            }
        }
    }
    looked
}

/// Keeps what is called before the call at this position, and forgets what came of it later.
fn take_first(calls: &mut Calls, operations_max: usize) {
    let Some((_, first_out)) = calls.get(operations_max) else { return };
    let end = first_out.call;
    calls.retain(|(_, c)| c.call < end && (c.return_.is_some_and(|r| r < end) || !Znode.reads(&c.op)));
    for (_, call) in calls {
        call.return_ = call.return_.filter(|r| *r < end);
    }
}

/// What takes part, by path.
fn by_node(history: &History) -> BTreeMap<&str, Calls> {
    let mut nodes: BTreeMap<&str, Calls> = BTreeMap::new();
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    let mut uncertain: Vec<&str> = Vec::new();
    // The sync that the next request of a connection follows.
    let mut synced: BTreeMap<u64, u64> = BTreeMap::new();
    for (i, operation) in history.operations.iter().enumerate() {
        let call = |at: u64, return_: Option<u64>, op: Op| {
            (i, linearizability::Operation { client: u64::from(operation.client), call: at, return_, op })
        };
        let sync = match &operation.request {
            Request::Sync { .. } if operation.reply().is_some() => {
                synced.insert(operation.connection, operation.call_ns);
                continue;
            }
            Request::Ping => continue,
            _ => synced.remove(&operation.connection),
        };
        if let (Some(at), Request::GetData { path, .. } | Request::Exists { path, .. }) = (sync, &operation.request) {
            let seen = match (operation.reply(), operation.error()) {
                (Some(reply), _) => match (&reply.stat, &reply.data) {
                    (Some(stat), Some(data)) => Some((stat.version, data.clone())),
                    _ => continue,
                },
                (None, Some(code::NO_NODE)) => None,
                _ => continue,
            };
            nodes.entry(path).or_default().push(call(at, operation.return_ns, Op::Read { seen }));
            continue;
        }
        if operation.acknowledged() && replay::write_result(operation).is_some_and(replay::unmodelled) {
            continue;
        }
        let changes = requested(operation.session, &operation.request);
        let mut touched = BTreeSet::new();
        for (at, change) in changes.iter().enumerate() {
            let Some((mut path, sequential)) = change.touches() else { continue };
            if sequential {
                match created(operation, at) {
                    Some(made) => path = made,
                    None if operation.acknowledged() => continue,
                    None => uncertain.push(path),
                }
            }
            // Nodes that go by themselves are nobody's delete.
            let goes = |life: &Life, owner: &Option<i64>| *life != Life::Ordinary || owner.is_some();
            if matches!(change, Change::Create { life, owner, .. } if goes(life, owner)) || !touched.insert(path) {
                left_out.insert(path);
            }
            if let Some(op) = told(operation, at, change) {
                let return_ = operation.return_ns.filter(|_| operation.acknowledged());
                nodes.entry(path).or_default().push(call(operation.call_ns, return_, op));
            }
        }
    }
    nodes.retain(|path, _| {
        !crate::tree::SYSTEM.contains(path)
            && !left_out.contains(path)
            && !uncertain.iter().any(|prefix| path.starts_with(prefix))
    });
    nodes
}

/// The path that a create was told.
pub(super) fn created(operation: &Operation, at: usize) -> Option<&str> {
    let reply = operation.reply()?;
    match reply.multi.get(at) {
        Some(MultiResult::Created { path, .. }) => Some(path),
        Some(_) => None,
        None => reply.path.as_deref(),
    }
}

/// What a client was told of one change, if one node alone explains it.
fn told(operation: &Operation, at: usize, change: &Change<'_>) -> Option<Op> {
    let multi = matches!(operation.request, Request::Multi { .. });
    let error = match (operation.reply(), operation.error()) {
        (Some(reply), _) if multi => match reply.multi.get(at)? {
            MultiResult::Error(_) => return None,
            _ => None,
        },
        (_, error) => error,
    };
    let becomes = operation.reply().and_then(|reply| match reply.multi.get(at) {
        Some(MultiResult::Set { stat }) => stat.map(|s| s.version),
        _ => reply.stat.map(|s| s.version),
    });
    match (*change, error) {
        (Change::Create { data, .. }, None) => Some(Op::Create { data: data.into() }),
        (Change::Create { .. }, Some(code::NODE_EXISTS)) => Some(Op::CreateRefused),
        (Change::Delete { version, .. }, None) => Some(Op::Delete { version }),
        (Change::Set { data, version, .. }, None) => Some(Op::Set { data: data.into(), version, becomes }),
        (Change::Delete { .. } | Change::Set { .. }, Some(code::NO_NODE)) => Some(Op::Absent),
        (Change::Delete { version, .. } | Change::Set { version, .. }, Some(code::BAD_VERSION)) => {
            Some(Op::OtherVersion { version })
        }
        _ => None,
    }
}
