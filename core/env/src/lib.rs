//! The seam between the engine and the world: clock, network, disk, randomness, tasks. Traits and their contracts
//! only. There are two implementations, `real` (tokio, sockets, files, threads) and `sim` (everything simulated from
//! a seed); [`conformance`] is the suite that both pass.
//!
//! The engine holds one cloneable [`Env`] and calls nothing of the outside world in any other way.

pub mod clock;
pub mod conformance;
pub mod disk;
pub mod network;
pub mod tasks;

pub use clock::Clock;
pub use disk::{Disk, File, OpenMode};
pub use network::{Datagrams, Listener, Network, Stream};
pub use tasks::{Random, Tasks};

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use synod_types::Instant;

/// A boxed future, as trait objects need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The world as one member sees it. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Byte streams and datagrams.
    pub network: Arc<dyn Network>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Tasks and worker threads.
    pub tasks: Arc<dyn Tasks>,
}

impl Env {
    /// The member's monotonic clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The member's wall clock, milliseconds since 1970. May jump.
    pub fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// The monotonic clock and the wall clock.
    pub fn clocks(&self) -> (Instant, i64) {
        self.clock.read()
    }

    /// Waits for a span of the member's monotonic clock.
    pub fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(self.clock.now() + span)
    }

    /// Waits until a moment of the member's monotonic clock.
    pub fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(at)
    }

    /// A random number, seeded in the simulator.
    pub fn random_u64(&self) -> u64 {
        self.random.next_u64()
    }

    /// Starts a task on the member's core thread. It ends with the member.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, Box::pin(task));
    }

    /// Runs a long computation away from the core thread and waits for its result. `cost` is what the simulator
    /// charges in time; `real` ignores it.
    ///
    /// # Errors
    /// When the work panicked or the worker is gone.
    pub async fn offload<T: Send + 'static>(
        &self,
        cost: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (tx, rx) = tokio::sync::oneshot::channel();
        let done = self.tasks.offload(cost, Box::new(move || drop(tx.send(work()))));
        done.await;
        rx.await.map_err(|_| io::Error::other("offload: the work did not finish"))
    }

    /// Waits for a future, at most for a span.
    ///
    /// # Errors
    /// `TimedOut` when the span is over first.
    pub async fn timeout<T>(&self, span: Duration, future: impl Future<Output = T>) -> io::Result<T> {
        let sleep = self.sleep(span);
        tokio::pin!(future);
        tokio::select! {
            biased;
            value = &mut future => Ok(value),
            () = sleep => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    /// Marks a rare state as reached. The simulator counts them and a campaign reports those that no seed reached;
    /// `real` ignores them.
    pub fn sometimes(&self, point: &'static str) {
        self.tasks.sometimes(point);
    }

    /// Whether to do here what is allowed and never happens by itself: close a stream, write in two parts, give up half
    /// way. A fault point must never break a promise of the engine; it makes the rare common. Without the feature
    /// `faults` this is a constant `false`, and what depends on it is not compiled.
    #[inline(always)]
    pub fn buggify(&self, point: &'static str) -> bool {
        self.fault_point(point).is_some()
    }

    /// As [`Env::buggify`], with a random number below `bound` (0 when that is 0) if it fires.
    #[inline(always)]
    pub fn buggify_below(&self, point: &'static str, bound: u64) -> Option<u64> {
        Some(self.fault_point(point)? % bound.max(1))
    }

    /// A fault point that waits, less than a span.
    #[inline(always)]
    pub async fn buggify_pause(&self, point: &'static str, span: Duration) {
        let bound = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        if let Some(pause_ns) = self.buggify_below(point, bound) {
            self.sleep(Duration::from_nanos(pause_ns)).await;
        }
    }

    #[cfg(feature = "faults")]
    fn fault_point(&self, point: &'static str) -> Option<u64> {
        self.tasks.fault_point(point)
    }

    #[cfg(not(feature = "faults"))]
    #[inline(always)]
    fn fault_point(&self, _point: &'static str) -> Option<u64> {
        None
    }
}
