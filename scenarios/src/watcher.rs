//! Looks over the members' shoulders: who leads, what was applied, whether the invariants hold after each step.

mod duties;
mod older_disks;
mod service;
mod versions;
mod writes;

use self::older_disks::Older;
use self::service::Service;
use self::writes::Writes;
use crate::run::OnRemark;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::history::Applied;
use synod_checkers::invariants::{Appended, Invariants, Observation, Role as Seat};
use synod_node::Observer;
use synod_node::replica::{Now, Output, Replica, Role};
use synod_sim::{Host, World};
use synod_types::peer::PeerMessage;
use synod_types::raft::Entry;
use synod_types::{Command, Index, Instant, NodeId, Proposal, Term};
use tokio::sync::Notify;

/// Shared by the members of a run.
#[derive(Clone)]
pub struct Watcher {
    world: World,
    /// The members' machines.
    hosts: Vec<Host>,
    /// E.
    election_timeout: Duration,
    shared: Arc<Mutex<Watched>>,
    /// Told of each new leader, candidate and member that loads a snapshot.
    leads: Arc<Notify>,
}

/// What was seen.
#[derive(Default)]
pub struct Watched {
    /// Where each member's log began when it began the snapshots of its present incarnation.
    pub snapshots: BTreeMap<u8, (u64, Vec<Index>)>,
    /// Entries that each member has applied since it began a snapshot, was given one, or started.
    pub since_snapshot: BTreeMap<u8, u64>,
    /// What each member asked and heard that lets it serve.
    services: BTreeMap<u8, Service>,
    /// Entries that each member has dropped from its log and not freed.
    pub garbage: BTreeMap<u8, usize>,
    /// To whom each member was asked to hand over in its reign, and when.
    heirs: BTreeMap<u8, BTreeMap<u8, Instant>>,
    /// Members that were asked to stop: who leads then chooses an heir.
    stopping: BTreeSet<u8>,
    /// Latest figures of each member.
    pub members: BTreeMap<u8, Seen>,
    /// The log as applied, and the digest after each entry.
    pub truth: Vec<Applied>,
    /// Term, digest, and when the first member had it.
    entries: BTreeMap<Index, (Term, u128, Instant)>,
    /// When each member did something last, and when it came back from a long sleep.
    stepped_at: BTreeMap<u8, Instant>,
    woke_at: BTreeMap<u8, Instant>,
    /// What is wrong, first things first.
    pub findings: Vec<Finding>,
    /// Rare states, seen from outside.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// Members that began to campaign since the driver looked.
    pub candidates: Vec<u8>,
    /// Members that began to load a leader's snapshot since the driver looked.
    pub loaders: Vec<u8>,
    /// What the driver did and who led, with the time.
    pub steps: Vec<(Instant, String)>,
    /// Fingerprints of the cluster's abstract states.
    pub states: BTreeSet<u64>,
    on_member: Option<OnMember>,
    on_remark: Option<OnRemark>,
    on_message: Option<OnMessage>,
    invariants: Option<Invariants>,
    /// What the invariants were told of each member the last time, the entries and the moment apart.
    figures: BTreeMap<NodeId, Observation<'static>>,
    /// The incarnations last seen, and members whose disk lost something since.
    incarnations: BTreeMap<u8, u64>,
    disks_lost: BTreeSet<u8>,
    /// Of their present incarnations.
    writes: BTreeMap<u8, Writes>,
    /// Members whose disk was damaged at any time: what a fault did may show late.
    damaged: BTreeSet<u8>,
    /// Members that have been ordinary voters on their present disk.
    sound: BTreeSet<u8>,
    /// Members whose disk may lack what they think is durable, and that have not noticed.
    suspects: BTreeSet<u8>,
    /// Members whose disk is to become an older one, or has.
    older: BTreeMap<u8, Older>,
    /// Members that came back as voters with an older disk, and whether that holds less than they had acknowledged.
    pub unnoticed: Vec<(u8, bool)>,
    /// When each term was first seen to have a leader.
    reigns: BTreeMap<Term, Instant>,
    /// The newest cluster version that each member ever supported, and the newest that a log held a raise to.
    supported: BTreeMap<u8, u32>,
    raised: u32,
}

