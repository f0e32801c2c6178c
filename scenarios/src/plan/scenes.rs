//! Scenes: faults that mean something only together, such as "one member lags, another loses its disk, and now the
//! leader dies". A random mix reaches them once in many thousand seeds; they are parts of the plan like any other fault.

use super::{Cluster, Fault, Hunt, Place, What, Workload};
use synod_sim::Dice;

/// Streams of the scenes' dice; each scene has its own.
const STREAM: u64 = 200;
const SCENES: [fn(&mut Stage<'_>); 21] = [
    flapping_minority,
    lost_disk,
    short_reigns,
    mute_leaders,
    old_chunks,
    torn_work,
    forgotten_votes,
    divided_reigns,
    undone_reigns,
    premature_candidates,
    broken_starts,
    founding,
    two_lost_disks,
    deaf_successors,
    late_returns,
    hung_disk,
    late_awakening,
    flapping_pair,
    handed_ends,
    long_loading,
    slow_log,
];
/// How many scenes there are.
pub(super) const COUNT: usize = SCENES.len();

/// Where a scene is built.
struct Stage<'a> {
    dice: Dice,
    cluster: &'a Cluster,
    session_timeout_ms: u64,
    /// Damage to disks that is left to plan.
    damages: &'a mut u64,
    begin_ms: u64,
    faults: Vec<Fault>,
}

/// The scenes of a seed: with which probability it has each, and how many times at most.
pub(super) fn of_seed(
    seed: u64,
    often: (f64, u64),
    cluster: &Cluster,
    workload: &Workload,
    damages: &mut u64,
) -> Vec<Fault> {
    let (horizon_ms, session_timeout_ms) = (workload.horizon_ms, u64::from(workload.session_timeout_ms));
    let mut which = Dice::numbered(seed, STREAM);
    let mut faults = Vec::new();
    for (number, scene) in (1..).zip(SCENES) {
        let (on, times) = (which.chance(often.0), 1 + which.below(often.1));
        if !on || cluster.nodes < 3 {
            continue;
        }
        let mut dice = Dice::numbered(seed, STREAM + number);
        for _ in 0..times {
            let begin_ms = 1_000 + dice.below(horizon_ms.saturating_sub(8_000).max(1));
            let mut stage = Stage { dice, cluster, session_timeout_ms, damages, begin_ms, faults: Vec::new() };
            scene(&mut stage);
            dice = stage.dice;
            faults.append(&mut stage.faults);
        }
    }
    faults.retain(|f| f.at_ms < horizon_ms);
    for fault in &mut faults {
        fault.for_ms = fault.for_ms.min(horizon_ms - fault.at_ms);
    }
    faults
}

impl Stage<'_> {
    /// A fault, from the beginning of the scene on.
    fn add(&mut self, after_ms: u64, for_ms: u64, what: What) {
        self.faults.push(Fault { at_ms: self.begin_ms + after_ms, for_ms, what });
    }

    fn election_timeout(&self) -> u64 {
        self.cluster.election_timeout_ms
    }

    /// All members in random order.
    fn shuffled(&mut self) -> Vec<u8> {
        let mut members: Vec<u8> = (1..=self.cluster.nodes).collect();
        let mut order = Vec::new();
        while !members.is_empty() {
            order.push(members.remove(self.dice.below(members.len() as u64) as usize));
        }
        order
    }

    /// Between a quarter and two of E.
    fn about_e(&mut self) -> u64 {
        let e = self.election_timeout();
        e / 4 + self.dice.below(2 * e)
    }
}

/// As many as make no majority are among themselves, and what connects them breaks again and again: questions are
/// asked twice and answered twice.
fn flapping_minority(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let size = usize::from(s.cluster.nodes - 1) / 2;
    let side: Vec<u8> = s.shuffled().into_iter().take(size.max(2)).collect();
    let long = 4 * e + s.dice.below(6 * e);
    let every_ms = 20 + s.dice.below(e / 2);
    s.add(0, long, What::Flap { a: side[0], b: side[1], every_ms });
    s.add(0, long, What::Partition { side });
}

