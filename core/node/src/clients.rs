//! Listeners and connections of ZooKeeper's clients.

use crate::core::{Client, Core, Shared};
use bytes::{BufMut, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use synod_env::{Listener, Stream};
use synod_replica::{ConnectionId, Input, Now, Request};
use synod_types::{Mutant, Mutants};
use synod_zookeeper::{Action, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

/// Requests of one connection that may wait for their replies; more are not read yet.
const IN_FLIGHT_MAX: usize = 4096;
/// Read from a client at once, at most.
const READ_BYTES: usize = 4 << 10;
/// How long a connection may take to ask for a session.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Takes connections.
pub(crate) async fn accept(shared: Arc<Shared>, listener: Box<dyn Listener>) {
    loop {
        if shared.lock().stopped.is_some() {
            return;
        }
        match listener.accept().await {
            Ok(_) if shared.env.buggify("node.client_dropped") => {}
            Ok(stream) => {
                let Some((id, wake)) = admit(&shared, &*stream) else { continue };
                let task = connection(shared.clone(), stream, id, wake);
                let ended = shared.clone();
                shared.env.spawn("client", async move {
                    if let Err(error) = task.await {
                        tracing::trace!(connection = id.0, %error, "client connection");
                    }
                    let now = ended.now();
                    let mut core = ended.lock();
                    core.clients.remove(&id);
                    core.step(&ended, now, Input::Disconnect { connection: id });
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed on the client address");
                if shared.config.mutants.on(Mutant::NodeAcceptEnds) {
                    return;
                }
                shared.env.sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: &dyn Stream) -> Option<(ConnectionId, Arc<Notify>)> {
    let address = stream.peer_addr();
    let mut core = shared.lock();
    let more = usize::from(shared.config.mutants.on(Mutant::NodeLimitByOne));
    let limit = shared.config.connections_per_address_max + more;
    let full = shared.config.connections_max > 0 && core.clients.len() >= shared.config.connections_max + more;
    if full || limit > more && core.clients.values().filter(|c| c.address.ip() == address.ip()).count() >= limit {
        core.figures.connections_refused += 1;
        return None;
    }
    core.connections += 1;
    core.figures.connections_accepted += 1;
    let id = ConnectionId(core.connections);
    let wake = Arc::new(Notify::new());
    core.clients.insert(
        id,
        Client {
            protocol: Protocol::new(shared.config.zookeeper.clone(), address),
            outbox: BytesMut::new(),
            wake: wake.clone(),
            closing: false,
            broken: false,
            address,
            opened_at: shared.env.now(),
            since: VecDeque::new(),
            received: 0,
            sent: 0,
        },
    );
    Some((id, wake))
}

/// What a connection does next.
enum Next {
    Write(BytesMut),
    Read,
    Wait,
    End,
}

async fn connection(
    shared: Arc<Shared>,
    mut stream: Box<dyn Stream>,
    id: ConnectionId,
    wake: Arc<Notify>,
) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    loop {
        let next = {
            let now = shared.now();
            let mut core = shared.lock();
            core.take_requests(&shared, now, id, &mut input);
            core.next_for(id)
        };
        match next {
            Next::End => {
                let _ = stream.shutdown().await;
                return Ok(());
            }
            Next::Write(data) => {
                let mut rest = &data[..];
                while !rest.is_empty() {
                    let len = cut(&shared, "node.client_write_cut", rest.len());
                    tokio::select! {
                        biased;
                        written = stream.write(&rest[..len]) => match written? {
                            0 => return Err(io::ErrorKind::WriteZero.into()),
                            n => rest = &rest[n..],
                        },
                        // A client that does not read: its buffer ran over, or the member stops.
                        () = broken(&shared, id, &wake) => return Ok(()),
                    }
                }
                stream.flush().await?;
            }
            Next::Read => {
                crate::links::make_room(&mut input, READ_BYTES);
                let mut part = (&mut input).limit(cut(&shared, "node.client_read_cut", usize::MAX));
                tokio::select! {
                    biased;
                    read = stream.read_buf(&mut part) => {
                        if read? == 0 {
                            return Ok(());
                        }
                    }
                    () = wake.notified() => {}
                }
            }
            Next::Wait => wake.notified().await,
        }
    }
}

/// How many of so many bytes are moved at once.
fn cut(shared: &Shared, point: &'static str, len: usize) -> usize {
    shared.env.buggify_below(point, 16).map_or(len, |bytes| len.min(1 + bytes as usize))
}

async fn broken(shared: &Arc<Shared>, id: ConnectionId, wake: &Notify) {
    loop {
        wake.notified().await;
        if shared.lock().clients.get(&id).is_none_or(|c| c.broken) {
            return;
        }
    }
}

impl Core {
    /// Hands the requests in `input` to the replica.
    fn take_requests(&mut self, shared: &Arc<Shared>, now: Now, id: ConnectionId, input: &mut BytesMut) {
        loop {
            let Some(client) = self.clients.get_mut(&id) else { return };
            if client.closing || client.since.len() >= IN_FLIGHT_MAX {
                return;
            }
            let Some(action) = client.protocol.next(input, &mut client.outbox) else { return };
            client.received += 1;
            self.figures.received += 1;
            match action {
                Action::Request { tag, request } => {
                    if !matches!(request, Request::Ping) || shared.config.mutants.on(Mutant::NodePingsPileUp) {
                        client.since.push_back(now.instant);
                    }
                    self.step(shared, now, Input::Request { connection: id, tag, request });
                }
                Action::Connect { resume, timeout_ms, zxid_seen } => {
                    let identities = client.protocol.identities();
                    let entropy = std::array::from_fn(|_| shared.env.random_u64());
                    let input = Input::Connect { connection: id, resume, timeout_ms, zxid_seen, identities, entropy };
                    self.step(shared, now, input);
                }
                Action::Identify(identities) => self.step(shared, now, Input::Identify { connection: id, identities }),
                Action::Word(word) => {
                    let text = crate::words::answer(shared, self, now, word);
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.outbox.extend_from_slice(text.as_bytes());
                        client.closing = true;
                    }
                }
                Action::Close(why) => {
                    tracing::debug!(member = shared.config.id.0, connection = id.0, why, "connection closed");
                    client.closing = true;
                    self.figures.malformed += 1;
                }
            }
        }
    }

    fn next_for(&mut self, id: ConnectionId) -> Next {
        let Some(client) = self.clients.get_mut(&id) else { return Next::End };
        match client {
            c if c.broken => Next::End,
            c if !c.outbox.is_empty() => Next::Write(c.outbox.split()),
            c if c.closing => Next::End,
            c if c.since.len() >= IN_FLIGHT_MAX => Next::Wait,
            _ => Next::Read,
        }
    }

    /// Ends connections that never asked for a session.
    pub fn sweep(&mut self, now: Now, mutants: Mutants) {
        if mutants.on(Mutant::NodeSilentStays) {
            return;
        }
        for client in self.clients.values_mut() {
            if client.protocol.in_handshake() && now.instant.since(client.opened_at) > HANDSHAKE_PATIENCE {
                client.broken = true;
                client.wake.notify_one();
            }
        }
    }
}
