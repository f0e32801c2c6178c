//! Assembly: a member from its folder, its tasks, its end.

use crate::core::{Core, Shared};
use crate::figures::Figures;
use crate::observer::Observer;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use synod_env::Env;
use synod_replica::{Boot, Limits, Replica, Status};
use synod_storage::{Storage, Tail};
use synod_types::raft::Entry;
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};
use synod_types::{Command, Mutants, NodeId};

/// What an operator decides about a member.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub id: NodeId,
    /// Where each member listens for the others, itself included.
    pub members: BTreeMap<NodeId, SocketAddr>,
    /// Tells this cluster from others; see [`Config::cluster_of`].
    pub cluster: u64,
    /// Where its log and snapshots are.
    pub folder: PathBuf,
    /// Where it listens for ZooKeeper's clients.
    pub zookeeper_listen: Option<SocketAddr>,
    /// How it speaks with them.
    pub zookeeper: Arc<synod_zookeeper::Options>,
    /// Four-letter words it answers; `None` for all.
    pub words: Option<Vec<String>>,
    /// For `conf` and the granularity of expiry.
    pub tick_ms: u32,
    /// E; see `synod_replica::Config`.
    pub election_timeout: Duration,
    /// A snapshot is due after so many entries …
    pub snapshot_entries: u64,
    /// … or so many bytes.
    pub snapshot_bytes: u64,
    /// Entries kept behind a snapshot.
    pub log_keep: u64,
    /// Length of a log segment.
    pub segment_bytes: u64,
    /// Bytes of a message that carries a piece of a snapshot.
    pub chunk_bytes: usize,
    /// Bounds of what is in flight to one peer.
    pub limits: Limits,
    /// Connections of clients; 0: no limit.
    pub connections_max: usize,
    /// Connections from one address; 0: no limit.
    pub connections_per_address_max: usize,
    /// Requests that may wait.
    pub outstanding_max: usize,
    /// How often containers and TTL nodes are looked for.
    pub reap_every: Duration,
    /// The newest cluster version that it supports: what the program can, but for the harness.
    pub cluster_version: u32,
    /// For the harness.
    pub trace: bool,
    /// Planted bugs, for the harness.
    pub mutants: Mutants,
    /// Chosen at the start.
    pub(crate) incarnation: u64,
}

impl Config {
    /// A member with the usual settings.
    pub fn new(id: NodeId, members: BTreeMap<NodeId, SocketAddr>, folder: PathBuf) -> Config {
        Config {
            id,
            cluster: Config::cluster_of("", members.keys().copied()),
            members,
            folder,
            zookeeper_listen: None,
            zookeeper: Arc::new(synod_zookeeper::Options::default()),
            words: None,
            tick_ms: 2_000,
            election_timeout: Duration::from_millis(1_000),
            snapshot_entries: 1_000_000,
            snapshot_bytes: 256 << 20,
            log_keep: 10_000,
            segment_bytes: 64 << 20,
            chunk_bytes: 256 << 10,
            limits: Limits::default(),
            connections_max: 0,
            connections_per_address_max: 0,
            outstanding_max: 50_000,
            reap_every: Duration::from_secs(60),
            cluster_version: CLUSTER_VERSION,
            trace: false,
            mutants: Mutants::NONE,
            incarnation: 0,
        }
    }

    /// The identity of a cluster: its name and its members' ids.
    pub fn cluster_of(name: &str, ids: impl Iterator<Item = NodeId>) -> u64 {
        let mut bytes = name.as_bytes().to_vec();
        for id in ids {
            bytes.extend([0, id.0]);
        }
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be used.
    #[error("{0}")]
    Storage(#[from] synod_storage::Error),
    /// An entry of the log is not what this version writes.
    #[error("open log: entry {index}: {why}")]
    Entry {
        /// Its position.
        index: u64,
        /// What is wrong.
        why: String,
    },
    /// The snapshot does not load.
    #[error("open snapshot at index {index}: {why}")]
    Snapshot {
        /// What it covers.
        index: u64,
        /// What is wrong.
        why: String,
    },
    /// The cluster has come to a version that this program cannot run: a program that was newer ran here, or its peers'.
    #[error("cluster version {found}: this program supports {CLUSTER_VERSION_MIN} to {supported}")]
    Version {
        /// Of the log or the snapshot.
        found: u32,
        /// The newest that is supported.
        supported: u32,
    },
    /// An address cannot be listened on.
    #[error("listen on {address} for {whom}: {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Peers or clients.
        whom: &'static str,
        /// What the system says.
        why: std::io::Error,
    },
    /// The configuration contradicts itself.
    #[error("member {0} is not among the members")]
    NotAMember(NodeId),
}

impl Error {
    /// Whether the disk refused, which may pass.
    pub fn is_disk(&self) -> bool {
        matches!(self, Error::Storage(synod_storage::Error::Disk { .. } | synod_storage::Error::Full { .. }))
    }
}

/// Why a member ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to.
    Asked,
    /// The log or a snapshot could not be written.
    Disk(String),
    /// Its state differs from another member's.
    Diverged(String),
    /// The cluster has come to a version that it does not support.
    Outgrown(String),
    /// A defect of the program.
    Broken(String),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Asked => write!(f, "asked to stop"),
            Stopped::Disk(why) | Stopped::Diverged(why) | Stopped::Outgrown(why) | Stopped::Broken(why) => {
                write!(f, "{why}")
            }
        }
    }
}

