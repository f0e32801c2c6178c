//! One sentence of the Raft dissertation a test. Source: Ongaro, "Consensus: Bridging Theory and Practice", 2014;
//! the sentences are told in our own words.

mod cluster;

use cluster::{Cluster, boot, entry, n, sent};
use synod_consensus::{Input, Output, Role, TimerKind};
use synod_types::raft::{Body, HardState};
use synod_types::{Index, Term};

fn vote(last_index: u64, last_term: u64) -> Body<cluster::Text> {
    Body::Vote { last_index: Index(last_index), last_term: Term(last_term), transfer: false }
}

fn append(prev: (u64, u64), entries: Vec<synod_types::raft::Entry<cluster::Text>>, commit: u64) -> Body<cluster::Text> {
    Body::Append { prev_index: Index(prev.0), prev_term: Term(prev.1), entries, commit: Index(commit), round: 1 }
}

/// §3.3: a member that sees a larger term adopts it.
#[test]
fn a_larger_term_is_adopted() {
    let mut cluster = Cluster::new(3);
    cluster.say(2, 1, 7, vote(0, 0));
    assert_eq!(cluster.raft(1).term(), Term(7));
}

/// §3.3: a leader that finds its term out of date becomes a follower.
#[test]
fn a_leader_of_an_old_term_steps_down() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.say(2, 1, 9, append((0, 0), Vec::new(), 0));
    assert_eq!((cluster.raft(1).role(), cluster.raft(1).leader()), (Role::Follower, Some(n(2))));
}

/// §3.3: a request of an old term is refused, and the answer tells the present one.
#[test]
fn a_request_of_an_old_term_is_refused() {
    let mut cluster = Cluster::with_logs(vec![boot(5, Vec::new()); 3]);
    let out = cluster.say(2, 1, 3, append((0, 0), vec![entry(1, 3, "old")], 0));
    assert_eq!(cluster.raft(1).last_index(), Index(0));
    let Some(Output::Send { message, .. }) = out.first() else { panic!("no answer: {out:?}") };
    assert_eq!(message.term, Term(5));
}

/// §3.4: a follower that hears nothing for an election timeout begins an election.
#[test]
fn silence_begins_an_election() {
    let mut cluster = Cluster::new(3);
    cluster.timer(1, TimerKind::Election);
    assert_eq!(cluster.raft(1).role(), Role::PreCandidate);
    cluster.settle();
    assert_eq!(cluster.raft(1).role(), Role::Leader);
}

/// §3.4: a member votes for one candidate a term, the first that comes.
#[test]
fn one_vote_a_term() {
    let mut cluster = Cluster::new(3);
    cluster.say(2, 1, 1, vote(0, 0));
    cluster.say(3, 1, 1, vote(0, 0));
    assert_eq!(cluster.raft(1).vote(), Some(n(2)));
    let out = cluster.flush(n(1));
    assert_eq!(sent(&out), [(2, &Body::VoteReply { granted: true }), (3, &Body::VoteReply { granted: false })]);
}

/// §3.4: a candidate that hears from a leader of its own term gives up.
#[test]
fn a_candidate_yields_to_a_leader_of_its_term() {
    let mut cluster = Cluster::new(3);
    cluster.timer(1, TimerKind::Election);
    cluster.say(2, 1, 1, Body::PreVoteReply { granted: true });
    assert_eq!(cluster.raft(1).role(), Role::Candidate);
    cluster.say(3, 1, 1, append((0, 0), Vec::new(), 0));
    assert_eq!((cluster.raft(1).role(), cluster.raft(1).leader()), (Role::Follower, Some(n(3))));
}

/// §3.5: the leader tells the highest index it knows to be decided, and followers learn it from there.
#[test]
fn followers_learn_what_is_decided() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.settle();
    for id in 1..=3 {
        assert_eq!(cluster.raft(id).commit(), Index(2), "member {id}");
    }
}

/// §3.5: a follower refuses entries if its log has no entry of the same index and term before them.
#[test]
fn entries_must_follow_what_the_log_holds() {
    let mut cluster = Cluster::with_logs(vec![boot(1, vec![entry(1, 1, "a")]); 3]);
    for prev in [(2, 1), (1, 2)] {
        let out = cluster.say(2, 1, 3, append(prev, vec![entry(prev.0 + 1, 3, "b")], 0));
        assert_eq!(cluster.raft(1).last_index(), Index(1));
        let out = if sent(&out).is_empty() { cluster.flush(n(1)) } else { out };
        assert!(matches!(sent(&out)[..], [(2, Body::AppendRejected { .. })]), "{out:?}");
    }
}

