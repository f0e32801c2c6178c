//! What a run does, as data: a seed becomes a plan, a plan can be edited by hand and run again. It names decisions by
//! meaning ("pause node 2 at 4100 ms for 1900 ms"), so it survives changes of the code, and a fault can be taken out
//! without moving the others: plan, network, disks, processes and workload draw from streams of their own.

mod fault;
mod scenes;
mod script;
mod swarm;

pub use fault::{Fault, Hunt, Place, What};
pub use script::{List, Operation, Part, Step};
pub use swarm::Overrides;

use crate::record::Recorded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};

/// Version of this schema.
pub const SCHEMA: u32 = 2;

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it is for, if somebody kept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Feeds every stream of randomness that is left: scheduler, delays, the clients' choices.
    pub seed: u64,
    /// How bad the world is that the seed made of it.
    pub profile: Profile,
    /// How many members, and how they are set up.
    pub cluster: Cluster,
    /// What clients do.
    pub workload: Workload,
    /// What happens to them, in order of time.
    pub faults: Vec<Fault>,
    /// Probability with which each of these fault points of the engine fires.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fault_points: BTreeMap<String, f64>,
    /// The planted bug, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
    /// The planted bug that it guards against, if somebody kept it for that: without the bug it must hold, with it it must
    /// fail, or it proves nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<String>,
    /// A planted leak of what no seed decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<Leak>,
    /// How it went when it was kept, so that a replay can tell whether it still goes that way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Recorded>,
}

/// What leaks into a run from outside, if somebody plants it, to see `audit` find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Leak {
    /// The order of a hash map whose keys outlive the run.
    HashOrder,
    /// The time of day.
    WallClock,
    /// The number of the run's thread.
    ThreadId,
    /// Where something lies in memory.
    Address,
}

/// How bad the world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A bad day: a few faults, one at a time, no disk loses what it holds.
    Calm,
    /// A bad year in half a minute.
    Stormy,
    /// Everything at once, and the engine's fault points fire.
    Hostile,
}

impl Profile {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Calm => "calm",
            Profile::Stormy => "stormy",
            Profile::Hostile => "hostile",
        }
    }
}

/// The members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many.
    pub nodes: u8,
    /// E, milliseconds.
    pub election_timeout_ms: u64,
    /// Entries between snapshots: small, so that snapshots, compaction and installation happen.
    pub snapshot_entries: u64,
    /// Entries kept behind a snapshot.
    pub log_keep: u64,
    /// Length of a log segment in bytes: small, so that segments roll.
    pub segment_bytes: u64,
    /// Entries in one message to a follower, and bytes of a snapshot in one: small, so that it takes several.
    pub append_entries_max: usize,
    pub chunk_bytes: usize,
    /// Delay of a segment on the network: least, most, microseconds.
    pub latency_us: (u64, u64),
    /// Probability of a tail, and its length in milliseconds.
    pub tail: (f64, u64),
    /// Probability that a segment is lost and sent again.
    pub loss: f64,
    /// Probability that a read or write is cut short.
    pub partial: f64,
    /// Time of a flush: least, most, microseconds.
    pub flush_us: (u64, u64),
    /// Bytes of entries in one message; a larger entry goes alone.
    #[serde(default = "megabyte", skip_serializing_if = "is_megabyte")]
    pub append_bytes_max: usize,
    /// Messages with entries that a follower may owe an answer to, and their bytes.
    #[serde(default = "window", skip_serializing_if = "is_window")]
    pub in_flight_max: usize,
    #[serde(default = "megabyte", skip_serializing_if = "is_megabyte")]
    pub in_flight_bytes_max: usize,
    /// Requests that may wait at a member; more are refused.
    #[serde(default = "many", skip_serializing_if = "is_many")]
    pub outstanding_max: usize,
    /// Drift of each member's monotonic clock in parts per million, and offset of its wall clock in milliseconds.
    pub clocks: Vec<(i64, i64)>,
    /// The newest cluster version that the members' program supports at first; see `synod_types::version`.
    #[serde(default = "newest", skip_serializing_if = "is_newest")]
    pub version: u32,
}

fn window() -> usize {
    64
}

fn is_window(in_flight: &usize) -> bool {
    *in_flight == window()
}

fn megabyte() -> usize {
    1 << 20
}

fn is_megabyte(bytes: &usize) -> bool {
    *bytes == megabyte()
}

fn newest() -> u32 {
    CLUSTER_VERSION
}

fn is_newest(version: &u32) -> bool {
    *version == CLUSTER_VERSION
}

fn many() -> usize {
    50_000
}

fn is_many(outstanding: &usize) -> bool {
    *outstanding == many()
}

