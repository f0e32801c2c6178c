//! Before a member takes part it asks the others what it has promised them. A disk that holds less is older than the one
//! it had, and counts as lost (`consensus::recovery`).
//!
//! Who does not answer within an election timeout is not waited for: it may be down for good, and the members that are up
//! must be able to serve. So an older disk goes unnoticed when those who remember are out of reach, or have started again
//! since, above all when all members do; and nobody but the member itself knew what it counted for itself as a leader.

use crate::Config;
use crate::links::{PROTOCOL, read_greeting};
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use synod_env::Env;
use synod_replica::keeps;
use synod_types::peer::{Greeting, Promise};
use synod_types::raft::HardState;
use synod_types::{Index, Mutant, NodeId, Term};
use synod_wire::peer::put_greeting;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

/// Whether the disk, with this hard state and this end of the log, is older than what the others remember.
pub(crate) async fn disk_is_older(env: &Env, config: &Config, disk: &HardState, last: (Term, Index)) -> bool {
    if config.mutants.on(Mutant::NodeTrustsOlderDisk) {
        return false;
    }
    let (tx, mut answers) = mpsc::channel(config.members.len());
    for (peer, address) in config.members.clone().into_iter().filter(|(id, _)| *id != config.id) {
        let own = greeting(config, peer, None);
        let (asking, patience, tx) = (env.clone(), config.election_timeout, tx.clone());
        env.spawn("roll-call", async move {
            let answer = asking.timeout(patience, ask(&asking, address, own)).await.and_then(|answer| answer);
            let _ = tx.send((peer, answer.ok().flatten())).await;
        });
    }
    drop(tx);
    let mut older = false;
    while let Some((peer, promise)) = answers.recv().await {
        let Some(promise) = promise.filter(|promise| !keeps(promise, peer, disk, last)) else { continue };
        tracing::warn!(member = config.id.0, peer = peer.0, ?promise, ?disk, ?last, "the disk is older than a promise");
        older = true;
    }
    if older {
        env.sometimes("node.older_disk");
    }
    older
}

async fn ask(env: &Env, address: SocketAddr, own: Greeting) -> io::Result<Option<Promise>> {
    let mut stream = env.network.connect(address).await?;
    let mut out = BytesMut::new();
    put_greeting(&mut out, &own);
    stream.write_all(&out).await?;
    stream.flush().await?;
    let theirs = read_greeting(&mut stream, &mut BytesMut::new()).await?;
    let fits = theirs.version == own.version && theirs.cluster == own.cluster;
    Ok(theirs.promise.filter(|_| fits && (theirs.from, theirs.to) == (own.to, own.from)))
}

/// What this member says first.
pub(crate) fn greeting(config: &Config, to: NodeId, promise: Option<Promise>) -> Greeting {
    Greeting {
        version: PROTOCOL,
        cluster: config.cluster,
        from: config.id,
        to,
        incarnation: config.incarnation,
        cluster_version: config.cluster_version,
        promise,
    }
}
