//! A member's folder: the write-ahead log and the snapshots, over [`synod_env::Disk`]. What entries and snapshots mean,
//! and when a snapshot is due, is not decided here.
//!
//! # The log
//!
//! One flush at a time; whoever waits is in the next one. Segments are files of a fixed length, filled with zeros ahead
//! of time, named `log-<first index>-<sequence>`:
//!
//! ```text
//! 0        4096        8192       8192+A     8192+2A
//! head     head again  echo 0     echo 1     records … zeros
//! ```
//! A record carries its segment's random number, its offset, its length and a checksum (`synod_wire::log`). The head
//! names the segment before it and where exactly that one ends. A file gets its name when its head and first flush are
//! durable, and each start begins a new segment, so that only the end of the newest one is ever open to question.
//!
//! # Torn or rotten
//!
//! After a power failure the last flush may be there in parts. Unless it was acknowledged it may be cut, and it must be
//! possible to cut it: when the power fails for all members at once, each may have a torn flush, and if that counted as
//! damage nobody were left to vote. If it was acknowledged it must not be cut: the member would vote as if it had never
//! had it. One copy of the records and an identity elsewhere cannot tell the two apart, because a failure within the
//! sync may keep the identity and lose the records. So a flush is written twice in its one sync, as records and as an
//! **echo**: flush N in area N mod 2, where the echo of flush N-2 was, with its number and where it starts and ends.
//!
//! - Flush N is acknowledged only when both copies are durable. If neither is whole, it was not: **cut**.
//! - If one is whole it is kept; the records are restored from the echo.
//! - A good head of echo N proves that every earlier flush was acknowledged, because there is one flush at a time. If
//!   records before N are bad, that is **damage** (or restored from the other echo, which holds N-1).
//! - A flush longer than an area is synced first; then its echo, which has a head only, is synced, and then it is
//!   acknowledged. That head proves the flush itself. It costs a second sync where the first was long anyway.
//! - A new segment has its first echo before it has its name; two bad echoes are damage.
//!
//! What remains: the last flush was acknowledged, and both of its copies, in different pages of the file, went bad while
//! one echo survived: taken for a torn flush. Two independent losses on one member, one more than plans allow. The
//! other way round: one echo torn and the other rotten is declared damage though nothing is lost.
//!
//! Damage is never cut silently. What is recovered is the good prefix; the new segment that begins at the start has
//! `recovering` in its hard state and is durable before any damaged file is renamed to `*.damaged`, so a crash in
//! between does not forget it. A segment whose beginning is good keeps its name until it is compacted away.
//!
//! After a failed write or sync nothing is written any more and nothing is tried again. The next start writes the last
//! flush again before it trusts it: what it read may be in the page cache only.

mod batch;
mod error;
pub mod inspect;
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
use std::fmt;
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
#[derive(Clone, PartialEq, Eq)]
pub struct RawEntry {
    /// Era of the leader that created it.
    pub term: Term,
    /// Position.
    pub index: Index,
    /// The encoded proposal; empty for the entry that opens a term.
    pub body: Bytes,
}

// Bodies are long; their checksum tells two of them apart.
impl fmt::Debug for RawEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawEntry { term, index, body } = self;
        write!(f, "{index:?}@{term:?}[{} {:08x}]", body.len(), crc32c::crc32c(body))
    }
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
