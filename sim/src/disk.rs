//! The disk of one host: files, names and locks, with what is durable of each, and what is wrong with it.

use crate::content::Content;
use crate::dice::Dice;
use crate::image::DiskImage;
use crate::names::Names;
use crate::operations::{Outcome, Work};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use synod_env::OpenMode;

/// How long a disk's operations take: shortest and longest.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskConfig {
    /// A read.
    pub read: (Duration, Duration),
    /// A write into the page cache.
    pub write: (Duration, Duration),
    /// A flush, of a file or a directory.
    pub sync: (Duration, Duration),
    /// Opening, listing, renaming, removing.
    pub name: (Duration, Duration),
    /// Bytes a second that reads and flushes move.
    pub bandwidth: u64,
}

impl Default for DiskConfig {
    fn default() -> Self {
        let us = |min, max| (Duration::from_micros(min), Duration::from_micros(max));
        DiskConfig { read: us(20, 100), write: us(5, 20), sync: us(100, 500), name: us(10, 50), bandwidth: 1 << 30 }
    }
}

/// So many writes go right after one that went astray. Who writes the same twice, in two places and with one sync, is
/// left with one of them at least; if both go astray at once, nothing on that disk tells that there was anything.
const STRAIGHT: u32 = 3;

pub(crate) struct Disk {
    pub config: DiskConfig,
    pub dice: Dice,
    files: BTreeMap<u64, Inode>,
    files_made: u64,
    names: Names,
    locks: BTreeMap<PathBuf, u64>,
    flush_busy_until: u64,
    /// Nothing completes before.
    pub stuck_until: u64,
    /// Factor on every operation's time, and until when.
    pub slow: (u32, u64),
    /// Flushes that will fail.
    pub failing_syncs: u32,
    /// Bytes by which files can still grow, if there is a limit.
    pub room: Option<u64>,
    /// Reads and writes that will go to the wrong place.
    pub misdirected_reads: u32,
    pub misdirected_writes: u32,
    /// Reads and writes that go where they should before the next one that does not.
    straight_reads: u32,
    straight: u32,
    pub plug: Plug,
}

/// Whether a disk answers.
pub(crate) enum Plug {
    In,
    /// It will be unplugged in the middle of an operation, after so many more.
    InFor(u64),
    /// Every operation fails.
    Out,
}

struct Inode {
    content: Content,
    handles: u32,
    busy_until: u64,
}

/// What happened during an operation, by the names of faults.
pub(crate) type Effects = Vec<&'static str>;

fn error<T>(kind: ErrorKind) -> io::Result<T> {
    Err(kind.into())
}

fn broken<T>() -> io::Result<T> {
    Err(io::Error::other("input/output error"))
}

/// A path without `.`: the working directory is the empty path.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

impl Disk {
    pub fn new(dice: Dice) -> Disk {
        Disk {
            config: DiskConfig::default(),
            dice,
            files: BTreeMap::new(),
            files_made: 0,
            names: Names::new(),
            locks: BTreeMap::new(),
            flush_busy_until: 0,
            stuck_until: 0,
            slow: (1, 0),
            failing_syncs: 0,
            room: None,
            misdirected_reads: 0,
            misdirected_writes: 0,
            straight_reads: 0,
            straight: 0,
            plug: Plug::In,
        }
    }

    /// The contents of a file by its name.
    pub fn content(&mut self, path: &Path) -> Option<(&mut Content, &mut Dice)> {
        let inode = self.files.get_mut(&self.names.file(&plain(path))?)?;
        Some((&mut inode.content, &mut self.dice))
    }

    /// Names of all files, and their lengths.
    pub fn paths(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.names.files().map(|(path, file)| (path, self.files.get(&file).map_or(0, |f| f.content.len())))
    }

    /// Number of changes that are not durable: writes, changes of length, changes of names.
    pub fn unsynced(&self) -> usize {
        self.names.unsynced() + self.files.values().map(|inode| inode.content.unsynced()).sum::<usize>()
    }