/// A running member.
#[derive(Clone)]
pub struct Member {
    shared: Arc<Shared>,
    zookeeper: Option<SocketAddr>,
}

impl Member {
    /// Opens the folder and starts the tasks.
    ///
    /// # Errors
    /// A folder of another member, of another cluster or of a newer version; damage that nothing repairs; an address
    /// in use. Nothing was lost on the disk then.
    pub async fn start(env: Env, mut config: Config, observer: Option<Arc<dyn Observer>>) -> Result<Member, Error> {
        let Some(own) = config.members.get(&config.id).copied() else { return Err(Error::NotAMember(config.id)) };
        config.incarnation = env.random_u64();
        let options = synod_storage::Options {
            segment_bytes: config.segment_bytes,
            mutants: config.mutants,
            ..synod_storage::Options::new(config.id, config.cluster)
        };
        let (storage, recovered) = Storage::open(&env, &config.folder, options).await?;
        let snapshots = storage.snapshots();
        tracing::info!(
            member = config.id.0,
            hard_state = ?recovered.hard_state,
            snapshot = recovered.snapshot.map(|s| s.index.0),
            entries = recovered.entries.len(),
            empty = recovered.empty,
            "folder opened"
        );
        if recovered.tail != Tail::Clean {
            tracing::warn!(member = config.id.0, tail = ?recovered.tail, "the log did not end cleanly");
        }
        let mut entries = Vec::with_capacity(recovered.entries.len());
        for raw in recovered.entries {
            let payload = match raw.body.is_empty() {
                true => None,
                false => Some(Arc::new(
                    synod_wire::proposal::decode_proposal(&raw.body)
                        .map_err(|e| Error::Entry { index: raw.index.0, why: e.to_string() })?,
                )),
            };
            entries.push(Entry { term: raw.term, index: raw.index, payload });
        }
        let snapshot = match recovered.snapshot {
            Some(meta) => {
                let state = crate::snapshots::load(&env, &snapshots, meta, config.mutants).await;
                Some((meta, state.map_err(|why| Error::Snapshot { index: meta.index.0, why })?))
            }
            None => None,
        };
        let raises = entries.iter().filter_map(|e| match e.payload.as_deref().map(|p| &p.command) {
            Some(Command::RaiseVersion { to }) => Some(*to),
            _ => None,
        });
        let found = raises.chain(snapshot.as_ref().map(|(_, state)| state.version())).max();
        if let Some(found) = found.filter(|found| *found > config.cluster_version) {
            env.sometimes("node.version_refused");
            return Err(Error::Version { found, supported: config.cluster_version });
        }
        // A hard state that is recovering says so already, and a folder that is empty asks by itself.
        let last = entries.last().map(|e| (e.term, e.index)).max(snapshot.as_ref().map(|(m, _)| (m.term, m.index)));
        let older = !recovered.empty
            && !recovered.hard_state.recovering
            && crate::roll_call::disk_is_older(&env, &config, &recovered.hard_state, last.unwrap_or_default()).await;
        env.buggify_pause("node.start_late", config.election_timeout).await;
        let peers: Vec<_> = config.members.iter().filter(|(id, _)| **id != config.id).map(|(i, a)| (*i, *a)).collect();
        let listen = async |address: SocketAddr, whom: &'static str| {
            env.network.listen(address).await.map_err(|why| Error::Listen { address, whom, why })
        };
        let peer_listener = match peers.is_empty() {
            true => None,
            false => Some(listen(own, "peers").await?),
        };
        let client_listener = match config.zookeeper_listen {
            Some(address) => Some(listen(address, "ZooKeeper clients").await?),
            None => None,
        };
        let zookeeper = client_listener.as_ref().map(|l| l.local_addr());

