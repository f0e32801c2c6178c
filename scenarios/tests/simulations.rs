//! A few seeds as ordinary tests: each is one run, whichever process it is in, and a plan survives its file.

use std::sync::{Arc, Mutex};
use synod_scenarios::campaign::{Request, campaign};
use synod_scenarios::plan::{Overrides, Plan};
use synod_scenarios::progress::Progress;
use synod_scenarios::run::{Options, run};
use synod_scenarios::{audit, coverage};

/// Short, so that the tests are quick without optimisation.
fn short() -> Overrides {
    Overrides { horizon_s: Some(8), operations: Some(300), ..Overrides::default() }
}

#[test]
fn a_few_seeds_hold() {
    let request = Request { seeds: 0..6, time: None, jobs: 2, overrides: short() };
    let (report, _) = campaign(&request, &mut Progress::silent());
    assert_eq!(report.seeds, 6);
    assert!(report.failures.is_empty(), "{report}");
    assert!(report.operations_acknowledged.median > 50, "{report}");
    assert!(report.sometimes["raft.leader_elected"] >= 6, "{report}");
}

#[test]
fn a_campaign_is_the_same_on_one_core_and_on_many() {
    let of = |jobs| {
        let request = Request { seeds: 3..8, time: None, jobs, overrides: short() };
        let report = campaign(&request, &mut Progress::silent()).0;
        (report.faults, report.sometimes, report.failures, report.operations_acknowledged, report.simulated_s)
    };
    assert_eq!(of(1), of(3));
}

#[test]
fn a_seed_is_always_the_same_run() {
    let first = audit::hash(4, &short());
    assert_eq!(first, audit::hash(4, &short()));
    assert_ne!(first, audit::hash(5, &short()));
}

#[test]
fn looking_does_not_change_a_run() {
    let plan = Plan::of_seed(9, &short());
    let remarks: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = remarks.clone();
    let watched = Options {
        on_event: Some(Box::new(|_| {})),
        on_member: Some(Box::new(|_, _, _| {})),
        on_remark: Some(Box::new(move |_, text| keep.lock().unwrap().push(text.to_string()))),
        on_message: Some(Box::new(|_, _| {})),
        keep_history: true,
        ..Options::default()
    };
    assert_eq!(run(&plan, Options::default()).hash, run(&plan, watched).hash);
    assert!(remarks.lock().unwrap().iter().any(|text| text == "all faults are over"));
}

#[test]
fn a_plan_from_its_file_is_the_run_of_its_seed() {
    let plan = Plan::of_seed(11, &short());
    let read = Plan::parse(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(read, plan);
    assert_eq!(run(&read, Options::default()).hash, run(&plan, Options::default()).hash);
}

#[test]
fn what_a_run_counts_is_what_a_campaign_lists() {
    let outcome = run(&Plan::of_seed(2, &short()), Options::default());
    for point in outcome.sometimes.keys().filter(|point| *point != "replica.closed_otherwise") {
        assert!(coverage::SOMETIMES.contains(&point.as_str()), "{point}");
    }
    for kind in outcome.effects.keys().filter(|kind| !kind.starts_with(coverage::PLANNED)) {
        assert!(coverage::FAULTS.contains(&kind.as_str()), "{kind}");
    }
}