    /// Whether a file shows what a failed sync has not made durable.
    pub fn lies(&self) -> bool {
        self.files.values().any(|inode| inode.content.lies())
    }

    /// Frees the locks of one process, or of all.
    pub fn unlock(&mut self, incarnation: Option<u64>) {
        self.locks.retain(|_, holder| incarnation.is_some_and(|incarnation| *holder != incarnation));
    }

    pub fn unlock_path(&mut self, path: &Path, incarnation: u64) {
        if self.locks.get(path) == Some(&incarnation) {
            self.locks.remove(path);
        }
    }

    pub fn close(&mut self, file: u64) {
        if let Some(inode) = self.files.get_mut(&file) {
            inode.handles = inode.handles.saturating_sub(1);
            self.free();
        }
    }

    /// Frees files that no name, now or after a power failure, and no handle leads to.
    fn free(&mut self) {
        let named = self.names.named();
        self.files.retain(|file, inode| inode.handles > 0 || named.contains(file));
    }

    /// Power is gone. Gives the number of changes that did not survive whole.
    pub fn lose(&mut self) -> u64 {
        let mut damaged = 0;
        for inode in self.files.values_mut() {
            damaged += inode.content.lose(|change| change.random_fate(&mut self.dice));
            inode.busy_until = 0;
        }
        damaged += self.names.lose(|| self.dice.chance(0.5));
        self.locks.clear();
        self.flush_busy_until = 0;
        self.free();
        damaged
    }

    pub fn image(&self, host: u32) -> DiskImage {
        let files = self.files.iter().map(|(&file, inode)| (file, inode.content.clone())).collect();
        DiskImage { host, files, names: self.names.clone() }
    }

    /// Replaces everything, durably.
    pub fn restore(&mut self, image: DiskImage) {
        self.wipe();
        // New numbers: a process that has just died may still let go of the old ones.
        let mut numbers = BTreeMap::new();
        for (old, mut content) in image.files {
            content.sync();
            numbers.insert(old, self.add_file(content));
        }
        self.names = image.names.renumbered(&numbers);
        self.free();
    }

    /// Removes everything, durably.
    pub fn wipe(&mut self) {
        self.files.clear();
        self.names = Names::new();
        self.locks.clear();
    }

    fn add_file(&mut self, content: Content) -> u64 {
        self.files_made += 1;
        self.files.insert(self.files_made, Inode { content, handles: 0, busy_until: 0 });
        self.files_made
    }

    fn inode(&mut self, file: u64) -> io::Result<&mut Inode> {
        self.files.get_mut(&file).ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// When an operation that is called now completes.
    pub fn completion(&mut self, now: u64, work: &Work) -> u64 {
        let config = &self.config;
        let (span, bytes) = match work {
            Work::Read(file, _, len) => {
                let held = self.files.get(file).map_or(0, |inode| inode.content.len());
                (config.read, usize::try_from(held).map_or(*len, |held| held.min(*len)))
            }
            Work::Write(_, _, data) => (config.write, data.len()),
            Work::Sync(_) | Work::SyncDir(_) => (config.sync, 0),
            Work::WriteSync(_, parts) => (config.sync, parts.iter().map(|part| part.1.len()).sum()),
            Work::Len(_) | Work::SetLen(..) => (config.write, 0),
            _ => (config.name, 0),
        };
        let moving = bytes as u128 * 1_000_000_000 / u128::from(config.bandwidth.max(1));
        let mut took = self.dice.span(span) + moving as u64;
        if self.slow.1 > now {
            took = took.saturating_mul(u64::from(self.slow.0));
        }
        let mut start = now;
        let flush = matches!(work, Work::Sync(_) | Work::WriteSync(..) | Work::SyncDir(_));
        if flush {
            start = start.max(self.flush_busy_until);
        }
        let (Work::Read(file, ..)
        | Work::Write(file, ..)
        | Work::Sync(file)
        | Work::WriteSync(file, _)
        | Work::Len(file)
        | Work::SetLen(file, _)) = work
        else {
            return start + took;
        };
        let busy_until = self.files.get(file).map_or(0, |inode| inode.busy_until);
        let at = start.max(busy_until) + took;
        if let Some(inode) = self.files.get_mut(file) {
            inode.busy_until = at;
        }
        if flush {
            self.flush_busy_until = at;
        }
        at
    }
}

// What operations do.

impl Disk {
    pub fn read(&mut self, file: u64, mut offset: u64, len: usize, effects: &mut Effects) -> io::Result<Bytes> {
        let held = self.inode(file)?.content.len();
        let full = (len as u64).min(held.saturating_sub(offset)) as usize;
        if self.straight_reads > 0 {
            self.straight_reads -= 1;
        } else if self.misdirected_reads > 0 && offset < held && self.dice.chance(0.5) {
            // Not always the first, which are of the heads; never what is there twice.
            self.misdirected_reads -= 1;
            self.straight_reads = STRAIGHT;
            offset = self.elsewhere(offset, held);
            effects.push("misdirected read");
        }
        let content = &self.inode(file)?.content;
        if content.unreadable(offset, len) {
            effects.push("read error");
            return broken();
        }
        let read = content.read(offset, full);
        if read.len() == full {
            return Ok(read);
        }
        // Elsewhere on the device there is something else, not the end of this file.
        let mut whole = read.to_vec();
        whole.resize(full, 0);
        Ok(whole.into())
    }

