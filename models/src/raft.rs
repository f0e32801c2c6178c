//! The shipping Raft as a model.
//!
//! Source: Raft dissertation (Ongaro 2014), figure 3.1 and §3.8, §6.4; the code is `synod-consensus` as it ships.
//!
//! A state is every member's `Raft`, its disk, its writes that are not flushed, the messages in flight in order per
//! pair of members, and what was led, decided and asked so far. Completion of a write is a step of its own; a crash
//! loses what was not flushed. A link that resets loses what is in flight on it in both directions.
//!
//! Abstractions, each of which allows more than can happen or leaves out what cannot hurt:
//! - The election timer fires at any time, and pre-votes are always granted: they change nothing where they are
//!   answered. Stickiness ends at once. Both only keep the peace; safety must not rest on them.
//! - A member that crashes starts again at once: being down is the same as not being delivered to.
//! - A leader that is asked for its vote has lost its quorum meanwhile; otherwise it would not listen. Heartbeats are
//!   left out; entries and links that reset make a leader send again.
//!
//! - Once no crash is left, a write is flushed at once: a late flush is no more than a late message then.
//! - Refused votes and messages that only tell the commit index are lost.
//!
//! Invariants: election safety, log matching, leader completeness, state machine safety (figure 3.2), durable commit
//! (a decided entry is on the disks of a majority), and fresh reads (a read sees what was decided before it).

use crate::report::{Report, Violation};
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;
use synod_consensus::{Boot, Config, Input, Limits, Output, Raft, Role, TimerKind};
use synod_types::raft::{Body, Entry, HardState, Message, Payload};
use synod_types::{Index, Mutants, NodeId, Term};

/// A payload: a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u8);

impl Payload for Number {
    fn size_bytes(&self) -> usize {
        1
    }
}

/// How much of everything may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Members.
    pub nodes: u8,
    /// Leaders' entries reach their peers.
    pub replicates: bool,
    /// Entries in one message.
    pub entries_a_message: usize,
    /// Nobody campaigns in a later term.
    pub term_max: u64,
    /// Campaigns.
    pub campaigns: u8,
    /// Payloads proposed.
    pub proposals: u8,
    /// Crashes.
    pub crashes: u8,
    /// Links that reset.
    pub resets: u8,
    /// Messages delivered twice.
    pub duplicates: u8,
    /// Reads asked for.
    pub reads: u8,
}

/// A named set of bounds.
#[derive(Clone, Copy, Debug)]
pub struct Configuration {
    /// The name.
    pub name: &'static str,
    /// What it is good for.
    pub about: &'static str,
    /// The bounds.
    pub bounds: Bounds,
}

/// The configurations that are explored.
pub fn configurations() -> Vec<Configuration> {
    let none = Bounds {
        nodes: 3,
        replicates: true,
        entries_a_message: 9,
        term_max: 1,
        campaigns: 0,
        proposals: 0,
        crashes: 0,
        resets: 0,
        duplicates: 0,
        reads: 0,
    };
    vec![
        Configuration {
            name: "raft",
            about: "three members, two terms, a proposal, and a crash that loses what was not flushed",
            bounds: Bounds { term_max: 2, campaigns: 2, proposals: 1, crashes: 1, ..none },
        },
        Configuration {
            name: "raft-terms",
            about: "three members, three terms, a proposal: entries of older terms",
            bounds: Bounds { term_max: 3, campaigns: 3, proposals: 1, ..none },
        },
        Configuration {
            name: "raft-old-terms",
            about: "three members, four terms, one entry a message: an older term's entry is not decided by counting",
            bounds: Bounds { entries_a_message: 1, term_max: 4, campaigns: 4, ..none },
        },
        Configuration {
            name: "raft-links",
            about: "three members, two terms, a proposal, and a link that resets",
            bounds: Bounds { term_max: 2, campaigns: 2, proposals: 1, resets: 1, ..none },
        },
        Configuration {
            name: "raft-votes",
            about: "four members, one term, messages delivered twice: an election alone",
            bounds: Bounds { nodes: 4, replicates: false, campaigns: 2, duplicates: 2, ..none },
        },
        Configuration {
            name: "raft-reads",
            about: "three members, two terms, and two reads",
            bounds: Bounds { term_max: 2, campaigns: 2, reads: 2, ..none },
        },
    ]
}