/// Called with a member's figures when they have changed: time, member, figures.
pub type OnMember = Box<dyn FnMut(Instant, u8, &Seen) + Send>;

/// Called with each message between members, when it is put on a link and when it is taken from one.
pub type OnMessage = Box<dyn FnMut(Instant, Passing<'_>) + Send>;

/// A message between members on its way.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Who sent it.
    pub from: u8,
    /// To whom.
    pub to: u8,
    /// Whether it has arrived.
    pub arrived: bool,
    /// What it says.
    pub message: &'a PeerMessage,
}

/// A member, as last seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// What it is.
    pub role: Role,
    /// Its era.
    pub term: Term,
    /// Highest index known to be committed.
    pub commit: Index,
    /// Highest index executed.
    pub applied: Index,
    /// First entry that it can send to others.
    pub first: Index,
    /// Of its state.
    pub digest: u128,
    /// Whether it waits for its vote to be restored.
    pub recovering: bool,
    /// The cluster version that it has come to.
    pub version: u32,
}

impl Watcher {
    /// Of a world whose cluster has its members on these machines, and this election timeout.
    pub fn new(world: World, hosts: Vec<Host>, election_timeout: Duration) -> Watcher {
        let invariants = Invariants::new(hosts.len(), election_timeout);
        let watched = Watched { invariants: Some(invariants), ..Watched::default() };
        Watcher { world, hosts, election_timeout, shared: Arc::new(Mutex::new(watched)), leads: Arc::default() }
    }

    /// The lock.
    pub fn lock(&self) -> MutexGuard<'_, Watched> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Told of each new leader, candidate and member that loads a snapshot.
    pub fn leads(&self) -> Arc<Notify> {
        self.leads.clone()
    }

    /// The member that leads, if one does.
    pub fn leader(&self) -> Option<u8> {
        let watched = self.lock();
        let leaders = watched.members.iter().filter(|(_, seen)| seen.role == Role::Leader);
        leaders.max_by_key(|(_, seen)| seen.term).map(|(id, _)| *id)
    }

    /// Calls these functions with each change of a member's figures, each remark and each message from now on. They
    /// must not use the watcher or the world.
    pub fn set_hooks(&self, on_member: Option<OnMember>, on_remark: Option<OnRemark>, on_message: Option<OnMessage>) {
        let mut watched = self.lock();
        (watched.on_member, watched.on_remark, watched.on_message) = (on_member, on_remark, on_message);
    }

    fn passes(&self, from: NodeId, to: NodeId, arrived: bool, message: &PeerMessage) {
        let now = self.world.now();
        let mut watched = self.lock();
        if let (true, Some(invariants)) = (arrived, &mut watched.invariants) {
            invariants.received(now.0, from, to, message);
        }
        if arrived {
            let voters = self.hosts.len();
            watched.services.entry(to.0).or_default().hears(from, message, voters);
        }
        if let Some(hook) = &mut watched.on_message {
            hook(now, Passing { from: from.0, to: to.0, arrived, message });
        }
    }

    /// Something that belongs to the run's story.
    pub fn remark(&self, text: String) {
        let now = self.world.now();
        let mut watched = self.lock();
        if let Some(hook) = &mut watched.on_remark {
            hook(now, &text);
        }
        watched.steps.push((now, text));
    }

    /// A member's disk came to lack something that was durable.
    pub fn disk_lost(&self, node: u8) {
        let mut watched = self.lock();
        watched.disks_lost.insert(node);
        watched.damaged.insert(node);
        watched.sound.remove(&node);
    }

    /// Whether a member's disk may lack something from now on, unnoticed.
    pub fn suspect(&self, node: u8, suspect: bool) {
        let mut watched = self.lock();
        match suspect {
            true => {
                watched.suspects.insert(node);
                watched.damaged.insert(node);
                watched.sound.remove(&node);
            }
            false => drop(watched.suspects.remove(&node)),
        }
    }

