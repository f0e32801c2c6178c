//! The write-ahead log: one flush at a time, in segments.

use crate::{Batch, Error, Options, Recovered, Snapshots};
use std::path::Path;
use synod_env::Env;
use synod_types::Index;

/// One member's folder, open for writing.
pub struct Storage {}

impl Storage {
    /// Opens a folder, made if need be, and reads what it holds.
    ///
    /// # Errors
    /// The folder is in use, of another member, of a newer format, or the disk refuses.
    pub async fn open(_env: &Env, _folder: &Path, _options: Options) -> Result<(Storage, Recovered), Error> {
        todo!()
    }

    /// Makes a batch durable, with one flush, and clears it.
    ///
    /// # Errors
    /// Fatal: the member must stop. Every later call fails too.
    pub async fn append(&mut self, _batch: &mut Batch) -> Result<(), Error> {
        todo!()
    }

    /// Removes the segments that hold no entry from `first_kept` on.
    ///
    /// # Errors
    /// As for [`Storage::append`].
    pub async fn compact(&mut self, _first_kept: Index) -> Result<(), Error> {
        todo!()
    }

    /// The folder's snapshots, usable beside the log.
    pub fn snapshots(&self) -> Snapshots {
        todo!()
    }
}
