//! Tasks, worker threads and randomness.

use crate::BoxFuture;
use std::time::Duration;

/// Where code runs.
pub trait Tasks: Send + Sync {
    /// Starts a task on the member's core thread. It ends when the member is killed or its runtime is dropped.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Runs work on a worker thread (`real`), or inline after a simulated delay of `cost` (`sim`).
    fn offload(&self, cost: Duration, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;

    /// Marks a rare state as reached.
    fn sometimes(&self, point: &'static str);

    /// Whether a fault point fires: a random number for what it does then, if it does. Only `sim` lets any fire.
    #[cfg(feature = "faults")]
    fn fault_point(&self, _point: &'static str) -> Option<u64> {
        None
    }
}

/// Randomness of one member: from the operating system in `real`, from the seed in `sim`.
pub trait Random: Send + Sync {
    /// The next number.
    fn next_u64(&self) -> u64;
}
