//! Links that reset, and what is on them.

use super::*;

#[derive(Default)]
pub(super) struct Link {
    pub(super) number: u64,
    /// What each end (lower id first) believes.
    pub(super) up: [bool; 2],
    pub(super) broken: bool,
    pub(super) blocked_until: u64,
    pub(super) slow_until: u64,
    pub(super) last_delivery: [u64; 2],
}

impl World {
    pub(super) fn connect(&mut self, a: NodeId, b: NodeId) -> Verdict {
        if self.members[&a].raft.is_none() || self.members[&b].raft.is_none() {
            return Ok(());
        }
        let now = self.now;
        let Some(link) = self.links.get_mut(&(a, b)) else { return Ok(()) };
        if !link.broken {
            return Ok(());
        }
        if link.up != [false; 2] || link.blocked_until > now {
            let delay = self.draw(5, 30);
            self.at(delay, Event::LinkUp { a, b });
            return Ok(());
        }
        link.number += 1;
        link.up = [true; 2];
        link.broken = false;
        link.last_delivery = [0; 2];
        self.step(a, Input::Link { peer: b, up: true })?;
        self.step(b, Input::Link { peer: a, up: true })
    }

    /// Breaks a link: what is sent from now on is lost, and each end notices in its own time.
    pub(super) fn cut(&mut self, a: NodeId, b: NodeId, blocked_ticks: u64) {
        let (a, b) = (a.min(b), a.max(b));
        let now = self.now;
        let Some(link) = self.links.get_mut(&(a, b)) else { return };
        link.blocked_until = link.blocked_until.max(now + blocked_ticks);
        if link.broken {
            return;
        }
        link.broken = true;
        let number = link.number;
        for (node, peer) in [(a, b), (b, a)] {
            let delay = if self.chance(20) { self.draw(50, 400) } else { self.draw(1, 30) };
            self.at(delay, Event::LinkDown { node, peer, link: number });
        }
        let delay = self.draw(5, 60) + blocked_ticks;
        self.at(delay, Event::LinkUp { a, b });
    }

    pub(super) fn send(&mut self, from: NodeId, to: NodeId, message: Message<Number>) {
        let latency = self.draw(1, 8);
        let slow = self.draw(1, 400);
        let now = self.now;
        let Some(link) = self.links.get_mut(&(from.min(to), from.max(to))) else { return };
        let end = usize::from(from > to);
        if link.broken || !link.up[end] {
            return;
        }
        let latency = if link.slow_until > now { slow } else { latency };
        let time = (now + latency).max(link.last_delivery[end]);
        link.last_delivery[end] = time;
        let number = link.number;
        self.at(time - now, Event::Deliver { to, from, link: number, message });
    }
}
