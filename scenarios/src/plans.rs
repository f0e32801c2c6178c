//! Plans that were kept: failures of the past, which every campaign runs before its seeds. One of the engine as it
//! ships must hold, and must still fail with the bug that it guards against, if it names one. One with a planted bug must
//! fail as it did when it was kept, or the harness has become blind to the bug; the canary is such a plan.

use crate::campaign::{HARNESS, run_guarded};
use crate::plan::Plan;
use crate::run::{BY_ITSELF, Options, Outcome};
use synod_checkers::Finding;
use synod_checkers::finding::Severity;

/// Name and text of each, by name.
const KEPT: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/plans.rs"));
/// The name of the plan that shows whether a campaign would see a failure at all.
pub const CANARY: &str = "canary";

/// A plan that was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name: that of its file.
    pub name: &'static str,
    /// What is run.
    pub plan: Plan,
}

/// All plans that this program can run: those with a planted bug only where it has planted bugs.
///
/// # Errors
/// One of them is no plan that this program understands.
pub fn kept() -> Result<Vec<Kept>, String> {
    let mut plans = Vec::new();
    for (name, text) in KEPT {
        let plan = Plan::parse(text).map_err(|e| format!("{}: {e}", path(name)))?;
        if plan.mutant.is_none() || cfg!(feature = "mutants") {
            plans.push(Kept { name, plan });
        }
    }
    Ok(plans)
}

/// Where a plan of that name is.
pub fn path(name: &str) -> String {
    format!("scenarios/plans/{name}.json")
}

/// A plan must fail with the bug that it guards against with one of so many dice: the engine's timing may have moved.
const DICE: u64 = 32;

impl Kept {
    /// Runs it, and says what is wrong with how it went.
    pub fn run(&self) -> Vec<Finding> {
        let mut wrong = self.judge(&run_guarded(&self.plan, Options::default()));
        wrong.extend(self.plan.guards.as_ref().filter(|_| cfg!(feature = "mutants")).and_then(|bug| self.guard(bug)));
        wrong
    }

    /// Whether it proves nothing any more.
    fn guard(&self, bug: &str) -> Option<Finding> {
        let fails = |dice: u64| {
            let seed = self.plan.seed ^ (dice << 32);
            let plan = Plan { seed, mutant: Some(bug.into()), ..self.plan.clone() };
            let findings = run_guarded(&plan, Options::default()).findings;
            // Any plan shows what storage by itself does wrong.
            let of_the_plan = |f: &Finding| f.oracle != HARNESS && (f.oracle.as_str(), f.rule.as_str()) != BY_ITSELF;
            findings.iter().any(|f| f.severity != Severity::Unknown && of_the_plan(f))
        };
        if (0..DICE).any(fails) {
            return None;
        }
        let sentence = format!("plan {} holds also with {bug}, which it is there to find: keep it anew", self.name);
        Some(Finding::safety("plans", "proves nothing", self.name, sentence).severity(Severity::Unknown))
    }

    /// What is wrong with how it went.
    pub fn judge(&self, outcome: &Outcome) -> Vec<Finding> {
        let harness = |f: &&Finding| f.oracle == HARNESS;
        let Some(mutant) = self.plan.mutant.as_ref().filter(|_| !outcome.findings.iter().any(|f| harness(&f))) else {
            return outcome.findings.clone();
        };
        let known = self.plan.recorded.as_ref().and_then(|recorded| recorded.fingerprint.as_ref());
        let broken = outcome.findings.iter().filter(|f| f.severity != Severity::Unknown);
        let seen = broken.map(Finding::fingerprint).any(|f| known.is_none_or(|known| *known == f));
        match seen {
            true => Vec::new(),
            false => {
                let as_it_did = known.map_or(String::new(), |known| format!(" with {known}"));
                let sentence = format!(
                    "plan {} with the planted bug {mutant} must fail{as_it_did} and does not: the harness is blind to it",
                    self.name
                );
                vec![Finding::safety(HARNESS, "blind", self.name, sentence)]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Overrides;
    use crate::record::Recorded;

    fn judged(mutant: Option<&str>, known: Option<&str>, found: &[(&str, Severity)]) -> Vec<String> {
        let finding = |(oracle, severity): &(&str, Severity)| {
            Finding::safety(oracle, "rule", "x", String::new()).severity(*severity)
        };
        let recorded = Recorded { fingerprint: known.map(String::from), trace: String::new(), steps: Vec::new() };
        let plan = Plan {
            mutant: mutant.map(String::from),
            recorded: Some(recorded),
            ..Plan::of_seed(0, &Overrides::default())
        };
        let outcome = Outcome { findings: found.iter().map(finding).collect(), ..Outcome::default() };
        Kept { name: "x", plan }.judge(&outcome).into_iter().map(|f| format!("{}/{}", f.oracle, f.rule)).collect()
    }

    #[test]
    fn a_plan_holds_or_fails_as_it_must() {
        let lost = ("watches", Severity::Safety);
        assert!(judged(None, None, &[]).is_empty());
        assert_eq!(judged(None, None, &[lost]), ["watches/rule"]);
        // It failed once and was mended.
        assert_eq!(judged(None, Some("watches/rule/x"), &[lost]), ["watches/rule"]);
        assert!(judged(Some("bug"), Some("watches/rule/x"), &[lost]).is_empty());
        assert!(judged(Some("bug"), None, &[lost]).is_empty());
        for blind in [&[][..], &[("order", Severity::Safety)], &[("watches", Severity::Unknown)]] {
            assert_eq!(judged(Some("bug"), Some("watches/rule/x"), blind), ["harness/blind"], "{blind:?}");
        }
        assert_eq!(judged(Some("bug"), None, &[]), ["harness/blind"]);
        assert_eq!(judged(Some("bug"), None, &[(HARNESS, Severity::Safety)]), ["harness/rule"]);
    }

    #[test]
    #[cfg(feature = "mutants")]
    fn a_plan_that_proves_nothing_is_told() {
        // Nothing happens in it.
        let mut plan = Plan::of_seed(0, &Overrides { horizon_s: Some(1), ..Overrides::default() });
        plan.faults.clear();
        plan.fault_points.clear();
        let rules = |guards: &str| {
            let plan = Plan { guards: Some(guards.into()), ..plan.clone() };
            Kept { name: "x", plan }.run().into_iter().map(|f| f.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules("raft.empty_disk_votes"), ["proves nothing"]);
        assert_eq!(rules("store.truncate_damage"), ["proves nothing"], "storage by itself finds it in any plan");
        assert!(rules("raft.commit_without_quorum").is_empty());
    }

    #[test]
    fn the_kept_plans_are_plans() {
        let plans = kept().unwrap();
        assert_eq!(plans.iter().any(|kept| kept.name == CANARY), cfg!(feature = "mutants"));
    }
}
