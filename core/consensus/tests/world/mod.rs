//! A small simulated world for this crate's own tests: members on virtual time with links that reset, disks that lose
//! what was not flushed, and oracles that look at every step. The simulator of the whole system is another room; this
//! one knows nothing but `Input` and `Output`.

mod disk;
mod faults;
mod network;
mod oracle;

use disk::{Disk, decode};
use network::Link;
use oracle::Oracle;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use synod_consensus::{Boot, Config, Input, Limits, Output, Raft, Role, TimerKind};
use synod_types::raft::{Entry, HardState, Message, Payload, SnapshotMeta};
use synod_types::{Index, Mutants, NodeId, Term};

/// Base of all timers, in ticks.
const ELECTION_TICKS: u64 = 100;
const CHUNK_BYTES: usize = 40;
const FAULT_KINDS: u64 = 17;

/// A payload: a number that is used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

impl Payload for Number {
    fn size_bytes(&self) -> usize {
        8
    }
}

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub nodes: u8,
    pub mutants: Mutants,
    /// Length of the part with faults.
    pub stormy_ticks: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Deliver { to: NodeId, from: NodeId, link: u64, message: Message<Number> },
    LinkUp { a: NodeId, b: NodeId },
    LinkDown { node: NodeId, peer: NodeId, link: u64 },
    Timer { node: NodeId, kind: TimerKind, armed: u64 },
    Flushed { node: NodeId, incarnation: u64, sequence: u64 },
    Fetch { node: NodeId, incarnation: u64, peer: NodeId, meta: SnapshotMeta, offset: u64 },
    Restore { node: NodeId, incarnation: u64, meta: SnapshotMeta },
    Restart { node: NodeId },
    Fault,
    Work,
}

struct Member {
    raft: Option<Raft<Number>>,
    incarnation: u64,
    disk: Disk,
    unflushed: VecDeque<Output<Number>>,
    flushing: bool,
    timers: BTreeMap<TimerKind, u64>,
    /// The state machine: everything it was given, by index.
    applied: BTreeMap<Index, (Term, Option<Number>)>,
    incoming: Vec<u8>,
    reads: BTreeMap<u64, Index>,
    paused_until: u64,
}

/// The whole world.
pub struct World {
    plan: Plan,
    limits: Limits,
    random: ChaCha8Rng,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    counter: u64,
    members: BTreeMap<NodeId, Member>,
    links: BTreeMap<(NodeId, NodeId), Link>,
    calm: bool,
    /// Each seed has some kinds of faults, as bits, and a longest pause between them: rare combinations need others to
    /// be absent.
    fault_kinds: u64,
    fault_pause_ticks: u64,
    next_number: u64,
    oracle: Oracle,
    /// How often something interesting happened.
    pub seen: BTreeMap<&'static str, u64>,
}

type Verdict = Result<(), String>;

impl World {
    pub fn new(plan: Plan) -> World {
        let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut draw = |from: u64, to: u64| from + random.next_u64() % (to - from);
        let limits = Limits {
            append_entries_max: draw(1, 5) as usize,
            append_bytes_max: draw(8, 64) as usize,
            in_flight_max: draw(1, 5) as usize,
            in_flight_bytes_max: draw(8, 128) as usize,
            chunk_bytes_max: CHUNK_BYTES,
        };
        let fault_kinds = draw(1, 1 << FAULT_KINDS) | draw(0, 1 << FAULT_KINDS);
        let fault_pause_ticks = [20, 60, 150][draw(0, 3) as usize];
        let mut world = World {
            plan,
            limits,
            random,
            now: 0,
            events: BTreeMap::new(),
            counter: 0,
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            calm: false,
            fault_kinds,
            fault_pause_ticks,
            next_number: 1,
            oracle: Oracle::default(),
            seen: BTreeMap::new(),
        };
        let ids: Vec<NodeId> = (1..=plan.nodes).map(NodeId).collect();
        for id in &ids {
            let member = Member {
                raft: None,
                incarnation: 0,
                disk: Disk::default(),
                unflushed: VecDeque::new(),
                flushing: false,
                timers: BTreeMap::new(),
                applied: BTreeMap::new(),
                incoming: Vec::new(),
                reads: BTreeMap::new(),
                paused_until: 0,
            };
            world.members.insert(*id, member);
            let at = world.draw(0, 50);
            world.at(at, Event::Restart { node: *id });
            for peer in ids.iter().filter(|peer| *peer > id) {
                world.links.insert((*id, *peer), Link { broken: true, ..Link::default() });
            }
        }
        world.at(5, Event::Work);
        world.at(300, Event::Fault);
        world
    }

