//! The locked part of a member: its replica, and the buffers that its tasks fill and empty.

use crate::figures::Figures;
use crate::observer::Observer;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use synod_env::Env;
use synod_replica::State;
use synod_replica::{ConnectionId, Input, Now, Output, Replica};
use synod_storage::Snapshots;
use synod_types::raft::SnapshotMeta;
use synod_types::{Index, Instant, NodeId, Term};
use synod_zookeeper::Protocol;
use tokio::sync::Notify;

/// Bytes that may wait for a client that does not read.
const CLIENT_BYTES_MAX: usize = 64 << 20;
/// Bytes that may wait for a peer that does not read.
const LINK_BYTES_MAX: usize = 256 << 20;

/// What all tasks of a member share.
pub(crate) struct Shared {
    pub env: Env,
    pub config: crate::Config,
    pub snapshots: Snapshots,
    core: Mutex<Core>,
    /// A flush is wanted at the end of the turn.
    pub flush: Notify,
    /// The log has something to write.
    pub log: Notify,
    /// A timer was set to an earlier moment.
    pub timer: Notify,
    /// A chunk of a snapshot arrived.
    pub store: Notify,
    /// The member stops.
    pub stop: Notify,
    pub observer: Option<Arc<dyn Observer>>,
}

/// Under the lock.
pub(crate) struct Core {
    pub replica: Replica,
    pub clients: BTreeMap<ConnectionId, Client>,
    pub links: BTreeMap<NodeId, Link>,
    pub batch: crate::log::Pending,
    pub timers: crate::timers::Timers,
    pub chunks: VecDeque<Chunk>,
    pub figures: Figures,
    pub connections: u64,
    /// Why the member stopped, once it did.
    pub stopped: Option<crate::Stopped>,
    /// Works for snapshots that a task has to start.
    pub work: Vec<Work>,
    outputs: Vec<Output>,
}

/// A client's connection.
pub(crate) struct Client {
    pub protocol: Protocol,
    pub outbox: BytesMut,
    pub wake: Arc<Notify>,
    /// End it once the outbox is empty.
    pub closing: bool,
    /// End it now.
    pub broken: bool,
    pub address: SocketAddr,
    pub opened_at: Instant,
    pub received: u64,
    pub sent: u64,
    /// When the requests that wait for their replies came in, oldest first.
    pub since: VecDeque<Instant>,
}

/// The way to another member.
pub(crate) struct Link {
    pub outbox: BytesMut,
    pub wake: Arc<Notify>,
    pub up: bool,
    /// The newest stream from that member; older ones are not listened to any more.
    pub inbound: u64,
    /// It has dialled, so it can be dialled.
    pub there: Arc<Notify>,
    /// Empty, but for a planted bug: what the peer gave no sign of goes out once more when the link comes up.
    pub unsigned: BytesMut,
}

/// A piece of a leader's snapshot.
pub(crate) struct Chunk {
    pub meta: SnapshotMeta,
    pub offset: u64,
    pub data: Bytes,
    pub done: bool,
}

/// Something that needs a task of its own.
pub(crate) enum Work {
    Write { state: Box<State>, index: Index, term: Term },
    Fetch { peer: NodeId, meta: SnapshotMeta, offset: u64 },
}

impl Shared {
    pub fn new(
        env: Env,
        config: crate::Config,
        snapshots: Snapshots,
        core: Core,
        observer: Option<Arc<dyn Observer>>,
    ) -> Shared {
        Shared {
            env,
            config,
            snapshots,
            core: Mutex::new(core),
            flush: Notify::new(),
            log: Notify::new(),
            timer: Notify::new(),
            store: Notify::new(),
            stop: Notify::new(),
            observer,
        }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let (instant, wall_ms) = self.env.clocks();
        Now { instant, wall_ms }
    }

    /// The lock. A panic under it leaves a member that must not go on.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        match self.core.lock() {
            Ok(core) => core,
            Err(poisoned) => {
                let mut core = poisoned.into_inner();
                core.stopped.get_or_insert(crate::Stopped::Broken("a task panicked".into()));
                core
            }
        }
    }

    /// Locks and steps.
    pub fn step(self: &Arc<Self>, input: Input) {
        let now = self.now();
        let mut core = self.lock();
        core.step(self, now, input);
    }

    /// Ends the member.
    pub fn halt(&self, core: &mut Core, why: crate::Stopped) {
        if core.stopped.is_none() {
            match why {
                crate::Stopped::Asked => tracing::info!(member = self.config.id.0, "stopped"),
                _ => tracing::error!(member = self.config.id.0, %why, "stopped"),
            }
            core.stopped = Some(why);
        }
        self.stop.notify_waiters();
        for client in core.clients.values_mut() {
            client.broken = true;
            client.wake.notify_one();
        }
        for link in core.links.values() {
            link.wake.notify_one();
        }
        self.log.notify_one();
        self.timer.notify_one();
        self.store.notify_one();
    }
}

