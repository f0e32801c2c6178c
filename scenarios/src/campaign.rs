//! Many seeds on all cores: goes on after a failure, keeps one of each kind, counts what was covered. The plans that
//! were kept run first.

use crate::coverage::{FAULTS, HELD_BACK, PLANNED, SOMETIMES};
use crate::exit::Exit;
use crate::plan::{Overrides, Plan};
use crate::plans::{self, CANARY, Kept};
use crate::pool::in_order;
use crate::progress::Progress;
use crate::run::{Options, Outcome, run, worst};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_reports::run::Verdict;
use synod_reports::{Acknowledged, Campaign, Failure, Growth, Histogram, Resident, SCHEMA};

/// The oracle of findings that accuse the harness itself.
pub const HARNESS: &str = "harness";

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The seeds.
    pub seeds: Range<u64>,
    /// No seed begins after so long.
    pub time: Option<Duration>,
    /// Worker threads.
    pub jobs: usize,
    /// What is not the seed's to decide.
    pub overrides: Overrides,
}

/// A run takes less than a second, and far less time than passes in it. What takes so long, and as long as its load lasts
/// in its own time, will not end.
const PATIENCE_MIN: Duration = Duration::from_secs(60);

/// The fingerprint of a run that does not end.
pub const HANGS: &str = "run/hang/seed";

/// Runs a plan; a panic of the harness becomes a finding, and so does a run that does not end. Its thread goes on then.
pub fn run_guarded(plan: &Plan, options: Options) -> Outcome {
    run_within(PATIENCE_MIN.max(Duration::from_millis(plan.workload.horizon_ms)), plan, options)
}

fn run_within(patience: Duration, plan: &Plan, options: Options) -> Outcome {
    let (sender, receiver) = channel();
    let own = plan.clone();
    let runner = std::thread::spawn(move || {
        // Nobody listens any more when the patience was over.
        drop(sender.send(catch_unwind(AssertUnwindSafe(|| run(&own, options)))));
    });
    let finding = match receiver.recv_timeout(patience) {
        Ok(outcome) => {
            drop(runner.join());
            match outcome {
                Ok(outcome) => return outcome,
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                    Finding::safety(HARNESS, "panic", "harness", format!("the harness panicked: {text}"))
                }
            }
        }
        Err(_) => {
            let sentence = format!("had not ended after {} s: something goes on without end", patience.as_secs());
            Finding::safety("run", "hang", "seed", sentence).severity(Severity::Liveness)
        }
    };
    Outcome { seed: plan.seed, findings: vec![finding], ..Outcome::default() }
}

/// How a command ends that came to these findings.
pub fn exit_of<'a>(findings: impl Iterator<Item = &'a Finding> + Clone) -> Exit {
    if findings.clone().any(|f| f.oracle == HARNESS) {
        return Exit::Internal;
    }
    findings.map(|f| f.severity).max().into()
}

/// How a campaign ends, merged or not: what its seeds showed, and whether it was worth anything.
pub fn exit_of_campaign(campaign: &Campaign) -> Exit {
    let missed = campaign.must_reach_all() && !campaign.missed().is_empty();
    if campaign.canary == Some(false) || campaign.failures.iter().any(|failure| failure.oracle == HARNESS) {
        return Exit::Internal;
    }
    match campaign.verdict() {
        Verdict::Safety => Exit::Safety,
        Verdict::Liveness => Exit::Liveness,
        _ if missed => Exit::Liveness,
        // Nobody knows of seeds that no shard ran.
        _ if !campaign.shards.is_empty() && campaign.asked.is_some() && !campaign.gaps().is_empty() => Exit::Unknown,
        Verdict::Unknown => Exit::Unknown,
        Verdict::Held => Exit::Held,
    }
}

/// The command that runs a seed again.
pub fn reproduce(seed: u64, overrides: &Overrides) -> String {
    let words = [vec![format!("cargo sim replay {seed}")], overrides.flags()].concat();
    words.join(" ")
}

/// Runs a campaign, in one piece.
pub fn campaign(request: &Request, progress: &mut Progress) -> (Campaign, Exit) {
    let mut fold = Fold::default();
    let kept = Plans::run(request.jobs, progress);
    let never = AtomicBool::new(false);
    go_on(request, &mut fold, &never, |_| Ok(()), progress).expect("nothing is saved");
    let campaign = fold.report(request, kept);
    let exit = exit_of_campaign(&campaign);
    (campaign, exit)
}

