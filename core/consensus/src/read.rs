//! ReadIndex: an index that is safe to read at, confirmed by a majority that still follows the leader. Source:
//! dissertation §6.4; rounds instead of request ids, so that no answer to an earlier question confirms a later one
//! (etcd issue 20418).
//!
//! Reads that come in while a round is under way wait for the next one: one round trip serves all of them.

use crate::io::{Output, Role, TimerKind};
use crate::raft::Raft;
use std::collections::{BTreeSet, VecDeque};
use synod_types::raft::{Body, Payload};
use synod_types::{Index, Mutant, NodeId};

/// Reads that are not confirmed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reads {
    /// Of a leader: the newest broadcast round.
    round: u64,
    /// Of a leader that has not decided anything in its term: reads that cannot have an index yet.
    early: Vec<(u64, Option<NodeId>)>,
    /// Of a leader: reads in order of their rounds, the last ones of a round that has not begun.
    waiting: VecDeque<Read>,
    /// Of a follower: contexts the leader was asked for.
    forwarded: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Read {
    context: u64,
    /// The peer that asked, or this member itself.
    from: Option<NodeId>,
    /// The round that confirms it.
    round: u64,
    index: Index,
}

impl Reads {
    /// A leader begins its term: no read is left of an earlier one.
    pub fn begin_term(&mut self) {
        *self = Reads { round: 1, ..Reads::default() };
    }

    /// The newest broadcast round.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// The link to a peer is gone: an answer would reach a later incarnation that means another read by the context.
    pub fn drop_from(&mut self, peer: NodeId) {
        self.early.retain(|(_, from)| *from != Some(peer));
        self.waiting.retain(|read| read.from != Some(peer));
    }
}

impl<P: Payload> Raft<P> {
    pub(crate) fn read_index(&mut self, context: u64, out: &mut Vec<Output<P>>) {
        match self.leader {
            _ if self.role == Role::Leader => self.register_read(context, None, out),
            Some(leader) => {
                self.reads.forwarded.insert(context);
                self.send(leader, Body::ReadIndex { context }, out);
            }
            None => out.push(Output::ReadRefused { context }),
        }
    }

    pub(crate) fn on_read_index(&mut self, from: NodeId, context: u64, out: &mut Vec<Output<P>>) {
        if self.role == Role::Leader {
            self.register_read(context, Some(from), out);
        }
    }

    pub(crate) fn on_read_index_reply(&mut self, from: NodeId, context: u64, index: Index, out: &mut Vec<Output<P>>) {
        if self.leader == Some(from) && self.reads.forwarded.remove(&context) {
            out.push(Output::ReadReady { context, index });
        }
    }

    fn register_read(&mut self, context: u64, from: Option<NodeId>, out: &mut Vec<Output<P>>) {
        let mutants = self.config.mutants;
        // Only a decision of its own term tells a leader how far its predecessors had decided.
        let knows_commit = self.log.term_at(self.commit) == Some(self.hard_state.term);
        if !knows_commit && !mutants.on(Mutant::RaftReadBeforeTermCommit) {
            self.reads.early.push((context, from));
            return;
        }
        let index = self.commit;
        if self.majority() == 1 || mutants.on(Mutant::RaftReadWithoutQuorum) {
            return self.answer_read(context, from, index, out);
        }
        if mutants.on(Mutant::RaftReadIndexReuse) {
            self.reads.waiting.push_back(Read { context, from, round: self.reads.round, index });
            return self.confirm_reads(out);
        }
        let round = self.reads.round + 1;
        let idle = self.reads.waiting.is_empty();
        self.reads.waiting.push_back(Read { context, from, round, index });
        if idle {
            self.begin_round(out);
        }
    }

    fn begin_round(&mut self, out: &mut Vec<Output<P>>) {
        self.reads.round += 1;
        self.broadcast_round(out);
        // The question is a heartbeat as well.
        out.push(Output::SetTimer(TimerKind::Heartbeat));
    }

    /// Answers the reads whose round a majority has echoed, and begins the next round if some wait for it.
    pub(crate) fn confirm_reads(&mut self, out: &mut Vec<Output<P>>) {
        let needed = self.majority() - usize::from(self.config.mutants.on(Mutant::RaftReadsByMinority));
        while let Some(read) = self.reads.waiting.front().copied() {
            let echoes = self.progress.values().filter(|peer| peer.round >= read.round && !peer.recovering).count();
            if echoes + 1 < needed {
                break;
            }
            self.reads.waiting.pop_front();
            self.answer_read(read.context, read.from, read.index, out);
        }
        if self.reads.waiting.front().is_some_and(|read| read.round > self.reads.round) {
            self.begin_round(out);
        }
    }

    /// The leader has decided in its term: reads that waited for that get their index.
    pub(crate) fn begin_early_reads(&mut self, out: &mut Vec<Output<P>>) {
        if self.log.term_at(self.commit) == Some(self.hard_state.term) {
            for (context, from) in std::mem::take(&mut self.reads.early) {
                self.register_read(context, from, out);
            }
        }
    }

    fn answer_read(&mut self, context: u64, from: Option<NodeId>, index: Index, out: &mut Vec<Output<P>>) {
        match from {
            None => out.push(Output::ReadReady { context, index }),
            Some(peer) => self.send(peer, Body::ReadIndexReply { context, index }, out),
        }
    }

    /// Leadership ended or the leader is gone: nobody will confirm these. Peers find out by themselves.
    pub(crate) fn refuse_reads(&mut self, out: &mut Vec<Output<P>>) {
        let Reads { early, waiting, forwarded, .. } = std::mem::take(&mut self.reads);
        let own = early.into_iter().chain(waiting.into_iter().map(|read| (read.context, read.from)));
        let own = own.filter_map(|(context, from)| from.is_none().then_some(context));
        out.extend(own.chain(forwarded).map(|context| Output::ReadRefused { context }));
    }
}
