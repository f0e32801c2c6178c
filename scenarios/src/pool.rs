//! Worker threads that pull seeds in order, and one that folds what came of them in the same order: however many cores
//! there are, and whichever seed takes longest, the outcome is the same.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

/// As many workers as the machine has cores.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Works on seeds until there are no more or `fold` says so. What waits for its turn is bounded by how far one seed can
/// lag behind the others.
pub fn in_order<T: Send>(
    jobs: usize,
    seeds: impl Iterator<Item = u64> + Send,
    work: impl Fn(u64) -> T + Sync,
    mut fold: impl FnMut(u64, T) -> ControlFlow<()>,
) {
    let queue = Mutex::new(seeds.enumerate().fuse());
    let (sender, receiver) = sync_channel(jobs);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, queue, work) = (sender.clone(), &queue, &work);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                    let Some((turn, seed)) = next else { return };
                    // Nobody listens any more once the fold has ended.
                    if sender.send((turn, seed, work(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        for (at, seed, result) in receiver {
            waiting.insert(at, (seed, result));
            while let Some((seed, result)) = waiting.remove(&turn) {
                turn += 1;
                if fold(seed, result).is_break() {
                    return;
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_seeds() {
        let mut seen = Vec::new();
        let slow_when_even = |seed: u64| {
            std::thread::sleep(std::time::Duration::from_millis(if seed.is_multiple_of(2) { 5 } else { 0 }));
            seed * 10
        };
        in_order(4, 3..40, slow_when_even, |seed, result| {
            seen.push((seed, result));
            if seed == 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, (3..=30).map(|s| (s, s * 10)).collect::<Vec<_>>());
    }
}
