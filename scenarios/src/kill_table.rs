//! Seeds against each planted bug until a checker finds it.
//!
//! A finding counts only if the same seed without the bug has none of its kind: what the engine does wrong by itself
//! kills nobody.

use crate::campaign::{HARNESS, run_guarded};
use crate::plan::{Overrides, Plan};
use crate::pool::in_order;
use crate::progress::Progress;
use crate::run::{Options, worst};
use crate::shrink::{self, failure, shrink};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_reports::{Ablation, KillTable, Row, Smallest};
use synod_types::Mutant;

/// Which bugs, and how many seeds each is given.
#[derive(Clone, Debug)]
pub struct Request {
    /// The bugs.
    pub mutants: Vec<Mutant>,
    /// Seeds, from 0 on.
    pub seeds_max: u64,
    /// Worker threads.
    pub jobs: usize,
    /// What is not the seed's to decide.
    pub overrides: Overrides,
    /// How long to shrink the plan that finds each; not at all if absent.
    pub shrink: Option<Duration>,
    /// Seeds without each kind of fault that is left in the smallest plan; 0 for none.
    pub ablate: u64,
}

/// Whether a bug is none, so that it must survive.
pub fn is_control(mutant: Mutant) -> bool {
    mutant.name().starts_with("control.")
}

/// The broken promises of a seed; not those of which nobody can tell, and not the harness's own failures.
fn broken(plan: &Plan) -> Vec<Finding> {
    let mut findings = run_guarded(plan, Options::default()).findings;
    findings.retain(|f| f.severity != Severity::Unknown && f.oracle != HARNESS);
    findings
}

/// Fills the table.
pub fn kill_table(request: &Request, progress: &mut Progress) -> KillTable {
    let began = Instant::now();
    // What seeds without a bug show, for those seeds that were asked.
    let without: Mutex<BTreeMap<u64, BTreeSet<String>>> = Mutex::default();
    let rows = request.mutants.iter().map(|mutant| {
        let mut row = row(*mutant, request, &without, progress);
        if let (Some(seed), Some(time)) = (row.seed, request.shrink) {
            row.smallest = smallest(seed, *mutant, time, request, progress);
        }
        progress.line(row.to_string());
        row
    });
    let rows = rows.collect();
    KillTable::new(request.seeds_max, began.elapsed().as_secs_f64(), rows)
}

fn row(
    mutant: Mutant,
    request: &Request,
    without: &Mutex<BTreeMap<u64, BTreeSet<String>>>,
    progress: &mut Progress,
) -> Row {
    let with = Overrides { mutant: Some(mutant.name().into()), ..request.overrides.clone() };
    let work = |seed| {
        let mut findings = broken(&Plan::of_seed(seed, &with));
        if findings.is_empty() {
            return (None, false);
        }
        let lock = || without.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let known = lock().get(&seed).cloned();
        let known = known.unwrap_or_else(|| {
            let sound = Plan::of_seed(seed, &request.overrides);
            broken(&sound).iter().map(Finding::fingerprint).collect()
        });
        lock().insert(seed, known.clone());
        findings.retain(|f| !known.contains(&f.fingerprint()));
        (worst(&findings).cloned(), !known.is_empty())
    };
    let mut row = Row { name: mutant.name().into(), control: is_control(mutant), ..Row::default() };
    in_order(request.jobs, 0..request.seeds_max, work, |seed, (found, failed_without)| {
        progress.step(|| mutant.name().to_string());
        row.failed_without += u64::from(failed_without);
        let Some(finding) = found else { return ControlFlow::Continue(()) };
        row.killed = true;
        row.seeds_to_kill = Some(seed + 1);
        row.seed = Some(seed);
        row.oracle = Some(finding.oracle);
        row.rule = Some(finding.rule);
        row.sentence = Some(finding.sentence);
        ControlFlow::Break(())
    });
    row
}

/// Shrinks the plan of a seed that finds a bug, and looks what of it the bug needs.
fn smallest(seed: u64, mutant: Mutant, time: Duration, request: &Request, progress: &mut Progress) -> Option<Smallest> {
    let with = Overrides { mutant: Some(mutant.name().into()), ..request.overrides.clone() };
    let plan = Plan::of_seed(seed, &with);
    let shrunk = shrink(&shrink::Request { plan, fingerprint: None, time, jobs: request.jobs }, progress).ok()?;
    let fingerprint = shrunk.finding.fingerprint();
    let fails = (0..3).filter(|_| failure(&run_guarded(&shrunk.plan, Options::default()), &fingerprint).is_some());
    let mut kinds: BTreeSet<String> = shrunk.plan.faults.iter().map(|fault| fault.what.kind().to_string()).collect();
    kinds.extend(shrunk.plan.fault_points.keys().cloned());
    let ablation = |without: String| {
        let mut ablation = Ablation { without: without.clone(), seeds_max: request.ablate, seeds_to_kill: None };
        let with = Overrides { without: Some(without.clone()), ..with.clone() };
        let work = |seed| !broken(&Plan::of_seed(seed, &with)).is_empty();
        in_order(request.jobs, 0..request.ablate, work, |seed, found| {
            progress.step(|| format!("{} without {without}", mutant.name()));
            if found {
                ablation.seeds_to_kill = Some(seed + 1);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        ablation
    };
    Some(Smallest {
        faults: shrunk.plan.faults.len() as u64,
        fault_points: shrunk.plan.fault_points.len() as u64,
        operations: shrunk.plan.workload.script.as_ref().map_or(shrunk.plan.workload.operations, |s| s.len() as u64),
        fails: fails.count() as u64,
        runs: shrunk.runs,
        took_s: shrunk.took.as_secs_f64(),
        kinds: kinds.into_iter().map(ablation).collect(),
    })
}
