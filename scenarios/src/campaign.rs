//! Many seeds on all cores: goes on after a failure, keeps one of each kind, counts what was covered.

use crate::coverage::{FAULTS, PLANNED, SOMETIMES};
use crate::exit::Exit;
use crate::plan::{Overrides, Plan};
use crate::pool::in_order;
use crate::progress::Progress;
use crate::run::{Options, Outcome, run};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_reports::{Acknowledged, Campaign, Failure, Resident, SCHEMA};

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

/// Runs a plan; a panic of the harness becomes a finding.
pub fn run_guarded(plan: &Plan, options: Options) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(plan, options))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let sentence = format!("the harness panicked: {}", text.unwrap_or("no message"));
        Outcome {
            seed: plan.seed,
            findings: vec![Finding::safety(HARNESS, "panic", "harness", sentence)],
            ..Outcome::default()
        }
    })
}

/// How a command ends that came to these findings.
pub fn exit_of<'a>(findings: impl Iterator<Item = &'a Finding> + Clone) -> Exit {
    if findings.clone().any(|f| f.oracle == HARNESS) {
        return Exit::Internal;
    }
    findings.map(|f| f.severity).max().into()
}

/// The command that runs a seed again.
pub fn reproduce(seed: u64, overrides: &Overrides) -> String {
    let words = [vec![format!("cargo sim replay {seed}")], overrides.flags()].concat();
    words.join(" ")
}

/// Runs a campaign.
pub fn campaign(request: &Request, progress: &mut Progress) -> (Campaign, Exit) {
    let began = Instant::now();
    let mut fold = Fold::default();
    let over = |seed: &u64| request.time.is_some_and(|time| *seed > request.seeds.start && began.elapsed() >= time);
    let seeds = request.seeds.clone().take_while(|seed| !over(seed));
    let work = |seed| run_guarded(&Plan::of_seed(seed, &request.overrides), Options::default());
    in_order(request.jobs, seeds, work, |seed, outcome| {
        fold.add(seed, outcome, &request.overrides);
        progress.step(|| format!("{} failed, {} unknown", fold.failed, fold.unknown));
        ControlFlow::Continue(())
    });
    fold.finish(request.seeds.start, began.elapsed())
}

/// What is known after some seeds; its size does not grow with their number, but for 4 bytes a seed.
#[derive(Default)]
struct Fold {
    seeds: u64,
    failed: u64,
    unknown: u64,
    acknowledged: Vec<u32>,
    simulated: Duration,
    took: Duration,
    checking: Duration,
    effects: BTreeMap<String, u64>,
    sometimes: BTreeMap<String, u64>,
    after_100: Option<f64>,
    /// One of each fingerprint, from the first seed that showed it.
    failures: BTreeMap<String, (Finding, Failure)>,
}

impl Fold {
    fn add(&mut self, seed: u64, outcome: Outcome, overrides: &Overrides) {
        self.seeds += 1;
        match outcome.severity() {
            None => {}
            Some(Severity::Unknown) => self.unknown += 1,
            Some(Severity::Liveness | Severity::Safety) => self.failed += 1,
        }
        self.acknowledged.push(u32::try_from(outcome.acknowledged).unwrap_or(u32::MAX));
        self.simulated += outcome.simulated;
        self.took += outcome.took;
        self.checking += outcome.checking;
        for (kind, hits) in outcome.effects {
            *self.effects.entry(kind).or_default() += hits;
        }
        for (point, hits) in outcome.sometimes {
            *self.sometimes.entry(point).or_default() += hits;
        }
        let mut alike = BTreeMap::new();
        for finding in outcome.findings {
            alike.entry(finding.fingerprint()).or_insert(finding);
        }
        for (fingerprint, finding) in alike {
            let failure = Failure {
                seed,
                fingerprint: fingerprint.clone(),
                oracle: finding.oracle.clone(),
                rule: finding.rule.clone(),
                severity: format!("{:?}", finding.severity).to_lowercase(),
                sentence: finding.sentence.clone(),
                seeds: 0,
                reproduce: reproduce(seed, overrides),
            };
            self.failures.entry(fingerprint).or_insert((finding, failure)).1.seeds += 1;
        }
        if self.seeds == 100 {
            self.after_100 = resident_mb();
        }
    }

    fn finish(mut self, first_seed: u64, wall: Duration) -> (Campaign, Exit) {
        self.acknowledged.sort_unstable();
        let exit = exit_of(self.failures.values().map(|(finding, _)| finding));
        let mut failures: Vec<Failure> = self.failures.into_values().map(|(_, failure)| failure).collect();
        failures.sort_by_key(|failure| failure.seed);
        let (planned, effects) =
            self.effects.into_iter().partition::<BTreeMap<_, _>, _>(|(k, _)| k.starts_with(PLANNED));
        let with_zeros = |mut counts: BTreeMap<String, u64>, expected: &[&str]| {
            for name in expected {
                counts.entry(name.to_string()).or_default();
            }
            counts
        };
        let campaign = Campaign {
            schema: SCHEMA,
            seeds: self.seeds,
            first_seed,
            failed: self.failed,
            unknown: self.unknown,
            wall_s: wall.as_secs_f64(),
            seeds_per_s: self.seeds as f64 / wall.as_secs_f64().max(1e-9),
            simulated_s: self.simulated.as_secs_f64(),
            operations_acknowledged: Acknowledged {
                total: self.acknowledged.iter().map(|n| u64::from(*n)).sum(),
                median: self.acknowledged.get(self.acknowledged.len() / 2).map_or(0, |n| u64::from(*n)),
            },
            checker_share: self.checking.as_secs_f64() / self.took.as_secs_f64().max(1e-9),
            faults: with_zeros(effects, FAULTS),
            faults_planned: planned.into_iter().map(|(kind, n)| (kind[PLANNED.len()..].to_string(), n)).collect(),
            sometimes: with_zeros(self.sometimes, SOMETIMES),
            rss_mb: Resident { after_100: self.after_100, end: resident_mb() },
            failures,
            ..Campaign::default()
        };
        (campaign, exit)
    }
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

    fn outcome(findings: Vec<Finding>, acknowledged: u64) -> Outcome {
        let effects = [("plan:crash".to_string(), 2), ("crash".to_string(), 1)].into();
        Outcome { findings, acknowledged, effects, ..Outcome::default() }
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
        let (campaign, exit) = fold.finish(7, Duration::from_secs(2));
        assert_eq!(exit, Exit::Safety);
        assert_eq!((campaign.seeds, campaign.failed, campaign.unknown), (4, 2, 1));
        assert_eq!(campaign.operations_acknowledged, Acknowledged { total: 100, median: 30 });
        assert_eq!((campaign.faults["crash"], campaign.faults["rot"], campaign.faults_planned["crash"]), (4, 0, 8));
        let kept: Vec<_> = campaign.failures.iter().map(|f| (f.seed, f.rule.as_str(), f.seeds, &*f.severity)).collect();
        assert_eq!(kept, [(7, "lost", 2, "safety"), (9, "stuck", 1, "liveness"), (10, "undecided", 1, "unknown")]);
        assert_eq!(campaign.failures[0].reproduce, "cargo sim replay 7 --nodes 5");
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
