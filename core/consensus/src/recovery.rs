//! Coming back without what was acknowledged: an empty folder, or a log whose end cannot be read.
//!
//! Such a member may have voted, and its acknowledgements may have been counted; it must not vote or acknowledge anew
//! as if it had not. It asks its peers. If they are as new as itself, the cluster is being founded and it is an
//! ordinary voter. Otherwise it **recovers**: it takes entries, but counts for nothing, until it holds an entry that a
//! leader appended after its start, in the leader's term, and that is decided: the **barrier**. In that term it then
//! counts as having voted for that leader, unless its disk still knows for whom it did.
//!
//! Why that is enough. The barrier, of term T, is durable at a majority without this member, and each of them was in T
//! or an earlier term after the start.
//! - What it voted for in T or earlier is behind it: it is in T, and its vote in T is given.
//! - A candidate of a later term that has its vote has asked for it before the start, so it has not got the barrier, and
//!   nobody in that majority votes for it any more. With the votes of all others and the lost one it has no majority.
//! - A leader of a later term cannot have been elected before the start: its voters and that majority have a member in
//!   common, which cannot have taken an entry of T afterwards. So what this member acknowledged and was decided is in
//!   the log of the leader of T, before the barrier.
//!
//! The term of a leader alone tells nothing: one that was elected with the lost vote itself may still lead while the
//! next candidate already has that member's next vote.
//!
//! Assumed, because no protocol can tell the difference:
//! - Lost disks count like crashed members: at any time a majority of intact members holds what was decided, so no
//!   more than a minority is lost and not recovered.
//! - A majority is enough to found a cluster. So if a disk is lost before every member has heard of the cluster, and
//!   those that have are out of reach, the rest may take it for the founding.
//! - What was in flight to or from the lost incarnation is gone by the time the link is up again.
//! - A lone voter whose log is damaged has nobody to ask and never serves again by itself.

use crate::config::Config;
use crate::io::{Output, Role};
use crate::raft::Raft;
use std::collections::BTreeSet;
use std::sync::Arc;
use synod_types::raft::{Body, HardState, Payload};
use synod_types::{Index, Mutant, NodeId, Term};

/// Whether a member counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// It votes and acknowledges.
    Voter,
    /// Its folder was empty and it does not know yet whether everyone's was. It writes nothing.
    Waiting { nonce: u64, fresh: BTreeSet<NodeId> },
    /// It does not count. The barrier, and the term of the leader that named it.
    Recovering { nonce: u64, barrier: Option<(Term, Index)> },
}

impl Standing {
    pub fn at_boot(config: &Config, hard_state: &HardState, empty: bool, damaged: bool, nonce: u64) -> Standing {
        if config.mutants.on(Mutant::RaftRejoinVoter) {
            Standing::Voter
        } else if damaged || hard_state.recovering {
            Standing::Recovering { nonce, barrier: None }
        } else if empty && config.voters.len() > 1 {
            Standing::Waiting { nonce, fresh: BTreeSet::new() }
        } else {
            Standing::Voter
        }
    }
}

impl<P: Payload> Raft<P> {
    /// Whether it neither votes nor acknowledges: a recovering member, or one that waits to learn whether it is.
    pub fn is_recovering(&self) -> bool {
        !self.is_voter()
    }

    pub(crate) fn is_voter(&self) -> bool {
        self.standing == Standing::Voter
    }

    /// Makes it durable that this member recovers, before anything else it learns is.
    pub(crate) fn mark_recovering(&mut self) {
        if matches!(self.standing, Standing::Recovering { .. }) && !self.hard_state.recovering {
            self.hard_state.recovering = true;
            self.durability.change_hard_state();
        }
    }

    /// Asks every peer what it knows.
    pub(crate) fn probe_peers(&mut self, out: &mut Vec<Output<P>>) {
        let config = Arc::clone(&self.config);
        for peer in config.voters.iter().filter(|voter| **voter != config.id) {
            self.probe_peer(*peer, out);
        }
    }

    pub(crate) fn probe_peer(&mut self, peer: NodeId, out: &mut Vec<Output<P>>) {
        let nonce = match self.standing {
            Standing::Waiting { nonce, .. } => nonce,
            Standing::Recovering { nonce, barrier } if barrier.is_none_or(|(of, _)| of != self.hard_state.term) => {
                nonce
            }
            _ => return,
        };
        self.send(peer, Body::Probe { nonce }, out);
    }