/// Runs the seeds that `fold` does not have yet, until there are no more, the time is over or `stop` is set. `save` is
/// called after each seed.
///
/// # Errors
/// `fold` is of another program, or cannot be saved.
pub fn go_on(
    request: &Request,
    fold: &mut Fold,
    stop: &AtomicBool,
    mut save: impl FnMut(&Fold) -> Result<(), String>,
    progress: &mut Progress,
) -> Result<(), String> {
    let began = Instant::now();
    let before = fold.wall;
    let work = |seed| run_guarded(&Plan::of_seed(seed, &request.overrides), Options::default());
    if let Some((seed, trace)) = &fold.first {
        let now = trace_of(&work(*seed));
        if now != *trace {
            return Err(format!("seed {seed} was run {trace} and is {now} in this program: begin anew"));
        }
    }
    progress.skip(fold.seeds);
    let next = request.seeds.start + fold.seeds;
    let is_over = |seed: &u64| {
        let late = request.time.is_some_and(|time| *seed > next && began.elapsed() >= time);
        late || stop.load(Ordering::Relaxed)
    };
    let mut saved = Ok(());
    in_order(request.jobs, (next..request.seeds.end).take_while(|seed| !is_over(seed)), work, |seed, outcome| {
        fold.add(seed, outcome, &request.overrides);
        fold.wall = before + began.elapsed();
        progress.step(|| format!("{} failed, {} unknown", fold.failed, fold.unknown));
        saved = save(fold);
        if saved.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    saved
}

fn trace_of(outcome: &Outcome) -> String {
    format!("{:032x}", outcome.hash)
}

/// How the plans went that were kept.
#[derive(Debug, Default)]
pub struct Plans {
    /// Whether the canary failed, as it must; none where it could not be run.
    pub canary: Option<bool>,
    /// Whether each other held, or failed if it must.
    pub held: BTreeMap<String, bool>,
    /// What was wrong with those that did not.
    failures: Vec<Failure>,
}

impl Plans {
    /// Runs them.
    pub fn run(jobs: usize, progress: &mut Progress) -> Plans {
        match plans::kept() {
            Ok(kept) => Plans::of(&kept, jobs, progress),
            Err(why) => {
                let failures = vec![of_finding(0, &Finding::safety(HARNESS, "plan", "plans", why), String::new())];
                Plans { failures, ..Plans::default() }
            }
        }
    }

    fn of(kept: &[Kept], jobs: usize, progress: &mut Progress) -> Plans {
        let mut plans = Plans::default();
        let work = |i: u64| kept[i as usize].run();
        in_order(jobs, 0..kept.len() as u64, work, |i, wrong| {
            let Kept { name, plan } = &kept[i as usize];
            match *name {
                CANARY => plans.canary = Some(wrong.is_empty()),
                _ => drop(plans.held.insert(name.to_string(), wrong.is_empty())),
            }
            let reproduce = format!("cargo sim replay {}", plans::path(name));
            // One of each plan, apart from what seeds show.
            plans.failures.extend(worst(&wrong).map(|finding| Failure {
                fingerprint: format!("plan {name}/{}", finding.fingerprint()),
                ..of_finding(plan.seed, finding, reproduce)
            }));
            progress.note(name);
            ControlFlow::Continue(())
        });
        plans
    }
}

fn of_finding(seed: u64, finding: &Finding, reproduce: String) -> Failure {
    Failure {
        seed,
        fingerprint: finding.fingerprint(),
        oracle: finding.oracle.clone(),
        rule: finding.rule.clone(),
        severity: format!("{:?}", finding.severity).to_lowercase(),
        sentence: finding.sentence.clone(),
        seeds: 1,
        reproduce,
        page: None,
    }
}

/// What is known after some seeds. Its size grows with what they found, not with their number.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// How many, from the first on.
    pub seeds: u64,
    failed: u64,
    unknown: u64,
    /// The first seed and its trace: another program that went on would make one report of two engines.
    first: Option<(u64, String)>,
    operations_total: u64,
    operations: Histogram,
    simulated: Duration,
    took: Duration,
    checking: Duration,
    wall: Duration,
    effects: BTreeMap<String, u64>,
    sometimes: BTreeMap<String, u64>,
    profiles: BTreeMap<String, u64>,
    states_seen: BTreeSet<u64>,
    states: Growth,
    points: Growth,
    liveness: BTreeMap<String, Histogram>,
    lawfully_stuck: u64,
    after_100: Option<f64>,
    /// One of each fingerprint, from the first seed that showed it.
    failures: BTreeMap<String, Failure>,
}

impl Fold {
    fn add(&mut self, seed: u64, outcome: Outcome, overrides: &Overrides) {
        self.seeds += 1;
        self.first.get_or_insert_with(|| (seed, trace_of(&outcome)));
        match worst(&outcome.findings).map(|f| f.severity) {
            None => {}
            Some(Severity::Unknown) => self.unknown += 1,
            Some(Severity::Liveness | Severity::Safety) => self.failed += 1,
        }
        self.operations_total += outcome.acknowledged;
        of_unit(&mut self.operations, "operations").record(outcome.acknowledged);
        self.simulated += outcome.simulated;
        self.took += outcome.took;
        self.checking += outcome.checking;
        if let Some(profile) = outcome.profile {
            *self.profiles.entry(profile.name().to_string()).or_default() += 1;
        }
        self.cover(seed, &outcome);
        self.revive(&outcome);
        for (kind, hits) in outcome.effects {
            *self.effects.entry(kind).or_default() += hits;
        }
        let mut alike = BTreeMap::new();
        for finding in outcome.findings {
            alike.entry(finding.fingerprint()).or_insert(finding);
        }
        for (fingerprint, finding) in alike {
            match self.failures.get_mut(&fingerprint) {
                Some(known) => known.seeds += 1,
                None => drop(self.failures.insert(fingerprint, of_finding(seed, &finding, reproduce(seed, overrides)))),
            }
        }
        if self.seeds == 100 {
            self.after_100 = resident_mb();
        }
    }

    /// What the seed reached, and whether it was new.
    fn cover(&mut self, seed: u64, outcome: &Outcome) {
        for state in &outcome.states {
            self.states_seen.insert(*state);
            self.states.sketch.add(*state);
        }
        self.states.point(self.seeds, seed, self.states_seen.len() as u64);
        for (point, hits) in &outcome.sometimes {
            *self.sometimes.entry(point.clone()).or_default() += hits;
            let mut hasher = DefaultHasher::new();
            point.hash(&mut hasher);
            self.points.sketch.add(hasher.finish());
        }
        self.points.point(self.seeds, seed, self.sometimes.len() as u64);
    }

    /// How the seed came back to life.
    fn revive(&mut self, outcome: &Outcome) {
        let liveness = &outcome.liveness;
        let mut record = |name: &str, unit: &str, value: u64| {
            of_unit(self.liveness.entry(name.to_string()).or_default(), unit).record(value);
        };
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if let Some(time) = liveness.to_leader {
            record("time to leader", "ms", ms(time));
        }
        if let Some(time) = liveness.to_write {
            record("time to first write", "ms", ms(time));
        }
        let (opened, expired) = liveness.sessions;
        if let Some(survived) = (100 * opened.saturating_sub(expired)).checked_div(opened) {
            record("session survival", "%", survived);
        }
        self.lawfully_stuck += u64::from(liveness.stuck.is_some());
    }

    /// The report of the seeds so far.
    pub fn report(self, request: &Request, kept: Plans) -> Campaign {
        let mut failures: Vec<Failure> = self.failures.into_values().collect();
        failures.sort_by_key(|failure| failure.seed);
        let without = |prefix: &str| {
            let named = self.effects.iter().filter_map(|(name, n)| Some((name.strip_prefix(prefix)?.to_string(), *n)));
            named.collect::<BTreeMap<_, _>>()
        };
        let (faults_planned, faults_held_back) = (without(PLANNED), without(HELD_BACK));
        let is_effect = |name: &str| !name.starts_with(PLANNED) && !name.starts_with(HELD_BACK);
        let mut effects = without("");
        effects.retain(|name, _| is_effect(name));
        let with_zeros = |mut counts: BTreeMap<String, u64>, expected: &[&str]| {
            for name in expected {
                counts.entry(name.to_string()).or_default();
            }
            counts
        };
        let wall_s = self.wall.as_secs_f64();
        Campaign {
            schema: SCHEMA,
            seeds: self.seeds,
            first_seed: request.seeds.start,
            failed: self.failed,
            unknown: self.unknown,
            wall_s,
            seeds_per_s: self.seeds as f64 / wall_s.max(1e-9),
            simulated_s: self.simulated.as_secs_f64(),
            operations_acknowledged: Acknowledged { total: self.operations_total, median: self.operations.median },
            checker_share: self.checking.as_secs_f64() / self.took.as_secs_f64().max(1e-9),
            faults: with_zeros(effects, FAULTS),
            faults_planned,
            faults_held_back,
            sometimes: with_zeros(self.sometimes, SOMETIMES),
            rss_mb: Resident { after_100: self.after_100, end: resident_mb() },
            failures: [kept.failures, failures].concat(),
            profiles: self.profiles,
            states: self.states,
            points: self.points,
            operations: self.operations,
            liveness: self.liveness,
            lawfully_stuck: self.lawfully_stuck,
            canary: kept.canary,
            promoted: kept.held,
            asked: None,
            shards: Vec::new(),
        }
    }
}

/// A histogram that knows what it counts.
fn of_unit<'a>(histogram: &'a mut Histogram, unit: &str) -> &'a mut Histogram {
    if histogram.unit.is_empty() {
        histogram.unit = unit.to_string();
    }
    histogram
}

