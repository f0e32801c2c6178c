//! One plan, from the first boot to the verdict.

use crate::client::{Client, Signals, probe};
use crate::plan::{Fault, Hunt, Plan, What};
use crate::recorder::Recorder;
use crate::watcher::{OnMember, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_checkers::history::History;
use synod_checkers::oracles;
use synod_node::{Config, Member, Stopped};
use synod_sim::{Dice, DiskConfig, Host, LinkConfig, SimEvent, World, run_seed};
use synod_types::{Instant, Mutants, NodeId, Term};

/// Streams of the run's own dice; the plan has others.
const CLIENT_STREAM: u64 = 10_000;
/// How often the driver looks at the members, and while it hunts leaders.
const LOOK: Duration = Duration::from_millis(50);
const LOOK_CLOSELY: Duration = Duration::from_millis(2);
/// Keys in `Driver::hit` from here on are a hunt's.
const HUNTED: usize = 1_000_000;
const RESTART_DELAY: Duration = Duration::from_millis(200);
/// After the faults, the cluster must serve again within so many election timeouts plus sessions' ends.
const HEALED_PATIENCE: Duration = Duration::from_secs(30);

/// What a run showed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The plan's.
    pub seed: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Hash over every event of the world.
    pub hash: u128,
    /// How often each kind of fault took effect.
    pub effects: BTreeMap<String, u64>,
    /// Rare states.
    pub sometimes: BTreeMap<String, u64>,
    /// Operations answered.
    pub acknowledged: u64,
    /// Length of the run in its own time.
    pub simulated: Duration,
    /// Share of the processor's time that checking took.
    pub checking: Duration,
    /// The processor's time in all.
    pub took: Duration,
    /// The history, for whoever wants to look.
    pub history: Option<History>,
}

impl Outcome {
    /// The worst of the findings.
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }
}

/// Called with each event of the world.
pub type OnEvent = Box<dyn FnMut(&SimEvent) + Send>;

/// What a run is asked beside its verdict.
#[derive(Default)]
pub struct Options {
    /// Called with each event of the world.
    pub on_event: Option<OnEvent>,
    /// Called with remarks of the driver: time, text.
    pub on_remark: Option<Box<dyn FnMut(Instant, String) + Send>>,
    /// Called with changes of a member's figures.
    pub on_member: Option<OnMember>,
    /// Keep the history.
    pub keep_history: bool,
}

/// Runs a plan on a thread of its own.
pub fn run(plan: &Plan, options: Options) -> Outcome {
    let started = std::time::Instant::now();
    let mutants = mutants_of(plan);
    let keep = options.keep_history;
    let (mut outcome, history) = run_seed(plan.seed, async |world| drive(world, plan, mutants, options).await);
    let checking = std::time::Instant::now();
    let drift_ppm = plan.cluster.clocks.iter().map(|(ppm, _)| ppm.unsigned_abs());
    let drifts = plan.faults.iter().filter_map(|f| match f.what {
        What::ClockDrift { ppm, .. } => Some(ppm.unsigned_abs()),
        _ => None,
    });
    let drift_ppm = drift_ppm.chain(drifts).max().unwrap_or(0);
    let options = oracles::Options { drift_ppm, ..oracles::Options::default() };
    outcome.findings.extend(oracles::check(&history, options));
    outcome.checking += checking.elapsed();
    outcome.took = started.elapsed();
    if keep {
        outcome.history = Some(history);
    }
    outcome
}

#[cfg(feature = "mutants")]
fn mutants_of(plan: &Plan) -> Mutants {
    let named = |name: &String| synod_types::Mutant::ALL.iter().copied().find(|m| m.name() == name);
    plan.mutant.as_ref().and_then(named).map_or(Mutants::NONE, Mutants::only)
}

#[cfg(not(feature = "mutants"))]
fn mutants_of(_: &Plan) -> Mutants {
    Mutants::NONE
}

