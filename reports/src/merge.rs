//! One report from many: shards of a campaign that ran on other machines, or a campaign that was resumed.
//!
//! Shards must not share seeds: a seed that counted twice would make a campaign look larger than it was. Gaps are
//! allowed, since a shard may have run out of time; [`Campaign::gaps`] lists them.

use crate::campaign::{Acknowledged, Campaign, Resident, Shard};
use crate::histogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Why campaigns do not make one report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeError {
    /// There is none.
    Empty,
    /// One has a schema that this version does not know.
    Schema {
        /// Its seeds.
        seeds: Range<u64>,
        /// Its schema.
        schema: u32,
    },
    /// Two ran the same seeds.
    Overlap {
        /// Seeds of the one that begins first.
        one: Range<u64>,
        /// Seeds of the other.
        other: Range<u64>,
    },
}

impl Campaign {
    /// The report of all of them together. Sums are exact; medians come from histograms and are at most 1/16 too large,
    /// or, for shards without histograms, lie between the shards' medians.
    ///
    /// # Errors
    /// [`MergeError`]: none, one of another schema, or two that share seeds.
    pub fn merge(campaigns: Vec<Campaign>) -> Result<Campaign, MergeError> {
        let mut parts = campaigns;
        parts.sort_by_key(|part| (part.first_seed, part.seeds));
        let shards = shards(&parts)?;
        let mut whole = Campaign { schema: crate::SCHEMA, first_seed: shards[0].first_seed, ..Campaign::default() };
        whole.asked = Campaign::asked(&parts);
        let wall_s: f64 = parts.iter().map(|part| part.wall_s).sum();
        for part in parts {
            whole.checker_share += part.checker_share * part.wall_s / wall_s.max(f64::MIN_POSITIVE);
            whole.absorb(part);
        }
        whole.operations_acknowledged.median = whole.operations.median;
        whole.failures.sort_by(|a, b| (a.seed, &a.fingerprint).cmp(&(b.seed, &b.fingerprint)));
        whole.shards = shards;
        Ok(whole)
    }

    /// What all were asked for together; absent if one of them was not asked for seeds.
    fn asked(parts: &[Campaign]) -> Option<Range<u64>> {
        let asked: Option<Vec<_>> = parts.iter().map(|part| part.asked.clone()).collect();
        asked?.into_iter().reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
    }

    fn absorb(&mut self, part: Campaign) {
        self.states.join(self.seeds, &part.states, part.seeds);
        self.points.join(self.seeds, &part.points, part.seeds);
        self.operations.merge(&operations(&part));
        self.seeds += part.seeds;
        self.failed += part.failed;
        self.unknown += part.unknown;
        self.wall_s = self.wall_s.max(part.wall_s);
        self.seeds_per_s += part.seeds_per_s;
        self.simulated_s += part.simulated_s;
        self.lawfully_stuck += part.lawfully_stuck;
        let Acknowledged { total, .. } = part.operations_acknowledged;
        self.operations_acknowledged.total += total;
        let larger = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        self.rss_mb = Resident {
            after_100: larger(self.rss_mb.after_100, part.rss_mb.after_100),
            end: larger(self.rss_mb.end, part.rss_mb.end),
        };
        add(&mut self.faults, part.faults);
        add(&mut self.faults_planned, part.faults_planned);
        add(&mut self.faults_held_back, part.faults_held_back);
        add(&mut self.sometimes, part.sometimes);
        add(&mut self.profiles, part.profiles);
        for (name, histogram) in part.liveness {
            self.liveness.entry(name).or_default().merge(&histogram);
        }
        // A canary that was silent anywhere is silent: that shard cannot have seen failures.
        self.canary = self.canary.into_iter().chain(part.canary).reduce(|a, b| a && b);
        // A plan that broke anywhere is broken.
        for (name, held) in part.promoted {
            self.promoted.entry(name).and_modify(|all| *all &= held).or_insert(held);
        }
        for failure in part.failures {
            match self.failures.iter_mut().find(|known| known.fingerprint == failure.fingerprint) {
                Some(known) => {
                    let seeds = known.seeds + failure.seeds;
                    if failure.seed < known.seed {
                        *known = failure;
                    }
                    known.seeds = seeds;
                }
                None => self.failures.push(failure),
            }
        }
    }
}

/// The campaigns' ranges of seeds, those of merged ones apart.
fn shards(parts: &[Campaign]) -> Result<Vec<Shard>, MergeError> {
    let mut shards = Vec::new();
    for part in parts {
        let Campaign { first_seed, seeds, failed, wall_s, .. } = *part;
        let whole = Shard { first_seed, seeds, failed, wall_s };
        if part.schema != crate::SCHEMA {
            return Err(MergeError::Schema { seeds: whole.range(), schema: part.schema });
        }
        match part.shards.is_empty() {
            true => shards.push(whole),
            false => shards.extend(&part.shards),
        }
    }
    if shards.is_empty() {
        return Err(MergeError::Empty);
    }
    shards.sort_by_key(|shard| (shard.first_seed, shard.seeds));
    let mut furthest: Range<u64> = 0..0;
    for range in shards.iter().map(Shard::range).filter(|range| !range.is_empty()) {
        if range.start < furthest.end {
            return Err(MergeError::Overlap { one: furthest, other: range });
        }
        furthest = range;
    }
    Ok(shards)
}

/// Acknowledged operations a seed; of a campaign that did not count them, its median for each seed.
fn operations(part: &Campaign) -> Histogram {
    let Acknowledged { median, .. } = part.operations_acknowledged;
    match part.operations.count() {
        0 if part.seeds > 0 => {
            let buckets = vec![(median, part.seeds)];
            Histogram { unit: part.operations.unit.clone(), buckets, median, p99: median, max: median }
        }
        _ => part.operations.clone(),
    }
}

