//! The clocks of a host: a monotonic one that may drift and stop, a wall clock that may also jump, and the sleeps of
//! its processes, which follow the monotonic one.

use crate::dice::Dice;
use crate::events::EventKind;
use crate::kernel::{Alarm, Due, HostState, Kernel};
use crate::process::Process;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use synod_env::{BoxFuture, Clock};
use synod_types::Instant;

/// The wall clock when a world begins: 2026-01-01 in nanoseconds since 1970.
const EPOCH_NS: i64 = 1_767_225_600 * 1_000_000_000;

/// Shortest sleep: a loop over deadlines in the past must not stop the world's time.
const SLEEP_MIN_NS: u64 = 1_000;

pub(crate) struct HostClock {
    /// World time at which the two readings below were true.
    since: u64,
    monotonic: u64,
    wall: i64,
    /// Parts per million by which both run fast.
    pub drift_ppm: i64,
    /// The machine is suspended: the monotonic clock stands, the wall clock goes on.
    pub suspended: bool,
    sleeps: BTreeMap<(u64, u64), Waker>,
    alarm: Alarm,
}

impl HostClock {
    /// A clock that starts at any moment, so that comparing two hosts' monotonic clocks is seen to be wrong.
    pub fn new(now: u64, dice: &mut Dice) -> HostClock {
        HostClock {
            since: now,
            monotonic: 1_000_000_000 + dice.below(1_000_000_000_000),
            wall: EPOCH_NS + now as i64,
            drift_ppm: 0,
            suspended: false,
            sleeps: BTreeMap::new(),
            alarm: Alarm::default(),
        }
    }

    /// A clock that shows the world's time.
    pub fn exact() -> HostClock {
        HostClock {
            since: 0,
            monotonic: 0,
            wall: EPOCH_NS,
            drift_ppm: 0,
            suspended: false,
            sleeps: BTreeMap::new(),
            alarm: Alarm::default(),
        }
    }

    fn passed(&self, now: u64) -> u64 {
        let passed = now.saturating_sub(self.since);
        // In two parts, because clocks are read all the time and a division of 128 bits is slow.
        let (whole, rest) = ((passed / 1_000_000) as i64, (passed % 1_000_000) as i64);
        let drift = whole.saturating_mul(self.drift_ppm).saturating_add(rest * self.drift_ppm / 1_000_000);
        passed.saturating_add_signed(drift)
    }

    pub fn monotonic(&self, now: u64) -> u64 {
        if self.suspended { self.monotonic } else { self.monotonic + self.passed(now) }
    }

    pub fn wall_ns(&self, now: u64) -> i64 {
        self.wall + self.passed(now) as i64
    }

    /// World time at which the monotonic clock reaches a reading, or a little before.
    fn world_time_of(&self, reading: u64, now: u64) -> u64 {
        let missing = reading.saturating_sub(self.monotonic(now));
        let span = u128::from(missing) * 1_000_000 / (1_000_000 + self.drift_ppm).max(1) as u128;
        now.saturating_add(u64::try_from(span).unwrap_or(u64::MAX)).saturating_add(1)
    }

    /// Fixes the present readings before something about the clock changes.
    pub fn rebase(&mut self, now: u64) {
        (self.monotonic, self.wall) = (self.monotonic(now), self.wall_ns(now));
        self.since = now;
    }

    pub fn jump_wall(&mut self, by_ns: i64) {
        self.wall += by_ns;
    }

    /// The machine starts anew: its monotonic clock too. Sleeps are gone with the processes: their wakers are given
    /// back, to be dropped elsewhere.
    pub fn reboot(&mut self, now: u64) -> impl Iterator<Item = Waker> {
        self.rebase(now);
        self.suspended = false;
        self.monotonic = 1_000_000_000;
        std::mem::take(&mut self.sleeps).into_values()
    }
}

impl Kernel {
    /// Sets the host's alarm for its first sleep.
    pub fn set_host_alarm(&mut self, host: u32) {
        let now = self.now;
        let clock = &mut self.host(host).clock;
        if clock.suspended {
            return;
        }
        if let Some(&(first, _)) = clock.sleeps.keys().next() {
            let at = clock.world_time_of(first, now);
            if clock.alarm.set(at) {
                self.schedule(at, Due::Sleeps(host));
            }
        }
    }

    pub fn sleeps_due(&mut self, host: u32) {
        let now = self.now;
        self.host(host).clock.alarm.rang(now);
        let reading = self.host(host).clock.monotonic(now);
        while let Some(entry) = self.host(host).clock.sleeps.first_entry()
            && entry.key().0 <= reading
        {
            let ((local_ns, _), waker) = entry.remove_entry();
            self.record(EventKind::Timer { host, local_ns });
            self.wake(Some(waker));
        }
        self.set_host_alarm(host);
    }
}

/// A host's clocks as a process sees them.
impl Clock for Process {
    fn now(&self) -> Instant {
        self.read().0
    }

    fn wall_ms(&self) -> i64 {
        self.read().1
    }

    fn read(&self) -> (Instant, i64) {
        let host = self.host;
        self.shared.with(|kernel| match kernel.hosts.get(host as usize) {
            Some(HostState { clock, .. }) => {
                (Instant(clock.monotonic(kernel.now)), clock.wall_ns(kernel.now).div_euclid(1_000_000))
            }
            None => (Instant(0), 0),
        })
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { shared: self.shared.clone(), host: self.host, at: at.0, key: None })
    }
}

/// A sleep; it has one entry in its host's table from its first poll until it ends or is dropped.
pub(crate) struct Sleep {
    pub shared: Arc<crate::kernel::Shared>,
    pub host: u32,
    pub at: u64,
    pub key: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (host, at, key) = (self.host, self.at, self.key);
        let key = self.shared.with(|kernel| match key {
            None => {
                let now = kernel.now;
                let at = at.max(kernel.host(host).clock.monotonic(now) + SLEEP_MIN_NS);
                let key = (at, kernel.number());
                kernel.host(host).clock.sleeps.insert(key, cx.waker().clone());
                kernel.set_host_alarm(host);
                Some(key)
            }
            Some(key) => {
                let waker = kernel.hosts[host as usize].clock.sleeps.get_mut(&key)?;
                if !waker.will_wake(cx.waker()) {
                    kernel.dropped.push(std::mem::replace(waker, cx.waker().clone()));
                }
                Some(key)
            }
        });
        self.key = key;
        if key.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let host = self.host as usize;
            // The waker is dropped outside the lock: it may be the last handle of a task.
            let waker = self.shared.with(|kernel| kernel.hosts.get_mut(host)?.clock.sleeps.remove(&key));
            drop(waker);
        }
    }
}
