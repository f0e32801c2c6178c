//! A seed becomes a plan: a random subset of everything, each with its own intensity.

use super::{Cluster, Fault, Leak, Mix, Place, Plan, Profile, SCHEMA, What, Workload, scenes};
use clap::ValueEnum;
use std::collections::{BTreeMap, BTreeSet};
use synod_sim::Dice;
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};

/// Streams of the plan's own dice; see [`Dice::numbered`].
mod stream {
    pub const CLUSTER: u64 = 1;
    pub const WORKLOAD: u64 = 2;
    pub const SWARM: u64 = 3;
    pub const PROFILE: u64 = 4;
    pub const FAULT_POINTS: u64 = 5;
    pub const EVEN: u64 = 6;
    pub const LIMITS: u64 = 7;
    pub const VERSION: u64 = 8;
    pub const DAMAGES: u64 = 9;
    pub const PLAY: u64 = 10;
    pub const WINDOW: u64 = 11;
    pub const SILENCE: u64 = 12;
    /// Plus the number of the fault's kind: a new kind does not move the others.
    pub const FAULTS: u64 = 100;
}

/// What the command line fixes; the rest is the seed's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Members.
    pub nodes: Option<u8>,
    /// Seconds of load and faults.
    pub horizon_s: Option<u64>,
    /// Operations.
    pub operations: Option<u64>,
    /// How bad the world is.
    pub profile: Option<Profile>,
    /// The planted bug.
    pub mutant: Option<String>,
    /// The planted leak.
    pub leak: Option<Leak>,
    /// A kind of fault that no plan has, or a fault point that fires in none.
    pub without: Option<String>,
}

impl Overrides {
    /// The flags of the command line that say the same.
    pub fn flags(&self) -> Vec<String> {
        let named = [
            ("--nodes", self.nodes.map(|n| n.to_string())),
            ("--horizon", self.horizon_s.map(|n| n.to_string())),
            ("--operations", self.operations.map(|n| n.to_string())),
            ("--profile", self.profile.map(|p| p.name().to_string())),
            ("--mutant", self.mutant.clone()),
            ("--without", self.without.clone()),
            ("--leak", self.leak.and_then(|l| l.to_possible_value()).map(|l| l.get_name().to_string())),
        ];
        let given = named.into_iter().filter_map(|(name, value)| value.map(|value| [name.to_string(), value]));
        given.flatten().collect()
    }
}

/// Number of fault kinds that a swarm chooses from.
const KINDS: u64 = 40;

/// What the engine promises to bear: `synod_replica::CLOCK_DRIFT_PPM_MAX`.
const DRIFT_PPM_MAX: u64 = synod_node::replica::CLOCK_DRIFT_PPM_MAX as u64;

/// How bad it is, as numbers.
struct Swarm {
    /// Probability of each kind of fault, and how often it happens at most.
    kind: f64,
    times_max: u64,
    /// Probability of each scene, and how often it happens at most.
    scene: (f64, u64),
    /// Probability that the network is bad all the time.
    weather: f64,
    /// Probability of each fault point.
    fault_point: f64,
    /// Whether disks may lose what they hold.
    damage: bool,
}

impl Swarm {
    /// Some seeds are plays of a scene or two, and otherwise fine: what a scene is for is not drowned in noise there.
    fn of_seed(profile: Profile, seed: u64) -> Swarm {
        let swarm = Swarm::of(profile);
        if swarm.scene.0 > 0.0 && Dice::numbered(seed, stream::PLAY).chance(0.3) {
            return Swarm { kind: 0.0, scene: (2.0 / scenes::COUNT as f64, 6), weather: 0.0, ..swarm };
        }
        swarm
    }