    /// Runs the storm, then the calm, and says what was wrong.
    pub fn run(&mut self) -> Verdict {
        self.run_until(self.plan.stormy_ticks)?;
        self.heal();
        // Long enough for one entry, or one chunk, a round trip.
        for _ in 0..20 {
            self.run_until(self.now + 10 * ELECTION_TICKS)?;
            if self.is_level() {
                break;
            }
        }
        self.check_progress()
    }

    fn draw(&mut self, from: u64, to: u64) -> u64 {
        from + self.random.next_u64() % (to - from)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.draw(0, 100) < percent
    }

    fn pick(&mut self) -> NodeId {
        NodeId(self.draw(1, u64::from(self.plan.nodes) + 1) as u8)
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn at(&mut self, delay: u64, event: Event) {
        self.counter += 1;
        self.events.insert((self.now + delay, self.counter), event);
    }

    fn run_until(&mut self, end: u64) -> Verdict {
        while let Some(entry) = self.events.first_entry() {
            let (time, _) = *entry.key();
            if time > end {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(time);
            self.on_event(event)?;
        }
        self.now = end;
        Ok(())
    }

    fn on_event(&mut self, event: Event) -> Verdict {
        // A paused member sees everything later, in order.
        let concerned = match &event {
            Event::Deliver { to: node, .. }
            | Event::Timer { node, .. }
            | Event::Fetch { node, .. }
            | Event::Flushed { node, .. }
            | Event::LinkDown { node, .. } => Some(*node),
            _ => None,
        };
        if let Some(node) = concerned
            && self.members[&node].paused_until > self.now
        {
            let delay = self.members[&node].paused_until - self.now;
            self.at(delay, event);
            return Ok(());
        }
        match event {
            Event::Deliver { to, from, link, message } => {
                let end = usize::from(to > from);
                let connection = &self.links[&(to.min(from), to.max(from))];
                if connection.number == link && connection.up[end] {
                    return self.step(to, Input::Message { from, message });
                }
                Ok(())
            }
            Event::LinkUp { a, b } => self.connect(a, b),
            Event::LinkDown { node, peer, link } => {
                let key = (node.min(peer), node.max(peer));
                let end = usize::from(node > peer);
                let Some(connection) = self.links.get_mut(&key) else { return Ok(()) };
                if connection.number != link || !connection.up[end] {
                    return Ok(());
                }
                connection.up[end] = false;
                self.step(node, Input::Link { peer, up: false })
            }
            Event::Timer { node, kind, armed } => {
                let member = self.member(node);
                if member.raft.is_some() && member.timers.get(&kind) == Some(&armed) {
                    member.timers.remove(&kind);
                    return self.step(node, Input::Timer(kind));
                }
                Ok(())
            }
            Event::Flushed { node, incarnation, sequence } => {
                if self.members[&node].incarnation != incarnation {
                    return Ok(());
                }
                self.flush(node, sequence);
                self.member(node).flushing = false;
                self.step(node, Input::Appended { sequence })
            }
            Event::Fetch { node, incarnation, peer, meta, offset } => {
                if self.members[&node].incarnation != incarnation {
                    return Ok(());
                }
                let input = match &self.members[&node].disk.snapshot {
                    Some((held, data)) if *held == meta && offset <= meta.size_bytes => {
                        let from = offset as usize;
                        let to = (from + CHUNK_BYTES).min(data.len());
                        let data_chunk = Bytes::copy_from_slice(&data[from..to]);
                        Input::Fetched { peer, meta, offset, data: data_chunk, done: to == data.len() }
                    }
                    _ => Input::FetchFailed { peer, meta },
                };
                self.step(node, input)
            }
            Event::Restore { node, incarnation, meta } => self.restore(node, incarnation, meta),
            Event::Restart { node } => self.start(node),
            Event::Fault => {
                if !self.calm {
                    self.fault()?;
                    let delay = self.draw(5, self.fault_pause_ticks);
                    self.at(delay, Event::Fault);
                }
                Ok(())
            }
            Event::Work => {
                if !self.calm {
                    self.work()?;
                    let delay = self.draw(1, 20);
                    self.at(delay, Event::Work);
                }
                Ok(())
            }
        }
    }

    fn member(&mut self, node: NodeId) -> &mut Member {
        self.members.get_mut(&node).expect("a member of the world")
    }

    // Disks.

    // Lives.

    fn start(&mut self, node: NodeId) -> Verdict {
        let (voters, mutants, limits) =
            (self.members.keys().copied().collect::<BTreeSet<_>>(), self.plan.mutants, self.limits);
        let nonce = self.random.next_u64();
        let member = self.member(node);
        if member.raft.is_some() {
            return Ok(());
        }
        member.incarnation += 1;
        member.flushing = false;
        member.unflushed.clear();
        member.timers.clear();
        member.reads.clear();
        member.incoming.clear();
        member.applied = member.disk.snapshot.as_ref().map_or(BTreeMap::new(), |(_, data)| decode(data));
        let boot = Boot {
            hard_state: member.disk.hard_state,
            snapshot: member.disk.snapshot.as_ref().map(|(meta, _)| *meta),
            entries: member.disk.entries.clone(),
            empty: !member.disk.touched,
            damaged: member.disk.damaged,
            nonce,
        };
        let mut out = Vec::new();
        member.raft = Some(Raft::new(Config { id: node, voters, mutants, limits }, boot, &mut out));
        self.take(node, out)?;
        let peers: Vec<NodeId> = self.members.keys().copied().filter(|peer| *peer != node).collect();
        for peer in peers {
            let delay = self.draw(1, 20);
            self.at(delay, Event::LinkUp { a: node.min(peer), b: node.max(peer) });
        }
        Ok(())
    }

    fn crash(&mut self, node: NodeId, stay_down: bool) -> Verdict {
        if self.members[&node].raft.is_none() {
            return Ok(());
        }
        self.saw("crash");
        // Some of what was being flushed may have reached the disk.
        let sequences: Vec<u64> = self.members[&node]
            .unflushed
            .iter()
            .map(|write| match write {
                Output::Append { sequence, .. } | Output::ResetLog { sequence, .. } => *sequence,
                _ => 0,
            })
            .collect();
        if !sequences.is_empty() {
            let survived = self.draw(0, sequences.len() as u64 + 1) as usize;
            if survived > 0 {
                self.flush(node, sequences[survived - 1]);
            }
        }
        let member = self.member(node);
        member.raft = None;
        member.incarnation += 1;
        member.paused_until = 0;
        let peers: Vec<NodeId> = self.members.keys().copied().filter(|peer| *peer != node).collect();
        for peer in peers {
            self.cut(node, peer, 0);
            let end = usize::from(node > peer);
            if let Some(link) = self.links.get_mut(&(node.min(peer), node.max(peer))) {
                link.up[end] = false;
            }
        }
        let delay = if stay_down { self.draw(100, 800) } else { self.draw(1, 100) };
        self.at(delay, Event::Restart { node });
        Ok(())
    }

    // Links.

    // Faults and load.

    fn leading(&self) -> Vec<NodeId> {
        let mut leaders: Vec<(Term, NodeId)> = self
            .members
            .iter()
            .filter_map(|(node, member)| member.raft.as_ref().map(|raft| (raft, node)))
            .filter(|(raft, _)| raft.role() == Role::Leader)
            .map(|(raft, node)| (raft.term(), *node))
            .collect();
        leaders.sort();
        leaders.into_iter().map(|(_, node)| node).collect()
    }

    // Steps.

    fn step(&mut self, node: NodeId, input: Input<Number>) -> Verdict {
        let mut out = Vec::new();
        let Some(raft) = self.member(node).raft.as_mut() else { return Ok(()) };
        raft.step(input, &mut out);
        self.take(node, out)
    }

    /// Does what a member asks for, and looks whether it may.
    fn take(&mut self, node: NodeId, out: Vec<Output<Number>>) -> Verdict {
        for output in out {
            match output {
                Output::Append { ref entries, .. } => {
                    self.oracle.check_entries(node, self.members[&node].raft.as_ref(), entries)?;
                    self.member(node).unflushed.push_back(output);
                }
                Output::ResetLog { .. } => self.member(node).unflushed.push_back(output),
                Output::Send { to, message } => self.send(node, to, message),
                Output::Commit { entries } => self.apply(node, entries)?,
                Output::Fetch { peer, meta, offset } => {
                    let incarnation = self.members[&node].incarnation;
                    let delay = self.draw(1, 5);
                    self.at(delay, Event::Fetch { node, incarnation, peer, meta, offset });
                }
                Output::Store { meta, offset, data, done } => {
                    let incarnation = self.members[&node].incarnation;
                    let member = self.member(node);
                    member.incoming.truncate(offset as usize);
                    member.incoming.extend_from_slice(&data);
                    if done {
                        let delay = self.draw(1, 60);
                        self.at(delay, Event::Restore { node, incarnation, meta });
                    }
                }
                Output::SetTimer(kind) => {
                    let ticks = match kind {
                        TimerKind::Election => self.draw(ELECTION_TICKS, 2 * ELECTION_TICKS),
                        TimerKind::Sticky | TimerKind::Quorum => ELECTION_TICKS,
                        TimerKind::Heartbeat => ELECTION_TICKS / 10,
                    };
                    let armed = self.counter + 1;
                    self.member(node).timers.insert(kind, armed);
                    self.at(ticks, Event::Timer { node, kind, armed });
                }
                Output::CancelTimer(kind) => {
                    self.member(node).timers.remove(&kind);
                }
                Output::ReadReady { context, index } => {
                    self.saw("read");
                    let floor = self.member(node).reads.remove(&context);
                    match floor {
                        None => return Err(format!("node {node} answered a read that nobody asked")),
                        Some(floor) if index < floor => {
                            return Err(format!("stale read: node {node} reads at {index:?}, {floor:?} was decided"));
                        }
                        Some(_) => {}
                    }
                }
                Output::ReadRefused { context } => {
                    if self.member(node).reads.remove(&context).is_none() {
                        return Err(format!("node {node} refused a read that nobody asked"));
                    }
                }
                Output::Refused { .. } => {}
                Output::RoleChanged { role, term, .. } => {
                    if role == Role::Leader {
                        self.saw("leader");
                        self.oracle.check_leader(node, term, self.members[&node].raft.as_ref())?;
                    }
                }
            }
        }
        if let Some(raft) = &self.members[&node].raft
            && !raft.is_recovering()
            && self.members[&node].disk.lost
            && !self.members[&node].disk.hard_state.recovering
        {
            // Only now: had it crashed before this was durable, it would have to recover again.
            self.saw("recovered");
            self.member(node).disk.lost = false;
        }
        self.begin_flush(node);
        Ok(())
    }

    fn apply(&mut self, node: NodeId, entries: Vec<Entry<Number>>) -> Verdict {
        let term = self.members[&node].raft.as_ref().map_or(Term(0), Raft::term);
        for entry in entries {
            self.oracle.check_decided(node, entry.index, entry.term, entry.payload)?;
            self.oracle.decide(&entry, term);
            let member = self.member(node);
            let last = member.applied.keys().next_back().copied().unwrap_or_default();
            if entry.index != last.next() {
                return Err(format!("node {node} was given {:?} after {last:?}", entry.index));
            }
            member.applied.insert(entry.index, (entry.term, entry.payload));
        }
        Ok(())
    }

    /// Whether everyone has the same log, all of it decided.
    fn is_level(&self) -> bool {
        let ends = self.members.values().map(|member| {
            member.raft.as_ref().map(|raft| (raft.last_index(), raft.commit(), raft.is_recovering(), raft.leader()))
        });
        let mut ends = ends.collect::<Vec<_>>();
        ends.dedup();
        matches!(ends[..], [Some((last, commit, false, Some(_)))] if last == commit)
    }

    /// One line a member.
    fn summary(&self) -> String {
        let line = |(node, member): (&NodeId, &Member)| {
            let Some(raft) = &member.raft else { return format!("\n  {node}: down") };
            let ends = (raft.last_term(), raft.last_index(), raft.commit());
            format!("\n  {node}: {:?} {:?} {:?} {ends:?}", raft.role(), raft.hard_state(), raft.leader())
        };
        self.members.iter().map(line).collect()
    }

    /// After the faults there must be one leader, and what it is given must reach everyone.
    fn check_progress(&mut self) -> Verdict {
        let leading = self.leading();
        let [leader] = leading[..] else {
            return Err(format!("no progress: leaders {leading:?} of {}", self.summary()));
        };
        let number = self.next_number;
        self.propose(leader)?;
        self.read(leader)?;
        self.run_until(self.now + 3 * ELECTION_TICKS)?;
        for (node, member) in &self.members {
            let has_it = member.applied.values().any(|(_, given)| *given == Some(Number(number)));
            let raft = member.raft.as_ref();
            if !has_it || raft.is_none_or(Raft::is_recovering) {
                return Err(format!("no progress: node {node} was not given {number}: {raft:?}"));
            }
        }
        if !self.members[&leader].reads.is_empty() && self.leading() == [leader] {
            let open = &self.members[&leader].reads;
            return Err(format!("no progress: reads {open:?} of the leader are never answered"));
        }
        Ok(())
    }
}