/// The machines and what is known of them.
struct Driver<'a> {
    world: World,
    plan: &'a Plan,
    mutants: Mutants,
    hosts: Vec<Host>,
    clients: Host,
    watcher: Watcher,
    recorder: Recorder,
    signals: Arc<Signals>,
    /// Members that must not be started before this moment.
    down_until: BTreeMap<u8, Instant>,
    ended: Arc<Mutex<Vec<(u8, String, bool)>>>,
    remark: Option<Box<dyn FnMut(Instant, String) + Send>>,
    /// Hunts and flapping links that go on, by the fault's number.
    hunts: BTreeMap<usize, Hunting>,
    flaps: BTreeMap<usize, Instant>,
    /// When whom a hunt paused goes on: the key in `hit`.
    resumes: BTreeSet<(Instant, usize)>,
    /// Whom a fault that names "the leader" hit.
    hit: BTreeMap<usize, u8>,
    kinds: BTreeMap<String, u64>,
}

/// A hunt for leaders.
#[derive(Clone, Copy)]
struct Hunting {
    how: Hunt,
    after: Duration,
    hold: Duration,
    /// The present leader, its term, since when, and whether it was hit.
    prey: Option<(u8, Term, Instant, bool)>,
}

async fn drive(world: World, plan: &Plan, mutants: Mutants, options: Options) -> (Outcome, History) {
    let hosts: Vec<Host> = (0..plan.cluster.nodes).map(|_| world.host()).collect();
    let clients = world.host();
    if let Some(hook) = options.on_event {
        world.on_event(hook);
    }
    let mut driver = Driver {
        recorder: Recorder::new(world.clone(), format!("seed {}", plan.seed)),
        watcher: Watcher::new(world.clone(), plan.cluster.nodes.into()),
        world,
        plan,
        mutants,
        hosts,
        clients,
        signals: Arc::default(),
        down_until: BTreeMap::new(),
        ended: Arc::default(),
        remark: options.on_remark,
        hunts: BTreeMap::new(),
        flaps: BTreeMap::new(),
        resumes: BTreeSet::new(),
        hit: BTreeMap::new(),
        kinds: BTreeMap::new(),
    };
    if let Some(hook) = options.on_member {
        driver.watcher.on_member(hook);
    }
    driver.set_up();
    driver.load_and_faults().await;
    let mut findings = driver.heal_and_probe().await;
    let quiescent = findings.is_empty();
    findings.extend(std::mem::take(&mut driver.watcher.lock().findings));
    for (host, text) in driver.world.panics() {
        let node = driver.hosts.iter().position(|h| *h == host).map_or(0, |i| i + 1);
        findings.push(Finding::safety("run", "panic", format!("member {node}"), format!("member {node}: {text}")));
    }
    for (node, why, lawful) in driver.ended.lock().expect("not poisoned").iter() {
        if !lawful {
            findings.push(Finding::safety("run", "start", format!("member {node}"), why.clone()));
        }
    }
    let mut history = driver.recorder.finish(quiescent);
    let mut truth = std::mem::take(&mut driver.watcher.lock().truth);
    truth.sort_by_key(|a| a.index);
    history.truth = Some(truth);
    let mut effects = driver.kinds.clone();
    effects.extend(driver.world.faults_effective().into_iter().map(|(k, n)| (k.to_string(), n)));
    let mut sometimes: BTreeMap<String, u64> =
        driver.world.sometimes().into_iter().map(|(k, n)| (k.to_string(), n)).collect();
    sometimes.extend(driver.watcher.lock().sometimes.iter().map(|(k, n)| (k.to_string(), *n)));
    let outcome = Outcome {
        seed: plan.seed,
        findings,
        hash: driver.world.trace_hash(),
        effects,
        sometimes,
        acknowledged: driver.recorder.acknowledged(),
        simulated: Duration::from_nanos(driver.world.now().0),
        ..Outcome::default()
    };
    (outcome, history)
}

