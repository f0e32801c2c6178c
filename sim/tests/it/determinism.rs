//! A seed decides everything, and a seed that is over leaves nothing behind.

use crate::ms;
use bytes::Bytes;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_env::{Env, OpenMode};
use synod_sim::{Fall, Host, LinkConfig, Trigger, World, run_seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A process that logs and echoes numbers, and asks its peers for theirs.
async fn chatter(env: Env, host: Host, peers: Vec<Host>) {
    let folder = Path::new("data");
    env.disk.create_dir_all(folder).await.expect("create folder");
    let path = folder.join(format!("log-{}", env.random_u64()));
    let file = env.disk.open(&path, OpenMode::CreateNew).await.expect("create");
    let listener = env.network.listen(host.addr(1)).await.expect("listen");
    let socket = env.network.bind(host.addr(2)).await.expect("bind");
    let accepting = env.clone();
    env.spawn("accept", async move {
        while let Ok(mut stream) = listener.accept().await {
            accepting.spawn("echo", async move {
                while let Ok(number) = stream.read_u64().await {
                    if stream.write_u64(number).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    for n in 0.. {
        let peer = peers[env.random_u64() as usize % peers.len()];
        let talk = async {
            let mut stream = env.network.connect(peer.addr(1)).await?;
            for _ in 0..5 {
                stream.write_u64(env.random_u64()).await?;
                stream.read_u64().await?;
            }
            std::io::Result::Ok(())
        };
        if env.timeout(ms(50), talk).await.is_err() {
            env.sometimes("talk timed out");
        }
        let number = env.random_u64().to_le_bytes();
        socket.send_to(Bytes::copy_from_slice(&number), peer.addr(2)).await.expect("send");
        while env.timeout(ms(1), socket.recv_from()).await.is_ok() {}
        env.buggify_pause("chatter.late", ms(10)).await;
        let line = Bytes::from(env.now().0.to_le_bytes().to_vec());
        drop(file.write_sync(vec![(n * 8, line)]).await);
        env.sleep(ms(5)).await;
    }
}

async fn scenario(world: World) -> (u128, usize) {
    world.set_links(LinkConfig {
        loss: 0.02,
        partial: 0.1,
        tail_chance: 0.05,
        tail: ms(20),
        corrupt: 0.01,
        reorder: 0.1,
        duplicate: 0.1,
        ..LinkConfig::default()
    });
    let hosts: Vec<Host> = (0..4).map(|_| world.host()).collect();
    let start = |host: Host| {
        let peers = hosts.clone();
        world.start(host, move |env| chatter(env, host, peers));
    };
    let events = Arc::new(Mutex::new(0));
    let count = events.clone();
    world.on_event(move |_| *count.lock().expect("lock") += 1);
    hosts.iter().copied().for_each(start);
    world.set_fault_points(hosts[0], [("chatter.late".to_owned(), 0.2)].into());
    world.crash_at(hosts[2], Trigger::Sync(10), Fall::Power);
    world.ended(hosts[2]).await;
    start(hosts[2]);
    world.crash_at(hosts[2], Trigger::Point("chatter.late".to_owned(), 5), Fall::Crash);
    world.ended(hosts[2]).await;
    start(hosts[2]);
    world.sleep(ms(300)).await;
    world.partition(&hosts[..2], &hosts[2..], Some(ms(300)));
    world.sleep(ms(100)).await;
    world.power_fail(hosts[3]);
    world.pause(hosts[1]);
    world.set_clock_drift(hosts[0], 20_000);
    world.sleep(ms(400)).await;
    start(hosts[3]);
    world.resume(hosts[1]);
    world.crash(hosts[2]);
    start(hosts[2]);
    world.sleep(ms(1_000)).await;
    assert_eq!(world.panics(), []);
    let effects = world.faults_effective();
    for fault in ["crash at a sync", "crash at a point", "fault point", "corruption", "duplication", "reordering"] {
        assert!(effects.contains_key(fault), "no {fault}: {effects:?}");
    }
    let events = *events.lock().expect("lock");
    (world.trace_hash(), events)
}

#[test]
fn the_same_seed_gives_the_same_trace_in_turn_and_in_parallel() {
    let seeds = 1..6_u64;
    let once: Vec<_> = seeds.clone().map(|seed| run_seed(seed, scenario)).collect();
    let twice: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = seeds.map(|seed| scope.spawn(move || run_seed(seed, scenario))).collect();
        threads.into_iter().map(|thread| thread.join().expect("seed")).collect()
    });
    assert_eq!(once, twice);
    for (n, one) in once.iter().enumerate() {
        assert!(one.1 > 5_000, "the scenario has {} events only", one.1);
        assert!(once[..n].iter().all(|other| other.0 != one.0), "two seeds have one trace");
    }
}

#[test]
fn events_can_be_watched_and_kept() {
    run_seed(1, |world| async move {
        world.keep_events(10);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        world.on_event(move |event| sink.lock().expect("lock").push(event.to_string()));
        let host = world.host();
        world.start(host, move |env| chatter(env, host, vec![host]));
        world.sleep(ms(100)).await;
        let (kept, lines) = (world.recent_events(), lines.lock().expect("lock").clone());
        assert_eq!(kept.len(), 10);
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        assert_eq!(kept[..], lines[lines.len() - 10..]);
        assert!(lines.iter().any(|line| line.contains("data 10.0.0.1:")), "{lines:#?}");
    });
}

#[test]
fn a_panic_of_main_passes_through_and_ends_the_seed() {
    let caught = std::panic::catch_unwind(|| {
        run_seed(1, |world| async move {
            let host = world.host();
            world.start(host, move |env| chatter(env, host, vec![host]));
            world.sleep(ms(10)).await;
            panic!("on purpose");
        })
    });
    assert_eq!(caught.expect_err("it panics").downcast_ref::<&str>(), Some(&"on purpose"));
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split(' ').nth(1).expect("resident pages").parse().expect("a number");
    pages * 4096
}

#[test]
fn seeds_leave_no_memory_behind() {
    let short = |seed| {
        run_seed(seed, |world| async move {
            let hosts: Vec<Host> = (0..3).map(|_| world.host()).collect();
            for &host in &hosts {
                let peers = hosts.clone();
                world.start(host, move |env| chatter(env, host, peers));
            }
            world.sleep(ms(50)).await;
            world.pause(hosts[0]);
            world.power_fail(hosts[1]);
            let sleeping = world.env(hosts[2]);
            sleeping.spawn("sleep", {
                let env = sleeping.clone();
                async move { env.sleep(Duration::from_secs(99)).await }
            });
            world.sleep(ms(10)).await;
        })
    };
    (0..100).for_each(short);
    let grown = |round: u64| {
        let before = resident();
        (0..500).for_each(|seed| short(1_000 * round + seed));
        resident().saturating_sub(before)
    };
    // Other tests of this process grow meanwhile, though not in every round; a leaked runtime is 50 KB or more.
    let rounds: Vec<usize> = (1..=4).map(grown).collect();
    assert!(rounds.iter().any(|grown| *grown < 500 * 20_000), "500 seeds left {rounds:?} bytes");
}
