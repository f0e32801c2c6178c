//! From a run that fails to the smallest plan that fails in the same way: the same oracle, rule and class of object.
//!
//! Over the plan's parts: stretches of time, the weather, faults, operations, clients, members, durations and moments,
//! again and again until nothing gives. Of each part, a few pieces are tried before many: most failures need little,
//! and a small plan runs in a fraction of a large one's time; delta debugging does the rest. The clients' random workload
//! becomes a script first, so that single operations can go. Where a smaller plan does not fail with the same dice it is
//! tried with others: what makes it fail should be in the plan, not in how the dice happened to fall.

use crate::campaign::{HANGS, run_guarded};
use crate::plan::{Plan, What};
use crate::pool::in_order;
use crate::progress::Progress;
use crate::run::{Options, Outcome, worst};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use synod_checkers::Finding;
use synod_sim::Dice;

/// What to shrink, and how long.
#[derive(Clone, Debug)]
pub struct Request {
    /// A plan that fails.
    pub plan: Plan,
    /// Which of its failures; the worst if none is named.
    pub fingerprint: Option<String>,
    /// No new attempt after so long.
    pub time: Duration,
    /// Worker threads.
    pub jobs: usize,
}

/// The smallest plan that was found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// It fails each time.
    pub plan: Plan,
    /// In this way.
    pub finding: Finding,
    /// Runs that it took.
    pub runs: u64,
    /// Wall time.
    pub took: Duration,
}

/// Other dice that a smaller plan is tried with, at the end.
const PATIENCE_MAX: u64 = 16;
/// Choices of a few pieces of a part that are tried at each size.
const CHOICES: usize = 24;
/// Pieces up to which each is tried alone: most failures need one fault.
const ALONE_MAX: usize = 80;
/// Pieces that a part is cut into before single ones are taken out.
const COARSE: usize = 8;
/// Of the dice that make them.
const CHOICE_STREAM: u64 = 7_000;
/// A plan is not cut shorter than this.
const HORIZON_MIN_MS: u64 = 200;

/// The plan's run fails in this way.
pub fn failure(outcome: &Outcome, fingerprint: &str) -> Option<Finding> {
    outcome.findings.iter().find(|f| f.fingerprint() == fingerprint).cloned()
}

fn fails(plan: &Plan, fingerprint: &str, unhealed: bool) -> bool {
    failure(&run_guarded(plan, Options { unhealed, ..Options::default() }), fingerprint).is_some()
}

/// Shrinks.
///
/// # Errors
/// The plan does not fail, or not in the way that was asked for.
pub fn shrink(request: &Request, progress: &mut Progress) -> Result<Shrunk, String> {
    let began = Instant::now();
    let options = Options { keep_script: true, ..Options::default() };
    let outcome = run_guarded(&request.plan, options);
    let worst = worst(&outcome.findings).map(Finding::fingerprint);
    let Some(fingerprint) = request.fingerprint.clone().or(worst) else {
        return Err(format!("shrink: seed {} does not fail", request.plan.seed));
    };
    if failure(&outcome, &fingerprint).is_none() {
        let found: Vec<String> = outcome.findings.iter().map(Finding::fingerprint).collect();
        return Err(format!("shrink: no failure {fingerprint:?}; found {found:?}"));
    }
    if fingerprint == HANGS {
        return Err(format!("shrink: seed {} does not end, and each attempt would take a minute", request.plan.seed));
    }
    let mut search = Search {
        best: request.plan.clone(),
        fingerprint,
        unhealed: false,
        patience: 1,
        runs: 1,
        request,
        began,
        progress,
    };
    search.best.recorded = None;
    search.unhealed = fails(&search.best, &search.fingerprint, true);
    search.script(outcome.script);
    while search.patience <= PATIENCE_MAX {
        let before = search.best.clone();
        search.stretches();
        search.weather();
        search.parts();
        search.clients();
        search.members();
        search.moments();
        if search.is_over() {
            break;
        }
        if search.best == before {
            search.patience *= 4;
        }
    }
    let outcome = run_guarded(&search.best, Options::default());
    let finding = failure(&outcome, &search.fingerprint).ok_or("shrink: the smallest plan stopped failing")?;
    Ok(Shrunk { plan: search.best, finding, runs: search.runs, took: began.elapsed() })
}

/// How a list gets shorter.
#[derive(Clone, Copy)]
enum How {
    Coarse,
    Few,
    Fine,
}