    fn of(profile: Profile) -> Swarm {
        match profile {
            Profile::Calm => {
                Swarm { kind: 0.15, times_max: 1, scene: (0.0, 0), weather: 0.1, fault_point: 0.0, damage: false }
            }
            Profile::Stormy => {
                Swarm { kind: 0.35, times_max: 3, scene: (0.2, 3), weather: 0.3, fault_point: 0.2, damage: true }
            }
            Profile::Hostile => {
                Swarm { kind: 0.6, times_max: 5, scene: (0.4, 3), weather: 0.6, fault_point: 0.5, damage: true }
            }
        }
    }
}

impl Profile {
    /// Most seeds are stormy, some calm, some hostile.
    fn of_seed(seed: u64) -> Profile {
        match Dice::numbered(seed, stream::PROFILE).below(20) {
            0..=2 => Profile::Calm,
            3..=14 => Profile::Stormy,
            _ => Profile::Hostile,
        }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn of_seed(seed: u64, overrides: &Overrides) -> Plan {
        let profile = overrides.profile.unwrap_or_else(|| Profile::of_seed(seed));
        let swarm = Swarm::of_seed(profile, seed);
        let mut d = Dice::numbered(seed, stream::CLUSTER);
        let nodes = match overrides.nodes {
            Some(nodes) => nodes,
            None if d.chance(0.6) => 3,
            None => 5,
        };
        let nodes = overrides.nodes.unwrap_or_else(|| even(seed).unwrap_or(nodes));
        let mut window = Dice::numbered(seed, stream::WINDOW);
        let in_flight_max = [1, 4, 64][window.below(3) as usize];
        let horizon_ms = overrides.horizon_s.map_or(30_000, |s| s * 1000);
        let election_timeout_ms = [300, 500, 1000][d.below(3) as usize];
        let cluster = Cluster {
            nodes,
            election_timeout_ms,
            snapshot_entries: [40, 120, 400, 100_000][d.below(4) as usize],
            log_keep: [0, 5, 30, 200][d.below(4) as usize],
            segment_bytes: [16 << 10, 64 << 10, 1 << 20][d.below(3) as usize],
            append_entries_max: [1, 3, 4096][d.below(3) as usize],
            chunk_bytes: [600, 3_000, 256 << 10][d.below(3) as usize],
            latency_us: if d.chance(0.8) { (100, 1_000) } else { (500, 15_000) },
            tail: if d.chance(swarm.weather) { (0.01, 20 + d.below(200)) } else { (0.0, 0) },
            loss: if d.chance(swarm.weather * 0.7) { 0.001 + d.below(20) as f64 / 1000.0 } else { 0.0 },
            partial: if d.chance(swarm.weather) { 0.1 } else { 0.0 },
            flush_us: if d.chance(0.8) { (80, 400) } else { (1_000, 12_000) },
            append_bytes_max: [400, 4_000, 1 << 20][window.below(3) as usize],
            in_flight_max,
            in_flight_bytes_max: [1_000, 20_000, 1 << 20][window.below(3) as usize],
            outstanding_max: if Dice::numbered(seed, stream::LIMITS).chance(0.1) { 4 } else { 50_000 },
            clocks: (0..nodes)
                .map(|_| match d.chance(0.5) {
                    true => (d.below(400) as i64 - 200, d.below(20_000) as i64 - 10_000),
                    false => (0, 0),
                })
                .collect(),
            version: CLUSTER_VERSION,
        };
        // Snapshots that are overtaken by others while they are sent.
        let cluster = match d.chance(0.25) {
            true => Cluster { snapshot_entries: 40, log_keep: 5, chunk_bytes: 200, ..cluster },
            false => cluster,
        };
        let workload = workload(seed, overrides, horizon_ms);
        let mut faults = faults(seed, &swarm, &cluster, &workload);
        // Who is upgraded was old before; some stay so.
        let upgrades = faults.iter().any(|f| matches!(f.what, What::RollingUpgrade { .. }));
        let old = upgrades || Dice::numbered(seed, stream::VERSION).chance(0.1);
        let cluster = Cluster { version: if old { CLUSTER_VERSION_MIN } else { CLUSTER_VERSION }, ..cluster };
        let mut fault_points = fault_points(seed, &swarm);
        if let Some(without) = &overrides.without {
            faults.retain(|fault| fault.what.kind() != without);
            fault_points.remove(without);
        }
        let mutant = overrides.mutant.clone();
        Plan {
            schema: SCHEMA,
            about: None,
            seed,
            profile,
            cluster,
            workload,
            faults,
            fault_points,
            mutant,
            guards: None,
            leak: overrides.leak,
            recorded: None,
        }
    }
}

/// Some clusters have an even number of members: they bear no more failures than with one less.
fn even(seed: u64) -> Option<u8> {
    match Dice::numbered(seed, stream::EVEN).below(20) {
        0..=2 => Some(4),
        3 => Some(2),
        _ => None,
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
        silence: weight(2) / 2,
        refused: 0,
        large: 0,
        access: 0,
        reaped: 0,
        standing: 0,
        rare: 0,
        overlap: 0,
    };
    // Some clients want to know the latest above all.
    if d.chance(0.25) {
        mix.sync_get += 20 + d.below(30) as u32;
    }
    let mut workload = Workload {
        clients: 4 + d.below(7) as u32,
        readers: d.below(4) as u32,
        horizon_ms,
        operations: overrides.operations.unwrap_or(900 + d.below(600)),
        keys: [2, 5, 12, 40][d.below(4) as usize],
        session_timeout_ms: [4_000, 6_000, 10_000][d.below(3) as usize],
        pipeline: [1, 2, 4, 8][d.below(4) as usize],
        mix,
        script: None,
    };
    // Drawn last: what is older stays what it was.
    workload.mix.refused = if d.chance(0.2) { 0 } else { 1 + d.below(8) as u32 };
    workload.mix.large = if d.chance(0.5) { 0 } else { 1 + d.below(12) as u32 };
    let mut seldom = |often: f64, most: u64| if d.chance(often) { 1 + d.below(most) as u32 } else { 0 };
    workload.mix.access = seldom(0.6, 14);
    workload.mix.reaped = seldom(0.6, 12);
    workload.mix.standing = seldom(0.6, 8);
    workload.mix.rare = seldom(0.7, 12);
    workload.mix.overlap = seldom(0.4, 2);
    // Sessions of clients that are silent now and then end, or are about to.
    let mut silence = Dice::numbered(seed, stream::SILENCE);
    if silence.chance(0.15) {
        workload.mix.silence += 2 + silence.below(6) as u32;
        workload.session_timeout_ms = 4_000;
    }
    workload
}

/// The faults of a seed: a random subset of the kinds, each with its own intensity.
fn faults(seed: u64, swarm: &Swarm, cluster: &Cluster, workload: &Workload) -> Vec<Fault> {
    let horizon_ms = workload.horizon_ms;
    let mut which = Dice::numbered(seed, stream::SWARM);
    let mut faults = Vec::new();
    // Damage to disks: never more machines than may fail without loss of what was acknowledged, one after the other.
    let mut damages = if swarm.damage { u64::from(cluster.nodes - 1) / 2 } else { 0 };
    for kind in 0..KINDS {
        let on = which.chance(swarm.kind);
        let intensity = 1 + which.below(swarm.times_max);
        if !on {
            continue;
        }
        let mut d = Dice::numbered(seed, stream::FAULTS + kind);
        for _ in 0..intensity {
            let at_ms = 1_000 + d.below(horizon_ms.saturating_sub(4_000).max(1));
            let what = fault(kind, cluster, &mut d);
            let e = cluster.election_timeout_ms;
            let for_ms = match what {
                What::Reset { .. }
                | What::HalfOpen { .. }
                | What::ClockJump { .. }
                | What::ClockDrift { .. }
                | What::HandOver { .. } => 0,
                What::Pause { .. } | What::PauseLeader | What::Suspend { .. } => 50 + d.below(8 * e),
                What::FlushFails { .. } => 100 + d.below(3_000),
                What::OldDisk { .. } => 200 + d.below(8_000),
                _ if what.damages_disk().is_some() => 100 + d.below(3_000),
                _ => 100 + d.below(10 * e),
            };
            faults.push(Fault { at_ms, for_ms: for_ms.min(horizon_ms - at_ms), what });
        }
    }
    // Each kind of damage has the same chance to be among those that are left.
    let mut keep = Dice::numbered(seed, stream::DAMAGES);
    let mut planned: Vec<usize> = (0..faults.len()).filter(|i| faults[*i].what.damages_disk().is_some()).collect();
    let kept: BTreeSet<usize> = (0..damages.min(planned.len() as u64))
        .map(|_| planned.swap_remove(keep.below(planned.len() as u64) as usize))
        .collect();
    damages -= kept.len() as u64;
    let mut position = 0..;
    faults.retain(|f| position.next().is_some_and(|i| kept.contains(&i)) || f.what.damages_disk().is_none());
    faults.extend(scenes::of_seed(seed, swarm.scene, cluster, workload, &mut damages));
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
        17 => What::ClockDrift { node, ppm: d.below(2 * DRIFT_PPM_MAX + 1) as i64 - DRIFT_PPM_MAX as i64 },
        18 => What::SlowDisk { node, by_ms: 5 + d.below(300) },
        19 => What::FlushFails { node },
        20 => What::DiskFull { node },
        21 => What::SlowLink { node, bytes_per_s: 2_000 + d.below(60_000) },
        22 => What::Suspend { node },
        23 => What::StuckDisk { node },
        24 => What::ReadErrors { node },
        25 => What::Fall { node, at: disk_place(d), power: d.chance(0.5) },
        26 => {
            let points = synod_node::FAULT_POINTS;
            let point = points[d.below(points.len() as u64) as usize];
            What::Fall { node, at: Place::Point(point.into(), 1 + d.below(5)), power: d.chance(0.5) }
        }
        27 => What::SwapDisk { node, with: other },
        28 => What::Corrupt { a: node, b: other, rate: 0.001 + d.below(20) as f64 / 1_000.0 },
        29 => What::SynTimeout { a: node, b: if d.chance(0.3) { 0 } else { other } },
        30 => What::RotSnapshot { node },
        31 => What::MisdirectWrites { node, times: 1 + d.below(3) as u32 },
        32 => What::MisdirectReads { node, times: 1 + d.below(3) as u32 },
        33 => What::RollingRestart { every_ms: 200 + d.below(2 * cluster.election_timeout_ms) },
        34 => {
            let every_ms = 200 + d.below(4 * cluster.election_timeout_ms);
            What::RollingUpgrade { every_ms, back: d.chance(0.3) }
        }
        35 => What::Downgrade { node },
        36 => What::OldDisk { node },
        37 => What::HandOver { to: node },
        38 => What::AcceptFails { node },
        _ => What::ScratchHead { node },
    }
}

fn disk_place(d: &mut Dice) -> Place {
    let nth = 1 + d.below(20);
    match d.below(3) {
        0 => Place::Sync(nth),
        1 => Place::AfterSync(nth),
        _ => Place::Write(nth),
    }
}

/// Which fault points of the engine may fire, and how often.
fn fault_points(seed: u64, swarm: &Swarm) -> BTreeMap<String, f64> {
    let mut d = Dice::numbered(seed, stream::FAULT_POINTS);
    let mut points = BTreeMap::new();
    for point in synod_node::FAULT_POINTS {
        let (on, rate) = (d.chance(swarm.fault_point), [0.01, 0.05, 0.25][d.below(3) as usize]);
        if on {
            points.insert(point.to_string(), rate);
        }
    }
    points
}
