//! One plan, from the first boot to the verdict.
//!
//! | file | what |
//! |---|---|
//! | `driver` | the machines, who is on them, and what happens when |
//! | `faults` | what each fault does |
//! | `older_disks` | members that come back with an older disk |
//! | `retention` | what is left on the disks at the end |
//! | `healing` | after the faults: it serves again, or must not |
//! | `trial` | when all is quiet: what members say of themselves, and failures that they bear |

mod driver;
mod faults;
mod healing;
mod older_disks;
mod retention;
mod storage;
mod trial;

pub use self::storage::BY_ITSELF;

use crate::plan::{Plan, Profile, Step};
use crate::watcher::{OnMember, OnMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::history::{Change, History, Request};
use synod_checkers::oracles;
use synod_sim::{SimEvent, run_seed};
use synod_types::{Instant, Mutants};

/// What a run showed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The plan's.
    pub seed: u64,
    /// The plan's.
    pub profile: Option<Profile>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Hash over every event of the world.
    pub hash: u128,
    /// How often each kind of fault took effect.
    pub effects: BTreeMap<String, u64>,
    /// Rare states.
    pub sometimes: BTreeMap<String, u64>,
    /// Fingerprints of the cluster's abstract states: who is what, how terms and logs compare.
    pub states: BTreeSet<u64>,
    /// How it came back to life.
    pub liveness: Liveness,
    /// What the driver did and who led, with the time: the run's story, by meaning.
    pub steps: Vec<(Instant, String)>,
    /// What clients set out to do, if it was to be kept.
    pub script: Option<Vec<Step>>,
    /// Operations answered.
    pub acknowledged: u64,
    /// Length of the run in its own time.
    pub simulated: Duration,
    /// Share of the processor's time that checking took.
    pub checking: Duration,
    /// The processor's time in all.
    pub took: Duration,
    /// The history, for whoever wants to look.
    pub history: Option<History>,
}

/// How a cluster came back to life when the faults were over.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    /// Until somebody led.
    pub to_leader: Option<Duration>,
    /// Until a member had answered a write.
    pub to_write: Option<Duration>,
    /// Sessions that were opened, and those of them that expired though their clients wanted them.
    pub sessions: (u64, u64),
    /// Why it never served again, lawfully.
    pub stuck: Option<String>,
}

/// The first of the worst findings: what came after it may be its consequence.
pub fn worst(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().rev().max_by_key(|f| f.severity)
}

/// Called with each event of the world.
pub type OnEvent = Box<dyn FnMut(&SimEvent) + Send>;
/// Called with the time and what the driver does.
pub type OnRemark = Box<dyn FnMut(Instant, &str) + Send>;

/// What a run is asked beside its verdict.
#[derive(Default)]
pub struct Options {
    /// Called with each event of the world.
    pub on_event: Option<OnEvent>,
    /// Called with remarks of the driver.
    pub on_remark: Option<OnRemark>,
    /// Called with changes of a member's figures.
    pub on_member: Option<OnMember>,
    /// Called with messages between members.
    pub on_message: Option<OnMessage>,
    /// Keep the history.
    pub keep_history: bool,
    /// Keep what clients set out to do.
    pub keep_script: bool,
    /// End with the load: nothing is healed, nobody is asked whether it serves again.
    pub unhealed: bool,
}

/// Runs a plan on a thread of its own.
pub fn run(plan: &Plan, options: Options) -> Outcome {
    let started = std::time::Instant::now();
    let mutants = mutants_of(plan);
    let keep = options.keep_history;
    let (mut outcome, history) = run_seed(plan.seed, async |world| driver::drive(world, plan, mutants, options).await);
    let checking = std::time::Instant::now();
    outcome.findings.extend(oracles::check(&history, oracles::Options::default()));
    outcome.liveness.sessions = sessions(&history);
    outcome.checking += checking.elapsed();
    outcome.took = started.elapsed();
    if keep {
        outcome.history = Some(history);
    }
    outcome
}

/// Sessions that were opened, and those that expired.
fn sessions(history: &History) -> (u64, u64) {
    let opened = |o: &&synod_checkers::history::Operation| {
        matches!(o.request, Request::OpenSession { .. }) && o.reply().is_some()
    };
    let opened = history.operations.iter().filter(opened).count();
    let expired = history.connections.iter().filter(|c| matches!(c.change, Change::Expired { .. })).count();
    (opened as u64, expired as u64)
}

#[cfg(feature = "mutants")]
fn mutants_of(plan: &Plan) -> Mutants {
    let named = |name: &String| synod_types::Mutant::ALL.iter().copied().find(|m| m.name() == name);
    plan.mutant.as_ref().and_then(named).map_or(Mutants::NONE, Mutants::only)
}

#[cfg(not(feature = "mutants"))]
fn mutants_of(_: &Plan) -> Mutants {
    Mutants::NONE
}
