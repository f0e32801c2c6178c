//! For each rule about what members say and hear a trace that keeps it, and one that breaks it.

use super::tests::{Actor, actor, committed, hears, message, rule, world_of};
use super::*;
use std::sync::Arc;
use synod_types::Proposal;
use synod_types::raft::{Body, Entry, SnapshotMeta};

type Said = Body<Arc<Proposal>>;

const MS: u64 = 1_000_000;

fn says(world: &mut Invariants, from: u8, to: u8, term: u64, body: Said) -> Result<(), Box<Finding>> {
    world.sent(0, NodeId(from), NodeId(to), &message(Term(term), body))
}

fn hears_at(world: &mut Invariants, at_ms: u64, (from, to): (u8, u8), term: u64, body: Said) {
    world.received(at_ms * MS, NodeId(from), NodeId(to), &message(Term(term), body));
}

fn acknowledges(matched: u64) -> Said {
    Body::AppendReply { matched: Index(matched), round: 1, recovering: false }
}

fn append(prev: (u64, u64), entries: &[(u64, u64)], commit: u64) -> Said {
    let entry = |(index, term): &(u64, u64)| Entry { index: Index(*index), term: Term(*term), payload: None };
    Body::Append {
        prev_index: Index(prev.0),
        prev_term: Term(prev.1),
        entries: entries.iter().map(entry).collect(),
        commit: Index(commit),
        round: 1,
    }
}

/// A member that has shown itself once, and nothing else.
fn newcomer(world: &mut Invariants, node: u8) -> Actor {
    let mut new = actor(node);
    new.step(world, |_| ()).unwrap();
    new
}

#[test]
fn promises_rest_on_what_is_durable() {
    let (mut world, _, mut b, _) = committed();
    assert!(says(&mut world, 2, 1, 1, acknowledges(1)).is_ok());
    assert_eq!(rule(says(&mut world, 2, 1, 1, acknowledges(2))), "promises/acknowledgement");
    assert_eq!(rule(says(&mut world, 2, 1, 2, acknowledges(1))), "promises/term");
    b.step(&mut world, |o| (o.term, o.vote) = (Term(2), Some(NodeId(3)))).unwrap();
    // In memory alone a vote is none.
    assert_eq!(rule(says(&mut world, 2, 3, 2, Body::VoteReply { granted: true })), "promises/term");
    b.step(&mut world, |o| o.durable_term = Term(2)).unwrap();
    assert_eq!(rule(says(&mut world, 2, 3, 2, Body::VoteReply { granted: true })), "promises/vote");
    let asks = || Body::Vote { last_index: Index(1), last_term: Term(1), transfer: false };
    assert_eq!(rule(says(&mut world, 2, 3, 2, asks())), "promises/vote");
    b.step(&mut world, |o| o.durable_vote = Some(NodeId(3))).unwrap();
    assert!(says(&mut world, 2, 3, 2, Body::VoteReply { granted: true }).is_ok());
    // What it said to an earlier leader, and could not send before, promises that one nothing any more.
    assert!(says(&mut world, 2, 1, 1, acknowledges(9)).is_ok());
    b.step(&mut world, |o| o.recovering = true).unwrap();
    assert_eq!(rule(says(&mut world, 2, 3, 2, Body::VoteReply { granted: true })), "promises/recovering");
    assert_eq!(rule(says(&mut world, 2, 3, 2, acknowledges(1))), "promises/recovering");
    let vouches = |knows| Body::ProbeReply { nonce: 1, knows, barrier: None };
    assert_eq!(rule(says(&mut world, 2, 3, 2, vouches(true))), "promises/standing");
    assert!(says(&mut world, 2, 3, 2, vouches(false)).is_ok(), "it may be that it waits to learn that all are new");
    assert!(says(&mut world, 2, 3, 2, Body::AppendReply { matched: Index(1), round: 0, recovering: true }).is_ok());
}

#[test]
fn an_acknowledgement_of_what_the_leader_does_not_have() {
    let mut world = world_of(3);
    let (mut a, mut b) = (newcomer(&mut world, 1), newcomer(&mut world, 2));
    a.append(2, 7).show(&mut world, |o| (o.term, o.role) = (Term(3), Role::Leader)).unwrap();
    b.append(1, 7).show(&mut world, |o| (o.term, o.durable_term, o.durable) = (Term(3), Term(3), Index(1))).unwrap();
    assert_eq!(rule(says(&mut world, 2, 1, 3, acknowledges(1))), "promises/other_log");
    assert!(says(&mut world, 2, 1, 3, acknowledges(0)).is_ok());
}

