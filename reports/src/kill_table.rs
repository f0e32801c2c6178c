//! Which planted bugs are found, by whom, and after how many seeds.

use crate::shortened;
use serde::{Deserialize, Serialize};
use std::fmt;

const SENTENCE_CHARS_MAX: usize = 90;

/// The JSON file of `synod-sim mutants --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KillTable {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// Seeds that each was given.
    pub seeds_max: u64,
    /// Seeds until the mutant in the middle was found; controls apart; absent when fewer than half are found.
    pub median_seeds_to_kill: Option<u64>,
    /// Wall time, seconds.
    pub wall_s: f64,
    /// In order of declaration.
    pub mutants: Vec<Row>,
}

/// One planted bug.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name on the command line.
    pub name: String,
    /// No bug at all, or a checker that is off: it must survive.
    pub control: bool,
    /// Whether a checker found it.
    pub killed: bool,
    /// Seeds that ran until then, the last included.
    pub seeds_to_kill: Option<u64>,
    /// The seed that showed it.
    pub seed: Option<u64>,
    /// Who found it.
    pub oracle: Option<String>,
    /// By which rule.
    pub rule: Option<String>,
    /// What happened.
    pub sentence: Option<String>,
    /// Seeds that fail without the bug as well, and count for nothing.
    pub failed_without: u64,
}

impl Row {
    /// Killed, or a control that survived.
    pub fn as_it_must_be(&self) -> bool {
        self.killed != self.control
    }

    fn verdict(&self) -> &'static str {
        match (self.control, self.killed) {
            (false, true) => "killed",
            (false, false) => "SURVIVED",
            (true, false) => "control survived, as it must",
            (true, true) => "CONTROL KILLED",
        }
    }
}

impl KillTable {
    /// The table of these rows.
    pub fn new(seeds_max: u64, wall_s: f64, mutants: Vec<Row>) -> KillTable {
        let mut seeds: Vec<u64> =
            mutants.iter().filter(|r| !r.control).map(|r| r.seeds_to_kill.unwrap_or(u64::MAX)).collect();
        seeds.sort_unstable();
        let median = seeds.get(seeds.len().saturating_sub(1) / 2).copied().filter(|n| *n != u64::MAX);
        KillTable { schema: crate::SCHEMA, seeds_max, median_seeds_to_kill: median, wall_s, mutants }
    }

    /// Whether all are killed and all controls survived.
    pub fn holds(&self) -> bool {
        self.mutants.iter().all(Row::as_it_must_be)
    }
}

impl fmt::Display for KillTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{Head}")?;
        for row in &self.mutants {
            writeln!(f, "{row}")?;
        }
        let controls = self.mutants.iter().filter(|r| r.control).count();
        let killed = self.mutants.iter().filter(|r| r.killed && !r.control).count();
        let survived = self.mutants.iter().filter(|r| !r.killed && r.control).count();
        let median = self.median_seeds_to_kill.map_or("none".into(), |n| n.to_string());
        write!(
            f,
            "{killed} of {} killed within {} seeds, median {median}; {survived} of {controls} controls survived; {:.0} s",
            self.mutants.len() - controls,
            self.seeds_max,
            self.wall_s
        )
    }
}

/// The line above the rows.
struct Head;

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<34} {:>6}  {:<30} what was seen", "planted bug", "seeds", "found by")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = self.seeds_to_kill.map_or("-".into(), |n| n.to_string());
        write!(f, "{:<34} {seeds:>6}  ", self.name)?;
        match (&self.oracle, &self.rule, self.as_it_must_be()) {
            (Some(oracle), Some(rule), true) => write!(f, "{:<30} ", format!("{oracle}/{rule}"))?,
            (Some(oracle), Some(rule), false) => write!(f, "{}: {oracle}/{rule} ", self.verdict())?,
            _ => write!(f, "{}", self.verdict())?,
        }
        write!(f, "{}", shortened(self.sentence.as_deref().unwrap_or(""), SENTENCE_CHARS_MAX))?;
        match self.failed_without {
            0 => Ok(()),
            seeds => write!(f, " ({seeds} seeds fail without it)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn row(name: &str, seeds: Option<u64>) -> Row {
        let found = |text: &str| seeds.map(|_| text.to_string());
        Row {
            name: name.into(),
            control: name.starts_with("control."),
            killed: seeds.is_some(),
            seeds_to_kill: seeds,
            seed: seeds.map(|n| n - 1),
            oracle: found("watches"),
            rule: found("lost"),
            sentence: found("a change was not told"),
            failed_without: 0,
        }
    }

    #[test]
    fn a_table_holds_when_all_but_the_controls_are_killed() {
        let good = KillTable::new(500, 9.0, vec![row("a", Some(1)), row("b", Some(7)), row("control.c", None)]);
        assert!(good.holds());
        assert_eq!(good.median_seeds_to_kill, Some(1));
        assert!(!KillTable::new(500, 9.0, vec![row("a", None)]).holds());
        assert!(!KillTable::new(500, 9.0, vec![row("control.c", Some(3))]).holds());
        assert_eq!(KillTable::new(500, 9.0, vec![row("a", None), row("b", None)]).median_seeds_to_kill, None);
    }

    #[test]
    fn text_and_json() {
        let rows = vec![row("a", Some(2)), row("b", None), row("control.c", None), row("control.d", Some(4))];
        let table = KillTable::new(500, 9.0, rows);
        expect![[r#"
            planted bug                         seeds  found by                       what was seen
            a                                       2  watches/lost                   a change was not told
            b                                       -  SURVIVED
            control.c                               -  control survived, as it must
            control.d                               4  CONTROL KILLED: watches/lost a change was not told
            1 of 2 killed within 500 seeds, median 2; 1 of 2 controls survived; 9 s"#]]
        .assert_eq(&table.to_string());
        expect![[r#"
            {
              "schema": 1,
              "seeds_max": 500,
              "median_seeds_to_kill": 2,
              "wall_s": 9.0,
              "mutants": [
                {
                  "name": "a",
                  "control": false,
                  "killed": true,
                  "seeds_to_kill": 2,
                  "seed": 1,
                  "oracle": "watches",
                  "rule": "lost",
                  "sentence": "a change was not told",
                  "failed_without": 0
                }
              ]
            }
        "#]]
        .assert_eq(&crate::json(&KillTable::new(500, 9.0, vec![row("a", Some(2))])));
    }
}