        let now = synod_replica::Now { instant: env.now(), wall_ms: env.wall_ms() };
        let mut outputs = Vec::new();
        let replica = Replica::new(
            now,
            synod_replica::Config {
                id: config.id,
                voters: config.members.keys().copied().collect(),
                incarnation: config.incarnation,
                election_timeout: config.election_timeout,
                snapshot_entries: config.snapshot_entries,
                snapshot_bytes: config.snapshot_bytes,
                log_keep: config.log_keep,
                limits: config.limits,
                outstanding_max: config.outstanding_max,
                reap_every: config.reap_every,
                cluster_version: config.cluster_version,
                trace: config.trace,
                mutants: config.mutants,
            },
            Boot {
                hard_state: recovered.hard_state,
                snapshot,
                entries,
                empty: recovered.empty,
                damaged: older || matches!(recovered.tail, Tail::Damaged { .. }),
                nonce: config.incarnation,
            },
            &mut outputs,
        );
        let core = Core::new(replica, peers.iter().map(|(id, _)| *id), outputs);
        let shared = Arc::new(Shared::new(env.clone(), config, snapshots, core, observer));
        shared.lock().dispatch(&shared, now, None);
        env.spawn("log", crate::log::run(shared.clone(), storage));
        env.spawn("timers", crate::timers::run(shared.clone()));
        env.spawn("flush", crate::timers::flush(shared.clone()));
        env.spawn("snapshot-receive", crate::snapshots::receive(shared.clone()));
        for (peer, address) in peers {
            env.spawn("link-out", crate::links::dial(shared.clone(), peer, address));
        }
        if let Some(listener) = peer_listener {
            env.spawn("peers", crate::links::accept(shared.clone(), listener));
        }
        if let Some(listener) = client_listener {
            env.spawn("clients", crate::clients::accept(shared.clone(), listener));
        }
        Ok(Member { shared, zookeeper })
    }

    /// Where ZooKeeper's clients connect.
    pub fn zookeeper_address(&self) -> Option<SocketAddr> {
        self.zookeeper
    }

    /// Figures of consensus and clients.
    pub fn status(&self) -> Status {
        self.shared.lock().replica.status(self.shared.now())
    }

    /// Counters.
    pub fn figures(&self) -> Figures {
        self.shared.lock().figures.clone()
    }

    /// The lines of `mntr`: keys and values.
    pub fn monitor(&self) -> Vec<(&'static str, String)> {
        crate::words::monitor(&self.shared, &self.shared.lock(), self.shared.now())
    }

    /// Completes when the member has ended.
    pub async fn stopped(&self) -> Stopped {
        loop {
            let notified = self.shared.stop.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(why) = self.shared.lock().stopped.clone() {
                return why;
            }
            notified.await;
        }
    }

    /// Hands leadership over to another member, if this one leads. Meanwhile it takes no writes; it goes on leading if
    /// the other has not taken over in about an election timeout.
    pub fn hand_over(&self, to: NodeId) {
        self.shared.step(synod_replica::Input::Transfer { to });
    }

    /// Ends the member: a leader first hands over to a follower that is up to date, so that clients wait less.
    pub async fn stop(&self) {
        let successor = {
            let core = self.shared.lock();
            let raft = core.replica.consensus();
            let up = |id: &NodeId| core.links.get(id).is_some_and(|l| l.up);
            let best = raft.progress().filter(|(id, _)| up(id)).max_by_key(|(_, p)| p.matched).map(|(id, _)| id);
            if raft.role() == synod_replica::Role::Leader { best } else { None }
        };
        if let Some(to) = successor {
            self.hand_over(to);
            let until = self.shared.env.now() + self.shared.config.election_timeout;
            while self.status().role == synod_replica::Role::Leader && self.shared.env.now() < until {
                self.shared.env.sleep(Duration::from_millis(5)).await;
            }
        }
        let mut core = self.shared.lock();
        self.shared.halt(&mut core, Stopped::Asked);
    }
}