/// Resident memory of this process, where the system tells.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Profile;
    use crate::run::Liveness;

    fn outcome(findings: Vec<Finding>, acknowledged: u64) -> Outcome {
        let effects =
            [("plan:crash".to_string(), 2), ("held back:rot".to_string(), 1), ("crash".to_string(), 1)].into();
        Outcome { findings, acknowledged, effects, ..Outcome::default() }
    }

    #[test]
    fn a_run_that_does_not_end_is_told() {
        let plan = Plan::of_seed(1, &Overrides { horizon_s: Some(1), ..Overrides::default() });
        let over = std::sync::Arc::new(AtomicBool::new(false));
        let ends = over.clone();
        let waits = move |_, _: &str| {
            while !ends.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        let options = Options { on_remark: Some(Box::new(waits)), ..Options::default() };
        let outcome = run_within(Duration::from_millis(300), &plan, options);
        over.store(true, Ordering::Relaxed);
        assert_eq!(outcome.findings.iter().map(Finding::fingerprint).collect::<Vec<_>>(), [HANGS]);
        assert_eq!(run_within(PATIENCE_MIN, &plan, Options::default()).findings, []);
    }

    #[test]
    fn findings_that_are_alike_are_one_failure_of_the_first_seed() {
        let lost = |n: u32| Finding::safety("watches", "lost", format!("/k{n}"), format!("at {n} s"));
        let stuck = Finding::safety("liveness", "stuck", "cluster", "no leader".into()).severity(Severity::Liveness);
        let unsure = Finding::safety("versions", "undecided", "/k", "?".into()).severity(Severity::Unknown);
        let mut fold = Fold::default();
        let overrides = Overrides { nodes: Some(5), ..Overrides::default() };
        fold.add(7, outcome(vec![lost(1), lost(2)], 10), &overrides);
        fold.add(8, outcome(vec![], 30), &overrides);
        fold.add(9, outcome(vec![lost(3), stuck], 20), &overrides);
        fold.add(10, outcome(vec![unsure], 40), &overrides);
        let request = Request { seeds: 7..11, time: None, jobs: 1, overrides };
        let campaign = fold.report(&request, Plans::default());
        assert_eq!(exit_of_campaign(&campaign), Exit::Safety);
        assert_eq!((campaign.seeds, campaign.failed, campaign.unknown), (4, 2, 1));
        assert_eq!(campaign.operations_acknowledged, Acknowledged { total: 100, median: 20 });
        assert_eq!((campaign.faults["crash"], campaign.faults["rot"], campaign.faults_planned["crash"]), (4, 0, 8));
        assert_eq!(campaign.faults_held_back, [("rot".to_string(), 4)].into());
        assert!(!campaign.faults.contains_key("held back:rot"));
        let kept: Vec<_> = campaign.failures.iter().map(|f| (f.seed, f.rule.as_str(), f.seeds, &*f.severity)).collect();
        assert_eq!(kept, [(7, "lost", 2, "safety"), (9, "stuck", 1, "liveness"), (10, "undecided", 1, "unknown")]);
        assert_eq!(campaign.failures[0].reproduce, "cargo sim replay 7 --nodes 5");
    }

    #[test]
    fn seeds_that_find_nothing_new_are_told() {
        let mut fold = Fold::default();
        for seed in 0..100 {
            let profile = Some(Profile::Stormy);
            let states = [seed.min(10)].into();
            let sometimes = [("raft.truncated".to_string(), 1)].into();
            let liveness = Liveness {
                to_leader: Some(Duration::from_millis(300)),
                sessions: (8, 2),
                stuck: (seed == 7).then(String::new),
                ..Liveness::default()
            };
            let outcome = Outcome { profile, states, sometimes, liveness, ..Outcome::default() };
            fold.add(seed, outcome, &Overrides::default());
        }
        let request = Request { seeds: 0..100, time: None, jobs: 1, overrides: Overrides::default() };
        let campaign = fold.report(&request, Plans::default());
        assert_eq!((campaign.states.distinct(), campaign.states.last_new_seed), (11, 10));
        assert_eq!((campaign.points.distinct(), campaign.points.last_new_seed), (1, 0));
        assert_eq!(
            (campaign.liveness["session survival"].median, campaign.liveness["time to leader"].count()),
            (75, 100)
        );
        assert_eq!((campaign.lawfully_stuck, campaign.profiles["stormy"]), (1, 100));
        let text = campaign.to_string();
        assert!(text.contains("distinct abstract states: 11, nothing new since seed 10 (89 % of the seeds)"), "{text}");
        assert!(text.contains("session survival: median 75 %"), "{text}");
    }

    #[test]
    fn a_campaign_that_proves_little_does_not_hold() {
        let all: BTreeMap<String, u64> = SOMETIMES.iter().map(|point| (point.to_string(), 1)).collect();
        let whole = Campaign { seeds: 10_000, sometimes: all, canary: Some(true), ..Campaign::default() };
        assert_eq!(exit_of_campaign(&whole), Exit::Held);
        let mut missed = whole.clone();
        missed.sometimes.insert("raft.truncated".into(), 0);
        assert_eq!(exit_of_campaign(&missed), Exit::Liveness);
        assert!(missed.to_string().contains("10000 seeds MISSED 1 points: raft.truncated"), "{missed}");
        assert_eq!(exit_of_campaign(&Campaign { seeds: 9_999, ..missed }), Exit::Held);
        assert_eq!(exit_of_campaign(&Campaign { canary: Some(false), ..whole }), Exit::Internal);
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn a_canary_that_lives_shows_that_the_harness_is_blind() {
        let kept = plans::kept().unwrap();
        let canary = kept.into_iter().find(|kept| kept.name == CANARY).unwrap();
        let sees = Plans::of(std::slice::from_ref(&canary), 1, &mut Progress::silent());
        assert_eq!((sees.canary, sees.failures.len()), (Some(true), 0));
        let sound = Plan { mutant: Some("control.digest_check_off".into()), ..canary.plan };
        let blind = Plans::of(&[Kept { name: CANARY, plan: sound }], 1, &mut Progress::silent());
        assert_eq!(blind.canary, Some(false));
        assert!(blind.failures[0].sentence.contains("the harness is blind"), "{:?}", blind.failures);
    }

    #[test]
    fn the_worst_decides_the_exit() {
        let finding = |severity| Finding::safety("o", "r", "x", String::new()).severity(severity);
        let of = |findings: &[Finding]| exit_of(findings.iter());
        assert_eq!(of(&[]), Exit::Held);
        assert_eq!(of(&[finding(Severity::Unknown), finding(Severity::Liveness)]), Exit::Liveness);
        assert_eq!(of(&[finding(Severity::Unknown)]), Exit::Unknown);
        assert_eq!(
            of(&[finding(Severity::Safety), Finding::safety(HARNESS, "panic", "x", String::new())]),
            Exit::Internal
        );
    }
}
