//! What damage to a log comes to, seen in the log itself: the entries are there again.

use std::path::PathBuf;
use std::time::Duration;
use synod_env::Env;
use synod_node::Config;
use synod_node::storage::{Options, Recovered, Storage, inspect};
use synod_scenarios::own::{Cluster, Session};
use synod_sim::{Host, World, run_seed};
use synod_types::NodeId;

const WRITES: usize = 40;

fn path(write: usize) -> String {
    format!("/written-{write:03}")
}

/// A cluster that has acknowledged some writes, one after the other, and who may ask it.
async fn written(world: &World) -> (Cluster, Env) {
    let cluster = Cluster::start(world, 3);
    // Who comes late to the founding has it elect a leader once more.
    world.sleep(Duration::from_secs(5)).await;
    let client = world.env(world.host());
    let mut session = loop {
        match Session::open(&client, &cluster.servers(), 30_000).await {
            Ok(session) => break session,
            Err(_) => world.sleep(Duration::from_millis(100)).await,
        }
    };
    for write in 1..=WRITES {
        assert!(session.create_ephemeral(&path(write)).await.expect("answered").is_ok());
    }
    (cluster, client)
}

/// Flips a bit of a write's path in a member's log: in the record, not in the echo that comes before all records.
fn rot(world: &World, host: Host, write: usize) -> bool {
    let (file, _) = world.files(host).into_iter().rfind(|(path, _)| is_log(path)).expect("a log");
    let bytes = world.file(host, &file).expect("the log's bytes");
    let area = u64::from(u32::from_le_bytes(bytes[64..68].try_into().expect("4 bytes")));
    let records = 8_192 + 2 * area as usize;
    let wanted = path(write);
    let at = bytes[records..].windows(wanted.len()).position(|w| w == wanted.as_bytes());
    at.is_some_and(|at| world.rot(host, &file, (records + at) as u64..(records + at) as u64 + 1).is_some())
}

fn is_log(path: &std::path::Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"))
}

fn options(node: u8) -> Options {
    Options::new(NodeId(node), Config::cluster_of("", (1..=3).map(NodeId)))
}

/// How the segments of a member's log end.
async fn endings(world: &World, host: Host) -> Vec<String> {
    let folder = inspect::inspect(&world.env(host), &PathBuf::from("/data"), None).await.expect("inspect");
    folder.segments.into_iter().filter_map(|s| s.content).map(|content| content.ending).collect()
}

/// What a member that is down would start with.
async fn recovered(world: &World, host: Host, node: u8) -> Recovered {
    Storage::open(&world.env(host), &PathBuf::from("/data"), options(node)).await.expect("open").1
}

#[test]
fn damage_in_the_middle_of_a_log_is_restored_from_the_others() {
    for seed in 0..4 {
        run_seed(seed, |world| async move {
            let (cluster, _client) = written(&world).await;
            let damaged = cluster.hosts[1];
            world.sleep(Duration::from_secs(1)).await;
            world.crash(damaged);
            assert!(rot(&world, damaged, WRITES / 2));
            let before = endings(&world, damaged).await;
            assert!(before.iter().any(|ending| ending.starts_with("DAMAGED")), "{before:?}");
            cluster.start_member(&world, 2);
            world.sleep(Duration::from_secs(20)).await;

            cluster.hosts.iter().for_each(|host| world.crash(*host));
            let (mine, theirs) = (recovered(&world, damaged, 2).await, recovered(&world, cluster.hosts[0], 1).await);
            assert!(!mine.hard_state.recovering);
            assert!(mine.entries.len() > WRITES, "{} entries", mine.entries.len());
            assert_eq!(mine.entries, theirs.entries);
        });
    }
}

#[test]
fn rot_in_the_acknowledged_tail_of_every_log_loses_no_write() {
    for seed in 0..4 {
        run_seed(seed, |world| async move {
            let (cluster, client) = written(&world).await;
            cluster.hosts.iter().for_each(|host| world.power_fail(*host));
            let rotten = cluster.hosts.iter().filter(|host| rot(&world, **host, WRITES)).count();
            assert!(rotten >= 2, "the write was on {rotten} disks when it was acknowledged");
            (1..=3).for_each(|node| cluster.start_member(&world, node));
            world.sleep(Duration::from_secs(10)).await;
            let mut session = Session::open(&client, &cluster.servers(), 4_000).await.expect("serves again");
            let again = session.create_ephemeral(&path(WRITES)).await.expect("answered");
            assert_eq!(again, Err(synod_types::ErrorCode::NodeExists.code()), "the acknowledged write is lost");
        });
    }
}