struct Search<'a> {
    best: Plan,
    fingerprint: String,
    /// Whether the failure shows before anything is healed: healing takes most of a small plan's time.
    unhealed: bool,
    /// Other dice that a smaller plan is tried with: few, as long as that gives anything.
    patience: u64,
    runs: u64,
    request: &'a Request,
    began: Instant,
    progress: &'a mut Progress,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        self.began.elapsed() >= self.request.time
    }

    /// The first of these plans that fails becomes the best; whether one did.
    fn try_all(&mut self, candidates: &[Plan]) -> bool {
        let mut found = None;
        let (fingerprint, began, time) = (&self.fingerprint, self.began, self.request.time);
        let unhealed = self.unhealed;
        let work = |i: u64| {
            if began.elapsed() >= time {
                return None;
            }
            let fails = |unhealed| fails(&candidates[i as usize], fingerprint, unhealed);
            Some((!unhealed || fails(true)) && fails(false))
        };
        let (runs, progress, best) = (&mut self.runs, &mut *self.progress, &self.best);
        in_order(self.request.jobs, 0..candidates.len() as u64, work, |i, fails| {
            *runs += u64::from(fails.is_some());
            progress.step(|| told(best));
            match fails {
                Some(true) => found = Some(i as usize),
                Some(false) => return ControlFlow::Continue(()),
                None => {}
            }
            ControlFlow::Break(())
        });
        if let Some(i) = found {
            self.best = candidates[i].clone();
        }
        found.is_some()
    }

    /// As [`Self::try_all`], and where none fails, with other dice.
    fn try_with_other_dice(&mut self, candidates: Vec<Plan>) -> bool {
        if candidates.is_empty() {
            return false;
        }
        let other = |plan: &Plan, n: u64| Plan { seed: plan.seed ^ (n << 32), ..plan.clone() };
        self.try_all(&candidates)
            || (1..=self.patience).any(|n| {
                let candidates: Vec<Plan> = candidates.iter().map(|plan| other(plan, n)).collect();
                self.try_all(&candidates)
            })
    }

    fn script(&mut self, script: Option<Vec<crate::plan::Step>>) {
        if self.best.workload.script.is_some() {
            return;
        }
        let mut plan = self.best.clone();
        plan.workload.script = script;
        plan.workload.readers = 0;
        self.try_with_other_dice(vec![plan]);
    }

    /// A stretch of the time is enough; the shortest are tried first.
    fn stretches(&mut self) {
        'shorter: loop {
            let horizon = self.best.workload.horizon_ms;
            for (part, whole) in [(1, 16), (1, 8), (1, 4), (1, 2), (3, 4), (9, 10)] {
                let length = horizon * part / whole;
                if length < HORIZON_MIN_MS {
                    continue;
                }
                let step = (length / 2).min(horizon - length).max(1) as usize;
                let begins = (0..=horizon - length).step_by(step);
                let candidates = begins.map(|begin| stretch(&self.best, begin, begin + length)).collect();
                if self.try_with_other_dice(candidates) {
                    continue 'shorter;
                }
                if self.is_over() {
                    return;
                }
            }
            return;
        }
    }

    /// Keeps none of a list, or one, or a few, if that is enough.
    fn few<T: Clone>(&mut self, list: impl Fn(&Plan) -> Vec<T>, with: impl Fn(&Plan, Vec<T>) -> Plan) {
        let all = list(&self.best);
        let mut size = 0;
        while 2 * size < all.len() && !self.is_over() {
            let mut dice = Dice::numbered(self.best.seed, CHOICE_STREAM + size as u64);
            let alone = size == 1 && all.len() <= ALONE_MAX;
            let mut choice = |nth: usize| {
                let mut kept: BTreeSet<usize> = alone.then_some(nth).into_iter().collect();
                while kept.len() < size {
                    kept.insert(dice.below(all.len() as u64) as usize);
                }
                with(&self.best, kept.into_iter().map(|i| all[i].clone()).collect())
            };
            let choices = match size {
                0 => 1,
                _ if alone => all.len(),
                _ => CHOICES.min(all.len()),
            };
            let candidates = (0..choices).map(&mut choice).collect();
            if self.try_with_other_dice(candidates) {
                return;
            }
            size = (2 * size).max(1);
        }
    }

    /// Takes out what can be taken out of a list: halves first, the smallest of so many pieces last, and again after each
    /// success.
    fn thin<T: Clone>(&mut self, pieces: usize, list: impl Fn(&Plan) -> Vec<T>, with: impl Fn(&Plan, Vec<T>) -> Plan) {
        let mut size = list(&self.best).len().div_ceil(2);
        while size > 0 && !self.is_over() {
            let all = list(&self.best);
            if all.len().div_ceil(size) > pieces {
                return;
            }
            let without = |at: usize| {
                let rest = all.iter().enumerate().filter(|(i, _)| !(at..at + size).contains(i));
                with(&self.best, rest.map(|(_, item)| item.clone()).collect())
            };
            let candidates: Vec<Plan> = (0..all.len()).step_by(size).map(without).collect();
            // Other dice cost much and help most when little is left.
            let found = match all.len() <= 60 {
                true => self.try_with_other_dice(candidates),
                false => self.try_all(&candidates),
            };
            if !found {
                size = if size == 1 { 0 } else { size.div_ceil(2) };
            }
            size = size.min(list(&self.best).len());
        }
    }

    /// Faults, fault points, operations: in large pieces first, then all but a few, then one by one.
    fn parts(&mut self) {
        for how in [How::Coarse, How::Few, How::Fine] {
            self.reduce(how, |plan| plan.faults.clone(), |plan, faults| Plan { faults, ..plan.clone() });
            self.reduce(
                how,
                |plan| plan.fault_points.clone().into_iter().collect(),
                |plan, points| Plan { fault_points: points.into_iter().collect(), ..plan.clone() },
            );
            if self.best.workload.script.is_none() {
                self.fewer_operations();
                continue;
            }
            self.reduce(
                how,
                |plan| plan.workload.script.clone().unwrap_or_default(),
                |plan, script| {
                    let mut plan = plan.clone();
                    plan.workload.script = Some(script);
                    plan
                },
            );
        }
    }

    fn reduce<T: Clone>(&mut self, how: How, list: impl Fn(&Plan) -> Vec<T>, with: impl Fn(&Plan, Vec<T>) -> Plan) {
        match how {
            How::Coarse => self.thin(COARSE, list, with),
            How::Few => self.few(list, with),
            How::Fine => self.thin(usize::MAX, list, with),
        }
    }

    /// Where the clients choose for themselves.
    fn fewer_operations(&mut self) {
        while self.best.workload.operations > 1 {
            let mut plan = self.best.clone();
            plan.workload.operations /= 2;
            if !self.try_with_other_dice(vec![plan]) {
                return;
            }
        }
    }

    /// An ordinary network, ordinary disks, exact clocks, no small limits.
    fn weather(&mut self) {
        let edits: [fn(&mut Plan); 12] = [
            |p| p.cluster.clocks = vec![(0, 0); p.cluster.clocks.len()],
            |p| p.cluster.loss = 0.0,
            |p| p.cluster.tail = (0.0, 0),
            |p| p.cluster.partial = 0.0,
            |p| p.cluster.latency_us = (100, 1_000),
            |p| p.cluster.flush_us = (80, 400),
            |p| (p.cluster.snapshot_entries, p.cluster.log_keep) = (100_000, 200),
            // What needs a snapshot needs fewer operations then.
            |p| {
                if p.cluster.snapshot_entries < 100_000 {
                    (p.cluster.snapshot_entries, p.cluster.log_keep) = (4, 1);
                }
            },
            |p| p.cluster.segment_bytes = 256 << 10,
            |p| p.cluster.in_flight_max = 64,
            |p| (p.cluster.append_bytes_max, p.cluster.in_flight_bytes_max) = (1 << 20, 1 << 20),
            |p| (p.cluster.append_entries_max, p.cluster.chunk_bytes) = (4096, 256 << 10),
        ];
        for edit in edits {
            let mut plan = self.best.clone();
            edit(&mut plan);
            if plan != self.best {
                self.try_with_other_dice(vec![plan]);
            }
        }
    }

    /// Clients that do nothing go.
    fn clients(&mut self) {
        let mut plan = self.best.clone();
        if let Some(script) = &mut plan.workload.script {
            let mut busy: Vec<u32> = script.iter().map(|step| step.client).collect();
            busy.sort_unstable();
            busy.dedup();
            for step in script {
                step.client = 1 + busy.iter().position(|c| *c == step.client).unwrap_or(0) as u32;
            }
            plan.workload.clients = busy.len().max(1) as u32;
        } else {
            plan.workload.clients = (plan.workload.clients / 2).max(1);
            plan.workload.readers = plan.workload.readers.min(plan.workload.clients);
        }
        if plan.workload.clients < self.best.workload.clients {
            self.try_with_other_dice(vec![plan]);
        }
    }

    /// Three members instead of four or five.
    fn members(&mut self) {
        let nodes = self.best.cluster.nodes;
        if nodes <= 3 {
            return;
        }
        let triples =
            (1..=nodes).flat_map(|a| (a + 1..=nodes).flat_map(move |b| (b + 1..=nodes).map(move |c| [a, b, c])));
        let candidates: Vec<Plan> = triples.map(|kept| renumbered(&self.best, &kept)).collect();
        self.try_with_other_dice(candidates);
    }

    /// Round numbers, short faults.
    fn moments(&mut self) {
        for i in 0..self.best.faults.len() {
            let edits: [fn(&mut crate::plan::Fault); 3] = [
                |fault| fault.for_ms /= 2,
                |fault| fault.for_ms = fault.for_ms / 100 * 100,
                |fault| fault.at_ms = fault.at_ms / 100 * 100,
            ];
            for edit in edits {
                let mut plan = self.best.clone();
                edit(&mut plan.faults[i]);
                if plan != self.best {
                    self.try_all(&[plan]);
                }
            }
        }
        // What comes before the first thing that matters is waiting.
        let first_step = self.best.workload.script.iter().flatten().map(|s| s.at_us / 1_000).min();
        let first = self.best.faults.iter().map(|f| f.at_ms).chain(first_step).min().unwrap_or(0);
        let wait = first.saturating_sub(1_500) / 100 * 100;
        if wait > 0 {
            let mut plan = self.best.clone();
            plan.workload.horizon_ms -= wait;
            plan.faults.iter_mut().for_each(|f| f.at_ms -= wait);
            plan.workload.script.iter_mut().flatten().for_each(|s| s.at_us -= wait * 1_000);
            self.try_with_other_dice(vec![plan]);
        }
    }
}