    /// A wrong place in a file of some length, as far off the right one as whole pages go.
    fn elsewhere(&mut self, offset: u64, len: u64) -> u64 {
        let page = crate::content::PAGE as u64;
        let shift = page * (1 + self.dice.below((len / page).max(1)));
        if offset >= shift { offset - shift } else { offset + shift }
    }

    pub fn write(&mut self, file: u64, mut offset: u64, mut data: Bytes, effects: &mut Effects) -> io::Result<()> {
        let len = self.inode(file)?.content.len();
        if offset.checked_add(data.len() as u64).is_none() {
            return error(ErrorKind::InvalidInput);
        }
        if self.straight > 0 {
            self.straight -= 1;
        } else if self.misdirected_writes > 0 && len > 0 {
            self.misdirected_writes -= 1;
            self.straight = STRAIGHT;
            offset = self.elsewhere(offset, len);
            effects.push("misdirected write");
        }
        let fits = self.grow(offset.saturating_add(data.len() as u64).saturating_sub(len));
        let full = fits.is_some();
        if let Some(fits) = fits {
            // What there is room for is written, as the system does.
            data.truncate((len + fits).saturating_sub(offset) as usize);
            effects.push("disk full");
        }
        if !(full && data.is_empty()) {
            self.inode(file)?.content.write(offset, data);
        }
        if full { error(ErrorKind::StorageFull) } else { Ok(()) }
    }

    /// Takes room for so many bytes; if there is not enough, all there is, and says how much that was.
    fn grow(&mut self, bytes: u64) -> Option<u64> {
        let room = self.room.filter(|room| *room < bytes);
        self.room = self.room.map(|room| room.saturating_sub(bytes));
        room
    }

    /// What an operation has done to a file when it is interrupted after so many writes: they are not synced.
    pub fn begin(&mut self, work: Work, writes: usize) {
        let (file, parts) = match work {
            Work::Write(file, offset, data) => (file, vec![(offset, data)]),
            Work::WriteSync(file, parts) => (file, parts),
            Work::SetLen(file, len) if writes > 0 => return drop(self.set_len(file, len, &mut Vec::new())),
            _ => return,
        };
        // An interrupted operation tells nobody of its errors.
        let mut parts = parts.into_iter().take(writes);
        drop(parts.try_for_each(|(offset, data)| self.write(file, offset, data, &mut Vec::new())));
    }

    pub fn len(&mut self, file: u64) -> io::Result<u64> {
        Ok(self.inode(file)?.content.len())
    }