/// The model of one configuration.
#[derive(Clone, Debug)]
pub struct RaftModel {
    bounds: Bounds,
    mutants: Mutants,
}

/// What a disk holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Disk {
    hard_state: HardState,
    entries: Vec<Entry<Number>>,
}

/// One member and its disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Member {
    raft: Raft<Number>,
    disk: Disk,
    /// Writes in order, not flushed.
    unflushed: VecDeque<Output<Number>>,
}

/// What happened so far, as far as the invariants ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Past {
    leaders: BTreeMap<Term, BTreeSet<NodeId>>,
    /// What was decided at each index, and the lowest term of a member when it said so.
    decided: BTreeMap<Index, BTreeMap<(Term, Option<Number>), Term>>,
    /// The commit index that a read must at least see, by context.
    reads: BTreeMap<u64, Index>,
    stale_read: bool,
    read_answered: bool,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Left {
    campaigns: u8,
    proposals: u8,
    crashes: u8,
    resets: u8,
    duplicates: u8,
    reads: u8,
}

/// A state of the model. Members and queues are shared with the states before it until they change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    members: Vec<Arc<Member>>,
    network: BTreeMap<(NodeId, NodeId), VecDeque<Message<Number>>>,
    past: Arc<Past>,
    left: Left,
}

/// A step of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The election timer fires, and everyone would vote.
    Campaign(NodeId),
    /// A payload is proposed.
    Propose(NodeId),
    /// A read is asked for.
    Read(NodeId),
    /// The next message arrives.
    Deliver { from: NodeId, to: NodeId },
    /// The next message arrives and will arrive again.
    Duplicate { from: NodeId, to: NodeId },
    /// The oldest write is durable.
    Flush(NodeId),
    /// What is not flushed is lost; the member starts again.
    Crash(NodeId),
    /// What is in flight between two members is lost.
    Reset(NodeId, NodeId),
}

