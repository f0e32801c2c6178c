//! A cluster on a table: nothing moves unless the test moves it. Messages wait in a queue per pair, writes in a queue
//! per member.

#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use synod_consensus::{Boot, Config, Input, Limits, Output, Raft, TimerKind};
use synod_types::raft::{Body, Entry, HardState, Message, Payload, SnapshotMeta};
use synod_types::{Index, Mutants, NodeId, Term};

/// A payload: a short text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub String);

impl Payload for Text {
    fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

pub type Outputs = Vec<Output<Text>>;

/// One member and its disk.
pub struct Member {
    pub raft: Raft<Text>,
    pub hard_state: HardState,
    pub entries: Vec<Entry<Text>>,
    pub snapshot: Option<SnapshotMeta>,
    pub unflushed: VecDeque<Output<Text>>,
    pub committed: Vec<Entry<Text>>,
}

pub struct Cluster {
    pub members: BTreeMap<NodeId, Member>,
    pub network: BTreeMap<(NodeId, NodeId), VecDeque<Message<Text>>>,
    pub cut: BTreeSet<(NodeId, NodeId)>,
    pub limits: Limits,
    nonce: u64,
    mutants: Mutants,
}

pub fn n(id: u8) -> NodeId {
    NodeId(id)
}

pub fn entry(index: u64, term: u64, text: &str) -> Entry<Text> {
    Entry { term: Term(term), index: Index(index), payload: Some(Text(text.to_string())) }
}

pub fn boot(term: u64, entries: Vec<Entry<Text>>) -> Boot<Text> {
    let hard_state = HardState { term: Term(term), vote: None, recovering: false };
    Boot { hard_state, snapshot: None, entries, empty: false, damaged: false, nonce: 0 }
}

impl Cluster {
    /// Members with nothing in their logs, which know that they are ordinary voters.
    pub fn new(count: u8) -> Cluster {
        Cluster::with_logs((1..=count).map(|_| boot(0, Vec::new())).collect())
    }

    /// The members start again with a planted bug.
    pub fn plant(&mut self, mutants: Mutants) {
        self.mutants = mutants;
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.restart(id);
        }
    }

    /// Members that come up with these disks.
    pub fn with_logs(boots: Vec<Boot<Text>>) -> Cluster {
        let mut cluster = Cluster {
            members: BTreeMap::new(),
            network: BTreeMap::new(),
            cut: BTreeSet::new(),
            limits: Limits::default(),
            nonce: 0,
            mutants: Mutants::NONE,
        };
        let count = boots.len() as u8;
        for (id, boot) in (1..=count).map(NodeId).zip(boots) {
            cluster.start(id, count, boot);
        }
        cluster
    }

    /// A member comes up with a disk; what it had in memory is gone.
    pub fn start(&mut self, id: NodeId, count: u8, boot: Boot<Text>) -> Outputs {
        self.nonce += 1;
        let voters = (1..=count).map(NodeId).collect();
        let config = Config { id, voters, mutants: self.mutants, limits: self.limits };
        let (hard_state, entries, snapshot) = (boot.hard_state, boot.entries.clone(), boot.snapshot);
        let boot = Boot { nonce: self.nonce, ..boot };
        let mut out = Vec::new();
        let raft = Raft::new(config, boot, &mut out);
        let (unflushed, committed) = (VecDeque::new(), Vec::new());
        self.members.insert(id, Member { raft, hard_state, entries, snapshot, unflushed, committed });
        self.take(id, &out);
        out
    }

    /// A crash that loses what is not flushed, and a new start.
    pub fn restart(&mut self, id: NodeId) -> Outputs {
        let count = self.members.len() as u8;
        let member = &self.members[&id];
        let boot = Boot {
            hard_state: member.hard_state,
            snapshot: member.snapshot,
            entries: member.entries.clone(),
            ..boot(0, Vec::new())
        };
        self.replace(id, count, boot)
    }

    /// A crash, and a new start with another disk.
    pub fn replace(&mut self, id: NodeId, count: u8, boot: Boot<Text>) -> Outputs {
        let peers: Vec<NodeId> = self.members.keys().copied().filter(|peer| *peer != id).collect();
        let mut out = self.start(id, count, boot);
        for peer in peers {
            out.extend(self.reset(id, peer));
        }
        out
    }

    pub fn raft(&self, id: u8) -> &Raft<Text> {
        &self.members[&NodeId(id)].raft
    }

    pub fn step(&mut self, id: NodeId, input: Input<Text>) -> Outputs {
        let mut out = Vec::new();
        self.members.get_mut(&id).expect("a member").raft.step(input, &mut out);
        self.take(id, &out);
        out
    }

    fn take(&mut self, id: NodeId, out: &Outputs) {
        let member = self.members.get_mut(&id).expect("a member");
        for output in out {
            match output {
                Output::Append { .. } | Output::ResetLog { .. } => member.unflushed.push_back(output.clone()),
                Output::Commit { entries } => member.committed.extend(entries.iter().cloned()),
                Output::Send { to, message } if !self.cut.contains(&(id.min(*to), id.max(*to))) => {
                    self.network.entry((id, *to)).or_default().push_back(message.clone());
                }
                _ => {}
            }
        }
    }

