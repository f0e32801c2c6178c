//! The disk of one host: files, names and locks, with what is durable of each, and the queue of its operations.
//!
//! An operation takes effect when it completes; operations of one file complete in the order of the calls, and flushes
//! of one disk one after the other. What was still queued when its process died happens up to a random point.

use crate::content::Content;
use crate::dice::Dice;
use crate::events::EventKind;
use crate::falls::Place;
use crate::kernel::{Due, Kernel, park};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::task::{Context, Poll, Waker};
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

/// What a disk holds, to be put back later.
#[derive(Clone)]
pub struct DiskImage {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
}

pub(crate) struct Disk {
    pub config: DiskConfig,
    pub dice: Dice,
    files: BTreeMap<u64, Inode>,
    files_made: u64,
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, u64>,
    durable_dirs: BTreeSet<PathBuf>,
    name_changes: Vec<NameChange>,
    locks: BTreeMap<PathBuf, u64>,
    flush_busy_until: u64,
    /// Nothing completes before.
    pub stuck_until: u64,
    /// Factor on every operation's time, and until when.
    pub slow: (u32, u64),
    /// Flushes that will fail.
    pub failing_syncs: u32,
    /// Nothing can grow.
    pub full: bool,
    /// Writes that will go to the wrong place.
    pub misdirected_writes: u32,
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

/// A change of names since the last sync of its directory.
enum NameChange {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, u64),
    Dir(PathBuf),
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            NameChange::Link(path, _) | NameChange::Unlink(path) | NameChange::Dir(path) => path,
            NameChange::Rename(_, to, _) => to,
        }
    }
}

/// What an operation does.
pub(crate) enum Work {
    Open(PathBuf, OpenMode),
    CreateDirs(PathBuf),
    List(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
    Lock(PathBuf),
    Read(u64, u64, usize),
    Write(u64, u64, Bytes),
    Sync(u64),
    WriteSync(u64, Vec<(u64, Bytes)>),
    Len(u64),
    SetLen(u64, u64),
}

/// What it brings.
pub(crate) enum Outcome {
    Done,
    File(u64),
    Names(Vec<PathBuf>),
    Data(Bytes),
    Len(u64),
}

/// An operation from its call until its result is taken.
pub(crate) struct PendingOp {
    host: u32,
    incarnation: u64,
    work: Option<Work>,
    result: Option<io::Result<Outcome>>,
    waker: Option<Waker>,
    /// Nobody waits for the result.
    abandoned: bool,
}

fn error<T>(kind: ErrorKind) -> io::Result<T> {
    Err(kind.into())
}

/// A path without `.`: the working directory is the empty path.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

impl Disk {
    pub fn new(dice: Dice) -> Disk {
        let roots = || [PathBuf::new(), PathBuf::from("/")].into();
        Disk {
            config: DiskConfig::default(),
            dice,
            files: BTreeMap::new(),
            files_made: 0,
            names: BTreeMap::new(),
            dirs: roots(),
            durable_names: BTreeMap::new(),
            durable_dirs: roots(),
            name_changes: Vec::new(),
            locks: BTreeMap::new(),
            flush_busy_until: 0,
            stuck_until: 0,
            slow: (1, 0),
            failing_syncs: 0,
            full: false,
            misdirected_writes: 0,
            plug: Plug::In,
        }
    }

    /// The contents of a file by its name.
    pub fn content(&mut self, path: &Path) -> Option<(&mut Content, &mut Dice)> {
        let inode = self.files.get_mut(self.names.get(&plain(path))?)?;
        Some((&mut inode.content, &mut self.dice))
    }

    /// Names of all files.
    pub fn paths(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.names.iter().map(|(path, file)| (path.as_path(), self.files.get(file).map_or(0, |f| f.content.len())))
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
        let named: BTreeSet<u64> = self.names.values().chain(self.durable_names.values()).copied().collect();
        let changed = |file: u64| {
            let of = |change: &NameChange| matches!(change, NameChange::Link(_, other) | NameChange::Rename(_, _, other) if *other == file);
            self.name_changes.iter().any(of)
        };
        self.files.retain(|&file, inode| inode.handles > 0 || named.contains(&file) || changed(file));
    }

