//! The folder's snapshots: written beside the log, under a name of their own only when they are whole and durable.
//!
//! A file is the encoded state followed by a trailer with its identity, size and checksum. What the state means, and
//! when a snapshot is due, is decided elsewhere.

use crate::error::disk;
use crate::layout::{DAMAGED, Identity, Name, TRAILER, parse_trailer, snapshot_name, trailer, writing_name};
use crate::recovery::{Listing, check_identity};
use crate::scan::{CHUNK, read_full};
use crate::{Error, Options};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use synod_env::{Env, File, OpenMode};
use synod_types::raft::SnapshotMeta;
use synod_types::{Index, Mutant, Term};

/// The folder's snapshots. Cheap to clone; usable while the log is written.
///
/// After an error of the disk the member must stop, as after one of the log.
#[derive(Clone)]
pub struct Snapshots {
    shared: Arc<Shared>,
}

struct Shared {
    env: Env,
    folder: PathBuf,
    options: Options,
    known: Mutex<BTreeMap<SnapshotMeta, PathBuf>>,
    /// The snapshot that a leader is sending.
    incoming: tokio::sync::Mutex<Option<(SnapshotMeta, SnapshotWriter)>>,
    /// The one that was read last, so that a transfer opens it once.
    opened: Mutex<Option<(SnapshotMeta, Arc<dyn File>)>>,
}

/// A snapshot being written. Dropped before it is finished, it leaves a file that the next start removes.
pub struct SnapshotWriter {
    snapshots: Snapshots,
    index: Index,
    term: Term,
    path: PathBuf,
    file: Box<dyn File>,
    size_bytes: u64,
    checksum: u32,
}

/// A snapshot being read from the beginning.
pub struct SnapshotReader {
    meta: SnapshotMeta,
    path: PathBuf,
    file: Arc<dyn File>,
    read: u64,
    checksum: u32,
}

impl Snapshots {
    /// Checks the snapshots of a folder, puts damaged ones aside, removes unfinished ones. Also says whether any was
    /// damaged.
    pub(crate) async fn open(
        env: &Env,
        folder: &Path,
        options: &Options,
        listing: &Listing,
    ) -> Result<(Snapshots, bool), Error> {
        let (mut known, mut damaged) = (BTreeMap::new(), false);
        for (path, name) in &listing.snapshots {
            if let Name::Writing { .. } = name {
                if options.mutants.on(Mutant::StoreAcceptPartialSnapshot) {
                    known.extend(unfinished(env, path, name).await?.map(|meta| (meta, path.clone())));
                } else {
                    env.disk.remove(path).await.map_err(disk("remove", path))?;
                }
                continue;
            }
            match verify(env, path, name, Some(options)).await? {
                Ok(meta) => drop(known.insert(meta, path.clone())),
                Err(_) => {
                    env.sometimes("storage: a damaged snapshot was put aside");
                    damaged = true;
                    let mut aside = path.clone().into_os_string();
                    aside.push(DAMAGED);
                    env.disk.rename(path, Path::new(&aside)).await.map_err(disk("put aside", path))?;
                }
            }
        }
        let shared = Shared {
            env: env.clone(),
            folder: folder.to_owned(),
            options: *options,
            known: Mutex::new(known),
            incoming: tokio::sync::Mutex::new(None),
            opened: Mutex::new(None),
        };
        Ok((Snapshots { shared: Arc::new(shared) }, damaged))
    }

    /// The good snapshots, newest last.
    pub fn list(&self) -> Vec<SnapshotMeta> {
        self.known().keys().copied().collect()
    }

    /// The one that stands for the longest prefix of the log.
    pub fn newest(&self) -> Option<SnapshotMeta> {
        self.known().keys().next_back().copied()
    }

