//! The machines of a run, who is on them, and what happens when.

use super::older_disks::OlderDisks;
use super::{Options, Outcome};
use crate::client::{Client, SUPER_USER, Signals};
use crate::leaks;
use crate::plan::{Hunt, Plan, What};
use crate::recorder::Recorder;
use crate::watcher::Watcher;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::history::{Header, History};
use synod_node::{Config, Error, Member, Stopped};
use synod_sim::{Dice, DiskConfig, DiskImage, Host, World};
use synod_types::version::CLUSTER_VERSION;
use synod_types::{Instant, Mutants, NodeId, Term};
use tokio::sync::Notify;

/// Streams of the run's own dice; the plan has others. Clients have one for their connections, one for what they do.
const CLIENT_STREAM: u64 = 10_000;
const OPERATION_STREAM: u64 = 20_000;
/// How often the driver looks at the members; a new leader wakes it.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// Containers and TTL nodes are looked for so often.
const REAP_EVERY: Duration = Duration::from_millis(150);
/// Connections of clients that a member takes: far more than there are.
pub(super) const CONNECTIONS_MAX: usize = 64;
pub(super) const RESTART_DELAY: Duration = Duration::from_millis(200);

/// The machines and what is known of them.
pub(super) struct Driver<'a> {
    pub world: World,
    pub plan: &'a Plan,
    pub mutants: Mutants,
    pub hosts: Vec<Host>,
    pub clients: Host,
    pub watcher: Watcher,
    pub recorder: Recorder,
    pub signals: Arc<Signals>,
    /// Members that must not be started before this moment.
    pub down_until: BTreeMap<u8, Instant>,
    pub ended: Arc<Mutex<Vec<(u8, String, bool)>>>,
    /// Hunts and flapping links that go on, by the fault's number.
    pub hunts: BTreeMap<usize, Hunting>,
    pub flaps: BTreeMap<usize, Instant>,
    /// Faults that go on, by their number.
    pub active: BTreeSet<usize>,
    /// How to ask a member to stop.
    pub stops: BTreeMap<u8, Arc<Notify>>,
    /// How to ask a member to hand over, and to whom.
    pub successors: BTreeMap<u8, Arc<Succession>>,
    /// Disks of members that were given another's.
    pub swapped: BTreeMap<u8, DiskImage>,
    pub older_disks: OlderDisks,
    /// Members that are to be asked to stop, when, and the newest cluster version that their program supports then, if
    /// they get another.
    pub restarts: BTreeSet<(Instant, u8, Option<u32>)>,
    /// The newest cluster version that each member's program supports.
    pub programs: BTreeMap<u8, u32>,
    /// What downgraded members had, by the fault's number.
    pub downgraded: BTreeMap<usize, u32>,
    /// Members that refused to run with the program that they have.
    pub refused: Arc<Mutex<BTreeSet<u8>>>,
    /// When whom a hunt paused goes on: the key in `hit`.
    pub resumes: BTreeSet<(Instant, usize)>,
    /// Whom a fault that names "the leader" hit.
    pub hit: BTreeMap<usize, u8>,
    pub kinds: BTreeMap<String, u64>,
}

/// How a member is asked to hand over.
#[derive(Default)]
pub(super) struct Succession {
    pub asked: Notify,
    pub to: AtomicU8,
}

/// A hunt for leaders.
#[derive(Clone, Copy)]
pub(super) struct Hunting {
    pub how: Hunt,
    pub after: Duration,
    pub hold: Duration,
    /// The present leader, its term, since when, and whether it was hit.
    pub prey: Option<(u8, Term, Instant, bool)>,
}