impl Core {
    pub fn new(replica: Replica, peers: impl Iterator<Item = NodeId>, outputs: Vec<Output>) -> Core {
        let links = peers
            .map(|id| {
                let (outbox, unsigned) = (BytesMut::new(), BytesMut::new());
                let (wake, there) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
                (id, Link { outbox, wake, up: false, inbound: 0, there, unsigned })
            })
            .collect();
        Core {
            replica,
            clients: BTreeMap::new(),
            links,
            batch: crate::log::Pending::default(),
            timers: crate::timers::Timers::default(),
            chunks: VecDeque::new(),
            figures: Figures::default(),
            connections: 0,
            stopped: None,
            work: Vec::new(),
            outputs,
        }
    }

    /// Steps the replica and passes its outputs on.
    pub fn step(&mut self, shared: &Arc<Shared>, now: Now, input: Input) {
        if self.stopped.is_some() {
            return;
        }
        let appended = match &input {
            Input::Appended { sequence } => Some(*sequence),
            _ => None,
        };
        if let (Input::Peer { from, message }, Some(observer)) = (&input, &shared.observer) {
            observer.received(*from, shared.config.id, message);
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.replica.step(now, input, &mut outputs);
        self.outputs = outputs;
        self.dispatch(shared, now, appended);
    }

    /// Passes the outputs on.
    pub fn dispatch(&mut self, shared: &Arc<Shared>, now: Now, appended: Option<u64>) {
        if let Some(observer) = &shared.observer {
            observer.stepped(&self.replica, appended, &self.outputs);
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in outputs.drain(..) {
            match output {
                Output::Reply { connection, tag, zxid, result } => {
                    let Some(client) = self.clients.get_mut(&connection) else { continue };
                    client.closing |= client.protocol.reply(tag, zxid, result, &mut client.outbox);
                    client.sent += 1;
                    self.figures.sent += 1;
                    if !synod_zookeeper::is_ping(tag)
                        && let Some(since) = client.since.pop_front()
                    {
                        self.figures.answered(now.instant.since(since).as_nanos() as u64);
                    }
                    client.nudge();
                }
                Output::Event { connection, zxid, kind, path } => {
                    let Some(client) = self.clients.get_mut(&connection) else { continue };
                    client.protocol.event(zxid, kind, &path, &mut client.outbox);
                    self.figures.sent += 1;
                    client.nudge();
                }
                Output::Connected { connection, granted } => {
                    let Some(client) = self.clients.get_mut(&connection) else { continue };
                    client.protocol.connected(granted, &mut client.outbox);
                    client.nudge();
                }
                Output::Close { connection, why } => {
                    let Some(client) = self.clients.get_mut(&connection) else { continue };
                    tracing::debug!(member = shared.config.id.0, connection = connection.0, why, "connection closed");
                    client.closing = true;
                    client.wake.notify_one();
                }
                Output::Send { to, message } => {
                    let Some(link) = self.links.get_mut(&to) else { continue };
                    if link.up {
                        if let Some(observer) = &shared.observer {
                            observer.sent(shared.config.id, to, &message);
                        }
                        tracing::trace!(member = shared.config.id.0, to = to.0, ?message, "send");
                        synod_wire::peer::put_message(&mut link.outbox, &message);
                        link.wake.notify_one();
                        if link.outbox.len() > LINK_BYTES_MAX {
                            // The link task sees the flag go down and starts over.
                            link.up = false;
                        }
                    }
                }
                Output::Append { sequence, hard_state, truncate, entries } => {
                    self.figures.proposals += entries.len() as u64;
                    self.batch.append(sequence, hard_state, truncate, &entries);
                    shared.log.notify_one();
                }
                Output::ResetLog { sequence, meta, hard_state } => {
                    self.batch.reset(sequence, meta, hard_state);
                    shared.log.notify_one();
                }
                Output::SetTimer(kind) => {
                    let length = self.timers.length(kind, shared.config.election_timeout, || shared.env.random_u64());
                    if self.timers.set(kind, now.instant + length) {
                        shared.timer.notify_one();
                    }
                }
                Output::CancelTimer(kind) => self.timers.cancel(kind),
                Output::Fetch { peer, meta, offset } => self.work.push(Work::Fetch { peer, meta, offset }),
                Output::Snapshot { state, index, term } => self.work.push(Work::Write { state, index, term }),
                Output::Store { meta, offset, data, done } => {
                    self.chunks.push_back(Chunk { meta, offset, data, done });
                    shared.store.notify_one();
                }
                Output::Applied(_) => {}
                Output::Outgrown { version } => {
                    let (found, supported) = (version, shared.config.cluster_version);
                    shared.halt(self, crate::Stopped::Outgrown(crate::Error::Version { found, supported }.to_string()));
                }
                Output::Halt { why } => {
                    shared.halt(self, crate::Stopped::Diverged(why));
                }
            }
        }
        self.outputs = outputs;
        if self.replica.wants_flush() {
            shared.flush.notify_one();
        }
        for work in self.work.drain(..) {
            crate::snapshots::start(shared, work);
        }
    }
}

impl Client {
    fn nudge(&mut self) {
        if self.outbox.len() > CLIENT_BYTES_MAX {
            // A client that asks and does not read the answers.
            self.broken = true;
        }
        self.wake.notify_one();
    }
}
