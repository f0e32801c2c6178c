//! Many seeds: what failed, and what they covered.

use crate::growth::Growth;
use crate::histogram::Histogram;
use crate::run::Verdict;
use crate::shortened;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Longest sentence in the text; the JSON has all of it.
const SENTENCE_CHARS_MAX: usize = 240;
/// So many seeds must reach every point; fewer may miss some by chance.
const SEEDS_OF_ALL_POINTS: u64 = 10_000;

/// The JSON file of `synod-sim run --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// Seeds that ran: this many, from `first_seed` on; merged ones may have gaps, see `shards`.
    pub seeds: u64,
    /// The first of them.
    pub first_seed: u64,
    /// Seeds that broke a promise of safety or liveness.
    pub failed: u64,
    /// Other seeds of which an oracle could not tell.
    pub unknown: u64,
    /// Wall time, seconds. Of shards: the longest, as if they ran side by side.
    pub wall_s: f64,
    /// Seeds a second of wall time. Of shards: of all together.
    pub seeds_per_s: f64,
    /// The seeds' own time, all together, seconds.
    pub simulated_s: f64,
    /// Operations that clients had an answer to.
    pub operations_acknowledged: Acknowledged,
    /// Share of the seeds' time that the checks of their histories took, 0 to 1. The theorems over steps and messages are
    /// looked at while a seed runs, and are part of the rest.
    pub checker_share: f64,
    /// How often each kind of fault took effect: a partition that blocked at least one segment, and so on. A kind that
    /// never did is there with 0.
    pub faults: BTreeMap<String, u64>,
    /// How often each kind of fault of the plans was done. These are the plans' kinds: one kind may take effect in
    /// several ways.
    pub faults_planned: BTreeMap<String, u64>,
    /// How often one was not done: the disks of too many members would have lost what they held, or nothing was there
    /// to be damaged.
    #[serde(default)]
    pub faults_held_back: BTreeMap<String, u64>,
    /// How often each rare state was reached. One that never was is there with 0.
    pub sometimes: BTreeMap<String, u64>,
    /// Resident memory.
    pub rss_mb: Resident,
    /// One of each fingerprint, with the smallest seed that shows it; by seed.
    pub failures: Vec<Failure>,
    /// How many seeds each of the swarm's profiles had.
    #[serde(default)]
    pub profiles: BTreeMap<String, u64>,
    /// Distinct abstract states over seeds.
    #[serde(default)]
    pub states: Growth,
    /// Distinct rare states ("sometimes" points) over seeds.
    #[serde(default)]
    pub points: Growth,
    /// Acknowledged operations a seed.
    #[serde(default)]
    pub operations: Histogram,
    /// Times by name: `time to leader`, `time to first write`, `session survival`.
    #[serde(default)]
    pub liveness: BTreeMap<String, Histogram>,
    /// Seeds that did not serve again after their faults, because the damage that remained forbids it.
    #[serde(default)]
    pub lawfully_stuck: u64,
    /// Whether the plan that must fail did; absent when it was not run.
    #[serde(default)]
    pub canary: Option<bool>,
    /// Whether each of the promoted plans held: failures of the past that must not come back.
    #[serde(default)]
    pub promoted: BTreeMap<String, bool>,
    /// The seeds that were to run, on all machines together; absent where only time was given.
    #[serde(default)]
    pub asked: Option<Range<u64>>,
    /// The campaigns that this one was merged from; none when it ran in one piece. By seed.
    #[serde(default)]
    pub shards: Vec<Shard>,
}

/// One of the campaigns that a report was merged from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// The first of its seeds.
    pub first_seed: u64,
    /// How many they are.
    pub seeds: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Its wall time, seconds.
    pub wall_s: f64,
}

/// Operations that clients had an answer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// In all seeds.
    pub total: u64,
    /// In the seed in the middle; at most 1/16 too large.
    pub median: u64,
}

/// Resident memory of the process, megabytes; absent where the system does not tell or there were fewer seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resident {
    /// After 100 seeds. Of shards: the largest.
    pub after_100: Option<f64>,
    /// At the end. Of shards: the largest.
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
    /// The file of its page, beside the campaign's, if it has one.
    #[serde(default)]
    pub page: Option<String>,
}

impl Campaign {
    /// A campaign from its JSON file.
    ///
    /// # Errors
    /// What is not JSON, is cut in the middle, has another schema or lacks something: with the line and column.
    pub fn parse(text: &str) -> Result<Campaign, String> {
        /// Says which schema the rest has.
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let read = |error: serde_json::Error| format!("read campaign: {error}");
        let Head { schema } = serde_json::from_str(text).map_err(read)?;
        match schema {
            crate::SCHEMA => serde_json::from_str(text).map_err(read),
            _ => Err(format!("read campaign: schema {schema}, this program knows {}", crate::SCHEMA)),
        }
    }