/// §3.5: conflicting entries of a follower are overwritten with the leader's.
#[test]
fn the_leaders_log_wins() {
    let leader = vec![entry(1, 1, "a"), entry(2, 3, "b"), entry(3, 3, "c")];
    let longer = vec![entry(1, 1, "a"), entry(2, 2, "x"), entry(3, 2, "y"), entry(4, 2, "z")];
    let shorter = vec![entry(1, 1, "a")];
    let mut cluster = Cluster::with_logs(vec![boot(3, leader), boot(2, longer), boot(1, shorter)]);
    cluster.elect(1);
    assert_eq!(cluster.log(1), [(1, 1), (2, 3), (3, 3), (4, 4)]);
    assert_eq!(cluster.log(2), cluster.log(1));
    assert_eq!(cluster.log(3), cluster.log(1));
}

/// §3.5: an old message does not take away what came after it.
#[test]
fn a_matching_log_is_not_truncated() {
    let mut cluster = Cluster::new(3);
    cluster.say(2, 1, 1, append((0, 0), vec![entry(1, 1, "a"), entry(2, 1, "b")], 0));
    cluster.say(2, 1, 1, append((0, 0), vec![entry(1, 1, "a")], 0));
    assert_eq!(cluster.log(1), [(1, 1), (2, 1)]);
}

/// §3.5: with the term of the conflict in the answer, a whole term is skipped in one exchange.
#[test]
fn a_conflict_skips_a_term() {
    let leader: Vec<_> = (1..=9).map(|index| entry(index, if index < 3 { 1 } else { 5 }, "l")).collect();
    let follower: Vec<_> = (1..=9).map(|index| entry(index, if index < 3 { 1 } else { 4 }, "f")).collect();
    let mut cluster = Cluster::with_logs(vec![boot(5, leader.clone()), boot(4, follower), boot(5, leader)]);
    cluster.cut(n(1), n(2));
    cluster.elect(1);
    let out = cluster.heal(n(1), n(2));
    let probes = |out: &cluster::Outputs| sent(out).iter().filter(|(to, _)| *to == 2).count();
    assert_eq!(probes(&out), 1);
    let mut exchanges = 1;
    while cluster.raft(2).last_index() < Index(10) {
        cluster.deliver(n(1), n(2));
        cluster.flush(n(2));
        cluster.deliver(n(2), n(1));
        exchanges += 1;
        assert!(exchanges < 5, "one step an exchange: {:?}", cluster.log(2));
    }
}

/// §3.6.1: a vote is denied to a candidate whose log is less complete: by the last term, then by length.
#[test]
fn a_vote_needs_a_complete_log() {
    for (mine, theirs, granted) in [
        ((2, 2), (1, 3), true),
        ((2, 2), (2, 2), true),
        ((2, 2), (3, 2), true),
        ((2, 2), (1, 2), false),
        ((2, 2), (9, 1), false),
    ] {
        let log = (1..=mine.0).map(|index| entry(index, mine.1, "e")).collect();
        let mut cluster = Cluster::with_logs(vec![boot(3, log), boot(3, Vec::new()), boot(3, Vec::new())]);
        cluster.say(2, 1, 4, vote(theirs.0, theirs.1));
        assert_eq!(cluster.raft(1).vote().is_some(), granted, "{mine:?} asked by {theirs:?}");
    }
}

/// §3.6.2: an entry of an older term is not decided by counting, but by an entry of the leader's own term after it.
#[test]
fn older_terms_are_decided_indirectly() {
    let log = vec![entry(1, 1, "a"), entry(2, 2, "b")];
    let mut cluster = Cluster::with_logs(vec![boot(2, log.clone()), boot(2, log.clone()), boot(2, log)]);
    cluster.timer(1, TimerKind::Election);
    cluster.say(2, 1, 3, Body::PreVoteReply { granted: true });
    cluster.flush(n(1));
    cluster.say(2, 1, 3, Body::VoteReply { granted: true });
    cluster.flush(n(1));
    cluster.say(2, 1, 3, Body::AppendReply { matched: Index(2), round: 1, recovering: false });
    assert_eq!(cluster.raft(1).commit(), Index(0));
    cluster.say(2, 1, 3, Body::AppendReply { matched: Index(3), round: 1, recovering: false });
    assert_eq!(cluster.raft(1).commit(), Index(3));
}