#[test]
fn leaders_send_what_they_have() {
    let (mut world, mut a, ..) = committed();
    assert!(says(&mut world, 1, 3, 1, append((0, 0), &[(1, 1)], 1)).is_ok());
    assert_eq!(rule(says(&mut world, 1, 3, 1, append((0, 0), &[(1, 1)], 2))), "appends/commit");
    assert_eq!(rule(says(&mut world, 1, 3, 1, append((0, 0), &[(1, 2)], 1))), "appends/other_log");
    assert_eq!(rule(says(&mut world, 1, 3, 1, append((1, 0), &[], 1))), "appends/other_log");
    let snapshot = |index| {
        let meta = SnapshotMeta { index: Index(index), term: Term(1), size_bytes: 0, checksum: 0 };
        Body::Snapshot { meta, offset: 0, data: Default::default(), done: true }
    };
    assert!(says(&mut world, 1, 3, 1, snapshot(1)).is_ok());
    assert_eq!(rule(says(&mut world, 1, 3, 1, snapshot(2))), "appends/snapshot");
    // Member 2 has the whole log, member 3 does not.
    assert!(says(&mut world, 1, 2, 1, Body::TimeoutNow).is_ok());
    assert_eq!(rule(says(&mut world, 1, 3, 1, Body::TimeoutNow)), "appends/hands_over");
    // An heir in a later term may have dropped it.
    let mut c = actor(3);
    c.step(&mut world, |o| (o.term, o.durable_term) = (Term(2), Term(2))).unwrap();
    assert!(says(&mut world, 1, 3, 1, Body::TimeoutNow).is_ok());
    // Who does not lead that term any more may say what it had to say in it.
    a.step(&mut world, |o| (o.term, o.role) = (Term(2), Role::Other)).unwrap();
    assert!(says(&mut world, 1, 3, 1, append((0, 0), &[(1, 1)], 2)).is_ok());
}

#[test]
fn followers_refuse_what_does_not_follow() {
    let (mut world, ..) = committed();
    let rejects = |prev: u64| Body::AppendRejected {
        prev_index: Index(prev),
        conflict_index: Index(0),
        conflict_term: Term(0),
        round: 1,
    };
    hears_at(&mut world, 0, (1, 2), 1, append((1, 1), &[], 1));
    assert_eq!(rule(says(&mut world, 2, 1, 1, rejects(1))), "appends/rejected");
    hears_at(&mut world, 0, (1, 2), 1, append((2, 1), &[], 1));
    assert!(says(&mut world, 2, 1, 1, rejects(2)).is_ok());
    hears_at(&mut world, 0, (1, 3), 1, append((1, 1), &[], 1));
    assert!(says(&mut world, 3, 1, 1, rejects(1)).is_ok());
}

#[test]
fn who_hears_a_leader_lets_nobody_campaign() {
    let asks = |last: u64| Body::PreVote { last_index: Index(last), last_term: Term(1) };
    let grants = || Body::PreVoteReply { granted: true };
    let (world, ..) = committed();
    let mut world = world;
    hears_at(&mut world, 0, (3, 1), 2, asks(1));
    assert_eq!(rule(says(&mut world, 1, 3, 2, grants())), "campaigns/pre_vote");
    hears_at(&mut world, 1_000, (1, 2), 1, append((1, 1), &[], 1));
    hears_at(&mut world, 1_249, (3, 2), 2, asks(1));
    assert_eq!(rule(says(&mut world, 2, 3, 2, grants())), "campaigns/pre_vote");
    // Half an election timeout later it may; who lacks something, not even then.
    hears_at(&mut world, 1_250, (3, 2), 2, asks(1));
    assert!(says(&mut world, 2, 3, 2, grants()).is_ok());
    hears_at(&mut world, 9_000, (3, 2), 3, asks(0));
    assert_eq!(rule(says(&mut world, 2, 3, 3, grants())), "campaigns/pre_vote");
    // What was granted once may be said late.
    assert!(says(&mut world, 2, 3, 2, grants()).is_ok());
    let mut d = newcomer(&mut world, 4);
    d.step(&mut world, |o| o.recovering = true).unwrap();
    assert_eq!(rule(says(&mut world, 4, 3, 3, grants())), "campaigns/pre_vote");
}

