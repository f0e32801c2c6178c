//! How machines fall: at once, or at a chosen place.
//!
//! Whoever falls does nothing any more that anybody could see: its disk operation under way never completes, its task
//! that reached the place does not take another step.

use crate::events::EventKind;
use crate::kernel::Kernel;
use crate::operations::Work;
use crate::world::{Host, World};

/// A place at which a machine falls. Counts begin with 1, from the moment of the call on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// In such a sync, of a file or a directory: what it would have made durable was written and is not durable.
    Sync(u64),
    /// After such a sync: it is durable, and nobody hears of it.
    AfterSync(u64),
    /// After such a write or change of length: it is not synced, and nobody hears of it. The parts of a `write_sync`
    /// count one by one.
    Write(u64),
    /// When a `sometimes` or a fault point of this name is reached for such a time, whether or not it fires.
    Point(String, u64),
}

/// How a machine falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fall {
    /// As by [`World::crash`].
    Crash,
    /// As by [`World::power_fail`].
    Power,
}

/// Where in a disk operation a machine falls.
pub(crate) enum Place {
    /// After so many of its writes, and before anything is synced.
    Within(usize),
    /// When it is done.
    After,
}

impl World {
    /// The processes of a host die. Its kernel closes their sockets; its disk keeps what was written, synced or not.
    pub fn crash(&self, host: Host) {
        self.shared.with(|kernel| kernel.crash(host));
    }

    /// A host loses power: unsynced changes are lost, torn or kept, in any combination; nobody is told, but what has left
    /// it may still arrive. The host is without power until something is started on it ([`World::env`],
    /// [`World::start`]).
    pub fn power_fail(&self, host: Host) {
        self.shared.with(|kernel| kernel.power_fail(host));
    }

    /// Lets a host fall when it comes to a place; this replaces an earlier call. [`World::is_running`] is false from that
    /// instant, and [`World::ended`] completes.
    pub fn crash_at(&self, host: Host, trigger: Trigger, fall: Fall) {
        self.shared.with(|kernel| kernel.host(host.0).armed = Some((trigger, fall)));
    }

    /// Takes [`World::crash_at`] back. Whether the place had not been reached.
    pub fn disarm(&self, host: Host) -> bool {
        self.shared.with(|kernel| kernel.host(host.0).armed.take().is_some())
    }
}

impl Kernel {
    pub fn crash(&mut self, host: Host) {
        let running = !self.host(host.0).processes.is_empty();
        self.did(host, "crash", running);
        self.end_processes(host.0);
    }

    pub fn power_fail(&mut self, host: Host) {
        // First the sockets and the queue: dying processes must neither close nor complete anything.
        self.forget_sockets(host.0);
        self.tear_disk_ops(host.0);
        self.end_processes(host.0);
        let now = self.now;
        let state = self.host(host.0);
        (state.up, state.paused) = (false, false);
        let damaged = state.disk.lose();
        let wakers: Vec<_> = state.clock.reboot(now).collect();
        self.dropped.extend(wakers);
        self.did(host, "power failure", damaged > 0);
    }

    /// The place of a chosen fall was reached.
    pub fn fall(&mut self, host: u32, place: &'static str) {
        let Some((_, fall)) = self.host(host).armed.take() else { return };
        self.effect(place);
        self.record(EventKind::Host { host, what: place });
        match fall {
            Fall::Crash => self.crash(Host(host)),
            Fall::Power => self.power_fail(Host(host)),
        }
    }

    /// A process has come to a point.
    pub fn reached(&mut self, host: u32, point: &str) {
        if let Some((Trigger::Point(name, left), _)) = &mut self.host(host).armed
            && name == point
            && counted(left, 1).is_some()
        {
            self.fall(host, "crash at a point");
        }
    }

    /// Whether a disk operation that is due is the one at which its host falls, where in it, and what that is called.
    pub fn falls_at(&mut self, host: u32, work: &Work) -> Option<(Place, &'static str)> {
        let (trigger, _) = self.host(host).armed.as_mut()?;
        let sync = matches!(work, Work::Sync(_) | Work::WriteSync(..) | Work::SyncDir(_));
        let writes = match work {
            Work::Write(..) | Work::SetLen(..) => 1,
            Work::WriteSync(_, parts) => parts.len() as u64,
            _ => 0,
        };
        match trigger {
            Trigger::Sync(left) if sync => {
                counted(left, 1).map(|_| (Place::Within(writes as usize), "crash at a sync"))
            }
            Trigger::AfterSync(left) if sync => counted(left, 1).map(|_| (Place::After, "crash after a sync")),
            Trigger::Write(left) if writes > 0 => {
                counted(left, writes).map(|nth| (Place::Within(nth as usize), "crash at a write"))
            }
            _ => None,
        }
    }
}

/// Counts so many occurrences; which of them is the last, if it is among them.
fn counted(left: &mut u64, occurrences: u64) -> Option<u64> {
    let nth = (*left).max(1);
    *left = nth.saturating_sub(occurrences);
    (nth <= occurrences).then_some(nth)
}