impl RaftModel {
    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.bounds.nodes).map(NodeId)
    }

    /// Whether the network carries a message. What only keeps the peace or makes things faster is lost.
    fn carries(&self, body: &Body<Number>) -> bool {
        match body {
            Body::PreVote { .. } | Body::PreVoteReply { .. } | Body::VoteReply { granted: false } => false,
            Body::Append { entries, round: 0, .. } if entries.is_empty() => false,
            Body::Append { .. } => self.bounds.replicates,
            _ => true,
        }
    }

    fn start(&self, id: NodeId, disk: &Disk, out: &mut Vec<Output<Number>>) -> Raft<Number> {
        let limits = Limits { append_entries_max: self.bounds.entries_a_message, ..Limits::default() };
        let config = Config { id, voters: self.ids().collect(), mutants: self.mutants, limits };
        let boot = Boot {
            hard_state: disk.hard_state,
            snapshot: None,
            entries: disk.entries.clone(),
            empty: false,
            damaged: false,
            nonce: 0,
        };
        Raft::new(config, boot, out)
    }

    /// Steps a member and does what it asks for.
    fn step(&self, state: &mut State, id: NodeId, input: Input<Number>) {
        let mut out = Vec::new();
        let member = Arc::make_mut(&mut state.members[usize::from(id.0) - 1]);
        member.raft.step(input, &mut out);
        self.take(state, id, out);
    }

    fn take(&self, state: &mut State, id: NodeId, out: Vec<Output<Number>>) {
        let mut ends_stickiness = false;
        for output in out {
            match output {
                Output::Append { .. } | Output::ResetLog { .. } => {
                    Arc::make_mut(&mut state.members[usize::from(id.0) - 1]).unflushed.push_back(output);
                }
                Output::Send { to, message } if self.carries(&message.body) => {
                    state.network.entry((id, to)).or_default().push_back(message);
                }
                Output::Commit { entries } => {
                    let term = state.members[usize::from(id.0) - 1].raft.term();
                    let decided = &mut Arc::make_mut(&mut state.past).decided;
                    for entry in entries {
                        let said = decided.entry(entry.index).or_default();
                        let at = said.entry((entry.term, entry.payload)).or_insert(term);
                        *at = term.min(*at);
                    }
                }
                Output::RoleChanged { role: Role::Leader, term, .. } => {
                    Arc::make_mut(&mut state.past).leaders.entry(term).or_default().insert(id);
                }
                Output::ReadReady { context, index } => {
                    let past = Arc::make_mut(&mut state.past);
                    past.read_answered = true;
                    past.stale_read |= past.reads.remove(&context).is_none_or(|floor| index < floor);
                }
                Output::ReadRefused { context } => {
                    Arc::make_mut(&mut state.past).reads.remove(&context);
                }
                Output::SetTimer(TimerKind::Sticky) => ends_stickiness = true,
                _ => {}
            }
        }
        if ends_stickiness {
            self.step(state, id, Input::Timer(TimerKind::Sticky));
        }
        if state.left.crashes == 0 {
            while self.flush(state, id).is_some() {}
        }
    }

    /// Loses what is first in a queue and would change nothing, now or later: stale messages, votes and
    /// acknowledgements that were counted. The answer to a stale message is lost with it.
    fn lose_idle(&self, state: &mut State) {
        let members = &state.members;
        state.network.retain(|(from, to), queue| {
            let raft = &members[usize::from(to.0) - 1].raft;
            while let Some(message) = queue.front() {
                let is_vote_or_reply =
                    matches!(message.body, Body::Vote { .. } | Body::VoteReply { .. } | Body::AppendReply { .. });
                let can_be_idle = message.term < raft.term() || message.term == raft.term() && is_vote_or_reply;
                if !can_be_idle {
                    break;
                }
                let mut after = raft.clone();
                after.step(Input::Message { from: *from, message: message.clone() }, &mut Vec::new());
                if after != *raft {
                    break;
                }
                queue.pop_front();
            }
            !queue.is_empty()
        });
    }

    fn campaign(&self, state: &mut State, id: NodeId) {
        self.step(state, id, Input::Timer(TimerKind::Election));
        let term = Term(state.members[usize::from(id.0) - 1].raft.term().0 + 1);
        for peer in self.ids().filter(|peer| *peer != id) {
            let message = Message { term, body: Body::PreVoteReply { granted: true } };
            self.step(state, id, Input::Message { from: peer, message });
        }
    }

    fn flush(&self, state: &mut State, id: NodeId) -> Option<()> {
        let member = Arc::make_mut(&mut state.members[usize::from(id.0) - 1]);
        let sequence = match member.unflushed.pop_front()? {
            Output::Append { sequence, hard_state, truncate, entries } => {
                if let Some(from) = truncate {
                    member.disk.entries.retain(|entry| entry.index < from);
                }
                member.disk.entries.extend(entries);
                member.disk.hard_state = hard_state.unwrap_or(member.disk.hard_state);
                sequence
            }
            _ => return None,
        };
        self.step(state, id, Input::Appended { sequence });
        Some(())
    }

    fn reset(&self, state: &mut State, a: NodeId, b: NodeId) {
        state.network.remove(&(a, b));
        state.network.remove(&(b, a));
        for up in [false, true] {
            self.step(state, a, Input::Link { peer: b, up });
            self.step(state, b, Input::Link { peer: a, up });
        }
    }

    fn crash(&self, state: &mut State, id: NodeId) {
        let disk = state.members[usize::from(id.0) - 1].disk.clone();
        let mut out = Vec::new();
        let raft = self.start(id, &disk, &mut out);
        state.members[usize::from(id.0) - 1] = Arc::new(Member { raft, disk, unflushed: VecDeque::new() });
        // Reads that the member had asked for died with it; their contexts are its name.
        Arc::make_mut(&mut state.past).reads.retain(|context, _| context >> 8 != u64::from(id.0));
        self.take(state, id, out);
        for peer in self.ids().filter(|peer| *peer != id) {
            self.reset(state, id, peer);
        }
        if state.left.crashes == 0 {
            for member in self.ids() {
                while self.flush(state, member).is_some() {}
            }
        }
    }
}

