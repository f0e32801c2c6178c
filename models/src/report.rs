//! What an exploration found.

use std::fmt;
use std::time::Duration;

/// The outcome of exploring one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The model.
    pub name: &'static str,
    /// What it is a model of.
    pub source: &'static str,
    /// Within which bounds.
    pub bounds: String,
    /// What held in every state, or did not.
    pub invariants: Vec<&'static str>,
    /// What some state must show, or the exploration proves nothing.
    pub reached: Vec<(&'static str, bool)>,
    /// States generated, duplicates included.
    pub generated: usize,
    /// Distinct states.
    pub unique: usize,
    /// Steps of the longest path.
    pub depth: usize,
    /// Wall time.
    pub time: Duration,
    /// Every state within the bounds was seen.
    pub complete: bool,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// The steps that lead there.
    pub steps: Vec<String>,
}

impl Report {
    /// Everything was explored, every invariant held, and nothing that had to be reached was missed.
    pub fn holds(&self) -> bool {
        self.complete && self.violations.is_empty() && self.reached.iter().all(|(_, reached)| *reached)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model       {}", self.name)?;
        writeln!(f, "source      {}", self.source)?;
        writeln!(f, "bounds      {}", self.bounds)?;
        writeln!(f, "invariants  {}", self.invariants.join(", "))?;
        for (what, reached) in &self.reached {
            writeln!(f, "reached     {what}: {}", if *reached { "yes" } else { "NO" })?;
        }
        let explored = if self.complete { "all" } else { "stopped" };
        writeln!(
            f,
            "states      {} generated, {} unique, depth {} ({explored})",
            self.generated, self.unique, self.depth
        )?;
        writeln!(f, "time        {:.1} s", self.time.as_secs_f64())?;
        for violation in &self.violations {
            writeln!(f, "violated    {}", violation.invariant)?;
            for (number, step) in violation.steps.iter().enumerate() {
                writeln!(f, "  {:>3}  {step}", number + 1)?;
            }
        }
        write!(f, "verdict     {}", if self.holds() { "holds" } else { "does not hold" })
    }
}
