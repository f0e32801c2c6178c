//! The state of the world and its queue of coming events.
//!
//! Everything sits behind one lock, which no await and no foreign code is ever under: wakers are collected, and called
//! after the poll that made them ready. What is due is worked off between two polls.

use crate::clock::HostClock;
use crate::dice::{Dice, Stream};
use crate::disk::Disk;
use crate::events::{EventKind, Trace};
use crate::executor::{Ready, Tasks};
use crate::falls::{Fall, Trigger};
use crate::network::Net;
use crate::operations::PendingOp;
use crate::points::Points;
use madsim::time::TimeHandle;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

/// A span in nanoseconds.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What comes due. Numbers name entries that may be gone by then, which is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// Sleeps of a host's processes.
    Sleeps(u32),
    /// The first segment that one end of a connection has sent.
    Deliver(u64, usize),
    /// A reset arrives at one end of a connection.
    Reset(u64, usize),
    /// A connection attempt arrives at the other host.
    Syn(u64),
    /// Its answer arrives.
    SynAnswer(u64),
    /// A datagram arrives.
    Datagram(u64),
    /// A disk operation completes.
    Disk(u64),
}

/// Moments for which something is already set to wake us: a new one is needed only before the earliest.
#[derive(Default)]
pub(crate) struct Alarm(Vec<u64>);

impl Alarm {
    /// Whether an alarm has to be set for a moment; the caller then sets it.
    pub fn set(&mut self, at: u64) -> bool {
        let earlier = self.0.last().is_none_or(|&first| at < first);
        if earlier {
            self.0.push(at);
        }
        earlier
    }

    pub fn rang(&mut self, now: u64) {
        while self.0.last().is_some_and(|&first| first <= now) {
            self.0.pop();
        }
    }
}

/// One machine.
pub(crate) struct HostState {
    /// Has power.
    pub up: bool,
    pub paused: bool,
    pub clock: HostClock,
    pub disk: Disk,
    /// Its running processes by incarnation.
    pub processes: BTreeMap<u64, Arc<Tasks>>,
    pub dice: Dice,
    pub next_port: u16,
    /// No process can open another file or connection.
    pub out_of_files: bool,
    /// Where it will fall.
    pub armed: Option<(Trigger, Fall)>,
    pub points: Points,
    /// Who waits for its last process to end.
    pub watchers: Vec<Waker>,
}

pub(crate) struct Kernel {
    pub seed: u64,
    /// Nanoseconds since the world began.
    pub now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    pushed: u64,
    /// To be woken once the lock is free.
    pub wakers: Vec<Waker>,
    /// To be dropped once the lock is free: a waker may be the last handle of something that owns sockets.
    pub dropped: Vec<Waker>,
    /// To be dropped once the lock is free: the tasks of processes that have ended.
    pub dying: Vec<Arc<Tasks>>,
    /// Host 0 is nobody's: whoever drives the world keeps time by it.
    pub hosts: Vec<HostState>,
    pub net: Net,
    pub disk_ops: BTreeMap<u64, PendingOp>,
    numbers: u64,
    pub trace: Trace,
    pub effects: BTreeMap<&'static str, u64>,
    pub sometimes: BTreeMap<&'static str, u64>,
    pub panics: Vec<(u32, String)>,
}

impl Kernel {
    pub fn new(seed: u64) -> Kernel {
        let mut kernel = Kernel {
            seed,
            now: 0,
            queue: BinaryHeap::new(),
            pushed: 0,
            wakers: Vec::new(),
            dropped: Vec::new(),
            dying: Vec::new(),
            hosts: Vec::new(),
            net: Net::default(),
            disk_ops: BTreeMap::new(),
            numbers: 0,
            trace: Trace::new(),
            effects: BTreeMap::new(),
            sometimes: BTreeMap::new(),
            panics: Vec::new(),
        };
        kernel.add_host();
        kernel.hosts[0].clock = HostClock::exact();
        kernel
    }

    pub fn add_host(&mut self) -> u32 {
        let host = self.hosts.len() as u32;
        let seed = self.seed;
        self.hosts.push(HostState {
            up: true,
            paused: false,
            clock: HostClock::new(self.now, &mut Dice::new(seed, Stream::Clock(host))),
            disk: Disk::new(Dice::new(seed, Stream::Disk(host))),
            processes: BTreeMap::new(),
            dice: Dice::new(seed, Stream::Process(host)),
            next_port: crate::network::FIRST_EPHEMERAL_PORT,
            out_of_files: false,
            armed: None,
            points: Points::default(),
            watchers: Vec::new(),
        });
        host
    }

