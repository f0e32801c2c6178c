//! Who says that it serves clients was confirmed lately: a follower by its leader, who answered a report that it had sent
//! since; a leader by a majority, who answered a round that it had begun since. What counts is when it asked, by its own
//! clock, not when the answer came.

use super::Watched;
use std::collections::BTreeMap;
use std::time::Duration;
use synod_checkers::Finding;
use synod_node::replica::{Now, Output, Replica, Role};
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, Message};
use synod_types::{Instant, NodeId, Term};

/// For so many election timeouts a member serves on: `synod_replica::sessions` has the rule. A little more, as the
/// checkers reckon in whole steps.
const TRUST: u32 = 3;
const SLACK: Duration = Duration::from_millis(2);

/// What an incarnation of a member asked and heard, by its own clock.
#[derive(Default)]
pub(super) struct Service {
    incarnation: u64,
    reports: BTreeMap<u64, Instant>,
    rounds: BTreeMap<(Term, u64), Instant>,
    /// The newest round of its own that each of the others has answered.
    answered: BTreeMap<NodeId, (Term, u64)>,
    /// The latest of what was confirmed, when it was asked.
    confirmed: Instant,
}

impl Service {
    /// A message is about to be taken.
    pub fn hears(&mut self, from: NodeId, message: &PeerMessage, voters: usize) {
        match message {
            PeerMessage::TouchReply { sequence, .. } => {
                let Some(at) = self.reports.get(sequence) else { return };
                self.confirmed = self.confirmed.max(*at);
                self.reports = self.reports.split_off(sequence);
            }
            PeerMessage::Raft(Message {
                term,
                body: Body::AppendReply { round, .. } | Body::AppendRejected { round, .. },
            }) => {
                let newest = self.answered.entry(from).or_default();
                *newest = (*newest).max((*term, *round));
                let mut rounds: Vec<_> = self.answered.values().copied().collect();
                rounds.sort_unstable_by(|a, b| b.cmp(a));
                // With its own it is a majority.
                let Some(by_majority) = (voters / 2).checked_sub(1).and_then(|others| rounds.get(others)) else {
                    return;
                };
                if let Some(at) = self.rounds.get(by_majority) {
                    self.confirmed = self.confirmed.max(*at);
                }
                self.rounds = self.rounds.split_off(by_majority);
            }
            _ => {}
        }
    }

    fn asks(&mut self, local: Instant, message: &PeerMessage) {
        match message {
            PeerMessage::Touch { sequence, .. } => {
                self.reports.entry(*sequence).or_insert(local);
            }
            PeerMessage::Raft(Message { term, body: Body::Append { round, .. } }) => {
                self.rounds.entry((*term, *round)).or_insert(local);
            }
            _ => {}
        }
    }
}

impl Watched {
    /// After a step of a member, with its clocks.
    pub(super) fn check_service(&mut self, now: Instant, clocks: Now, replica: &Replica, outputs: &[Output]) {
        let config = replica.config();
        let service = self.services.entry(config.id.0).or_default();
        if service.incarnation != config.incarnation {
            *service = Service { incarnation: config.incarnation, confirmed: clocks.instant, ..Service::default() };
        }
        for output in outputs {
            if let Output::Send { message, .. } = output {
                service.asks(clocks.instant, message);
            }
        }
        let age = clocks.instant.since(service.confirmed);
        if age <= TRUST * config.election_timeout + SLACK || config.voters.len() == 1 {
            return;
        }
        let status = replica.status(clocks);
        if status.serving {
            let seat = if status.role == Role::Leader { "leads and serves" } else { "follows and serves" };
            let sentence = format!(
                "at {:.6} s member {} {seat}, though what was confirmed last was asked {:.3} s before",
                now.0 as f64 / 1e9,
                config.id.0,
                age.as_secs_f64()
            );
            self.findings.push(Finding::safety("replica", "unconfirmed", format!("member {}", config.id.0), sentence));
        }
    }
}
