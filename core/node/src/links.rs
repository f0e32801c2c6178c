//! Streams between members. Each member dials every other and sends on that stream only; what comes in comes on the
//! streams that the others dialled. The receiver writes one byte back now and then, so that a sender notices a
//! half-open stream and starts a new one.

use crate::core::Shared;
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use synod_env::{Listener, Stream};
use synod_replica::Input;
use synod_types::peer::Greeting;
use synod_types::{Mutant, NodeId};
use synod_wire::peer::{self, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Version of what members say to each other.
pub const PROTOCOL: u32 = 1;
/// Room that a link keeps for what it sends next.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Read from a peer at once, at most.
const READ_BYTES: usize = 32 << 10;
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(1000);

fn greeting(shared: &Shared, to: NodeId) -> Greeting {
    let promise = shared.lock().replica.promise_of(to);
    crate::roll_call::greeting(&shared.config, to, promise)
}

/// Why a greeting does not fit.
fn refusal(shared: &Shared, theirs: &Greeting) -> Option<String> {
    let config = &shared.config;
    if theirs.version != PROTOCOL {
        return Some(format!("peer greeting: version {} of the protocol, {PROTOCOL} is spoken here", theirs.version));
    }
    if theirs.cluster != config.cluster {
        return Some(format!("peer greeting: cluster {:016x}, this is {:016x}", theirs.cluster, config.cluster));
    }
    if theirs.to != config.id || theirs.from == config.id || !config.members.contains_key(&theirs.from) {
        return Some(format!("peer greeting: from member {} to {}, this is {}", theirs.from, theirs.to, config.id));
    }
    None
}

/// Keeps a stream to another member until this one stops.
pub(crate) async fn dial(shared: Arc<Shared>, to: NodeId, address: SocketAddr) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let result = session(&shared, to, address).await;
        let (was_up, there) = {
            let now = shared.now();
            let mut core = shared.lock();
            if core.stopped.is_some() {
                return;
            }
            let link = core.links.get_mut(&to).expect("a link for each peer");
            link.outbox.clear();
            let was_up = std::mem::take(&mut link.up);
            let there = link.there.clone();
            if result.established {
                core.step(&shared, now, Input::Link { peer: to, up: false });
            }
            (was_up || result.established, there)
        };
        if let Err(error) = result.outcome {
            tracing::debug!(member = shared.config.id.0, peer = to.0, %error, "link down");
        }
        backoff = if was_up { BACKOFF_MIN } else { (backoff * 2).min(BACKOFF_MAX) };
        let jitter = backoff.mul_f64((shared.env.random_u64() % 1000) as f64 / 2000.0);
        let pause = shared.env.sleep(backoff / 2 + jitter);
        // Two members whose links are cut as soon as they are up must not wake each other without a pause.
        tokio::select! {
            biased;
            () = there.notified(), if !was_up => {}
            () = pause => {}
        }
        shared.env.buggify_pause("node.redial_late", BACKOFF_MAX).await;
    }
}

struct Ended {
    established: bool,
    outcome: io::Result<()>,
}

async fn session(shared: &Arc<Shared>, to: NodeId, address: SocketAddr) -> Ended {
    let patience = shared.config.election_timeout;
    let opened = shared.env.timeout(patience, open(shared, to, address)).await.and_then(|opened| opened);
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(error) => return Ended { established: false, outcome: Err(error) },
    };
    let wake = {
        let now = shared.now();
        let mut core = shared.lock();
        let link = core.links.get_mut(&to).expect("a link for each peer");
        link.outbox.clear();
        link.outbox.extend_from_slice(&std::mem::take(&mut link.unsigned));
        link.up = true;
        let wake = link.wake.clone();
        core.step(shared, now, Input::Link { peer: to, up: true });
        wake
    };
    let outcome = pump(shared, to, &mut stream, &wake).await;
    Ended { established: true, outcome }
}

async fn open(shared: &Arc<Shared>, to: NodeId, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let mut stream = shared.env.network.connect(address).await?;
    let mut out = BytesMut::new();
    peer::put_greeting(&mut out, &greeting(shared, to));
    stream.write_all(&out).await?;
    stream.flush().await?;
    let theirs = read_greeting(&mut stream, &mut BytesMut::new()).await?;
    if theirs.from != to {
        return Err(io::Error::other(format!("peer greeting: {address} is member {}, not {to}", theirs.from)));
    }
    match refusal(shared, &theirs) {
        None => Ok(stream),
        Some(why) => Err(io::Error::other(why)),
    }
}

