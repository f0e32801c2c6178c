//! Theorems of a replicated log, one a file, over what a simulator sees of each member after each step. Source: the
//! Raft dissertation, figure 3.2; they hold for Zab with epochs as terms.
//!
//! `Invariants` mirrors each member's log from the changes it is told of and gives every observation to each theorem.
//! An observation costs what it changed; positions more than `WINDOW` behind the newest commit are forgotten. It also
//! hears what members say to each other: what a member says must be true of its mirror, and what it does must follow
//! from what it has heard.

mod appends;
mod campaigns;
mod confirmations;
mod durable_commit;
mod durable_log;
mod election_safety;
mod heard;
mod leader_completeness;
mod log_matching;
mod monotonic;
mod promises;
mod restored_votes;
mod state_machine_safety;

use crate::finding::{Finding, seconds};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, Message};
use synod_types::{Index, NodeId, Term};

/// How many positions behind the newest commit are remembered.
const WINDOW: u64 = 1 << 16;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows, recovers, or campaigns.
    Other,
    /// Leads its term.
    Leader,
}

/// An entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its position.
    pub index: Index,
    /// Its era.
    pub term: Term,
    /// Hash of its payload.
    pub payload: u128,
}

/// What a simulator sees of a member after one of its steps. The first observation of an incarnation tells the whole
/// recovered log in `appended`.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Simulated time.
    pub at_ns: u64,
    /// The member.
    pub node: NodeId,
    /// New at each start of it.
    pub incarnation: u64,
    /// Whether the disk came back empty or older than it was: nothing that it once held is expected of it.
    pub disk_lost: bool,
    /// What it is.
    pub role: Role,
    /// Whether it counts for nothing, because it lost its disk or does not know yet.
    pub recovering: bool,
    /// Its term and vote, in memory.
    pub term: Term,
    pub vote: Option<NodeId>,
    /// Its term and vote, on disk.
    pub durable_term: Term,
    pub durable_vote: Option<NodeId>,
    /// Its commit index.
    pub commit: Index,
    /// Entries from this position on were removed, before `appended` came.
    pub truncated_from: Option<Index>,
    /// New entries, in order.
    pub appended: &'a [Appended],
    /// Up to here its log survives a crash, counted from what it gave its disk and what came back.
    pub durable: Index,
    /// Up to here it believes so.
    pub claimed: Index,
    /// What its snapshot covers; the log begins after it.
    pub snapshot: Index,
    pub snapshot_term: Term,
    /// Up to here it has applied, with this digest of the state.
    pub applied: Index,
    pub digest: u128,
}

/// What is known of a member: its latest observation, with its log.
struct Member {
    incarnation: u64,
    started_ns: u64,
    role: Role,
    recovering: bool,
    term: Term,
    vote: Option<NodeId>,
    durable_term: Term,
    durable_vote: Option<NodeId>,
    commit: Index,
    durable: Index,
    snapshot: Index,
    snapshot_term: Term,
    applied: Index,
    /// Its disk came back without what it once held, and it does not hold what is committed again yet, nor as much as it
    /// had once: acknowledgements of that may still be on their way.
    lost: bool,
    /// What it had held when its disk was lost.
    held: Index,
    /// When it last lost its vote.
    promised: Promised,
    /// What was on its disk when it started: how far the log, and which term.
    found: (Index, Term),
    /// Term and payload of the entries after `base`.
    log: VecDeque<(Term, u128)>,
    base: u64,
}

/// What a member may have promised before it lost its vote.
#[derive(Clone, Copy, Debug, Default)]
struct Promised {
    /// Up to where it may have acknowledged, and the term of the entry there: what it held was of that or earlier terms.
    index: Index,
    of: Term,
    /// In which term it may have voted.
    term: Term,
}

impl Member {
    fn new(observation: &Observation<'_>) -> Member {
        Member {
            incarnation: observation.incarnation,
            started_ns: observation.at_ns,
            role: Role::Other,
            recovering: true,
            term: Term(0),
            vote: None,
            durable_term: Term(0),
            durable_vote: None,
            commit: Index(0),
            durable: Index(0),
            snapshot: observation.snapshot,
            snapshot_term: observation.snapshot_term,
            applied: Index(0),
            lost: false,
            held: Index(0),
            promised: Promised::default(),
            found: (observation.durable, observation.durable_term),
            log: VecDeque::new(),
            base: observation.snapshot.0,
        }
    }