    /// Whether a member's disk may lack something, unnoticed.
    pub fn is_suspect(&self, node: u8) -> bool {
        self.lock().suspects.contains(&node)
    }

    /// A member is asked to hand over.
    pub fn hands_over(&self, node: u8, to: u8) {
        let now = self.world.now();
        self.lock().heirs.entry(node).or_default().insert(to, now);
    }

    /// A member is asked to stop.
    pub fn stops(&self, node: u8) {
        self.lock().stopping.insert(node);
    }

    /// The newest cluster version that was proposed.
    pub fn raised(&self) -> u32 {
        self.lock().raised
    }

    /// Whether a member is an ordinary voter on its present disk.
    pub fn is_sound(&self, node: u8) -> bool {
        self.lock().sound.contains(&node)
    }

    /// Whether a fault ever damaged a member's disk.
    pub fn was_damaged(&self, node: u8) -> bool {
        self.lock().damaged.contains(&node)
    }

    /// Members that never voted, or lost their disk and have not got their vote back.
    pub fn unsound(&self, nodes: u8) -> usize {
        usize::from(nodes) - self.lock().sound.len()
    }

    /// A member is gone.
    pub fn ended(&self, node: u8) {
        self.lock().members.remove(&node);
    }
}

impl Observer for Watcher {
    fn sent(&self, from: NodeId, to: NodeId, message: &PeerMessage) {
        self.passes(from, to, false, message);
    }

    fn received(&self, from: NodeId, to: NodeId, message: &PeerMessage) {
        self.passes(from, to, true, message);
    }

