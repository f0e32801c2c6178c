//! The state of a member, the dispatch of inputs, and the rules about terms that every message obeys.

use crate::config::{Boot, Config};
use crate::durability::Durability;
use crate::election::Votes;
use crate::io::{Input, Output, Role, TimerKind};
use crate::log::Log;
use crate::progress::Progress;
use crate::read::Reads;
use crate::recovery::Standing;
use crate::replication::Following;
use crate::snapshot::Receiving;
use crate::transfer::Transfer;
use std::collections::BTreeMap;
use std::sync::Arc;
use synod_types::raft::{Body, Entry, HardState, Message, Payload, SnapshotMeta};
use synod_types::{Index, Mutant, NodeId, Term};

/// Terms and indexes at or above this are nonsense: nobody can count so far.
const NUMBER_END: u64 = 1 << 62;

/// One member of a Raft cluster.
///
/// Source: Raft dissertation, chapters 3, 5, 6.4, 9.6 and 3.10; the recovery of lost disks is our own (`recovery`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft<P: Payload> {
    pub(crate) config: Arc<Config>,
    pub(crate) role: Role,
    /// Term, vote and standing; what of it is durable is in `durability`.
    pub(crate) hard_state: HardState,
    pub(crate) leader: Option<NodeId>,
    pub(crate) log: Log<P>,
    /// Decided up to here; reported by `Commit` or covered by a snapshot that is loaded.
    pub(crate) commit: Index,
    /// The newest snapshot this member can send.
    pub(crate) snapshot: SnapshotMeta,
    pub(crate) durability: Durability<P>,
    /// A leader was heard from within the sticky timer.
    pub(crate) sticky: bool,
    pub(crate) votes: Votes,
    /// Of a leader: its peers.
    pub(crate) progress: BTreeMap<NodeId, Progress>,
    pub(crate) reads: Reads,
    pub(crate) transfer: Option<Transfer>,
    /// Of a follower: what it knows about its leader's log.
    pub(crate) following: Following,
    pub(crate) receiving: Option<Receiving>,
    pub(crate) standing: Standing,
}

impl<P: Payload> Raft<P> {
    /// A member as it comes up. The first outputs go to `out`.
    pub fn new(config: Config, boot: Boot<P>, out: &mut Vec<Output<P>>) -> Raft<P> {
        let snapshot = boot.snapshot.unwrap_or_default();
        let mut log = Log::from_entries(snapshot.index, snapshot.term, boot.entries);
        // A crash between the loading of a snapshot and the reset of the log leaves a log that does not reach or
        // contradicts the snapshot.
        let log_is_stale = log.term_at(snapshot.index) != Some(snapshot.term);
        if log_is_stale {
            log = Log::new(snapshot.index, snapshot.term);
        }
        let durability = Durability::new(log.last_index(), boot.hard_state, config.mutants);
        let standing = Standing::at_boot(&config, &boot.hard_state, boot.empty, boot.damaged, boot.nonce);
        let mut raft = Raft {
            config: Arc::new(config),
            role: Role::Follower,
            hard_state: boot.hard_state,
            leader: None,
            log,
            commit: snapshot.index,
            snapshot,
            durability,
            sticky: false,
            votes: Votes::default(),
            progress: BTreeMap::new(),
            reads: Reads::default(),
            transfer: None,
            following: Following::default(),
            receiving: None,
            standing,
        };
        raft.mark_recovering();
        if log_is_stale {
            let sequence = raft.durability.reset(snapshot.index, raft.hard_state);
            out.push(Output::ResetLog { sequence, meta: snapshot, hard_state: raft.hard_state });
        }
        out.push(Output::SetTimer(TimerKind::Election));
        if raft.config.voters.len() == 1 && raft.is_voter() {
            raft.campaign(false, out);
        }
        raft.finish(raft.announced_at_boot(), out);
        raft
    }

