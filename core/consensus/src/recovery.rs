//! Coming back without what was acknowledged: an empty folder, or a log whose end cannot be read.
//!
//! Such a member may have voted, and its acknowledgements may have been counted; it must not vote or acknowledge anew
//! as if it had not. It asks its peers. If they are as new as itself, the cluster is being founded and it is an
//! ordinary voter. Otherwise it **recovers**: it takes entries, but counts for nothing, until a leader has caught it
//! up that a majority elected without it, after its start. Why that is enough: every leader it may have voted for, and
//! every entry it may have acknowledged, is in the log of that leader or will be refused by that majority.
//!
//! How it knows such a leader: `above` is the highest durable term among itself and enough intact peers for a
//! majority, asked after its start. A leader of a later term was elected by a majority that includes one of them,
//! afterwards. A leader that is not above is told so, and campaigns again. In the term of the leader that caught it up
//! the member counts as having voted for it.
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
use std::collections::BTreeMap;
use std::sync::Arc;
use synod_types::raft::{Body, HardState, Payload};
use synod_types::{Index, Mutant, NodeId, Term};

/// Whether a member counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// It votes and acknowledges.
    Voter,
    /// Its folder was empty and it does not know yet whether everyone's was. It writes nothing.
    Waiting { nonce: u64, fresh: BTreeMap<NodeId, bool> },
    /// It does not count. `terms` of intact peers, until there are enough of them to know `above`.
    Recovering { nonce: u64, terms: BTreeMap<NodeId, Term>, above: Option<Term> },
}

impl Standing {
    pub fn at_boot(config: &Config, hard_state: &HardState, empty: bool, damaged: bool, nonce: u64) -> Standing {
        if config.mutants.on(Mutant::RaftRejoinVoter) {
            Standing::Voter
        } else if damaged || hard_state.recovering {
            Standing::Recovering { nonce, terms: BTreeMap::new(), above: None }
        } else if empty && config.voters.len() > 1 {
            Standing::Waiting { nonce, fresh: BTreeMap::new() }
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
        if let Standing::Waiting { nonce, .. } | Standing::Recovering { nonce, above: None, .. } = self.standing {
            self.send(peer, Body::Probe { nonce }, out);
        }
    }

    /// A recovering member cannot vouch for anything and stays silent.
    pub(crate) fn on_probe(&mut self, from: NodeId, nonce: u64, out: &mut Vec<Output<P>>) {
        if let Some(progress) = self.progress.get_mut(&from) {
            progress.recovering = true;
        }
        let vouches = self.config.mutants.on(Mutant::RaftRecoveringVouches);
        if matches!(self.standing, Standing::Recovering { .. }) && !vouches {
            return;
        }
        let knows = self.hard_state != HardState::default() || self.log.last_index() > Index(0);
        let term = self.durability.hard_state.term;
        self.send(from, Body::ProbeReply { nonce, term, knows, fresh: !knows }, out);
    }

    pub(crate) fn on_probe_reply(
        &mut self,
        from: NodeId,
        answered: u64,
        term: Term,
        knows: bool,
        fresh: bool,
        out: &mut Vec<Output<P>>,
    ) {
        let needed = if self.config.mutants.on(Mutant::RaftRecoveryShort) { 1 } else { self.majority() - 1 };
        match &mut self.standing {
            Standing::Waiting { nonce, fresh: answers } if *nonce == answered => {
                if knows {
                    self.begin_recovery();
                    return self.on_probe_reply(from, answered, term, knows, fresh, out);
                }
                answers.insert(from, fresh);
                if answers.values().filter(|fresh| **fresh).count() >= needed {
                    // The folder is empty no longer before anyone is promised anything. So a majority of founders stays
                    // one through crashes, and whoever comes later finds it.
                    self.standing = Standing::Voter;
                    self.durability.change_hard_state();
                }
            }
            Standing::Recovering { nonce, terms, above: above @ None } if *nonce == answered && knows => {
                terms.insert(from, term);
                if terms.len() >= needed {
                    let highest = terms.values().copied().fold(self.hard_state.term, Term::max);
                    *above = Some(highest);
                    if highest > self.hard_state.term {
                        self.become_follower(highest, None, out);
                    }
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
            self.standing = Standing::Recovering { nonce, terms: BTreeMap::new(), above: None };
            self.mark_recovering();
        }
    }

    /// Tells a leader that is too old to restore this member's vote to campaign again.
    pub(crate) fn ask_for_higher_term(&mut self, leader: NodeId, out: &mut Vec<Output<P>>) {
        if let Standing::Recovering { nonce, above: Some(above), .. } = self.standing
            && self.hard_state.term <= above
        {
            self.reply(leader, Body::Recovering { nonce, above }, out);
        }
    }

    /// A peer recovers. The campaign is won or lost without its vote.
    pub(crate) fn on_recovering(&mut self, from: NodeId, above: Term, out: &mut Vec<Output<P>>) {
        if let Some(progress) = self.progress.get_mut(&from) {
            progress.recovering = true;
        }
        if self.role == Role::Leader && above == self.hard_state.term {
            self.campaign(true, out);
        }
    }

    /// Becomes ordinary once the leader that may do so has caught it up: up to the leader's commit index, and at
    /// least to an entry of the leader's own term.
    pub(crate) fn end_recovery(&mut self, out: &mut Vec<Output<P>>) {
        let Standing::Recovering { above: Some(above), .. } = self.standing else { return };
        let term = self.hard_state.term;
        let caught_up = self.durably_verified();
        if let Some(leader) = self.leader
            && term > above
            && self.following.leader_commit.is_some_and(|commit| caught_up >= commit)
            && self.log.term_at(caught_up) == Some(term)
        {
            self.standing = Standing::Voter;
            self.hard_state.recovering = false;
            self.hard_state.vote = Some(leader);
            self.durability.change_hard_state();
            self.acknowledge(leader, out);
        }
    }
}
