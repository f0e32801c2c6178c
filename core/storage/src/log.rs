//! The log open for writing: one flush at a time, from segment to segment.

use crate::batch::{Batch, Change};
use crate::error::disk;
use crate::layout::{DAMAGED, Echo, Header, Identity, LOCK, PAGE, segment_name};
use crate::recovery::{Found, Listing, Live, recover};
use crate::replay::Replay;
use crate::spare::{Spare, prepare, prepare_ahead};
use crate::{Error, Options, Recovered, Snapshots, Tail};
use bytes::{Bytes, BytesMut};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use synod_env::{Env, File, OpenMode};
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutant, Mutants, Term};
use synod_wire::log::{LogRecord, Place, RecordKind, put_hard_state, put_record, put_reset};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// A shorter segment has hardly room for records.
const SEGMENT_BYTES_MIN: u64 = 32 << 10;

/// Longest pause of a fault point.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// One member's folder, open for writing.
pub struct Storage {
    env: Env,
    folder: PathBuf,
    options: Options,
    snapshots: Snapshots,
    /// Oldest first; the last one is written.
    live: Vec<Live>,
    current: Segment,
    /// The index that comes next.
    next: Index,
    hard_state: Option<HardState>,
    sequence_max: u64,
    spare: Option<oneshot::Receiver<Spare>>,
    /// Whether anybody still wants a spare; shared with the task that prepares it.
    wanted: Arc<AtomicBool>,
    /// Why nothing is written any more.
    stopped: Option<Arc<Error>>,
    records: BytesMut,
    _lock: Box<dyn Send + Sync>,
}

/// The segment that is written.
struct Segment {
    header: Header,
    path: PathBuf,
    file: Box<dyn File>,
    /// Where the next record goes.
    end: u64,
    /// Number of the next flush.
    flush: u64,
    mutants: Mutants,
}

/// What a new segment begins with beside its head.
#[derive(Default)]
struct Beginning<'a> {
    reset: Option<SnapshotMeta>,
    batch: Option<&'a mut Batch>,
}

