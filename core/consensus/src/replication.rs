//! Replication of the log: what a leader sends to each peer, what a follower does with it, and when an entry is
//! decided. Source: dissertation §3.5, §3.6.2, §10.2.1 (writing to disk in parallel), §10.2.2 (pipelining).

use crate::io::{Output, Role};
use crate::progress::Feed;
use crate::raft::Raft;
use std::sync::Arc;
use synod_types::raft::{Body, Entry, Payload};
use synod_types::{Index, Mutant, NodeId, Term};

/// What a follower knows about the log of the present leader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Following {
    /// The own log equals the leader's up to here.
    pub verified: Index,
    /// Acknowledged up to here.
    acknowledged: Index,
    /// The newest broadcast round heard of, and the newest one echoed.
    round: u64,
    echoed: u64,
    /// The leader's commit index, once it told it in this term.
    pub leader_commit: Option<Index>,
}

/// The leader's half.
impl<P: Payload> Raft<P> {
    pub(crate) fn propose(&mut self, payloads: Vec<P>, out: &mut Vec<Output<P>>) {
        if self.role != Role::Leader || self.transfer.is_some() {
            out.push(Output::Refused { payloads });
            return;
        }
        if payloads.is_empty() {
            return;
        }
        self.durability.appended(self.log.last_index().next());
        for payload in payloads {
            let index = self.log.last_index().next();
            self.log.push(Entry { term: self.hard_state.term, index, payload: Some(payload) });
        }
        self.feed_all(out);
    }

    /// Appends an entry that means nothing but that this member leads now.
    pub(crate) fn append_empty(&mut self) -> Index {
        let index = self.log.last_index().next();
        self.log.push(Entry { term: self.hard_state.term, index, payload: None });
        self.durability.appended(index);
        index
    }

    /// Sends to every peer what it lacks.
    pub(crate) fn feed_all(&mut self, out: &mut Vec<Output<P>>) {
        let config = Arc::clone(&self.config);
        for peer in config.voters.iter().filter(|voter| **voter != config.id) {
            self.feed(*peer, out);
        }
    }

    /// Sends to a peer what it lacks, as far as there is room in flight.
    pub(crate) fn feed(&mut self, peer: NodeId, out: &mut Vec<Output<P>>) {
        let limits = self.config.limits;
        if self.role != Role::Leader {
            return;
        }
        let waits = self.config.mutants.on(Mutant::RaftWindowOutlivesLog);
        while let Some(progress) = self.progress.get_mut(&peer) {
            let next = progress.next;
            let may_send = match progress.feed {
                Feed::Probe { paused } => !paused,
                // Where the log begins later, a follower that has lost what was on its way cannot say so any more.
                Feed::Stream if self.log.term_at(next.prev()).is_none() && !waits => true,
                Feed::Stream => {
                    next <= self.log.last_index() && progress.has_room(limits.in_flight_max, limits.in_flight_bytes_max)
                }
                Feed::Snapshot { .. } => false,
            };
            if !may_send {
                return;
            }
            let Some(prev_term) = self.log.term_at(next.prev()) else {
                return self.begin_snapshot(peer, out);
            };
            let (entries, bytes) =
                self.log.slice(next, self.log.last_index(), limits.append_entries_max, limits.append_bytes_max);
            let too_large = entries.len() == 1 && bytes > limits.append_bytes_max;
            if too_large && self.config.mutants.on(Mutant::RaftLargeWaits) {
                return;
            }
            match &mut progress.feed {
                Feed::Probe { paused } => *paused = true,
                _ => progress.sent(entries.last().map_or(next.prev(), |entry| entry.index), bytes),
            }
            let (commit, round) = (self.commit, self.reads.round());
            self.send(peer, Body::Append { prev_index: next.prev(), prev_term, entries, commit, round }, out);
        }
    }

    /// Sends an append message without entries to every peer and asks for an answer: a heartbeat, and a question
    /// whether it still leads.
    pub(crate) fn broadcast_round(&mut self, out: &mut Vec<Output<P>>) {
        let round = self.reads.round();
        for (peer, progress) in &self.progress {
            self.send_empty(*peer, progress.feed, progress.next, round, out);
        }
    }

