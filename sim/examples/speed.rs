//! How fast a seed runs: five hosts, 60 simulated seconds, heartbeats, 2,000 logged and replicated client operations.
//! `cargo run --release -p synod-sim --example speed [seeds]`

use bytes::Bytes;
use std::path::Path;
use std::time::{Duration, Instant};
use synod_env::{Env, OpenMode, Stream};
use synod_sim::{Host, World, run_seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ENTRY: usize = 256;

/// Answers each entry with one byte, entries that begin with 1 after logging them.
async fn follower(env: Env, host: Host) {
    let file = env.disk.open(Path::new("log"), OpenMode::CreateNew).await.expect("create");
    let listener = env.network.listen(host.addr(1)).await.expect("listen");
    let mut stream = listener.accept().await.expect("accept");
    let mut entry = [0; ENTRY];
    for at in 0.. {
        if stream.read_exact(&mut entry).await.is_err() {
            return;
        }
        if entry[0] == 1 {
            file.write_sync(vec![(at * ENTRY as u64, Bytes::copy_from_slice(&entry))]).await.expect("write");
        }
        stream.write_all(&[1]).await.expect("write");
    }
}

async fn round(peers: &mut [Box<dyn Stream>], kind: u8) {
    for peer in peers.iter_mut() {
        peer.write_all(&[kind; ENTRY]).await.expect("write");
    }
    for peer in peers {
        peer.read_u8().await.expect("read");
    }
}

async fn leader(env: Env, host: Host, followers: Vec<Host>) {
    let file = env.disk.open(Path::new("log"), OpenMode::CreateNew).await.expect("create");
    let mut peers = Vec::new();
    for follower in followers {
        peers.push(env.network.connect(follower.addr(1)).await.expect("connect"));
    }
    let listener = env.network.listen(host.addr(2)).await.expect("listen");
    let mut client = listener.accept().await.expect("accept");
    let mut beat = env.sleep(Duration::from_millis(50));
    for at in 0.. {
        let mut entry = [0; ENTRY];
        tokio::select! {
            biased;
            read = client.read_exact(&mut entry) => {
                read.expect("read");
                let logged = file.write_sync(vec![(at * ENTRY as u64, Bytes::copy_from_slice(&entry))]);
                round(&mut peers, 1).await;
                logged.await.expect("write");
                client.write_all(&[1]).await.expect("write");
            }
            () = &mut beat => {
                round(&mut peers, 0).await;
                beat = env.sleep(Duration::from_millis(50));
            }
        }
    }
}

async fn scenario(world: World) {
    let hosts: Vec<Host> = (0..5).map(|_| world.host()).collect();
    for &host in &hosts[1..] {
        world.start(host, move |env| follower(env, host));
    }
    world.sleep(Duration::from_millis(10)).await;
    let (first, followers) = (hosts[0], hosts[1..].to_vec());
    world.start(first, move |env| leader(env, first, followers));
    world.sleep(Duration::from_millis(10)).await;
    let env = world.env(world.host());
    let mut stream = env.network.connect(first.addr(2)).await.expect("connect");
    for _ in 0..2_000 {
        stream.write_all(&[1; ENTRY]).await.expect("write");
        stream.read_u8().await.expect("read");
        env.sleep(Duration::from_millis(28)).await;
    }
    world.sleep_until(synod_types::Instant(60_000_000_000)).await;
}

fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20);
    let began = Instant::now();
    for seed in 0..seeds {
        run_seed(seed, scenario);
    }
    println!("{:?} a seed", began.elapsed() / seeds as u32);
}
