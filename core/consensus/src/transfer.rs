//! Handing leadership over. Source: dissertation §3.10.

use crate::io::{Output, Role};
use crate::raft::Raft;
use synod_types::raft::{Body, Payload};
use synod_types::{Mutant, NodeId};

/// A handover under way. While it is, nothing is proposed; the quorum timer ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Transfer {
    to: NodeId,
    /// The successor has the whole log and was told to campaign.
    told: bool,
}

impl<P: Payload> Raft<P> {
    pub(crate) fn transfer_to(&mut self, to: NodeId, out: &mut Vec<Output<P>>) {
        if self.role == Role::Leader && self.is_peer(to) {
            self.transfer = Some(Transfer { to, told: false });
            self.hand_over(to, out);
        }
    }

    /// Tells the successor to campaign, once it has acknowledged the whole log.
    pub(crate) fn hand_over(&mut self, peer: NodeId, out: &mut Vec<Output<P>>) {
        let Some(transfer) = &mut self.transfer else { return };
        let is_complete = self
            .progress
            .get(&peer)
            .is_some_and(|progress| !progress.recovering && progress.matched == self.log.last_index());
        let is_complete = is_complete || self.config.mutants.on(Mutant::RaftHandsOverBehind);
        if transfer.to == peer && !transfer.told && is_complete {
            transfer.told = true;
            self.send(peer, Body::TimeoutNow, out);
        }
    }

    pub(crate) fn on_timeout_now(&mut self, from: NodeId, out: &mut Vec<Output<P>>) {
        if self.leader == Some(from) && self.is_voter() && !self.is_restoring() {
            self.campaign(true, out);
        }
    }
}