    /// Power is gone. Gives the number of changes that did not survive whole.
    pub fn lose(&mut self) -> u64 {
        let mut damaged = 0;
        for inode in self.files.values_mut() {
            damaged += inode.content.lose(&mut self.dice);
            inode.busy_until = 0;
        }
        for change in std::mem::take(&mut self.name_changes) {
            if self.dice.chance(0.5) {
                self.make_durable(change);
            } else {
                damaged += 1;
            }
        }
        // What lay in a directory that is gone is gone with it.
        let dirs = self.durable_dirs.clone();
        let has_parents = |path: &Path| path.ancestors().skip(1).all(|dir| dirs.contains(dir));
        self.durable_dirs.retain(|dir| has_parents(dir));
        self.durable_names.retain(|path, _| has_parents(path));
        (self.names, self.dirs) = (self.durable_names.clone(), self.durable_dirs.clone());
        self.locks.clear();
        self.flush_busy_until = 0;
        self.free();
        damaged
    }

    fn make_durable(&mut self, change: NameChange) {
        match change {
            NameChange::Link(path, file) => {
                self.durable_names.insert(path, file);
            }
            NameChange::Unlink(path) => {
                self.durable_names.remove(&path);
            }
            NameChange::Rename(from, to, file) => {
                if self.durable_names.get(&from) == Some(&file) {
                    self.durable_names.remove(&from);
                }
                self.durable_names.insert(to, file);
            }
            NameChange::Dir(path) => {
                self.durable_dirs.insert(path);
            }
        }
    }

    pub fn image(&self) -> DiskImage {
        let files = self.files.iter().map(|(&file, inode)| (file, inode.content.clone())).collect();
        DiskImage { files, names: self.names.clone(), dirs: self.dirs.clone() }
    }

    /// Replaces everything, durably.
    pub fn restore(&mut self, image: DiskImage) {
        self.wipe();
        self.dirs = image.dirs;
        // New numbers: a process that has just died may still let go of the old ones.
        let mut numbers = BTreeMap::new();
        for (old, mut content) in image.files {
            content.sync();
            numbers.insert(old, self.add_file(content));
        }
        self.names = image.names.into_iter().filter_map(|(path, old)| Some((path, *numbers.get(&old)?))).collect();
        (self.durable_names, self.durable_dirs) = (self.names.clone(), self.dirs.clone());
        self.free();
    }

