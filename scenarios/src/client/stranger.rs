//! Connections of those who do not belong here: they say nothing, or what nobody understands. A member ends them in time.

use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use synod_env::{Env, Stream};
use synod_types::NodeId;
use synod_types::peer::Greeting;
use synod_types::version::CLUSTER_VERSION;
use synod_wire::peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What strangers say at a client port: nothing, a negative length, a length beyond all bounds, a frame that asks for no
/// session.
pub const TO_CLIENT_PORT: [&[u8]; 4] = [b"", b"\xff\xff\xff\xfe", b"\x7f\xff\xff\xff", b"\0\0\0\x04\0\0\0\0"];

/// The same at a peer port: nothing, what is no frame, the greeting of another cluster.
pub fn to_peer_port(node: u8) -> [Vec<u8>; 3] {
    let mut foreign = BytesMut::new();
    let greeting = Greeting {
        version: synod_node::PROTOCOL,
        cluster: 0,
        from: NodeId(if node == 1 { 2 } else { 1 }),
        to: NodeId(node),
        incarnation: 1,
        cluster_version: CLUSTER_VERSION,
        promise: None,
    };
    peer::put_greeting(&mut foreign, &greeting);
    [Vec::new(), vec![0xff; 64], foreign.to_vec()]
}

/// Says this on a new connection and waits until the member ends it; how long that took, if it did so before.
pub async fn says(env: &Env, address: SocketAddr, what: &[u8], patience: Duration) -> io::Result<Option<Duration>> {
    let mut stream = env.network.connect(address).await?;
    let begin = env.now();
    stream.write_all(what).await?;
    stream.flush().await?;
    let ended = env.timeout(patience, ends(&mut *stream)).await.is_ok();
    Ok(ended.then(|| env.now().since(begin)))
}

async fn ends(stream: &mut dyn Stream) {
    let mut answer = [0; 256];
    while !matches!(stream.read(&mut answer).await, Ok(0) | Err(_)) {}
}
