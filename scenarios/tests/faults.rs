//! Each kind of fault that a plan can ask for does something: the world counts more of its effect than without it.

use std::collections::BTreeSet;
use synod_scenarios::plan::{Fault, Hunt, Overrides, Place, Plan, Profile, What};
use synod_scenarios::run::{Options, Outcome, run};
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};

/// Three members on a fine day, and these faults.
fn plan(faults: Vec<Fault>) -> Plan {
    let overrides = Overrides {
        nodes: Some(3),
        profile: Some(Profile::Calm),
        horizon_s: Some(10),
        operations: Some(400),
        ..Overrides::default()
    };
    let mut plan = Plan::of_seed(1, &overrides);
    plan.cluster.latency_us = (100, 1_000);
    (plan.cluster.loss, plan.cluster.tail, plan.cluster.partial) = (0.0, (0.0, 0), 0.0);
    plan.cluster.election_timeout_ms = 300;
    (plan.cluster.snapshot_entries, plan.cluster.log_keep) = (40, 5);
    plan.cluster.segment_bytes = 64 << 10;
    plan.cluster.version = CLUSTER_VERSION;
    plan.faults = faults;
    plan
}

fn outcome(plan: &Plan) -> Outcome {
    let outcome = run(plan, Options::default());
    assert_eq!(outcome.findings, []);
    outcome
}

fn fault(at_ms: u64, for_ms: u64, what: What) -> Fault {
    Fault { at_ms, for_ms, what }
}

/// Each kind, what the world counts of it, and what it needs beside itself.
fn kinds() -> Vec<(What, &'static str, Vec<Fault>)> {
    let node = 2;
    let (a, b) = (1, 2);
    let leads = |step: &str| step.strip_prefix("node ")?.strip_suffix(" leads in term 1")?.parse().ok();
    let leader: u8 = outcome(&plan(vec![])).steps.iter().find_map(|(_, step)| leads(step)).expect("a leader");
    let resets = |what: What| (what, vec![fault(3_100, 0, What::Reset { a, b })]);
    let (syn_timeout, reset) = resets(What::SynTimeout { a, b });
    let hunt = What::HuntLeaders { how: Hunt::Isolate, after_ms: 0, hold_ms: 1_000 };
    let slow = (1..=3).map(|node| fault(2_000, 5_000, What::SlowDisk { node, by_ms: 300 })).collect();
    let pauses = vec![fault(3_100, 800, What::PauseLeader)];
    vec![
        (What::Partition { side: vec![node] }, "partition", vec![]),
        (What::PartialPartition { pairs: vec![(a, b)] }, "partition", vec![]),
        (What::OneWay { from: a, to: b }, "partition", vec![]),
        (What::IsolateLeader, "partition", vec![]),
        (hunt, "partition", vec![]),
        (What::HuntCandidates { hold_ms: 500 }, "partition", pauses),
        (What::HuntLoaders { flush_ms: 300 }, "slow disk", vec![fault(1_000, 2_500, What::Crash { node })]),
        (What::Flap { a, b, every_ms: 100 }, "reset", vec![]),
        (What::Delay { node, by_ms: 50 }, "plan:delay", vec![]),
        (What::Loss { node, rate: 0.1 }, "loss", vec![]),
        (What::Reset { a, b }, "reset", vec![]),
        // The follower hears nothing any more, and nothing tells it why.
        (What::HalfOpen { a: leader, b: 1 + leader % 3 }, "raft.pre_vote", vec![]),
        (What::Crash { node }, "crash", vec![]),
        (What::CrashLeader, "crash", vec![]),
        (What::Pause { node }, "pause", vec![]),
        (What::PauseLeader, "pause", vec![]),
        (What::PowerFailure { nodes: vec![1, 2, 3] }, "power failure", slow),
        (What::Wipe { node }, "wipe", vec![]),
        (What::OldDisk { node }, "older disk", vec![]),
        (What::Rot { node }, "rot", vec![]),
        (What::RotTail { node }, "rot", vec![]),
        (What::ClockJump { node, by_ms: -50_000 }, "clock jump", vec![]),
        (What::ClockDrift { node, ppm: 9_000 }, "clock drift", vec![]),
        (What::SlowDisk { node, by_ms: 50 }, "slow disk", vec![]),
        (What::FlushFails { node }, "failed sync", vec![]),
        (What::DiskFull { node }, "disk full", vec![]),
        (What::AcceptFails { node }, "failed accept", vec![fault(3_100, 0, What::Reset { a: node, b: 0 })]),
        (What::ScratchHead { node }, "rot", vec![]),
        (What::SlowLink { node, bytes_per_s: 2_000 }, "bandwidth", vec![]),
        (What::Suspend { node }, "suspend", vec![]),
        (What::StuckDisk { node }, "stuck disk", vec![]),
        (What::ReadErrors { node }, "read error", vec![]),
        (What::Corrupt { a, b, rate: 0.05 }, "corruption", vec![]),
        (syn_timeout, "syn timeout", reset),
        (What::RotSnapshot { node }, "rot", vec![]),
        (What::MisdirectWrites { node, times: 2 }, "misdirected write", vec![]),
        (What::MisdirectReads { node, times: 2 }, "misdirected read", vec![]),
        (What::Fall { node, at: Place::Sync(2), power: true }, "crash at a sync", vec![]),
        (What::Fall { node, at: Place::AfterSync(2), power: false }, "crash after a sync", vec![]),
        (What::Fall { node, at: Place::Write(1), power: false }, "crash at a write", vec![]),
        (What::Fall { node, at: Place::Point("node.log_late".into(), 2), power: false }, "crash at a point", vec![]),
        (What::SwapDisk { node, with: 3 }, "foreign disk", vec![]),
        (What::RollingRestart { every_ms: 500 }, "stops", vec![]),
        (What::RollingUpgrade { every_ms: 500, back: false }, "stops", vec![]),
        (What::RollingUpgrade { every_ms: 500, back: true }, "stops", vec![]),
        (What::Downgrade { node }, "stops", vec![]),
        (What::HandOver { to: 1 + leader % 3 }, "raft.leader_elected", vec![]),
    ]
}