#[test]
fn who_hears_a_leader_does_not_follow_a_candidate() {
    for (transfer, after_ms, disturbed) in [(false, 100, true), (true, 100, false), (false, 300, false)] {
        let (mut world, _, mut b, _) = committed();
        hears_at(&mut world, 0, (1, 2), 1, append((1, 1), &[], 1));
        let asks = Body::Vote { last_index: Index(1), last_term: Term(1), transfer };
        hears_at(&mut world, after_ms, (3, 2), 2, asks);
        // Not by way of the helper that tells a member what lets it campaign.
        b.at.term = Term(2);
        match world.observe(&b.at) {
            Err(finding) if disturbed => assert_eq!(rule(Err(finding)), "campaigns/disturbed"),
            result => assert_eq!(result.is_err(), disturbed),
        }
    }
}

#[test]
fn campaigns_and_reigns_need_a_majority() {
    let campaigns = |tell: &dyn Fn(&mut Invariants)| {
        let mut world = world_of(5);
        let mut a = newcomer(&mut world, 1);
        tell(&mut world);
        (a.at.term, a.at.vote) = (Term(1), Some(NodeId(1)));
        let result = world.observe(&a.at);
        (world, a, result)
    };
    let lets = |from: &'static [u8]| {
        move |world: &mut Invariants| {
            for from in from {
                hears(world, NodeId(*from), NodeId(1), Term(1), Body::PreVoteReply { granted: true });
            }
        }
    };
    assert_eq!(rule(campaigns(&lets(&[2, 2, 2])).2), "campaigns/not_let");
    assert!(campaigns(&|world| hears_at(world, 0, (2, 1), 0, Body::TimeoutNow)).2.is_ok());
    for (voters, elected) in [(&[][..], false), (&[2], false), (&[2, 2], false), (&[2, 3], true)] {
        let (mut world, mut a, result) = campaigns(&lets(&[2, 3]));
        result.unwrap();
        for from in voters {
            hears(&mut world, NodeId(*from), NodeId(1), Term(1), Body::VoteReply { granted: true });
        }
        a.at.role = Role::Leader;
        match world.observe(&a.at) {
            Ok(()) => assert!(elected),
            result => assert_eq!(rule(result), "campaigns/not_elected"),
        }
    }
}

#[test]
fn who_was_deposed_confirms_nothing() {
    let asks = |context| Body::ReadIndex { context };
    let answers = |context, index| Body::ReadIndexReply { context, index: Index(index) };
    let (mut world, _, mut b, _) = committed();
    hears_at(&mut world, 0, (3, 1), 1, asks(1));
    assert!(says(&mut world, 1, 3, 1, answers(1, 1)).is_ok());
    assert_eq!(rule(says(&mut world, 1, 3, 1, answers(1, 0))), "confirmations/read");
    let touch = |sequence| PeerMessage::Touch { sequence, sessions: Vec::new() };
    let confirms = |sequence, commit| PeerMessage::TouchReply { sequence, commit: Index(commit), ending: Vec::new() };
    let confirmed = |world: &mut Invariants, reply| world.sent(0, NodeId(1), NodeId(3), &reply);
    world.received(0, NodeId(3), NodeId(1), &touch(1));
    assert!(confirmed(&mut world, confirms(1, 1)).is_ok());
    assert_eq!(rule(confirmed(&mut world, confirms(1, 0))), "confirmations/report");
    b.step(&mut world, |o| (o.term, o.durable_term, o.role) = (Term(2), Term(2), Role::Leader)).unwrap();
    // It was asked before: what it says was true then.
    assert!(says(&mut world, 1, 3, 1, answers(1, 1)).is_ok());
    hears_at(&mut world, 0, (3, 1), 1, asks(2));
    assert_eq!(rule(says(&mut world, 1, 3, 1, answers(2, 1))), "confirmations/read");
    world.received(0, NodeId(3), NodeId(1), &touch(2));
    assert_eq!(rule(confirmed(&mut world, confirms(2, 1))), "confirmations/report");
}

#[test]
fn leaders_decide_what_they_were_told() {
    let mut world = world_of(3);
    let (mut a, mut b) = (newcomer(&mut world, 1), newcomer(&mut world, 2));
    a.append(1, 7).show(&mut world, |o| (o.term, o.role, o.durable) = (Term(1), Role::Leader, Index(1))).unwrap();
    b.append(1, 7).show(&mut world, |o| (o.term, o.durable) = (Term(1), Index(1))).unwrap();
    // It is on the disks of two, but nobody has told the leader, or only who does not count.
    hears(
        &mut world,
        NodeId(2),
        NodeId(1),
        Term(1),
        Body::AppendReply { matched: Index(1), round: 1, recovering: true },
    );
    a.at.commit = Index(1);
    assert_eq!(rule(world.observe(&a.at)), "durable_commit/unacknowledged");
}

