//! A member that lost its disk gets its vote back only when nothing that it promised can be broken any more.

mod cluster;

use cluster::{Cluster, boot, entry, n};
use synod_consensus::{Boot, Input, Role, TimerKind};
use synod_types::Term;

fn leaders(cluster: &Cluster, term: u64) -> Vec<u8> {
    let leads = |id: &u8| cluster.raft(*id).role() == Role::Leader && cluster.raft(*id).term() == Term(term);
    (1..=5).filter(leads).collect()
}

/// Member 5 votes for member 4 in term 3 and loses its disk. The leader of term 2, which it had voted for as well, has
/// heard of nothing, nor have 2 and 3. If it gave member 5 its vote back, member 5 would vote in term 3 once more.
#[test]
fn a_vote_that_only_the_candidate_knows_of_is_not_given_twice() {
    let mut cluster = Cluster::with_logs(vec![boot(1, vec![entry(1, 1, "a")]); 5]);
    let cut = |cluster: &mut Cluster, pairs: &[(u8, u8)]| {
        for (a, b) in pairs {
            cluster.cut(n(*a), n(*b));
        }
    };
    cut(&mut cluster, &[(1, 2), (1, 3), (2, 5), (3, 5), (3, 4)]);
    cluster.elect(1);
    assert_eq!((leaders(&cluster, 2), cluster.raft(2).term()), (vec![1], Term(1)));

    cut(&mut cluster, &[(1, 4), (1, 5)]);
    for id in 1..=5 {
        cluster.step(n(id), Input::Timer(TimerKind::Sticky));
    }
    cluster.timer(4, TimerKind::Election);
    for peer in [2, 5] {
        cluster.deliver(n(4), n(peer));
        cluster.deliver(n(peer), n(4));
    }
    cluster.flush(n(4));
    let asked = cluster.network[&(n(4), n(2))].front().cloned().expect("a vote is asked of member 2");
    cut(&mut cluster, &[(2, 4)]);
    cluster.settle();
    assert_eq!((cluster.raft(4).role(), cluster.raft(5).vote()), (Role::Candidate, Some(n(4))));

    cut(&mut cluster, &[(4, 5)]);
    cluster.replace(n(5), 5, Boot { empty: true, ..boot(0, Vec::new()) });
    cut(&mut cluster, &[(4, 5)]);
    cut(&mut cluster, &[(1, 5)]);
    for peer in [2, 3, 1] {
        cluster.heal(n(peer), n(5));
        cluster.settle();
    }
    for _ in 0..2 {
        cluster.timer(1, TimerKind::Heartbeat);
        cluster.settle();
    }

    assert!(cluster.raft(5).is_recovering(), "it has its vote back from a leader that decides nothing");
    cut(&mut cluster, &[(2, 5), (3, 5)]);
    cluster.step(n(1), Input::Timer(TimerKind::Quorum));
    cluster.step(n(1), Input::Timer(TimerKind::Quorum));
    cluster.heal(n(1), n(3));
    cluster.elect(1);
    cluster.step(n(2), Input::Message { from: n(4), message: asked });
    cluster.heal(n(2), n(4));
    cluster.settle();
    let in_term_3 = leaders(&cluster, 3);
    assert!(in_term_3.len() < 2, "members {in_term_3:?} lead term 3");
}

/// A leader that was elected with the lost vote gives it back, with an entry that the others decide: nobody has to
/// campaign.
#[test]
fn the_leader_that_was_voted_for_restores_the_vote() {
    let mut cluster = Cluster::new(5);
    cluster.isolate(2);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.replace(n(5), 5, Boot { empty: true, ..boot(0, Vec::new()) });
    for _ in 0..2 {
        cluster.settle();
        cluster.timer(1, TimerKind::Heartbeat);
    }
    assert!(cluster.raft(5).is_recovering(), "two of five decide nothing");
    cluster.rejoin(2);
    for _ in 0..2 {
        cluster.settle();
        cluster.timer(1, TimerKind::Heartbeat);
    }
    assert_eq!((leaders(&cluster, 1), cluster.raft(5).is_recovering()), (vec![1], false));
    assert_eq!((cluster.raft(5).vote(), cluster.log(5)), (Some(n(1)), cluster.log(1)));
}

/// What another leader named counts no more: the new one is asked when its first entries come, not with the next
/// heartbeat.
#[test]
fn a_new_leader_is_asked_at_once() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    cluster.isolate(2);
    cluster.isolate(3);
    cluster.replace(n(5), 5, Boot { empty: true, ..boot(0, Vec::new()) });
    cluster.settle();
    assert!(cluster.raft(5).is_recovering(), "two of five decide nothing");
    cluster.isolate(1);
    cluster.rejoin(2);
    cluster.rejoin(3);
    cluster.settle();
    cluster.elect(2);
    assert_eq!((leaders(&cluster, 2), cluster.raft(5).is_recovering()), (vec![2], false));
    assert_eq!(cluster.raft(5).vote(), Some(n(2)));
}