    /// Tells everyone who is up to date that the commit index moved; entries on their way tell it anyway.
    fn broadcast_commit(&mut self, out: &mut Vec<Output<P>>) {
        for (peer, progress) in &self.progress {
            if progress.feed == Feed::Stream {
                self.send_empty(*peer, progress.feed, progress.next, 0, out);
            }
        }
    }

    fn send_empty(&self, to: NodeId, feed: Feed, next: Index, round: u64, out: &mut Vec<Output<P>>) {
        // A peer that waits for a snapshot agrees with the empty log and nothing more.
        let (prev_index, prev_term) = match (feed, self.log.term_at(next.prev())) {
            (Feed::Snapshot { .. }, _) | (_, None) => (Index(0), Term(0)),
            (_, Some(prev_term)) => (next.prev(), prev_term),
        };
        let commit = self.commit;
        self.send(to, Body::Append { prev_index, prev_term, entries: Vec::new(), commit, round }, out);
    }

    pub(crate) fn on_append_reply(
        &mut self,
        from: NodeId,
        matched: Index,
        round: u64,
        recovering: bool,
        out: &mut Vec<Output<P>>,
    ) {
        if matched > self.log.last_index() || round > self.reads.round() {
            return;
        }
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.active = true;
        let kept = progress.recovering && self.config.mutants.on(Mutant::RaftRecoveringForEver);
        progress.recovering = recovering || kept;
        progress.acknowledged(matched);
        if !recovering {
            progress.round = progress.round.max(round);
        }
        let was_probed = matches!(progress.feed, Feed::Probe { .. });
        if was_probed {
            progress.feed = Feed::Stream;
        }
        let (next, commit) = (progress.next, self.commit);
        self.advance_commit(out);
        if was_probed && next > self.log.last_index() && commit == self.commit {
            // The probe may have told an older commit index, and nothing else would tell it soon.
            self.send_empty(from, Feed::Stream, next, 0, out);
        }
        self.confirm_reads(out);
        self.hand_over(from, out);
        self.feed(from, out);
    }

    pub(crate) fn on_append_rejected(
        &mut self,
        from: NodeId,
        prev_index: Index,
        conflict_index: Index,
        conflict_term: Term,
        round: u64,
        out: &mut Vec<Output<P>>,
    ) {
        if round > self.reads.round() {
            return;
        }
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.active = true;
        progress.round = progress.round.max(round);
        // While probing only the answer to the last probe counts; in a stream, anything that was sent.
        let expected = match progress.feed {
            Feed::Probe { .. } => prev_index == progress.next.prev(),
            Feed::Stream => prev_index < progress.next,
            Feed::Snapshot { .. } => false,
        };
        // What was acknowledged cannot conflict; probing there again would go on without end.
        if expected && prev_index > progress.matched {
            // Where the logs meet may be before the window: then `feed` sends the snapshot.
            let meet = self.log.last_with_term_at_most(conflict_index.min(prev_index.prev()), conflict_term);
            progress.probe(meet.next());
        }
        self.confirm_reads(out);
        self.feed(from, out);
    }

    /// Decides what a majority has durable, if it is of the present term: only then no later leader can lack it
    /// (§3.6.2). The own log counts like any other, as far as it is durable.
    pub(crate) fn advance_commit(&mut self, out: &mut Vec<Output<P>>) {
        if self.role != Role::Leader {
            return;
        }
        let mutants = self.config.mutants;
        let own = if mutants.on(Mutant::RaftSelfCount) { self.log.last_index() } else { self.durability.index };
        let mut matched: Vec<Index> = self
            .progress
            .values()
            .map(|progress| if progress.recovering { Index(0) } else { progress.matched })
            .chain([own])
            .collect();
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let needed =
            if mutants.on(Mutant::RaftCommitWithoutQuorum) { (self.majority() - 1).max(1) } else { self.majority() };
        let decided = matched[needed - 1];
        let of_this_term = self.log.term_at(decided) == Some(self.hard_state.term);
        if decided <= self.commit || !(of_this_term || mutants.on(Mutant::RaftCommitOldTermByCount)) {
            return;
        }
        self.commit_to(decided, out);
        self.broadcast_commit(out);
        self.begin_early_reads(out);
    }
}

