//! What a campaign ought to have covered: the faults that plans ask for, and the rare states that some seed must reach.
//! A campaign reports each of them, with 0 where nothing came of it: a harness that never gets there proves nothing.

/// Effects that the world counts for the faults of a default plan, by its names.
pub const FAULTS: &[&str] = &[
    "bandwidth",
    "clock drift",
    "clock jump",
    "corruption",
    "crash",
    "crash after a sync",
    "crash at a point",
    "crash at a sync",
    "crash at a write",
    "delay",
    "disk full",
    "failed sync",
    "fault point",
    "foreign disk",
    "half-open",
    "late delivery",
    "loss",
    "misdirected read",
    "misdirected write",
    "older disk",
    "partial read",
    "partial write",
    "partition",
    "pause",
    "power failure",
    "read error",
    "reset",
    "rot",
    "slow disk",
    "stuck disk",
    "suspend",
    "syn timeout",
    "wipe",
];

/// Rare states of the engine that some seed must reach: each `sometimes` of `core` and each of the watcher.
pub const SOMETIMES: &[&str] = &[
    "node.older_disk",
    "node.snapshot_received",
    "node.snapshot_sent",
    "node.snapshot_written",
    "node.version_refused",
    "raft.campaign",
    "raft.leader_elected",
    "raft.leader_stepped_down",
    "raft.pre_vote",
    "raft.recovering",
    "raft.snapshot_installed",
    "raft.truncated",
    "raft.vote_restored",
    "replica.closed_by_leader_change",
    "replica.link_to_leader_broke",
    "replica.not_serving",
    "replica.outgrown",
    "replica.session_ended",
    "replica.session_gone",
    "replica.session_moved",
    "replica.snapshot",
    "replica.version_raised",
    "storage: a damaged snapshot was put aside",
    "storage: a flush waited for the next segment",
    "storage: a torn tail was cut",
    "storage: records were restored from their echo",
];

/// Prefix of the counts of the plans' faults that were done, among a run's effects.
pub const PLANNED: &str = "plan:";
/// Prefix of the counts of those that were not: see `synod_reports::Campaign::faults_held_back`.
pub const HELD_BACK: &str = "held back:";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// String literals that follow `before` in the sources under a folder.
    fn literals(folder: &Path, before: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                literals(&path, before, found);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("conformance.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let starts = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
                found.extend(starts.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_string()));
            }
        }
    }

    #[test]
    fn every_rare_state_is_listed() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        literals(&here.join("../core"), "sometimes(\"", &mut found);
        let watcher = std::fs::read_to_string(here.join("src/watcher.rs")).unwrap();
        for name in watcher.split('"').skip(1).step_by(2) {
            let is_point = |family| name.strip_prefix(family).is_some_and(|n: &str| !n.contains(' '));
            // What is in no other class is no state that must be reached.
            if (is_point("raft.") || is_point("replica.")) && name != "replica.closed_otherwise" {
                found.insert(name.to_string());
            }
        }
        assert_eq!(found, SOMETIMES.iter().map(|s| s.to_string()).collect());
    }
}