    pub fn set_len(&mut self, file: u64, len: u64, effects: &mut Effects) -> io::Result<()> {
        let held = self.inode(file)?.content.len();
        if self.grow(len.saturating_sub(held)).is_some() {
            effects.push("disk full");
            return error(ErrorKind::StorageFull);
        }
        self.inode(file)?.content.set_len(len);
        Ok(())
    }

    pub fn sync(&mut self, file: u64, effects: &mut Effects) -> io::Result<()> {
        let fails = self.sync_fails(effects);
        let content = &mut self.inode(file)?.content;
        if fails {
            content.fail_sync();
            return broken();
        }
        content.sync();
        Ok(())
    }

    fn sync_fails(&mut self, effects: &mut Effects) -> bool {
        let fails = self.failing_syncs > 0;
        if fails {
            self.failing_syncs -= 1;
            effects.push("failed sync");
        }
        fails
    }

    /// Does an operation on names; gives what it is called, and on which name it was.
    pub fn perform_on_name(
        &mut self,
        incarnation: u64,
        work: Work,
        effects: &mut Effects,
    ) -> (&'static str, PathBuf, io::Result<Outcome>) {
        let done = |done: bool| if done { Ok(Outcome::Done) } else { error(ErrorKind::NotFound) };
        match work {
            Work::Open(path, mode) => ("open", path.clone(), self.open(path, mode, effects)),
            Work::CreateDirs(path) => {
                self.names.make_dirs(&path);
                ("create directory", path, Ok(Outcome::Done))
            }
            Work::List(path) => {
                let names = self.names.list(&path);
                ("list", path, Ok(Outcome::Names(names)))
            }
            Work::Rename(from, to) => {
                let renamed = self.names.rename(from.clone(), to);
                self.free();
                ("rename", from, done(renamed))
            }
            Work::Remove(path) => {
                let removed = self.names.unlink(&path);
                self.free();
                ("remove", path, done(removed))
            }
            Work::SyncDir(path) => {
                let result = self.sync_dir(&path, effects);
                ("sync directory", path, result.map(|()| Outcome::Done))
            }
            Work::Lock(path) => {
                let result = self.lock(&path, incarnation);
                ("lock", path, result.map(|()| Outcome::Done))
            }
            _ => unreachable!("operations on contents are performed elsewhere"),
        }
    }

    fn open(&mut self, path: PathBuf, mode: OpenMode, effects: &mut Effects) -> io::Result<Outcome> {
        let file = match (self.names.file(&path), mode) {
            (Some(_), OpenMode::CreateNew) => return error(ErrorKind::AlreadyExists),
            (None, OpenMode::Read | OpenMode::Write) => return error(ErrorKind::NotFound),
            (Some(file), _) => file,
            (None, OpenMode::CreateNew) => {
                if !self.names.has_room_for(&path) {
                    return error(ErrorKind::NotFound);
                }
                if self.room == Some(0) {
                    effects.push("disk full");
                    return error(ErrorKind::StorageFull);
                }
                self.create(path)
            }
        };
        self.inode(file)?.handles += 1;
        Ok(Outcome::File(file))
    }

    fn create(&mut self, path: PathBuf) -> u64 {
        let file = self.add_file(Content::default());
        self.names.link(path, file);
        file
    }

    fn lock(&mut self, path: &Path, incarnation: u64) -> io::Result<()> {
        if !self.names.has_room_for(path) {
            return error(ErrorKind::NotFound);
        }
        if self.locks.contains_key(path) {
            return error(ErrorKind::WouldBlock);
        }
        if self.names.file(path).is_none() {
            self.create(path.to_owned());
        }
        self.locks.insert(path.to_owned(), incarnation);
        Ok(())
    }

    fn sync_dir(&mut self, path: &Path, effects: &mut Effects) -> io::Result<()> {
        if !self.names.has_dir(path) {
            return error(ErrorKind::NotFound);
        }
        if self.sync_fails(effects) {
            return broken();
        }
        self.names.sync(path);
        self.free();
        Ok(())
    }
}