    /// Starts a snapshot of the state after `index`.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn create(&self, index: Index, term: Term) -> Result<SnapshotWriter, Error> {
        let shared = &self.shared;
        let path = shared.folder.join(writing_name(index, term, shared.env.random_u64()));
        let file = shared.env.disk.open(&path, OpenMode::CreateNew).await.map_err(disk("create", &path))?;
        Ok(SnapshotWriter { snapshots: self.clone(), index, term, path, file, size_bytes: 0, checksum: 0 })
    }

    /// Reads at most `max` bytes of a snapshot, and says whether they are the last.
    ///
    /// # Errors
    /// The snapshot is gone, or the disk refuses.
    pub async fn read_chunk(&self, meta: SnapshotMeta, offset: u64, max: usize) -> Result<(Bytes, bool), Error> {
        let (path, file) = self.file(meta).await?;
        let length = (max as u64).min(meta.size_bytes.saturating_sub(offset));
        let bytes = read_full(file.as_ref(), offset, length).await.map_err(disk("read", &path))?;
        if (bytes.len() as u64) < length {
            return Err(Error::BadSnapshot { path, why: format!("ends at byte {}", offset + bytes.len() as u64) });
        }
        Ok((bytes, offset + length >= meta.size_bytes))
    }

    /// Writes a chunk of a leader's snapshot. Offset 0 starts over.
    ///
    /// # Errors
    /// [`Error::Chunk`] when it does not continue what came before; or the disk refuses.
    pub async fn receive(&self, meta: SnapshotMeta, offset: u64, data: Bytes) -> Result<(), Error> {
        let mut incoming = self.shared.incoming.lock().await;
        if offset == 0 {
            if let Some((_, stale)) = incoming.take() {
                stale.discard().await?;
            }
            *incoming = Some((meta, self.create(meta.index, meta.term).await?));
        }
        let (expected, writer) = match incoming.as_mut() {
            Some((current, writer)) if *current == meta => (writer.size_bytes, Some(writer)),
            _ => (0, None),
        };
        match writer {
            Some(writer) if expected == offset => writer.push(data).await,
            _ => Err(Error::Chunk { meta, offset, expected }),
        }
    }

    /// Checks what was received, and makes it durable.
    ///
    /// # Errors
    /// [`Error::BadSnapshot`] when size or checksum are not those of `meta`: it has to be sent again from offset 0. Or
    /// the disk refuses.
    pub async fn finish_receive(&self, meta: SnapshotMeta) -> Result<(), Error> {
        let mut incoming = self.shared.incoming.lock().await;
        let Some((_, writer)) = incoming.take_if(|(current, _)| *current == meta) else {
            return Err(Error::Chunk { meta, offset: meta.size_bytes, expected: 0 });
        };
        if (writer.size_bytes, writer.checksum) != (meta.size_bytes, meta.checksum) {
            let why = format!(
                "received {} bytes with checksum {:08x}, expected {} with {:08x}",
                writer.size_bytes, writer.checksum, meta.size_bytes, meta.checksum
            );
            let path = writer.path.clone();
            writer.discard().await?;
            return Err(Error::BadSnapshot { path, why });
        }
        writer.finish().await.map(drop)
    }

    /// Opens a snapshot for reading from the beginning.
    ///
    /// # Errors
    /// The snapshot is gone, or the disk refuses.
    pub async fn load(&self, meta: SnapshotMeta) -> Result<SnapshotReader, Error> {
        let (path, file) = self.file(meta).await?;
        Ok(SnapshotReader { meta, path, file, read: 0, checksum: 0 })
    }

    async fn file(&self, meta: SnapshotMeta) -> Result<(PathBuf, Arc<dyn File>), Error> {
        let path = self.known().get(&meta).cloned().ok_or(Error::NoSnapshot(meta))?;
        let opened = self.opened().clone();
        if let Some((_, file)) = opened.filter(|(current, _)| *current == meta) {
            return Ok((path, file));
        }
        let file: Arc<dyn File> = match self.shared.env.disk.open(&path, OpenMode::Read).await {
            Ok(file) => file.into(),
            // It was removed just now.
            Err(_) if !self.known().contains_key(&meta) => return Err(Error::NoSnapshot(meta)),
            Err(error) => return Err(disk("open", &path)(error)),
        };
        *self.opened() = Some((meta, file.clone()));
        Ok((path, file))
    }

    /// Removes the oldest ones beyond the number to keep.
    async fn thin(&self) -> Result<(), Error> {
        let shared = &self.shared;
        if shared.options.mutants.on(Mutant::StoreSnapshotsPileUp) {
            return Ok(());
        }
        loop {
            let oldest = {
                let mut known = self.known();
                if known.len() <= shared.options.snapshot_keep.max(1) { None } else { known.pop_first() }
            };
            let Some((meta, path)) = oldest else { break };
            self.opened().take_if(|(current, _)| *current == meta);
            shared.env.disk.remove(&path).await.map_err(disk("remove", &path))?;
        }
        shared.env.disk.sync_dir(&shared.folder).await.map_err(disk("sync", &shared.folder))
    }

    // Nothing panics while one of these is held.
    fn known(&self) -> MutexGuard<'_, BTreeMap<SnapshotMeta, PathBuf>> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> MutexGuard<'_, Option<(SnapshotMeta, Arc<dyn File>)>> {
        self.shared.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot goes to the disk in portions of this size, with a pause as long as each took: one flush of the whole would
/// keep the disk from the log.
const SYNC_EVERY: u64 = 2 << 20;

impl SnapshotWriter {
    /// Appends bytes of the encoded state.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        let offset = self.size_bytes;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes);
        self.size_bytes += bytes.len() as u64;
        self.file.write_at(offset, bytes).await.map_err(disk("write", &self.path))?;
        let env = &self.snapshots.shared.env;
        if self.size_bytes / SYNC_EVERY > offset / SYNC_EVERY || env.buggify("storage.snapshot_sync_early") {
            let started = env.now();
            self.file.sync().await.map_err(disk("sync", &self.path))?;
            env.sleep(env.now().since(started)).await;
        }
        Ok(())
    }

    /// Makes the snapshot durable, and removes the oldest ones beyond the number to keep.
    ///
    /// # Errors
    /// The disk refuses; what was written is removed, as far as the disk lets it.
    pub async fn finish(self) -> Result<SnapshotMeta, Error> {
        match self.settle().await {
            Ok(meta) => self.snapshots.thin().await.map(|()| meta),
            Err(error) => {
                let _ = self.discard().await;
                Err(error)
            }
        }
    }

    async fn settle(&self) -> Result<SnapshotMeta, Error> {
        let SnapshotWriter { snapshots, index, term, path, file, size_bytes, checksum } = self;
        let Shared { env, folder, options, .. } = snapshots.shared.as_ref();
        let (index, term, size_bytes, checksum) = (*index, *term, *size_bytes, *checksum);
        let meta = SnapshotMeta { index, term, size_bytes, checksum };
        let end = trailer(Identity::of(options), &meta);
        // Not `write_sync`: that is the log's way, and the log must not wait for a snapshot.
        file.write_at(size_bytes, end).await.map_err(disk("write", path))?;
        if !options.mutants.on(Mutant::StoreSnapshotNotSynced) {
            file.sync().await.map_err(disk("sync", path))?;
        }
        let named = folder.join(snapshot_name(&meta));
        env.disk.rename(path, &named).await.map_err(disk("rename", &named))?;
        if !options.mutants.on(Mutant::StoreNoDirSync) {
            env.disk.sync_dir(folder).await.map_err(disk("sync", folder))?;
        }
        snapshots.known().insert(meta, named);
        Ok(meta)
    }

    /// Gives it up: on a full disk each attempt would leave what it had written.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn discard(self) -> Result<(), Error> {
        self.snapshots.shared.env.disk.remove(&self.path).await.map_err(disk("remove", &self.path))
    }
}