pub(super) async fn drive(world: World, plan: &Plan, mutants: Mutants, options: Options) -> (Outcome, History) {
    let hosts: Vec<Host> = (0..plan.cluster.nodes).map(|_| world.host()).collect();
    let clients = world.host();
    if let Some(hook) = options.on_event {
        world.on_event(hook);
    }
    let mut driver = Driver {
        recorder: Recorder::new(world.clone()),
        watcher: Watcher::new(world.clone(), hosts.clone(), Duration::from_millis(plan.cluster.election_timeout_ms)),
        world,
        plan,
        mutants,
        hosts,
        clients,
        signals: Arc::default(),
        down_until: BTreeMap::new(),
        ended: Arc::default(),
        hunts: BTreeMap::new(),
        flaps: BTreeMap::new(),
        active: BTreeSet::new(),
        stops: BTreeMap::new(),
        successors: BTreeMap::new(),
        swapped: BTreeMap::new(),
        older_disks: OlderDisks::default(),
        restarts: BTreeSet::new(),
        programs: (1..=plan.cluster.nodes).map(|node| (node, plan.cluster.version)).collect(),
        downgraded: BTreeMap::new(),
        refused: Arc::default(),
        resumes: BTreeSet::new(),
        hit: BTreeMap::new(),
        kinds: BTreeMap::new(),
    };
    driver.watcher.set_hooks(options.on_member, options.on_remark, options.on_message);
    if options.keep_script {
        driver.recorder.keep_script();
    }
    driver.set_up();
    driver.load_and_faults().await;
    let (mut findings, liveness) = match options.unhealed {
        true => Default::default(),
        false => driver.heal_and_probe().await,
    };
    let quiescent = !options.unhealed && findings.is_empty() && liveness.stuck.is_none();
    if quiescent {
        findings.extend(driver.check_retention());
    }
    let mut history = driver.recorder.finish(quiescent);
    let mut truth = std::mem::take(&mut driver.watcher.lock().truth);
    truth.sort_by_key(|a| a.index);
    history.truth = Some(truth);
    let mut effects = driver.kinds.clone();
    effects.extend(driver.world.faults_effective().into_iter().map(|(k, n)| (k.to_string(), n)));
    if quiescent && findings.is_empty() {
        findings.extend(driver.try_failures().await);
    }
    findings.extend(std::mem::take(&mut driver.watcher.lock().findings));
    for (host, text) in driver.world.panics() {
        findings.push(match driver.hosts.iter().position(|h| *h == host) {
            Some(node) => {
                let member = format!("member {}", node + 1);
                let sentence = format!("{member}: {text}");
                Finding::safety("run", "panic", member, sentence)
            }
            None => super::storage::by_itself(text),
        });
    }
    for (node, why, lawful) in driver.ended.lock().expect("not poisoned").iter() {
        if !lawful {
            findings.push(Finding::safety("run", "start", format!("member {node}"), why.clone()));
        }
    }
    let mut sometimes: BTreeMap<String, u64> =
        driver.world.sometimes().into_iter().map(|(k, n)| (k.to_string(), n)).collect();
    sometimes.extend(driver.watcher.lock().sometimes.iter().map(|(k, n)| (k.to_string(), *n)));
    let steps = std::mem::take(&mut driver.watcher.lock().steps);
    let states = std::mem::take(&mut driver.watcher.lock().states);
    let outcome = Outcome {
        seed: plan.seed,
        profile: Some(plan.profile),
        findings,
        liveness,
        steps,
        states,
        script: driver.recorder.take_script(),
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
    pub fn remark(&mut self, text: String) {
        self.watcher.remark(text);
    }

    pub fn host(&self, node: u8) -> Host {
        match node {
            0 => self.clients,
            node => self.hosts[usize::from(node) - 1],
        }
    }

    pub fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        self.hosts.iter().map(|h| h.addr(port)).collect()
    }

    fn disk_config(&self) -> DiskConfig {
        let (min, max) = self.plan.cluster.flush_us;
        DiskConfig { sync: (Duration::from_micros(min), Duration::from_micros(max)), ..DiskConfig::default() }
    }

    fn set_up(&mut self) {
        let bounds = Config::new(NodeId(1), BTreeMap::new(), PathBuf::new()).zookeeper;
        let timeouts_ms = (bounds.session_timeout_min_ms, bounds.session_timeout_max_ms);
        self.recorder.describe(Header {
            source: format!("seed {}", self.plan.seed),
            address: Some(self.clients.addr(0).ip().to_string()),
            timeouts_ms: Some(timeouts_ms),
            overload: self.plan.cluster.outstanding_max < 1_000,
            ..Header::default()
        });
        self.world.set_links(self.usual_link());
        for node in 1..=self.plan.cluster.nodes {
            self.world.set_disk(self.host(node), self.disk_config());
            self.world.set_fault_points(self.host(node), self.plan.fault_points.clone());
            let (drift, offset) = self.plan.cluster.clocks[usize::from(node) - 1];
            if (drift, offset) != (0, 0) {
                self.world.set_clock_drift(self.host(node), drift);
                self.world.jump_wall_clock(self.host(node), offset);
            }
            self.start(node);
        }
        if let Some(leak) = self.plan.leak {
            self.world.start(self.clients, move |env| leaks::run(env, leak));
        }
        for id in 1..=self.plan.workload.clients {
            let (recorder, signals) = (self.recorder.clone(), self.signals.clone());
            let dice = |stream| Dice::numbered(self.plan.seed, stream + u64::from(id));
            let dice = (dice(CLIENT_STREAM), dice(OPERATION_STREAM));
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
        config.limits.append_entries_max = c.append_entries_max;
        config.limits.append_bytes_max = c.append_bytes_max;
        config.limits.in_flight_max = c.in_flight_max;
        config.limits.in_flight_bytes_max = c.in_flight_bytes_max;
        config.chunk_bytes = c.chunk_bytes;
        config.outstanding_max = c.outstanding_max;
        // All clients have one address.
        match self.plan.seed.is_multiple_of(2) {
            true => config.connections_per_address_max = CONNECTIONS_MAX,
            false => config.connections_max = CONNECTIONS_MAX,
        }
        config.reap_every = REAP_EVERY;
        let zookeeper = Arc::make_mut(&mut config.zookeeper);
        zookeeper.extended_types = true;
        zookeeper.super_digest = Some(SUPER_USER.0.into());
        config.trace = true;
        config.cluster_version = self.programs[&node];
        let supported = config.cluster_version;
        self.watcher.starts(node, supported);
        let refused = self.refused.clone();
        config.mutants = self.mutants;
        let astray =
            |i: &usize| matches!(self.plan.faults[*i].what, What::MisdirectReads { node: of, .. } if of == node);
        let astray = self.active.iter().any(astray);
        if astray {
            self.watcher.disk_lost(node);
        }
        // It finds out now, whatever ended it; or later, if its disk shows what is not durable.
        if self.watcher.is_suspect(node) {
            self.watcher.disk_lost(node);
            let astray =
                |i: &usize| matches!(self.plan.faults[*i].what, What::MisdirectWrites { node: of, .. } if of == node);
            let remains = self.active.iter().any(astray) || self.world.disk_lies(self.host(node));
            self.watcher.suspect(node, remains);
        }
        let watcher = self.watcher.clone();
        let ended = self.ended.clone();
        let foreign = self.swapped.contains_key(&node);
        let asked = Arc::new(Notify::new());
        self.stops.insert(node, asked.clone());
        let succession = Arc::new(Succession::default());
        self.successors.insert(node, succession.clone());
        self.world.start(self.host(node), async move |env| {
            let why = match Member::start(env, config, Some(Arc::new(watcher.clone()))).await {
                Ok(_) if foreign => (format!("node {node} started on another member's disk"), false),
                Err(error) if foreign => (error.to_string(), true),
                Ok(member) => {
                    loop {
                        tokio::select! {
                            biased;
                            _ = member.stopped() => break,
                            () = asked.notified() => break member.stop().await,
                            () = succession.asked.notified() => {
                                member.hand_over(NodeId(succession.to.load(Ordering::Relaxed)));
                            }
                        }
                    }
                    match member.stopped().await {
                        Stopped::Broken(why) => (why, false),
                        Stopped::Outgrown(why) => {
                            refused.lock().expect("not poisoned").insert(node);
                            (why, watcher.raised() > supported)
                        }
                        why => (why.to_string(), true),
                    }
                }
                Err(error @ Error::Version { .. }) => {
                    refused.lock().expect("not poisoned").insert(node);
                    (error.to_string(), watcher.raised() > supported)
                }
                // Read right once and wrong the next time: it does not start, and may the next time.
                Err(error) => (error.to_string(), error.is_disk() || astray),
            };
            watcher.ended(node);
            ended.lock().expect("not poisoned").push((node, why.0, why.1));
        });
    }

    /// Starts members that are down and may be up.
    pub fn supervise(&mut self) {
        self.take_out_older_disks();
        let now = self.world.now();
        for node in 1..=self.plan.cluster.nodes {
            if self.world.is_running(self.host(node)) {
                continue;
            }
            self.watcher.ended(node);
            let until = *self.down_until.entry(node).or_insert(now + RESTART_DELAY);
            if now >= until {
                self.down_until.remove(&node);
                // What its operator does who reads why it does not run.
                if self.refused.lock().expect("not poisoned").remove(&node) {
                    self.remark(format!("node {node} refused to run with an old program and gets the newest"));
                    self.programs.insert(node, CLUSTER_VERSION);
                }
                self.remark(format!("start node {node}"));
                self.start(node);
            }
        }
    }

    pub async fn load_and_faults(&mut self) {
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
            let next = agenda.first().map_or(end, |(when, _, _)| *when).min(now + LOOK).min(end);
            let next = self.recurs_at(now).map_or(next, |at| next.min(at));
            let leads = self.watcher.leads();
            tokio::select! {
                biased;
                () = leads.notified() => {}
                () = self.world.sleep_until(next) => {}
            }
        }
        for (_, ends, i) in agenda {
            if ends {
                self.end(i, &self.plan.faults[i]);
            }
        }
    }

    pub fn everyone(&self) -> Vec<u8> {
        (0..=self.plan.cluster.nodes).collect()
    }

    pub fn group(&self, nodes: &[u8]) -> Vec<Host> {
        nodes.iter().map(|n| self.host(*n)).collect()
    }
}
