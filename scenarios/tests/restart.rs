//! A member that comes back is dialled by the others as soon as it has dialled them, however long it was away.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_scenarios::plan::{Fault, Overrides, Plan, Profile, What};
use synod_scenarios::run::{Options, run};
use synod_types::Instant;

/// Dialling both ways, and a start.
const RETURN_MAX: Duration = Duration::from_millis(100);

/// How long a member that was away for ten seconds has started when it hears of the leader's decisions.
fn time_to_return(seed: u64, node: u8) -> Duration {
    let overrides =
        Overrides { nodes: Some(3), profile: Some(Profile::Calm), operations: Some(300), ..Overrides::default() };
    let mut plan = Plan::of_seed(seed, &overrides);
    plan.cluster.clocks = vec![(0, 0); 3];
    plan.cluster.latency_us = (100, 1_000);
    // It knows of no decision by itself.
    plan.cluster.snapshot_entries = 100_000;
    (plan.cluster.loss, plan.cluster.tail, plan.cluster.partial) = (0.0, (0.0, 0), 0.0);
    plan.fault_points.clear();
    plan.faults = vec![Fault { at_ms: 5_000, for_ms: 10_000, what: What::Crash { node } }];
    let times: Arc<Mutex<(Option<Instant>, Option<Instant>)>> = Arc::default();
    let (starts, hears) = (times.clone(), times.clone());
    let outcome = run(
        &plan,
        Options {
            on_remark: Some(Box::new(move |now, text| {
                let mut times = starts.lock().unwrap();
                if text == format!("start node {node}") {
                    *times = (Some(now), None);
                }
            })),
            on_member: Some(Box::new(move |now, member, seen| {
                let mut times = hears.lock().unwrap();
                if member == node && seen.commit.0 > 0 {
                    times.1.get_or_insert(now);
                }
            })),
            ..Options::default()
        },
    );
    assert_eq!(outcome.findings, []);
    let (started, heard) = *times.lock().unwrap();
    heard.unwrap().since(started.unwrap())
}

#[test]
fn a_member_that_comes_back_is_dialled_at_once() {
    for seed in 1..6 {
        for node in 1..=3 {
            let took = time_to_return(seed, node);
            assert!(took < RETURN_MAX, "seed {seed}: member {node} hears after {took:?}");
        }
    }
}