/// The follower's half.
impl<P: Payload> Raft<P> {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn on_append(
        &mut self,
        from: NodeId,
        prev_index: Index,
        prev_term: Term,
        entries: Vec<Entry<P>>,
        commit: Index,
        round: u64,
        out: &mut Vec<Output<P>>,
    ) {
        if entries.is_empty() {
            // Heartbeats keep the election timer, which asks otherwise, from firing.
            self.probe_peers(out);
        }
        self.following.round = self.following.round.max(round);
        if self.is_restoring() && !self.config.mutants.on(Mutant::RaftCommitWhileRestoring) {
            // The log is about to be replaced. The leader need only know that someone is here.
            if round > 0 {
                self.acknowledge(from, out);
            }
            return;
        }
        if !self.holds(prev_index, prev_term) {
            return self.reject(from, prev_index, prev_term, round, out);
        }
        let is_empty = entries.is_empty();
        let last_new = Index(prev_index.0 + entries.len() as u64);
        self.take(entries);
        if self.config.mutants.on(Mutant::RaftTruncateOnMatch) && last_new < self.log.last_index() {
            let from = last_new.max(self.commit).next();
            self.log.truncate(from);
            self.durability.truncated(from);
        }
        self.following.verified = self.following.verified.max(last_new).min(self.log.last_index());
        self.following.leader_commit = self.following.leader_commit.max(Some(commit));
        let known = match self.config.mutants.on(Mutant::RaftCommitUnverified) {
            true => self.log.last_index(),
            false => self.following.verified,
        };
        self.commit_to(commit.min(known), out);
        let wants_answer = if is_empty { round > 0 } else { last_new <= self.durability.index };
        if wants_answer || round > self.following.echoed || self.config.mutants.on(Mutant::RaftAckBeforeDurable) {
            self.acknowledge(from, out);
        }
        self.end_recovery(out);
    }

    /// Whether the log contains that position. What is committed here is in every leader's log.
    fn holds(&self, index: Index, term: Term) -> bool {
        index <= self.commit
            || self
                .log
                .term_at(index)
                .is_some_and(|held| held == term || self.config.mutants.on(Mutant::RaftSkipPrevCheck))
    }

    fn reject(&mut self, to: NodeId, prev_index: Index, prev_term: Term, round: u64, out: &mut Vec<Output<P>>) {
        let conflict_index = self.log.last_with_term_at_most(prev_index.prev(), prev_term).max(self.commit);
        let conflict_term = self.log.term_at(conflict_index).unwrap_or_default();
        let round = if self.is_voter() { round } else { 0 };
        self.reply(to, Body::AppendRejected { prev_index, conflict_index, conflict_term, round }, out);
    }

    /// Takes over the entries that the log lacks; an entry that conflicts drops itself and all that follow it.
    fn take(&mut self, entries: Vec<Entry<P>>) {
        for entry in entries {
            match self.log.term_at(entry.index) {
                _ if entry.index <= self.commit => continue,
                Some(term) if term == entry.term => continue,
                Some(_) => {
                    self.log.truncate(entry.index);
                    self.durability.truncated(entry.index);
                }
                None => {}
            }
            self.durability.appended(entry.index);
            self.log.push(entry);
        }
    }

    /// Says how far the log is durable and equal to the leader's.
    pub(crate) fn acknowledge(&mut self, to: NodeId, out: &mut Vec<Output<P>>) {
        let matched = self.durably_verified();
        self.following.acknowledged = matched;
        self.following.echoed = self.following.round;
        self.reply(to, Body::AppendReply { matched, round: self.following.round, recovering: !self.is_voter() }, out);
    }

    /// Acknowledges what became durable since the last acknowledgement.
    pub(crate) fn acknowledge_durable(&mut self, out: &mut Vec<Output<P>>) {
        if self.role == Role::Follower
            && let Some(leader) = self.leader
            && self.durably_verified() > self.following.acknowledged
        {
            self.acknowledge(leader, out);
        }
    }

    /// The log is equal to the leader's and durable up to here.
    pub(crate) fn durably_verified(&self) -> Index {
        if self.config.mutants.on(Mutant::RaftAckBeforeDurable) {
            return self.following.verified;
        }
        if self.config.mutants.on(Mutant::RaftAckWholeLog) {
            return self.durability.index;
        }
        self.following.verified.min(self.durability.index)
    }
}