    fn stepped(&self, replica: &Replica, appended: Option<u64>, outputs: &[Output]) {
        let raft = replica.consensus();
        let node = replica.config().id.0;
        let now = self.world.now();
        let mut guard = self.lock();
        let watched = &mut *guard;
        let seen = Seen {
            role: raft.role(),
            term: raft.term(),
            commit: raft.commit(),
            applied: replica.state().applied().0,
            first: raft.first_index(),
            digest: replica.state().digest(),
            recovering: raft.is_recovering(),
            version: replica.state().version(),
        };
        let before = watched.members.insert(node, seen);
        if let Some(hook) = watched.on_member.as_mut().filter(|_| before != Some(seen)) {
            hook(now, node, &seen);
        }
        let suspect = watched.suspects.contains(&node);
        if !suspect
            && !seen.recovering
            && raft.durable_hard_state().term > Term(0)
            && !raft.durable_hard_state().recovering
        {
            watched.sound.insert(node);
        }
        watched.check_disk(replica, &self.leads);
        watched.check_invariants(now, replica, &seen, appended, outputs);
        watched.check_version(now, replica, outputs);
        if before.is_none() {
            watched.snapshots.remove(&node);
        }
        watched.count_applied(now, replica, before, &seen, outputs);
        watched.check_state(now, node, replica, outputs);
        watched.check_heir(now, node, outputs, seen.role == Role::Leader);
        let (instant, wall_ms) = self.world.clocks(self.hosts[usize::from(node) - 1]);
        watched.check_service(now, Now { instant, wall_ms }, replica, outputs);
        watched.garbage.insert(node, raft.garbage());
        watched.check_age(now, node, self.election_timeout, outputs);
        watched.check_reign(now, node, &seen, self.election_timeout);
        let moved = |b: Seen| (b.role, b.term, b.recovering) != (seen.role, seen.term, seen.recovering);
        if before.is_none_or(moved) {
            let state = watched.abstract_state();
            watched.states.insert(state);
        }
        let mut reached = |point| *watched.sometimes.entry(point).or_default() += 1;
        if before.is_none_or(|b| b.role != seen.role) {
            match seen.role {
                Role::Leader => {
                    reached("raft.leader_elected");
                    self.leads.notify_one();
                    watched.steps.push((now, format!("node {node} leads in term {}", seen.term.0)));
                }
                Role::PreCandidate => reached("raft.pre_vote"),
                Role::Candidate => {
                    reached("raft.campaign");
                    watched.candidates.push(node);
                    self.leads.notify_one();
                }
                Role::Follower if before.is_some_and(|b| b.role == Role::Leader) => reached("raft.leader_stepped_down"),
                Role::Follower => {}
            }
        }
        if before.is_some_and(|b| b.recovering && !seen.recovering) {
            reached("raft.vote_restored");
        }
        if seen.recovering && before.is_none_or(|b| !b.recovering) {
            reached("raft.recovering");
            if watched.sound.contains(&node) && !watched.damaged.contains(&node) {
                let sentence = format!(
                    "at {:.6} s member {node} gave up its vote as if its disk had lost something, and no fault had damaged it",
                    now.0 as f64 / 1e9
                );
                let object = format!("member {node}");
                watched.findings.push(Finding::safety("storage", "needless_recovery", object, sentence));
            }
        }
        for output in outputs {
            match output {
                Output::Applied(entry) => {
                    if matches!(entry.proposal.as_ref().map(|p| &p.command), Some(Command::RaiseVersion { .. })) {
                        reached("replica.version_raised");
                    }
                    let first = !watched.entries.contains_key(&entry.index);
                    let mine = (entry.term, entry.digest, now);
                    let (term, digest, _) = *watched.entries.entry(entry.index).or_insert(mine);
                    if (term, digest) != (entry.term, entry.digest) {
                        watched.findings.push(Finding::safety(
                            "invariants",
                            "state machine safety",
                            format!("index {}", entry.index.0),
                            format!(
                                "at {:.6} s member {node} applied index {} of term {} to digest {:032x}; another had \
                                 term {} and digest {digest:032x}",
                                now.0 as f64 / 1e9,
                                entry.index.0,
                                entry.term.0,
                                entry.digest,
                                term.0
                            ),
                        ));
                    }
                    if let (true, Some(proposal), Some(outcome)) = (first, &entry.proposal, &entry.outcome) {
                        watched.truth.push(Applied {
                            index: entry.index,
                            term: entry.term,
                            zxid: outcome.zxid,
                            time_ms: proposal.time_ms,
                            applied_ns: Some(now.0),
                            command: proposal.command.clone(),
                            outcome: outcome.clone(),
                        });
                    }
                }
                Output::Append { truncate: Some(_), .. } => reached("raft.truncated"),
                Output::ResetLog { .. } => reached("raft.snapshot_installed"),
                Output::Snapshot { .. } => {
                    reached("replica.snapshot");
                    let incarnation = replica.config().incarnation;
                    let begun = watched.snapshots.entry(node).or_default();
                    if begun.0 != incarnation {
                        *begun = (incarnation, Vec::new());
                    }
                    begun.1.push(seen.first);
                }
                Output::Outgrown { .. } => reached("replica.outgrown"),
                Output::Store { done: true, .. } => {
                    watched.loaders.push(node);
                    self.leads.notify_one();
                }
                Output::Close { why, .. } => {
                    reached(match *why {
                        "the leader changed" => "replica.closed_by_leader_change",
                        "the session moved" => "replica.session_moved",
                        "the session ended" => "replica.session_ended",
                        "not serving: no leader" => "replica.not_serving",
                        "the link to the leader broke" => "replica.link_to_leader_broke",
                        "the session is gone" => "replica.session_gone",
                        _ => "replica.closed_otherwise",
                    });
                }
                Output::Halt { why } => {
                    let sentence = format!("at {:.6} s member {node} stopped: {why}", now.0 as f64 / 1e9);
                    watched.findings.push(Finding::safety("replica", "digest", format!("member {node}"), sentence));
                }
                _ => {}
            }
        }
    }
}

/// How far a member's log is behind the longest, roughly: states that differ only in numbers are one.
fn lag(behind: u64) -> u8 {
    match behind {
        0 => 0,
        1..=3 => 1,
        4..=30 => 2,
        _ => 3,
    }
}

