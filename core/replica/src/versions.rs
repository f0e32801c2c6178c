//! The cluster version: raised through the log once every member has said that it supports a later one.

use crate::io::{Now, Output};
use crate::replica::Replica;
use std::collections::BTreeMap;
use synod_types::{Command, Instant, Mutant, NodeId};

/// What is known of the members' programs.
#[derive(Default)]
pub(crate) struct Versions {
    /// The newest cluster version that each of the others supports, as it said when its latest stream began.
    pub supported: BTreeMap<NodeId, u32>,
    /// Leader: when a raise was proposed last.
    pub asked_at: Option<Instant>,
}

impl Replica {
    /// Leader: proposes the version that every member supports, if it is a later one. A member that went back to an older
    /// program meanwhile will find that it is too late.
    pub(crate) fn raise_version(&mut self, now: Now) {
        let others = self.config.voters.iter().filter(|v| **v != self.config.id);
        let says = |v: &NodeId| self.versions.supported.get(v).filter(|_| self.links_up.contains(v)).copied();
        let theirs = others.map(|v| says(v).unwrap_or_default()).min();
        let own = self.config.cluster_version;
        let to = match self.config.mutants.on(Mutant::ReplicaRaiseUnasked) {
            true => own,
            false => own.min(theirs.unwrap_or(own)),
        };
        // A proposal can get lost with its leader; a second one changes nothing.
        let patience = self.config.election_timeout;
        let under_way = self.versions.asked_at.is_some_and(|at| now.instant.since(at) <= patience);
        let stays = self.config.mutants.on(Mutant::ReplicaVersionStays);
        if to > self.state.version() && !under_way && !stays {
            self.versions.asked_at = Some(now.instant);
            self.requests += 1;
            let request = self.requests;
            self.offer(request, Command::RaiseVersion { to });
        }
    }

    /// The cluster does what this member cannot. What it holds is not touched.
    pub(crate) fn outgrown(&mut self, version: u32, out: &mut Vec<Output>) {
        self.halted = true;
        out.push(Output::Outgrown { version });
    }
}