    /// The entry at a position, if the log holds it.
    fn entry(&self, index: Index) -> Option<(Term, u128)> {
        let at = index.0.checked_sub(self.base + 1)?;
        self.log.get(usize::try_from(at).ok()?).copied()
    }

    /// The term at a position, also at the snapshot's.
    fn term_at(&self, index: Index) -> Option<Term> {
        match index {
            Index(0) => Some(Term(0)),
            index if index == self.snapshot => Some(self.snapshot_term),
            index => self.entry(index).map(|(term, _)| term),
        }
    }

    /// Term and position of the last entry, by which logs are compared in an election.
    fn end(&self) -> Option<(Term, Index)> {
        let last = Index(self.base + self.log.len() as u64);
        self.term_at(last).map(|term| (term, last))
    }
}

/// An entry some member holds for committed.
#[derive(Clone, Copy)]
struct Committed {
    term: Term,
    payload: u128,
    by: NodeId,
    at_ns: u64,
    /// The term in which it was decided.
    in_term: Term,
}

/// The committed log as far as it is remembered.
#[derive(Default)]
struct CommittedLog {
    entries: BTreeMap<u64, Committed>,
    last: Index,
}

/// All theorems.
pub struct Invariants {
    voters: usize,
    /// E.
    election_timeout: Duration,
    heard: BTreeMap<NodeId, heard::Heard>,
    members: BTreeMap<NodeId, Member>,
    committed: CommittedLog,
    election_safety: election_safety::ElectionSafety,
    log_matching: log_matching::LogMatching,
    state_machine_safety: state_machine_safety::StateMachineSafety,
}

impl Invariants {
    /// For a cluster with this many voting members, and this election timeout.
    pub fn new(voters: usize, election_timeout: Duration) -> Invariants {
        Invariants {
            voters,
            election_timeout,
            heard: BTreeMap::new(),
            members: BTreeMap::new(),
            committed: CommittedLog::default(),
            election_safety: Default::default(),
            log_matching: Default::default(),
            state_machine_safety: Default::default(),
        }
    }

    /// Takes an observation. Those of one moment come in the order in which the steps happened.
    ///
    /// # Errors
    /// The first theorem it breaks.
    pub fn observe(&mut self, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
        let mut member = match self.members.remove(&seen.node) {
            Some(member) => member,
            None => Member::new(seen),
        };
        let result = self.take(&mut member, seen);
        self.members.insert(seen.node, member);
        result?;
        self.forget();
        Ok(())
    }

    /// A message is about to be taken by `to`.
    pub fn received(&mut self, at_ns: u64, from: NodeId, to: NodeId, message: &PeerMessage) {
        let Some(member) = self.members.get(&to) else { return };
        let known = heard::Known {
            at_ns,
            patience: self.election_timeout / 2,
            committed: self.committed.last,
            newest_reign: self.election_safety.newest(),
        };
        self.heard.entry(to).or_default().take(member, &known, from, message);
    }