#[test]
fn what_was_durable_comes_back() {
    let back = |log: &[(u64, u128)], change: &dyn Fn(&mut Observation<'_>)| {
        let (mut world, _, mut b, _) = committed();
        b.log = log.iter().zip(1..).map(|(e, i)| Appended { index: Index(i), term: Term(e.0), payload: e.1 }).collect();
        let result = b.show(&mut world, |o| {
            (o.incarnation, o.durable) = (2, Index(log.len() as u64));
            change(o);
        });
        result.map_err(|finding| format!("{}/{}", finding.oracle, finding.rule))
    };
    assert_eq!(back(&[(1, 7)], &|_| ()), Ok(()));
    assert_eq!(back(&[], &|_| ()), Err("durable_log/forgotten".into()));
    assert_eq!(back(&[], &|o| o.recovering = true), Ok(()));
    assert_eq!(back(&[], &|o| o.disk_lost = true), Ok(()));
    assert_eq!(back(&[(1, 7), (1, 8)], &|_| ()), Err("log_matching/invented".into()));
}

/// Member 3 holds two entries of term 2 that nobody decided. It comes back with a snapshot of what a leader decided at
/// the first position, and with nothing behind it.
#[test]
fn a_snapshot_overrules_what_was_durable() {
    let back = |term: u64| {
        let (mut world, _, _, mut c) = committed();
        c.append(2, 5).append(2, 6).show(&mut world, |o| (o.term, o.durable) = (Term(2), Index(2))).unwrap();
        c.log.clear();
        c.show(&mut world, |o| {
            (o.incarnation, o.snapshot, o.snapshot_term, o.durable) = (2, Index(1), Term(term), Index(1));
        })
    };
    back(1).unwrap();
    // Its log agrees with the snapshot; nobody decided such a one.
    for term in [2, 3] {
        assert_eq!(rule(back(term)), "durable_log/forgotten");
    }
}

#[test]
fn what_is_committed_stays() {
    let (mut world, _, mut b, _) = committed();
    let reset = |o: &mut Observation<'_>| o.truncated_from = Some(Index(0));
    assert_eq!(rule(b.step(&mut world, |o| o.truncated_from = Some(Index(1)))), "durable_log/dropped");
    let (mut world, _, mut b, _) = committed();
    b.step(&mut world, |o| {
        reset(o);
        (o.snapshot, o.snapshot_term) = (Index(1), Term(1));
    })
    .unwrap();
}

#[test]
fn votes_come_back_with_something_newer_than_the_start_and_all_that_was_held() {
    /// Member 2 comes back without its disk at 10; member 1 appends something at `appended_at` and decides it. Member 2
    /// has its vote back with so much of that log, so much of which it knows to be decided.
    fn restored(appended_at: u64, held: usize, commit: u64) -> Result<(), Box<Finding>> {
        let (mut world, mut a, mut b, mut c) = committed();
        let lost = |o: &mut Observation<'_>| {
            (o.at_ns, o.incarnation, o.disk_lost, o.recovering) = (10, 2, true, true);
            (o.term, o.durable_term, o.durable) = (Term(0), Term(0), Index(0));
        };
        let append = |world: &mut Invariants, a: &mut Actor, c: &mut Actor| {
            c.at.at_ns = appended_at;
            c.log = vec![Appended { index: Index(1), term: Term(1), payload: 7 }];
            c.log.push(Appended { index: Index(2), term: Term(1), payload: 8 });
            a.log = c.log[1..].to_vec();
            a.show(world, |o| o.at_ns = appended_at).unwrap();
            c.show(world, |o| o.durable = Index(2)).unwrap();
            a.step(world, |o| o.durable = Index(2)).unwrap();
            a.step(world, |o| (o.commit, o.applied, o.digest) = (Index(2), Index(2), 71)).unwrap();
        };
        if appended_at < 10 {
            append(&mut world, &mut a, &mut c);
        }
        b.step(&mut world, lost).unwrap();
        b.at.disk_lost = false;
        if appended_at > 10 {
            append(&mut world, &mut a, &mut c);
        }
        b.log = c.log[..held].to_vec();
        b.show(&mut world, |o| {
            (o.term, o.durable_term, o.durable) = (Term(1), Term(1), Index(held as u64));
            o.commit = Index(commit);
        })?;
        b.step(&mut world, |o| o.recovering = false)
    }
    assert_eq!(restored(15, 2, 2), Ok(()));
    assert_eq!(rule(restored(5, 2, 2)), "restored_votes/before_start");
    assert_eq!(rule(restored(15, 2, 1)), "restored_votes/before_start");
    assert_eq!(rule(restored(15, 0, 0)), "restored_votes/log");
}