    /// Takes one input; what is to be done about it is appended to `out`.
    pub fn step(&mut self, input: Input<P>, out: &mut Vec<Output<P>>) {
        let announced = (self.role, self.hard_state.term, self.leader);
        match input {
            Input::Propose { payloads } => self.propose(payloads, out),
            Input::Message { from, message } => self.on_message(from, message, out),
            Input::Link { peer, up } => self.on_link(peer, up, out),
            Input::Appended { sequence } => self.on_appended(sequence, out),
            Input::Fetched { peer, meta, offset, data, done } => self.on_fetched(peer, meta, offset, data, done, out),
            Input::FetchFailed { peer, meta } => self.on_fetch_failed(peer, meta, out),
            Input::Restored { meta } => self.on_restored(meta, out),
            Input::RestoreFailed { meta } => self.on_restore_failed(meta, out),
            Input::Compact { meta, keep } => self.compact(meta, keep),
            Input::Timer(kind) => self.on_timer(kind, out),
            Input::ReadIndex { context } => self.read_index(context, out),
            Input::Transfer { to } => self.transfer_to(to, out),
        }
        self.finish(announced, out);
    }

    fn announced_at_boot(&self) -> (Role, Term, Option<NodeId>) {
        (Role::Follower, self.durability.hard_state.term, None)
    }

    /// Ends a step: one write, and a word if role, term or leader changed.
    fn finish(&mut self, announced: (Role, Term, Option<NodeId>), out: &mut Vec<Output<P>>) {
        self.write(out);
        if !self.config.mutants.on(Mutant::RaftNeverFrees) {
            self.log.free_some();
        }
        if announced != (self.role, self.hard_state.term, self.leader) {
            let (role, term, leader) = (self.role, self.hard_state.term, self.leader);
            out.push(Output::RoleChanged { role, term, leader });
        }
    }

    fn on_timer(&mut self, kind: TimerKind, out: &mut Vec<Output<P>>) {
        match kind {
            TimerKind::Election => self.on_election_timer(out),
            TimerKind::Sticky => self.sticky = false,
            TimerKind::Heartbeat if self.role == Role::Leader => {
                self.broadcast_round(out);
                out.push(Output::SetTimer(TimerKind::Heartbeat));
            }
            TimerKind::Quorum if self.role == Role::Leader => self.check_quorum(out),
            TimerKind::Heartbeat | TimerKind::Quorum => {}
        }
    }

    fn on_link(&mut self, peer: NodeId, up: bool, out: &mut Vec<Output<P>>) {
        if !self.is_peer(peer) {
            return;
        }
        if !up {
            if self.role == Role::Leader {
                self.reads.drop_from(peer);
                self.lose_track(peer);
            } else if self.leader == Some(peer) {
                self.refuse_reads(out);
            }
            return;
        }
        self.probe_peer(peer, out);
        match self.role {
            Role::Leader => {
                self.lose_track(peer);
                self.feed(peer, out);
            }
            Role::PreCandidate | Role::Candidate => self.ask_for_vote(peer, out),
            Role::Follower => {}
        }
    }

