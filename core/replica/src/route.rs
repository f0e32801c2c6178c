//! The way of a command to the leader's log. Commands of one turn travel as one batch: proposed here by a leader,
//! forwarded by a follower, kept while no leader is known. When a batch may or may not have arrived (the link broke,
//! the leader changed), the connections that wait for it are closed: their outcome is unknown, and no later write of
//! the same session may overtake an earlier one.

use crate::connections::Slot;
use crate::io::{ConnectionId, Now, Output};
use crate::replica::Replica;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use synod_consensus::{Input as RaftInput, Role};
use synod_types::peer::PeerMessage;
use synod_types::{Command, Mutant, NodeId, Origin, Proposal, Term};

impl Replica {
    /// Queues a command of this member for the end of the turn.
    pub(crate) fn offer(&mut self, request: u64, command: Command) {
        let origin = Origin { node: self.config.id, incarnation: self.config.incarnation, request };
        self.unsent.push_back((origin, command));
    }

    /// Whether a flush has something to do.
    pub fn wants_flush(&self) -> bool {
        !self.forwarded.is_empty() || (!self.unsent.is_empty() && self.way_to_leader().is_some())
    }

    /// The leader, if what is sent to it now would leave: what is sent over a link that is down is lost, and nobody
    /// would be told.
    fn way_to_leader(&self) -> Option<NodeId> {
        let blind = self.config.mutants.on(Mutant::ReplicaForwardLinkDown);
        self.leader.filter(|leader| *leader == self.config.id || self.links_up.contains(leader) || blind)
    }

    /// End of a turn.
    pub(crate) fn flush(&mut self, now: Now, out: &mut Vec<Output>) {
        match (self.role, self.way_to_leader()) {
            (Role::Leader, _) => {
                let commands = self.forwarded.drain(..).chain(self.unsent.drain(..));
                let payloads: Vec<_> = commands
                    .map(|(origin, command)| Arc::new(Proposal { origin, time_ms: now.wall_ms, command }))
                    .collect();
                if !payloads.is_empty() {
                    self.raft(now, RaftInput::Propose { payloads }, out);
                }
            }
            (_, Some(leader)) if !self.unsent.is_empty() => {
                let mut proposals: Vec<(Origin, Command)> = self.unsent.drain(..).collect();
                if self.config.mutants.on(Mutant::ReplicaAuthLost) {
                    for (_, command) in &mut proposals {
                        if let Command::Write { identities, .. } = command {
                            *identities = identities.iter().filter(|i| i.scheme == "ip").cloned().collect();
                        }
                    }
                }
                out.push(Output::Send {
                    to: leader,
                    message: PeerMessage::Forward { term: self.raft.term(), refusals: self.refusals_heard, proposals },
                });
            }
            _ => {}
        }
    }

    pub(crate) fn forwarded(
        &mut self,
        now: Now,
        from: NodeId,
        (term, refusals): (Term, u64),
        proposals: Vec<(Origin, Command)>,
        out: &mut Vec<Output>,
    ) {
        let refused = self.refusals.get(&from).copied().unwrap_or_default();
        // What was sent before a refusal was heard may follow what was refused, in the same session.
        let in_order = refusals == refused || self.config.mutants.on(Mutant::ReplicaTakesAfterRefusal);
        if self.role == Role::Leader && self.raft.term() == term && in_order {
            // The follower may not live to report what it answers.
            for (_, command) in &proposals {
                if let Command::Write { session, .. } = command {
                    self.heard_of(now, *session);
                }
            }
            self.forwarded.extend(proposals);
        } else {
            let requests = proposals.iter().map(|(origin, _)| origin.request).collect();
            self.send_refusal(from, refused, requests, out);
        }
    }

    pub(crate) fn send_refusal(&self, to: NodeId, refusals: u64, requests: Vec<u64>, out: &mut Vec<Output>) {
        let message = PeerMessage::ForwardRefused { term: self.raft.term(), refusals, requests };
        out.push(Output::Send { to, message });
    }

    /// Consensus does not take these, as leadership is being handed over: whoever waits for them must hear of it, at the
    /// member that they came from.
    pub(crate) fn refused(&mut self, now: Now, payloads: Vec<Arc<Proposal>>, out: &mut Vec<Output>) {
        let mut requests: BTreeMap<NodeId, Vec<u64>> = BTreeMap::new();
        for proposal in payloads {
            if let Command::ExpireSession { session, .. } = proposal.command {
                self.sessions.expire_again(now.instant, session);
            }
            requests.entry(proposal.origin.node).or_default().push(proposal.origin.request);
        }
        for (node, requests) in requests {
            if node != self.config.id && self.config.mutants.on(Mutant::ReplicaRefusedDropped) {
                continue;
            }
            if node == self.config.id {
                self.forward_refused(requests, out);
            } else {
                let refusals = self.refusals.entry(node).or_default();
                *refusals += 1;
                let refusals = *refusals;
                self.send_refusal(node, refusals, requests, out);
            }
        }
    }

    /// These requests are not in any log.
    pub(crate) fn forward_refused(&mut self, requests: Vec<u64>, out: &mut Vec<Output>) {
        let connections: BTreeSet<ConnectionId> =
            requests.iter().filter_map(|r| self.waiting.get(r).copied()).collect();
        for connection in connections {
            self.close(connection, "the leader changed", out);
        }
        self.drop_unsent();
    }

    /// What closed connections had not sent yet must not follow: nobody waits for it, and it would come out of order.
    /// What a leader proposes by itself nobody waits for either.
    pub(crate) fn drop_unsent(&mut self) {
        if !self.config.mutants.on(Mutant::ReplicaUnsentKept) {
            let waiting = &self.waiting;
            let own = |command: &Command| {
                matches!(command, Command::ExpireSession { .. } | Command::Reap { .. } | Command::RaiseVersion { .. })
            };
            self.unsent.retain(|(origin, command)| waiting.contains_key(&origin.request) || own(command));
        }
    }

    /// What was sent to the leader may be lost: its outcome is unknown.
    pub(crate) fn forwards_lost(&mut self, why: &'static str, out: &mut Vec<Output>) {
        let unsent: BTreeSet<u64> = self.unsent.iter().map(|(origin, _)| origin.request).collect();
        let lost: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, c)| {
                c.queue.iter().any(|s| matches!(s, Slot::Write { request, .. } if !unsent.contains(request)))
            })
            .map(|(id, _)| *id)
            .collect();
        for connection in lost {
            self.close(connection, why, out);
        }
        self.drop_unsent();
    }

    pub(crate) fn role_changed(
        &mut self,
        now: Now,
        role: Role,
        term: Term,
        leader: Option<NodeId>,
        out: &mut Vec<Output>,
    ) {
        let was = (self.role, self.leader);
        self.role = role;
        let news = leader != self.leader || self.sessions.term != term;
        if news {
            self.forwards_lost("the leader changed", out);
            let refused = std::mem::take(&mut self.forwarded);
            for (origin, _) in refused {
                self.send_refusal(origin.node, 0, vec![origin.request], out);
            }
            self.refusals.clear();
            self.refusals_heard = 0;
        }
        self.leader = leader;
        self.sessions.term = term;
        if role == Role::Leader && was.0 != Role::Leader {
            self.lead(now);
            self.transfer_asked = false;
            self.versions.asked_at = None;
        }
        if role != Role::Leader && was.0 == Role::Leader {
            self.sessions.stop_leading();
            self.report_signs();
        }
        if leader.is_some() && leader != was.1 {
            self.sessions.leader_found();
            self.flush(now, out);
            self.report(now, out);
        }
    }
}