/// What it had held undecided was of an older term than its promise, and another leader of that term decided something
/// else in its place.
#[test]
fn what_it_had_never_held_need_not_come_back() {
    let (mut world, mut a, mut b, mut c) = committed();
    let log = |entries: [(u64, u64, u128); 2]| {
        entries.map(|(index, term, payload)| Appended { index: Index(index), term: Term(term), payload }).to_vec()
    };
    b.log = log([(2, 1, 8), (3, 1, 9)]);
    b.show(&mut world, |o| o.durable = Index(3)).unwrap();
    b.step(&mut world, |o| (o.term, o.durable_term) = (Term(2), Term(2))).unwrap();
    b.step(&mut world, |o| {
        (o.at_ns, o.incarnation, o.disk_lost, o.recovering) = (10, 2, true, true);
        (o.term, o.durable_term, o.durable) = (Term(0), Term(0), Index(0));
    })
    .unwrap();
    b.at.disk_lost = false;
    c.append(1, 7).show(&mut world, |o| o.durable = Index(1)).unwrap();
    a.step(&mut world, |o| (o.term, o.durable_term, o.role) = (Term(2), Term(2), Role::Leader)).unwrap();
    c.step(&mut world, |o| (o.term, o.durable_term) = (Term(2), Term(2))).unwrap();
    a.at.at_ns = 15;
    (a.log, c.log) = (log([(2, 2, 10), (3, 2, 11)]), log([(2, 2, 10), (3, 2, 11)]));
    a.show(&mut world, |_| ()).unwrap();
    c.show(&mut world, |o| o.durable = Index(3)).unwrap();
    a.step(&mut world, |o| o.durable = Index(3)).unwrap();
    a.step(&mut world, |o| (o.commit, o.applied, o.digest) = (Index(3), Index(3), 72)).unwrap();
    b.log = log([(1, 1, 7), (2, 2, 10)]);
    b.show(&mut world, |o| {
        (o.term, o.durable_term, o.durable, o.commit) = (Term(2), Term(2), Index(2), Index(2));
    })
    .unwrap();
    assert_eq!(b.step(&mut world, |o| o.recovering = false), Ok(()));
}

#[test]
fn who_waits_for_its_vote_does_so_after_the_next_start() {
    let back = |durable: u64, recovering: bool| {
        let (mut world, _, mut b, _) = committed();
        b.step(&mut world, |o| {
            (o.at_ns, o.incarnation, o.disk_lost, o.recovering) = (10, 2, true, true);
            (o.term, o.durable_term, o.durable) = (Term(0), Term(0), Index(0));
        })
        .unwrap();
        b.at.disk_lost = false;
        b.log = vec![Appended { index: Index(1), term: Term(1), payload: 7 }];
        b.show(&mut world, |o| (o.term, o.durable_term, o.durable) = (Term(1), Term(1), Index(1))).unwrap();
        b.log.truncate(durable as usize);
        b.show(&mut world, |o| (o.incarnation, o.durable, o.recovering) = (3, Index(durable), recovering))
    };
    assert_eq!(back(0, true), Ok(()));
    assert_eq!(rule(back(0, false)), "restored_votes/forgotten");
    assert_eq!(back(1, false), Ok(()), "nothing was lost");
}

#[test]
fn a_digest_that_sees_nothing() {
    let (mut world, mut a, ..) = committed();
    a.log = vec![Appended { index: Index(2), term: Term(1), payload: 8 }];
    a.show(&mut world, |o| o.durable = Index(2)).unwrap();
    let mut b = actor(2);
    b.log = a.log.clone();
    b.show(&mut world, |o| (o.term, o.durable_term, o.durable) = (Term(1), Term(1), Index(2))).unwrap();
    let applied =
        |digest| move |o: &mut Observation<'_>| (o.commit, o.applied, o.digest) = (Index(2), Index(2), digest);
    assert_eq!(rule(a.clone().step(&mut world, applied(70))), "state_machine_safety/blind_digest");
}
