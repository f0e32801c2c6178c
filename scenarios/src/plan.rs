//! What a run does, as data: a seed becomes a plan, a plan can be edited by hand and run again. It names decisions by
//! meaning ("pause node 2 at 4100 ms for 1900 ms"), so it survives changes of the code, and a fault can be taken out
//! without moving the others: plan, network, disks, processes and workload draw from streams of their own.

use crate::scenes;
use serde::{Deserialize, Serialize};
use synod_sim::Dice;

/// Version of this schema.
pub const SCHEMA: u32 = 1;

/// Streams of the plan's own dice; see [`Dice::numbered`].
mod stream {
    pub const CLUSTER: u64 = 1;
    pub const WORKLOAD: u64 = 2;
    /// Plus the number of the fault's kind: a new kind does not move the others.
    pub const FAULTS: u64 = 100;
    pub const SWARM: u64 = 3;
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Feeds every stream of randomness that is left: scheduler, delays, the clients' choices.
    pub seed: u64,
    /// How many members, and how they are set up.
    pub cluster: Cluster,
    /// What clients do.
    pub workload: Workload,
    /// What happens to them, in order of time.
    pub faults: Vec<Fault>,
    /// The planted bug, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mutant: Option<String>,
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
    /// Drift of each member's monotonic clock in parts per million, and offset of its wall clock in milliseconds.
    pub clocks: Vec<(i64, i64)>,
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
    /// So many of them only read, and often ask for the latest first: no write of their own holds them up.
    pub readers: u32,
    /// Nodes they fight over. Few: conflicts. Many: breadth.
    pub keys: u32,
    /// Their sessions' timeout, milliseconds.
    pub session_timeout_ms: u32,
    /// Requests of one client under way at once.
    pub pipeline: u32,
    /// Weights of the operations, by name.
    pub mix: Mix,
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
}

/// Something bad.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, milliseconds from the start of the load.
    pub at_ms: u64,
    /// How long; 0 for what happens in a moment.
    pub for_ms: u64,
    /// What, and whom.
    pub what: What,
}

/// Kinds of faults. Members are numbered from 1; 0 is the machine of the clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// Nothing passes between one side and the rest.
    Partition { side: Vec<u8> },
    /// Nothing passes between these pairs; others see both.
    PartialPartition { pairs: Vec<(u8, u8)> },
    /// Nothing passes from one to another; the way back is open.
    OneWay { from: u8, to: u8 },
    /// The leader of that moment is cut off from the other members, though not from clients.
    IsolateLeader,
    /// Each leader of that time falls, so long after it was elected, for so long.
    HuntLeaders { how: Hunt, after_ms: u64, hold_ms: u64 },
    /// Every connection between two machines is reset again and again.
    Flap { a: u8, b: u8, every_ms: u64 },
    /// Segments take longer: milliseconds, to and from one machine.
    Delay { node: u8, by_ms: u64 },
    /// Segments get lost, to and from one machine.
    Loss { node: u8, rate: f64 },
    /// Every connection between two machines is reset.
    Reset { a: u8, b: u8 },
    /// Connections between two machines go silent for good: neither end is told.
    HalfOpen { a: u8, b: u8 },
    /// The process dies (the page cache survives) and starts again after the time.
    Crash { node: u8 },
    /// The leader of that moment dies, and starts again after the time.
    CrashLeader,
    /// The process stands still.
    Pause { node: u8 },
    /// The leader of that moment stands still.
    PauseLeader,
    /// Power fails on these machines at once: unsynced writes are lost, reordered or torn.
    PowerFailure { nodes: Vec<u8> },
    /// The machine comes back with an empty disk.
    Wipe { node: u8 },
    /// Bits rot in the log of a machine, and it starts again.
    Rot { node: u8 },
    /// Bits rot in the end of the log that was acknowledged last.
    RotTail { node: u8 },
    /// The wall clock jumps.
    ClockJump { node: u8, by_ms: i64 },
    /// Drift of the monotonic clock changes, parts per million.
    ClockDrift { node: u8, ppm: i64 },
    /// Flushes take so long, milliseconds.
    SlowDisk { node: u8, by_ms: u64 },
    /// The next flush fails: the member stops, and starts again after the time.
    FlushFails { node: u8 },
    /// The disk has no room until the time is over.
    DiskFull { node: u8 },
}

/// How a leader falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hunt {
    /// Cut off from the other members.
    Isolate,
    /// Nothing passes from it to the other members; the way back is open.
    Mute,
    /// The process dies.
    Crash,
    /// The power fails.
    PowerFailure,
    /// The process stands still.
    Pause,
    /// Cut off, and the power fails for all the others, but for a moment only.
    Orphan,
    /// Cut off together with one other member.
    Pair,
}

