//! For each rule a trace that keeps it, and one that breaks it.

use super::*;
use std::sync::Arc;
use synod_types::Proposal;
use synod_types::raft::Body;

pub(super) fn message(term: Term, body: Body<Arc<Proposal>>) -> PeerMessage {
    PeerMessage::Raft(Message { term, body })
}

pub(super) fn hears(world: &mut Invariants, from: NodeId, to: NodeId, term: Term, body: Body<Arc<Proposal>>) {
    world.received(0, from, to, &message(term, body));
}

pub(super) fn world_of(voters: usize) -> Invariants {
    Invariants::new(voters, Duration::from_millis(500))
}

/// A member as a test moves it.
#[derive(Clone)]
pub(super) struct Actor {
    pub at: Observation<'static>,
    pub log: Vec<Appended>,
}

pub(super) fn actor(node: u8) -> Actor {
    Actor {
        at: Observation {
            at_ns: 0,
            node: NodeId(node),
            incarnation: 1,
            disk_lost: false,
            role: Role::Other,
            recovering: false,
            term: Term(0),
            vote: None,
            durable_term: Term(0),
            durable_vote: None,
            commit: Index(0),
            truncated_from: None,
            appended: &[],
            durable: Index(0),
            claimed: Index(0),
            snapshot: Index(0),
            snapshot_term: Term(0),
            applied: Index(0),
            digest: 0,
        },
        log: Vec::new(),
    }
}

impl Actor {
    /// Everybody has told this member what it must have heard to be a leader and to decide what it decides.
    fn is_told(&self, world: &mut Invariants) {
        let (node, term) = (self.at.node, self.at.term);
        if !world.members.contains_key(&node) {
            world.observe(&actor(node.0).at).unwrap();
        }
        let others = (1..=world.voters as u8).map(NodeId).filter(|other| *other != node);
        for from in others {
            hears(world, from, node, term, Body::PreVoteReply { granted: true });
            hears(world, from, node, term, Body::VoteReply { granted: true });
            let matched = self.at.commit;
            hears(world, from, node, term, Body::AppendReply { matched, round: 1, recovering: false });
        }
    }

    pub fn append(&mut self, term: u64, payload: u128) -> &mut Actor {
        let index = Index(self.log.len() as u64 + 1);
        self.log.push(Appended { index, term: Term(term), payload });
        self
    }

