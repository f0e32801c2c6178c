//! Random commands: the state machine and the naive model must answer alike, tell the same events, and end with the
//! same nodes; the digest must be the one of all records; a snapshot must restore to the same state.

use crate::naive::Naive;
use crate::world::{OWNER, PASSWORD, acl, identity, open};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::sync::Arc;
use synod_state::{Answer, Query, State};
use synod_types::session::Owner;
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};
use synod_types::znode::CreateMode;
use synod_types::{Acl, Command, ErrorCode, Identity, Mutants, NodeId, Origin, Proposal, SessionId, Term, WriteOp};

/// One entry of the log. `None`: a leader opens the next term.
#[derive(Clone, Debug)]
pub struct Step {
    command: Option<Command>,
    passed_ms: i64,
}

fn path() -> BoxedStrategy<String> {
    let segment = || select(vec!["a", "b", "a-", "c"]);
    let usual = prop_oneof![
        4 => segment().prop_map(|a| format!("/{a}")),
        4 => (segment(), segment()).prop_map(|(a, b)| format!("/{a}/{b}")),
        2 => (segment(), segment(), segment()).prop_map(|(a, b, c)| format!("/{a}/{b}/{c}")),
        2 => (segment(), 0..4).prop_map(|(a, n)| format!("/{a}{n:010}")),
    ];
    let odd =
        vec!["/", "/zookeeper", "/zookeeper/config", "/zookeeper/x", "", "a", "/a/", "//", "/a//b", "/./a", "/.."];
    prop_oneof![12 => usual, 1 => select(odd).prop_map(String::from)].boxed()
}

fn acls() -> BoxedStrategy<Option<Vec<Acl>>> {
    let entry = prop_oneof![
        5 => Just(acl(31, "world", "anyone")),
        1 => select(vec![1, 2, 4, 8, 16, 15]).prop_map(|perms| acl(perms, "world", "anyone")),
        2 => Just(acl(31, "auth", "")),
        2 => select(vec![31, 1, 17]).prop_map(|perms| acl(perms, "digest", "u:h")),
        1 => Just(acl(31, "ip", "127.0.0.1")),
    ];
    let odd = prop_oneof![Just(None), Just(Some(vec![])), Just(Some(vec![acl(31, "nobody", "x")]))];
    let open = Just(Some(vec![acl(31, "world", "anyone")]));
    prop_oneof![10 => open, 4 => prop::collection::vec(entry, 1..4).prop_map(Some), 1 => odd].boxed()
}

fn mode() -> BoxedStrategy<CreateMode> {
    prop_oneof![
        6 => Just(CreateMode::Persistent),
        3 => Just(CreateMode::Ephemeral),
        3 => Just(CreateMode::PersistentSequential),
        2 => Just(CreateMode::EphemeralSequential),
        2 => Just(CreateMode::Container),
        2 => select(vec![0u64, 1, 50, 1 << 40]).prop_map(|ttl_ms| CreateMode::PersistentTtl { ttl_ms }),
        1 => Just(CreateMode::PersistentSequentialTtl { ttl_ms: 50 }),
    ]
    .boxed()
}

fn data() -> BoxedStrategy<Option<Bytes>> {
    prop_oneof![1 => Just(None), 4 => prop::collection::vec(any::<u8>(), 0..4).prop_map(|v| Some(Bytes::from(v)))]
        .boxed()
}

fn version() -> BoxedStrategy<i32> {
    prop_oneof![4 => Just(-1), 3 => 0..3, 1 => Just(-2)].boxed()
}

fn single() -> BoxedStrategy<WriteOp> {
    let slash = prop::bool::weighted(0.1);
    let create = (path(), slash, data(), acls(), mode()).prop_map(|(path, slash, data, acl, mode)| {
        let path = if slash { format!("{path}/") } else { path };
        WriteOp::Create { path, data, acl, mode }
    });
    prop_oneof![
        8 => create,
        5 => (path(), version()).prop_map(|(path, version)| WriteOp::Delete { path, version }),
        5 => (path(), data(), version()).prop_map(|(path, data, version)| WriteOp::SetData { path, data, version }),
        2 => (path(), acls(), version()).prop_map(|(path, acl, version)| WriteOp::SetAcl { path, acl, version }),
        2 => (path(), version()).prop_map(|(path, version)| WriteOp::Check { path, version }),
        1 => Just(WriteOp::Refused { error: ErrorCode::Unimplemented }),
    ]
    .boxed()
}

fn write() -> BoxedStrategy<WriteOp> {
    let multi = prop::collection::vec(single(), 0..5).prop_map(|ops| WriteOp::Multi { ops });
    prop_oneof![6 => single(), 2 => multi].boxed()
}

fn owner() -> BoxedStrategy<Owner> {
    prop_oneof![12 => Just(OWNER), 1 => Just(Owner { connection: 2, ..OWNER })].boxed()
}

fn identities() -> BoxedStrategy<Arc<[Identity]>> {
    prop_oneof![
        8 => Just(vec![identity("ip", "127.0.0.1")]),
        4 => Just(vec![identity("ip", "127.0.0.1"), identity("digest", "u:h")]),
        1 => Just(vec![identity("ip", "127.0.0.1"), identity("super", "")]),
    ]
    .prop_map(Arc::from)
    .boxed()
}

