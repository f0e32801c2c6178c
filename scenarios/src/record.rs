//! How a plan went when it was kept, and whether it still goes that way.

use crate::run::{Outcome, worst};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A run's story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Fingerprint of the worst finding, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Hash over every event of the world, hexadecimal. It changes with almost every change of the engine.
    pub trace: String,
    /// What the driver did and who led.
    pub steps: Vec<Happened>,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// When, microseconds from the beginning of the run.
    pub at_us: u64,
    /// What.
    pub what: String,
}

/// Whether a replay went as its plan was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// Every event was the same.
    Exact,
    /// Every step was the same, though some events between them were not.
    SameSteps,
    /// The steps differ from this one on, counted from 1.
    Drifted { step: usize, why: String },
}

impl Recorded {
    /// Of a run.
    pub fn of(outcome: &Outcome) -> Recorded {
        Recorded {
            fingerprint: worst(&outcome.findings).map(|f| f.fingerprint()),
            trace: format!("{:032x}", outcome.hash),
            steps: happened(outcome),
        }
    }

    /// Compares a run with this one.
    pub fn compare(&self, outcome: &Outcome) -> Fidelity {
        if self.trace == format!("{:032x}", outcome.hash) {
            return Fidelity::Exact;
        }
        let now = happened(outcome);
        let differs = (0..self.steps.len().max(now.len())).find(|i| {
            let (then, now) = (self.steps.get(*i), now.get(*i));
            then.map(|s| &s.what) != now.map(|s| &s.what)
        });
        let Some(at) = differs else { return Fidelity::SameSteps };
        let told = |step: Option<&Happened>| {
            step.map_or("the end".to_string(), |s| format!("{:?} at {:.3} s", s.what, s.at_us as f64 / 1e6))
        };
        let why = format!("was {}, is {}", told(self.steps.get(at)), told(now.get(at)));
        Fidelity::Drifted { step: at + 1, why }
    }
}

fn happened(outcome: &Outcome) -> Vec<Happened> {
    let step = |(at, what): &(synod_types::Instant, String)| Happened { at_us: at.0 / 1_000, what: what.clone() };
    outcome.steps.iter().map(step).collect()
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fidelity::Exact => write!(f, "exact"),
            Fidelity::SameSteps => write!(f, "exact in its steps, not in every event"),
            Fidelity::Drifted { step, why } => write!(f, "drifted at step {step}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_types::Instant;

    fn outcome(hash: u128, steps: &[(u64, &str)]) -> Outcome {
        let steps = steps.iter().map(|(ms, what)| (Instant(ms * 1_000_000), what.to_string())).collect();
        Outcome { hash, steps, ..Outcome::default() }
    }

    #[test]
    fn the_first_step_that_differs_is_named() {
        let kept = Recorded::of(&outcome(1, &[(10, "node 2 leads in term 1"), (50, "crash of node 2")]));
        assert_eq!(kept.compare(&outcome(1, &[])), Fidelity::Exact);
        let slower = outcome(2, &[(11, "node 2 leads in term 1"), (50, "crash of node 2")]);
        assert_eq!(kept.compare(&slower), Fidelity::SameSteps);
        let other = outcome(2, &[(10, "node 2 leads in term 1"), (50, "crash of node 3"), (60, "x")]);
        let told = kept.compare(&other).to_string();
        assert_eq!(told, "drifted at step 2: was \"crash of node 2\" at 0.050 s, is \"crash of node 3\" at 0.050 s");
        let shorter = kept.compare(&outcome(2, &[(10, "node 2 leads in term 1")])).to_string();
        assert_eq!(shorter, "drifted at step 2: was \"crash of node 2\" at 0.050 s, is the end");
    }
}