impl What {
    /// The kind's name in reports.
    pub fn kind(&self) -> &'static str {
        match self {
            What::Partition { .. } => "partition",
            What::PartialPartition { .. } => "partial-partition",
            What::OneWay { .. } => "one-way",
            What::IsolateLeader => "isolate-leader",
            What::HuntLeaders { .. } => "hunt-leaders",
            What::Flap { .. } => "flap",
            What::Delay { .. } => "delay",
            What::Loss { .. } => "loss",
            What::Reset { .. } => "reset",
            What::HalfOpen { .. } => "half-open",
            What::Crash { .. } => "crash",
            What::CrashLeader => "crash-leader",
            What::Pause { .. } => "pause",
            What::PauseLeader => "pause-leader",
            What::PowerFailure { .. } => "power-failure",
            What::Wipe { .. } => "wipe",
            What::Rot { .. } => "rot",
            What::RotTail { .. } => "rot-tail",
            What::ClockJump { .. } => "clock-jump",
            What::ClockDrift { .. } => "clock-drift",
            What::SlowDisk { .. } => "slow-disk",
            What::FlushFails { .. } => "flush-fails",
            What::DiskFull { .. } => "disk-full",
        }
    }
}

/// What the command line fixes; the rest is the seed's.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Members.
    pub nodes: Option<u8>,
    /// Seconds of load and faults.
    pub horizon_s: Option<u64>,
    /// Operations.
    pub operations: Option<u64>,
    /// The planted bug.
    pub mutant: Option<String>,
}

/// Number of fault kinds that a swarm chooses from.
const KINDS: u64 = 21;

impl Plan {
    /// The plan of a seed.
    pub fn of_seed(seed: u64, overrides: &Overrides) -> Plan {
        let mut d = Dice::numbered(seed, stream::CLUSTER);
        let nodes = match overrides.nodes {
            Some(nodes) => nodes,
            None if d.chance(0.6) => 3,
            None => 5,
        };
        let horizon_ms = overrides.horizon_s.map_or(30_000, |s| s * 1000);
        let election_timeout_ms = [300, 500, 1000][d.below(3) as usize];
        let cluster = Cluster {
            nodes,
            election_timeout_ms,
            snapshot_entries: [40, 120, 400, 100_000][d.below(4) as usize],
            log_keep: [5, 30, 200][d.below(3) as usize],
            segment_bytes: [16 << 10, 64 << 10, 1 << 20][d.below(3) as usize],
            append_entries_max: [1, 3, 4096][d.below(3) as usize],
            chunk_bytes: [600, 3_000, 256 << 10][d.below(3) as usize],
            latency_us: if d.chance(0.8) { (100, 1_000) } else { (500, 15_000) },
            tail: if d.chance(0.3) { (0.01, 20 + d.below(200)) } else { (0.0, 0) },
            loss: if d.chance(0.2) { 0.001 + d.below(20) as f64 / 1000.0 } else { 0.0 },
            partial: if d.chance(0.3) { 0.1 } else { 0.0 },
            flush_us: if d.chance(0.8) { (80, 400) } else { (1_000, 12_000) },
            clocks: (0..nodes)
                .map(|_| match d.chance(0.5) {
                    true => (d.below(400) as i64 - 200, d.below(20_000) as i64 - 10_000),
                    false => (0, 0),
                })
                .collect(),
        };
        // Snapshots that are overtaken by others while they are sent.
        let cluster = match d.chance(0.25) {
            true => Cluster { snapshot_entries: 40, log_keep: 5, chunk_bytes: 200, ..cluster },
            false => cluster,
        };
        let workload = workload(seed, overrides, horizon_ms);
        let faults = faults(seed, &cluster, horizon_ms);
        Plan { schema: SCHEMA, seed, cluster, workload, faults, mutant: overrides.mutant.clone() }
    }

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
        for (i, fault) in self.faults.iter().enumerate() {
            if fault.at_ms > self.workload.horizon_ms {
                let horizon = self.workload.horizon_ms;
                return Err(format!("plan: fault {i} at {} ms, the load ends at {horizon} ms", fault.at_ms));
            }
            if let Some(node) = fault.what.members().into_iter().find(|n| *n > nodes) {
                return Err(format!("plan: fault {i} names node {node} of {nodes}"));
            }
        }
        Ok(())
    }
}

impl What {
    /// The machines that it names.
    pub fn members(&self) -> Vec<u8> {
        match self {
            What::Partition { side } => side.clone(),
            What::PowerFailure { nodes } => nodes.clone(),
            What::PartialPartition { pairs } => pairs.iter().flat_map(|(a, b)| [*a, *b]).collect(),
            What::OneWay { from: a, to: b }
            | What::Reset { a, b }
            | What::HalfOpen { a, b }
            | What::Flap { a, b, .. } => vec![*a, *b],
            What::IsolateLeader | What::CrashLeader | What::PauseLeader | What::HuntLeaders { .. } => Vec::new(),
            What::Delay { node, .. }
            | What::Loss { node, .. }
            | What::Crash { node }
            | What::Pause { node }
            | What::Wipe { node }
            | What::Rot { node }
            | What::RotTail { node }
            | What::ClockJump { node, .. }
            | What::ClockDrift { node, .. }
            | What::SlowDisk { node, .. }
            | What::FlushFails { node }
            | What::DiskFull { node } => vec![*node],
        }
    }
}