fn command() -> BoxedStrategy<Command> {
    let session = || (1..4i64).prop_map(SessionId);
    let password = || prop_oneof![6 => Just(PASSWORD), 1 => Just([2u8; 16])];
    let open = (session(), password(), owner()).prop_map(|(session, password, owner)| Command::OpenSession {
        session,
        password,
        timeout_ms: 4000,
        owner,
    });
    let attach = (session(), password(), owner(), 1..3u32).prop_map(|(session, password, owner, t)| {
        Command::AttachSession { session, password, timeout_ms: t * 1000, owner }
    });
    prop_oneof![
        4 => open,
        3 => attach,
        1 => (session(), owner()).prop_map(|(session, owner)| Command::CloseSession { session, owner }),
        1 => (session(), owner()).prop_map(|(session, owner)| Command::ExpireSession { session, owner }),
        2 => path().prop_map(|path| Command::Reap { path }),
        1 => (CLUSTER_VERSION_MIN..=CLUSTER_VERSION).prop_map(|to| Command::RaiseVersion { to }),
        40 => (session(), owner(), identities(), write())
            .prop_map(|(session, owner, identities, op)| Command::Write { session, owner, identities, op }),
    ]
    .boxed()
}

pub fn steps() -> BoxedStrategy<Vec<Step>> {
    let step = (prop::option::weighted(0.97, command()), 0..40i64);
    let step = step.prop_map(|(command, passed_ms)| Step { command, passed_ms });
    let first = Step { command: Some(open(1)), passed_ms: 0 };
    prop::collection::vec(step, 1..120).prop_map(move |steps| [vec![first.clone()], steps].concat()).boxed()
}

/// Runs the steps on both; `state` may carry a planted bug.
pub fn agree(mut state: State, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut naive, mut term, mut time_ms) = (Naive::new(), Term(1), 1000);
    let start = state.clone();
    let mut held = None;
    for (n, step) in steps.iter().enumerate() {
        if n == steps.len() / 2 {
            held = Some((state.clone(), state.clone().records().collect::<Vec<_>>()));
        }
        time_ms += step.passed_ms;
        if step.command.is_none() {
            term.0 += 1;
        }
        let origin = Origin { node: NodeId(1), incarnation: 1, request: 1 };
        let proposal = step.command.clone().map(|command| Proposal { origin, time_ms, command });
        let mut events = Vec::new();
        let outcome = state.apply(term, state.applied().0.next(), proposal.as_ref(), &mut events);
        let (expected, told) = naive.apply(term.0, time_ms, step.command.as_ref());
        prop_assert_eq!(state.zxid(), naive.zxid());
        prop_assert_eq!(outcome.as_ref().map(|o| &o.result), expected.as_ref(), "{:?}", step);
        prop_assert!(outcome.is_none_or(|o| o.zxid == naive.zxid()));
        prop_assert_eq!(events, told, "{:?}", step);
        prop_assert_eq!(state.digest(), state.recompute_digest(), "{:?}", step);
        let mut due = state.reapable(time_ms);
        due.sort();
        prop_assert_eq!(due, naive.due(time_ms));
        same_tree(&state, &naive)?;
    }
    prop_assert_eq!(&start, &State::new(Mutants::NONE, Bytes::new()), "a clone changed with the original");
    if let Some((clone, records)) = held {
        prop_assert_eq!(clone.digest(), clone.recompute_digest(), "a clone changed with the original");
        prop_assert_eq!(clone.records().collect::<Vec<_>>(), records, "a clone changed with the original");
    }
    let restored = State::restore(state.clone().records(), Mutants::NONE);
    prop_assert_eq!(restored.as_ref(), Ok(&state));
    prop_assert_eq!(restored.map(|r| r.recompute_digest()), Ok(state.digest()));
    Ok(())
}

fn same_tree(state: &State, naive: &Naive) -> Result<(), TestCaseError> {
    prop_assert_eq!(state.node_count(), naive.nodes.len());
    prop_assert_eq!(state.ephemeral_count(), naive.nodes.values().filter(|n| n.owner != 0).count());
    let bytes = |(path, node): (&String, &crate::naive::Node)| path.len() + node.data.as_ref().map_or(0, |d| d.len());
    prop_assert_eq!(state.approximate_data_size(), naive.nodes.iter().map(bytes).sum::<usize>());
    let root = [identity("super", "")];
    for (path, node) in &naive.nodes {
        let stat = naive.stat(path).unwrap();
        let read = |query| state.read(&query, &root);
        prop_assert_eq!(state.stat(path), Some(stat), "{}", path);
        prop_assert_eq!(
            read(Query::GetData { path: path.clone() }),
            Ok(Answer::Data { data: node.data.clone(), stat })
        );
        prop_assert_eq!(state.acl(path), Some(Arc::from(&node.acl[..])));
        let children = naive.children(path);
        prop_assert_eq!(read(Query::GetChildren { path: path.clone() }), Ok(Answer::Children { children, stat }));
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let below = naive.nodes.keys().filter(|p| *p != path && p.starts_with(&prefix)).count() as i32;
        prop_assert_eq!(read(Query::AllChildrenNumber { path: path.clone() }), Ok(Answer::Count(below)));
    }
    let sessions: Vec<i64> = state.sessions().map(|(id, _)| id.0).collect();
    prop_assert_eq!(&sessions, &naive.sessions.keys().copied().collect::<Vec<_>>());
    for (id, (password, timeout_ms, owner)) in &naive.sessions {
        let session = state.session(SessionId(*id)).unwrap();
        prop_assert_eq!((session.password, session.timeout_ms, session.owner), (*password, *timeout_ms, *owner));
        let owned = naive.nodes.iter().filter(|(_, n)| n.owner == *id).map(|(path, _)| path.clone());
        prop_assert_eq!(state.ephemerals(SessionId(*id)).collect::<Vec<_>>(), owned.collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn agrees_with_the_naive_model() {
    // More by PROPTEST_CASES.
    let cases = Config::default().cases.max(400);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&steps(), |steps| agree(State::new(Mutants::NONE, Bytes::new()), &steps)).unwrap();
}
