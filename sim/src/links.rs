//! How segments travel between hosts: delays, loss, bandwidth, and blocks (partitions).

use crate::dice::{Dice, Stream};
use crate::kernel::{Kernel, nanos};
use std::collections::BTreeSet;
use std::time::Duration;

/// How one direction between two hosts behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    /// Shortest and longest delay of an ordinary segment.
    pub latency: (Duration, Duration),
    /// Probability that a segment is delayed by up to `tail` more.
    pub tail_chance: f64,
    /// Longest additional delay.
    pub tail: Duration,
    /// Probability that a segment is lost: it, and all behind it, wait for the retransmission. A datagram is gone.
    pub loss: f64,
    /// Bytes a second; unlimited if none.
    pub bandwidth: Option<u64>,
    /// Bytes that a connection holds, sent and not yet read, before its writer must wait.
    pub window: usize,
    /// Probability that a datagram is held back for up to ten times the longest delay, so that others overtake it.
    pub reorder: f64,
    /// Probability that a datagram comes twice.
    pub duplicate: f64,
    /// Probability that a segment or datagram arrives with a flipped bit that TCP's checksum has missed.
    pub corrupt: f64,
    /// Probability that a read or a write is cut short.
    pub partial: f64,
    /// First and longest time after which a segment that got no answer is sent again (doubling in between).
    pub retransmit: (Duration, Duration),
    /// Sends of one segment before the connection is given up.
    pub sends_max: u32,
}

impl Default for LinkConfig {
    fn default() -> Self {
        LinkConfig {
            latency: (Duration::from_micros(100), Duration::from_millis(1)),
            tail_chance: 0.0,
            tail: Duration::ZERO,
            loss: 0.0,
            bandwidth: None,
            window: 256 << 10,
            reorder: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            partial: 0.0,
            retransmit: (Duration::from_millis(200), Duration::from_secs(5)),
            sends_max: 9,
        }
    }
}

/// Delay within one host.
const LOOPBACK_NS: u64 = 20_000;

/// One direction between two hosts.
pub(crate) struct Link {
    pub config: LinkConfig,
    /// Set for this direction, so that a new default leaves it.
    pub own: bool,
    dice: Dice,
    /// When the last byte that was sent has left.
    busy_until: u64,
}

/// What a link does to something that is not lost on it.
struct Passage {
    at: u64,
    late: bool,
    limited: bool,
}

/// What becomes of a segment.
pub(crate) struct Transit {
    pub at: u64,
    /// It is lost at least once and sent again.
    pub repeated: bool,
    /// Some of its bits are flipped on the way.
    pub corrupt: bool,
}

impl Link {
    /// How many of `len` bytes one read or write moves.
    pub fn cut(&mut self, len: usize) -> usize {
        if self.dice.chance(self.config.partial) { 1 + self.dice.below(len as u64) as usize } else { len }
    }

    /// When so many bytes that are sent now arrive, if they are not lost.
    fn passage(&mut self, now: u64, len: usize) -> Passage {
        let mut at = now;
        if let Some(bandwidth) = self.config.bandwidth {
            let span = u128::from(len as u64) * 1_000_000_000 / u128::from(bandwidth.max(1));
            self.busy_until = self.busy_until.max(now).saturating_add(u64::try_from(span).unwrap_or(u64::MAX));
            at = self.busy_until;
        }
        at = at.saturating_add(self.dice.span(self.config.latency));
        let late = self.dice.chance(self.config.tail_chance);
        if late {
            at += self.dice.below(nanos(self.config.tail));
        }
        Passage { at, late, limited: self.config.bandwidth.is_some() && at > now + 1_000_000_000 }
    }

    /// Whether the bits of a segment are flipped.
    fn corrupts(&mut self) -> bool {
        self.dice.chance(self.config.corrupt)
    }

