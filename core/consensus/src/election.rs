//! Elections: pre-vote, vote, and the check that a leader still hears a majority. Source: dissertation §3.4, §3.6.1,
//! §4.2.3, §6.2, §9.6.

use crate::io::{Output, Role, TimerKind};
use crate::progress::Progress;
use crate::raft::Raft;
use std::collections::BTreeSet;
use std::sync::Arc;
use synod_types::raft::{Body, Message, Payload};
use synod_types::{Index, Mutant, NodeId, Term};

/// The answers to a campaign or pre-campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Votes {
    granted: Vec<NodeId>,
    refused: BTreeSet<NodeId>,
    /// The campaign was asked for by the leader.
    transfer: bool,
}

impl<P: Payload> Raft<P> {
    pub(crate) fn on_election_timer(&mut self, out: &mut Vec<Output<P>>) {
        if self.role == Role::Leader {
            return;
        }
        self.sticky = false;
        out.push(Output::SetTimer(TimerKind::Election));
        // A member that is about to load a snapshot must not lead meanwhile: what it decided would be undone by it.
        if !self.is_voter() || self.is_restoring() {
            self.become_follower(self.hard_state.term, None, out);
            self.probe_peers(out);
            return;
        }
        self.pre_campaign(out);
    }

    /// Asks whether a campaign would succeed, without disturbing anyone (§9.6).
    fn pre_campaign(&mut self, out: &mut Vec<Output<P>>) {
        self.become_follower(self.hard_state.term, None, out);
        self.role = Role::PreCandidate;
        self.votes.granted.push(self.config.id);
        if self.majority() == 1 {
            return self.campaign(false, out);
        }
        self.ask_for_votes(out);
    }

    /// Campaigns in a new term.
    pub(crate) fn campaign(&mut self, transfer: bool, out: &mut Vec<Output<P>>) {
        let term = Term(self.hard_state.term.0 + 1);
        self.become_follower(term, None, out);
        self.hard_state.vote = Some(self.config.id);
        self.role = Role::Candidate;
        self.sticky = false;
        self.votes.granted.push(self.config.id);
        self.votes.transfer = transfer;
        out.push(Output::SetTimer(TimerKind::Election));
        if self.majority() == 1 {
            return self.become_leader(out);
        }
        self.ask_for_votes(out);
    }

    fn ask_for_votes(&mut self, out: &mut Vec<Output<P>>) {
        let config = Arc::clone(&self.config);
        for peer in config.voters.iter().filter(|voter| **voter != config.id) {
            self.ask_for_vote(*peer, out);
        }
    }

    /// Asks one peer, again if it was asked before: what was in flight to it may be lost.
    pub(crate) fn ask_for_vote(&mut self, peer: NodeId, out: &mut Vec<Output<P>>) {
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        if self.role == Role::PreCandidate {
            let term = Term(self.hard_state.term.0 + 1);
            let message = Message { term, body: Body::PreVote { last_index, last_term } };
            out.push(Output::Send { to: peer, message });
        } else {
            let transfer = self.votes.transfer;
            self.reply(peer, Body::Vote { last_index, last_term, transfer }, out);
        }
    }

    /// Leads, or has heard from a leader so recently that an election would only disturb it.
    pub(crate) fn hears_leader(&self) -> bool {
        self.role == Role::Leader || self.sticky
    }

    pub(crate) fn on_pre_vote(
        &mut self,
        from: NodeId,
        term: Term,
        last_index: Index,
        last_term: Term,
        out: &mut Vec<Output<P>>,
    ) {
        let granted = term > self.hard_state.term
            && (!self.hears_leader() || self.config.mutants.on(Mutant::RaftPreVoteDisturbs))
            && self.is_voter()
            && self.is_matched_by(last_index, last_term);
        if granted {
            // It speaks of the term the candidate would campaign in.
            self.send_when_durable(from, Message { term, body: Body::PreVoteReply { granted } }, out);
        } else {
            self.send(from, Body::PreVoteReply { granted }, out);
        }
    }

