//! What can happen to members, connections, clocks and disks.

use serde::{Deserialize, Serialize};

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
    /// Whoever campaigns in that time is cut off from the other members at once, for so long.
    HuntCandidates { hold_ms: u64 },
    /// Whoever begins to load a leader's snapshot in that time has a disk whose flushes take so long from then on, and the
    /// leader hands over to another member meanwhile.
    HuntLoaders { flush_ms: u64 },
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
    /// At the end the machine comes back with its disk as it was at the beginning.
    OldDisk { node: u8 },
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
    /// No new connection is accepted until the time is over: the process has as many files open as it may.
    AcceptFails { node: u8 },
    /// A bit flips in the first of the two copies of a segment's head, and the process starts again. Nothing is lost.
    ScratchHead { node: u8 },
    /// The disk has no room until the time is over.
    DiskFull { node: u8 },
    /// Every byte between one machine and all others shares a narrow line.
    SlowLink { node: u8, bytes_per_s: u64 },
    /// As a pause, and the monotonic clock stands still with it; the wall clock goes on.
    Suspend { node: u8 },
    /// No operation of the disk completes until the time is over.
    StuckDisk { node: u8 },
    /// Part of the log cannot be read any more, and the process starts again.
    ReadErrors { node: u8 },
    /// Bits flip on the way between two members, unseen by the checksum of the transport.
    Corrupt { a: u8, b: u8, rate: f64 },
    /// Connections between two machines cannot be opened: the attempts are not answered.
    SynTimeout { a: u8, b: u8 },
    /// Bits rot in a snapshot of a machine, and the process starts again.
    RotSnapshot { node: u8 },
    /// Writes land in a wrong place of their file; at the end the process starts again and has to notice.
    MisdirectWrites { node: u8, times: u32 },
    /// The process starts again, and its first reads come from a wrong place.
    MisdirectReads { node: u8, times: u32 },
    /// The process dies, or the power fails, in the middle of the work at a place of its own choosing, and it starts
    /// again at the end. The place is waited for until then.
    Fall { node: u8, at: Place, power: bool },
    /// The machine comes back with another member's disk. It must refuse to start; its own is put back at the end.
    SwapDisk { node: u8, with: u8 },
    /// One member after the other is asked to stop, hands over if it leads, and starts again; so long apart, ms.
    RollingRestart { every_ms: u64 },
    /// One member after the other is asked to stop and starts with the newest program; so long apart, ms. With `back` all
    /// but the last do, and then, in the opposite order, go back to the one they had.
    RollingUpgrade { every_ms: u64, back: bool },
    /// The process starts again with the oldest program, and at the end with the one that it had. If the cluster has come
    /// to a version that is beyond it, it must refuse to run.
    Downgrade { node: u8 },
    /// The leader of that moment is asked to hand over to this member.
    HandOver { to: u8 },
}