    /// Time after send number `sent` (from 1) of a segment at which it is sent again.
    pub fn retransmit_ns(&self, sent: u32) -> u64 {
        let (first, longest) = self.config.retransmit;
        nanos(first).saturating_mul(1 << sent.saturating_sub(1).min(20)).min(nanos(longest))
    }
}

/// Names a block, to lift it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockId(pub(crate) u64);

/// Segments from some hosts to others vanish.
pub(crate) struct Block {
    pub id: BlockId,
    pub from: BTreeSet<u32>,
    pub to: BTreeSet<u32>,
    pub until: u64,
    /// Only those that ask for a connection.
    pub syns_only: bool,
    /// Has blocked something.
    pub used: bool,
}

impl Block {
    pub fn covers(&self, now: u64, from: u32, to: u32) -> bool {
        self.until > now && self.from.contains(&from) && self.to.contains(&to)
    }
}

impl Kernel {
    /// The direction between two hosts.
    pub fn link(&mut self, from: u32, to: u32) -> &mut Link {
        let (seed, net) = (self.seed, &mut self.net);
        net.links.entry((from, to)).or_insert_with(|| Link {
            config: net.link_config.clone(),
            own: false,
            dice: Dice::new(seed, Stream::Link(from, to)),
            busy_until: 0,
        })
    }

    /// When a segment that is sent now arrives. Loss shows as the delay of the retransmissions that it takes.
    pub fn transit(&mut self, from: u32, to: u32, len: usize) -> Transit {
        let now = self.now;
        if from == to {
            return Transit { at: now + LOOPBACK_NS, repeated: false, corrupt: false };
        }
        let link = self.link(from, to);
        let mut passage = link.passage(now, len);
        let mut sent = 1;
        while sent < link.config.sends_max && link.dice.chance(link.config.loss) {
            passage.at += link.retransmit_ns(sent);
            sent += 1;
        }
        let corrupt = link.corrupts();
        self.note(&passage);
        if sent > 1 {
            self.effect("loss");
        }
        Transit { at: passage.at, repeated: sent > 1, corrupt }
    }

    /// When a datagram that is sent now arrives, and whether with flipped bits: never, once, or twice.
    pub fn datagram_transits(&mut self, from: u32, to: u32, len: usize) -> Vec<(u64, bool)> {
        let now = self.now;
        if from == to {
            return vec![(now + LOOPBACK_NS, false)];
        }
        let link = self.link(from, to);
        if link.dice.chance(link.config.loss) {
            self.effect("loss");
            return Vec::new();
        }
        let copies = if link.dice.chance(link.config.duplicate) { 2 } else { 1 };
        let mut transits = Vec::new();
        for _ in 0..copies {
            let link = self.link(from, to);
            let mut passage = link.passage(now, len);
            if link.dice.chance(link.config.reorder) {
                let held = link.dice.below(nanos(link.config.latency.1).saturating_mul(10));
                passage.at = passage.at.saturating_add(held);
            }
            transits.push((passage.at, link.corrupts()));
            self.note(&passage);
        }
        if copies > 1 {
            self.effect("duplication");
        }
        transits
    }

    /// Counts what slowed a passage.
    fn note(&mut self, passage: &Passage) {
        if passage.late {
            self.effect("delay");
        }
        if passage.limited {
            self.effect("bandwidth");
        }
    }

    /// Whether a segment is kept from arriving now, by a block or a host without power. `to` none: no such host.
    pub fn blocked(&mut self, from: u32, to: Option<u32>) -> bool {
        let Some(to) = to else { return true };
        if from == to {
            return false;
        }
        let now = self.now;
        let mut newly_used = 0;
        let mut blocked = false;
        for block in &mut self.net.blocks {
            if !block.syns_only && block.covers(now, from, to) {
                blocked = true;
                newly_used += u64::from(!std::mem::replace(&mut block.used, true));
            }
        }
        for _ in 0..newly_used {
            self.effect("partition");
        }
        blocked || !self.hosts[to as usize].up
    }
}
