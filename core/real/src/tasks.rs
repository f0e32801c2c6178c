//! Tasks, worker threads and the system's randomness.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use synod_env::{BoxFuture, Random, Tasks};
use tokio::runtime::Handle;

/// Exit code of a member that stops because of a defect of its own.
const EXIT_INTERNAL: i32 = 70;

pub struct RealTasks {
    runtime: Handle,
}

impl RealTasks {
    pub fn new(runtime: Handle) -> RealTasks {
        RealTasks { runtime }
    }
}

impl Tasks for RealTasks {
    fn spawn(&self, name: &'static str, mut task: BoxFuture<'static, ()>) {
        // tokio would swallow the panic and leave the member running without one of its parts.
        self.runtime.spawn(std::future::poll_fn(move |cx| {
            catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))).unwrap_or_else(|_| {
                eprintln!("task {name}: panicked, the process stops");
                std::process::exit(EXIT_INTERNAL)
            })
        }));
    }

    fn offload(&self, _cost: Duration, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let done = self.runtime.spawn_blocking(work);
        // Whether the work finished is told by the value that it sends, not here.
        Box::pin(async move { drop(done.await) })
    }

    fn sometimes(&self, _point: &'static str) {}
}

/// The system's random numbers.
pub struct RealRandom;

impl Random for RealRandom {
    fn next_u64(&self) -> u64 {
        getrandom::u64().unwrap_or_else(|error| panic!("read system randomness: {error}"))
    }
}