    /// A message was put out by a step of `from`; the step's observation came before.
    ///
    /// # Errors
    /// The first theorem it breaks.
    pub fn sent(&mut self, at_ns: u64, from: NodeId, to: NodeId, message: &PeerMessage) -> Result<(), Box<Finding>> {
        let Some(member) = self.members.get(&from) else { return Ok(()) };
        let heard = self.heard.entry(from).or_default();
        let said = Said { at_ns, from, to, by: member };
        match message {
            PeerMessage::Raft(Message { term, body }) => {
                let listener = self.members.get(&to);
                promises::check(&said, *term, body, listener)?;
                appends::check(&said, *term, body, heard, listener)?;
                campaigns::pre_vote(&said, *term, body, heard)?;
                if let Body::Append { round, .. } = body {
                    heard.begins(*term, *round);
                }
                confirmations::read(&said, *term, body, heard, self.voters)
            }
            PeerMessage::TouchReply { sequence, commit, .. } => {
                confirmations::report(&said, *sequence, *commit, heard, self.voters)
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, member: &mut Member, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
        monotonic::check(member, seen)?;
        let restarted = member.incarnation != seen.incarnation;
        let before = durable_log::Before::of(member, &self.committed, seen);
        if restarted {
            self.heard.remove(&seen.node);
        }
        let heard = self.heard.entry(seen.node).or_default();
        let was_leader = !restarted && member.role == Role::Leader && member.term == seen.term;
        let old_commit = if restarted { Index(0) } else { member.commit };
        if restarted {
            restored_votes::remembered(member, seen)?;
            let lost = member.lost || seen.disk_lost;
            let held = if seen.disk_lost { member.held.max(member.durable) } else { member.held };
            let promised = match seen.recovering && !member.recovering {
                true => Promised {
                    index: member.durable,
                    of: member.term_at(member.durable).unwrap_or_default(),
                    term: member.durable_term,
                },
                false => member.promised,
            };
            *member = Member { lost, held, promised, ..Member::new(seen) };
        } else {
            campaigns::term(member, seen, heard, self.voters)?;
            durable_log::truncated(member, &self.committed, seen)?;
        }
        self.log_matching.follow(member, seen, restarted && before.is_some())?;
        if restarted && !seen.disk_lost && !seen.recovering {
            durable_log::recovered(before, member, seen)?;
        }
        durable_commit::claims(seen)?;
        if member.recovering && !seen.recovering && !restarted {
            restored_votes::check(member, &self.committed, &self.log_matching, seen)?;
        }
        member.incarnation = seen.incarnation;
        member.recovering = seen.recovering;
        (member.role, member.term, member.vote) = (seen.role, seen.term, seen.vote);
        (member.durable_term, member.durable_vote) = (seen.durable_term, seen.durable_vote);
        (member.commit, member.durable, member.applied) = (seen.commit, seen.durable, seen.applied);
        // As long as it waits for its vote, what it holds may be older than what it acknowledged, and as long.
        member.lost &= seen.recovering || seen.durable < self.committed.last.max(member.held);
        if seen.role == Role::Leader && !was_leader {
            campaigns::elected(seen, heard, self.voters)?;
            self.election_safety.check(seen)?;
            leader_completeness::elected(member, &self.committed, seen)?;
        }
        if seen.commit > old_commit {
            let newest = self.committed.last;
            self.state_machine_safety.committed(member, old_commit, &mut self.committed, seen)?;
            if self.committed.last > newest {
                durable_commit::check(member, &self.members, self.voters, seen)?;
                leader_completeness::committed(&self.members, &self.committed, seen)?;
                leader_completeness::electable(&self.members, member, &self.committed, self.voters, seen)?;
            }
            if was_leader {
                durable_commit::acknowledged(member, seen, heard, self.voters)?;
            }
        }
        self.state_machine_safety.applied(seen)
    }

    /// Keeps memory bounded.
    fn forget(&mut self) {
        let end = self.committed.last.0.saturating_sub(WINDOW);
        while self.committed.entries.first_key_value().is_some_and(|(index, _)| *index < end) {
            self.committed.entries.pop_first();
        }
        self.log_matching.forget(end);
        self.state_machine_safety.forget(end);
    }
}

/// A message that a member says.
struct Said<'a> {
    at_ns: u64,
    from: NodeId,
    to: NodeId,
    by: &'a Member,
}

/// A message that must not have been said.
fn untrue(theorem: &str, rule: &str, said: &Said<'_>, what: String) -> Box<Finding> {
    let Said { at_ns, from, to, by } = said;
    let sentence = format!("at {} member {from} in term {} tells member {to} {what}", seconds(*at_ns), by.term.0);
    Box::new(Finding::safety(theorem, rule, format!("member {from}"), sentence))
}

/// A broken theorem.
fn broken(theorem: &str, rule: &str, seen: &Observation<'_>, what: String) -> Box<Finding> {
    let sentence = format!("at {} member {} in term {}: {what}", seconds(seen.at_ns), seen.node, seen.term.0);
    Box::new(Finding::safety(theorem, rule, format!("member {}", seen.node), sentence))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_messages;
