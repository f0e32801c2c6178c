//! What goes into and comes out of a step.

use bytes::Bytes;
use synod_types::raft::{Entry, HardState, Message, SnapshotMeta};
use synod_types::{Index, NodeId, Term};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<P> {
    /// Clients' payloads to replicate. Refused by anyone but a leader.
    Propose { payloads: Vec<P> },
    /// A message arrived.
    Message { from: NodeId, message: Message<P> },
    /// The link to a peer went up or down. What was in flight when it went down is lost; order holds within one
    /// period of being up.
    Link { peer: NodeId, up: bool },
    /// Every `Append` output up to this sequence is durable.
    Appended { sequence: u64 },
    /// A chunk of this member's own newest snapshot, asked for by `Fetch`.
    Fetched { peer: NodeId, meta: SnapshotMeta, offset: u64, data: Bytes, done: bool },
    /// The snapshot asked for by `Fetch` cannot be read (it was replaced by a newer one).
    FetchFailed { peer: NodeId, meta: SnapshotMeta },
    /// The snapshot received through `Store` is durable and the state machine has loaded it.
    Restored { meta: SnapshotMeta },
    /// The snapshot received through `Store` was damaged; it will be asked for again from offset 0.
    RestoreFailed { meta: SnapshotMeta },
    /// This member's state machine wrote a snapshot; it is durable. The log up to it may go, but for `keep` entries
    /// that slow followers may still want.
    Compact { meta: SnapshotMeta, keep: u64 },
    /// A timer fired.
    Timer(TimerKind),
    /// An index that is safe to read at is wanted. `context` is unique within this incarnation.
    ReadIndex { context: u64 },
    /// Hand leadership over.
    Transfer { to: NodeId },
}

/// Something to do, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output<P> {
    /// Write to the log: first drop the entries from `truncate` on, then append `entries`, then `hard_state`, and make
    /// all of it durable. Sequences grow by one; completion is reported by `Appended`.
    Append { sequence: u64, hard_state: Option<HardState>, truncate: Option<Index>, entries: Vec<Entry<P>> },
    /// Send a message. May be lost only together with the link.
    Send { to: NodeId, message: Message<P> },
    /// These entries, following those of the previous `Commit`, are decided: apply them.
    Commit { entries: Vec<Entry<P>> },
    /// Read a chunk of the newest own snapshot for a peer and answer with `Fetched` or `FetchFailed`.
    Fetch { peer: NodeId, meta: SnapshotMeta, offset: u64 },
    /// A chunk of a leader's snapshot: write it at `offset` (0 starts over). When `done`, make it durable, load it and
    /// answer with `Restored` or `RestoreFailed`.
    Store { meta: SnapshotMeta, offset: u64, data: Bytes, done: bool },
    /// The log is replaced by the snapshot `meta` (after `Restored`): nothing before or after it in the log counts.
    /// Durable like an `Append`, with a sequence of its own.
    ResetLog { sequence: u64, meta: SnapshotMeta, hard_state: HardState },
    /// Start a timer of this kind, replacing one that runs.
    SetTimer(TimerKind),
    /// Stop a timer of this kind.
    CancelTimer(TimerKind),
    /// Reads may be served once the state machine has applied `index`.
    ReadReady { context: u64, index: Index },
    /// The read was not confirmed: no leader, or leadership was lost. Try again.
    ReadRefused { context: u64 },
    /// Not the leader: these payloads were not appended.
    Refused { payloads: Vec<P> },
    /// Role, term or known leader changed.
    RoleChanged { role: Role, term: Term, leader: Option<NodeId> },
}

/// What a member is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether a campaign would succeed.
    PreCandidate,
    /// Campaigns.
    Candidate,
    /// Leads.
    Leader,
}

/// Timers. The driver chooses lengths; `election_timeout` (E) is its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// No leader was heard of: campaign. Random in E..2E.
    Election,
    /// While it runs, the member has heard from a leader and grants no (pre-)votes. E.
    Sticky,
    /// The leader sends to everyone. About E/5.
    Heartbeat,
    /// The leader checks that it heard from a majority since the last time. E.
    Quorum,
}
