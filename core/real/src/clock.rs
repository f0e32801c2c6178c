//! The system's clocks.

use std::time::{SystemTime, UNIX_EPOCH};
use synod_env::{BoxFuture, Clock};
use synod_types::Instant;

/// Nanoseconds since this clock was made.
pub struct RealClock {
    base: tokio::time::Instant,
}

impl RealClock {
    pub fn new() -> RealClock {
        RealClock { base: tokio::time::Instant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall_ms(&self) -> i64 {
        let ms = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => ms(after),
            Err(before) => -ms(before.duration()),
        }
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        // A moment beyond what the system's clock can hold never comes.
        match self.base.checked_add(std::time::Duration::from_nanos(at.0)) {
            Some(at) => Box::pin(tokio::time::sleep_until(at)),
            None => Box::pin(std::future::pending()),
        }
    }
}