/// One member lags behind, another comes back without its disk or with a damaged log, and those who know better are
/// out of reach.
fn lost_disk(s: &mut Stage<'_>) {
    if *s.damages == 0 {
        return;
    }
    *s.damages -= 1;
    let e = s.election_timeout();
    let order = s.shuffled();
    let (lost, rest) = (order[0], &order[1..]);
    let lagging = &rest[..usize::from(s.cluster.nodes) / 2];
    let known = &rest[lagging.len()..];
    let lag_ms = e + s.dice.below(4 * e);
    let down_ms = 10 + s.dice.below(e / 4);
    let away_ms = 3 * e + s.dice.below(4 * e);
    s.add(0, lag_ms, What::Partition { side: lagging.to_vec() });
    let what = if s.dice.chance(0.5) { What::Wipe { node: lost } } else { What::Rot { node: lost } };
    s.add(lag_ms, down_ms, what);
    for node in known {
        s.add(lag_ms, away_ms, What::Crash { node: *node });
    }
}

/// Leaders fall as soon as they are elected, or a little later, with work half done.
fn short_reigns(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let how = [Hunt::Isolate, Hunt::Crash, Hunt::PowerFailure, Hunt::Pause][s.dice.below(4) as usize];
    let after_ms = match s.dice.below(3) {
        0 => s.dice.below(10),
        1 => s.dice.below(60),
        _ => s.dice.below(e),
    };
    let hold_ms = s.about_e();
    if s.dice.chance(0.5) {
        for node in 1..=s.cluster.nodes {
            let by_ms = 5 + s.dice.below(e / 4);
            s.add(0, 12 * e, What::Delay { node, by_ms });
        }
    }
    s.add(0, 12 * e, What::HuntLeaders { how, after_ms, hold_ms });
}

/// Leaders decide what nobody hears of any more, and their successors have slow disks.
fn mute_leaders(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let (after_ms, hold_ms) = (e / 2 + s.dice.below(2 * e), 2 * e + s.dice.below(2 * e));
    for node in 1..=s.cluster.nodes {
        let by_ms = 20 + s.dice.below(e / 2);
        s.add(0, 14 * e, What::SlowDisk { node, by_ms });
    }
    s.add(0, 14 * e, What::HuntLeaders { how: Hunt::Mute, after_ms, hold_ms });
}

/// A member comes back far behind, and leaders change while it is sent a snapshot.
fn old_chunks(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let behind = s.shuffled()[0];
    let away_ms = 4_000;
    s.add(0, away_ms, What::Crash { node: behind });
    let by_ms = 20 + s.dice.below(e / 6);
    s.add(away_ms, 8 * e, What::Delay { node: behind, by_ms });
    let (after_ms, hold_ms) = (e / 2 + s.dice.below(2 * e), s.about_e());
    s.add(away_ms, 8 * e, What::HuntLeaders { how: Hunt::Isolate, after_ms, hold_ms });
}

/// The power fails again and again while disks are slow: files are half written.
fn torn_work(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let node = s.shuffled()[0];
    let by_ms = 20 + s.dice.below(200);
    s.add(0, 8 * e, What::SlowDisk { node, by_ms });
    for _ in 0..4 {
        let (after_ms, down_ms) = (s.dice.below(8 * e), 10 + s.dice.below(e));
        let what = if s.dice.chance(0.5) { What::PowerFailure { nodes: vec![node] } } else { What::Crash { node } };
        s.add(after_ms, down_ms, what);
    }
}

/// Those who voted lose their power before the vote is on their disks.
fn forgotten_votes(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    for node in 1..=s.cluster.nodes {
        let by_ms = 20 + s.dice.below(e / 4);
        s.add(0, 14 * e, What::SlowDisk { node, by_ms });
    }
    s.add(2 * e, 200, What::CrashLeader);
    let (after_ms, hold_ms) = (s.dice.below(10), 2 * e + s.dice.below(3 * e));
    s.add(2 * e, 12 * e, What::HuntLeaders { how: Hunt::Orphan, after_ms, hold_ms });
}

/// Leaders go on with a minority, and with their reigns their work is undone.
fn divided_reigns(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let (after_ms, hold_ms) = (s.about_e(), s.about_e());
    s.add(0, 14 * e, What::HuntLeaders { how: Hunt::Pair, after_ms, hold_ms });
}

/// Leaders stand still a little too long, and whoever campaigns meanwhile is alone with its term before anybody hears of
/// it: the leader goes on with the others.
fn premature_candidates(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    s.add(0, 12 * e, What::HuntCandidates { hold_ms: 3 * e });
    for round in 0..3 {
        let for_ms = e + s.dice.below(e);
        s.add(round * 4 * e + 1, for_ms, What::PauseLeader);
    }
}