    /// What is in flight to a peer is lost, and it may come back as another.
    fn lose_track(&mut self, peer: NodeId) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.disconnect();
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message<P>, out: &mut Vec<Output<P>>) {
        let Message { term, body } = message;
        if !self.is_peer(from) || term.0 >= NUMBER_END {
            return;
        }
        // What does not obey the order of terms: questions about lost disks, and pre-votes, which speak of a term to come.
        match body {
            Body::Probe { nonce } => return self.on_probe(from, nonce, out),
            Body::ProbeReply { nonce, knows, barrier } => {
                return self.on_probe_reply(from, term, nonce, knows, barrier, out);
            }
            _ if self.ignores_while_waiting(&body) => return,
            Body::PreVote { last_index, last_term } => return self.on_pre_vote(from, term, last_index, last_term, out),
            Body::PreVoteReply { granted: true } => return self.on_pre_vote_granted(from, term, out),
            _ => {}
        }
        if term < self.hard_state.term {
            return self.on_stale(from, body, out);
        }
        let from_leader = matches!(body, Body::Append { .. } | Body::Snapshot { .. });
        if term > self.hard_state.term {
            if matches!(body, Body::Vote { transfer: false, .. }) && self.hears_leader() {
                return;
            }
            self.become_follower(term, None, out);
        }
        if from_leader && !self.follow(from, out) {
            return;
        }
        match body {
            Body::PreVoteReply { .. } | Body::VoteReply { granted: false } => self.on_vote_refused(from),
            Body::Vote { last_index, last_term, .. } => self.on_vote(from, last_index, last_term, out),
            Body::VoteReply { granted: true } => self.on_vote_granted(from, out),
            Body::Append { prev_index, prev_term, entries, commit, round } => {
                if is_sound(term, prev_index, prev_term, &entries) && commit.0 < NUMBER_END {
                    self.on_append(from, prev_index, prev_term, entries, commit, round, out);
                }
            }
            Body::AppendReply { matched, round, recovering } => {
                self.on_append_reply(from, matched, round, recovering, out);
            }
            Body::AppendRejected { prev_index, conflict_index, conflict_term, round } => {
                self.on_append_rejected(from, prev_index, conflict_index, conflict_term, round, out);
            }
            Body::Snapshot { meta, offset, data, done } => {
                if meta.index.0 < NUMBER_END && meta.term <= term {
                    self.on_chunk(from, meta, offset, data, done, out);
                }
            }
            Body::SnapshotReply { meta, received, installed } => {
                self.on_snapshot_reply(from, meta, received, installed, out);
            }
            Body::TimeoutNow => self.on_timeout_now(from, out),
            Body::ReadIndex { context } => self.on_read_index(from, context, out),
            Body::ReadIndexReply { context, index } => self.on_read_index_reply(from, context, index, out),
            Body::Probe { .. } | Body::ProbeReply { .. } | Body::PreVote { .. } => {}
        }
    }

    /// A message of an older term. Whoever leads or campaigns in it is told the present one: with pre-vote and a
    /// checked quorum a member of a higher term could otherwise neither win nor be won back.
    fn on_stale(&mut self, from: NodeId, body: Body<P>, out: &mut Vec<Output<P>>) {
        let reply = match body {
            Body::Append { .. } | Body::Snapshot { .. } if self.config.mutants.on(Mutant::RaftIgnoreLowerTerm) => {
                return;
            }
            Body::Append { .. } | Body::Snapshot { .. } => {
                Body::AppendReply { matched: Index(0), round: 0, recovering: !self.is_voter() }
            }
            Body::Vote { .. } => Body::VoteReply { granted: false },
            Body::AppendReply { matched, recovering, .. } if self.config.mutants.on(Mutant::RaftStaleAppendAck) => {
                return self.on_append_reply(from, matched.min(self.log.last_index()), 0, recovering, out);
            }
            _ => return,
        };
        self.reply(from, reply, out);
    }

    /// Takes `from` as the leader of the present term. False if this member leads it itself.
    fn follow(&mut self, from: NodeId, out: &mut Vec<Output<P>>) -> bool {
        if self.role == Role::Leader {
            return false;
        }
        if self.role != Role::Follower || self.leader != Some(from) {
            self.become_follower(self.hard_state.term, Some(from), out);
            self.probe_peer(from, out);
        }
        self.sticky = true;
        out.push(Output::SetTimer(TimerKind::Election));
        out.push(Output::SetTimer(TimerKind::Sticky));
        true
    }

    /// Enters `term` (or stays in it) as a follower of `leader`.
    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<NodeId>, out: &mut Vec<Output<P>>) {
        self.refuse_reads(out);
        if self.role == Role::Leader {
            out.push(Output::CancelTimer(TimerKind::Heartbeat));
            out.push(Output::CancelTimer(TimerKind::Quorum));
            out.push(Output::SetTimer(TimerKind::Election));
        }
        self.enter_term(term);
        self.role = Role::Follower;
        self.leader = leader;
    }

    /// Adopts `term`, and forgets what belonged to an earlier term or role.
    pub(crate) fn enter_term(&mut self, term: Term) {
        if term > self.hard_state.term {
            self.hard_state.term = term;
            self.hard_state.vote = None;
            self.durability.change_hard_state();
            // Within a term it stays true: there is one leader.
            self.following = Following::default();
        }
        self.votes = Votes::default();
        if !self.config.mutants.on(Mutant::RaftStaleAppendAck) {
            self.progress = BTreeMap::new();
        }
        if !self.config.mutants.on(Mutant::RaftKeepsTransfer) {
            self.transfer = None;
        }
    }

    /// Sends what does not rest on anything durable.
    pub(crate) fn send(&self, to: NodeId, body: Body<P>, out: &mut Vec<Output<P>>) {
        out.push(Output::Send { to, message: Message { term: self.hard_state.term, body } });
    }

    /// Sends what rests on term, vote or standing.
    pub(crate) fn reply(&mut self, to: NodeId, body: Body<P>, out: &mut Vec<Output<P>>) {
        let message = Message { term: self.hard_state.term, body };
        self.send_when_durable(to, message, out);
    }

    /// Reports everything up to `index` as decided.
    pub(crate) fn commit_to(&mut self, index: Index, out: &mut Vec<Output<P>>) {
        if index > self.commit {
            let entries = self.log.range(self.commit.next(), index);
            self.commit = index;
            out.push(Output::Commit { entries });
        }
    }

    pub(crate) fn is_peer(&self, node: NodeId) -> bool {
        node != self.config.id && self.config.voters.contains(&node)
    }

    /// How many members make a majority.
    pub(crate) fn majority(&self) -> usize {
        match self.config.mutants.on(Mutant::RaftMajorityOfEven) {
            true => self.config.voters.len().div_ceil(2),
            false => self.config.voters.len() / 2 + 1,
        }
    }
}

