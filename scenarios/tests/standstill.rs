//! A leader that stood still believes that it leads until it hears otherwise. When it wakes up it must not confirm what it
//! cannot know: its clients' pings lie in its sockets, and another leader lets their sessions' time run out. A paused
//! machine's clock shows how long that was, a suspended one's does not.

use synod_checkers::Finding;
use synod_scenarios::plan::{Fault, Operation, Overrides, Plan, Profile, Step, What};
use synod_scenarios::run::{Options, run};

/// The leader stands still for 3.5 s, cut off from the other members. Its clients ping it meanwhile; soon after it wakes
/// up they are cut off from everybody and silent.
fn plan(seed: u64, still: What) -> Plan {
    let overrides =
        Overrides { nodes: Some(3), profile: Some(Profile::Calm), operations: Some(1), ..Overrides::default() };
    let mut plan = Plan::of_seed(seed, &overrides);
    plan.cluster.clocks = vec![(0, 0); 3];
    plan.cluster.election_timeout_ms = 300;
    plan.cluster.latency_us = (100, 1_000);
    (plan.cluster.loss, plan.cluster.tail, plan.cluster.partial) = (0.0, (0.0, 0), 0.0);
    plan.workload.session_timeout_ms = 10_000;
    plan.workload.clients = 10;
    plan.faults = vec![
        Fault { at_ms: 4_999, for_ms: 15_000, what: What::IsolateLeader },
        Fault { at_ms: 5_000, for_ms: 3_500, what: still },
        Fault { at_ms: 8_560, for_ms: 12_000, what: What::Partition { side: vec![0] } },
    ];
    let silence = |client| {
        let operation = Operation::Silence { for_ms: 15_000 };
        Step { client, at_us: 8_555_000 + u64::from(client) * 300, operation }
    };
    plan.workload.script = Some((1..=10).map(silence).collect());
    plan
}

/// What is wrong, and how many sessions expired, when each member in turn may be the leader that stands still.
fn outcomes(still: impl Fn(u8) -> What, mutant: Option<&str>) -> (Vec<Finding>, u64) {
    let (mut findings, mut expired) = (Vec::new(), 0);
    for seed in 1..4 {
        for node in 1..=3 {
            let plan = Plan { mutant: mutant.map(String::from), ..plan(seed, still(node)) };
            let outcome = run(&plan, Options::default());
            expired += outcome.liveness.sessions.1;
            findings.extend(outcome.findings);
        }
    }
    (findings, expired)
}

#[test]
fn a_leader_that_was_paused_or_suspended_confirms_nothing_that_it_cannot_know() {
    for still in [|_| What::PauseLeader, |node| What::Suspend { node }] {
        let (findings, expired) = outcomes(still, None);
        assert_eq!(findings, []);
        assert!(expired > 20, "{expired} sessions expired");
    }
}

#[cfg(feature = "mutants")]
#[test]
fn one_that_does_not_ask_says_what_it_may_not() {
    for still in [|_| What::PauseLeader, |node| What::Suspend { node }] {
        let (findings, _) = outcomes(still, Some("session.leader_confirms_blind"));
        // That it ends its clients' connections when it wakes keeps their sessions from worse.
        assert!(findings.iter().any(|f| f.oracle == "confirmations"), "{findings:?}");
    }
}
