//! A scenario of your own: workers take a lock in the cluster and write to a resource that only one of them may write
//! to. A worker that is paused after it has taken the lock wakes up when another holds it. With fencing the resource
//! refuses what comes with an older lock; without, the simulator finds the seed in which both write.
//!
//! `cargo run --release -p synod-scenarios --example lock_service [seeds]`

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_env::Env;
use synod_scenarios::own::{Cluster, Session};
use synod_sim::{Dice, Host, World, run_seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const WORKERS: u64 = 3;

/// The resource: takes writes, each with the number of the lock under which it was made.
async fn resource(env: Env, host: Host, fencing: bool, written: Arc<Mutex<Vec<u64>>>) {
    let listener = env.network.listen(host.addr(80)).await.expect("listen");
    let highest = Arc::new(Mutex::new(0));
    while let Ok(mut stream) = listener.accept().await {
        let (written, highest) = (written.clone(), highest.clone());
        env.spawn("writes", async move {
            while let Ok(lock) = stream.read_u64().await {
                let mut highest = highest.lock().expect("not poisoned");
                if !fencing || lock >= *highest {
                    written.lock().expect("not poisoned").push(lock);
                }
                *highest = lock.max(*highest);
            }
        });
    }
}

/// The service under test. A lock node's creation has a zxid of its own: the number of the lock.
async fn worker(env: Env, cluster: Cluster, resource: Host) {
    loop {
        let _: io::Result<()> = turn(&env, &cluster, resource).await;
        env.sleep(Duration::from_millis(50 + env.random_u64() % 100)).await;
    }
}

async fn turn(env: &Env, cluster: &Cluster, resource: Host) -> io::Result<()> {
    let mut session = Session::open(env, &cluster.servers(), 4_000).await?;
    let Ok(lock) = session.create_ephemeral("/lock").await? else { return Ok(()) };
    let mut stream = env.network.connect(resource.addr(80)).await?;
    for _ in 0..5 {
        stream.write_u64(lock as u64).await?;
        env.sleep(Duration::from_millis(20)).await;
    }
    session.delete("/lock").await?.map_err(|code| io::Error::other(format!("delete: {code}")))
}

/// One seed: what the resource took, in order.
async fn scenario(world: World, seed: u64, fencing: bool) -> Vec<u64> {
    let cluster = Cluster::start(&world, 3);
    let (at, written) = (world.host(), Arc::default());
    let log = Arc::clone(&written);
    world.start(at, move |env| resource(env, at, fencing, log));
    let workers: Vec<Host> = (0..WORKERS).map(|_| world.host()).collect();
    for host in &workers {
        let cluster = cluster.clone();
        world.start(*host, move |env| worker(env, cluster, at));
    }
    let mut dice = Dice::numbered(seed, 1);
    for _ in 0..6 {
        world.sleep(Duration::from_millis(500 + dice.below(3_000))).await;
        let paused = workers[dice.below(WORKERS) as usize];
        world.pause(paused);
        world.sleep(Duration::from_millis(dice.below(12_000))).await;
        world.resume(paused);
    }
    let written = written.lock().expect("not poisoned");
    written.clone()
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200);
    for fencing in [false, true] {
        let broken = (0..seeds).find(|seed| {
            let written = run_seed(*seed, async |world| scenario(world, *seed, fencing).await);
            assert!(written.len() > 20, "seed {seed}: nobody worked: {written:?}");
            !written.is_sorted()
        });
        match broken {
            Some(seed) => println!("fencing {fencing}: seed {seed} wrote under an older lock after a newer one"),
            None => println!("fencing {fencing}: {seeds} seeds, no write under an older lock after a newer one"),
        }
        assert_eq!(broken.is_none(), fencing);
    }
}
