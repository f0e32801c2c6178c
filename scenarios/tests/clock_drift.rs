//! The documented bound on clock drift: no session ends early within it, and beyond it the harness sees that one does.

use synod_node::replica::CLOCK_DRIFT_PPM_MAX;
use synod_scenarios::plan::{Operation, Overrides, Plan, Profile, Step};
use synod_scenarios::run::{Options, run};

/// Three members whose clocks run fast by so much, and clients that fall silent for longer than their sessions last.
fn plan(seed: u64, ppm: i64) -> Plan {
    let overrides = Overrides {
        nodes: Some(3),
        profile: Some(Profile::Calm),
        horizon_s: Some(130),
        operations: Some(1),
        ..Overrides::default()
    };
    let mut plan = Plan::of_seed(seed, &overrides);
    plan.faults.clear();
    plan.cluster.clocks = vec![(ppm, 0); 3];
    plan.cluster.election_timeout_ms = 300;
    plan.cluster.latency_us = (100, 1_000);
    (plan.cluster.loss, plan.cluster.tail, plan.cluster.partial) = (0.0, (0.0, 0), 0.0);
    plan.workload.session_timeout_ms = 40_000;
    plan.workload.clients = 6;
    let silence = |client| {
        let operation = Operation::Silence { for_ms: 100_000 };
        Step { client, at_us: 5_000_000 + u64::from(client) * 170_000, operation }
    };
    plan.workload.script = Some((1..=6).map(silence).collect());
    plan
}

/// Sessions that expired, and those of them that expired early, over some seeds.
fn expired(ppm: i64) -> (u64, usize) {
    let outcomes: Vec<_> = (0..4).map(|seed| run(&plan(seed, ppm), Options::default())).collect();
    let early = outcomes.iter().flat_map(|o| &o.findings).filter(|f| f.rule == "early_expiry").count();
    let other = outcomes.iter().flat_map(|o| &o.findings).find(|f| f.rule != "early_expiry");
    assert_eq!(other, None);
    (outcomes.iter().map(|o| o.liveness.sessions.1).sum(), early)
}

#[test]
fn no_session_ends_early_within_the_bound() {
    let bound = i64::from(CLOCK_DRIFT_PPM_MAX);
    for ppm in [-bound, 0, bound] {
        let (expired, early) = expired(ppm);
        assert!(expired >= 20, "{expired} sessions expired");
        assert_eq!(early, 0, "{ppm} ppm");
    }
}

#[test]
fn sessions_end_early_a_fifth_beyond_the_bound() {
    let (_, early) = expired(i64::from(CLOCK_DRIFT_PPM_MAX) * 6 / 5);
    assert!(early > 0, "nobody noticed");
}