fn add(whole: &mut BTreeMap<String, u64>, part: BTreeMap<String, u64>) {
    for (name, count) in part {
        *whole.entry(name).or_default() += count;
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MergeError::Empty => write!(f, "merge campaigns: there is none"),
            MergeError::Schema { seeds: Range { start, end }, schema } => {
                let known = crate::SCHEMA;
                write!(
                    f,
                    "merge campaigns: that of seeds {start}..{end} has schema {schema}, this version knows {known}"
                )
            }
            MergeError::Overlap { one, other } => write!(
                f,
                "merge campaigns: seeds {}..{} and {}..{} overlap",
                one.start, one.end, other.start, other.end
            ),
        }
    }
}

impl std::error::Error for MergeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Failure;

    fn part(first_seed: u64, seeds: u64) -> Campaign {
        let mut operations = Histogram::new("operations");
        for seed in first_seed..first_seed + seeds {
            operations.record(seed % 100);
        }
        Campaign {
            schema: crate::SCHEMA,
            seeds,
            first_seed,
            wall_s: seeds as f64,
            seeds_per_s: 1.0,
            checker_share: 0.1,
            operations_acknowledged: Acknowledged { total: 10 * seeds, median: operations.median },
            operations,
            faults: [("crash".to_string(), 3)].into(),
            sometimes: [("seen".to_string(), seeds), ("missed".to_string(), 0)].into(),
            ..Campaign::default()
        }
    }

    fn failure(seed: u64, fingerprint: &str) -> Failure {
        Failure { seed, fingerprint: fingerprint.into(), severity: "safety".into(), seeds: 1, ..Failure::default() }
    }

    #[test]
    fn sums_ranges_and_failures() {
        let (mut one, mut two, mut three) = (part(0, 100), part(100, 100), part(250, 50));
        one.failures = vec![failure(7, "a"), failure(9, "b")];
        three.failures = vec![failure(255, "c"), failure(260, "a")];
        (one.canary, two.checker_share) = (Some(true), 0.4);
        two.rss_mb = Resident { after_100: None, end: Some(40.0) };
        let whole = Campaign::merge(vec![three, one, two]).unwrap();
        assert_eq!((whole.first_seed, whole.seeds), (0, 250));
        assert!(whole.gaps().into_iter().eq([Range { start: 200, end: 250 }]));
        assert_eq!((whole.wall_s, whole.seeds_per_s, whole.canary), (100.0, 3.0, Some(true)));
        assert!((whole.checker_share - 0.22).abs() < 1e-9, "{}", whole.checker_share);
        assert_eq!(whole.operations_acknowledged, Acknowledged { total: 2500, median: whole.operations.median });
        assert!((58..=61).contains(&whole.operations.median), "{}", whole.operations.median);
        assert_eq!((whole.faults["crash"], whole.missed(), whole.rss_mb.end), (9, vec!["missed"], Some(40.0)));
        let failures: Vec<_> = whole.failures.iter().map(|f| (f.seed, &*f.fingerprint, f.seeds)).collect();
        assert_eq!(failures, [(7, "a", 2), (9, "b", 1), (255, "c", 1)]);
        assert_eq!(whole.shards.iter().map(|s| s.first_seed).collect::<Vec<_>>(), [0, 100, 250]);
    }

    #[test]
    fn a_merged_report_merges_again() {
        let failing = |seed, part| Campaign { failures: vec![failure(seed, "a")], ..part };
        let early = Campaign::merge(vec![part(0, 10), failing(35, part(30, 10))]).unwrap();
        let whole = Campaign::merge(vec![early.clone(), failing(15, part(10, 20))]).unwrap();
        assert_eq!((whole.failures[0].seed, whole.failures[0].seeds), (15, 2));
        assert_eq!((whole.seeds, whole.shards.len(), whole.gaps()), (40, 3, vec![]));
        assert_eq!(
            Campaign::merge(vec![early, part(35, 1)]).unwrap_err().to_string(),
            "merge campaigns: seeds 30..40 and 35..36 overlap"
        );
    }

    #[test]
    fn what_does_not_make_one_report() {
        assert_eq!(Campaign::merge(vec![]), Err(MergeError::Empty));
        let same = Campaign::merge(vec![part(5, 10), part(5, 10)]).unwrap_err();
        assert_eq!(same.to_string(), "merge campaigns: seeds 5..15 and 5..15 overlap");
        // An empty one in between hides nothing.
        assert!(Campaign::merge(vec![part(0, 100), part(10, 0), part(99, 10)]).is_err());
        assert!(Campaign::merge(vec![part(0, 100), part(10, 0), part(100, 10)]).is_ok());
        let newer = Campaign { schema: 9, ..part(0, 1) };
        assert_eq!(
            Campaign::merge(vec![newer]).unwrap_err().to_string(),
            "merge campaigns: that of seeds 0..1 has schema 9, this version knows 1"
        );
    }

    #[test]
    fn without_histograms_the_median_lies_between_the_medians() {
        let old = |first_seed, seeds, median| Campaign {
            operations: Histogram::default(),
            operations_acknowledged: Acknowledged { total: 0, median },
            ..part(first_seed, seeds)
        };
        let whole = Campaign::merge(vec![old(0, 10, 100), old(10, 30, 400)]).unwrap();
        assert_eq!(whole.operations_acknowledged.median, 400);
    }
}
