//! A process on a host: its tasks, its randomness, and its end. Each start is a new incarnation.

use crate::clock::Sleep;
use crate::events::EventKind;
use crate::executor;
use crate::kernel::{Kernel, Shared, nanos};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use synod_env::{BoxFuture, Random, Tasks};
use tokio::sync::oneshot;

pub(crate) struct Process {
    pub shared: Arc<Shared>,
    pub host: u32,
    pub incarnation: u64,
    pub tasks: Arc<executor::Tasks>,
}

impl Process {
    fn sleep(&self, span: Duration) -> Sleep {
        let at = self.shared.with(|kernel| {
            let now = kernel.now;
            kernel.host(self.host).clock.monotonic(now).saturating_add(nanos(span))
        });
        Sleep { shared: self.shared.clone(), host: self.host, at, key: None }
    }

    /// Starts a task, if the process still runs. A panic in it ends the process and is kept for the report.
    fn start(&self, name: &'static str, mut task: BoxFuture<'static, ()>) {
        let (host, incarnation) = (self.host, self.incarnation);
        let running = self.shared.with(|kernel| {
            let running = kernel.is_running(host, incarnation);
            if running {
                kernel.record(EventKind::Spawn { host, name });
            }
            running
        });
        if !running {
            return;
        }
        let shared = self.shared.clone();
        let task = std::future::poll_fn(move |cx| {
            shared.polled.store(incarnation, Ordering::Relaxed);
            let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
            shared.polled.store(0, Ordering::Relaxed);
            match polled {
                Ok(poll) => poll,
                Err(fallen) if fallen.is::<Fallen>() => Poll::Ready(()),
                Err(panic) => {
                    let message = message(panic.as_ref());
                    shared.with(|kernel| {
                        kernel.record(EventKind::Panic { host, message: message.clone() });
                        kernel.panics.push((host, message));
                        kernel.end_process(host, incarnation);
                    });
                    Poll::Ready(())
                }
            }
        });
        self.tasks.spawn(Box::pin(task));
    }
}

/// The end of a task whose process has fallen while it ran: the task must not take one more step.
struct Fallen;

impl Process {
    /// A task of this process has come to a point, and may not come any further.
    fn at_point<T: Default>(&self, reached: impl FnOnce(&mut Kernel, u32) -> T) -> T {
        let (host, incarnation) = (self.host, self.incarnation);
        let (result, fell) = self.shared.with(|kernel| {
            if !kernel.is_running(host, incarnation) {
                return (T::default(), false);
            }
            let armed = kernel.host(host).armed.is_some();
            (reached(kernel, host), armed && !kernel.is_running(host, incarnation))
        });
        // Whoever drives the world may use a process's `Env` too, and does not fall with it.
        if fell && self.shared.polled.load(Ordering::Relaxed) == incarnation {
            resume_unwind(Box::new(Fallen));
        }
        result
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

impl Tasks for Process {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.start(name, task);
    }

    fn offload(&self, cost: Duration, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let sleep = self.sleep(cost);
        let (tx, rx) = oneshot::channel();
        self.start(
            "offload",
            Box::pin(async move {
                sleep.await;
                work();
                // Nobody may be waiting any more.
                let _ = tx.send(());
            }),
        );
        Box::pin(async move { drop(rx.await) })
    }

    fn sometimes(&self, point: &'static str) {
        self.at_point(|kernel, host| kernel.sometimes(host, point));
    }

    fn fault_point(&self, point: &'static str) -> Option<u64> {
        self.at_point(|kernel, host| kernel.fault_point(host, point))
    }
}

impl Random for Process {
    fn next_u64(&self) -> u64 {
        let host = self.host;
        self.shared.with(|kernel| {
            let value = kernel.host(host).dice.u64();
            kernel.record(EventKind::Random { host, value });
            value
        })
    }
}

impl Kernel {
    pub fn is_running(&self, host: u32, incarnation: u64) -> bool {
        self.hosts.get(host as usize).is_some_and(|host| host.processes.contains_key(&incarnation))
    }

    /// Ends a process, if it still runs.
    pub fn end_process(&mut self, host: u32, incarnation: u64) {
        let Some(tasks) = self.host(host).processes.remove(&incarnation) else { return };
        self.close_sockets(host, incarnation);
        self.finish_disk_ops(host, incarnation);
        let state = self.host(host);
        state.disk.unlock(Some(incarnation));
        if state.processes.is_empty() {
            let watchers = std::mem::take(&mut state.watchers);
            self.wakers.extend(watchers);
        }
        self.record(EventKind::Host { host, what: "process ends" });
        self.dying.push(tasks);
    }

    /// Ends all processes of a host.
    pub fn end_processes(&mut self, host: u32) {
        for incarnation in self.host(host).processes.keys().copied().collect::<Vec<_>>() {
            self.end_process(host, incarnation);
        }
    }
}
