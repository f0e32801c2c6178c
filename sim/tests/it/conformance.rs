//! The simulated world keeps the promises of the seam, and storage works on it.

use std::path::Path;
use std::time::Duration;
use synod_env::Env;
use synod_sim::{Host, LinkConfig, World, run_seed};
use synod_storage::suite::{self, crashes, states};
use synod_types::Mutants;

async fn conforms(world: World) {
    let host = world.host();
    let env = world.env(host);
    let done = synod_env::conformance::all(env, Path::new("data"), host.ip());
    world.timeout(Duration::from_secs(600), done).await.expect("the suite ends");
    assert_eq!(world.panics(), []);
}

#[test]
fn conforms_on_one_host() {
    for seed in 0..5 {
        run_seed(seed, conforms);
    }
}

#[test]
fn conforms_when_reads_and_writes_are_cut() {
    run_seed(1, |world| async move {
        world.set_links(LinkConfig { partial: 0.5, ..LinkConfig::default() });
        conforms(world.clone()).await;
        assert!(world.faults_effective()["partial read"] > 0);
        assert!(world.faults_effective()["partial write"] > 0);
    });
}

#[test]
fn stores() {
    run_seed(1, |world| async move {
        let env = world.env(world.host());
        suite::all(&env, Path::new("data"), Mutants::NONE).await;
    });
}

/// A disk that is unplugged and comes back as after a power failure.
struct Plug(World, Host);

impl crashes::Power for Plug {
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
            world.crash(other);
            world.restore_disk(other, state);
            world.env(other)
        }))
    }
}

#[test]
fn storage_survives_every_crash_state() {
    let seen = run_seed(1, |world| async move {
        let machine = || {
            let host = world.host();
            (Plug(world.clone(), host), world.env(host))
        };
        states::run(machine, Path::new("data"), Mutants::NONE).await
    });
    assert!(seen.cuts > 100 && seen.states > 1_000 && seen.torn > 50, "{seen:?}");
}

#[test]
fn storage_survives_power_failures_and_fault_points() {
    const POINTS: [&str; 6] =
        ["flush_in_parts", "open_late", "retire_never", "roll_early", "snapshot_sync_early", "sync_twice"];
    let torn: u64 = (0..60)
        .map(|seed| {
            run_seed(seed, |world| async move {
                let host = world.host();
                let chance = if seed % 3 == 0 { 0.2 } else { 0.0 };
                let points = POINTS.map(|point| (format!("storage.{point}"), chance));
                world.set_fault_points(host, points.into());
                let (env, plug) = (world.env(host), Plug(world.clone(), host));
                let seen = crashes::run(&env, Path::new("data"), &plug, seed, seed % 2 == 1, Mutants::NONE).await;
                assert_eq!(world.faults_effective().contains_key("fault point"), chance > 0.0);
                seen.torn
            })
        })
        .sum();
    assert!(torn > 5, "{torn} torn tails only");
}