impl Model for RaftModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let bounds = self.bounds;
        let left = Left {
            campaigns: bounds.campaigns,
            proposals: bounds.proposals,
            crashes: bounds.crashes,
            resets: bounds.resets,
            duplicates: bounds.duplicates,
            reads: bounds.reads,
        };
        let member = |id| {
            let disk = Disk::default();
            let raft = self.start(id, &disk, &mut Vec::new());
            Arc::new(Member { raft, disk, unflushed: VecDeque::new() })
        };
        let members = self.ids().map(member).collect();
        vec![State { members, network: BTreeMap::new(), past: Arc::default(), left }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        for (from, to) in state.network.keys() {
            actions.push(Action::Deliver { from: *from, to: *to });
            if left.duplicates > 0 {
                actions.push(Action::Duplicate { from: *from, to: *to });
            }
        }
        for (id, member) in self.ids().zip(&state.members) {
            let raft = &member.raft;
            if !member.unflushed.is_empty() {
                actions.push(Action::Flush(id));
            }
            // Before the first campaign the members are alike: it may as well be the first one's.
            let may_campaign = left.campaigns < self.bounds.campaigns || id == NodeId(1);
            if left.campaigns > 0 && may_campaign && raft.role() != Role::Leader && raft.term().0 < self.bounds.term_max
            {
                actions.push(Action::Campaign(id));
            }
            if left.proposals > 0 && raft.role() == Role::Leader {
                actions.push(Action::Propose(id));
            }
            if left.reads > 0 && raft.leader().is_some() {
                actions.push(Action::Read(id));
            }
            if left.crashes > 0 && raft.term() > Term(0) {
                actions.push(Action::Crash(id));
            }
            let in_flight = |peer: NodeId| {
                [(id, peer), (peer, id)].iter().any(|pair| state.network.get(pair).is_some_and(|sent| !sent.is_empty()))
            };
            if left.resets > 0 {
                let peers = self.ids().filter(|peer| *peer > id && in_flight(*peer));
                actions.extend(peers.map(|peer| Action::Reset(id, peer)));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Campaign(id) => {
                state.left.campaigns -= 1;
                self.campaign(&mut state, id);
            }
            Action::Propose(id) => {
                let payloads = vec![Number(state.left.proposals)];
                state.left.proposals -= 1;
                self.step(&mut state, id, Input::Propose { payloads });
            }
            Action::Read(id) => {
                let context = u64::from(id.0) << 8 | u64::from(state.left.reads);
                let floor = state.past.decided.keys().next_back().copied().unwrap_or_default();
                state.left.reads -= 1;
                Arc::make_mut(&mut state.past).reads.insert(context, floor);
                self.step(&mut state, id, Input::ReadIndex { context });
            }
            Action::Deliver { from, to } => {
                let message = state.network.get_mut(&(from, to))?.pop_front()?;
                if matches!(message.body, Body::Vote { .. }) {
                    // The first time it may have heard a majority since the last check, the second time it has not.
                    self.step(&mut state, to, Input::Timer(TimerKind::Quorum));
                    self.step(&mut state, to, Input::Timer(TimerKind::Quorum));
                }
                self.step(&mut state, to, Input::Message { from, message });
            }
            Action::Duplicate { from, to } => {
                state.left.duplicates -= 1;
                let message = state.network.get(&(from, to))?.front()?.clone();
                self.step(&mut state, to, Input::Message { from, message });
            }
            Action::Flush(id) => self.flush(&mut state, id)?,
            Action::Crash(id) => {
                state.left.crashes -= 1;
                self.crash(&mut state, id);
            }
            Action::Reset(a, b) => {
                state.left.resets -= 1;
                self.reset(&mut state, a, b);
            }
        }
        self.lose_idle(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("election safety", |_, state: &State| {
                state.past.leaders.values().all(|leaders| leaders.len() == 1)
            }),
            Property::always("log matching", |_, state: &State| logs_match(state)),
            Property::always("leader completeness", |_, state: &State| leaders_are_complete(state)),
            Property::always("state machine safety", |_, state: &State| {
                state.past.decided.values().all(|entries| entries.len() == 1)
            }),
            Property::always("durable commit", |_, state: &State| decided_is_durable(state)),
        ];
        if self.bounds.reads > 0 {
            properties.push(Property::always("fresh reads", |_, state: &State| !state.past.stale_read));
            properties.push(Property::sometimes("a read is answered", |_, state: &State| state.past.read_answered));
        }
        properties.push(Property::sometimes("a leader is elected", |_, state: &State| !state.past.leaders.is_empty()));
        if self.bounds.proposals > 0 {
            properties.push(Property::sometimes("a payload is decided", |_, state: &State| {
                state.past.decided.values().flat_map(BTreeMap::keys).any(|(_, payload)| payload.is_some())
            }));
            let last = Term(self.bounds.term_max);
            properties.push(match last.0 {
                2 => Property::sometimes("two terms decide", |_, state: &State| decides_in(state, 2)),
                _ => Property::sometimes("three terms decide", |_, state: &State| decides_in(state, 3)),
            });
        }
        properties
    }
}

