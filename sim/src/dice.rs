//! Seeded randomness, in streams that do not disturb each other.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// What a stream is for. The numbers are part of what a seed means: never change one.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    /// Of the network, for one direction between two hosts.
    Link(u32, u32),
    /// Of one host's disk.
    Disk(u32),
    /// Of the processes on one host.
    Process(u32),
    /// Of one host's clocks.
    Clock(u32),
    /// Of one fault point on one host, by its name.
    Point(u32, &'static str),
    /// Of the order in which tasks run.
    Scheduler,
}

impl Stream {
    fn number(self) -> u64 {
        let of = |kind: u64, a: u32, b: u32| kind << 56 | u64::from(a) << 28 | u64::from(b);
        match self {
            Stream::Link(from, to) => of(1, from, to),
            Stream::Disk(host) => of(2, host, 0),
            Stream::Process(host) => of(3, host, 0),
            Stream::Clock(host) => of(4, host, 0),
            Stream::Point(host, name) => of(5, host, xxh3_64(name.as_bytes()) as u32 >> 4),
            Stream::Scheduler => of(6, 0, 0),
        }
    }
}

/// One stream of random numbers of a seed.
pub struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64, stream: Stream) -> Dice {
        Dice::numbered(seed, stream.number())
    }

    /// A stream for the use of whoever drives the world; `stream` is below 2^56 and of its own choice.
    pub fn numbered(seed: u64, stream: u64) -> Dice {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Dice(rng)
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(n)) >> 64) as u64
    }

    /// True with probability `p`. Draws nothing when `p` is not above 0.
    pub fn chance(&mut self, p: f64) -> bool {
        // 53 bits are what a double holds.
        p > 0.0 && ((self.u64() >> 11) as f64) < p * (1_u64 << 53) as f64
    }

    /// A span in nanoseconds between two spans, both included.
    pub(crate) fn span(&mut self, (min, max): (Duration, Duration)) -> u64 {
        let (min, max) = (crate::kernel::nanos(min), crate::kernel::nanos(max));
        min + self.below(max.saturating_sub(min) + 1)
    }
}
