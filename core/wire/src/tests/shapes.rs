//! Arbitrary values of the vocabulary.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::sync::Arc;
use synod_types::peer::{Greeting, PeerMessage, Promise};
use synod_types::raft::{Body, Entry, HardState, Message, SnapshotMeta};
use synod_types::record::{Header, Lifetime, Record, SessionRecord, ZnodeRecord};
use synod_types::session::Owner;
use synod_types::znode::CreateMode;
use synod_types::{
    Acl, Command, ErrorCode, Identity, Index, NodeId, Origin, Proposal, SessionId, Stat, Term, WriteOp, Zxid,
};

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "(/[a-z0-9_-]{1,12}){1,4}",
        vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect::<String>()),
    ]
}

pub(super) fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

pub(super) fn identity() -> impl Strategy<Value = Identity> {
    (text(), text()).prop_map(|(scheme, id)| Identity { scheme, id })
}

pub(super) fn acl() -> impl Strategy<Value = Vec<Acl>> {
    vec((any::<u32>(), identity()).prop_map(|(perms, identity)| Acl { perms, identity }), 0..4)
}

pub(super) fn stat() -> impl Strategy<Value = Stat> {
    (any::<[i64; 6]>(), any::<[i32; 5]>()).prop_map(|(long, int)| Stat {
        czxid: Zxid(long[0]),
        mzxid: Zxid(long[1]),
        ctime: long[2],
        mtime: long[3],
        version: int[0],
        cversion: int[1],
        aversion: int[2],
        ephemeral_owner: long[4],
        data_length: int[3],
        num_children: int[4],
        pzxid: Zxid(long[5]),
    })
}

fn mode() -> impl Strategy<Value = CreateMode> {
    prop_oneof![
        Just(CreateMode::Persistent),
        Just(CreateMode::Ephemeral),
        Just(CreateMode::PersistentSequential),
        Just(CreateMode::EphemeralSequential),
        Just(CreateMode::Container),
        any::<u64>().prop_map(|ttl_ms| CreateMode::PersistentTtl { ttl_ms }),
        any::<u64>().prop_map(|ttl_ms| CreateMode::PersistentSequentialTtl { ttl_ms }),
    ]
}

fn single_op() -> impl Strategy<Value = WriteOp> {
    prop_oneof![
        (text(), option::of(data()), option::of(acl()), mode()).prop_map(|(path, data, acl, mode)| WriteOp::Create {
            path,
            data,
            acl,
            mode
        }),
        proptest::sample::select(ErrorCode::ALL).prop_map(|error| WriteOp::Refused { error }),
        (text(), any::<i32>()).prop_map(|(path, version)| WriteOp::Delete { path, version }),
        (text(), option::of(data()), any::<i32>()).prop_map(|(path, data, version)| WriteOp::SetData {
            path,
            data,
            version
        }),
        (text(), option::of(acl()), any::<i32>()).prop_map(|(path, acl, version)| WriteOp::SetAcl {
            path,
            acl,
            version
        }),
        (text(), any::<i32>()).prop_map(|(path, version)| WriteOp::Check { path, version }),
    ]
}

fn op() -> impl Strategy<Value = WriteOp> {
    prop_oneof![4 => single_op(), 1 => vec(single_op(), 0..5).prop_map(|ops| WriteOp::Multi { ops })]
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<u8>().prop_map(NodeId)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<i64>().prop_map(SessionId)
}

fn index() -> impl Strategy<Value = Index> {
    any::<u64>().prop_map(Index)
}

fn term() -> impl Strategy<Value = Term> {
    any::<u64>().prop_map(Term)
}

fn owner() -> impl Strategy<Value = Owner> {
    (node(), any::<u64>(), any::<u64>()).prop_map(|(node, incarnation, connection)| Owner {
        node,
        incarnation,
        connection,
    })
}

fn origin() -> impl Strategy<Value = Origin> {
    (node(), any::<u64>(), any::<u64>()).prop_map(|(node, incarnation, request)| Origin { node, incarnation, request })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (session(), any::<[u8; 16]>(), any::<u32>(), owner()).prop_map(|(session, password, timeout_ms, owner)| {
            Command::OpenSession { session, password, timeout_ms, owner }
        }),
        (session(), any::<[u8; 16]>(), any::<u32>(), owner()).prop_map(|(session, password, timeout_ms, owner)| {
            Command::AttachSession { session, password, timeout_ms, owner }
        }),
        (session(), owner()).prop_map(|(session, owner)| Command::CloseSession { session, owner }),
        (session(), owner()).prop_map(|(session, owner)| Command::ExpireSession { session, owner }),
        (session(), owner(), vec(identity(), 0..4), op()).prop_map(|(session, owner, identities, op)| {
            Command::Write { session, owner, identities: identities.into(), op }
        }),
        text().prop_map(|path| Command::Reap { path }),
        any::<u32>().prop_map(|to| Command::RaiseVersion { to }),
    ]
}

pub(super) fn proposal() -> impl Strategy<Value = Proposal> {
    (origin(), any::<i64>(), command()).prop_map(|(origin, time_ms, command)| Proposal { origin, time_ms, command })
}

pub(super) fn entry() -> impl Strategy<Value = Entry<Arc<Proposal>>> {
    (term(), index(), option::of(proposal().prop_map(Arc::new))).prop_map(|(term, index, payload)| Entry {
        term,
        index,
        payload,
    })
}

pub(super) fn hard_state() -> impl Strategy<Value = HardState> {
    (term(), option::of((1..=255u8).prop_map(NodeId)), any::<bool>()).prop_map(|(term, vote, recovering)| HardState {
        term,
        vote,
        recovering,
    })
}

