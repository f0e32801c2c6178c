//! A machine for the tests: a disk in memory that forgets, reorders and tears what was not synced when the power
//! fails. Everything completes at once.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use synod_env::{BoxFuture, Clock, Datagrams, Disk, Env, File, Listener, Network, OpenMode, Random, Stream, Tasks};
use synod_storage::suite::Dice;
use synod_storage::suite::crashes::Power;
use synod_storage::suite::states::Fork;
use synod_types::Instant;

/// Runs a future that never has to wait for anything outside.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here should wait"),
    }
}

#[derive(Default)]
struct Inode {
    /// Where reads fail.
    unreadable: Option<std::ops::Range<usize>>,
    /// After so many reads more one comes from so many bytes further on.
    astray_in: Option<u32>,
    astray_by: usize,
    /// Shared until they differ: many states of a disk are looked at.
    durable: Arc<Vec<u8>>,
    current: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Bytes),
    Length(usize),
}

impl Change {
    fn apply(&self, content: &mut Arc<Vec<u8>>) {
        let content = Arc::make_mut(content);
        match self {
            Change::Write(offset, bytes) => {
                if content.len() < offset + bytes.len() {
                    content.resize(offset + bytes.len(), 0);
                }
                content[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Change::Length(length) => content.resize(*length, 0),
        }
    }
}

#[derive(Clone)]
enum Entry {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Entry {
    fn folder(&self) -> Option<&Path> {
        let (Entry::Create(path, _) | Entry::Rename(path, _) | Entry::Remove(path)) = self;
        path.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Entry::Create(path, inode) => drop(names.insert(path.clone(), *inode)),
            Entry::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Entry::Remove(path) => drop(names.remove(path)),
        }
    }
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    durable: BTreeMap<PathBuf, usize>,
    current: BTreeMap<PathBuf, usize>,
    pending: Vec<Entry>,
    locked: Vec<PathBuf>,
    /// Operations until the power fails.
    left: Option<u64>,
    off: bool,
    /// The next sync fails and forgets what was not synced.
    lying: bool,
    /// What the next write or sync fails with.
    failure: Option<io::ErrorKind>,
    dice: Option<Dice>,
    epoch: u64,
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            if *left == 0 {
                self.off = true;
            } else {
                *left -= 1;
            }
        }
        if self.off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }
}

/// The machine's disk; a clone is the same disk.
#[derive(Clone, Default)]
pub struct Machine {
    state: Arc<Mutex<State>>,
}

impl Machine {
    pub fn new(seed: u64) -> (Machine, Env) {
        let machine = Machine::default();
        machine.state.lock().unwrap().dice = Some(Dice(seed));
        let env = machine.env(!seed);
        (machine, env)
    }

    fn env(&self, seed: u64) -> Env {
        let world = Arc::new(World { dice: Mutex::new(Dice(seed)) });
        Env {
            clock: world.clone(),
            network: world.clone(),
            disk: Arc::new(self.clone()),
            random: world.clone(),
            tasks: world,
        }
    }
}

impl Machine {
    /// The next write or sync of a file fails.
    pub fn fail_next(&self, kind: io::ErrorKind) {
        self.state.lock().unwrap().failure = Some(kind);
    }

    /// The next sync of a file fails, and the pages it should have written count as clean from then on.
    pub fn fail_sync(&self) {
        self.state.lock().unwrap().lying = true;
    }

    /// A place of a file cannot be read until it is written again.
    pub fn spoil(&self, path: &Path, place: std::ops::Range<usize>) {
        let mut state = self.state.lock().unwrap();
        let inode = state.current[path];
        state.inodes[inode].unreadable = Some(place);
    }

    /// After so many reads of a file one comes from elsewhere.
    pub fn misread(&self, path: &Path, after: u32, by: usize) {
        let mut state = self.state.lock().unwrap();
        let inode = state.current[path];
        (state.inodes[inode].astray_in, state.inodes[inode].astray_by) = (Some(after), by);
    }
}

impl Power for Machine {
    fn cut_after(&self, operations: u64) {
        self.state.lock().unwrap().left = Some(operations);
    }

    fn restore(&self) {
        let mut state = self.state.lock().unwrap();
        let mut dice = state.dice.take().unwrap();
        for inode in &mut state.inodes {
            let mut pending = std::mem::take(&mut inode.pending);
            // Sometimes all or nothing, else each write has its own fate, in any order.
            let mood = dice.below(4);
            for i in (1..pending.len()).rev() {
                if mood > 1 {
                    pending.swap(i, dice.below(i as u64 + 1) as usize);
                }
            }
            for change in &pending {
                match (mood, dice.below(3), change) {
                    (0, ..) | (2.., 0, _) => {}
                    (2.., 1, Change::Write(offset, bytes)) => {
                        let torn = bytes.slice(..dice.below(bytes.len() as u64 + 1) as usize);
                        Change::Write(*offset, torn).apply(&mut inode.durable);
                    }
                    _ => change.apply(&mut inode.durable),
                }
            }
            inode.current = inode.durable.clone();
        }
        let kept: Vec<_> = std::mem::take(&mut state.pending).into_iter().filter(|_| dice.one_in(2)).collect();
        kept.iter().for_each(|entry| entry.apply(&mut state.durable));
        state.current = state.durable.clone();
        state.locked.clear();
        (state.left, state.off, state.dice) = (None, false, Some(dice));
        state.epoch += 1;
    }