/// A leader and a follower write much that nobody else hears of; heirs with short reigns undo it, and the leader may
/// lead again.
fn undone_reigns(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    for round in 0..3 {
        let begin = round * 9 * e;
        s.add(begin, 50, What::HuntLeaders { how: Hunt::Pair, after_ms: 0, hold_ms: 2 * e });
        let after_ms = 1 + s.dice.below(40);
        let how = if s.dice.chance(0.5) { Hunt::Isolate } else { Hunt::Pause };
        s.add(begin + e, 6 * e, What::HuntLeaders { how, after_ms, hold_ms: e + e / 2 });
    }
}

/// Starts of a member end one after the other at the same place, and at the last the power fails: what a start finds may
/// never have reached the disk.
fn broken_starts(s: &mut Stage<'_>) {
    let node = s.shuffled()[0];
    for round in 0..3 {
        let nth = 1 + s.dice.below(10);
        let at = match s.dice.below(3) {
            0 => Place::Write(nth),
            1 => Place::AfterSync(nth),
            _ => Place::Sync(nth),
        };
        // Long enough away, it has much to catch up with.
        let down_ms = if s.dice.chance(0.5) { 50 } else { 1_000 };
        let (begin, start_ms) = (round * 2_000, 80 + s.dice.below(200));
        s.add(begin, down_ms, What::Crash { node });
        let last = 1 + s.dice.below(3);
        for start in 0..=last {
            let again = begin + down_ms + start * start_ms + 5;
            s.add(again, start_ms - 5, What::Fall { node, at: at.clone(), power: start == last });
        }
    }
}

/// The cluster's very first start: members fall before, at and after the first things they write, and some cannot hear
/// each other yet.
fn founding(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    s.begin_ms = 0;
    for node in 1..=s.cluster.nodes {
        if s.dice.chance(0.6) {
            let at = match s.dice.below(3) {
                0 => Place::Sync(1 + s.dice.below(6)),
                1 => Place::AfterSync(1 + s.dice.below(6)),
                _ => Place::Write(1 + s.dice.below(6)),
            };
            let power = s.dice.chance(0.5);
            s.add(0, 4 * e, What::Fall { node, at, power });
        }
    }
    let nodes = s.shuffled();
    let some = 1 + s.dice.below(u64::from(s.cluster.nodes)) as usize;
    let (after_ms, down_ms) = (s.dice.below(3 * e), 10 + s.dice.below(2 * e));
    s.add(after_ms, down_ms, What::PowerFailure { nodes: nodes[..some].to_vec() });
    if s.dice.chance(0.5) {
        let for_ms = s.about_e();
        s.add(0, for_ms, What::Partition { side: nodes[..1 + some / 2].to_vec() });
    }
}

/// Two members lose their disks at once and see only each other for a while; then they see one that lags, and those
/// who know better are away.
fn two_lost_disks(s: &mut Stage<'_>) {
    if *s.damages < 2 || s.cluster.nodes < 5 {
        return;
    }
    *s.damages -= 2;
    let e = s.election_timeout();
    let order = s.shuffled();
    let (lost, rest) = order.split_at(2);
    let lag_ms = e + s.dice.below(4 * e);
    let alone_ms = e + s.dice.below(2 * e);
    let away_ms = alone_ms + 3 * e + s.dice.below(4 * e);
    s.add(0, lag_ms, What::Partition { side: vec![rest[0]] });
    for node in lost {
        s.add(lag_ms, 10 + 5 * u64::from(*node), What::Wipe { node: *node });
    }
    s.add(lag_ms, alone_ms, What::Partition { side: lost.to_vec() });
    for node in &rest[1..] {
        s.add(lag_ms, away_ms, What::Crash { node: *node });
    }
}

/// Leaders hand over to a member that does not hear of it, and go on leading after a while: what they refused meanwhile
/// was refused.
fn deaf_successors(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let order = s.shuffled();
    let (to, others) = (order[0], &order[1..]);
    for round in 0..3 {
        let begin = round * 7 * e;
        for from in others {
            s.add(begin, 3 * e, What::OneWay { from: *from, to });
        }
        s.add(begin + 1, 0, What::HandOver { to });
    }
}