/// Whether an append message can come from a correct leader of `term`.
fn is_sound<P>(term: Term, prev_index: Index, prev_term: Term, entries: &[Entry<P>]) -> bool {
    let mut previous = (prev_index, prev_term);
    prev_index.0 < NUMBER_END
        && prev_term <= term
        && entries.iter().all(|entry| {
            let follows = entry.index == previous.0.next() && entry.term >= previous.1 && entry.term <= term;
            previous = (entry.index, entry.term);
            follows
        })
}

/// What others may know of a member.
impl<P: Payload> Raft<P> {
    /// Its name.
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// What it is at present.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The latest term it has seen.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// Whom it voted for in that term.
    pub fn vote(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// Term, vote and standing; not necessarily durable yet.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Term, vote and recovery flag as they are on disk.
    pub fn durable_hard_state(&self) -> HardState {
        self.durability.hard_state
    }

    /// The leader of its term, if known.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The last decided index it knows of.
    pub fn commit(&self) -> Index {
        self.commit
    }

    /// Entries that were dropped from the log and are not freed yet: a few in each step.
    pub fn garbage(&self) -> usize {
        self.log.garbage()
    }

    /// The first index of the window kept in memory.
    pub fn first_index(&self) -> Index {
        self.log.first_index()
    }

    /// The end of its log.
    pub fn last_index(&self) -> Index {
        self.log.last_index()
    }

    /// The term at the end of its log.
    pub fn last_term(&self) -> Term {
        self.log.last_term()
    }

    /// Its own log is durable up to here.
    pub fn durable_index(&self) -> Index {
        self.durability.index
    }

    /// The entry at an index, if the window holds it.
    pub fn entry(&self, index: Index) -> Option<&Entry<P>> {
        self.log.entry(index)
    }

    /// The term at an index, if known: of the window and the position right before it.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term_at(index)
    }

    /// The newest snapshot it can send.
    pub fn snapshot(&self) -> SnapshotMeta {
        self.snapshot
    }

    /// All members that vote.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.config.voters.iter().copied()
    }

    /// Of a leader: what it knows of its peers. Empty for others.
    pub fn progress(&self) -> impl Iterator<Item = (NodeId, &Progress)> + '_ {
        self.progress.iter().map(|(peer, progress)| (*peer, progress))
    }
}
