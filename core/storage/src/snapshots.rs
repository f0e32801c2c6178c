//! The folder's snapshots.

use crate::Error;
use bytes::Bytes;
use synod_types::raft::SnapshotMeta;
use synod_types::{Index, Term};

/// The folder's snapshots. Cheap to clone; usable while the log is written.
#[derive(Clone)]
pub struct Snapshots {}

/// A snapshot being written.
pub struct SnapshotWriter {}

/// A snapshot being read from the beginning.
pub struct SnapshotReader {}

impl Snapshots {
    /// The good snapshots, newest last.
    pub async fn list(&self) -> Vec<SnapshotMeta> {
        todo!()
    }

    /// Starts a snapshot of the state after `index`.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn create(&self, _index: Index, _term: Term) -> Result<SnapshotWriter, Error> {
        todo!()
    }

    /// Reads a part of a snapshot, and whether it is the last one.
    ///
    /// # Errors
    /// The snapshot is gone, or the disk refuses.
    pub async fn read_chunk(&self, _meta: SnapshotMeta, _offset: u64, _max: usize) -> Result<(Bytes, bool), Error> {
        todo!()
    }

    /// Writes a chunk of a leader's snapshot. Offset 0 starts over.
    ///
    /// # Errors
    /// The chunk does not continue what came before, or the disk refuses.
    pub async fn receive(&self, _meta: SnapshotMeta, _offset: u64, _data: Bytes) -> Result<(), Error> {
        todo!()
    }

    /// Checks what was received, and makes it durable.
    ///
    /// # Errors
    /// Size or checksum are not the promised ones: start over. Or the disk refuses.
    pub async fn finish_receive(&self, _meta: SnapshotMeta) -> Result<(), Error> {
        todo!()
    }

    /// Opens a snapshot for reading from the beginning.
    ///
    /// # Errors
    /// The snapshot is gone, or the disk refuses.
    pub async fn load(&self, _meta: SnapshotMeta) -> Result<SnapshotReader, Error> {
        todo!()
    }
}

impl SnapshotWriter {
    /// Appends bytes of the encoded state.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn push(&mut self, _bytes: Bytes) -> Result<(), Error> {
        todo!()
    }

    /// Makes the snapshot durable, and removes those that are too many.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn finish(self) -> Result<SnapshotMeta, Error> {
        todo!()
    }
}

impl SnapshotReader {
    /// The next bytes; `None` after the last, once the checksum of the whole has been found good.
    ///
    /// # Errors
    /// The disk refuses, or the bytes are not what they should be.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        todo!()
    }
}
