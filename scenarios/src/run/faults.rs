//! What a plan's faults do to the machines, when they begin, while they last and when they end.

use super::driver::{Driver, Hunting, RESTART_DELAY};
use crate::plan::{Fault, Hunt, Place, What};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;
use synod_sim::{Dice, DiskImage, Fall, LinkConfig, Trigger};
use synod_types::Instant;
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};

/// Keys in `Driver::hit` from here on are a hunt's.
const HUNTED: usize = 1_000_000;
/// Of the places where bits rot.
const ROT_STREAM: u64 = 9_999;

impl Driver<'_> {
    pub fn begin(&mut self, i: usize, fault: &Fault) {
        let span = Some(Duration::from_millis(fault.for_ms));
        let leader = self.watcher.leader();
        let until = self.world.now() + Duration::from_millis(fault.for_ms);
        let target = leader.unwrap_or(1);
        self.remark(format!("begin {:?}{}", fault.what, leader.map_or(String::new(), |l| format!(" (leader {l})"))));
        let why_not = match (&fault.what, fault.what.damages_disk()) {
            (_, Some(node)) if self.swapped.contains_key(&node) => Some("the disk is another member's"),
            (_, Some(node)) if self.too_much(node) => Some("no more disks may be lost before others have recovered"),
            (What::SwapDisk { node, with }, _)
                // A disk that never belonged to a voter has no owner's name on it yet.
                if [node, with].iter().any(|n| self.swapped.contains_key(n) || self.older_disks.has(**n))
                    || !self.watcher.is_sound(*with) =>
            {
                Some("there is nothing to swap")
            }
            _ => None,
        };
        if let Some(why) = why_not {
            self.remark(format!("not done: {why}"));
            *self.kinds.entry(format!("held back:{}", fault.what.kind())).or_default() += 1;
            return;
        }
        self.active.insert(i);
        *self.kinds.entry(format!("plan:{}", fault.what.kind())).or_default() += 1;
        match &fault.what {
            What::Partition { side } => {
                let rest: Vec<u8> = self.everyone().into_iter().filter(|n| !side.contains(n)).collect();
                self.world.partition(&self.group(side), &self.group(&rest), span);
            }
            What::PartialPartition { pairs } => {
                for (a, b) in pairs {
                    self.world.partition(&[self.host(*a)], &[self.host(*b)], span);
                }
            }
            What::OneWay { from, to } => {
                self.world.block(&[self.host(*from)], &[self.host(*to)], span);
            }
            What::IsolateLeader => {
                let rest: Vec<u8> = (1..=self.plan.cluster.nodes).filter(|n| *n != target).collect();
                self.world.partition(&[self.host(target)], &self.group(&rest), span);
            }
            What::HuntLeaders { how, after_ms, hold_ms } => {
                let (after, hold) = (Duration::from_millis(*after_ms), Duration::from_millis(*hold_ms));
                self.hunts.insert(i, Hunting { how: *how, after, hold, prey: None });
            }
            What::HuntCandidates { .. } | What::HuntLoaders { .. } => {}
            What::Flap { .. } => drop(self.flaps.insert(i, self.world.now())),
            What::Delay { .. } | What::Loss { .. } | What::SlowLink { .. } | What::Corrupt { .. } => self.set_links(),
            What::SynTimeout { a, b } => {
                self.world.drop_syns(&[self.host(*a)], &[self.host(*b)], span);
                self.world.drop_syns(&[self.host(*b)], &[self.host(*a)], span);
            }
            What::RotSnapshot { node } => {
                self.take_down(*node, until, false);
                self.rot_snapshot(*node);
            }
            What::MisdirectWrites { node, times } => {
                self.watcher.suspect(*node, true);
                self.world.misdirect_writes(self.host(*node), *times);
            }
            What::MisdirectReads { node, times } => {
                // It starts while its reads go astray.
                self.take_down(*node, self.world.now() + RESTART_DELAY, false);
                self.watcher.disk_lost(*node);
                self.world.misdirect_reads(self.host(*node), *times);
            }
            What::Reset { a, b } => self.world.reset_connections(self.host(*a), self.host(*b)),
            What::HalfOpen { a, b } => self.world.half_open(self.host(*a), self.host(*b)),
            What::Crash { node } => self.take_down(*node, until, false),
            What::CrashLeader => self.take_down(target, until, false),
            What::Pause { node } => self.pause(i, *node),
            What::PauseLeader => self.pause(i, target),
            What::PowerFailure { nodes } => {
                for node in nodes {
                    self.take_down(*node, until, true);
                }
            }
            What::Wipe { node } => {
                self.take_down(*node, until, true);
                self.world.wipe(self.host(*node));
                self.watcher.disk_lost(*node);
            }
            What::OldDisk { node } => self.keep_disk(i, *node),
            What::Rot { node } => {
                self.take_down(*node, until, false);
                self.rot(*node, false);
            }
            What::RotTail { node } => {
                self.take_down(*node, until, false);
                self.rot(*node, true);
            }
            What::ClockJump { node, by_ms } => self.world.jump_wall_clock(self.host(*node), *by_ms),
            What::ClockDrift { node, ppm } => self.world.set_clock_drift(self.host(*node), *ppm),
            What::SlowDisk { node, by_ms } => {
                self.slow_disk(*node, *by_ms, span);
            }
            What::FlushFails { node } => {
                self.down_until.insert(*node, until);
                self.world.fail_syncs(self.host(*node), 1);
            }
            What::AcceptFails { node } => self.world.limit_files(self.host(*node), true),
            What::ScratchHead { node } => {
                self.take_down(*node, until, false);
                self.scratch_head(*node);
            }
            What::DiskFull { node } => {
                self.down_until.insert(*node, until);
                self.world.fill_disk(self.host(*node), true);
            }
            What::Suspend { node } => {
                if self.world.is_running(self.host(*node)) {
                    self.world.suspend(self.host(*node));
                    self.hit.insert(i, *node);
                }
            }
            What::StuckDisk { node } => {
                self.world.stick_disk(self.host(*node), Duration::from_millis(fault.for_ms));
            }
            What::ReadErrors { node } => {
                self.take_down(*node, until, false);
                self.spoil(*node);
            }
            What::Fall { node, at, power } => {
                // One that is down starts when it would have, and falls then.
                if self.world.is_running(self.host(*node)) {
                    self.down_until.insert(*node, until);
                }
                let trigger = match at {
                    Place::Sync(nth) => Trigger::Sync(*nth),
                    Place::AfterSync(nth) => Trigger::AfterSync(*nth),
                    Place::Write(nth) => Trigger::Write(*nth),
                    Place::Point(name, nth) => Trigger::Point(name.clone(), *nth),
                };
                self.world.crash_at(self.host(*node), trigger, if *power { Fall::Power } else { Fall::Crash });
            }
            What::SwapDisk { node, with } => {
                self.take_down(*node, until, false);
                let own = self.world.disk_image(self.host(*node));
                self.world.restore_disk(self.host(*node), self.world.disk_image(self.host(*with)));
                // Reads that go astray are its own disk's; on them the name of the other's owner could not be read.
                self.world.misdirect_reads(self.host(*node), 0);
                // The supervisor starts it at once; it is down when its own disk comes back.
                self.down_until.insert(*node, self.world.now());
                self.swapped.insert(*node, own);
            }
            What::HandOver { to } => {
                if let Some(leader) = leader {
                    self.ask_to_hand_over(leader, *to);
                }
            }
            What::RollingRestart { every_ms } => {
                let now = self.world.now();
                for (turn, node) in (0..).zip(1..=self.plan.cluster.nodes) {
                    self.restarts.insert((now + Duration::from_millis(every_ms * turn), node, None));
                }
            }
            What::RollingUpgrade { every_ms, back } => {
                let now = self.world.now();
                let last = self.plan.cluster.nodes - u8::from(*back);
                let forth = (1..=last).map(|node| (node, CLUSTER_VERSION));
                let return_to = |node| (node, self.programs[&node]);
                let turns: Vec<_> = match back {
                    true => forth.chain((1..=last).rev().map(return_to)).collect(),
                    false => forth.collect(),
                };
                for (turn, (node, program)) in (0..).zip(turns) {
                    self.restarts.insert((now + Duration::from_millis(every_ms * turn), node, Some(program)));
                }
            }
            What::Downgrade { node } => {
                self.downgraded.insert(i, self.programs[node]);
                self.restarts.insert((self.world.now(), *node, Some(CLUSTER_VERSION_MIN)));
            }
        }
    }

    pub fn end(&mut self, i: usize, fault: &Fault) {
        if !self.active.remove(&i) {
            return;
        }
        self.remark(format!("end {:?}", fault.what));
        match &fault.what {
            What::Delay { .. } | What::Loss { .. } | What::SlowLink { .. } | What::Corrupt { .. } => self.set_links(),
            What::MisdirectWrites { node, .. } => self.settle(*node),
            What::MisdirectReads { node, .. } => self.world.misdirect_reads(self.host(*node), 0),
            What::Pause { .. } | What::PauseLeader | What::Suspend { .. } => self.resume(i),
            What::HuntLeaders { .. } => drop(self.hunts.remove(&i)),
            What::HuntLoaders { .. } => {
                (1..=self.plan.cluster.nodes).for_each(|node| self.world.slow_disk(self.host(node), 1, None));
            }
            What::Flap { .. } => drop(self.flaps.remove(&i)),
            What::SlowDisk { node, .. } => self.world.slow_disk(self.host(*node), 1, None),
            What::FlushFails { node } => self.world.fail_syncs(self.host(*node), 0),
            What::DiskFull { node } => self.world.fill_disk(self.host(*node), false),
            What::AcceptFails { node } => self.world.limit_files(self.host(*node), false),
            What::Fall { node, .. } => drop(self.world.disarm(self.host(*node))),
            What::SwapDisk { node, .. } => self.give_back(*node),
            What::Downgrade { node } => self.take_back(i, *node),
            What::OldDisk { node } => self.put_in_older(i, *node),
            _ => {}
        }
    }

    /// A member whose writes went astray starts again.
    pub fn settle(&mut self, node: u8) {
        self.world.misdirect_writes(self.host(node), 0);
        self.watcher.suspect(node, self.world.disk_lies(self.host(node)));
        self.watcher.disk_lost(node);
        self.take_down(node, self.world.now() + RESTART_DELAY, false);
    }

    /// A member gets its own disk back, if another's is in its place.
    pub fn give_back(&mut self, node: u8) {
        if let Some(own) = self.swapped.remove(&node) {
            self.put_in(node, own);
        }
    }

    pub fn put_in(&mut self, node: u8, own: DiskImage) {
        self.world.crash(self.host(node));
        self.watcher.ended(node);
        self.world.restore_disk(self.host(node), own);
        self.down_until.insert(node, self.world.now() + RESTART_DELAY);
    }

    /// A member gets the program back that it had before it was downgraded.
    pub fn take_back(&mut self, i: usize, node: u8) {
        if let Some(program) = self.downgraded.remove(&i) {
            self.restarts.insert((self.world.now(), node, Some(program)));
        }
    }

    fn resume(&mut self, i: usize) {
        if let Some(node) = self.hit.remove(&i)
            && !self.hit.values().any(|n| *n == node)
        {
            self.world.resume(self.host(node));
        }
    }

    /// What goes on while a fault lasts.
    pub fn recur(&mut self, now: Instant) {
        while let Some((_, i)) = self.resumes.first().copied().filter(|(when, _)| *when <= now) {
            self.resumes.pop_first();
            self.resume(i);
        }
        while let Some((when, node, program)) = self.restarts.first().copied().filter(|(when, ..)| *when <= now) {
            self.restarts.remove(&(when, node, program));
            self.remark(format!("node {node} is asked to stop"));
            if let Some(program) = program {
                self.remark(format!("node {node} gets the program of cluster version {program}"));
                self.programs.insert(node, program);
            }
            self.down_until.entry(node).or_insert(now + RESTART_DELAY);
            if let Some(asked) = self.stops.get(&node) {
                self.watcher.stops(node);
                asked.notify_one();
            }
        }
        for (i, due) in self.flaps.clone() {
            if let (What::Flap { a, b, every_ms }, true) = (&self.plan.faults[i].what, due <= now) {
                self.world.reset_connections(self.host(*a), self.host(*b));
                self.flaps.insert(i, now + Duration::from_millis(*every_ms));
            }
        }
        self.hunt_loaders();
        let candidates = std::mem::take(&mut self.watcher.lock().candidates);
        let hold = self.active.iter().find_map(|i| match self.plan.faults[*i].what {
            What::HuntCandidates { hold_ms } => Some(Duration::from_millis(hold_ms)),
            _ => None,
        });
        for (candidate, hold) in candidates.into_iter().zip(hold.into_iter().cycle()) {
            self.remark(format!("candidate {candidate} is cut off"));
            let rest: Vec<u8> = (1..=self.plan.cluster.nodes).filter(|n| *n != candidate).collect();
            self.world.partition(&[self.host(candidate)], &self.group(&rest), Some(hold));
        }
        let leader = self.watcher.leader();
        let term = leader.and_then(|l| self.watcher.lock().members.get(&l).map(|seen| seen.term));
        let Some((leader, term)) = leader.zip(term) else { return };
        for (i, mut hunting) in self.hunts.clone() {
            let known = hunting.prey.filter(|(l, t, ..)| (*l, *t) == (leader, term));
            let (_, _, since, hit) = known.unwrap_or((leader, term, now, false));
            let strikes = !hit && now >= since + hunting.after;
            hunting.prey = Some((leader, term, since, hit || strikes));
            self.hunts.insert(i, hunting);
            if strikes {
                self.strike(leader, hunting, now + hunting.hold);
            }
        }
    }

    /// Who loads a snapshot is kept at it, and another leads meanwhile.
    fn hunt_loaders(&mut self) {
        let loaders = std::mem::take(&mut self.watcher.lock().loaders);
        let hunts = self.active.iter().find_map(|i| match self.plan.faults[*i].what {
            What::HuntLoaders { flush_ms } => Some(flush_ms),
            _ => None,
        });
        for (loader, flush_ms) in loaders.into_iter().zip(hunts.into_iter().cycle()) {
            self.remark(format!("node {loader} is kept loading"));
            self.slow_disk(loader, flush_ms, None);
            let Some(leader) = self.watcher.leader() else { continue };
            if leader != loader && flush_ms.is_multiple_of(3) {
                // Nobody leads for a while; who loads must not try to.
                let hold = Duration::from_millis(2 * self.plan.cluster.election_timeout_ms);
                let hunting = Hunting { how: Hunt::Isolate, after: Duration::ZERO, hold, prey: None };
                self.strike(leader, hunting, self.world.now() + hold);
                continue;
            }
            let mut heirs = (1..=self.plan.cluster.nodes).filter(|n| *n != loader && *n != leader);
            if let Some(heir) = heirs.next() {
                self.ask_to_hand_over(leader, heir);
            }
        }
    }

    fn ask_to_hand_over(&self, leader: u8, to: u8) {
        if let Some(succession) = self.successors.get(&leader) {
            self.watcher.hands_over(leader, to);
            succession.to.store(to, Ordering::Relaxed);
            succession.asked.notify_one();
        }
    }

    /// Flushes take so long, milliseconds.
    fn slow_disk(&self, node: u8, flush_ms: u64, span: Option<Duration>) {
        let usual_us = self.plan.cluster.flush_us.1.max(1);
        let factor = (flush_ms * 1_000 / usual_us).clamp(2, 5_000) as u32;
        self.world.slow_disk(self.host(node), factor, span);
    }

    /// When something that goes on is due next after `now`, as far as one can tell.
    pub fn recurs_at(&self, now: Instant) -> Option<Instant> {
        let resumes = self.resumes.first().map(|(at, _)| *at);
        let restarts = self.restarts.first().map(|(at, ..)| *at);
        let flaps = self.flaps.values().min().copied();
        let strikes = self.hunts.values().filter_map(|hunting| {
            let (_, _, since, hit) = hunting.prey?;
            (!hit).then(|| since + hunting.after)
        });
        strikes.chain(resumes).chain(restarts).chain(flaps).filter(|at| *at > now).min()
    }

    fn strike(&mut self, leader: u8, hunting: Hunting, until: Instant) {
        self.remark(format!("{:?} of leader {leader}", hunting.how));
        let rest: Vec<u8> = (1..=self.plan.cluster.nodes).filter(|n| *n != leader).collect();
        let span = Some(hunting.hold);
        match hunting.how {
            Hunt::Isolate => drop(self.world.partition(&[self.host(leader)], &self.group(&rest), span)),
            Hunt::Mute => drop(self.world.block(&[self.host(leader)], &self.group(&rest), span)),
            Hunt::Orphan => {
                self.world.partition(&[self.host(leader)], &self.group(&rest), span);
                let soon = self.world.now() + RESTART_DELAY / 4;
                for node in rest {
                    self.take_down(node, soon, true);
                }
            }
            Hunt::Pair => {
                let (one, rest) = rest.split_at(1);
                self.world.partition(&self.group(&[leader, one[0]]), &self.group(rest), span);
            }
            Hunt::Crash => self.take_down(leader, until, false),
            Hunt::PowerFailure => self.take_down(leader, until, true),
            Hunt::Pause => {
                let key = HUNTED + usize::from(leader);
                self.pause(key, leader);
                self.resumes.insert((until, key));
            }
        }
    }

    /// Whether damage to this member's disk would leave fewer sound ones than a majority: what was acknowledged could
    /// then be lost lawfully.
    pub fn too_much(&self, node: u8) -> bool {
        let nodes = self.plan.cluster.nodes;
        let unsound = self.watcher.unsound(nodes) + usize::from(self.watcher.is_sound(node));
        unsound > usize::from(nodes - 1) / 2
    }

    /// How segments travel when nothing is wrong with the network beyond the plan's weather.
    pub fn usual_link(&self) -> LinkConfig {
        let c = &self.plan.cluster;
        LinkConfig {
            latency: (Duration::from_micros(c.latency_us.0), Duration::from_micros(c.latency_us.1)),
            tail_chance: c.tail.0,
            tail: Duration::from_millis(c.tail.1),
            loss: c.loss,
            partial: c.partial,
            ..LinkConfig::default()
        }
    }

    /// Each direction as the faults that go on leave it.
    fn set_links(&self) {
        for from in self.everyone() {
            for to in self.everyone().into_iter().filter(|to| *to != from) {
                let mut link = self.usual_link();
                for i in &self.active {
                    match self.plan.faults[*i].what {
                        What::Delay { node, by_ms } if node == from || node == to => {
                            link.latency.0 += Duration::from_millis(by_ms / 2);
                            link.latency.1 += Duration::from_millis(by_ms);
                        }
                        What::Loss { node, rate } if node == from || node == to => link.loss = link.loss.max(rate),
                        What::SlowLink { node, bytes_per_s } if node == from || node == to => {
                            link.bandwidth = Some(link.bandwidth.map_or(bytes_per_s, |b| b.min(bytes_per_s)));
                        }
                        What::Corrupt { a, b, rate } if [(a, b), (b, a)].contains(&(from, to)) => {
                            link.corrupt = link.corrupt.max(rate);
                        }
                        _ => {}
                    }
                }
                self.world.set_link(self.host(from), self.host(to), link);
            }
        }
    }

    /// The network as it is when all faults are over: nothing is lost any more.
    pub fn mend_links(&self) {
        for from in self.everyone() {
            for to in self.everyone().into_iter().filter(|to| *to != from) {
                let link = LinkConfig { loss: 0.0, ..self.usual_link() };
                self.world.set_link(self.host(from), self.host(to), link);
            }
        }
    }

    pub fn take_down(&mut self, node: u8, until: Instant, power: bool) {
        // A dead process is not paused any more.
        if self.hit.values().any(|n| *n == node) {
            self.hit.retain(|_, n| *n != node);
            self.world.resume(self.host(node));
        }
        match power {
            true => self.world.power_fail(self.host(node)),
            false => self.world.crash(self.host(node)),
        }
        self.watcher.ended(node);
        let down = self.down_until.entry(node).or_insert(until);
        *down = until.max(*down);
    }

    fn pause(&mut self, i: usize, node: u8) {
        if self.world.is_running(self.host(node)) {
            self.world.pause(self.host(node));
            self.hit.insert(i, node);
        }
    }

    /// The log segments of a member with the end of what is written in each.
    fn written_segments(&self, node: u8) -> Vec<(PathBuf, u64)> {
        let host = self.host(node);
        let is_segment = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("log-"));
        let segments = self.world.files(host).into_iter().map(|(path, _)| path).filter(is_segment);
        let written = segments.filter_map(|path| {
            let end = self.world.file(host, &path)?.iter().rposition(|b| *b != 0)? as u64 + 1;
            Some((path, end))
        });
        written.filter(|(_, end)| *end > 8_192).collect()
    }

    /// Flips a bit in the newest log segment (its written part) or in any.
    fn rot(&mut self, node: u8, tail: bool) {
        let host = self.host(node);
        let mut dice = Dice::numbered(self.plan.seed, ROT_STREAM);
        let written = self.written_segments(node);
        let Some((newest, _)) = written.last() else { return };
        let (path, end) = match tail {
            true => (newest, written[written.len() - 1].1),
            false => {
                let (path, end) = &written[dice.below(written.len() as u64) as usize];
                (path, *end)
            }
        };
        self.watcher.disk_lost(node);
        let from = if tail { end.saturating_sub(200) } else { 4_096.min(end / 2) };
        self.world.rot(host, path, from..end);
        // Beyond the head and the echoes are the records: what is damaged before the last flush has no copy.
        let bytes = self.world.file(host, path).unwrap_or_default();
        let area = bytes.get(64..68).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let records = 8_192 + 2 * u64::from(area);
        if !tail && records < end {
            self.world.rot(host, path, records..records + (end - records) / 2 + 1);
        }
    }

    /// Flips a bit in the first copy of any segment's head. The other is untouched: the member must miss nothing.
    fn scratch_head(&mut self, node: u8) {
        let mut dice = Dice::numbered(self.plan.seed, ROT_STREAM);
        let written = self.written_segments(node);
        if let Some((path, _)) = written.get(dice.below(written.len().max(1) as u64) as usize) {
            self.world.rot(self.host(node), path, 0..64);
        }
    }

    /// Flips a bit in the newest snapshot.
    fn rot_snapshot(&mut self, node: u8) {
        let host = self.host(node);
        let is_snapshot =
            |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("snapshot-"));
        let mut snapshots = self.world.files(host).into_iter().filter(|(path, _)| is_snapshot(path));
        if let Some((path, length)) = snapshots.next_back()
            && self.world.rot(host, &path, 0..length).is_some()
        {
            self.watcher.disk_lost(node);
        }
    }

    /// Part of any log segment cannot be read any more.
    fn spoil(&mut self, node: u8) {
        let mut dice = Dice::numbered(self.plan.seed, ROT_STREAM);
        let written = self.written_segments(node);
        if written.is_empty() {
            return;
        }
        let (path, end) = &written[dice.below(written.len() as u64) as usize];
        let from = dice.below(*end);
        if self.world.spoil(self.host(node), path, from..from + 1) {
            self.watcher.disk_lost(node);
        }
    }
}