impl SnapshotReader {
    /// The next bytes; `None` after the last, once the checksum of the whole has been found good.
    ///
    /// # Errors
    /// The disk refuses, or the bytes are not what they should be.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let length = CHUNK.min(self.meta.size_bytes - self.read);
        if length == 0 {
            if self.checksum == self.meta.checksum {
                return Ok(None);
            }
            let why = format!("checksum {:08x}, expected {:08x}", self.checksum, self.meta.checksum);
            return Err(Error::BadSnapshot { path: self.path.clone(), why });
        }
        let bytes = read_full(self.file.as_ref(), self.read, length).await.map_err(disk("read", &self.path))?;
        if bytes.is_empty() {
            let why = format!("ends at byte {}, expected {}", self.read, self.meta.size_bytes);
            return Err(Error::BadSnapshot { path: self.path.clone(), why });
        }
        self.read += bytes.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes);
        Ok(Some(bytes))
    }
}

/// What a snapshot's file is; the inner error says what is wrong with it.
pub(crate) async fn verify(
    env: &Env,
    path: &Path,
    name: &Name,
    options: Option<&Options>,
) -> Result<Result<SnapshotMeta, String>, Error> {
    let file = env.disk.open(path, OpenMode::Read).await.map_err(disk("open", path))?;
    let length = file.len().await.map_err(disk("open", path))?;
    let Some(size) = length.checked_sub(TRAILER) else { return Ok(Err(format!("{length} bytes are no snapshot"))) };
    let Ok(end) = read_full(file.as_ref(), size, TRAILER).await else {
        return Ok(Err("the trailer is unreadable".to_owned()));
    };
    let Some((identity, meta)) = parse_trailer(&end) else { return Ok(Err("the trailer is damaged".to_owned())) };
    if let Some(options) = options {
        check_identity(path, &identity, options)?;
    }
    let named = Name::Snapshot { index: meta.index, term: meta.term, checksum: meta.checksum };
    if meta.size_bytes != size || named != *name {
        return Ok(Err("name, trailer and length disagree".to_owned()));
    }
    let mut reader = SnapshotReader { meta, path: path.to_owned(), file: file.into(), read: 0, checksum: 0 };
    loop {
        match reader.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Ok(meta)),
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
}

/// The bug: takes what there is of a snapshot that was never finished for the whole.
async fn unfinished(env: &Env, path: &Path, name: &Name) -> Result<Option<SnapshotMeta>, Error> {
    let Name::Writing { index, term } = *name else { return Ok(None) };
    let file = env.disk.open(path, OpenMode::Read).await.map_err(disk("open", path))?;
    let size_bytes = file.len().await.map_err(disk("open", path))?;
    let (mut at, mut checksum) = (0, 0);
    while at < size_bytes {
        let bytes = read_full(file.as_ref(), at, CHUNK.min(size_bytes - at)).await.map_err(disk("read", path))?;
        checksum = crc32c::crc32c_append(checksum, &bytes);
        at += bytes.len().max(1) as u64;
    }
    Ok(Some(SnapshotMeta { index, term, size_bytes, checksum }))
}