/// Clients come back when their sessions are about to end, and the log is slow just then: a session's end and its return
/// overtake each other.
fn late_returns(s: &mut Stage<'_>) {
    let slow_ms = 3_000;
    let timeout_ms = if s.dice.chance(0.5) { s.session_timeout_ms } else { 4_000 };
    let away_ms = timeout_ms - s.dice.below(slow_ms);
    s.add(0, away_ms, What::Partition { side: vec![0] });
    for node in 1..=s.cluster.nodes {
        let by_ms = 100 + s.dice.below(1_000);
        s.add(away_ms, slow_ms, What::SlowDisk { node, by_ms });
    }
}

/// Disks of a minority hang for long, and nothing else is wrong: what these members know grows old.
fn hung_disk(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let some = 1 + s.dice.below(u64::from(s.cluster.nodes - 1) / 2) as usize;
    let for_ms = 6 * e + s.dice.below(6 * e);
    for node in s.shuffled().into_iter().take(some) {
        s.add(0, for_ms, What::StuckDisk { node });
    }
}

/// A leader stands still until sessions have ended without it, and is alone with its clients when it goes on.
fn late_awakening(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    // Or until there is another leader, and while its clients still wait for answers.
    let long = s.dice.chance(0.5);
    let for_ms = if long { s.session_timeout_ms + 2 * e } else { 2 * e } + s.dice.below(2 * e);
    s.add(0, for_ms + 2 * e, What::IsolateLeader);
    s.add(0, for_ms, What::PauseLeader);
}

/// The connections between two members break again and again.
fn flapping_pair(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let pair = s.shuffled();
    let (long, every_ms) = (8 * e + s.dice.below(8 * e), 20 + s.dice.below(e));
    s.add(0, long, What::Flap { a: pair[0], b: pair[1], every_ms });
    if s.dice.chance(0.5) {
        // Most of what is said over them is lost then.
        let by_ms = 20 + s.dice.below(e / 2);
        s.add(0, long, What::Delay { node: pair[0], by_ms });
    }
}

/// Clients are away until their sessions end, and just then leaders hand over again and again: what they have proposed is
/// refused, and what nobody waits for must be proposed again.
fn handed_ends(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let timeout_ms = if s.dice.chance(0.7) { s.session_timeout_ms } else { 4_000 };
    let away_ms = timeout_ms + 4 * e;
    s.add(0, away_ms, What::Partition { side: vec![0] });
    // An heir that does not hear of it keeps its leader from proposing for an election timeout.
    let order = s.shuffled();
    let deaf = s.dice.chance(0.5);
    if deaf {
        for from in &order[1..] {
            s.add(timeout_ms - e, 4 * e, What::OneWay { from: *from, to: order[0] });
        }
    }
    let every_ms = 20 + s.dice.below(e / 2);
    let mut after_ms = timeout_ms - e / 2;
    while after_ms < timeout_ms + 3 * e {
        let to = if deaf { order[0] } else { order[s.dice.below(order.len() as u64) as usize] };
        s.add(after_ms, 0, What::HandOver { to });
        after_ms += every_ms;
    }
}

/// A member comes back behind and loads a snapshot for long, while another leads, whose log may go further back.
fn long_loading(s: &mut Stage<'_>) {
    let e = s.election_timeout();
    let behind = s.shuffled()[0];
    let away_ms = 300 + s.dice.below(4_000);
    s.add(0, away_ms, What::Crash { node: behind });
    let flush_ms = 50 + s.dice.below(2 * e);
    s.add(away_ms, 10 * e, What::HuntLoaders { flush_ms });
    if s.dice.chance(0.3) {
        let every_ms = 20 + s.dice.below(e);
        for other in (1..=s.cluster.nodes).filter(|n| *n != behind) {
            s.add(away_ms + e, 9 * e, What::Flap { a: behind, b: other, every_ms });
        }
    }
}

/// The log is slow everywhere for a while: what is on its way to it stays there for long.
fn slow_log(s: &mut Stage<'_>) {
    let for_ms = 4_000 + s.dice.below(8_000);
    for node in 1..=s.cluster.nodes {
        let by_ms = 100 + s.dice.below(600);
        s.add(0, for_ms, What::SlowDisk { node, by_ms });
    }
}
