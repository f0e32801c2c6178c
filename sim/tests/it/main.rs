//! Tests of the simulated world: it keeps the seam's promises, each fault does what it says, a seed decides everything.

mod conformance;
mod determinism;
mod disks;
mod falls;
mod machines;
mod network;

use std::time::Duration;
use synod_env::{Env, Stream};
use synod_sim::{Host, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Two hosts with a process each and a connection between them.
struct Pair {
    world: World,
    a: Host,
    b: Host,
    env_a: Env,
    env_b: Env,
    client: Box<dyn Stream>,
    server: Box<dyn Stream>,
}

async fn pair(world: World) -> Pair {
    let (a, b) = (world.host(), world.host());
    let (env_a, env_b) = (world.env(a), world.env(b));
    let (client, server) = connect(&env_a, &env_b, b, 80).await;
    Pair { world, a, b, env_a, env_b, client, server }
}

async fn connect(from: &Env, to: &Env, host: Host, port: u16) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = to.network.listen(host.addr(port)).await.expect("listen");
    let client = from.network.connect(host.addr(port)).await.expect("connect");
    (client, listener.accept().await.expect("accept"))
}

async fn send(stream: &mut Box<dyn Stream>, data: &[u8]) {
    stream.write_all(data).await.expect("write");
}

/// What arrives within a span; none if nothing does.
async fn arrives(world: &World, stream: &mut Box<dyn Stream>, span: Duration) -> Option<std::io::Result<Vec<u8>>> {
    let mut buffer = vec![0; 1 << 16];
    let n = world.timeout(span, stream.read(&mut buffer)).await?;
    Some(n.map(|n| buffer[..n].to_vec()))
}
