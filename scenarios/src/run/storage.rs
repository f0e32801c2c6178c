//! Storage by itself, on a machine of its own: work, power failures in it and in the starts after it, rot. A cluster hides
//! most of what a start gets wrong: the others repair it, or it is done before anyone asks.

use super::driver::{Driver, LOOK};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_sim::{Dice, Host, World};
use synod_storage::suite::crashes::{self, Power};
use synod_types::Mutants;

/// How many lives a folder has in a run.
const LIVES: u64 = 3;
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

impl Driver<'_> {
    /// Lives of a folder, the last one with something on the disk that goes bad. What is wrong in it is told as a panic.
    pub(super) async fn try_storage(&mut self, dice: &mut Dice) -> Vec<Finding> {
        self.remark("storage by itself".into());
        let done: Arc<AtomicBool> = Arc::default();
        let host = self.world.host();
        let chance = if dice.below(3) == 0 { POINT_CHANCE } else { 0.0 };
        let points = POINTS.map(|point| (format!("storage.{point}"), chance));
        self.world.set_fault_points(host, points.into());
        let seeds: Vec<u64> = (0..LIVES).map(|_| dice.below(u64::MAX)).collect();
        let (plug, mutants, ended): (_, Mutants, _) = (Plug(self.world.clone(), host), self.mutants, done.clone());
        self.world.start(host, async move |env| {
            for (life, seed) in seeds.into_iter().enumerate() {
                let folder = format!("/folder-{life}");
                crashes::run(&env, Path::new(&folder), &plug, seed, life > 0, mutants).await;
            }
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