impl Driver<'_> {
    fn remark(&mut self, text: String) {
        let now = self.world.now();
        if let Some(remark) = &mut self.remark {
            remark(now, text);
        }
    }

    fn host(&self, node: u8) -> Host {
        match node {
            0 => self.clients,
            node => self.hosts[usize::from(node) - 1],
        }
    }

    fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        self.hosts.iter().map(|h| h.addr(port)).collect()
    }

    fn link_config(&self) -> LinkConfig {
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

    fn disk_config(&self) -> DiskConfig {
        let (min, max) = self.plan.cluster.flush_us;
        DiskConfig { sync: (Duration::from_micros(min), Duration::from_micros(max)), ..DiskConfig::default() }
    }

    fn set_up(&mut self) {
        self.world.set_links(self.link_config());
        for node in 1..=self.plan.cluster.nodes {
            self.world.set_disk(self.host(node), self.disk_config());
            let (drift, offset) = self.plan.cluster.clocks[usize::from(node) - 1];
            if (drift, offset) != (0, 0) {
                self.world.set_clock_drift(self.host(node), drift);
                self.world.jump_wall_clock(self.host(node), offset);
            }
            self.start(node);
        }
        for id in 1..=self.plan.workload.clients {
            let (recorder, signals) = (self.recorder.clone(), self.signals.clone());
            let dice = Dice::numbered(self.plan.seed, CLIENT_STREAM + u64::from(id));
            let (workload, servers) = (self.plan.workload.clone(), self.addresses(2181));
            self.world
                .start(self.clients, move |env| Client::new(id, env, recorder, signals, dice, workload, servers).run());
        }
    }

    fn start(&mut self, node: u8) {
        let members: BTreeMap<NodeId, SocketAddr> =
            (1..=self.plan.cluster.nodes).map(|n| (NodeId(n), self.host(n).addr(7000))).collect();
        let mut config = Config::new(NodeId(node), members, PathBuf::from("/data"));
        let c = &self.plan.cluster;
        config.zookeeper_listen = Some(self.host(node).addr(2181));
        config.election_timeout = Duration::from_millis(c.election_timeout_ms);
        config.snapshot_entries = c.snapshot_entries;
        config.log_keep = c.log_keep;
        config.segment_bytes = c.segment_bytes;
        config.append_entries_max = c.append_entries_max;
        config.chunk_bytes = c.chunk_bytes;
        config.trace = true;
        config.mutants = self.mutants;
        let watcher = self.watcher.clone();
        let ended = self.ended.clone();
        self.world.start(self.host(node), async move |env| {
            let why = match Member::start(env, config, Some(Arc::new(watcher.clone()))).await {
                Ok(member) => match member.stopped().await {
                    Stopped::Broken(why) => (why, false),
                    why => (why.to_string(), true),
                },
                Err(error) => (error.to_string(), error.is_disk()),
            };
            watcher.ended(node);
            ended.lock().expect("not poisoned").push((node, why.0, why.1));
        });
    }

    /// Starts members that are down and may be up.
    fn supervise(&mut self) {
        let now = self.world.now();
        for node in 1..=self.plan.cluster.nodes {
            if self.world.is_running(self.host(node)) {
                continue;
            }
            self.watcher.ended(node);
            let until = *self.down_until.entry(node).or_insert(now + RESTART_DELAY);
            if now >= until {
                self.down_until.remove(&node);
                self.remark(format!("start node {node}"));
                self.start(node);
            }
        }
    }

    async fn load_and_faults(&mut self) {
        let begin = self.world.now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        // (when, end?, which)
        let mut agenda: BTreeSet<(Instant, bool, usize)> =
            self.plan.faults.iter().enumerate().map(|(i, f)| (at(f.at_ms), false, i)).collect();
        let end = at(self.plan.workload.horizon_ms);
        loop {
            let now = self.world.now();
            while let Some((when, ends, i)) = agenda.first().copied().filter(|(when, _, _)| *when <= now) {
                agenda.remove(&(when, ends, i));
                let fault = &self.plan.faults[i];
                if ends {
                    self.end(i, fault);
                } else {
                    self.begin(i, fault);
                    if fault.for_ms > 0 {
                        agenda.insert((when + Duration::from_millis(fault.for_ms), true, i));
                    }
                }
            }
            self.recur(now);
            self.supervise();
            if now >= end {
                break;
            }
            let look = if self.hunts.is_empty() && self.flaps.is_empty() { LOOK } else { LOOK_CLOSELY };
            let next = agenda.first().map_or(end, |(when, _, _)| *when).min(now + look).min(end);
            self.world.sleep_until(next).await;
        }
        for (_, ends, i) in agenda {
            if ends {
                self.end(i, &self.plan.faults[i]);
            }
        }
    }

    fn everyone(&self) -> Vec<u8> {
        (0..=self.plan.cluster.nodes).collect()
    }

    fn group(&self, nodes: &[u8]) -> Vec<Host> {
        nodes.iter().map(|n| self.host(*n)).collect()
    }

    fn begin(&mut self, i: usize, fault: &Fault) {
        let span = Some(Duration::from_millis(fault.for_ms));
        let leader = self.watcher.leader();
        let until = self.world.now() + Duration::from_millis(fault.for_ms);
        let target = leader.unwrap_or(1);
        self.remark(format!("begin {:?}{}", fault.what, leader.map_or(String::new(), |l| format!(" (leader {l})"))));
        if let What::Wipe { node } | What::Rot { node } | What::RotTail { node } = fault.what
            && self.too_much(node)
        {
            self.remark("not done: no more disks may be lost before the others have recovered".into());
            return;
        }
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
            What::Flap { .. } => drop(self.flaps.insert(i, self.world.now())),
            What::Delay { node, by_ms } => {
                let mut config = self.link_config();
                config.latency.0 += Duration::from_millis(*by_ms / 2);
                config.latency.1 += Duration::from_millis(*by_ms);
                self.set_links_of(*node, config);
            }
            What::Loss { node, rate } => {
                let config = LinkConfig { loss: *rate, ..self.link_config() };
                self.set_links_of(*node, config);
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
                let usual_us = self.plan.cluster.flush_us.1.max(1);
                let factor = (by_ms * 1_000 / usual_us).clamp(2, 1_000) as u32;
                self.world.slow_disk(self.host(*node), factor, span);
            }
            What::FlushFails { node } => {
                self.down_until.insert(*node, until);
                self.world.fail_syncs(self.host(*node), 1);
            }
            What::DiskFull { node } => {
                self.down_until.insert(*node, until);
                self.world.fill_disk(self.host(*node), true);
            }
        }
    }

    fn end(&mut self, i: usize, fault: &Fault) {
        self.remark(format!("end {:?}", fault.what));
        match &fault.what {
            What::Delay { node, .. } | What::Loss { node, .. } => {
                let config = self.link_config();
                self.set_links_of(*node, config);
            }
            What::Pause { .. } | What::PauseLeader => {
                self.resume(i);
            }
            What::HuntLeaders { .. } => drop(self.hunts.remove(&i)),
            What::Flap { .. } => drop(self.flaps.remove(&i)),
            What::SlowDisk { node, .. } => self.world.slow_disk(self.host(*node), 1, None),
            What::FlushFails { node } => self.world.fail_syncs(self.host(*node), 0),
            What::DiskFull { node } => self.world.fill_disk(self.host(*node), false),
            _ => {}
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
    fn recur(&mut self, now: Instant) {
        while let Some((_, i)) = self.resumes.first().copied().filter(|(when, _)| *when <= now) {
            self.resumes.pop_first();
            self.resume(i);
        }
        for (i, due) in self.flaps.clone() {
            if let (What::Flap { a, b, every_ms }, true) = (&self.plan.faults[i].what, due <= now) {
                self.world.reset_connections(self.host(*a), self.host(*b));
                self.flaps.insert(i, now + Duration::from_millis(*every_ms));
            }
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
    fn too_much(&self, node: u8) -> bool {
        let nodes = self.plan.cluster.nodes;
        let unsound = self.watcher.unsound(nodes) + usize::from(self.watcher.is_sound(node));
        unsound > usize::from(nodes - 1) / 2
    }

    fn set_links_of(&self, node: u8, config: LinkConfig) {
        for other in self.everyone().into_iter().filter(|o| *o != node) {
            self.world.set_link(self.host(node), self.host(other), config.clone());
            self.world.set_link(self.host(other), self.host(node), config.clone());
        }
    }

    fn take_down(&mut self, node: u8, until: Instant, power: bool) {
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

    /// Flips a bit in the newest log segment (its written part) or in any.
    fn rot(&mut self, node: u8, tail: bool) {
        let host = self.host(node);
        let mut dice = Dice::numbered(self.plan.seed, CLIENT_STREAM - 1);
        let logs: Vec<_> = self
            .world
            .files(host)
            .into_iter()
            .filter(|(path, _)| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("log-")))
            .collect();
        let written: Vec<(PathBuf, u64)> = logs
            .into_iter()
            .filter_map(|(path, _)| {
                let bytes = self.world.file(host, &path)?;
                let end = bytes.iter().rposition(|b| *b != 0)? as u64 + 1;
                Some((path, end))
            })
            .filter(|(_, end)| *end > 8_192)
            .collect();
        if written.is_empty() {
            return;
        }
        let (path, end) = match tail {
            true => written.last().expect("not empty").clone(),
            false => written[dice.below(written.len() as u64) as usize].clone(),
        };
        self.watcher.disk_lost(node);
        let from = if tail { end.saturating_sub(200) } else { 4_096.min(end / 2) };
        self.world.rot(host, &path, from..end);
        // Beyond the head and the echoes are the records: what is damaged before the last flush has no copy.
        let bytes = self.world.file(host, &path).unwrap_or_default();
        let area = bytes.get(64..68).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let records = 8_192 + 2 * u64::from(area);
        if !tail && records < end {
            self.world.rot(host, &path, records..records + (end - records) / 2 + 1);
        }
    }

    /// Faults are over: the cluster must serve again.
    async fn heal_and_probe(&mut self) -> Vec<Finding> {
        self.signals.quiet.store(true, Ordering::Relaxed);
        self.world.heal();
        let healthy = self.link_config();
        for node in 1..=self.plan.cluster.nodes {
            self.set_links_of(node, LinkConfig { loss: 0.0, ..healthy.clone() });
            self.world.slow_disk(self.host(node), 1, None);
            self.world.fail_syncs(self.host(node), 0);
            self.world.fill_disk(self.host(node), false);
            if self.hit.values().any(|n| *n == node) {
                self.world.resume(self.host(node));
            }
            self.world.set_clock_drift(self.host(node), self.plan.cluster.clocks[usize::from(node) - 1].0);
        }
        self.hit.clear();
        self.hunts.clear();
        self.flaps.clear();
        self.down_until.clear();
        self.remark("all faults are over".into());
        let healed = self.world.now();
        let deadline = healed + HEALED_PATIENCE;
        let mut unserved: BTreeSet<u8> = (1..=self.plan.cluster.nodes).collect();
        let done: Arc<Mutex<BTreeSet<u8>>> = Arc::default();
        let mut asked: BTreeMap<u8, Instant> = BTreeMap::new();
        let mut probes = 0;
        let keys = self.plan.workload.keys;
        while self.world.now() < deadline {
            self.supervise();
            let now = self.world.now();
            for node in &unserved {
                if asked.get(node).is_none_or(|at| now.since(*at) > Duration::from_secs(3)) {
                    asked.insert(*node, now);
                    probes += 1;
                    let (recorder, servers, done) = (self.recorder.clone(), self.addresses(2181), done.clone());
                    let (id, node) = (100 + probes, *node);
                    let paths = (0..keys).map(|k| format!("/k{k}")).collect();
                    self.world.start(self.clients, async move |env| {
                        if probe(env, recorder, id, node, servers, paths).await.is_ok() {
                            done.lock().expect("not poisoned").insert(node);
                        }
                    });
                }
            }
            self.world.sleep(Duration::from_millis(50)).await;
            for node in done.lock().expect("not poisoned").iter() {
                unserved.remove(node);
            }
            if unserved.is_empty() && self.agree() {
                // Watch events that are on their way arrive, and clients notice connections that are dead.
                let quiet = Duration::from_millis(u64::from(self.plan.workload.session_timeout_ms) + 1_500);
                self.world.sleep(quiet).await;
                if self.agree() {
                    return Vec::new();
                }
            }
        }
        let members = self.watcher.lock().members.clone();
        let mut sentence = format!(
            "{:.0} s after the last fault nodes {unserved:?} have not answered a write, a sync and reads; ",
            self.world.now().since(healed).as_secs_f64()
        );
        for (node, seen) in &members {
            sentence += &format!(
                "node {node}: {:?} in term {}, applied {}{}; ",
                seen.role,
                seen.term.0,
                seen.applied.0,
                if seen.recovering { ", recovering" } else { "" }
            );
        }
        let rule = if unserved.is_empty() { "replicas converge" } else { "serves after healing" };
        vec![Finding::safety("liveness", rule, "cluster", sentence).severity(Severity::Liveness)]
    }

    /// Whether all members run and have applied the same.
    fn agree(&self) -> bool {
        let watched = self.watcher.lock();
        let mut states = watched.members.values().map(|seen| (seen.applied, seen.digest));
        let first = states.next();
        watched.members.len() == usize::from(self.plan.cluster.nodes) && states.all(|s| Some(s) == first)
    }
}
