//! Runs the tasks of a world on one thread, in an order that the seed decides.
//!
//! Which of the tasks that are ready comes next is drawn by lot. A poll takes 50 to 100 ns of the world's time, so that
//! no loop makes time stand still; when nobody is ready, time goes on to what comes due next. A task belongs to a
//! process: it waits while the process is paused and is dropped when it has ended, between two polls and never during
//! one, because the task that runs may hold locks that others want while they are dropped.

use crate::dice::{Dice, Stream};
use crate::kernel::Shared;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use synod_env::BoxFuture;

/// Nanoseconds that a poll takes: at least, and below.
const POLL_NS: (u64, u64) = (50, 100);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tasks that were woken, each once.
#[derive(Default)]
pub(crate) struct Ready(Mutex<Vec<Arc<Task>>>);

impl Ready {
    /// Takes one of them out, by lot.
    fn draw(&self, dice: &mut Dice) -> Option<Arc<Task>> {
        let mut ready = lock(&self.0);
        match ready.len() {
            0 | 1 => ready.pop(),
            n => Some(ready.swap_remove(dice.below(n as u64) as usize)),
        }
    }
}

/// The tasks of one process.
pub(crate) struct Tasks {
    ready: Arc<Ready>,
    paused: AtomicBool,
    group: Mutex<Group>,
}

#[derive(Default)]
struct Group {
    spawned: u64,
    /// Those that have not completed, in the order of their start.
    live: BTreeMap<u64, Arc<Task>>,
    /// Those that were woken during a pause.
    waiting: Vec<Arc<Task>>,
}

/// A task; as a waker it makes itself ready.
pub(crate) struct Task {
    number: u64,
    /// None while it is polled and once it is over.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    /// It is among the ready ones, or waits for the end of a pause.
    woken: AtomicBool,
    tasks: Arc<Tasks>,
}

impl Tasks {
    pub fn new(ready: &Arc<Ready>) -> Arc<Tasks> {
        Arc::new(Tasks { ready: ready.clone(), paused: AtomicBool::new(false), group: Mutex::default() })
    }

    pub fn spawn(self: &Arc<Self>, future: BoxFuture<'static, ()>) {
        let mut group = lock(&self.group);
        group.spawned += 1;
        let task = Task::new(group.spawned, self.clone(), Some(future));
        group.live.insert(task.number, task.clone());
        task.wake();
    }

    pub fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    pub fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
        lock(&self.ready.0).append(&mut lock(&self.group).waiting);
    }

    /// Drops them all. Not to be called by a task.
    pub fn end(&self) {
        self.paused.store(false, Ordering::Relaxed);
        let group = std::mem::take(&mut *lock(&self.group));
        for task in group.live.into_values() {
            let future = lock(&task.future).take();
            drop(future);
        }
    }
}

impl Task {
    fn new(number: u64, tasks: Arc<Tasks>, future: Option<BoxFuture<'static, ()>>) -> Arc<Task> {
        Arc::new(Task { number, future: Mutex::new(future), woken: AtomicBool::new(false), tasks })
    }

    /// Polls it, unless it is over.
    fn run(self: Arc<Self>) {
        if self.tasks.paused.load(Ordering::Relaxed) {
            let tasks = self.tasks.clone();
            lock(&tasks.group).waiting.push(self);
            return;
        }
        self.woken.store(false, Ordering::Relaxed);
        let Some(mut future) = lock(&self.future).take() else { return };
        let waker = Waker::from(self.clone());
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => *lock(&self.future) = Some(future),
            Poll::Ready(()) => drop(lock(&self.tasks.group).live.remove(&self.number)),
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Relaxed) {
            lock(&self.tasks.ready.0).push(self.clone());
        }
    }
}

/// Runs a world until `main` completes.
pub(crate) fn run<F: Future>(shared: &Shared, seed: u64, main: F) -> F::Output {
    let mut dice = Dice::new(seed, Stream::Scheduler);
    let mut main = pin!(main);
    let own = Task::new(0, Tasks::new(&shared.ready), None);
    own.wake_by_ref();
    let waker = Waker::from(own.clone());
    loop {
        while let Some(task) = shared.ready.draw(&mut dice) {
            if Arc::ptr_eq(&task, &own) {
                own.woken.store(false, Ordering::Relaxed);
                if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return output;
                }
            } else {
                task.run();
            }
            shared.pass(POLL_NS.0 + dice.below(POLL_NS.1 - POLL_NS.0));
        }
        assert!(shared.skip(), "nobody is ready and nothing comes due: all tasks would wait for ever");
    }
}