/// The clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How many.
    pub clients: u32,
    /// Load and faults last so long, milliseconds.
    pub horizon_ms: u64,
    /// Operations that all clients together try to make.
    pub operations: u64,
    /// So many of them only read: no write of their own holds them up. Every other often asks for the latest first.
    pub readers: u32,
    /// Nodes they fight over. Few: conflicts. Many: breadth.
    pub keys: u32,
    /// Their sessions' timeout, milliseconds.
    pub session_timeout_ms: u32,
    /// Requests of one client under way at once.
    pub pipeline: u32,
    /// Weights of the operations, by name.
    pub mix: Mix,
    /// The operations themselves, in order of time: instead of `mix`, `operations` and `readers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Vec<Step>>,
}

/// Weights of operations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Mix {
    pub set: u32,
    pub create: u32,
    pub delete: u32,
    pub ephemeral: u32,
    pub sequential: u32,
    pub multi: u32,
    pub get: u32,
    pub exists: u32,
    pub children: u32,
    pub sync_get: u32,
    /// A write and, without waiting for it, a read of the same node.
    pub set_get: u32,
    /// The session ends and a new one begins.
    pub reopen: u32,
    /// The connection ends and the session goes on elsewhere.
    pub reconnect: u32,
    /// A resume with a wrong password.
    pub intrude: u32,
    /// A minute's silence: no request and no ping for longer than the timeout.
    pub silence: u32,
    /// What must be refused, and what makes it so: a child of an ephemeral node, a write of a node that is read-only.
    #[serde(default)]
    pub refused: u32,
    /// A value of some thousand bytes.
    #[serde(default)]
    pub large: u32,
    /// Access control lists, and users that prove who they are.
    #[serde(default)]
    pub access: u32,
    /// Containers and nodes with a time to live.
    #[serde(default)]
    pub reaped: u32,
    /// Watches that stay.
    #[serde(default)]
    pub standing: u32,
    /// Seldom used requests: several reads in one, counts, older forms, multis of odd parts.
    #[serde(default)]
    pub rare: u32,
    /// A second connection of the session beside the first.
    #[serde(default)]
    pub overlap: u32,
}

impl Plan {
    /// A plan from a file.
    ///
    /// # Errors
    /// What is not JSON, a newer schema, an unknown fault, a member that does not exist, a fault after the end.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("read plan: {e}"))?;
        match value.get("schema").and_then(|s| s.as_u64()) {
            Some(schema) if schema == u64::from(SCHEMA) => {}
            Some(schema) => return Err(format!("read plan: schema {schema}, this program knows {SCHEMA}")),
            None => return Err("read plan: no schema".into()),
        }
        let plan: Plan = serde_json::from_str(text).map_err(|e| format!("read plan: {e}"))?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        let nodes = self.cluster.nodes;
        if nodes == 0 || nodes > 9 || self.cluster.clocks.len() != usize::from(nodes) {
            return Err(format!("plan: {nodes} nodes with {} clocks, limit 9", self.cluster.clocks.len()));
        }
        let version = self.cluster.version;
        if !(CLUSTER_VERSION_MIN..=CLUSTER_VERSION).contains(&version) {
            let known = format!("{CLUSTER_VERSION_MIN} to {CLUSTER_VERSION}");
            return Err(format!("plan: cluster version {version}, this program knows {known}"));
        }
        let Workload { clients, pipeline, keys, .. } = self.workload;
        if [u64::from(clients), u64::from(pipeline), u64::from(keys), self.cluster.election_timeout_ms].contains(&0) {
            return Err("plan: no clients, no pipeline, no keys or no election timeout; each is 1 at least".into());
        }
        for bug in [&self.mutant, &self.guards].into_iter().flatten() {
            if !synod_types::Mutant::ALL.iter().any(|known| known.name() == bug) {
                return Err(format!("plan: planted bug {bug:?} is unknown"));
            }
        }
        for (i, fault) in self.faults.iter().enumerate() {
            if fault.at_ms.saturating_add(fault.for_ms) > self.workload.horizon_ms {
                let horizon = self.workload.horizon_ms;
                let Fault { at_ms, for_ms, .. } = fault;
                return Err(format!("plan: fault {i} at {at_ms} ms for {for_ms} ms, the load ends at {horizon} ms"));
            }
            if fault.what.members().contains(&0) && !fault.what.may_name_clients() {
                return Err(format!("plan: fault {i} ({}) is none of the clients' machine, node 0", fault.what.kind()));
            }
            if let Some(node) = fault.what.members().into_iter().find(|n| *n > nodes) {
                return Err(format!("plan: fault {i} names node {node} of {nodes}"));
            }
        }
        for (i, step) in self.workload.script.iter().flatten().enumerate() {
            if step.client == 0 || step.client > self.workload.clients {
                let clients = self.workload.clients;
                return Err(format!("plan: step {i} is client {}'s, there are {clients}", step.client));
            }
        }
        for (point, rate) in &self.fault_points {
            if !synod_node::FAULT_POINTS.contains(&point.as_str()) {
                return Err(format!("plan: fault point {point:?} is unknown"));
            }
            if !(0.0..=1.0).contains(rate) {
                return Err(format!("plan: fault point {point:?} fires with probability {rate}, limit 1"));
            }
        }
        Ok(())
    }
}
