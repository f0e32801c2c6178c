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
    /// What is left of that seed's plan, if it was shrunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<Smallest>,
}

/// The smallest plan that shows a bug.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Smallest {
    /// Faults in it.
    pub faults: u64,
    /// Fault points of the engine that may fire in it.
    pub fault_points: u64,
    /// Operations of its clients.
    pub operations: u64,
    /// Times that it failed in the same way, of 3.
    pub fails: u64,
    /// Runs that it took to find.
    pub runs: u64,
    /// Wall time, seconds.
    pub took_s: f64,
    /// The kinds of faults in it, and its fault points; for each, seeds to kill the bug when no plan has that kind.
    pub kinds: Vec<Ablation>,
}

/// Seeds without one kind of fault against a planted bug.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// The kind, or the fault point's name.
    pub without: String,
    /// Seeds that it was given; 0 if it was not tried.
    pub seeds_max: u64,
    /// Seeds until the bug was found; absent when it was not: the kind is needed.
    pub seeds_to_kill: Option<u64>,
}

impl Ablation {
    /// Whether the bug was not found without it.
    pub fn is_needed(&self) -> bool {
        self.seeds_max > 0 && self.seeds_to_kill.is_none()
    }
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

    /// How small plans became, in a line.
    fn smallest(&self) -> Option<String> {
        let all: Vec<&Smallest> = self.mutants.iter().filter_map(|row| row.smallest.as_ref()).collect();
        let middle = |of: fn(&Smallest) -> u64, part: f64| {
            let mut values: Vec<u64> = all.iter().map(|smallest| of(smallest)).collect();
            values.sort_unstable();
            values.get(((values.len() as f64 * part).ceil() as usize).saturating_sub(1)).copied()
        };
        Some(format!(
            "{} plans shrunk: median {} faults, {} fault points, {} operations; 9 of 10 within {} s",
            all.len(),
            middle(|s| s.faults, 0.5)?,
            middle(|s| s.fault_points, 0.5)?,
            middle(|s| s.operations, 0.5)?,
            middle(|s| s.took_s.ceil() as u64, 0.9)?,
        ))
    }

    /// The table for the docs.
    pub fn markdown(&self) -> String {
        let mut text = "| planted bug | seeds | found by | smallest plan | needs | helped by |\n".to_string();
        text += "|---|---|---|---|---|---|\n";
        for row in &self.mutants {
            let seeds = row.seeds_to_kill.map_or("-".into(), |n| n.to_string());
            let found = match (&row.oracle, &row.rule) {
                (Some(oracle), Some(rule)) => format!("{oracle}/{rule}"),
                _ if row.control => "survives, as it must".into(),
                _ => "**survives**".into(),
            };
            let smallest = row.smallest.as_ref();
            let size = smallest.map_or(String::new(), |s| {
                format!("{} faults, {} points, {} operations", s.faults, s.fault_points, s.operations)
            });
            let kinds = |needed: bool| {
                let kinds = smallest.iter().flat_map(|s| &s.kinds).filter(|kind| kind.is_needed() == needed);
                let told = kinds.map(|kind| match kind.seeds_to_kill {
                    Some(seeds) => format!("{} ({seeds})", kind.without),
                    None => kind.without.clone(),
                });
                told.collect::<Vec<_>>().join(", ")
            };
            text += &format!("| {} | {seeds} | {found} | {size} | {} | {} |\n", row.name, kinds(true), kinds(false));
        }
        text
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
        if let Some(line) = self.smallest() {
            writeln!(f, "{line}")?;
        }
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
            smallest: None,
        }
    }

    #[test]
    fn how_small_plans_became() {
        let kind = |without: &str, seeds_to_kill| Ablation { without: without.into(), seeds_max: 200, seeds_to_kill };
        let kinds = vec![kind("crash", None), kind("loss", Some(3))];
        let smallest = Smallest { faults: 2, operations: 7, fails: 3, runs: 90, took_s: 1.5, kinds, fault_points: 0 };
        let table =
            KillTable::new(500, 9.0, vec![Row { smallest: Some(smallest), ..row("a", Some(2)) }, row("b", None)]);
        let told = table.to_string();
        assert!(
            told.contains("1 plans shrunk: median 2 faults, 0 fault points, 7 operations; 9 of 10 within 2 s"),
            "{told}"
        );
        expect![[r#"
            | planted bug | seeds | found by | smallest plan | needs | helped by |
            |---|---|---|---|---|---|
            | a | 2 | watches/lost | 2 faults, 0 points, 7 operations | crash | loss (3) |
            | b | - | **survives** |  |  |  |
        "#]]
        .assert_eq(&table.markdown());
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
