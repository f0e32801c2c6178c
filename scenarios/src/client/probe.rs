//! What the driver asks a member at the end.

use super::Client;
use crate::plan::{Mix, Workload};
use crate::recorder::Recorder;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use synod_checkers::history::{Change, Request};
use synod_env::Env;
use synod_sim::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One operation on a connection of its own.
pub async fn probe(
    env: Env,
    recorder: Recorder,
    id: u32,
    node: u8,
    servers: Vec<SocketAddr>,
    paths: Vec<String>,
) -> io::Result<()> {
    let workload = Workload {
        clients: 1,
        readers: 0,
        horizon_ms: 0,
        operations: 1,
        keys: 1,
        // More than is granted.
        session_timeout_ms: 100_000,
        pipeline: 64,
        mix: Mix::default(),
        script: None,
    };
    let dice = (Dice::numbered(0, 0), Dice::numbered(0, 0));
    let mut client = Client::new(id, env, recorder, Arc::default(), dice, workload, servers);
    let Some(mut c) = client.open(node).await? else { return Err(io::ErrorKind::ConnectionAborted.into()) };
    let create = client.create(format!("/probe-{id}-"), true, true);
    client.send(&mut c, Request::Create(create));
    client.send(&mut c, Request::Sync { path: "/".into() });
    for path in paths {
        client.send(&mut c, Request::GetData { path, watch: false });
    }
    client.send(&mut c, Request::CountBelow { path: "/".into() });
    client.send(&mut c, Request::GetChildren { path: "/".into(), watch: false });
    client.send(&mut c, Request::CloseSession);
    let data = c.output.split();
    let result = async {
        c.stream.write_all(&data).await?;
        c.stream.flush().await?;
        while !c.pending.is_empty() {
            if c.stream.read_buf(&mut c.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            client.take_replies(&mut c)?;
        }
        Ok(())
    };
    let result = result.await;
    client.recorder.changed(id, c.id, Change::Disconnected);
    result
}