    /// The oldest write of a member becomes durable.
    pub fn flush(&mut self, id: NodeId) -> Outputs {
        let member = self.members.get_mut(&id).expect("a member");
        let sequence = match member.unflushed.pop_front() {
            Some(Output::Append { sequence, hard_state, truncate, entries }) => {
                if let Some(from) = truncate {
                    member.entries.retain(|entry| entry.index < from);
                }
                member.entries.extend(entries);
                member.hard_state = hard_state.unwrap_or(member.hard_state);
                sequence
            }
            Some(Output::ResetLog { sequence, hard_state, meta }) => {
                member.entries.clear();
                member.snapshot = Some(meta);
                member.hard_state = hard_state;
                sequence
            }
            _ => return Vec::new(),
        };
        self.step(id, Input::Appended { sequence })
    }

    /// The next message from one member to another arrives.
    pub fn deliver(&mut self, from: NodeId, to: NodeId) -> Outputs {
        match self.network.get_mut(&(from, to)).and_then(VecDeque::pop_front) {
            Some(message) => self.step(to, Input::Message { from, message }),
            None => Vec::new(),
        }
    }

    /// A message arrives that may be made up.
    pub fn say(&mut self, from: u8, to: u8, term: u64, body: Body<Text>) -> Outputs {
        self.step(NodeId(to), Input::Message { from: NodeId(from), message: Message { term: Term(term), body } })
    }

    /// Everything is flushed and delivered until nothing moves.
    pub fn settle(&mut self) {
        let ids: Vec<NodeId> = self.members.keys().copied().collect();
        loop {
            let flushing = ids.iter().copied().find(|id| !self.members[id].unflushed.is_empty());
            let pending = self.network.iter().find(|(_, queue)| !queue.is_empty()).map(|(pair, _)| *pair);
            match (flushing, pending) {
                (Some(id), _) => drop(self.flush(id)),
                (None, Some((from, to))) => drop(self.deliver(from, to)),
                (None, None) => return,
            }
        }
    }

    pub fn timer(&mut self, id: u8, kind: TimerKind) -> Outputs {
        self.step(NodeId(id), Input::Timer(kind))
    }

    /// Everyone forgets the leader for now, then a member's election timer fires.
    pub fn elect(&mut self, id: u8) {
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.step(id, Input::Timer(TimerKind::Sticky));
        }
        self.timer(id, TimerKind::Election);
        self.settle();
    }

    pub fn propose(&mut self, id: u8, text: &str) -> Outputs {
        self.step(NodeId(id), Input::Propose { payloads: vec![Text(text.to_string())] })
    }

    /// The link between two members is lost, with what is in flight.
    pub fn cut(&mut self, a: NodeId, b: NodeId) -> Outputs {
        self.cut.insert((a.min(b), a.max(b)));
        self.network.remove(&(a, b));
        self.network.remove(&(b, a));
        let mut out = self.step(a, Input::Link { peer: b, up: false });
        out.extend(self.step(b, Input::Link { peer: a, up: false }));
        out
    }

    pub fn heal(&mut self, a: NodeId, b: NodeId) -> Outputs {
        self.cut.remove(&(a.min(b), a.max(b)));
        let mut out = self.step(a, Input::Link { peer: b, up: true });
        out.extend(self.step(b, Input::Link { peer: a, up: true }));
        out
    }

    pub fn reset(&mut self, a: NodeId, b: NodeId) -> Outputs {
        let mut out = self.cut(a, b);
        out.extend(self.heal(a, b));
        out
    }

    /// Cuts a member off from everyone.
    pub fn isolate(&mut self, id: u8) {
        for peer in self.members.keys().copied().filter(|peer| *peer != NodeId(id)).collect::<Vec<_>>() {
            self.cut(NodeId(id), peer);
        }
    }

    pub fn rejoin(&mut self, id: u8) {
        for peer in self.members.keys().copied().filter(|peer| *peer != NodeId(id)).collect::<Vec<_>>() {
            self.heal(NodeId(id), peer);
        }
    }

    /// Serves the chunks that `out` asks for, from a made-up snapshot.
    pub fn fetched(&mut self, id: NodeId, out: &Outputs, chunk: &'static [u8], done: bool) -> Outputs {
        let Some(Output::Fetch { peer, meta, offset }) = out.iter().find(|o| matches!(o, Output::Fetch { .. })) else {
            return Vec::new();
        };
        let (peer, meta, offset) = (*peer, *meta, *offset);
        self.step(id, Input::Fetched { peer, meta, offset, data: Bytes::from_static(chunk), done })
    }

    /// Indexes and terms of a log.
    pub fn log(&self, id: u8) -> Vec<(u64, u64)> {
        let raft = self.raft(id);
        (raft.first_index().0..=raft.last_index().0)
            .filter_map(|index| raft.term_at(Index(index)).map(|term| (index, term.0)))
            .collect()
    }
}

/// The messages among outputs.
pub fn sent(out: &Outputs) -> Vec<(u8, &Body<Text>)> {
    out.iter()
        .filter_map(|output| match output {
            Output::Send { to, message } => Some((to.0, &message.body)),
            _ => None,
        })
        .collect()
}
