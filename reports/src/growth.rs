//! How much that is new more seeds still find: distinct things over seeds, and when the last new one came.
//!
//! The curve's size does not grow with the seeds. Curves of different machines are joined by a sketch of what they
//! saw, because two machines mostly see the same things.

use serde::{Deserialize, Serialize};

/// A curve has at most so many points.
const POINTS_MAX: u64 = 256;
/// A sketch keeps so many hashes; up to that it is exact, beyond about 3 % off.
const SKETCH_MAX: usize = 1024;

/// Distinct things over seeds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// After so many seeds, so many distinct ones; both ascending. At most 256 points, and one for each
    /// further shard.
    pub points: Vec<(u64, u64)>,
    /// The last seed that showed a new one. Of several shards, as if they had run one after the other: the last that
    /// was new to its shard, in the last shard that had something new.
    pub last_new_seed: u64,
    /// What they were.
    #[serde(default)]
    pub sketch: Sketch,
}

/// The smallest hashes of a set: enough to tell its size, and that of a union. In JSON, 16 hexadecimal digits a hash.
///
/// Source: Bar-Yossef and others, "Counting distinct elements in a data stream" (RANDOM 2002), its first algorithm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sketch(Vec<u64>);

impl From<Sketch> for String {
    fn from(sketch: Sketch) -> String {
        sketch.0.iter().map(|hash| format!("{hash:016x}")).collect()
    }
}

impl TryFrom<String> for Sketch {
    type Error = String;

    fn try_from(text: String) -> Result<Sketch, String> {
        let mut sketch = Sketch::default();
        for (at, digits) in text.as_bytes().chunks(16).enumerate() {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 16);
            let hash = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            sketch.add(hash.ok_or_else(|| format!("decode sketch: hash {at} is not 16 hexadecimal digits"))?);
        }
        Ok(sketch)
    }
}

impl Growth {
    /// After a seed: how many there are now, it being the `seeds`-th that ran.
    pub fn point(&mut self, seeds: u64, seed: u64, distinct: u64) {
        if distinct > self.distinct() {
            self.last_new_seed = seed;
        }
        // Evenly spaced ones stay; the last is there whatever its place.
        let stride = (2 * seeds / POINTS_MAX).next_power_of_two();
        self.points.retain(|(at, _)| at.is_multiple_of(stride));
        self.points.push((seeds, distinct));
    }

    /// How many, at the end.
    pub fn distinct(&self) -> u64 {
        self.points.last().map_or(0, |(_, distinct)| *distinct)
    }

    /// What a shard saw that ran after these `seeds`; it ran `more`.
    pub fn join(&mut self, seeds: u64, shard: &Growth, more: u64) {
        if self.points.is_empty() {
            self.last_new_seed = shard.last_new_seed;
            self.points = shard.points.iter().map(|(n, distinct)| (seeds + n, *distinct)).collect();
            self.sketch = shard.sketch.clone();
            return;
        }
        let before = self.sketch.clone();
        self.sketch.merge(&shard.sketch);
        if self.sketch != before {
            self.last_new_seed = self.last_new_seed.max(shard.last_new_seed);
        }
        let distinct = self.sketch.estimate().max(self.distinct()).max(shard.distinct());
        self.points.push((seeds + more, distinct));
    }
}

impl Sketch {
    /// One more, by its hash: 64 well-mixed bits.
    pub fn add(&mut self, hash: u64) {
        if self.0.len() == SKETCH_MAX && self.0.last().is_some_and(|largest| hash >= *largest) {
            return;
        }
        if let Err(at) = self.0.binary_search(&hash) {
            self.0.insert(at, hash);
            self.0.truncate(SKETCH_MAX);
        }
    }

    /// The other's too.
    pub fn merge(&mut self, other: &Sketch) {
        for hash in &other.0 {
            self.add(*hash);
        }
    }

    /// How many they are.
    pub fn estimate(&self) -> u64 {
        match self.0.last() {
            Some(largest) if self.0.len() == SKETCH_MAX => {
                let covered = (*largest as f64 + 1.0) / 2f64.powi(64);
                ((SKETCH_MAX - 1) as f64 / covered) as u64
            }
            _ => self.0.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well-mixed bits of a number (the finaliser of SplitMix64).
    fn mixed(n: u64) -> u64 {
        let n = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    fn grown(first_seed: u64, things: impl Iterator<Item = u64>) -> Growth {
        let (mut growth, mut seen) = (Growth::default(), std::collections::BTreeSet::new());
        for (n, thing) in (1..).zip(things) {
            seen.insert(thing);
            growth.sketch.add(mixed(thing));
            growth.point(n, first_seed + n - 1, seen.len() as u64);
        }
        growth
    }

    #[test]
    fn a_curve_stays_small_and_keeps_its_end() {
        let growth = grown(1000, (0..10_000).map(|n| n.min(2_499)));
        assert!((64..=256).contains(&growth.points.len()));
        assert_eq!((growth.distinct(), growth.last_new_seed), (2_500, 3_499));
        assert_eq!(growth.points.last(), Some(&(10_000, 2_500)));
        assert!(growth.points.is_sorted());
        let gap = growth.points.windows(2).map(|two| two[1].0 - two[0].0).max();
        assert!(gap <= Some(10_000 / 64), "{gap:?} seeds between two points");
    }

    #[test]
    fn a_sketch_is_a_line_of_json() {
        let mut sketch = Sketch::default();
        (0..40).chain([u64::MAX]).for_each(|n| sketch.add(mixed(n)));
        let text = serde_json::to_string(&sketch).unwrap();
        assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), sketch);
        for bad in ["12", "00000000000000000", "éééééééé"] {
            assert!(Sketch::try_from(bad.to_string()).is_err(), "{bad}");
        }
    }

    #[test]
    fn shards_that_saw_the_same_are_not_added_up() {
        let mut both = grown(0, 0..3000);
        both.join(3000, &grown(5000, 1500..4500), 3000);
        let distinct = both.distinct();
        assert!((4_200..4_800).contains(&distinct), "{distinct} of 4500");
        assert_eq!(both.points.last(), Some(&(6000, distinct)));
        assert_eq!(both.last_new_seed, 7999);

        let mut few = grown(0, 0..40);
        few.join(40, &grown(40, 20..50), 30);
        assert_eq!((few.distinct(), few.last_new_seed), (50, 69));
        few.join(70, &grown(70, 10..45), 35);
        assert_eq!((few.distinct(), few.last_new_seed), (50, 69), "the third saw nothing new");
    }
}
