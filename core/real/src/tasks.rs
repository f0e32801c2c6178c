//! Tasks, worker threads and the system's randomness.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;
use synod_env::{BoxFuture, Random, Tasks};
use tokio::runtime::Handle;

/// Exit code of a member that stops because of a defect of its own.
const EXIT_INTERNAL: i32 = 70;

/// Niceness of worker threads.
const BACKGROUND: i32 = 15;

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
        let done = self.runtime.spawn_blocking(|| {
            // Long computations give way to the core and log threads. Where that is refused, they compete.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), BACKGROUND);
            work()
        });
        // Whether the work finished is told by the value that it sends, not here.
        Box::pin(async move { drop(done.await) })
    }

    fn sometimes(&self, _point: &'static str) {}
}

/// Random numbers of cryptographic quality, seeded by the system: a member draws two with every message, too many for
/// system calls.
pub struct RealRandom(Mutex<ChaCha12Rng>);

impl RealRandom {
    pub fn new() -> RealRandom {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap_or_else(|error| panic!("read system randomness: {error}"));
        RealRandom(Mutex::new(ChaCha12Rng::from_seed(seed)))
    }
}

impl Random for RealRandom {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next_u64()
    }
}