fn logs_match(state: &State) -> bool {
    state.members.iter().enumerate().all(|(number, one)| {
        state.members[number + 1..].iter().all(|other| {
            let (one, other) = (&one.raft, &other.raft);
            let last = one.last_index().min(other.last_index()).0;
            let meet = (1..=last).rev().find(|i| one.term_at(Index(*i)) == other.term_at(Index(*i))).unwrap_or(0);
            (1..=meet).all(|index| one.entry(Index(index)) == other.entry(Index(index)))
        })
    })
}

fn leaders_are_complete(state: &State) -> bool {
    let leaders = state.members.iter().filter(|member| member.raft.role() == Role::Leader);
    leaders.map(|member| &member.raft).all(|raft| {
        state.past.decided.iter().all(|(index, entries)| {
            entries.iter().all(|((term, payload), at)| {
                let held = raft.entry(*index).is_some_and(|entry| (entry.term, entry.payload) == (*term, *payload));
                *at >= raft.term() || held
            })
        })
    })
}

fn decided_is_durable(state: &State) -> bool {
    state.past.decided.iter().all(|(index, entries)| {
        entries.keys().all(|(term, _)| {
            let holds = |member: &&Arc<Member>| {
                member.disk.entries.iter().any(|entry| entry.index == *index && entry.term == *term)
            };
            state.members.iter().filter(holds).count() > state.members.len() / 2
        })
    })
}

fn decides_in(state: &State, terms: usize) -> bool {
    let said: BTreeSet<Term> = state.past.decided.values().flat_map(|said| said.values().copied()).collect();
    said.len() == terms
}

/// Explores a configuration: all of it, or until an invariant is violated.
pub fn explore(configuration: &Configuration, mutants: Mutants, threads: usize) -> Report {
    let model = RaftModel { bounds: configuration.bounds, mutants };
    let bounds = configuration.bounds;
    let properties = model.properties();
    let is_invariant = |property: &&Property<RaftModel>| property.expectation == stateright::Expectation::Always;
    let invariants: Vec<&'static str> = properties.iter().filter(is_invariant).map(|property| property.name).collect();
    let began = Instant::now();
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let violations: Vec<Violation> = discoveries
        .iter()
        .filter(|(name, _)| invariants.contains(name))
        .map(|(name, path)| Violation {
            invariant: name,
            steps: path.clone().into_actions().iter().map(|action| format!("{action:?}")).collect(),
        })
        .collect();
    Report {
        name: configuration.name,
        source: "Raft dissertation, figures 3.1 and 3.2, §3.8, §6.4; the code is synod-consensus",
        bounds: format!(
            "{} members, terms up to {}, {} campaigns, {} proposals, {} crashes, {} link resets, {} duplicates, {} reads",
            bounds.nodes,
            bounds.term_max,
            bounds.campaigns,
            bounds.proposals,
            bounds.crashes,
            bounds.resets,
            bounds.duplicates,
            bounds.reads
        ),
        reached: properties
            .iter()
            .filter(|property| !is_invariant(property))
            .map(|property| (property.name, discoveries.contains_key(property.name)))
            .collect(),
        invariants,
        generated: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: began.elapsed(),
        complete: violations.is_empty() && checker.is_done(),
        violations,
    }
}