    /// A recovering member cannot vouch for anything and stays silent.
    pub(crate) fn on_probe(&mut self, from: NodeId, nonce: u64, out: &mut Vec<Output<P>>) {
        if let Some(progress) = self.progress.get_mut(&from) {
            progress.recovering = true;
        }
        if matches!(self.standing, Standing::Recovering { .. }) {
            return;
        }
        let knows = self.hard_state != HardState::default() || self.log.last_index() > Index(0);
        let barrier = self.raise_barrier(from, nonce, out);
        self.send(from, Body::ProbeReply { nonce, knows, barrier }, out);
    }

    /// Of a leader: an entry that was appended since this incarnation of a peer has asked.
    fn raise_barrier(&mut self, peer: NodeId, nonce: u64, out: &mut Vec<Output<P>>) -> Option<Index> {
        if self.role != Role::Leader || self.transfer.is_some() {
            return None;
        }
        let raised = self.progress.get(&peer)?.barrier.filter(|(asked, _)| *asked == nonce);
        if let Some((_, index)) = raised {
            return Some(index);
        }
        let mutants = self.config.mutants;
        let index = match mutants.on(Mutant::RaftBarrierBefore) {
            true => self.log.last_index(),
            false => self.append_empty(),
        };
        self.progress.get_mut(&peer)?.barrier = Some((nonce, index));
        self.feed_all(out);
        Some(index)
    }

    pub(crate) fn on_probe_reply(
        &mut self,
        from: NodeId,
        term: Term,
        answered: u64,
        knows: bool,
        named: Option<Index>,
        out: &mut Vec<Output<P>>,
    ) {
        let needed = self.majority() - 1;
        match &mut self.standing {
            Standing::Waiting { nonce, fresh: answers } if *nonce == answered => {
                if knows {
                    self.begin_recovery();
                    return self.on_probe_reply(from, term, answered, knows, named, out);
                }
                answers.insert(from);
                if answers.len() >= needed {
                    // The folder is empty no longer before anyone is promised anything. So a majority of founders stays
                    // one through crashes, and whoever comes later finds it.
                    self.standing = Standing::Voter;
                    self.durability.change_hard_state();
                }
            }
            Standing::Recovering { nonce, barrier } if *nonce == answered => {
                let named = named.map(|index| (term, index));
                if named.is_some() && barrier.is_none_or(|(of, _)| of < term) {
                    *barrier = named;
                    self.end_recovery(out);
                }
            }
            _ => {}
        }
    }

    /// While it is not known whether the cluster is new, only a leader's word counts: it has history, so this member
    /// lost its own. True if the message is to be ignored.
    pub(crate) fn ignores_while_waiting(&mut self, body: &Body<P>) -> bool {
        if !matches!(self.standing, Standing::Waiting { .. }) {
            return false;
        }
        let from_leader = matches!(body, Body::Append { .. } | Body::Snapshot { .. });
        if from_leader {
            self.begin_recovery();
        }
        !from_leader
    }

    fn begin_recovery(&mut self) {
        if let Standing::Waiting { nonce, .. } = self.standing {
            self.standing = Standing::Recovering { nonce, barrier: None };
            if !self.config.mutants.on(Mutant::RaftRecoveryForgotten) {
                self.mark_recovering();
            }
        }
    }

    /// Becomes ordinary once the barrier is decided and durable here.
    pub(crate) fn end_recovery(&mut self, out: &mut Vec<Output<P>>) {
        let Standing::Recovering { barrier: Some((of, barrier)), .. } = self.standing else { return };
        let decided = self.following.leader_commit.is_some_and(|commit| commit >= barrier)
            || self.config.mutants.on(Mutant::RaftBarrierUndecided);
        if let Some(leader) = self.leader
            && of == self.hard_state.term
            && decided
            && self.durably_verified() >= barrier
        {
            self.standing = Standing::Voter;
            self.hard_state.recovering = false;
            self.hard_state.vote.get_or_insert(leader);
            self.durability.change_hard_state();
            self.acknowledge(leader, out);
        }
    }
}