/// A plan in a line.
pub fn told(plan: &Plan) -> String {
    let operations = plan.workload.script.as_ref().map_or(plan.workload.operations, |s| s.len() as u64);
    format!(
        "{} faults, {} fault points, {operations} operations of {} clients, {} members, {:.1} s",
        plan.faults.len(),
        plan.fault_points.len(),
        plan.workload.clients,
        plan.cluster.nodes,
        plan.workload.horizon_ms as f64 / 1e3
    )
}

/// The same from one moment to another: what began before and lasts goes on, as faults do.
fn stretch(plan: &Plan, begin_ms: u64, end_ms: u64) -> Plan {
    let mut plan = plan.clone();
    let before = plan.workload.horizon_ms.max(1);
    plan.workload.horizon_ms = end_ms - begin_ms;
    plan.workload.operations = (plan.workload.operations * plan.workload.horizon_ms / before).max(1);
    plan.faults
        .retain(|fault| fault.at_ms < end_ms && (fault.at_ms >= begin_ms || fault.at_ms + fault.for_ms > begin_ms));
    for fault in &mut plan.faults {
        let end = (fault.at_ms + fault.for_ms).min(end_ms);
        fault.at_ms = fault.at_ms.saturating_sub(begin_ms);
        fault.for_ms = end.saturating_sub(begin_ms + fault.at_ms);
    }
    if let Some(script) = &mut plan.workload.script {
        script.retain(|step| (begin_ms * 1_000..end_ms * 1_000).contains(&step.at_us));
        script.iter_mut().for_each(|step| step.at_us -= begin_ms * 1_000);
    }
    plan
}

/// The same with these members only, by new numbers. Faults of the others are gone.
fn renumbered(plan: &Plan, kept: &[u8]) -> Plan {
    let mut plan = plan.clone();
    let number = |node: u8| match node {
        0 => Some(0),
        node => kept.iter().position(|k| *k == node).map(|i| i as u8 + 1),
    };
    plan.cluster.nodes = kept.len() as u8;
    plan.cluster.clocks = kept.iter().map(|k| plan.cluster.clocks[usize::from(*k) - 1]).collect();
    plan.faults = plan
        .faults
        .into_iter()
        .filter_map(|mut fault| {
            let all_kept = fault.what.for_each_member(number);
            let both_sides = !matches!(&fault.what, What::Partition { side } if side.is_empty());
            (all_kept && both_sides).then_some(fault)
        })
        .collect();
    plan
}
