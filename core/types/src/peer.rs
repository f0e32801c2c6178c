//! What members say to each other over a peer link, consensus included.

use crate::command::{Command, Origin, Proposal};
use crate::{Index, NodeId, SessionId, Term, raft};
use std::sync::Arc;

/// The first frame in each direction of a link. A member that does not fit (another cluster, another version, a
/// wrong id) is refused with a clear error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Version of the peer protocol.
    pub version: u32,
    /// Hash over the configured membership: members of two clusters never mix.
    pub cluster: u64,
    /// Who speaks.
    pub from: NodeId,
    /// Who is meant.
    pub to: NodeId,
    /// The speaker's incarnation: random, new at each start.
    pub incarnation: u64,
    /// The newest cluster version that the speaker supports.
    pub cluster_version: u32,
    /// The latest promise of whom it greets, as far as the speaker remembers one.
    pub promise: Option<Promise>,
}

/// What a member once said and rests on its disk: it has been in this term, and in it has acknowledged its leader's
/// entries up to `index` (0: none of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The term.
    pub term: Term,
    /// The last entry of that term that it acknowledged.
    pub index: Index,
    /// It gave its vote in that term to whom it said so.
    pub voted: bool,
}

/// A frame of an established link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// Consensus.
    Raft(raft::Message<Arc<Proposal>>),
    /// A follower passes its clients' commands to the leader, in order. Lost with the link, never repeated: the
    /// follower then closes the connections that wait, as their outcome is unknown.
    /// `term` is that of the leader it means: a leader of another term refuses, so that of a session's pipelined
    /// writes a later one is never taken without the earlier ones.
    ///
    /// `refusals` is the last count of them that the sender has heard: what it sent without knowing of one must not be
    /// taken, as what came before it was not.
    Forward { term: Term, refusals: u64, proposals: Vec<(Origin, Command)> },
    /// These requests were not proposed: the receiver does not lead that term, or hands over.
    ///
    /// `refusals` counts what this leader did not take from this member in its term.
    ForwardRefused { term: Term, refusals: u64, requests: Vec<u64> },
    /// A follower tells the leader which of its clients' sessions were heard from since the last report.
    Touch { sequence: u64, sessions: Vec<SessionId> },
    /// The leader has extended them, but not those in `ending`, which have ended or whose end it has proposed; only then
    /// may the follower answer their pings. `commit` is what was committed when the leader was asked: who has applied
    /// that does not serve older reads than it could know of.
    TouchReply { sequence: u64, commit: Index, ending: Vec<SessionId> },
    /// The sender's digest of the state at an applied index (continuous check of replicas).
    Digest { index: u64, digest: u128 },
}