pub(crate) async fn read_greeting(stream: &mut Box<dyn Stream>, buffer: &mut BytesMut) -> io::Result<Greeting> {
    loop {
        match peer::next_frame(buffer, peer::BODY_BYTES_MAX).map_err(io::Error::other)? {
            Some(Frame::Greeting(greeting)) => return Ok(greeting),
            Some(Frame::Message(_)) => return Err(io::Error::other("peer greeting: a message came first")),
            None => {
                if stream.read_buf(buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// Sends what is in the outbox until the stream breaks.
async fn pump(
    shared: &Arc<Shared>,
    to: NodeId,
    stream: &mut Box<dyn Stream>,
    wake: &tokio::sync::Notify,
) -> io::Result<()> {
    let patience = 2 * shared.config.election_timeout;
    let mut sign = [0u8; 64];
    let mut heard_at = shared.env.now();
    let mut asked = false;
    let mut check = shared.env.sleep(patience / 2);
    // Takes turns with the outbox, so that neither has to be allocated anew.
    let mut data = BytesMut::new();
    loop {
        data.clear();
        if data.capacity() > KEPT_BYTES_MAX {
            data = BytesMut::new();
        }
        {
            let mut core = shared.lock();
            let link = core.links.get_mut(&to).expect("a link for each peer");
            if !link.up {
                return Err(io::Error::other("link: too much is waiting for the peer"));
            }
            let waiting = link.outbox.len();
            if waiting > 0 {
                match shared.env.buggify_below("node.link_in_parts", waiting as u64) {
                    Some(bytes) => data = link.outbox.split_to(1 + bytes as usize),
                    None => std::mem::swap(&mut data, &mut link.outbox),
                }
            }
            if shared.config.mutants.on(Mutant::LinkResends) {
                link.unsigned.extend_from_slice(&data);
            }
            if core.stopped.is_some() {
                return Ok(());
            }
        }
        if !data.is_empty() {
            if !asked {
                heard_at = heard_at.max(shared.env.now());
            }
            asked = true;
            let mut rest = &data[..];
            while !rest.is_empty() {
                tokio::select! {
                    biased;
                    written = stream.write(rest) => match written? {
                        0 => return Err(io::ErrorKind::WriteZero.into()),
                        n => rest = &rest[n..],
                    },
                    () = &mut check => {
                        check = shared.env.sleep(patience / 2);
                        if shared.env.now().since(heard_at) > patience {
                            return Err(io::ErrorKind::TimedOut.into());
                        }
                    }
                }
            }
            stream.flush().await?;
            if shared.env.buggify("node.link_closed") {
                return Err(io::Error::other("link: closed by a fault point"));
            }
            continue;
        }
        tokio::select! {
            biased;
            read = stream.read(&mut sign) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {
                    heard_at = shared.env.now();
                    asked = false;
                    if shared.config.mutants.on(Mutant::LinkResends)
                        && let Some(link) = shared.lock().links.get_mut(&to)
                    {
                        link.unsigned.clear();
                    }
                }
            },
            () = wake.notified() => {}
            () = &mut check, if asked => {
                check = shared.env.sleep(patience / 2);
                if shared.env.now().since(heard_at) > patience {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

/// Takes streams from the other members.
pub(crate) async fn accept(shared: Arc<Shared>, listener: Box<dyn Listener>) {
    loop {
        if shared.lock().stopped.is_some() {
            return;
        }
        match listener.accept().await {
            Ok(stream) => {
                let task = receive(shared.clone(), stream);
                shared.env.spawn("link-in", async move {
                    if let Err(error) = task.await {
                        tracing::debug!(%error, "peer stream ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed on the peer address");
                shared.env.sleep(BACKOFF_MAX).await;
            }
        }
    }
}

/// Room to read into. What was read before may be held for long, by the log and the state, and with it the whole buffer:
/// a new one is begun only when this one is nearly full.
pub(crate) fn make_room(buffer: &mut BytesMut, bytes: usize) {
    if buffer.capacity() - buffer.len() < bytes / 8 {
        buffer.reserve(bytes);
    }
}

async fn receive(shared: Arc<Shared>, mut stream: Box<dyn Stream>) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let patience = shared.config.election_timeout;
    let theirs = shared.env.timeout(patience, read_greeting(&mut stream, &mut buffer)).await??;
    let mut out = BytesMut::new();
    peer::put_greeting(&mut out, &greeting(&shared, theirs.from));
    if let Some(why) = refusal(&shared, &theirs) {
        tracing::warn!(member = shared.config.id.0, why, "a peer was refused");
        stream.write_all(&out).await?;
        return stream.flush().await;
    }
    let from = theirs.from;
    // From here on what an older stream of this peer still holds does not count: order holds within one stream.
    let generation = {
        let mut core = shared.lock();
        let link = core.links.get_mut(&from).expect("a link for each peer");
        link.inbound += 1;
        link.there.notify_one();
        let generation = link.inbound;
        core.step(&shared, shared.now(), Input::Greeted { peer: from, cluster_version: theirs.cluster_version });
        generation
    };
    stream.write_all(&out).await?;
    stream.flush().await?;
    // Armed by the first bytes after the last sign of life, so a quiet stream costs no timer.
    let mut sign_due: Option<synod_env::BoxFuture<'static, ()>> = None;
    loop {
        let now = shared.now();
        {
            let mut core = shared.lock();
            loop {
                let heard = core.links.get(&from).is_some_and(|l| l.inbound == generation);
                if core.stopped.is_some() || !heard {
                    return Ok(());
                }
                match peer::next_frame(&mut buffer, peer::BODY_BYTES_MAX).map_err(io::Error::other)? {
                    Some(Frame::Message(message)) => core.step(&shared, now, Input::Peer { from, message }),
                    Some(Frame::Greeting(_)) => return Err(io::Error::other("peer: a second greeting")),
                    None => break,
                }
            }
        }
        make_room(&mut buffer, READ_BYTES);
        let read = match &mut sign_due {
            None => stream.read_buf(&mut buffer).await?,
            Some(due) => tokio::select! {
                biased;
                read = stream.read_buf(&mut buffer) => read?,
                () = due => {
                    sign_due = None;
                    stream.write_all(&[0]).await?;
                    stream.flush().await?;
                    continue;
                }
            },
        };
        if read == 0 || shared.env.buggify("node.link_in_closed") {
            return Ok(());
        }
        if sign_due.is_none() {
            sign_due = Some(shared.env.sleep(patience));
        }
    }
}
