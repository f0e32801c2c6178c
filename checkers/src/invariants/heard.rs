//! What a member has heard since its start, as far as theorems ask for it.

use super::{Member, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, Message};
use synod_types::{Index, NodeId, Term};

/// Who said something that belongs to one term.
#[derive(Default)]
pub(super) struct OfTerm<T> {
    term: Term,
    said: BTreeMap<NodeId, T>,
}

impl<T: Ord> OfTerm<T> {
    /// What counts is the most that somebody said.
    fn insert(&mut self, term: Term, from: NodeId, what: T) {
        if term > self.term {
            *self = OfTerm { term, said: BTreeMap::new() };
        }
        if term == self.term && self.said.get(&from).is_none_or(|known| *known < what) {
            self.said.insert(from, what);
        }
    }

    /// What was said in that term.
    pub fn of(&self, term: Term) -> impl Iterator<Item = &T> {
        self.said.values().filter(move |_| self.term == term)
    }
}

/// How things were when a leader was asked for something that only a leader may say.
#[derive(Clone, Copy)]
pub(super) struct Floor {
    /// The newest round that it had begun in its term: who echoes a later one followed it after the question.
    pub round: (Term, u64),
    /// Committed by then.
    pub committed: Index,
    /// The newest term that had a leader by then.
    pub newest_reign: Term,
}

/// Of one member.
#[derive(Default)]
pub(super) struct Heard {
    /// When a leader of its term was heard of.
    leader_at_ns: Option<u64>,
    /// Who asked for a pre-vote for which term, and why it had to be refused each time.
    pub pre_votes_asked: BTreeMap<(NodeId, Term), Option<&'static str>>,
    pub pre_votes: OfTerm<()>,
    pub votes: OfTerm<()>,
    acknowledged: OfTerm<Index>,
    /// The newest rounds of its own that others have echoed.
    echoed: OfTerm<u64>,
    /// Its newest round.
    round: (Term, u64),
    /// It was told to campaign, or to do so again.
    pub told_to_campaign: bool,
    /// The term of the latest message if that asked for a vote that must not be considered.
    pub disturbing: Option<Term>,
    /// Whose append messages follow a position that its log did not hold when they came.
    pub unheld: BTreeSet<(NodeId, Index)>,
    pub reads: BTreeMap<(NodeId, u64), Floor>,
    pub reports: BTreeMap<(NodeId, u64), Floor>,
}

/// What is known when a message comes in.
pub(super) struct Known {
    pub at_ns: u64,
    /// For so long after a leader was heard of, nobody may campaign.
    pub patience: Duration,
    pub committed: Index,
    pub newest_reign: Term,
}

impl Heard {
    /// How many have acknowledged that index to a leader of that term.
    pub fn acknowledged(&self, term: Term, index: Index) -> usize {
        self.acknowledged.of(term).filter(|matched| **matched >= index).count()
    }

    /// How many have echoed a round of that term that began after this one.
    pub fn echoed_since(&self, term: Term, (of, round): (Term, u64)) -> usize {
        let since = if of == term { round } else { 0 };
        self.echoed.of(term).filter(|echoed| **echoed > since).count()
    }

    /// It puts out an append message.
    pub fn begins(&mut self, term: Term, round: u64) {
        self.round = self.round.max((term, round));
    }

    /// Takes a message that `member` is about to take.
    pub fn take(&mut self, member: &Member, known: &Known, from: NodeId, message: &PeerMessage) {
        self.disturbing = None;
        let (committed, newest_reign) = (known.committed, known.newest_reign);
        let floor = Floor { round: self.round, committed, newest_reign };
        let (term, body) = match message {
            PeerMessage::Raft(Message { term, body }) => (*term, body),
            PeerMessage::Touch { sequence, .. } => {
                self.reports.entry((from, *sequence)).or_insert(floor);
                return;
            }
            _ => return,
        };
        let lately = |at: u64| known.at_ns.saturating_sub(at) < known.patience.as_nanos() as u64;
        let hears_leader = match member.role {
            Role::Leader => Some("it leads"),
            Role::Other => self.leader_at_ns.filter(|at| lately(*at)).map(|_| "it has just heard from a leader"),
        };
        match body {
            Body::Append { .. } | Body::Snapshot { .. } if term < member.term => {}
            Body::Snapshot { .. } => self.leader_at_ns = Some(known.at_ns),
            Body::Append { prev_index, prev_term, .. } => {
                self.leader_at_ns = Some(known.at_ns);
                if *prev_index > member.commit && member.term_at(*prev_index) != Some(*prev_term) {
                    self.unheld.insert((from, *prev_index));
                }
            }
            Body::PreVote { last_index, last_term } => {
                let is_behind = member.end().is_some_and(|own| (*last_term, *last_index) < own);
                let behind = is_behind.then_some("the candidate's log is behind its own");
                let refuse = hears_leader.or(behind);
                // An earlier question may have been granted, and the answer waits for the disk.
                let asked = self.pre_votes_asked.entry((from, term)).or_insert(refuse);
                *asked = asked.and(refuse);
            }
            Body::PreVoteReply { granted: true } => self.pre_votes.insert(term, from, ()),
            Body::Vote { transfer: false, .. } if term > member.term && hears_leader.is_some() => {
                self.disturbing = Some(term);
            }
            Body::VoteReply { granted: true } => self.votes.insert(term, from, ()),
            Body::AppendReply { matched, recovering: false, round } => {
                self.acknowledged.insert(term, from, *matched);
                self.echoed.insert(term, from, *round);
            }
            Body::AppendRejected { round, .. } => self.echoed.insert(term, from, *round),
            Body::TimeoutNow => (self.told_to_campaign, self.leader_at_ns) = (true, None),
            Body::ReadIndex { context } => {
                // Who asks again is content with the answer to its first question.
                self.reads.entry((from, *context)).or_insert(floor);
            }
            _ => {}
        }
    }
}