    /// Whether a candidate's log is at least as complete as the own one.
    fn is_matched_by(&self, last_index: Index, last_term: Term) -> bool {
        if self.config.mutants.on(Mutant::RaftVoteByLength) {
            return last_index >= self.log.last_index();
        }
        self.log.is_at_most(last_index, last_term) || self.config.mutants.on(Mutant::RaftVoteStaleLog)
    }

    pub(crate) fn on_pre_vote_granted(&mut self, from: NodeId, term: Term, out: &mut Vec<Output<P>>) {
        if self.role == Role::PreCandidate && term.0 == self.hard_state.term.0 + 1 && self.count_vote(from) {
            self.campaign(false, out);
        }
    }

    pub(crate) fn on_vote(&mut self, from: NodeId, last_index: Index, last_term: Term, out: &mut Vec<Output<P>>) {
        let vote_is_free = match self.hard_state.vote {
            None => true,
            Some(candidate) => candidate == from || self.config.mutants.on(Mutant::RaftVoteTwice),
        };
        let granted =
            vote_is_free && self.is_matched_by(last_index, last_term) && self.is_voter() && self.leader.is_none();
        if granted {
            if self.hard_state.vote != Some(from) {
                self.hard_state.vote = Some(from);
                self.durability.change_hard_state();
            }
            out.push(Output::SetTimer(TimerKind::Election));
        }
        self.reply(from, Body::VoteReply { granted }, out);
    }

    pub(crate) fn on_vote_granted(&mut self, from: NodeId, out: &mut Vec<Output<P>>) {
        if self.role == Role::Candidate && self.count_vote(from) {
            self.become_leader(out);
        }
    }

    /// Counts a granted vote or pre-vote; true if it makes a majority.
    fn count_vote(&mut self, from: NodeId) -> bool {
        if !self.votes.granted.contains(&from) || self.config.mutants.on(Mutant::RaftCountDuplicateVotes) {
            self.votes.granted.push(from);
        }
        self.votes.granted.len() >= self.majority()
    }

    /// A majority that refuses ends the campaign; the election timer begins the next.
    pub(crate) fn on_vote_refused(&mut self, from: NodeId) {
        if !matches!(self.role, Role::PreCandidate | Role::Candidate) {
            return;
        }
        self.votes.refused.insert(from);
        if self.votes.refused.len() >= self.majority() {
            self.votes = Votes::default();
            self.role = Role::Follower;
        }
    }

    fn become_leader(&mut self, out: &mut Vec<Output<P>>) {
        let id = self.config.id;
        let next = self.log.last_index().next();
        self.role = Role::Leader;
        self.leader = Some(id);
        self.votes = Votes::default();
        let former = std::mem::take(&mut self.progress);
        self.progress = self.config.voters.iter().filter(|v| **v != id).map(|v| (*v, Progress::new(next))).collect();
        // Empty, but for a planted bug.
        for (peer, progress) in former {
            self.progress.entry(peer).and_modify(|present| present.matched = progress.matched.min(next));
        }
        self.reads.begin_term();
        out.push(Output::CancelTimer(TimerKind::Election));
        out.push(Output::CancelTimer(TimerKind::Sticky));
        out.push(Output::SetTimer(TimerKind::Heartbeat));
        out.push(Output::SetTimer(TimerKind::Quorum));
        self.append_empty();
        self.feed_all(out);
    }

    /// A leader that does not hear a majority steps down: it cannot decide anything, and its clients had better look
    /// elsewhere (§6.2).
    pub(crate) fn check_quorum(&mut self, out: &mut Vec<Output<P>>) {
        if !self.config.mutants.on(Mutant::RaftTransferForEver) {
            self.transfer = None;
        }
        let active = self.progress.values().filter(|progress| progress.active).count();
        let own = usize::from(!self.config.mutants.on(Mutant::RaftLeaderUncounted));
        if active + own < self.majority() && !self.config.mutants.on(Mutant::RaftNeverStepsDown) {
            self.sticky = false;
            return self.become_follower(self.hard_state.term, None, out);
        }
        for progress in self.progress.values_mut() {
            progress.active = false;
        }
        self.repeat_chunks(out);
        out.push(Output::SetTimer(TimerKind::Quorum));
    }
}
