//! [`Env`] on a real machine: tokio's current-thread runtime, sockets, files and worker threads.
//!
//! One core thread runs a member's replica and connections; one log thread writes and flushes files
//! ([`synod_env::File::write_sync`]); everything else that blocks goes to tokio's blocking pool. Nothing of the engine is
//! decided here, and no other crate of the engine may touch tokio's runtime, sockets, files or threads.

// This crate is the one place where the real clock, files, sockets and threads are touched: the bans hold elsewhere.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod clock;
mod disk;
mod network;
mod tasks;

use std::future::Future;
use std::io;
use std::sync::Arc;
use synod_env::Env;

/// The real world, for use inside a tokio runtime. Starts one log thread, which ends when the last clone, file and
/// pending write of this `Env` is gone.
///
/// # Panics
/// Outside a tokio runtime, or when the system gives no thread.
pub fn env() -> Env {
    let runtime = tokio::runtime::Handle::current();
    Env {
        clock: Arc::new(clock::RealClock::new()),
        network: Arc::new(network::RealNetwork),
        disk: Arc::new(disk::RealDisk::new(runtime.clone())),
        random: Arc::new(tasks::RealRandom::new()),
        tasks: Arc::new(tasks::RealTasks::new(runtime)),
    }
}

/// Runs a member's main future on a current-thread runtime of its own until it completes; tasks that are still running
/// then are dropped.
///
/// # Panics
/// When the system gives no runtime.
pub fn run<F: Future>(main: impl FnOnce(Env) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("start runtime: {error}"));
    let output = runtime.block_on(async { main(env()).await });
    // A worker that hangs in a slow disk must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    output
}

/// Completes when the process is asked to stop (SIGTERM or SIGINT).
///
/// # Errors
/// When the system refuses the signal hooks.
pub async fn terminated() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
