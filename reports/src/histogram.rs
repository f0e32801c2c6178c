//! Counts of values by size: small, exact in number, a few per cent off in value, and two of them add up.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A power of two is cut into so many buckets: a bound is at most 1/16 above the values it stands for.
const BUCKETS_PER_OCTAVE: u64 = 16;

/// How often values occurred, by size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Unit of the values: `ms`, `operations`.
    pub unit: String,
    /// Upper bound of the bucket, inclusive, and how many values lie in it, above the bound before; ascending.
    pub buckets: Vec<(u64, u64)>,
    /// Half of the values are at most this.
    pub median: u64,
    /// All but one of a hundred are at most this.
    pub p99: u64,
    /// The largest, exactly.
    pub max: u64,
}

impl Histogram {
    /// Without values.
    pub fn new(unit: &str) -> Histogram {
        Histogram { unit: unit.to_string(), ..Histogram::default() }
    }

    /// One more value.
    pub fn record(&mut self, value: u64) {
        self.put(bound(value), 1);
        self.max = self.max.max(value);
        self.summarise();
    }

    /// The other's values too.
    pub fn merge(&mut self, other: &Histogram) {
        if self.unit.is_empty() {
            self.unit.clone_from(&other.unit);
        }
        for (bound, count) in &other.buckets {
            self.put(*bound, *count);
        }
        self.max = self.max.max(other.max);
        self.summarise();
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The smallest bound that this share of the values, 0 to 1, does not exceed.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        for (bound, count) in &self.buckets {
            below += count;
            if below >= rank {
                return (*bound).min(self.max);
            }
        }
        self.max
    }

    fn put(&mut self, bound: u64, count: u64) {
        match self.buckets.binary_search_by_key(&bound, |bucket| bucket.0) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bound, count)),
        }
    }

    fn summarise(&mut self) {
        self.median = self.quantile(0.5);
        self.p99 = self.quantile(0.99);
    }
}

/// The bucket of a value.
fn bound(value: u64) -> u64 {
    let width = value.max(1).ilog2().saturating_sub(BUCKETS_PER_OCTAVE.ilog2());
    value | ((1 << width) - 1)
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Histogram { unit, median, p99, max, .. } = self;
        write!(f, "median {median} {unit}, p99 {p99} {unit}, at most {max} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_exact_and_large_ones_a_sixteenth_off() {
        for value in (0..5000).chain([1 << 40, u64::MAX - 1, u64::MAX]) {
            let bound = bound(value);
            assert!(bound >= value && bound - value <= value / 16, "{value} in the bucket up to {bound}");
            assert!(value >= 32 || bound == value, "{value} in the bucket up to {bound}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let mut whole = Histogram::new("ms");
        let mut parts = [Histogram::new("ms"), Histogram::default()];
        for value in 1..=1000 {
            whole.record(value);
            parts[value as usize % 2].record(value);
        }
        let [mut sum, odd] = parts;
        sum.merge(&odd);
        assert_eq!(sum, whole);
        assert_eq!((whole.count(), whole.max), (1000, 1000));
        assert!((500..=531).contains(&whole.median), "{}", whole.median);
        assert!((990..=1000).contains(&whole.p99), "{}", whole.p99);
        assert_eq!(Histogram::new("ms").quantile(0.5), 0);
    }
}