    fn restart(&self) {
        let mut state = self.state.lock().unwrap();
        state.locked.clear();
        (state.left, state.off) = (None, false);
        state.epoch += 1;
    }
}

impl Fork for Machine {
    fn crash_states(&self, changes_max: usize) -> Box<dyn Iterator<Item = Env> + Send> {
        let state = self.state.lock().unwrap();
        let inodes: Vec<_> = state.inodes.iter().map(|inode| (inode.durable.clone(), inode.pending.clone())).collect();
        let (names, entries) = (state.durable.clone(), state.pending.clone());
        let changes: usize = inodes.iter().map(|inode| inode.1.len()).sum();
        let unsynced = changes + entries.len();
        let free = unsynced.min(changes_max);
        // The last write is lost in some states; in as many others it is torn, here or there.
        let writes = inodes.iter().flat_map(|inode| &inode.1).enumerate();
        let torn = writes.filter(|(_, change)| matches!(change, Change::Write(..))).map(|(nth, _)| nth).last();
        let states = (0..1_usize << free).flat_map(move |choice| {
            let kept = move |nth: usize| nth + free < unsynced || choice >> (nth + free - unsynced) & 1 == 1;
            let tears = if torn.is_some_and(|nth| !kept(nth)) { 0..8 } else { 0..1 };
            tears.map(move |tear| (kept, torn.filter(|_| tear > 0), tear))
        });
        let fork = move |(kept, torn, tear): (_, Option<usize>, usize)| {
            let kept: &dyn Fn(usize) -> bool = &kept;
            let mut nth = 0..;
            let mut forked = State { dice: Some(Dice(1)), durable: names.clone(), ..State::default() };
            for (durable, pending) in &inodes {
                let mut durable = durable.clone();
                for change in pending {
                    let nth = nth.next().unwrap();
                    match change {
                        Change::Write(offset, bytes) if torn == Some(nth) => {
                            // In steps of an eighth, which are no whole sectors, and its second half.
                            let (from, to) = if tear == 7 { (4, 8) } else { (0, tear) };
                            let (from, to) = (bytes.len() * from / 8, bytes.len() * to / 8);
                            Change::Write(offset + from, bytes.slice(from..to)).apply(&mut durable);
                        }
                        change if kept(nth) => change.apply(&mut durable),
                        _ => {}
                    }
                }
                forked.inodes.push(Inode { current: durable.clone(), durable, ..Inode::default() });
            }
            for entry in &entries {
                if kept(nth.next().unwrap()) {
                    entry.apply(&mut forked.durable);
                }
            }
            forked.current = forked.durable.clone();
            Machine { state: Arc::new(Mutex::new(forked)) }.env(1)
        };
        Box::new(states.map(fork))
    }
}

struct Opened {
    state: Arc<Mutex<State>>,
    inode: usize,
    epoch: u64,
}

impl Opened {
    fn operate<T>(&self, work: impl FnOnce(&mut Inode) -> T) -> io::Result<T> {
        let mut state = self.state.lock().unwrap();
        state.operate()?;
        if state.epoch != self.epoch {
            return Err(io::Error::other("opened before the power failed"));
        }
        Ok(work(&mut state.inodes[self.inode]))
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.fail()?;
        self.operate(|inode| {
            if let (Change::Write(at, bytes), Some(place)) = (&change, &inode.unreadable)
                && *at < place.end
                && place.start < at + bytes.len()
            {
                inode.unreadable = None;
            }
            change.apply(&mut inode.current);
            inode.pending.push(change);
        })
    }

