//! The timers of consensus, as deadlines: setting one is a store, because followers set two with each message. One
//! task sleeps until the earliest.

use crate::core::Shared;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use synod_replica::Input;
use synod_replica::TimerKind;
use synod_types::Instant;

/// Deadlines.
#[derive(Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<TimerKind, Instant>,
    /// When the task will look next.
    looks_at: Option<Instant>,
    /// What the election timer runs for beyond the election timeout: drawn anew once it has run out, not each time a
    /// leader's message sets it.
    spread: Option<Duration>,
}

impl Timers {
    /// Sets a timer; whether the task must be woken to notice in time.
    pub fn set(&mut self, kind: TimerKind, at: Instant) -> bool {
        self.deadlines.insert(kind, at);
        self.looks_at.is_some_and(|looks| at < looks)
    }

    /// How long a timer runs, as multiples of the election timeout E.
    pub fn length(&mut self, kind: TimerKind, election_timeout: Duration, random: impl FnOnce() -> u64) -> Duration {
        match kind {
            TimerKind::Election => {
                let most = u64::try_from(election_timeout.as_nanos()).unwrap_or(u64::MAX).max(1);
                election_timeout + *self.spread.get_or_insert_with(|| Duration::from_nanos(random() % most))
            }
            TimerKind::Sticky | TimerKind::Quorum => election_timeout,
            TimerKind::Heartbeat => election_timeout / 5,
        }
    }

    pub fn cancel(&mut self, kind: TimerKind) {
        self.deadlines.remove(&kind);
    }

    fn due(&mut self, now: Instant) -> Option<TimerKind> {
        let kind = *self.deadlines.iter().find(|(_, at)| **at <= now)?.0;
        if kind == TimerKind::Election {
            self.spread = None;
        }
        self.deadlines.remove(&kind);
        Some(kind)
    }
}

/// Fires timers until the member stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    // A little more often than heartbeats: the question whether it still leads, asked at ticks, stands for them.
    let tick = shared.config.election_timeout / 6;
    let mut next_tick = shared.env.now() + tick;
    loop {
        shared.env.buggify_pause("node.timer_late", tick).await;
        let wake_at = {
            let now = shared.now();
            let mut core = shared.lock();
            if core.stopped.is_some() {
                return;
            }
            while let Some(kind) = core.timers.due(now.instant) {
                core.step(&shared, now, Input::Timer(kind));
            }
            if next_tick <= now.instant {
                core.step(&shared, now, Input::Tick);
                core.sweep(now, shared.config.mutants);
                next_tick = now.instant + tick;
            }
            let earliest = core.timers.deadlines.values().min().copied();
            let wake_at = earliest.map_or(next_tick, |at| at.min(next_tick));
            core.timers.looks_at = Some(wake_at);
            wake_at
        };
        tokio::select! {
            biased;
            () = shared.timer.notified() => {}
            () = shared.env.sleep_until(wake_at) => {}
        }
    }
}

/// Proposes and forwards what came in during a turn: it runs after the tasks that were ready when it was woken.
pub(crate) async fn flush(shared: Arc<Shared>) {
    loop {
        shared.flush.notified().await;
        shared.env.buggify_pause("node.flush_late", Duration::from_millis(5)).await;
        let now = shared.now();
        let mut core = shared.lock();
        if core.stopped.is_some() {
            return;
        }
        core.step(&shared, now, Input::Flush);
    }
}
