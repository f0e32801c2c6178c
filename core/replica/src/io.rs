//! What goes into and comes out of a step.

use bytes::Bytes;
use std::sync::Arc;
use synod_consensus::TimerKind;
use synod_state::{Answer, Query, State};
use synod_types::raft::{Entry, HardState, SnapshotMeta};
use synod_types::session::{Password, SessionGranted};
use synod_types::znode::EventKind;
use synod_types::{
    Identity, Index, Instant, NodeId, Proposal, SessionId, Term, WriteOp, Zxid, command::Applied, command::Outcome,
    peer::PeerMessage, znode::ErrorCode,
};

/// The two clocks of a member at the moment of a step.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic.
    pub instant: Instant,
    /// Wall clock, milliseconds since 1970.
    pub wall_ms: i64,
}

/// A client's connection, numbered within one incarnation of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// A client asks for a session on a new connection.
    Connect {
        /// The connection.
        connection: ConnectionId,
        /// The session to resume, or none for a new one.
        resume: Option<(SessionId, Password)>,
        /// The timeout it will have, already bounded.
        timeout_ms: u32,
        /// The latest transaction the client has seen anywhere.
        zxid_seen: Zxid,
        /// Who the client is, by its address.
        identities: Arc<[Identity]>,
        /// Random: the id and secret of a new session.
        entropy: [u64; 3],
    },
    /// A request on a connection that has its session. `tag` comes back with the reply.
    Request { connection: ConnectionId, tag: u64, request: Request },
    /// The client proved to be somebody; counts from the next request on.
    Identify { connection: ConnectionId, identities: Arc<[Identity]> },
    /// The connection ended. Its session lives on.
    Disconnect { connection: ConnectionId },
    /// End of a turn: commands that came in since the last flush are proposed or forwarded as one batch.
    Flush,
    /// Time passes; about every E/10.
    Tick,
    /// A message of another member.
    Peer { from: NodeId, message: PeerMessage },
    /// Another member opened a new stream and said what it supports.
    Greeted { peer: NodeId, cluster_version: u32 },
    /// The link to another member went up or down.
    Link { peer: NodeId, up: bool },
    /// Log writes up to this sequence are durable.
    Appended { sequence: u64 },
    /// A timer of consensus fired.
    Timer(TimerKind),
    /// A chunk asked for by `Fetch`.
    Fetched { peer: NodeId, meta: SnapshotMeta, offset: u64, data: Bytes, done: bool },
    /// The chunk is not to be had.
    FetchFailed { peer: NodeId, meta: SnapshotMeta },
    /// The snapshot that was received is durable; this is what it holds.
    Restored { meta: SnapshotMeta, state: Box<State> },
    /// The snapshot that was received is damaged.
    RestoreFailed { meta: SnapshotMeta },
    /// The snapshot asked for by `Snapshot` is durable.
    SnapshotWritten { meta: SnapshotMeta },
    /// The snapshot could not be written; the log is kept.
    SnapshotFailed,
    /// Hand leadership over.
    Transfer { to: NodeId },
}

/// What a client asks for. The replies on a connection leave in the order of its requests, but for `Ping`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A change, through the log.
    Write(WriteOp),
    /// The end of the session, through the log.
    Close,
    /// A local read; with `watch` it registers a one-shot watch in the same moment.
    Read { query: Query, watch: bool },
    /// Several local reads at one moment.
    ReadMany(Vec<Query>),
    /// Everything that was committed when this came in is applied here before the reply.
    Sync,
    /// Liveness. Answered once the leader knows.
    Ping,
    /// Watches of a client that comes back, compared with what it has seen.
    SetWatches {
        /// The latest transaction the client has seen.
        relative: Zxid,
        /// Paths of getData watches.
        data: Vec<String>,
        /// Paths of exists watches on absent nodes.
        exist: Vec<String>,
        /// Paths of getChildren watches.
        child: Vec<String>,
        /// Paths of persistent watches.
        persistent: Vec<String>,
        /// Paths of persistent recursive watches.
        recursive: Vec<String>,
    },
    /// A watch that stays.
    AddWatch { path: String, recursive: bool },
    /// Drops watches of a mode on a path (`remove`), or asks whether there are any.
    Watching { path: String, mode: WatchMode, remove: bool },
    /// Answered in order with nothing, or with an error that the protocol already knows.
    Nothing(Result<(), ErrorCode>),
}

/// Which watches on a path are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchMode {
    /// One-shot, on children.
    Children,
    /// One-shot, on data.
    Data,
    /// All of them.
    Any,
    /// Persistent.
    Persistent,
    /// Persistent and recursive.
    Recursive,
}

/// The success of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of `Write` and `Close`.
    Applied(Applied),
    /// Of `Read`.
    Answer(Answer),
    /// Of `ReadMany`, one each.
    Answers(Vec<Result<Answer, ErrorCode>>),
    /// Of the others.
    Nothing,
}

/// Something to do, in order.
#[derive(Debug)]
pub enum Output {
    /// The connection has its session (`Ok`), or its session is gone.
    Connected { connection: ConnectionId, granted: Option<SessionGranted> },
    /// The answer to a request. `zxid` is the write's own, or the state's at the moment of a read.
    Reply { connection: ConnectionId, tag: u64, zxid: Zxid, result: Result<Reply, ErrorCode> },
    /// A watch fired.
    Event { connection: ConnectionId, zxid: Zxid, kind: EventKind, path: String },
    /// End the connection once what was sent before has left.
    Close { connection: ConnectionId, why: &'static str },
    /// See `synod_consensus::Output::Append`.
    Append {
        /// Reported back by `Appended`.
        sequence: u64,
        /// Term and vote, when they changed.
        hard_state: Option<HardState>,
        /// Entries to drop first, from here on.
        truncate: Option<Index>,
        /// Entries to write.
        entries: Vec<Entry<Arc<Proposal>>>,
    },
    /// See `synod_consensus::Output::ResetLog`.
    ResetLog { sequence: u64, meta: SnapshotMeta, hard_state: HardState },
    /// A message to another member.
    Send { to: NodeId, message: PeerMessage },
    /// Read a chunk of a snapshot for a peer.
    Fetch { peer: NodeId, meta: SnapshotMeta, offset: u64 },
    /// Write a chunk of a leader's snapshot; when `done`, verify, make durable and load it.
    Store { meta: SnapshotMeta, offset: u64, data: Bytes, done: bool },
    /// Write this state as a snapshot, away from the core thread.
    Snapshot { state: Box<State>, index: Index, term: Term },
    /// Start a timer of consensus.
    SetTimer(TimerKind),
    /// Stop a timer of consensus.
    CancelTimer(TimerKind),
    /// An entry was applied. Only when `Config::trace` is set: the harness listens.
    Applied(Box<AppliedEntry>),
    /// Replicas differ: stop this member, loudly.
    Halt { why: String },
    /// The cluster has come to a version that this member does not support: stop it, and have its program replaced.
    Outgrown { version: u32 },
}

/// What the harness learns of an applied entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedEntry {
    /// Position.
    pub index: Index,
    /// Era.
    pub term: Term,
    /// What was applied; none for a leader's opening entry.
    pub proposal: Option<Arc<Proposal>>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Of the state afterwards.
    pub digest: u128,
}