impl Storage {
    /// Opens a folder, made if need be, and reads what it holds.
    ///
    /// # Errors
    /// The folder is in use, of another member, of a newer format, or the disk refuses.
    pub async fn open(env: &Env, folder: &Path, options: Options) -> Result<(Storage, Recovered), Error> {
        let options = Options { segment_bytes: options.segment_bytes.max(SEGMENT_BYTES_MIN), ..options };
        env.disk.create_dir_all(folder).await.map_err(disk("create", folder))?;
        let lock_path = folder.join(LOCK);
        let lock = env.disk.lock(&lock_path).await.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked { path: lock_path.clone() },
            _ => disk("lock", &lock_path)(error),
        })?;
        if let Some(parent) = folder.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            env.disk.sync_dir(parent).await.map_err(disk("sync", parent))?;
        }
        if !options.mutants.on(Mutant::StoreTrustNames) {
            // A process that ended may have left names that are in memory only. What follows counts on all it finds.
            env.disk.sync_dir(folder).await.map_err(disk("sync", folder))?;
        }
        env.buggify_pause("storage.open_late", PAUSE_MAX).await;
        let listing = Listing::read(env, folder).await?;
        let found = recover(env, &listing, &options).await?;
        let (snapshots, lost_snapshot) = Snapshots::open(env, folder, &options, &listing).await?;
        let snapshot = snapshots.newest();
        for path in &listing.spares {
            env.disk.remove(path).await.map_err(disk("remove", path))?;
        }

        let fresh = found.is_none() && snapshot.is_none() && !lost_snapshot && !listing.aside;
        let mut found = found.unwrap_or_else(|| Found {
            replay: Replay::new(Index(1)),
            live: Vec::new(),
            end: 0,
            tail: match fresh {
                true => Tail::Clean,
                false => Tail::Damaged { why: "the folder has snapshots or damaged files, and no log".to_owned() },
            },
            aside: Vec::new(),
            leftover: Vec::new(),
        });
        // Before the reset, which is a record of the new segment.
        let first = found.replay.next();
        let reset = join(&mut found, snapshot);
        let hard_state = hard_state(&found, snapshot);
        let Found { replay, live, end, tail, aside, leftover } = found;
        let next = replay.next();
        let recovered = Recovered {
            hard_state: hard_state.unwrap_or_default(),
            snapshot,
            empty: undamaged(&tail) && hard_state.is_none() && snapshot.is_none() && next == Index(1),
            entries: replay.entries,
            tail,
        };

        // A new segment each time: it says for good where the one before it ends, and carries the recovery flag.
        let previous = live.last().map(|segment| (segment.sequence, end));
        let wanted = Arc::new(AtomicBool::new(true));
        let spare = prepare(env, folder, options.segment_bytes, &wanted).await?;
        let header = new_header(env, &options, listing.sequence_max + 1, first, previous);
        let mut storage = Storage {
            env: env.clone(),
            folder: folder.to_owned(),
            options,
            snapshots,
            live,
            current: Segment {
                header,
                path: spare.path,
                file: spare.file,
                end: header.records_at(),
                flush: 0,
                mutants: options.mutants,
            },
            next,
            hard_state: hard_state.map(|state| kept(state, &options)),
            sequence_max: header.sequence,
            spare: None,
            wanted,
            stopped: None,
            records: BytesMut::new(),
            _lock: lock,
        };
        refuse(env, "storage.open_refused", folder)?;
        storage.begin(Beginning { reset, batch: None }).await?;
        refuse(env, "storage.open_half_done", folder)?;
        storage.tidy(&recovered.tail, previous, aside, leftover).await?;
        Ok((storage, recovered))
    }

    /// After the new segment is durable: puts damaged files aside, removes leftovers, gives zeros back.
    async fn tidy(
        &mut self,
        tail: &Tail,
        previous: Option<(u64, u64)>,
        aside: Vec<PathBuf>,
        leftover: Vec<PathBuf>,
    ) -> Result<(), Error> {
        for path in aside {
            let mut name = path.clone().into_os_string();
            name.push(DAMAGED);
            self.env.disk.rename(&path, Path::new(&name)).await.map_err(disk("put aside", &path))?;
        }
        for path in leftover {
            self.env.disk.remove(&path).await.map_err(disk("remove", &path))?;
        }
        if let (Some((sequence, end)), true) = (previous, undamaged(tail))
            && let Some(segment) = self.live.iter().find(|segment| segment.sequence == sequence)
        {
            let path = &segment.path;
            let file = self.env.disk.open(path, OpenMode::Write).await.map_err(disk("open", path))?;
            file.set_len(end).await.map_err(disk("shorten", path))?;
        }
        self.env.disk.sync_dir(&self.folder).await.map_err(disk("sync", &self.folder))
    }

    /// The folder's snapshots, usable beside the log.
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// Makes a batch durable, with one flush, and clears it.
    ///
    /// # Errors
    /// Fatal: the member must stop. Every later call fails too.
    pub async fn append(&mut self, batch: &mut Batch) -> Result<(), Error> {
        self.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.check_order(batch).map_err(|error| self.stop(error))?;
        // Stays if this future is dropped before it is done.
        self.stopped = Some(Arc::new(Error::Abandoned));
        let mut done = Ok(());
        if let Some(changes) = self.env.buggify_below("storage.flush_in_parts", batch.changes.len() as u64) {
            let mut rest = batch.split_off(changes as usize);
            done = self.put(batch).await;
            std::mem::swap(batch, &mut rest);
        }
        if done.is_ok() {
            done = self.put(batch).await;
        }
        done.map_err(|error| self.stop(error))?;
        self.stopped = None;
        batch.clear();
        if self.spare.is_none() && self.current.end > self.options.segment_bytes / 2 {
            self.spare = Some(prepare_ahead(&self.env, &self.folder, self.options.segment_bytes, &self.wanted));
        }
        Ok(())
    }

    /// Removes the segments that hold no entry from `first_kept` on.
    ///
    /// # Errors
    /// As for [`Storage::append`].
    pub async fn compact(&mut self, first_kept: Index) -> Result<(), Error> {
        self.retire(first_kept)?.await.map_err(|error| self.stop(error))
    }

    /// Lets go of the segments that hold no entry from `first_kept` on, and gives the work of removing them, oldest
    /// first: freeing their blocks takes the file system a while, and the log need not wait. What stays because the work
    /// failed or was dropped is found at the next start and removed with the next compaction.
    ///
    /// # Errors
    /// The log stopped earlier.
    pub fn retire(
        &mut self,
        first_kept: Index,
    ) -> Result<impl Future<Output = Result<(), Error>> + Send + use<>, Error> {
        self.check()?;
        let mut removed = Vec::new();
        while let [oldest, rest @ ..] = &self.live[..] {
            if !rest.iter().any(|segment| segment.low <= first_kept) {
                break;
            }
            removed.push(oldest.path.clone());
            self.live.remove(0);
        }
        if self.options.mutants.on(Mutant::StoreRetireTooMuch) && !removed.is_empty() && self.live.len() > 1 {
            removed.push(self.live.remove(0).path);
        }
        let (env, folder) = (self.env.clone(), self.folder.clone());
        Ok(async move {
            for path in &removed {
                env.buggify_pause("storage.retire_late", PAUSE_MAX).await;
                if env.buggify("storage.retire_never") {
                    return Ok(());
                }
                env.disk.remove(path).await.map_err(disk("remove", path))?;
            }
            match removed.is_empty() {
                true => Ok(()),
                false => env.disk.sync_dir(&folder).await.map_err(disk("sync", &folder)),
            }
        })
    }

    fn check(&self) -> Result<(), Error> {
        self.stopped.clone().map_or(Ok(()), |error| Err(Error::Stopped(error)))
    }

    fn stop(&mut self, error: Error) -> Error {
        self.stopped = Some(Arc::new(error.clone()));
        error
    }

    /// Entries must follow each other: the log has no way to say otherwise.
    fn check_order(&self, batch: &Batch) -> Result<(), Error> {
        let mut next = self.next;
        for change in &batch.changes {
            match change {
                Change::Truncate(from) => next = next.min(*from),
                Change::Reset(meta) => next = meta.index.next(),
                Change::Entry { index, .. } if *index != next => {
                    return Err(Error::Gap { index: *index, expected: next });
                }
                Change::Entry { .. } => next = next.next(),
                Change::HardState(_) => {}
            }
        }
        Ok(())
    }

    /// Writes a batch where it fits.
    async fn put(&mut self, batch: &mut Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let full = self.current.end + batch.file_bytes() > self.options.segment_bytes;
        if (full || self.env.buggify("storage.roll_early")) && !self.current.unused() {
            return self.roll(batch).await;
        }
        self.flush(batch).await?;
        if self.env.buggify("storage.sync_twice") {
            self.current.file.sync().await.map_err(disk("sync", &self.current.path))?;
        }
        Ok(())
    }

    /// Writes a batch into the current segment.
    async fn flush(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let records = self.encode(batch);
        // The bug: a segment that is about to be left is synced with the next one.
        let late = self.options.mutants.on(Mutant::StoreRollBeforeSync)
            && self.current.end > self.options.segment_bytes / 4 * 3;
        let sync = !late && !self.options.mutants.on(Mutant::StoreSkipFsync);
        self.current.write(records, Vec::new(), sync).await
    }

    /// Writes a batch into a new segment.
    async fn roll(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let ahead = match self.spare.take() {
            Some(_) if self.env.buggify("storage.spare_lost") => None,
            Some(mut receiver) => match receiver.try_recv() {
                Ok(spare) => Some(spare),
                Err(TryRecvError::Empty) => {
                    self.env.sometimes("storage: a flush waited for the next segment");
                    receiver.await.ok()
                }
                Err(TryRecvError::Closed) => None,
            },
            None => None,
        };
        let spare = match ahead {
            Some(spare) => spare,
            None => prepare(&self.env, &self.folder, self.options.segment_bytes, &self.wanted).await?,
        };
        let previous = Some((self.current.header.sequence, self.current.end));
        self.sequence_max += 1;
        let header = new_header(&self.env, &self.options, self.sequence_max, self.next, previous);
        let Spare { path, file } = spare;
        let mutants = self.options.mutants;
        self.current = Segment { header, path, file, end: header.records_at(), flush: 0, mutants };
        self.begin(Beginning { reset: None, batch: Some(batch) }).await
    }

    /// Writes the first flush of a segment: the hard state, so that older segments can go, and what else is given.
    /// The file gets its name only when that is durable: a segment without a good head is damage, never a crash.
    async fn begin(&mut self, beginning: Beginning<'_>) -> Result<(), Error> {
        let header = self.current.header;
        self.live.push(Live { sequence: header.sequence, path: PathBuf::new(), low: header.first });
        let mut place = Place { generation: header.salt, offset: header.records_at() };
        let carried = self.hard_state.filter(|_| !self.options.mutants.on(Mutant::StoreHardStateNotCarried));
        if let Some(state) = &carried {
            place.offset += put_hard_state(&mut self.records, place, state) as u64;
        }
        if let Some(meta) = &beginning.reset {
            put_reset(&mut self.records, place, meta);
            self.lower(Index(0));
        }
        let records = match beginning.batch {
            Some(batch) => self.encode(batch),
            None => self.records.split().freeze(),
        };
        let head = header.encode();
        self.current.write(records, vec![(0, head.clone()), (PAGE, head)], true).await?;
        let path = self.folder.join(segment_name(header.first, header.sequence));
        self.env.disk.rename(&self.current.path, &path).await.map_err(disk("rename", &path))?;
        if !self.options.mutants.on(Mutant::StoreNoDirSync) {
            self.env.disk.sync_dir(&self.folder).await.map_err(disk("sync", &self.folder))?;
        }
        if let Some(live) = self.live.last_mut() {
            live.path.clone_from(&path);
        }
        self.current.path = path;
        Ok(())
    }

    /// Frames a batch behind what `records` holds already, and follows what it changes.
    fn encode(&mut self, batch: &mut Batch) -> Bytes {
        let bodies = batch.take_bodies();
        let header = &self.current.header;
        let start = self.current.end;
        let mut low = Index(u64::MAX);
        self.records.reserve(batch.file_bytes() as usize + bodies.len());
        for change in &batch.changes {
            let place = Place { generation: header.salt, offset: start + self.records.len() as u64 };
            match change {
                Change::Truncate(from) => {
                    let (index, term) = (from.prev(), Term(0));
                    let record = LogRecord { kind: RecordKind::Truncate, index, term, body: Bytes::new() };
                    put_record(&mut self.records, place, &record);
                    self.next = self.next.min(*from);
                    low = low.min(*from);
                }
                Change::Entry { term, index, body } => {
                    let body = bodies.slice(body.clone());
                    let record = LogRecord { kind: RecordKind::Entry, index: *index, term: *term, body };
                    put_record(&mut self.records, place, &record);
                    self.next = index.next();
                    low = low.min(*index);
                }
                Change::HardState(state) => {
                    let forget = self.options.mutants.on(Mutant::StoreForgetVote);
                    let state = if forget { HardState { vote: None, ..*state } } else { *state };
                    let state = kept(state, &self.options);
                    put_hard_state(&mut self.records, place, &state);
                    self.hard_state = Some(state);
                }
                Change::Reset(meta) => {
                    put_reset(&mut self.records, place, meta);
                    self.next = meta.index.next();
                    low = Index(0);
                }
            }
        }
        self.lower(low);
        self.records.split().freeze()
    }

    /// Notes that entries from here on in earlier segments are void.
    fn lower(&mut self, low: Index) {
        if let Some(live) = self.live.last_mut() {
            live.low = live.low.min(low);
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

impl Segment {
    /// Whether no flush but the first has gone into it.
    fn unused(&self) -> bool {
        self.flush <= 1
    }

    /// One flush: the records, and their echo.
    async fn write(&mut self, records: Bytes, mut parts: Vec<(u64, Bytes)>, sync: bool) -> Result<(), Error> {
        let (start, end) = (self.end, self.end + records.len() as u64);
        let echo_at = self.header.echo_at(self.flush);
        let short = records.len() as u64 <= self.header.echo_bytes_max();
        let echoed = if short { records.clone() } else { Bytes::new() };
        let head = Echo::head(self.header.salt, self.flush, start, end, &echoed);
        if !records.is_empty() {
            parts.push((start, records));
        }
        if !short && !self.mutants.on(Mutant::StoreLongEchoEarly) {
            // Too long to be written twice: that it is complete is written when it is.
            self.put(std::mem::take(&mut parts), sync).await?;
        }
        parts.push((echo_at, head));
        if !echoed.is_empty() {
            parts.push((echo_at + crate::layout::ECHO_HEAD, echoed));
        }
        self.put(parts, sync).await?;
        self.end = end;
        self.flush += 1;
        Ok(())
    }

    async fn put(&self, parts: Vec<(u64, Bytes)>, sync: bool) -> Result<(), Error> {
        if sync {
            let mut written = self.file.write_sync(parts).await;
            if written.is_err() && self.mutants.on(Mutant::StoreRetrySync) {
                written = self.file.sync().await;
            }
            return written.map_err(disk("write", &self.path));
        }
        for (offset, bytes) in parts {
            self.file.write_at(offset, bytes).await.map_err(disk("write", &self.path))?;
        }
        Ok(())
    }
}

/// A disk that refuses while a folder is opened.
fn refuse(env: &Env, point: &'static str, folder: &Path) -> Result<(), Error> {
    match env.buggify(point) {
        true => Err(disk("open", folder)(io::Error::other(point))),
        false => Ok(()),
    }
}

fn new_header(env: &Env, options: &Options, sequence: u64, first: Index, previous: Option<(u64, u64)>) -> Header {
    let (previous, previous_end) = previous.unwrap_or((0, 0));
    let area = Header::area_for(options.segment_bytes);
    let salt = env.random_u64();
    Header { identity: Identity::of(options), sequence, salt, first, previous, previous_end, area }
}

fn undamaged(tail: &Tail) -> bool {
    !matches!(tail, Tail::Damaged { .. })
}

/// Fits the log to the newest snapshot. Says what the log has to be reset to.
fn join(found: &mut Found, snapshot: Option<SnapshotMeta>) -> Option<SnapshotMeta> {
    let replay = &mut found.replay;
    let meta = snapshot.unwrap_or_default();
    let last = replay.next().prev();
    let term_there = match meta.index > replay.floor {
        true => replay.entries.get((meta.index.0 - replay.floor.0 - 1) as usize).map(|entry| entry.term),
        false => Some(meta.term),
    };
    if replay.floor > meta.index {
        if undamaged(&found.tail) {
            let (first, index) = (replay.floor.next().0, meta.index.0);
            let why = format!("the log starts at index {first}, the newest good snapshot ends at {index}");
            found.tail = Tail::Damaged { why };
        }
        found.aside.append(&mut found.leftover);
    } else if meta.index <= last && term_there == Some(meta.term) {
        return None;
    }
    // Too far apart, or a leader's snapshot was stored and the log not reset yet.
    replay.reset(meta.index);
    Some(meta)
}

/// What of a hard state is written: all, but for a planted bug.
fn kept(state: HardState, options: &Options) -> HardState {
    HardState { recovering: state.recovering && !options.mutants.on(Mutant::StoreForgetRecovering), ..state }
}

/// The hard state to go on with.
fn hard_state(found: &Found, snapshot: Option<SnapshotMeta>) -> Option<HardState> {
    let mut state = found.replay.hard_state;
    // A cut can fall between an entry and the hard state that came with it.
    let term = found.replay.last_term().max(snapshot.map_or(Term(0), |meta| meta.term));
    if term > state.unwrap_or_default().term {
        state = Some(HardState { term, vote: None, recovering: state.unwrap_or_default().recovering });
    }
    if matches!(found.tail, Tail::Damaged { .. }) {
        state = Some(HardState { recovering: true, ..state.unwrap_or_default() });
    }
    state
}