/// §3.8: term and vote are durable before anyone hears of them.
#[test]
fn a_vote_is_durable_before_it_is_sent() {
    let mut cluster = Cluster::new(3);
    let out = cluster.say(2, 1, 1, vote(0, 0));
    assert!(sent(&out).is_empty(), "{out:?}");
    let out = cluster.flush(n(1));
    assert_eq!(sent(&out), [(2, &Body::VoteReply { granted: true })]);
    cluster.restart(n(1));
    cluster.say(3, 1, 1, vote(0, 0));
    assert_eq!(cluster.raft(1).vote(), Some(n(2)));
}

/// §3.8: entries are durable before they are acknowledged.
#[test]
fn entries_are_durable_before_they_are_acknowledged() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "a");
    let out = cluster.deliver(n(1), n(2));
    assert!(sent(&out).is_empty(), "{out:?}");
    let out = cluster.flush(n(2));
    assert_eq!(sent(&out), [(1, &Body::AppendReply { matched: Index(2), round: 1, recovering: false })]);
}

/// §10.2.1: a leader sends entries while it writes them, and may decide them before its own write is done.
#[test]
fn a_leader_writes_in_parallel() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let out = cluster.propose(1, "a");
    assert_eq!(sent(&out).len(), 2);
    for id in [2, 3] {
        cluster.deliver(n(1), n(id));
        cluster.flush(n(id));
        cluster.deliver(n(id), n(1));
    }
    assert_eq!((cluster.raft(1).durable_index(), cluster.raft(1).commit()), (Index(1), Index(2)));
}

/// §3.10: leadership goes to a member that has the whole log, at once, and nothing is proposed meanwhile.
#[test]
fn leadership_is_handed_over() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "a");
    cluster.step(n(1), Input::Transfer { to: n(3) });
    let out = cluster.propose(1, "b");
    assert!(matches!(out[..], [Output::Refused { .. }]), "{out:?}");
    cluster.settle();
    assert_eq!(cluster.raft(3).role(), Role::Leader);
    assert_eq!(cluster.raft(1).leader(), Some(n(3)));
}

/// §3.10: a handover that does not come about within an election timeout is given up.
#[test]
fn a_handover_is_given_up() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.cut(n(1), n(3));
    cluster.step(n(1), Input::Transfer { to: n(3) });
    cluster.timer(1, TimerKind::Quorum);
    assert!(!matches!(cluster.propose(1, "b")[..], [Output::Refused { .. }]));
}

/// §4.2.3: a member that heard from a leader within an election timeout ignores a candidate.
#[test]
fn a_candidate_does_not_disturb() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.say(3, 2, 9, vote(9, 9));
    assert_eq!(cluster.raft(2).term(), Term(1));
    cluster.timer(2, TimerKind::Sticky);
    cluster.say(3, 2, 9, vote(9, 9));
    assert_eq!(cluster.raft(2).term(), Term(9));
}

/// §6.2: a leader that hears no majority for an election timeout steps down.
#[test]
fn a_leader_without_a_majority_steps_down() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.timer(1, TimerKind::Quorum);
    assert_eq!(cluster.raft(1).role(), Role::Leader);
    cluster.timer(1, TimerKind::Quorum);
    assert_eq!(cluster.raft(1).role(), Role::Follower);
}

/// §6.4: a leader answers a read after a majority confirmed that it leads, asked after the read came in.
#[test]
fn a_read_is_confirmed_by_a_round_of_its_own() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.timer(1, TimerKind::Heartbeat);
    cluster.deliver(n(1), n(2));
    let asked = cluster.step(n(1), Input::ReadIndex { context: 5 });
    assert!(!asked.iter().any(|output| matches!(output, Output::ReadReady { .. })));
    let earlier = cluster.deliver(n(2), n(1));
    assert!(!earlier.iter().any(|output| matches!(output, Output::ReadReady { .. })), "{earlier:?}");
    cluster.deliver(n(1), n(2));
    let later = cluster.deliver(n(2), n(1));
    assert!(later.contains(&Output::ReadReady { context: 5, index: Index(1) }), "{later:?}");
}

/// §6.4: a new leader does not know what is decided until it has decided something itself.
#[test]
fn a_read_waits_for_the_leaders_first_decision() {
    let mut cluster = Cluster::new(3);
    cluster.timer(1, TimerKind::Election);
    cluster.say(2, 1, 1, Body::PreVoteReply { granted: true });
    cluster.flush(n(1));
    cluster.say(2, 1, 1, Body::VoteReply { granted: true });
    let out = cluster.step(n(1), Input::ReadIndex { context: 5 });
    assert!(out.is_empty(), "{out:?}");
    cluster.flush(n(1));
    let out = cluster.say(2, 1, 1, Body::AppendReply { matched: Index(1), round: 1, recovering: false });
    assert_eq!(sent(&out).iter().filter(|(_, body)| matches!(body, Body::Append { round: 2, .. })).count(), 2);
}