    fn fail(&self) -> io::Result<()> {
        self.state.lock().unwrap().failure.take().map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn flush(&self) -> io::Result<()> {
        self.fail()?;
        if std::mem::take(&mut self.state.lock().unwrap().lying) {
            self.operate(|inode| inode.pending.clear())?;
            return Err(io::Error::other("sync failed"));
        }
        self.operate(|inode| {
            for change in std::mem::take(&mut inode.pending) {
                change.apply(&mut inode.durable);
            }
        })
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl File for Opened {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        let read = self.operate(|inode| {
            let astray = inode.astray_in == Some(0);
            inode.astray_in = inode.astray_in.and_then(|left| left.checked_sub(1));
            let offset = offset as usize + if astray { inode.astray_by } else { 0 };
            let start = offset.min(inode.current.len());
            let end = (start + len).min(inode.current.len());
            match &inode.unreadable {
                Some(place) if start < place.end && place.start < end => Err(io::Error::other("bad sector")),
                _ => Ok(Bytes::copy_from_slice(&inode.current[start..end])),
            }
        });
        ready(read.flatten())
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        ready(self.change(Change::Write(offset as usize, data)))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        ready(self.flush())
    }

    fn write_sync(&self, parts: Vec<(u64, Bytes)>) -> BoxFuture<'_, io::Result<()>> {
        let written = parts.into_iter().try_for_each(|(at, data)| self.change(Change::Write(at as usize, data)));
        ready(written.and_then(|()| self.flush()))
    }

    fn len(&self) -> BoxFuture<'_, io::Result<u64>> {
        ready(self.operate(|inode| inode.current.len() as u64))
    }

    fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        ready(self.change(Change::Length(len as usize)))
    }
}

impl Disk for Machine {
    fn open(&self, path: &Path, mode: OpenMode) -> BoxFuture<'_, io::Result<Box<dyn File>>> {
        let mut state = self.state.lock().unwrap();
        let opened = state.operate().and_then(|()| match (state.current.get(path).copied(), mode) {
            (Some(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => Ok(inode),
            (None, OpenMode::CreateNew) => {
                let inode = state.inodes.len();
                state.inodes.push(Inode::default());
                let entry = Entry::Create(path.to_owned(), inode);
                entry.apply(&mut state.current);
                state.pending.push(entry);
                Ok(inode)
            }
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        });
        let epoch = state.epoch;
        ready(opened.map(|inode| Box::new(Opened { state: self.state.clone(), inode, epoch }) as Box<dyn File>))
    }

    fn create_dir_all(&self, _path: &Path) -> BoxFuture<'_, io::Result<()>> {
        ready(self.state.lock().unwrap().operate())
    }

    fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<PathBuf>>> {
        let mut state = self.state.lock().unwrap();
        let listed = state.operate().map(|()| {
            let names = state.current.keys().filter(|name| name.parent() == Some(path));
            names.filter_map(|name| name.file_name()).map(PathBuf::from).collect()
        });
        ready(listed)
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.entry(Entry::Rename(from.to_owned(), to.to_owned()), from)
    }

    fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.entry(Entry::Remove(path.to_owned()), path)
    }

    fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        let mut state = self.state.lock().unwrap();
        let synced = state.operate().map(|()| {
            let pending = std::mem::take(&mut state.pending);
            let (here, elsewhere): (Vec<_>, _) = pending.into_iter().partition(|entry| entry.folder() == Some(path));
            here.iter().for_each(|entry| entry.apply(&mut state.durable));
            state.pending = elsewhere;
        });
        ready(synced)
    }

    fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        let mut state = self.state.lock().unwrap();
        let locked = state.operate().and_then(|()| {
            if state.locked.iter().any(|locked| locked == path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            state.locked.push(path.to_owned());
            let (state, path, epoch) = (self.state.clone(), path.to_owned(), state.epoch);
            Ok(Box::new(Lock { state, path, epoch }) as Box<dyn Send + Sync>)
        });
        ready(locked)
    }
}

impl Machine {
    fn entry(&self, entry: Entry, of: &Path) -> BoxFuture<'_, io::Result<()>> {
        let mut state = self.state.lock().unwrap();
        let done = state.operate().and_then(|()| {
            if !state.current.contains_key(of) {
                return Err(io::ErrorKind::NotFound.into());
            }
            entry.apply(&mut state.current);
            state.pending.push(entry);
            Ok(())
        });
        ready(done)
    }
}

struct Lock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
    epoch: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap();
        if state.epoch == self.epoch {
            state.locked.retain(|locked| *locked != self.path);
        }
    }
}

/// Everything but the disk.
struct World {
    dice: Mutex<Dice>,
}

impl Clock for World {
    fn now(&self) -> Instant {
        Instant(0)
    }
    fn wall_ms(&self) -> i64 {
        0
    }
    fn sleep_until(&self, _at: Instant) -> BoxFuture<'static, ()> {
        ready(())
    }
}

impl Network for World {
    fn listen(&self, _addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
    fn connect(&self, _addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
    fn bind(&self, _addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

impl Random for World {
    fn next_u64(&self) -> u64 {
        self.dice.lock().unwrap().roll()
    }
}

impl Tasks for World {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        block_on(task);
    }
    fn offload(&self, _cost: std::time::Duration, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        work();
        ready(())
    }
    fn sometimes(&self, _point: &'static str) {}
}
