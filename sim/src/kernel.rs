//! The state of the world and its queue of coming events.
//!
//! Everything sits behind one lock, which no await and no foreign code is ever under: wakers are collected and called
//! after it is released. One task, the driver, works off what is due; madsim's timers are only its alarm clock, so an
//! event costs one entry in our own queue.

use crate::clock::HostClock;
use crate::dice::{Dice, Stream};
use crate::disk::Disk;
use crate::events::{EventKind, Trace};
use crate::falls::{Fall, Trigger};
use crate::network::Net;
use crate::operations::PendingOp;
use crate::process::kill;
use madsim::runtime::NodeHandle;
use madsim::task::NodeId;
use madsim::time::TimeHandle;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
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

    /// Whether something is set to wake us by then.
    fn covers(&self, at: u64) -> bool {
        self.0.last().is_some_and(|&first| first <= at)
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
    pub processes: BTreeMap<u64, NodeHandle>,
    pub dice: Dice,
    pub next_port: u16,
    /// Where it will fall.
    pub armed: Option<(Trigger, Fall)>,
    /// Probabilities of its fault points, and the dice of those that were reached.
    pub fault_points: BTreeMap<String, f64>,
    pub point_dice: BTreeMap<&'static str, Dice>,
    /// Who waits for its last process to end.
    pub watchers: Vec<Waker>,
}

pub(crate) struct Kernel {
    pub seed: u64,
    /// Nanoseconds since the world began, as of the last entry.
    pub now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    pushed: u64,
    alarm: Alarm,
    driver: Option<Waker>,
    /// The world ends.
    pub over: bool,
    /// To be woken once the lock is free.
    pub wakers: Vec<Waker>,
    /// To be dropped once the lock is free: a waker may be the last handle of a task, and its task may own sockets.
    pub dropped: Vec<Waker>,
    /// To be killed once the lock is free: the tasks of processes that have ended.
    pub dying: Vec<NodeId>,
    /// Host 0 is nobody's: whoever drives the world keeps time by it.
    pub hosts: Vec<HostState>,
    pub net: Net,
    pub disk_ops: BTreeMap<u64, PendingOp>,
    numbers: u64,
    pub trace: Trace,
    pub effects: BTreeMap<&'static str, u64>,
    pub sometimes: BTreeMap<&'static str, u64>,
    /// How often each fault point fired.
    pub fired: BTreeMap<&'static str, u64>,
    pub panics: Vec<(u32, String)>,
    pub spawned: u64,
}

impl Kernel {
    pub fn new(seed: u64) -> Kernel {
        let mut kernel = Kernel {
            seed,
            now: 0,
            queue: BinaryHeap::new(),
            pushed: 0,
            alarm: Alarm::default(),
            driver: None,
            over: false,
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
            fired: BTreeMap::new(),
            panics: Vec::new(),
            spawned: 0,
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
            armed: None,
            fault_points: BTreeMap::new(),
            point_dice: BTreeMap::new(),
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
        self.alarm.rang(self.now);
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
    time: TimeHandle,
    /// Incarnation of the process whose task is being polled; 0: none.
    pub polled: AtomicU64,
}

impl Shared {
    pub fn new(seed: u64) -> Shared {
        Shared { kernel: Mutex::new(Kernel::new(seed)), time: TimeHandle::current(), polled: AtomicU64::new(0) }
    }

    /// Enters the kernel; then sets the alarm and wakes whom the call made ready.
    pub fn with<T>(&self, call: impl FnOnce(&mut Kernel) -> T) -> T {
        // After a panic in here the seed has failed; what is left is only torn down.
        let mut kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.now = nanos(self.time.elapsed());
        let result = call(&mut kernel);
        self.set_alarm(&mut kernel);
        let wakers = std::mem::take(&mut kernel.wakers);
        let dropped = std::mem::take(&mut kernel.dropped);
        let dying = std::mem::take(&mut kernel.dying);
        drop(kernel);
        if !dying.is_empty() {
            kill(dying);
        }
        drop(dropped);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// Looks at the kernel, for calls that make nothing happen: clocks are read far more often than anything else.
    pub fn look<T>(&self, call: impl FnOnce(&Kernel, u64) -> T) -> T {
        let kernel = self.kernel.lock().unwrap_or_else(PoisonError::into_inner);
        call(&kernel, nanos(self.time.elapsed()))
    }

    fn set_alarm(&self, kernel: &mut Kernel) {
        let Some(&Reverse((at, ..))) = kernel.queue.peek() else { return };
        if at > kernel.now && kernel.alarm.covers(at) {
            return;
        }
        let Some(driver) = kernel.driver.clone() else { return };
        if at <= kernel.now {
            kernel.wakers.push(driver);
        } else if kernel.alarm.set(at) {
            let mut sleep = self.time.sleep(Duration::ZERO);
            // `sleep` would take at least a millisecond; `reset` does not round. Polling registers the waker.
            let deadline = self.time.now_instant() + Duration::from_nanos(at - kernel.now);
            Pin::new(&mut sleep).reset(deadline);
            if Pin::new(&mut sleep).poll(&mut Context::from_waker(&driver)).is_ready() {
                kernel.wakers.push(driver);
            }
        }
    }

    /// The task that works off what is due.
    pub fn drive(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|kernel| {
            if kernel.over {
                return Poll::Ready(());
            }
            kernel.driver = Some(cx.waker().clone());
            kernel.run_due();
            Poll::Pending
        })
    }

    /// Ends the driver and forgets everything, so that no cycle of wakers and tasks keeps the world alive.
    pub fn end(&self) {
        let old = self.with(|kernel| {
            let old = std::mem::replace(kernel, Kernel::new(kernel.seed));
            kernel.over = true;
            old
        });
        // Outside the lock: tasks may die with their last waker.
        if let Some(driver) = &old.driver {
            driver.wake_by_ref();
        }
        drop(old);
    }
}