/// §6.4: a follower asks the leader, and is refused when the leader changes.
#[test]
fn a_follower_reads_through_the_leader() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.step(n(2), Input::ReadIndex { context: 7 });
    cluster.deliver(n(2), n(1));
    cluster.deliver(n(1), n(3));
    cluster.deliver(n(3), n(1));
    let mut out = Vec::new();
    while out.is_empty() || !sent(&out).is_empty() {
        out = cluster.deliver(n(1), n(2));
    }
    assert_eq!(out, [Output::ReadReady { context: 7, index: Index(1) }]);
    cluster.step(n(2), Input::ReadIndex { context: 8 });
    let out = cluster.say(3, 2, 9, append((0, 0), Vec::new(), 0));
    assert!(out.contains(&Output::ReadRefused { context: 8 }), "{out:?}");
}

/// §9.6: a member that was cut off comes back without raising the term.
#[test]
fn a_member_cut_off_does_not_raise_the_term() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..5 {
        cluster.timer(3, TimerKind::Election);
    }
    cluster.rejoin(3);
    cluster.settle();
    assert_eq!((cluster.raft(3).term(), cluster.raft(3).leader()), (Term(1), Some(n(1))));
}

/// A member of a higher term with an older log can neither win nor be ignored: its answer brings the leader to its
/// term (etcd raft, `checkQuorum` with `preVote`).
#[test]
fn a_member_of_a_higher_term_rejoins() {
    let log = vec![entry(1, 1, "a")];
    let mut cluster = Cluster::with_logs(vec![boot(1, log.clone()), boot(1, log), boot(9, Vec::new())]);
    cluster.isolate(3);
    cluster.elect(1);
    assert_eq!(cluster.raft(1).role(), Role::Leader);
    cluster.rejoin(3);
    cluster.timer(1, TimerKind::Heartbeat);
    cluster.settle();
    assert_eq!((cluster.raft(1).role(), cluster.raft(1).term()), (Role::Follower, Term(9)));
    cluster.elect(1);
    assert_eq!(cluster.log(3), cluster.log(1));
    assert_eq!(cluster.raft(3).leader(), Some(n(1)));
}

/// A lone voter leads from the start, and decides what it has on its disk.
#[test]
fn a_lone_voter_leads_at_once() {
    let mut cluster = Cluster::new(1);
    assert_eq!(cluster.raft(1).role(), Role::Leader);
    cluster.propose(1, "a");
    assert_eq!(cluster.raft(1).commit(), Index(0));
    cluster.settle();
    assert_eq!(cluster.raft(1).commit(), Index(2));
}

/// What no correct member says changes nothing and breaks nothing.
#[test]
fn nonsense_is_ignored() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    let before = [cluster.raft(1).clone(), cluster.raft(2).clone()];
    let end = u64::MAX;
    for to in [1, 2] {
        cluster.say(9, to, 5, vote(1, 1));
        cluster.say(to, to, 5, vote(1, 1));
        cluster.say(3, to, end, vote(end, end));
        cluster.say(3, to, 1, Body::AppendReply { matched: Index(end), round: 0, recovering: false });
        cluster.say(3, to, 1, Body::AppendReply { matched: Index(1), round: end, recovering: false });
        cluster.say(3, to, 1, Body::ReadIndexReply { context: 1, index: Index(end) });
        cluster.say(3, to, end, Body::PreVoteReply { granted: true });
    }
    cluster.say(1, 2, 1, append((end, 1), Vec::new(), end));
    cluster.say(1, 2, 1, append((0, 0), vec![entry(2, 1, "gap")], 0));
    cluster.say(1, 2, 1, append((0, 0), vec![entry(1, 7, "future")], 0));
    assert_eq!(cluster.raft(2).last_index(), before[1].last_index());
    assert_eq!(cluster.raft(2).commit(), before[1].commit());
    assert_eq!(cluster.raft(1).commit(), before[0].commit());
    assert_eq!(cluster.raft(1).role(), Role::Leader);
    cluster.propose(1, "a");
    cluster.settle();
    assert_eq!(cluster.raft(2).commit(), Index(2));
}

/// A restart keeps the hard state and the log, and nothing else.
#[test]
fn a_restart_keeps_what_is_durable() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, "lost");
    cluster.restart(n(1));
    let raft = cluster.raft(1);
    assert_eq!(raft.hard_state(), HardState { term: Term(1), vote: Some(n(1)), recovering: false });
    assert_eq!((raft.role(), raft.last_index(), raft.commit()), (Role::Follower, Index(1), Index(0)));
}
