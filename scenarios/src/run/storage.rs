//! Storage by itself, on a machine of its own: work, power failures in it and in the starts after it, rot. A cluster hides
//! most of what a start gets wrong: the others repair it, or it is done before anyone asks.

use super::driver::{Driver, LOOK};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_env::Env;
use synod_sim::{Dice, Host, World};
use synod_storage::suite::crashes::{self, Power};
use synod_storage::suite::{self, states};
use synod_types::Mutants;

/// How many lives a folder has in a run.
const LIVES: u64 = 3;
/// Every case of the suite, and every state that a power failure at one moment could leave, take longer: they are part of
/// so many of a hundred runs.
const CASES_PERCENT: u64 = 10;
const STATES_PERCENT: u64 = 10;
/// The scripted life of that has so many operations.
const OPERATIONS: u64 = 120;
/// Simulated time that all of them take at most.
const PATIENCE: Duration = Duration::from_secs(60);
/// Fault points of storage fire in a third of the lives.
const POINTS: [&str; 6] =
    ["flush_in_parts", "open_late", "retire_never", "roll_early", "snapshot_sync_early", "sync_twice"];
const POINT_CHANCE: f64 = 0.2;

/// A disk that is unplugged and comes back as after a power failure.
struct Plug(World, Host);

impl Power for Plug {
    fn cut_after(&self, operations: u64) {
        self.0.unplug_disk(self.1, operations);
    }

    fn restore(&self) {
        self.0.plug_disk(self.1);
    }

    fn restart(&self) {
        self.0.replug_disk(self.1);
    }
}

impl states::Fork for Plug {
    fn crash_states(&self, changes_max: usize) -> Box<dyn Iterator<Item = Env> + Send> {
        let Plug(world, host) = self;
        let (world, other) = (world.clone(), world.host());
        let states = world.disk_image(*host).crash_states(changes_max);
        Box::new(states.map(move |state| {
            world.restore_disk(other, state);
            world.env(other)
        }))
    }
}

/// What is lived through.
struct Lives {
    seeds: Vec<u64>,
    cases: bool,
    cut: Option<u64>,
}

impl Lives {
    fn drawn(dice: &mut Dice) -> Lives {
        let seeds = (0..LIVES).map(|_| dice.below(u64::MAX)).collect();
        let cases = dice.below(100) < CASES_PERCENT;
        let cut = (dice.below(100) < STATES_PERCENT).then(|| dice.below(OPERATIONS));
        Lives { seeds, cases, cut }
    }

    /// What is wrong is told as a panic.
    async fn live(self, env: Env, plug: Plug, mutants: Mutants) {
        // Without fault points: these cases know what a folder holds.
        let plain = plug.0.host();
        let (plain_env, plain) = (plug.0.env(plain), Plug(plug.0.clone(), plain));
        for (life, seed) in self.seeds.into_iter().enumerate() {
            let folder = PathBuf::from(format!("/folder-{life}"));
            crashes::run(&env, &folder, &plug, seed, life > 0, mutants).await;
        }
        if self.cases {
            suite::all(&plain_env, Path::new("/cases"), mutants).await;
        }
        if let Some(cut) = self.cut {
            let mut seen = states::Seen { cuts: cut, ..states::Seen::default() };
            states::run_cut((plain, plain_env), Path::new("/states"), mutants, &mut seen).await;
        }
    }
}

/// The rule that storage by itself breaks, whatever the cluster's plan.
pub const BY_ITSELF: (&str, &str) = ("storage", "by_itself");

/// What a panic of it tells.
pub(super) fn by_itself(text: String) -> Finding {
    Finding::safety(BY_ITSELF.0, BY_ITSELF.1, "storage", text)
}

impl Driver<'_> {
    /// Lives of a folder, most of them with something on the disk that goes bad in the end.
    pub(super) async fn try_storage(&mut self, dice: &mut Dice) -> Vec<Finding> {
        self.remark("storage by itself".into());
        let done: Arc<AtomicBool> = Arc::default();
        let host = self.world.host();
        let chance = if dice.below(3) == 0 { POINT_CHANCE } else { 0.0 };
        let points = POINTS.map(|point| (format!("storage.{point}"), chance));
        self.world.set_fault_points(host, points.into());
        let (lives, plug, mutants) = (Lives::drawn(dice), Plug(self.world.clone(), host), self.mutants);
        let ended = done.clone();
        self.world.start(host, async move |env| {
            lives.live(env, plug, mutants).await;
            ended.store(true, Ordering::Relaxed);
        });
        let deadline = self.world.now() + PATIENCE;
        while !done.load(Ordering::Relaxed) && self.world.panics().is_empty() {
            if self.world.now() > deadline {
                let sentence = format!("storage by itself had not ended after {} s", PATIENCE.as_secs());
                return vec![Finding::safety("storage", "endless", "storage", sentence).severity(Severity::Liveness)];
            }
            self.world.sleep(LOOK).await;
        }
        Vec::new()
    }
}