pub(super) fn snapshot_meta() -> impl Strategy<Value = SnapshotMeta> {
    (index(), term(), any::<u64>(), any::<u32>()).prop_map(|(index, term, size_bytes, checksum)| SnapshotMeta {
        index,
        term,
        size_bytes,
        checksum,
    })
}

fn raft_body() -> impl Strategy<Value = Body<Arc<Proposal>>> {
    prop_oneof![
        (index(), term()).prop_map(|(last_index, last_term)| Body::PreVote { last_index, last_term }),
        any::<bool>().prop_map(|granted| Body::PreVoteReply { granted }),
        (index(), term(), any::<bool>()).prop_map(|(last_index, last_term, transfer)| Body::Vote {
            last_index,
            last_term,
            transfer
        }),
        any::<bool>().prop_map(|granted| Body::VoteReply { granted }),
        (index(), term(), vec(entry(), 0..6), index(), any::<u64>()).prop_map(
            |(prev_index, prev_term, entries, commit, round)| Body::Append {
                prev_index,
                prev_term,
                entries,
                commit,
                round
            }
        ),
        (index(), any::<u64>(), any::<bool>()).prop_map(|(matched, round, recovering)| Body::AppendReply {
            matched,
            round,
            recovering
        }),
        (index(), index(), term(), any::<u64>()).prop_map(|(prev_index, conflict_index, conflict_term, round)| {
            Body::AppendRejected { prev_index, conflict_index, conflict_term, round }
        }),
        (snapshot_meta(), any::<u64>(), data(), any::<bool>()).prop_map(|(meta, offset, data, done)| Body::Snapshot {
            meta,
            offset,
            data,
            done
        }),
        (snapshot_meta(), any::<u64>(), any::<bool>()).prop_map(|(meta, received, installed)| Body::SnapshotReply {
            meta,
            received,
            installed
        }),
        Just(Body::TimeoutNow),
        any::<u64>().prop_map(|context| Body::ReadIndex { context }),
        (any::<u64>(), index()).prop_map(|(context, index)| Body::ReadIndexReply { context, index }),
        any::<u64>().prop_map(|nonce| Body::Probe { nonce }),
        (any::<u64>(), any::<bool>(), option::of(1..u64::MAX)).prop_map(|(nonce, knows, barrier)| Body::ProbeReply {
            nonce,
            knows,
            barrier: barrier.map(Index),
        }),
    ]
}

pub(super) fn greeting() -> impl Strategy<Value = Greeting> {
    let promise = (term(), index(), any::<bool>()).prop_map(|(term, index, voted)| Promise { term, index, voted });
    (any::<[u32; 2]>(), any::<u64>(), node(), node(), any::<u64>(), option::of(promise)).prop_map(
        |([version, cluster_version], cluster, from, to, incarnation, promise)| Greeting {
            version,
            cluster,
            from,
            to,
            incarnation,
            cluster_version,
            promise,
        },
    )
}

pub(super) fn peer_message() -> impl Strategy<Value = PeerMessage> {
    prop_oneof![
        8 => (term(), raft_body()).prop_map(|(term, body)| PeerMessage::Raft(Message { term, body })),
        1 => (term(), any::<u64>(), vec((origin(), command()), 0..5))
            .prop_map(|(term, refusals, proposals)| PeerMessage::Forward { term, refusals, proposals }),
        1 => (term(), any::<u64>(), vec(any::<u64>(), 0..9))
            .prop_map(|(term, refusals, requests)| PeerMessage::ForwardRefused { term, refusals, requests }),
        1 => (any::<u64>(), vec(session(), 0..9))
            .prop_map(|(sequence, sessions)| PeerMessage::Touch { sequence, sessions }),
        1 => (any::<u64>(), index(), vec(session(), 0..3))
            .prop_map(|(sequence, commit, ending)| PeerMessage::TouchReply { sequence, commit, ending }),
        1 => (any::<u64>(), any::<u128>()).prop_map(|(index, digest)| PeerMessage::Digest { index, digest }),
    ]
}

fn lifetime() -> impl Strategy<Value = Lifetime> {
    prop_oneof![
        Just(Lifetime::Persistent),
        session().prop_map(Lifetime::Ephemeral),
        Just(Lifetime::Container),
        any::<u64>().prop_map(|ttl_ms| Lifetime::Ttl { ttl_ms }),
    ]
}

pub(super) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (any::<[u64; 4]>(), any::<i64>(), any::<[u32; 2]>(), any::<u128>()).prop_map(|(long, zxid, int, digest)| {
            Record::Header(Header {
                version: int[0],
                index: Index(long[0]),
                term: Term(long[1]),
                zxid: Zxid(zxid),
                sessions: long[2],
                acls: int[1],
                znodes: long[3],
                digest,
            })
        }),
        (session(), any::<[u8; 16]>(), any::<u32>(), owner(), any::<i64>()).prop_map(
            |(session, password, timeout_ms, owner, opened_ms)| {
                Record::Session(SessionRecord { session, password, timeout_ms, owner, opened_ms })
            }
        ),
        acl().prop_map(|acl| Record::Acl(acl.into())),
        (text(), option::of(data()), any::<u32>(), lifetime(), any::<[i64; 5]>(), any::<[i32; 3]>()).prop_map(
            |(path, data, acl, lifetime, long, int)| {
                Record::Znode(ZnodeRecord {
                    path,
                    data,
                    acl,
                    lifetime,
                    czxid: Zxid(long[0]),
                    mzxid: Zxid(long[1]),
                    pzxid: Zxid(long[2]),
                    ctime: long[3],
                    mtime: long[4],
                    version: int[0],
                    cversion: int[1],
                    aversion: int[2],
                })
            }
        ),
    ]
}