    /// Removes everything, durably.
    pub fn wipe(&mut self) {
        self.files.clear();
        self.names.clear();
        self.durable_names.clear();
        self.name_changes.clear();
        self.locks.clear();
        self.dirs = [PathBuf::new(), PathBuf::from("/")].into();
        self.durable_dirs = self.dirs.clone();
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
    fn completion(&mut self, now: u64, work: &Work) -> u64 {
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

// Operations.

impl Kernel {
    /// Queues an operation; the number names it.
    pub fn disk_op(&mut self, host: u32, incarnation: u64, work: Work) -> u64 {
        let id = self.number();
        let mut op = PendingOp { host, incarnation, work: None, result: None, waker: None, abandoned: false };
        if self.is_running(host, incarnation) {
            let now = self.now;
            let at = self.host(host).disk.completion(now, &work);
            op.work = Some(work);
            self.schedule(at, Due::Disk(id));
        } else {
            op.result = Some(Err(io::Error::other("the process is gone")));
        }
        self.disk_ops.insert(id, op);
        id
    }

    pub fn disk_due(&mut self, id: u64) {
        let Some(op) = self.disk_ops.get_mut(&id) else { return };
        let host = op.host;
        let (now, disk) = (self.now, &self.hosts[host as usize].disk);
        if disk.stuck_until > now {
            let until = disk.stuck_until;
            self.effect("stuck disk");
            return self.schedule(until, Due::Disk(id));
        }
        let slow = disk.slow.1 > now;
        let incarnation = op.incarnation;
        let Some(work) = op.work.take() else { return };
        if slow {
            self.effect("slow disk");
        }
        if let Some((place, named)) = self.falls_at(host, &work) {
            match place {
                Place::Within(writes) => self.host(host).disk.begin(work, writes),
                Place::After => drop(self.perform(host, incarnation, work)),
            }
            if self.disk_ops.get(&id).is_some_and(|op| op.abandoned) {
                self.disk_ops.remove(&id);
            }
            return self.fall(host, named);
        }
        let result = self.perform(host, incarnation, work);
        if let Some(op) = self.disk_ops.get_mut(&id) {
            if op.abandoned {
                self.disk_ops.remove(&id);
            } else {
                op.result = Some(result);
                let waker = op.waker.take();
                self.wake(waker);
            }
        }
    }

    pub fn poll_disk_op(&mut self, cx: &Context<'_>, id: u64) -> Poll<io::Result<Outcome>> {
        let Some(op) = self.disk_ops.get_mut(&id) else {
            return Poll::Ready(Err(io::Error::other("the operation is gone")));
        };
        match op.result.take() {
            Some(result) => {
                self.disk_ops.remove(&id);
                Poll::Ready(result)
            }
            None => {
                park(&mut op.waker, &mut self.dropped, cx);
                Poll::Pending
            }
        }
    }

    /// Nobody waits for an operation any more; it happens all the same.
    pub fn abandon_disk_op(&mut self, id: u64) {
        let Some(op) = self.disk_ops.get_mut(&id) else { return };
        self.dropped.extend(op.waker.take());
        op.abandoned = true;
        if op.work.is_none() {
            let op = self.disk_ops.remove(&id);
            // An opened file that nobody took.
            if let Some(PendingOp { host, result: Some(Ok(Outcome::File(file))), .. }) = op {
                self.host(host).disk.close(file);
            }
        }
    }

    /// A process is gone: what it had called happens up to a random point.
    pub fn finish_disk_ops(&mut self, host: u32, incarnation: u64) {
        let of_process = |(_, op): &(&u64, &mut PendingOp)| op.host == host && op.incarnation == incarnation;
        let works: Vec<Work> =
            self.disk_ops.iter_mut().filter(of_process).filter_map(|(_, op)| op.work.take()).collect();
        for work in works {
            let contents = matches!(work, Work::Write(..) | Work::WriteSync(..) | Work::SetLen(..) | Work::Sync(_));
            if contents && !self.host(host).disk.dice.chance(0.5) {
                break;
            }
            if contents {
                drop(self.perform(host, incarnation, work));
            }
        }
    }

    /// A host loses power: writes that were on their way may be half done.
    pub fn tear_disk_ops(&mut self, host: u32) {
        let works: Vec<Work> =
            self.disk_ops.values_mut().filter(|op| op.host == host).filter_map(|op| op.work.take()).collect();
        works.into_iter().for_each(|work| self.host(host).disk.begin(work, usize::MAX));
    }

    fn perform(&mut self, host: u32, incarnation: u64, work: Work) -> io::Result<Outcome> {
        match self.host(host).disk.plug {
            Plug::In => {}
            Plug::InFor(operations @ 1..) => self.host(host).disk.plug = Plug::InFor(operations - 1),
            Plug::InFor(0) => {
                self.host(host).disk.plug = Plug::Out;
                self.host(host).disk.begin(work, usize::MAX);
                self.effect("unplugged disk");
                return Err(io::Error::other("the disk is gone"));
            }
            Plug::Out => return Err(io::Error::other("the disk is gone")),
        }
        let mut effects = Vec::new();
        let (kind, result) = perform(self.host(host), host, incarnation, work, &mut effects);
        self.record(kind);
        for effect in effects {
            self.effect(effect);
        }
        result
    }
}

type Effects = Vec<&'static str>;

fn perform(
    state: &mut crate::kernel::HostState,
    host: u32,
    incarnation: u64,
    work: Work,
    effects: &mut Effects,
) -> (EventKind, io::Result<Outcome>) {
    let disk = &mut state.disk;
    let (op, file, offset, len, result) = match work {
        Work::Read(file, offset, len) => ("read", file, offset, len, disk.read(file, offset, len, effects)),
        Work::Write(file, offset, data) => {
            ("write", file, offset, data.len(), disk.write(file, offset, data, effects).map(|()| Outcome::Done))
        }
        Work::Sync(file) => ("sync", file, 0, 0, disk.sync(file, effects)),
        Work::WriteSync(file, parts) => {
            let (offset, len) = (parts.first().map_or(0, |part| part.0), parts.iter().map(|part| part.1.len()).sum());
            let wrote = parts.into_iter().try_for_each(|(offset, data)| disk.write(file, offset, data, effects));
            ("write and sync", file, offset, len, wrote.and_then(|()| disk.sync(file, effects)))
        }
        Work::Len(file) => ("length", file, 0, 0, disk.inode(file).map(|inode| Outcome::Len(inode.content.len()))),
        Work::SetLen(file, len) => ("set length", file, len, 0, disk.set_len(file, len, effects)),
        work => {
            let (op, path, result) = disk.perform_on_name(incarnation, work, effects);
            let path = path.to_string_lossy().into_owned();
            return (EventKind::Name { host, op, path, ok: result.is_ok() }, result);
        }
    };
    (EventKind::File { host, op, file, offset, len: len as u64, ok: result.is_ok() }, result)
}

impl Disk {
    fn read(&mut self, file: u64, offset: u64, len: usize, effects: &mut Effects) -> io::Result<Outcome> {
        let content = &self.inode(file)?.content;
        if content.unreadable(offset, len) {
            effects.push("read error");
            return Err(io::Error::other("input/output error"));
        }
        Ok(Outcome::Data(content.read(offset, len)))
    }

    fn write(&mut self, file: u64, mut offset: u64, data: Bytes, effects: &mut Effects) -> io::Result<()> {
        let len = self.inode(file)?.content.len();
        let Some(end) = offset.checked_add(data.len() as u64) else { return error(ErrorKind::InvalidInput) };
        if self.full && end > len {
            effects.push("disk full");
            return error(ErrorKind::StorageFull);
        }
        if self.misdirected_writes > 0 && len > 0 {
            self.misdirected_writes -= 1;
            // Somewhere else in the same file, as far off its place as whole pages go.
            let pages = (len / crate::content::PAGE as u64).max(1);
            let shift = crate::content::PAGE as u64 * (1 + self.dice.below(pages));
            offset = if offset >= shift { offset - shift } else { offset + shift };
            effects.push("misdirected write");
        }
        self.inode(file)?.content.write(offset, data);
        Ok(())
    }

    /// What an operation has done to a file when it is interrupted after so many writes: they are not synced.
    fn begin(&mut self, work: Work, writes: usize) {
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

    fn set_len(&mut self, file: u64, len: u64, effects: &mut Effects) -> io::Result<Outcome> {
        let full = self.full;
        let content = &mut self.inode(file)?.content;
        if full && len > content.len() {
            effects.push("disk full");
            return error(ErrorKind::StorageFull);
        }
        content.set_len(len);
        Ok(Outcome::Done)
    }

    fn sync(&mut self, file: u64, effects: &mut Effects) -> io::Result<Outcome> {
        let fails = self.failing_syncs > 0;
        self.failing_syncs -= u32::from(fails);
        let content = &mut self.inode(file)?.content;
        if fails {
            content.fail_sync();
            effects.push("failed sync");
            return Err(io::Error::other("input/output error"));
        }
        content.sync();
        Ok(Outcome::Done)
    }

    fn perform_on_name(
        &mut self,
        incarnation: u64,
        work: Work,
        effects: &mut Effects,
    ) -> (&'static str, PathBuf, io::Result<Outcome>) {
        match work {
            Work::Open(path, mode) => ("open", path.clone(), self.open(path, mode, effects)),
            Work::CreateDirs(path) => {
                let mut missing: Vec<&Path> = path.ancestors().filter(|dir| !self.dirs.contains(*dir)).collect();
                missing.reverse();
                for dir in missing {
                    self.dirs.insert(dir.to_owned());
                    self.name_changes.push(NameChange::Dir(dir.to_owned()));
                }
                ("create directory", path, Ok(Outcome::Done))
            }
            Work::List(path) => {
                let inside = self.names.keys().filter(|name| parent(name) == path);
                let names = inside.filter_map(|name| name.file_name()).map(PathBuf::from).collect();
                ("list", path, Ok(Outcome::Names(names)))
            }
            Work::Rename(from, to) => ("rename", from.clone(), self.rename(from, to)),
            Work::Remove(path) => {
                let result = if self.names.remove(&path).is_some() {
                    self.name_changes.push(NameChange::Unlink(path.clone()));
                    self.free();
                    Ok(Outcome::Done)
                } else {
                    error(ErrorKind::NotFound)
                };
                ("remove", path, result)
            }
            Work::SyncDir(path) => ("sync directory", path.clone(), self.sync_dir(&path, effects)),
            Work::Lock(path) => {
                let result = if !self.dirs.contains(parent(&path)) {
                    error(ErrorKind::NotFound)
                } else if self.locks.contains_key(&path) {
                    error(ErrorKind::WouldBlock)
                } else {
                    if !self.names.contains_key(&path) {
                        self.create(path.clone());
                    }
                    self.locks.insert(path.clone(), incarnation);
                    Ok(Outcome::Done)
                };
                ("lock", path, result)
            }
            _ => unreachable!("operations on contents are performed elsewhere"),
        }
    }

    fn open(&mut self, path: PathBuf, mode: OpenMode, effects: &mut Effects) -> io::Result<Outcome> {
        let existing = self.names.get(&path).copied();
        let file = match (existing, mode) {
            (Some(_), OpenMode::CreateNew) => return error(ErrorKind::AlreadyExists),
            (None, OpenMode::Read | OpenMode::Write) => return error(ErrorKind::NotFound),
            (Some(file), _) => file,
            (None, OpenMode::CreateNew) => {
                if !self.dirs.contains(parent(&path)) {
                    return error(ErrorKind::NotFound);
                }
                if self.full {
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
        self.names.insert(path.clone(), file);
        self.name_changes.push(NameChange::Link(path, file));
        file
    }

    fn rename(&mut self, from: PathBuf, to: PathBuf) -> io::Result<Outcome> {
        if !self.dirs.contains(parent(&to)) {
            return error(ErrorKind::NotFound);
        }
        let Some(file) = self.names.remove(&from) else { return error(ErrorKind::NotFound) };
        self.names.insert(to.clone(), file);
        self.name_changes.push(NameChange::Rename(from, to, file));
        self.free();
        Ok(Outcome::Done)
    }

    fn sync_dir(&mut self, path: &Path, effects: &mut Effects) -> io::Result<Outcome> {
        if !self.dirs.contains(path) {
            return error(ErrorKind::NotFound);
        }
        if self.failing_syncs > 0 {
            self.failing_syncs -= 1;
            effects.push("failed sync");
            return Err(io::Error::other("input/output error"));
        }
        let (now, later) = std::mem::take(&mut self.name_changes)
            .into_iter()
            .partition::<Vec<_>, _>(|change| parent(change.path()) == path);
        self.name_changes = later;
        for change in now {
            self.make_durable(change);
        }
        self.free();
        Ok(Outcome::Done)
    }
}
