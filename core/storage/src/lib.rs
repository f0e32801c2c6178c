//! A member's folder: the write-ahead log and the snapshots, over [`synod_env::Disk`].

mod batch;
mod error;
mod layout;
mod log;
mod recovery;
mod replay;
mod scan;
mod snapshots;
mod spare;
#[cfg(feature = "suite")]
pub mod suite;

pub use batch::Batch;
pub use error::Error;
pub use log::Storage;
pub use snapshots::{SnapshotReader, SnapshotWriter, Snapshots};

use bytes::Bytes;
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutants, NodeId, Term};

/// The newest layout of files that this version reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// How a folder is used.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whose folder it is.
    pub node: NodeId,
    /// Whose member that is: a hash of what identifies the cluster.
    pub cluster: u64,
    /// Length of a log segment's file in bytes.
    pub segment_bytes: u64,
    /// How many snapshots are kept, at least 1.
    pub snapshot_keep: usize,
    /// Planted bugs.
    pub mutants: Mutants,
    /// The format that is written and the newest that is read. [`FORMAT`] but in tests.
    pub format: u32,
}

impl Options {
    /// What production uses.
    pub fn new(node: NodeId, cluster: u64) -> Options {
        let segment_bytes = 64 << 20;
        Options { node, cluster, segment_bytes, snapshot_keep: 2, mutants: Mutants::NONE, format: FORMAT }
    }
}

/// What a folder held when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The last one written; `recovering` is set when the tail is damaged.
    pub hard_state: HardState,
    /// The newest good snapshot.
    pub snapshot: Option<SnapshotMeta>,
    /// The entries, contiguous. The first may be before the snapshot's end, never more than one after it.
    pub entries: Vec<RawEntry>,
    /// Nothing was ever acknowledged from this folder, as far as it tells.
    pub empty: bool,
    /// How the log ended.
    pub tail: Tail,
}

/// A log entry whose body nobody has looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// Era of the leader that created it.
    pub term: Term,
    /// Position.
    pub index: Index,
    /// The encoded proposal; empty for the entry that opens a term.
    pub body: Bytes,
}

/// How the log ended when the folder was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Every byte accounted for.
    Clean,
    /// A flush that was never acknowledged left parts behind; they were cut.
    Torn {
        /// From the last good record to the last byte that is not zero.
        cut_bytes: u64,
    },
    /// Acknowledged records are gone or unreadable. What is given is the good prefix; the bad files were kept aside.
    Damaged {
        /// Where, and what is wrong.
        why: String,
    },
}
