//! One universe of a seed: its machines, its processes, its time, and what can be asked about it afterwards.

use crate::clock::Sleep;
use crate::events::SimEvent;
use crate::executor::{self, Tasks};
use crate::kernel::{Shared, nanos};
use crate::network::ip_of;
use crate::process::Process;
use madsim::runtime::Runtime;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use synod_env::{BoxFuture, Env};
use synod_types::Instant;

/// A machine of a world: 10.0.0.N. What is done to it is done through [`World`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub(crate) u32);

impl Host {
    /// Its address.
    pub fn ip(self) -> IpAddr {
        ip_of(self.0)
    }

    /// Its number, from 1 in the order of creation.
    pub fn number(self) -> u32 {
        self.0
    }

    /// A port of it.
    pub fn addr(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.0)
    }
}

/// A universe, for whoever drives it: cheap to clone, good only inside its [`run_seed`].
#[derive(Clone)]
pub struct World {
    pub(crate) shared: Arc<Shared>,
}

/// Runs the universe of a seed on a fresh thread until `main` completes, then ends all its processes. Panics of `main`
/// pass through; those of processes are in [`World::panics`].
pub fn run_seed<T, F>(seed: u64, main: impl FnOnce(World) -> F + Send) -> T
where
    T: Send,
    F: Future<Output = T>,
{
    let universe = || {
        let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        runtime.block_on(async {
            let world = World { shared: Arc::new(Shared::new(seed)) };
            let output = catch_unwind(AssertUnwindSafe(|| executor::run(&world.shared, seed, main(world.clone()))));
            world.shared.end();
            output
        })
    };
    let output = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(format!("seed {seed}"));
        thread.spawn_scoped(scope, universe).unwrap_or_else(|error| panic!("start seed {seed}: {error}")).join()
    });
    match output {
        Ok(Ok(output)) => output,
        Ok(Err(panic)) | Err(panic) => resume_unwind(panic),
    }
}

impl World {
    /// Makes a machine. Its clocks start anywhere; its disk is empty and survives its processes.
    pub fn host(&self) -> Host {
        Host(self.shared.with(|kernel| kernel.add_host()))
    }

    /// A new process on a machine, with no task yet: it lives until the machine's processes are ended. Gives the machine
    /// power if it has none.
    pub fn env(&self, host: Host) -> Env {
        self.process(host).1
    }

    /// Starts a process on a machine; it ends when `main` does, when it panics, or when it is killed.
    pub fn start<F>(&self, host: Host, main: impl FnOnce(Env) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (process, env) = self.process(host);
        let (shared, incarnation) = (self.shared.clone(), process.incarnation);
        let inner = env.clone();
        env.spawn("main", async move {
            main(inner).await;
            shared.with(|kernel| kernel.end_process(host.0, incarnation));
        });
    }

    fn process(&self, host: Host) -> (Arc<Process>, Env) {
        let tasks = Tasks::new(&self.shared.ready);
        let incarnation = self.shared.with(|kernel| {
            let incarnation = kernel.number();
            let state = kernel.host(host.0);
            state.up = true;
            state.processes.insert(incarnation, tasks.clone());
            if state.paused {
                tasks.pause();
            }
            incarnation
        });
        let process = Arc::new(Process { shared: self.shared.clone(), host: host.0, incarnation, tasks });
        let env = Env {
            clock: process.clone(),
            network: process.clone(),
            disk: process.clone(),
            random: process.clone(),
            tasks: process.clone(),
        };
        (process, env)
    }

    /// Whether a machine has a running process.
    pub fn is_running(&self, host: Host) -> bool {
        self.shared.with(|kernel| !kernel.host(host.0).processes.is_empty())
    }

    /// Waits until a machine has no running process: none from the start, or the last one ended or fell.
    pub async fn ended(&self, host: Host) {
        poll_fn(|cx| {
            self.shared.with(|kernel| {
                let state = kernel.host(host.0);
                if state.processes.is_empty() {
                    return Poll::Ready(());
                }
                if !state.watchers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.watchers.push(cx.waker().clone());
                }
                Poll::Pending
            })
        })
        .await;
    }

    /// Time since the world began.
    pub fn now(&self) -> Instant {
        self.shared.with(|kernel| Instant(kernel.now))
    }

    /// Waits, by the world's own time.
    pub fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.now() + span)
    }

    /// Waits until a moment of the world's own time.
    pub fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { shared: self.shared.clone(), host: 0, at: at.0, key: None })
    }

    /// Waits for a future, at most for a span of the world's own time; none when the span is over first.
    pub async fn timeout<T>(&self, span: Duration, future: impl Future<Output = T>) -> Option<T> {
        let sleep = self.sleep(span);
        tokio::pin!(future);
        tokio::select! {
            biased;
            value = &mut future => Some(value),
            () = sleep => None,
        }
    }

    /// A host's monotonic and wall clock (milliseconds since 1970) as they stand.
    pub fn clocks(&self, host: Host) -> (Instant, i64) {
        self.shared.with(|kernel| {
            let (now, clock) = (kernel.now, &kernel.host(host.0).clock);
            (Instant(clock.monotonic(now)), clock.wall_ns(now).div_euclid(1_000_000))
        })
    }

    /// Hash over all events so far: equal for two runs that were the same.
    pub fn trace_hash(&self) -> u128 {
        self.shared.with(|kernel| kernel.trace.hash())
    }

    /// Calls a function with each event from now on. It must not use the world.
    pub fn on_event(&self, hook: impl FnMut(&SimEvent) + Send + 'static) {
        self.shared.with(|kernel| kernel.trace.hook = Some(Box::new(hook)));
    }

    /// Keeps the last `events_max` events from now on, for [`World::recent_events`].
    pub fn keep_events(&self, events_max: usize) {
        self.shared.with(|kernel| kernel.trace.recent_max = events_max);
    }

    /// The events that were kept.
    pub fn recent_events(&self) -> Vec<SimEvent> {
        self.shared.with(|kernel| kernel.trace.recent.iter().cloned().collect())
    }

    /// How often each kind of fault changed something: a partition that blocked at least one segment, a power failure
    /// that damaged at least one change, and so on.
    pub fn faults_effective(&self) -> BTreeMap<&'static str, u64> {
        self.shared.with(|kernel| kernel.effects.clone())
    }

    /// How often each rare state was reached.
    pub fn sometimes(&self) -> BTreeMap<&'static str, u64> {
        self.shared.with(|kernel| kernel.sometimes.clone())
    }

    /// Panics of processes, with their hosts.
    pub fn panics(&self) -> Vec<(Host, String)> {
        self.shared.with(|kernel| kernel.panics.iter().map(|(host, text)| (Host(*host), text.clone())).collect())
    }

    /// World time after a span; none never comes.
    pub(crate) fn until(now: u64, span: Option<Duration>) -> u64 {
        span.map_or(u64::MAX, |span| now.saturating_add(nanos(span)))
    }
}
