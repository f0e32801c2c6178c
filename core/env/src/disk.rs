//! Files, with the promises that a file system really gives: a write is durable after `sync` of its file, a new file,
//! a rename and a removal after `sync_dir` of their directory. Until then a power failure may lose them, keep them, or
//! keep them in another order; an unsynced write may be torn at any byte.

use crate::BoxFuture;
use bytes::Bytes;
use std::io;
use std::path::{Path, PathBuf};

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist; reads only.
    Read,
    /// It must exist; reads and writes.
    Write,
    /// It must not exist; reads and writes.
    CreateNew,
}

/// A file system as one member sees it.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists` (`CreateNew`), and what the device says.
    fn open(&self, path: &Path, mode: OpenMode) -> BoxFuture<'_, io::Result<Box<dyn File>>>;

    /// Makes a directory and its parents. Durable after `sync_dir` of the parents.
    fn create_dir_all(&self, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Names of the files in a directory, without its path, sorted. Empty when the directory does not exist.
    fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<PathBuf>>>;

    /// Renames a file over another. Atomic; durable after `sync_dir`.
    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Removes a file. Durable after `sync_dir`.
    fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Makes the entries of a directory durable.
    fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>>;

    /// Takes an exclusive lock that ends with the process, so that two processes never share a folder.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>>;
}

/// An open file. Operations on one file run in the order in which they were called, whether or not their futures are
/// polled: dropping one does not undo its operation.
#[allow(clippy::len_without_is_empty)] // a length that is asked of a device, not a collection
pub trait File: Send + Sync {
    /// Reads up to `len` bytes at an offset; fewer at the end of the file.
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>>;

    /// Writes all the bytes at an offset, growing the file. Not durable yet.
    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Makes the file's contents durable (fdatasync). After an error nothing may be assumed about what was written
    /// since the last success, and trying again proves nothing.
    fn sync(&self) -> BoxFuture<'_, io::Result<()>>;

    /// `write_at` for each part, then `sync`, in one hop to the thread that writes. For the log.
    fn write_sync(&self, parts: Vec<(u64, Bytes)>) -> BoxFuture<'_, io::Result<()>>;

    /// Length in bytes.
    fn len(&self) -> BoxFuture<'_, io::Result<u64>>;

    /// Cuts or extends (with zeros) to a length.
    fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>>;
}