impl Watched {
    /// What the members are to each other: roles, which of them share a term and in what order the terms are, who
    /// waits for its vote, how far each is behind. Members are interchangeable, numbers are not kept.
    fn abstract_state(&self) -> u64 {
        let terms: BTreeSet<Term> = self.members.values().map(|seen| seen.term).collect();
        let ahead = self.members.values().map(|seen| seen.commit).max().unwrap_or_default();
        let rank = |term: Term| terms.iter().rev().position(|t| *t == term);
        let mut members: Vec<_> = self
            .members
            .values()
            .map(|s| {
                (s.role as u8, rank(s.term), s.recovering, lag(ahead.0 - s.commit.0), lag(s.commit.0 - s.applied.0))
            })
            .collect();
        members.sort_unstable();
        let mut hasher = DefaultHasher::new();
        members.hash(&mut hasher);
        hasher.finish()
    }

    /// Tells the invariants what the step changed.
    fn check_invariants(
        &mut self,
        now: Instant,
        replica: &Replica,
        seen: &Seen,
        confirmed: Option<u64>,
        outputs: &[Output],
    ) {
        let Some(invariants) = &mut self.invariants else { return };
        let raft = replica.consensus();
        let id = replica.config().id;
        let incarnation = replica.config().incarnation;
        let restarted = self.incarnations.insert(id.0, incarnation) != Some(incarnation);
        let mut truncated_from = None;
        let mut appended = Vec::new();
        if restarted {
            let (mut index, last) = (raft.first_index(), raft.last_index());
            while index <= last {
                appended.extend(raft.entry(index).map(seen_entry));
                index = index.next();
            }
        } else {
            for output in outputs {
                match output {
                    Output::Append { truncate, entries, .. } => {
                        if let Some(from) = truncate {
                            appended.retain(|a: &Appended| a.index < *from);
                            truncated_from = Some(truncated_from.map_or(*from, |f: Index| f.min(*from)));
                        }
                        appended.extend(entries.iter().map(seen_entry));
                    }
                    Output::ResetLog { .. } => {
                        appended.clear();
                        truncated_from = Some(Index(0));
                    }
                    _ => {}
                }
            }
        }
        let writes = self.writes.entry(id.0).or_default();
        if restarted {
            *writes = Writes::recovered(raft.last_index(), raft.durable_hard_state(), outputs);
        }
        if let Some(sequence) = confirmed {
            writes.confirmed(sequence);
        }
        writes.put_out(outputs);
        let (snapshot, seat) = (raft.snapshot(), if raft.role() == Role::Leader { Seat::Leader } else { Seat::Other });
        let observation = Observation {
            at_ns: now.0,
            node: id,
            incarnation,
            disk_lost: restarted && self.disks_lost.remove(&id.0),
            role: seat,
            recovering: seen.recovering,
            term: raft.term(),
            vote: raft.vote(),
            durable_term: writes.hard_state.term,
            durable_vote: writes.hard_state.vote,
            commit: raft.commit(),
            truncated_from,
            appended: &appended,
            // What a snapshot covers needs no log.
            durable: writes.durable.max(snapshot.index),
            claimed: raft.durable_index(),
            snapshot: snapshot.index,
            snapshot_term: snapshot.term,
            applied: seen.applied,
            digest: seen.digest,
        };
        // What is as it was needs no second look: what others changed was looked at when they did.
        let figures = Observation { at_ns: 0, appended: &[], ..observation };
        let is_new = !appended.is_empty() || self.figures.get(&id) != Some(&figures);
        let mut result = Ok(());
        if is_new {
            self.figures.insert(id, figures);
            result = invariants.observe(&observation);
        }
        for output in outputs {
            if let (Ok(()), Output::Send { to, message }) = (&result, output) {
                result = invariants.sent(now.0, id, *to, message);
            }
        }
        if let Err(finding) = result {
            // What follows from a broken theorem is noise.
            self.findings.push(*finding);
            self.invariants = None;
        }
    }
}

fn seen_entry(entry: &Entry<Arc<Proposal>>) -> Appended {
    let mut hasher = DefaultHasher::new();
    entry.payload.hash(&mut hasher);
    Appended { index: entry.index, term: entry.term, payload: hasher.finish().into() }
}
