//! Time as one member sees it.

use crate::BoxFuture;
use synod_types::Instant;

/// Clocks of one member. In the simulator each member's drift, have an offset, and jump (wall clock only).
pub trait Clock: Send + Sync {
    /// Monotonic: never goes back, unrelated to other members' clocks. It stands still while the machine is suspended
    /// (Linux' CLOCK_MONOTONIC, not CLOCK_BOOTTIME), and sleeps with it: what must be true after a time that others have
    /// measured is asked of them, not of this clock.
    fn now(&self) -> Instant;

    /// Wall clock in milliseconds since 1970; may jump either way.
    fn wall_ms(&self) -> i64;

    /// Both at once.
    fn read(&self) -> (Instant, i64) {
        (self.now(), self.wall_ms())
    }

    /// Completes once `now()` is at or after `at`.
    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()>;
}
