//! Many seeds: what failed, and what they covered.

use crate::shortened;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Longest sentence in the text; the JSON has all of it.
const SENTENCE_CHARS_MAX: usize = 240;

/// The JSON file of `synod-sim run --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// Seeds that ran: this many, from `first_seed` on.
    pub seeds: u64,
    /// The first of them.
    pub first_seed: u64,
    /// Seeds that broke a promise of safety or liveness.
    pub failed: u64,
    /// Other seeds of which an oracle could not tell.
    pub unknown: u64,
    /// Wall time, seconds.
    pub wall_s: f64,
    /// Seeds a second of wall time.
    pub seeds_per_s: f64,
    /// The seeds' own time, all together, seconds.
    pub simulated_s: f64,
    /// Operations that clients had an answer to.
    pub operations_acknowledged: Acknowledged,
    /// Share of the seeds' time that their checks took, 0 to 1.
    pub checker_share: f64,
    /// How often each kind of fault took effect: a partition that blocked at least one segment, and so on. A kind that
    /// never did is there with 0.
    pub faults: BTreeMap<String, u64>,
    /// How often plans asked for each kind of fault.
    pub faults_planned: BTreeMap<String, u64>,
    /// How often each rare state was reached. One that never was is there with 0.
    pub sometimes: BTreeMap<String, u64>,
    /// Resident memory.
    pub rss_mb: Resident,
    /// One of each fingerprint, with the smallest seed that shows it; by seed.
    pub failures: Vec<Failure>,
}

/// Operations that clients had an answer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// In all seeds.
    pub total: u64,
    /// In the seed in the middle.
    pub median: u64,
}

/// Resident memory of the process, megabytes; absent where the system does not tell or there were fewer seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resident {
    /// After 100 seeds.
    pub after_100: Option<f64>,
    /// At the end.
    pub end: Option<f64>,
}

/// Findings that are alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The smallest seed that shows it.
    pub seed: u64,
    /// Oracle, rule and class of object: what makes findings of different seeds alike.
    pub fingerprint: String,
    /// Who found it.
    pub oracle: String,
    /// Which of its rules.
    pub rule: String,
    /// `safety`, `liveness` or `unknown`.
    pub severity: String,
    /// What happened in that seed.
    pub sentence: String,
    /// How many seeds show it.
    pub seeds: u64,
    /// The command that shows it again.
    pub reproduce: String,
}

impl Campaign {
    /// The points that no seed reached.
    pub fn missed(&self) -> Vec<&str> {
        self.sometimes.iter().filter(|(_, hits)| **hits == 0).map(|(point, _)| point.as_str()).collect()
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "faults that took effect")?;
        for (kind, hits) in &self.faults {
            writeln!(f, "  {kind:<40} {hits:>10}{}", if *hits == 0 { "  never" } else { "" })?;
        }
        writeln!(f, "sometimes points")?;
        for (point, hits) in &self.sometimes {
            writeln!(f, "  {point:<40} {hits:>10}{}", if *hits == 0 { "  not reached" } else { "" })?;
        }
        let acknowledged = self.operations_acknowledged;
        writeln!(f, "operations acknowledged: {}, median {} a seed", acknowledged.total, acknowledged.median)?;
        writeln!(
            f,
            "time: {:.0} s simulated in {:.1} s, {:.2} seeds/s, {:.0} % of it checking",
            self.simulated_s,
            self.wall_s,
            self.seeds_per_s,
            self.checker_share * 100.0
        )?;
        let megabytes = |mb: Option<f64>| mb.map_or("?".into(), |mb| format!("{mb:.0} MB"));
        match self.rss_mb {
            Resident { after_100: None, end } => writeln!(f, "resident memory: {}", megabytes(end))?,
            Resident { after_100, end } => {
                writeln!(
                    f,
                    "resident memory: {} after 100 seeds, {} at the end",
                    megabytes(after_100),
                    megabytes(end)
                )?;
            }
        }
        write!(f, "{} seeds, {} failed, {} unknown", self.seeds, self.failed, self.unknown)?;
        for failure in &self.failures {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = shortened(&self.sentence, SENTENCE_CHARS_MAX);
        write!(f, "{}  # {}/{}: {sentence}", self.reproduce, self.oracle, self.rule)?;
        match self.seeds {
            0 | 1 => Ok(()),
            seeds => write!(f, " ({seeds} seeds)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn example() -> Campaign {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(k, n)| (k.to_string(), *n)).collect();
        Campaign {
            schema: crate::SCHEMA,
            seeds: 200,
            first_seed: 0,
            failed: 3,
            unknown: 0,
            wall_s: 25.0,
            seeds_per_s: 8.0,
            simulated_s: 6500.5,
            operations_acknowledged: Acknowledged { total: 90_000, median: 450 },
            checker_share: 0.125,
            faults: counts(&[("crash", 12), ("partition", 0)]),
            faults_planned: counts(&[("crash", 14)]),
            sometimes: counts(&[("raft.truncated", 7), ("raft.vote_restored", 0)]),
            rss_mb: Resident { after_100: Some(40.5), end: Some(41.0) },
            failures: vec![Failure {
                seed: 17,
                fingerprint: "watches/lost/k#".into(),
                oracle: "watches".into(),
                rule: "lost".into(),
                severity: "safety".into(),
                sentence: "a change\nwas not told".into(),
                seeds: 3,
                reproduce: "cargo sim replay 17".into(),
            }],
        }
    }

    #[test]
    fn the_json_is_as_documented() {
        let text = crate::json(&example());
        expect![[r#"
            {
              "schema": 1,
              "seeds": 200,
              "first_seed": 0,
              "failed": 3,
              "unknown": 0,
              "wall_s": 25.0,
              "seeds_per_s": 8.0,
              "simulated_s": 6500.5,
              "operations_acknowledged": {
                "total": 90000,
                "median": 450
              },
              "checker_share": 0.125,
              "faults": {
                "crash": 12,
                "partition": 0
              },
              "faults_planned": {
                "crash": 14
              },
              "sometimes": {
                "raft.truncated": 7,
                "raft.vote_restored": 0
              },
              "rss_mb": {
                "after_100": 40.5,
                "end": 41.0
              },
              "failures": [
                {
                  "seed": 17,
                  "fingerprint": "watches/lost/k#",
                  "oracle": "watches",
                  "rule": "lost",
                  "severity": "safety",
                  "sentence": "a change\nwas not told",
                  "seeds": 3,
                  "reproduce": "cargo sim replay 17"
                }
              ]
            }
        "#]]
        .assert_eq(&text);
        assert_eq!(serde_json::from_str::<Campaign>(&text).unwrap(), example());
    }

    #[test]
    fn the_text_ends_with_lines_to_copy() {
        expect![[r#"
            faults that took effect
              crash                                            12
              partition                                         0  never
            sometimes points
              raft.truncated                                    7
              raft.vote_restored                                0  not reached
            operations acknowledged: 90000, median 450 a seed
            time: 6500 s simulated in 25.0 s, 8.00 seeds/s, 12 % of it checking
            resident memory: 40 MB after 100 seeds, 41 MB at the end
            200 seeds, 3 failed, 0 unknown
            cargo sim replay 17  # watches/lost: a change was not told (3 seeds)"#]]
        .assert_eq(&example().to_string());
        assert_eq!(example().missed(), ["raft.vote_restored"]);
    }
}
