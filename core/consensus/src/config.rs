//! What a member is told when it starts: who it is, its bounds, and what its disk held.

use std::collections::BTreeSet;
use synod_types::raft::{Entry, HardState, SnapshotMeta};
use synod_types::{Mutants, NodeId};

/// Fixed for the life of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// This member.
    pub id: NodeId,
    /// All members that vote, this one included.
    pub voters: BTreeSet<NodeId>,
    /// Planted bugs.
    pub mutants: Mutants,
    /// Bounds of what is in flight.
    pub limits: Limits,
}

/// Bounds of what is in flight to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Entries in one append message.
    pub append_entries_max: usize,
    /// Bytes of payload in one append message; a single larger entry still goes, alone.
    pub append_bytes_max: usize,
    /// Append messages with entries sent to a follower and not yet acknowledged.
    pub in_flight_max: usize,
    /// Bytes of payload sent to a follower and not yet acknowledged.
    pub in_flight_bytes_max: usize,
    /// Largest chunk of a snapshot that is accepted from a leader. The length of what is sent is the driver's choice
    /// when it answers `Fetch`.
    pub chunk_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            append_entries_max: 4096,
            append_bytes_max: 1 << 20,
            in_flight_max: 64,
            in_flight_bytes_max: 8 << 20,
            chunk_bytes_max: 4 << 20,
        }
    }
}

/// What the disk held at the start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Boot<P> {
    /// The last durable hard state.
    pub hard_state: HardState,
    /// The newest durable snapshot; the state machine has loaded it.
    pub snapshot: Option<SnapshotMeta>,
    /// All durable entries in order, without gaps; may begin before the snapshot's index.
    pub entries: Vec<Entry<P>>,
    /// The folder held no log, hard state or snapshot at all.
    pub empty: bool,
    /// Part of what may have been acknowledged cannot be read. To be reported at each start until a hard state with
    /// `recovering` is durable.
    pub damaged: bool,
    /// New at each start.
    pub nonce: u64,
}
