//! The operations of processes on disks: queued when they are called, done when they complete.
//!
//! Operations of one file complete in the order of the calls, and flushes of one disk one after the other. What was
//! still queued when its process died happens up to a random point.

use crate::disk::{Effects, Plug};
use crate::events::EventKind;
use crate::falls::Place;
use crate::kernel::{Due, HostState, Kernel, park};
use bytes::Bytes;
use std::io;
use std::path::PathBuf;
use std::task::{Context, Poll, Waker};
use synod_env::OpenMode;

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

fn perform(
    state: &mut HostState,
    host: u32,
    incarnation: u64,
    work: Work,
    effects: &mut Effects,
) -> (EventKind, io::Result<Outcome>) {
    let disk = &mut state.disk;
    let done = |result: io::Result<()>| result.map(|()| Outcome::Done);
    let (op, file, offset, len, result) = match work {
        Work::Read(file, offset, len) => {
            ("read", file, offset, len, disk.read(file, offset, len, effects).map(Outcome::Data))
        }
        Work::Write(file, offset, data) => {
            ("write", file, offset, data.len(), done(disk.write(file, offset, data, effects)))
        }
        Work::Sync(file) => ("sync", file, 0, 0, done(disk.sync(file, effects))),
        Work::WriteSync(file, parts) => {
            let (offset, len) = (parts.first().map_or(0, |part| part.0), parts.iter().map(|part| part.1.len()).sum());
            let wrote = parts.into_iter().try_for_each(|(offset, data)| disk.write(file, offset, data, effects));
            ("write and sync", file, offset, len, done(wrote.and_then(|()| disk.sync(file, effects))))
        }
        Work::Len(file) => ("length", file, 0, 0, disk.len(file).map(Outcome::Len)),
        Work::SetLen(file, len) => ("set length", file, len, 0, done(disk.set_len(file, len, effects))),
        work => {
            let (op, path, result) = disk.perform_on_name(incarnation, work, effects);
            let path = path.to_string_lossy().into_owned();
            return (EventKind::Name { host, op, path, ok: result.is_ok() }, result);
        }
    };
    (EventKind::File { host, op, file, offset, len: len as u64, ok: result.is_ok() }, result)
}