    /// The points that no seed reached.
    pub fn missed(&self) -> Vec<&str> {
        self.sometimes.iter().filter(|(_, hits)| **hits == 0).map(|(point, _)| point.as_str()).collect()
    }

    /// Whether so many seeds ran that one of them must have reached each point. Calm ones alone cannot: where no disk
    /// loses what it holds, nothing has to be restored.
    pub fn must_reach_all(&self) -> bool {
        let only_calm = !self.profiles.is_empty() && self.profiles.keys().all(|profile| profile == "calm");
        self.seeds >= SEEDS_OF_ALL_POINTS && !only_calm
    }

    /// The promoted plans that do not hold any more.
    pub fn broken_again(&self) -> Vec<&str> {
        self.promoted.iter().filter(|(_, held)| !**held).map(|(name, _)| name.as_str()).collect()
    }

    /// The worst of what seeds showed. Missed points and a silent canary count elsewhere: no seed broke a promise.
    pub fn verdict(&self) -> Verdict {
        let worst = self.failures.iter().map(|failure| match failure.severity.as_str() {
            "safety" => Verdict::Safety,
            "liveness" => Verdict::Liveness,
            _ => Verdict::Unknown,
        });
        worst.max().unwrap_or(Verdict::Held)
    }

    /// The ranges of seeds that ran.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let whole = [Shard { first_seed: self.first_seed, seeds: self.seeds, ..Shard::default() }];
        let shards = if self.shards.is_empty() { &whole } else { &self.shards[..] };
        shards.iter().map(Shard::range).filter(|range| !range.is_empty()).collect()
    }

    /// The seeds between the shards, before and behind them that none of them ran.
    pub fn gaps(&self) -> Vec<Range<u64>> {
        let mut ranges = self.ranges();
        if let Some(Range { start, end }) = self.asked {
            ranges.insert(0, start..start);
            ranges.push(end..end);
        }
        ranges.windows(2).map(|two| two[0].end..two[1].start).filter(|gap| !gap.is_empty()).collect()
    }

    /// How many seeds ran after this one.
    pub fn seeds_after(&self, seed: u64) -> u64 {
        let after = |range: &Range<u64>| range.end.saturating_sub(range.start.max(seed.saturating_add(1)));
        self.ranges().iter().map(after).sum()
    }

    /// What more seeds of this kind would still find, in a line.
    pub fn outlook(&self, growth: &Growth) -> String {
        let since = self.seeds_after(growth.last_new_seed);
        let last = growth.last_new_seed;
        if since * 2 < self.seeds {
            return format!("the last new one at seed {last}: more seeds find more");
        }
        let share = 100.0 * since as f64 / self.seeds.max(1) as f64;
        format!("nothing new since seed {last} ({share:.0} % of the seeds): more load or other faults, not more seeds")
    }
}

impl Shard {
    /// Its seeds.
    pub fn range(&self) -> Range<u64> {
        self.first_seed..self.first_seed.saturating_add(self.seeds)
    }
}

