//! Leaks of what no seed decides, planted so that `audit` can be seen to find them: a process beside the clients that
//! sleeps for as long as something outside the simulation says.

use crate::plan::Leak;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::OnceLock;
use std::time::Duration;
use synod_env::Env;

/// Hashers made inside a simulation are seeded by it; one that outlives the run is not.
static HASHER: OnceLock<RandomState> = OnceLock::new();

/// To be called outside of any simulation, before the first run.
pub fn prepare(leak: Option<Leak>) {
    if leak == Some(Leak::HashOrder) {
        HASHER.get_or_init(RandomState::new);
    }
}

/// Leaks until the run ends.
pub async fn run(env: Env, leak: Leak) {
    loop {
        env.sleep(Duration::from_secs(1)).await;
        env.sleep(Duration::from_micros(1 + outside(leak) % 1_000_000)).await;
    }
}

fn outside(leak: Leak) -> u64 {
    match leak {
        Leak::HashOrder => {
            let hasher = HASHER.get_or_init(RandomState::new).clone();
            let mut map = HashMap::with_hasher(hasher);
            map.extend((0..64_u64).map(|i| (i, ())));
            map.keys().take(8).fold(0, |sum, key| sum * 64 + key)
        }
        // Read past the simulator's clock.
        Leak::WallClock => {
            let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
            text.split('.')
                .map(|part| part.chars().filter_map(|c| c.to_digit(10)).fold(0, |n, d| n * 10 + u64::from(d)))
                .sum()
        }
        Leak::ThreadId => {
            let id = format!("{:?}", std::thread::current().id());
            id.chars().filter_map(|c| c.to_digit(10)).fold(0, |n, d| n * 10 + u64::from(d))
        }
        // The stack of each run's thread is somewhere else.
        Leak::Address => {
            let here = 0_u8;
            (&raw const here as u64) >> 4
        }
    }
}
