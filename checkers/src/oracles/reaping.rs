//! Containers and TTL nodes: the server removes them, in their time. That it does so not too early is part of the replay
//! (`zookeeper_versions`): they are there until the rules let them go. Here is that they do not stay for ever. Needs
//! ground truth.
//!
//! Rules: `left_behind`.

use super::Replay;
use crate::finding::{Finding, Severity, seconds};
use crate::history::{Applied, History};

const ORACLE: &str = "reaping";

/// A leader that has been in office for so long, and has known for so long that a node is due, has removed it.
const PATIENCE_NS: u64 = 4_000_000_000;

/// Checks a history.
pub(super) fn check(history: &History, replay: &Replay) -> Vec<Finding> {
    let (true, Some(truth)) = (history.header.quiescent, &history.truth) else { return Vec::new() };
    let Some(last) = truth.last() else { return Vec::new() };
    let early = history.header.end_ns.saturating_sub(PATIENCE_NS);
    let before = |a: &&Applied| a.applied_ns.is_some_and(|at| at <= early);
    // All that one leader has said since, by its own clock.
    let Some(since) = truth.iter().rev().find(before).filter(|a| a.term == last.term) else { return Vec::new() };
    let of_late = truth.iter().filter(|a| a.index >= since.index);
    let Some(time_ms) = of_late.clone().map(|a| a.time_ms).min() else { return Vec::new() };
    let told = |path: &str| {
        let at = history.header.end_ns;
        let sentence = format!("{path} was due by {} and is there at {}", seconds(early), seconds(at));
        Finding::safety(ORACLE, "left_behind", path, sentence).severity(Severity::Liveness)
    };
    // What was touched of late may have become due just now.
    let touched = |path: &str| {
        let changes = replay.timeline.get(path).and_then(|changes| changes.last());
        changes.is_some_and(|(zxid, _)| *zxid >= since.zxid.0)
    };
    replay.tree.due(time_ms).filter(|path| !touched(path)).map(told).collect()
}