impl fmt::Display for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "faults that took effect")?;
        for (kind, hits) in &self.faults {
            writeln!(f, "  {kind:<40} {hits:>10}{}", if *hits == 0 { "  never" } else { "" })?;
        }
        if !self.faults_held_back.is_empty() {
            let of = |(kind, times): (&String, &u64)| format!("{kind} {times}");
            let kinds: Vec<String> = self.faults_held_back.iter().map(of).collect();
            writeln!(f, "held back, lest too many disks lose what they hold: {}", kinds.join(", "))?;
        }
        writeln!(f, "sometimes points")?;
        for (point, hits) in &self.sometimes {
            writeln!(f, "  {point:<40} {hits:>10}{}", if *hits == 0 { "  not reached" } else { "" })?;
        }
        self.coverage(f)?;
        let acknowledged = self.operations_acknowledged;
        writeln!(f, "operations acknowledged: {}, median {} a seed", acknowledged.total, acknowledged.median)?;
        writeln!(
            f,
            "time: {:.0} s simulated in {:.1} s, {:.2} seeds/s, {:.0} % of it checking histories",
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
        self.parts(f)?;
        write!(f, "{} seeds, {} failed, {} unknown", self.seeds, self.failed, self.unknown)?;
        for failure in &self.failures {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

impl Campaign {
    /// What was counted beside faults and points; nothing for what was not counted.
    fn coverage(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, growth) in [("abstract states", &self.states), ("points", &self.points)] {
            if growth.distinct() > 0 {
                writeln!(f, "distinct {what}: {}, {}", growth.distinct(), self.outlook(growth))?;
            }
        }
        for (name, histogram) in &self.liveness {
            writeln!(f, "{name}: {histogram}")?;
        }
        if self.lawfully_stuck > 0 {
            writeln!(f, "lawfully stuck: {} seeds, whose damage forbids progress", self.lawfully_stuck)?;
        }
        if !self.profiles.is_empty() {
            let of = |(name, seeds): (&String, &u64)| format!("{name} {seeds}");
            writeln!(f, "profiles: {}", self.profiles.iter().map(of).collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }

    /// Where the seeds come from, and whether a failure would have been seen.
    fn parts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.shards.is_empty() {
            write!(f, "shards: {}", self.shards.len())?;
            for gap in self.gaps() {
                write!(f, ", seeds {}..{} not run", gap.start, gap.end)?;
            }
            writeln!(f)?;
        }
        match (self.promoted.len(), self.broken_again()) {
            (0, _) => {}
            (plans, broken) if broken.is_empty() => writeln!(f, "promoted plans: {plans} held")?,
            (plans, broken) => {
                writeln!(f, "promoted plans: {} of {plans} BROKEN: {}", broken.len(), broken.join(", "))?
            }
        }
        let missed = self.missed();
        if self.must_reach_all() && !missed.is_empty() {
            writeln!(f, "{} seeds MISSED {} points: {}", self.seeds, missed.len(), missed.join(", "))?;
        }
        match self.canary {
            None => Ok(()),
            Some(true) => writeln!(f, "canary: failed, as it must"),
            Some(false) => writeln!(f, "canary: DID NOT FAIL: this campaign cannot see failures"),
        }
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
                page: None,
            }],
            ..Campaign::default()
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
              "faults_held_back": {},
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
                  "reproduce": "cargo sim replay 17",
                  "page": null
                }
              ],
              "profiles": {},
              "states": {
                "points": [],
                "last_new_seed": 0,
                "sketch": ""
              },
              "points": {
                "points": [],
                "last_new_seed": 0,
                "sketch": ""
              },
              "operations": {
                "unit": "",
                "buckets": [],
                "median": 0,
                "p99": 0,
                "max": 0
              },
              "liveness": {},
              "lawfully_stuck": 0,
              "canary": null,
              "promoted": {},
              "asked": null,
              "shards": []
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
            time: 6500 s simulated in 25.0 s, 8.00 seeds/s, 12 % of it checking histories
            resident memory: 40 MB after 100 seeds, 41 MB at the end
            200 seeds, 3 failed, 0 unknown
            cargo sim replay 17  # watches/lost: a change was not told (3 seeds)"#]]
        .assert_eq(&example().to_string());
        assert_eq!(example().missed(), ["raft.vote_restored"]);
    }

    #[test]
    fn the_text_has_what_was_counted() {
        let mut survival = Histogram::new("s");
        survival.record(30);
        let shard = |first_seed, seeds| Shard { first_seed, seeds, ..Shard::default() };
        let growth = |last_new_seed| Growth { points: vec![(200, 40)], last_new_seed, ..Growth::default() };
        let campaign = Campaign {
            faults: BTreeMap::new(),
            sometimes: BTreeMap::new(),
            profiles: [("calm".to_string(), 60), ("hostile".to_string(), 140)].into(),
            states: growth(290),
            points: growth(49),
            liveness: [("session survival".to_string(), survival)].into(),
            lawfully_stuck: 2,
            canary: Some(true),
            shards: vec![shard(0, 100), shard(200, 100)],
            ..example()
        };
        expect![[r#"
            faults that took effect
            sometimes points
            distinct abstract states: 40, the last new one at seed 290: more seeds find more
            distinct points: 40, nothing new since seed 49 (75 % of the seeds): more load or other faults, not more seeds
            session survival: median 30 s, p99 30 s, at most 30 s
            lawfully stuck: 2 seeds, whose damage forbids progress
            profiles: calm 60, hostile 140
            operations acknowledged: 90000, median 450 a seed
            time: 6500 s simulated in 25.0 s, 8.00 seeds/s, 12 % of it checking histories
            resident memory: 40 MB after 100 seeds, 41 MB at the end
            shards: 2, seeds 100..200 not run
            canary: failed, as it must
            200 seeds, 3 failed, 0 unknown
            cargo sim replay 17  # watches/lost: a change was not told (3 seeds)"#]].assert_eq(&campaign.to_string());
        assert!(campaign.gaps().into_iter().eq([Range { start: 100, end: 200 }]));
        assert_eq!((campaign.seeds_after(49), campaign.seeds_after(250)), (150, 49));
        assert_eq!((campaign.verdict(), example().failures.len()), (Verdict::Safety, 1));
        let old = serde_json::to_value(example()).unwrap();
        let mut without = old.as_object().unwrap().clone();
        without.retain(|key, _| !["states", "points", "operations", "shards", "canary"].contains(&key.as_str()));
        assert_eq!(serde_json::from_value::<Campaign>(without.into()).unwrap(), example());
    }
}