    pub fn show(
        &mut self,
        world: &mut Invariants,
        change: impl FnOnce(&mut Observation<'_>),
    ) -> Result<(), Box<Finding>> {
        change(&mut self.at);
        self.is_told(world);
        let appended = std::mem::take(&mut self.log);
        let result = world.observe(&Observation { appended: &appended, ..self.at.clone() });
        self.log = appended;
        self.at.truncated_from = None;
        result
    }

    /// Shows without new entries.
    pub fn step(
        &mut self,
        world: &mut Invariants,
        change: impl FnOnce(&mut Observation<'_>),
    ) -> Result<(), Box<Finding>> {
        change(&mut self.at);
        self.is_told(world);
        let result = world.observe(&self.at);
        self.at.truncated_from = None;
        result
    }
}

/// Member 1 leads term 1, one entry is on members 1 and 2 and committed by 1.
pub(super) fn committed() -> (Invariants, Actor, Actor, Actor) {
    let mut world = world_of(3);
    let (mut a, mut b, mut c) = (actor(1), actor(2), actor(3));
    for m in [&mut a, &mut b, &mut c] {
        m.step(&mut world, |o| (o.term, o.durable_term) = (Term(1), Term(1))).unwrap();
    }
    a.step(&mut world, |o| o.role = Role::Leader).unwrap();
    a.append(1, 7).show(&mut world, |_| ()).unwrap();
    b.append(1, 7).show(&mut world, |o| o.durable = Index(1)).unwrap();
    a.step(&mut world, |o| o.durable = Index(1)).unwrap();
    a.step(&mut world, |o| (o.commit, o.applied, o.digest) = (Index(1), Index(1), 70)).unwrap();
    (world, a, b, c)
}

pub(super) fn rule(result: Result<(), Box<Finding>>) -> String {
    let finding = result.unwrap_err();
    format!("{}/{}", finding.oracle, finding.rule)
}

#[test]
fn a_good_run_holds() {
    let (mut world, mut a, mut b, mut c) = committed();
    b.step(&mut world, |o| (o.commit, o.applied, o.digest) = (Index(1), Index(1), 70)).unwrap();
    b.step(&mut world, |o| (o.term, o.durable_term, o.role) = (Term(2), Term(2), Role::Leader)).unwrap();
    // The old leader restarts with what it had on disk.
    a.at.role = Role::Other;
    a.show(&mut world, |o| {
        (o.incarnation, o.commit, o.applied, o.digest) = (2, Index(0), Index(0), 0);
    })
    .unwrap();
    // The third takes a snapshot instead of the log, then an entry.
    c.step(&mut world, |o| {
        (o.term, o.snapshot, o.snapshot_term) = (Term(2), Index(1), Term(1));
        (o.commit, o.durable, o.applied, o.digest) = (Index(1), Index(1), Index(1), 70);
    })
    .unwrap();
}

#[test]
fn two_leaders_in_a_term() {
    let (mut world, _, mut b, _) = committed();
    assert_eq!(rule(b.step(&mut world, |o| o.role = Role::Leader)), "election_safety/two_leaders");
}

#[test]
fn a_leader_without_a_committed_entry() {
    let (mut world, _, _, mut c) = committed();
    let result = c.step(&mut world, |o| (o.term, o.role) = (Term(2), Role::Leader));
    assert_eq!(rule(result), "leader_completeness/elected_without");
}

#[test]
fn a_commit_that_a_later_leader_lacks() {
    let mut world = world_of(3);
    let (mut a, mut b, mut c) = (actor(1), actor(2), actor(3));
    a.append(1, 7).show(&mut world, |o| (o.term, o.role) = (Term(1), Role::Leader)).unwrap();
    b.append(1, 7).show(&mut world, |o| (o.term, o.durable) = (Term(1), Index(1))).unwrap();
    c.step(&mut world, |o| (o.term, o.role) = (Term(2), Role::Leader)).unwrap();
    let result = a.step(&mut world, |o| (o.durable, o.commit) = (Index(1), Index(1)));
    assert_eq!(rule(result), "leader_completeness/committed_behind");
}

/// Member 1 leads term 4 and commits entry 1 of term 1 because it is on two of three. The third member has an entry of
/// this term there instead.
fn commit_against(term: u64) -> Result<(), Box<Finding>> {
    let mut world = world_of(3);
    let (mut a, mut b, mut c) = (actor(1), actor(2), actor(3));
    c.append(term, 5).show(&mut world, |o| (o.term, o.durable) = (Term(term), Index(1))).unwrap();
    a.append(1, 7).append(4, 8).show(&mut world, |o| (o.term, o.role) = (Term(4), Role::Leader)).unwrap();
    b.append(1, 7).show(&mut world, |o| (o.term, o.durable) = (Term(4), Index(1))).unwrap();
    a.step(&mut world, |o| (o.durable, o.commit) = (Index(2), Index(1)))
}

#[test]
fn a_commit_that_who_could_be_elected_lacks() {
    // Its entry is of a later term than all that one or both of the others hold: they would vote for it.
    for term in [3, 5] {
        assert_eq!(rule(commit_against(term)), "leader_completeness/committed_in_doubt");
    }
    // It is of an earlier term: nobody but itself would. By count it must not be decided all the same.
    assert_eq!(rule(commit_against(0)), "durable_commit/older_term");
}

#[test]
fn logs_that_differ() {
    let (mut world, _, _, mut c) = committed();
    assert_eq!(rule(c.clone().append(1, 8).show(&mut world, |_| ())), "log_matching/entry");
    let mut d = actor(4);
    d.append(1, 7).append(2, 9).show(&mut world, |_| ()).unwrap();
    let mut e = actor(5);
    let other = e.append(2, 5).append(2, 9).show(&mut world, |_| ());
    assert_eq!(rule(other), "log_matching/prefix");
    c.log = vec![Appended { index: Index(3), term: Term(1), payload: 1 }];
    assert_eq!(rule(c.show(&mut world, |_| ())), "log_matching/gap");
    let mut f = actor(6);
    assert_eq!(rule(f.append(3, 1).append(2, 2).show(&mut world, |_| ())), "log_matching/term_order");
}

#[test]
fn states_and_commits_that_differ() {
    let (mut world, _, mut b, mut c) = committed();
    let result = b.step(&mut world, |o| (o.commit, o.applied, o.digest) = (Index(1), Index(1), 71));
    assert_eq!(rule(result), "state_machine_safety/digest");
    let result = c.clone().append(2, 9).show(&mut world, |o| (o.term, o.commit) = (Term(2), Index(1)));
    assert_eq!(rule(result), "state_machine_safety/commit");
    let (mut world, _, mut b, mut c2) = committed();
    assert_eq!(
        rule(b.step(&mut world, |o| (o.applied, o.digest) = (Index(1), 70))),
        "state_machine_safety/applied_uncommitted"
    );
    assert_eq!(rule(c2.step(&mut world, |o| o.commit = Index(1))), "state_machine_safety/commit_beyond_log");
    c.log.clear();
}

#[test]
fn a_commit_without_a_majority_on_disk() {
    let mut world = world_of(3);
    let (mut a, mut b) = (actor(1), actor(2));
    a.append(1, 7).show(&mut world, |o| (o.term, o.durable) = (Term(1), Index(1))).unwrap();
    b.append(1, 7).show(&mut world, |o| o.term = Term(1)).unwrap();
    assert_eq!(rule(a.step(&mut world, |o| o.commit = Index(1))), "durable_commit/no_majority");
}

#[test]
fn a_member_that_believes_more_durable_than_is() {
    let mut world = world_of(3);
    let mut a = actor(1);
    a.append(1, 7).show(&mut world, |o| (o.term, o.durable, o.claimed) = (Term(1), Index(1), Index(1))).unwrap();
    assert_eq!(rule(a.step(&mut world, |o| o.claimed = Index(2))), "durable_commit/claimed");
}

#[test]
fn a_log_behind_a_snapshot_that_contradicts_it() {
    for (term, fits) in [(1, true), (2, false)] {
        let (mut world, _, mut b, _) = committed();
        let result = b.step(&mut world, |o| (o.snapshot, o.snapshot_term) = (Index(1), Term(term)));
        match fits {
            true => assert!(result.is_ok()),
            false => assert_eq!(rule(result), "log_matching/snapshot"),
        }
    }
}

#[test]
fn terms_votes_and_commits_that_fall() {
    let (world, a, ..) = committed();
    let mut world = world;
    let vote = |o: &mut Observation<'_>| (o.vote, o.durable_vote) = (Some(NodeId(1)), Some(NodeId(1)));
    let mut d = actor(4);
    d.step(&mut world, |o| (o.term, o.durable_term) = (Term(5), Term(5))).unwrap();
    d.step(&mut world, vote).unwrap();
    assert_eq!(rule(d.clone().step(&mut world, |o| o.term = Term(4))), "monotonic/term");
    d.step(&mut world, |_| ()).unwrap();
    assert_eq!(rule(d.clone().step(&mut world, |o| o.vote = Some(NodeId(2)))), "monotonic/vote");
    // A vote on disk binds after a restart; a lost disk does not.
    let restart = |o: &mut Observation<'_>| (o.incarnation, o.durable_vote, o.vote) = (2, None, None);
    assert_eq!(rule(d.clone().step(&mut world, restart)), "monotonic/vote");
    d.step(&mut world, |o| {
        restart(o);
        o.disk_lost = true;
    })
    .unwrap();
    assert_eq!(rule(a.clone().step(&mut world, |o| o.commit = Index(0))), "monotonic/commit");
    assert_eq!(rule(a.clone().step(&mut world, |o| o.applied = Index(0))), "monotonic/applied");
}

#[test]
fn an_acknowledgement_on_its_way_outlives_its_disk() {
    let (mut world, mut a, mut b, _) = committed();
    let entry = |index, payload| vec![Appended { index: Index(index), term: Term(1), payload }];
    (a.log, b.log) = (entry(2, 8), entry(2, 8));
    a.show(&mut world, |_| ()).unwrap();
    b.show(&mut world, |o| o.durable = Index(2)).unwrap();
    a.step(&mut world, |o| o.durable = Index(2)).unwrap();
    // It comes back with all that was committed, but not with what it had acknowledged since.
    b.log = entry(1, 7);
    b.show(&mut world, |o| (o.incarnation, o.durable, o.disk_lost) = (2, Index(1), true)).unwrap();
    a.step(&mut world, |o| (o.commit, o.applied, o.digest) = (Index(2), Index(2), 71)).unwrap();
}