    pub fn host(&mut self, host: u32) -> &mut HostState {
        &mut self.hosts[host as usize]
    }

    /// A number that names something new.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub fn schedule(&mut self, at: u64, due: Due) {
        self.pushed += 1;
        self.queue.push(Reverse((at, self.pushed, due)));
    }

    pub fn record(&mut self, kind: EventKind) {
        self.trace.record(self.now, kind);
    }

    /// Counts a fault that changed something.
    pub fn effect(&mut self, fault: &'static str) {
        *self.effects.entry(fault).or_default() += 1;
    }

    pub fn wake(&mut self, waker: Option<Waker>) {
        self.wakers.extend(waker);
    }

    fn run_due(&mut self) {
        while let Some(&Reverse((at, _, due))) = self.queue.peek() {
            if at > self.now {
                break;
            }
            self.queue.pop();
            match due {
                Due::Sleeps(host) => self.sleeps_due(host),
                Due::Deliver(conn, side) => self.deliver(conn, side),
                Due::Reset(conn, side) => self.reset_arrives(conn, side),
                Due::Syn(attempt) => self.syn_arrives(attempt),
                Due::SynAnswer(attempt) => self.syn_answer_arrives(attempt),
                Due::Datagram(id) => self.datagram_arrives(id),
                Due::Disk(op) => self.disk_due(op),
            }
        }
    }
}

/// Keeps the waker of whoever polls in a slot.
pub(crate) fn park(slot: &mut Option<Waker>, dropped: &mut Vec<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        dropped.extend(slot.replace(cx.waker().clone()));
    }
}

/// The kernel behind its lock.
pub(crate) struct Shared {
    kernel: Mutex<Kernel>,
    /// Tasks that can run.
    pub ready: Arc<Ready>,
    /// madsim's clock, which code sees that asks the system for the time.
    time: TimeHandle,
    /// Incarnation of the process whose task is being polled; 0: none.
    pub polled: AtomicU64,
}

impl Shared {
    pub fn new(seed: u64) -> Shared {
        let (kernel, time) = (Mutex::new(Kernel::new(seed)), TimeHandle::current());
        Shared { kernel, ready: Arc::default(), time, polled: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Kernel> {
        // After a panic in here the seed has failed; what is left is only torn down.
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the kernel. Whom the call makes ready is woken when the task that runs has been polled.
    pub fn with<T>(&self, call: impl FnOnce(&mut Kernel) -> T) -> T {
        call(&mut self.lock())
    }

    /// Between two polls: time passes, what is due happens, who is ready is woken, and what has ended is dropped.
    pub fn pass(&self, span: u64) {
        let mut kernel = self.lock();
        kernel.now += span;
        kernel.run_due();
        while !(kernel.wakers.is_empty() && kernel.dropped.is_empty() && kernel.dying.is_empty()) {
            let mut wakers = std::mem::take(&mut kernel.wakers);
            let dropped = std::mem::take(&mut kernel.dropped);
            let dying = std::mem::take(&mut kernel.dying);
            drop(kernel);
            wakers.drain(..).for_each(Waker::wake);
            drop(dropped);
            dying.into_iter().for_each(|tasks| tasks.end());
            kernel = self.lock();
            if kernel.wakers.is_empty() {
                // Room for the next ones.
                kernel.wakers = wakers;
            }
        }
    }

    /// Nobody is ready: time goes on to what comes due next, if anything does.
    pub fn skip(&self) -> bool {
        let Some(span) = self.with(|kernel| Some(kernel.queue.peek()?.0.0 - kernel.now)) else { return false };
        self.time.advance(Duration::from_nanos(span));
        self.pass(span);
        true
    }

    /// Ends all processes and forgets everything, so that no cycle keeps the world alive.
    pub fn end(&self) {
        self.with(|kernel| (0..kernel.hosts.len() as u32).for_each(|host| kernel.end_processes(host)));
        self.pass(0);
        let old = self.with(|kernel| std::mem::replace(kernel, Kernel::new(kernel.seed)));
        // Outside the lock: a hook may own anything.
        drop(old);
    }
}
