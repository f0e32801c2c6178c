//! The simulated world keeps the promises of the seam.

use std::path::Path;
use std::time::Duration;
use synod_sim::{LinkConfig, World, run_seed};

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