/// How often the world counted something, or a rare state was reached; `stops`: how often a member was asked to stop.
fn counted(outcome: &Outcome, name: &str) -> u64 {
    match name {
        "stops" => outcome.steps.iter().filter(|(_, step)| step.ends_with("is asked to stop")).count() as u64,
        name => outcome.effects.get(name).or(outcome.sometimes.get(name)).copied().unwrap_or_default(),
    }
}

#[test]
fn every_kind_of_fault_has_its_effect() {
    let mut without_effect = Vec::new();
    for (what, name, others) in kinds() {
        let kind = what.kind();
        let for_ms =
            if matches!(what, What::Reset { .. } | What::HalfOpen { .. } | What::HandOver { .. }) { 0 } else { 3_000 };
        let without = counted(&outcome(&plan(others.clone())), name);
        let mut faults = others;
        faults.push(fault(3_000, for_ms, what));
        faults.sort_by_key(|f| f.at_ms);
        let with = outcome(&plan(faults));
        if counted(&with, name) <= without {
            without_effect.push(format!("{kind}: {name} {without} times without, {:?} with", with.effects));
        }
    }
    assert!(without_effect.is_empty(), "{}", without_effect.join("\n"));
}

#[test]
fn every_kind_that_seeds_draw_is_among_them() {
    let known: BTreeSet<&str> = kinds().iter().map(|(what, ..)| what.kind()).collect();
    for seed in 0..400 {
        for fault in Plan::of_seed(seed, &Overrides::default()).faults {
            assert!(known.contains(fault.what.kind()), "{}", fault.what.kind());
        }
    }
}

#[test]
fn an_older_disk_is_noticed_and_recovers() {
    let outcome = outcome(&plan(vec![fault(3_000, 3_000, What::OldDisk { node: 2 })]));
    assert_eq!(outcome.sometimes["node.older_disk"], 1);
    assert!(outcome.sometimes["raft.vote_restored"] > 0);
}

/// The members start with the oldest program.
fn old(faults: Vec<Fault>) -> Plan {
    let mut plan = plan(faults);
    plan.cluster.version = CLUSTER_VERSION_MIN;
    plan
}

#[test]
fn a_rolling_upgrade_raises_the_version_with_the_last_member_and_not_before() {
    let raised = |plan: &Plan| outcome(plan).sometimes.get("replica.version_raised").copied().unwrap_or_default();
    assert_eq!(raised(&old(vec![])), 0);
    assert_eq!(raised(&old(vec![fault(3_000, 100, What::RollingUpgrade { every_ms: 500, back: true })])), 0);
    assert!(raised(&old(vec![fault(3_000, 100, What::RollingUpgrade { every_ms: 500, back: false })])) > 0);
}

#[test]
fn who_goes_back_to_an_old_program_after_the_raise_refuses_to_run() {
    let outcome = outcome(&plan(vec![fault(5_000, 1_000, What::Downgrade { node: 2 })]));
    assert!(outcome.sometimes["node.version_refused"] > 0);
    assert!(outcome.steps.iter().any(|(_, step)| step.starts_with("node 2 refused to run")), "{:?}", outcome.steps);
}
