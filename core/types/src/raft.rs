//! What consensus persists and what its members say to each other. `P` is the payload, opaque to consensus.
//! Source: Ongaro, "Consensus: Bridging Theory and Practice" (the Raft dissertation); section numbers refer to it.

use crate::{Index, NodeId, Term};
use bytes::Bytes;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

/// What consensus asks of the things it replicates.
pub trait Payload: Clone + Debug + Eq + Hash {
    /// Approximate size in bytes, for flow control and for the bound of the log kept in memory.
    fn size_bytes(&self) -> usize;
}

impl<T: Payload> Payload for Arc<T> {
    fn size_bytes(&self) -> usize {
        T::size_bytes(self)
    }
}

/// One position of the log. `payload` is `None` for the entry a new leader opens its term with (§6.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry<P> {
    /// Era of the leader that created the entry.
    pub term: Term,
    /// Position.
    pub index: Index,
    /// What to apply, or nothing.
    pub payload: Option<P>,
}

/// What must be durable before any message that depends on it is sent (§3.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HardState {
    /// Latest term this member has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// Set from the first start with an empty or damaged folder until a leader elected without this member, after its
    /// start, has caught it up. While set, the member neither votes nor acknowledges.
    pub recovering: bool,
}

/// Which prefix of the log a snapshot stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotMeta {
    /// Last index it covers.
    pub index: Index,
    /// Term of the entry at that index.
    pub term: Term,
    /// Length of its encoded form in bytes.
    pub size_bytes: u64,
    /// Checksum (crc32c) of its encoded form: two snapshots of one index from two members never mix.
    pub checksum: u32,
}

/// A message between two members.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message<P> {
    /// The sender's term; for a pre-vote the term it would campaign in.
    pub term: Term,
    /// What it says.
    pub body: Body<P>,
}

/// The kinds of messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Body<P> {
    /// "Would you vote for me?" Changes nothing at the receiver (§9.6).
    PreVote { last_index: Index, last_term: Term },
    /// Answer to `PreVote`.
    PreVoteReply { granted: bool },
    /// "Vote for me." `transfer` marks a campaign that the leader asked for (§3.10): it overrides leader stickiness.
    Vote { last_index: Index, last_term: Term, transfer: bool },
    /// Answer to `Vote`.
    VoteReply { granted: bool },
    /// Entries after `(prev_index, prev_term)`; empty ones are heartbeats. `round` numbers the leader's broadcast
    /// rounds from 1; a round is never used for a read that came in after it began, and its echo confirms leadership
    /// for the reads before it (§6.4). Round 0 with no entries only tells `commit` and wants no answer.
    Append { prev_index: Index, prev_term: Term, entries: Vec<Entry<P>>, commit: Index, round: u64 },
    /// `matched`: the log is durable and equal to the leader's up to here. `recovering`: the sender is being caught
    /// up after it lost its disk; the leader must count this reply neither for commit nor for reads.
    AppendReply { matched: Index, round: u64, recovering: bool },
    /// The log does not contain `(prev_index, prev_term)`. `conflict_term` (of the entry at `conflict_index`, the
    /// last index worth trying) lets the leader skip a whole term (§3.5). A recovering sender echoes round 0.
    AppendRejected { prev_index: Index, conflict_index: Index, conflict_term: Term, round: u64 },
    /// One chunk of a snapshot.
    Snapshot { meta: SnapshotMeta, offset: u64, data: Bytes, done: bool },
    /// The receiver holds the first `received` bytes of `meta`; `installed` once the whole is durable and loaded.
    SnapshotReply { meta: SnapshotMeta, received: u64, installed: bool },
    /// "Campaign now" (§3.10).
    TimeoutNow,
    /// A follower asks the leader for an index that is safe to read at. `context` is unique per request.
    ReadIndex { context: u64 },
    /// The answer, once leadership was confirmed by a majority after the question came in.
    ReadIndexReply { context: u64, index: Index },
    /// From a member whose folder was empty or damaged at its start: "who knows me, and what is your term?".
    /// `nonce` is new at each start.
    Probe { nonce: u64 },
    /// Answer to `Probe`, from members that do not recover themselves. `knows`: it holds some history (a term, a vote,
    /// an entry, a snapshot). `barrier`, from a leader only: an entry of its term that it appended after the question
    /// came; once that is decided, and durable at who asked, that member has its vote back.
    ProbeReply { nonce: u64, knows: bool, barrier: Option<Index> },
}