/// A place in the work of a member, the nth time from now that it comes there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// In a sync: nothing of it is durable yet.
    Sync(u64),
    /// After a sync: all of it is, and nobody was told.
    AfterSync(u64),
    /// After a write that is not synced.
    Write(u64),
    /// At a fault point or a rare state of this name.
    Point(String, u64),
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
            What::HuntCandidates { .. } => "hunt-candidates",
            What::HuntLoaders { .. } => "hunt-loaders",
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
            What::OldDisk { .. } => "old-disk",
            What::Rot { .. } => "rot",
            What::RotTail { .. } => "rot-tail",
            What::ClockJump { .. } => "clock-jump",
            What::ClockDrift { .. } => "clock-drift",
            What::SlowDisk { .. } => "slow-disk",
            What::FlushFails { .. } => "flush-fails",
            What::DiskFull { .. } => "disk-full",
            What::AcceptFails { .. } => "accept-fails",
            What::ScratchHead { .. } => "scratch-head",
            What::SlowLink { .. } => "slow-link",
            What::Suspend { .. } => "suspend",
            What::StuckDisk { .. } => "stuck-disk",
            What::ReadErrors { .. } => "read-errors",
            What::Fall { at: Place::Point(..), .. } => "fall-at-point",
            What::Fall { .. } => "fall-at-disk",
            What::SwapDisk { .. } => "swap-disk",
            What::Corrupt { .. } => "corrupt",
            What::SynTimeout { .. } => "syn-timeout",
            What::RotSnapshot { .. } => "rot-snapshot",
            What::MisdirectWrites { .. } => "misdirect-writes",
            What::MisdirectReads { .. } => "misdirect-reads",
            What::RollingRestart { .. } => "rolling-restart",
            What::RollingUpgrade { back: false, .. } => "rolling-upgrade",
            What::RollingUpgrade { back: true, .. } => "upgrade-rolled-back",
            What::Downgrade { .. } => "downgrade",
            What::HandOver { .. } => "hand-over",
        }
    }

    /// The machines that it names.
    pub fn members(&self) -> Vec<u8> {
        let mut members = Vec::new();
        self.clone().for_each_member(|node| {
            members.push(node);
            Some(node)
        });
        members
    }

    /// Gives each machine that it names another number. One without a number leaves a group; elsewhere it makes the
    /// fault impossible: then the answer is `false`.
    pub fn for_each_member(&mut self, mut number: impl FnMut(u8) -> Option<u8>) -> bool {
        let mut one = |node: &mut u8| number(*node).map(|new| *node = new).is_some();
        match self {
            What::Partition { side: group } | What::PowerFailure { nodes: group } => {
                group.retain_mut(&mut one);
                !group.is_empty()
            }
            What::PartialPartition { pairs } => {
                pairs.retain_mut(|(a, b)| one(a) & one(b));
                !pairs.is_empty()
            }
            What::OneWay { from: a, to: b }
            | What::SwapDisk { node: a, with: b }
            | What::Corrupt { a, b, .. }
            | What::SynTimeout { a, b }
            | What::Reset { a, b }
            | What::HalfOpen { a, b }
            | What::Flap { a, b, .. } => one(a) & one(b),
            What::IsolateLeader
            | What::CrashLeader
            | What::PauseLeader
            | What::HuntLeaders { .. }
            | What::HuntCandidates { .. }
            | What::HuntLoaders { .. }
            | What::RollingRestart { .. }
            | What::RollingUpgrade { .. } => true,
            What::Delay { node, .. }
            | What::Loss { node, .. }
            | What::Crash { node }
            | What::Pause { node }
            | What::Wipe { node }
            | What::OldDisk { node }
            | What::Rot { node }
            | What::RotTail { node }
            | What::RotSnapshot { node }
            | What::ReadErrors { node }
            | What::MisdirectWrites { node, .. }
            | What::MisdirectReads { node, .. }
            | What::ClockJump { node, .. }
            | What::ClockDrift { node, .. }
            | What::SlowDisk { node, .. }
            | What::StuckDisk { node }
            | What::SlowLink { node, .. }
            | What::Suspend { node }
            | What::FlushFails { node }
            | What::DiskFull { node }
            | What::AcceptFails { node }
            | What::ScratchHead { node }
            | What::Downgrade { node }
            | What::HandOver { to: node }
            | What::Fall { node, .. } => one(node),
        }
    }

    /// Whether it can happen to the machine of the clients, node 0: what concerns connections can.
    pub fn may_name_clients(&self) -> bool {
        matches!(
            self,
            What::Partition { .. }
                | What::PartialPartition { .. }
                | What::OneWay { .. }
                | What::Reset { .. }
                | What::HalfOpen { .. }
                | What::SynTimeout { .. }
                | What::Flap { .. }
        )
    }

    /// Whether something that was durable is lost: plans bound how many machines suffer it, and the driver does again.
    pub fn damages_disk(&self) -> Option<u8> {
        match self {
            What::Wipe { node }
            | What::OldDisk { node }
            | What::Rot { node }
            | What::RotTail { node }
            | What::RotSnapshot { node }
            | What::MisdirectWrites { node, .. }
            | What::MisdirectReads { node, .. }
            | What::ReadErrors { node } => Some(*node),
            _ => None,
        }
    }
}
