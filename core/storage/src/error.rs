//! What can go wrong with a member's folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use synod_types::raft::SnapshotMeta;
use synod_types::{Index, NodeId};

/// Why an operation on a member's folder failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The disk refused. After this the log takes no more: what is durable is not known any longer.
    #[error("{what} {}: {source}", path.display())]
    Disk {
        /// The operation.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the disk said.
        source: Arc<io::Error>,
    },
    /// The disk is full. As fatal as any other refusal of a write.
    #[error("{what} {}: no space left on the disk; free some and start again", path.display())]
    Full {
        /// The operation.
        what: &'static str,
        /// On which file.
        path: PathBuf,
    },
    /// An earlier write or flush failed; nothing is tried again.
    #[error("the log stopped at an earlier failure: {0}")]
    Stopped(Arc<Error>),
    /// An earlier write was abandoned in the middle.
    #[error("the log stopped: a write was abandoned before it was durable")]
    Abandoned,
    /// An entry that does not follow the one before it: consensus is broken.
    #[error("append entry {}: expected index {}", index.0, expected.0)]
    Gap {
        /// Its index.
        index: Index,
        /// The index that comes next.
        expected: Index,
    },
    /// Another process uses the folder.
    #[error("lock {}: another process uses this folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The folder is another member's, or another cluster's.
    #[error(
        "{}: belongs to node {found_node} of cluster {found_cluster:016x}, this is node {node} of cluster {cluster:016x}",
        path.display()
    )]
    Foreign {
        /// The file that says so.
        path: PathBuf,
        /// Its member.
        found_node: NodeId,
        /// Its cluster.
        found_cluster: u64,
        /// This member.
        node: NodeId,
        /// This cluster.
        cluster: u64,
    },
    /// A newer version wrote the folder.
    #[error("{}: format {found} is newer than format {limit}, the newest that this version reads", path.display())]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest this version knows.
        limit: u32,
    },
    /// The snapshot is not there (any longer).
    #[error("snapshot {} of term {} is not in the folder", .0.index.0, .0.term.0)]
    NoSnapshot(SnapshotMeta),
    /// A snapshot's bytes are not what its name and trailer promise.
    #[error("snapshot {}: {why}", path.display())]
    BadSnapshot {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A chunk of a snapshot that does not continue what was received.
    #[error("receive snapshot {}: chunk at {offset}, expected {expected}", meta.index.0)]
    Chunk {
        /// The snapshot.
        meta: SnapshotMeta,
        /// Where the chunk wants to go.
        offset: u64,
        /// What came so far.
        expected: u64,
    },
}

/// Makes an error of the disk into one of ours.
pub(crate) fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full { what, path: path.to_owned() },
        _ => Error::Disk { what, path: path.to_owned(), source: Arc::new(error) },
    }
}
