//! Why a plan fails: which of its decisions are necessary, which are not, and the facts that contradict each other.

use crate::campaign::{HANGS, run_guarded};
use crate::plan::{Fault, Plan, Step};
use crate::pool::in_order;
use crate::progress::Progress;
use crate::run::{Options, worst};
use crate::shrink::failure;
use crate::timeline;
use std::fmt;
use std::ops::ControlFlow;
use synod_checkers::Finding;

/// What is known of a failure.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The failure.
    pub finding: Finding,
    /// Decisions without any of which it is gone.
    pub necessary: Vec<Decision>,
    /// Decisions that make no difference, each by itself.
    pub irrelevant: Vec<Decision>,
    /// What happened that cannot all be right, in order of time: nanoseconds, a sentence, the operation's position in
    /// the history.
    pub facts: Vec<(u64, String, usize)>,
}

/// One decision of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// A fault, by its position.
    Fault(usize, Fault),
    /// A fault point that may fire.
    FaultPoint(String),
    /// An operation of the script, by its position.
    Step(usize, Step),
}

/// More operations than this are not taken out one by one.
const STEPS_MAX: usize = 100;
/// A decision is necessary when the failure is gone without it, with these many other dice as well.
const OTHER_DICE: u64 = 2;

/// Takes out one decision after the other.
///
/// # Errors
/// The plan does not fail, or not in this way.
pub fn explain(
    plan: &Plan,
    fingerprint: Option<&str>,
    jobs: usize,
    progress: &mut Progress,
) -> Result<Explained, String> {
    let outcome = run_guarded(plan, Options { keep_history: true, ..Options::default() });
    let finding = match fingerprint {
        Some(fingerprint) => failure(&outcome, fingerprint),
        None => worst(&outcome.findings).cloned(),
    };
    let Some(finding) = finding else {
        return Err(format!(
            "explain: the plan does not fail{}",
            fingerprint.map_or(String::new(), |f| format!(" with {f}"))
        ));
    };
    let fingerprint = finding.fingerprint();
    if fingerprint == HANGS {
        return Err(format!("explain: seed {} does not end, and each attempt would take a minute", plan.seed));
    }
    let decisions = decisions(plan);
    let mut explained = Explained { finding, necessary: Vec::new(), irrelevant: Vec::new(), facts: Vec::new() };
    if let Some(history) = &outcome.history {
        let operation = |at: &usize| history.operations.get(*at).map(|o| (o.call_ns, timeline::told(*at, o), *at));
        explained.facts = explained.finding.operations.iter().filter_map(operation).collect();
        explained.facts.sort();
    }
    let work = |i: u64| {
        let without = decisions[i as usize].taken_out(plan);
        (0..=OTHER_DICE).any(|n| {
            let plan = Plan { seed: plan.seed ^ (n << 32), ..without.clone() };
            failure(&run_guarded(&plan, Options::default()), &fingerprint).is_some()
        })
    };
    in_order(jobs, 0..decisions.len() as u64, work, |i, still_fails| {
        progress.step(|| "taking out one decision after the other".into());
        let decision = decisions[i as usize].clone();
        match still_fails {
            true => explained.irrelevant.push(decision),
            false => explained.necessary.push(decision),
        }
        ControlFlow::Continue(())
    });
    Ok(explained)
}

fn decisions(plan: &Plan) -> Vec<Decision> {
    let faults = plan.faults.iter().cloned().enumerate().map(|(i, fault)| Decision::Fault(i, fault));
    let points = plan.fault_points.keys().cloned().map(Decision::FaultPoint);
    let script = plan.workload.script.iter().flatten().cloned().enumerate();
    let few = plan.workload.script.as_ref().is_some_and(|script| script.len() <= STEPS_MAX);
    let steps = script.filter(|_| few).map(|(i, step)| Decision::Step(i, step));
    faults.chain(points).chain(steps).collect()
}

impl Decision {
    fn taken_out(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        match self {
            Decision::Fault(i, _) => drop(plan.faults.remove(*i)),
            Decision::FaultPoint(name) => drop(plan.fault_points.remove(name)),
            Decision::Step(i, _) => {
                if let Some(script) = &mut plan.workload.script {
                    script.remove(*i);
                }
            }
        }
        plan
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::Fault(_, Fault { at_ms, for_ms, what }) => {
                write!(f, "at {:.3} s ", *at_ms as f64 / 1e3)?;
                if *for_ms > 0 {
                    write!(f, "for {:.3} s ", *for_ms as f64 / 1e3)?;
                }
                write!(f, "{what:?}")
            }
            Decision::FaultPoint(name) => write!(f, "fault point {name}"),
            Decision::Step(_, Step { client, at_us, operation }) => {
                write!(f, "at {:.3} s client {client} {operation:?}", *at_us as f64 / 1e6)
            }
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = format!("{:?}", self.finding.severity).to_lowercase();
        writeln!(f, "{severity}: {}/{} {}", self.finding.oracle, self.finding.rule, self.finding.object)?;
        writeln!(f, "  {}", self.finding.sentence)?;
        let list = |f: &mut fmt::Formatter<'_>, head: &str, lines: Vec<String>| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "{head}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
        };
        list(f, "what contradicts each other", self.facts.iter().map(|(_, text, _)| text.clone()).collect())?;
        list(f, "without any one of these it does not happen", self.necessary.iter().map(|d| d.to_string()).collect())?;
        list(f, "these make no difference", self.irrelevant.iter().map(|d| d.to_string()).collect())
    }
}