fn workload(seed: u64, overrides: &Overrides, horizon_ms: u64) -> Workload {
    let mut d = Dice::numbered(seed, stream::WORKLOAD);
    let mut weight = |usual: u32| if d.chance(0.2) { 0 } else { 1 + d.below(u64::from(2 * usual)) as u32 };
    let mut mix = Mix {
        set: weight(20) + 5,
        create: weight(8),
        delete: weight(6),
        ephemeral: weight(6),
        sequential: weight(5),
        multi: weight(5),
        get: weight(12),
        exists: weight(6),
        children: weight(6),
        sync_get: weight(6),
        set_get: weight(8),
        reopen: weight(1),
        reconnect: weight(2),
        intrude: weight(1),
        silence: weight(1) / 2,
    };
    // Some clients want to know the latest above all.
    if d.chance(0.25) {
        mix.sync_get += 20 + d.below(30) as u32;
    }
    Workload {
        clients: 4 + d.below(7) as u32,
        readers: d.below(3) as u32,
        horizon_ms,
        operations: overrides.operations.unwrap_or(900 + d.below(600)),
        keys: [2, 5, 12, 40][d.below(4) as usize],
        session_timeout_ms: [4_000, 6_000, 10_000][d.below(3) as usize],
        pipeline: [1, 2, 4, 8][d.below(4) as usize],
        mix,
    }
}

/// The faults of a seed: a random subset of the kinds, each with its own intensity.
fn faults(seed: u64, cluster: &Cluster, horizon_ms: u64) -> Vec<Fault> {
    let mut swarm = Dice::numbered(seed, stream::SWARM);
    let mut faults = Vec::new();
    // Damage to disks: never more machines than may fail without loss of what was acknowledged, one after the other.
    let mut damages = u64::from(cluster.nodes - 1) / 2;
    for kind in 0..KINDS {
        let on = swarm.chance(0.35);
        let intensity = 1 + swarm.below(3);
        if !on {
            continue;
        }
        let mut d = Dice::numbered(seed, stream::FAULTS + kind);
        for _ in 0..intensity {
            let at_ms = 1_000 + d.below(horizon_ms.saturating_sub(4_000).max(1));
            let what = fault(kind, cluster, &mut d);
            let damages_disk = matches!(what, What::Wipe { .. } | What::Rot { .. } | What::RotTail { .. });
            if damages_disk {
                if damages == 0 {
                    break;
                }
                damages -= 1;
            }
            let e = cluster.election_timeout_ms;
            let for_ms = match what {
                What::Reset { .. } | What::HalfOpen { .. } | What::ClockJump { .. } | What::ClockDrift { .. } => 0,
                What::Pause { .. } | What::PauseLeader => 50 + d.below(8 * e),
                What::FlushFails { .. } | What::Rot { .. } | What::RotTail { .. } | What::Wipe { .. } => {
                    100 + d.below(3_000)
                }
                _ => 100 + d.below(10 * e),
            };
            faults.push(Fault { at_ms, for_ms: for_ms.min(horizon_ms - at_ms), what });
        }
    }
    faults.extend(scenes::of_seed(seed, cluster, horizon_ms, &mut damages));
    faults.sort_by_key(|f| f.at_ms);
    faults
}

fn fault(kind: u64, cluster: &Cluster, d: &mut Dice) -> What {
    let n = u64::from(cluster.nodes);
    let node = 1 + d.below(n) as u8;
    let other = 1 + ((u64::from(node) - 1 + 1 + d.below(n - 1)) % n) as u8;
    match kind {
        0 => {
            let size = 1 + d.below(n - 1) as usize;
            let mut all: Vec<u8> = (1..=cluster.nodes).collect();
            let mut side: Vec<u8> = (0..size).map(|_| all.remove(d.below(all.len() as u64) as usize)).collect();
            if d.chance(0.3) {
                side.push(0);
            }
            side.sort_unstable();
            What::Partition { side }
        }
        1 => What::PartialPartition { pairs: vec![(node, other)] },
        2 => What::OneWay { from: node, to: if d.chance(0.2) { 0 } else { other } },
        3 => What::IsolateLeader,
        4 => What::Delay { node, by_ms: 5 + d.below(400) },
        5 => What::Loss { node, rate: 0.01 + d.below(20) as f64 / 100.0 },
        6 => What::Reset { a: node, b: if d.chance(0.5) { 0 } else { other } },
        7 => What::HalfOpen { a: node, b: if d.chance(0.5) { 0 } else { other } },
        8 => What::Crash { node },
        9 => What::CrashLeader,
        10 => What::Pause { node },
        11 => What::PauseLeader,
        12 => {
            let all = d.chance(0.4);
            What::PowerFailure { nodes: if all { (1..=cluster.nodes).collect() } else { vec![node] } }
        }
        13 => What::Wipe { node },
        14 => What::Rot { node },
        15 => What::RotTail { node },
        16 => What::ClockJump { node, by_ms: d.below(200_000) as i64 - 100_000 },
        17 => What::ClockDrift { node, ppm: d.below(1_000) as i64 - 500 },
        18 => What::SlowDisk { node, by_ms: 5 + d.below(300) },
        19 => What::FlushFails { node },
        _ => What::DiskFull { node },
    }
}
