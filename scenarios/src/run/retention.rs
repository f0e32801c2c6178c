//! When all is quiet, a disk holds what is needed and little more: there is a snapshot of what was applied, or it is not
//! due yet, segments that a snapshot covers have been removed, and so have older snapshots, and files that were never
//! finished. The log in memory is no longer than that either.

use super::driver::Driver;
use crate::plan::{Cluster, What};
use crate::watcher::Seen;
use std::path::Path;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_types::NodeId;

/// Fault points that leave files behind until the next start.
const LEAVE_FILES: [&str; 2] = ["storage.retire_never", "storage.spare_lost"];
/// Snapshots that a member began since its start, for its segments to be judged: the last one may be under way, the one
/// before it is done.
const SNAPSHOTS_MIN: usize = 3;
/// Complete snapshots; files being written: an own snapshot and a leader's; files prepared for the log: one ready, one
/// being filled; segments that nobody needs: a slow disk may be removing them still.
const SNAPSHOTS_MAX: usize = 3;
const WRITING_MAX: usize = 2;
const SPARE_MAX: usize = 2;
const COVERED_MAX: usize = 8;

/// So many times the entries after which a snapshot is due may be without one: a slow disk writes long at the last one.
const DUE_MAX: u64 = 5;

/// The log goes back so many times the entries between snapshots at most, behind what is kept: to the last snapshot, or to
/// the one before it while that is being written, on a slow disk.
const COMPACTED_MAX: u64 = 8;
/// The fault point that makes snapshots fail.
const GIVES_UP: &str = "node.snapshot_abandoned";

/// How many files of each kind a folder has, and the first entry of each segment.
#[derive(Default)]
struct Files {
    firsts: Vec<u64>,
    snapshots: usize,
    writing: usize,
    spare: usize,
}

impl Files {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Files {
        let mut files = Files::default();
        for name in names.filter(|name| !name.ends_with(".damaged")) {
            match name.split('-').collect::<Vec<_>>()[..] {
                ["log", first, _] => files.firsts.extend(u64::from_str_radix(first, 16)),
                ["snapshot", ..] => files.snapshots += 1,
                ["writing", ..] => files.writing += 1,
                ["spare", ..] => files.spare += 1,
                _ => {}
            }
        }
        files
    }

    /// What there is too much of; the log is needed from `needed` on, if that is known.
    fn excess(&self, needed: Option<u64>) -> Option<String> {
        // The last segment that begins at or before what is needed holds it.
        let covered = needed.map_or(0, |needed| self.firsts.iter().filter(|first| **first <= needed).count());
        let counts = [
            ("segments of the log that a snapshot covers", covered.saturating_sub(1), COVERED_MAX),
            ("snapshots", self.snapshots, SNAPSHOTS_MAX),
            ("snapshots that were never finished", self.writing, WRITING_MAX),
            ("segments that were never used", self.spare, SPARE_MAX),
        ];
        let (what, count, max) = counts.into_iter().find(|(_, count, max)| count > max)?;
        Some(format!("{count} {what}, limit {max}"))
    }
}

impl Driver<'_> {
    /// Judges the disks of all members.
    pub(super) fn check_retention(&self) -> Vec<Finding> {
        if LEAVE_FILES.iter().any(|point| self.plan.fault_points.contains_key(*point)) {
            return Vec::new();
        }
        let watched = self.watcher.lock();
        let excess = |node: u8, seen: &Seen| {
            let begun = watched.snapshots.get(&node).map(|(_, begun)| begun.as_slice()).unwrap_or_default();
            let needed = begun.len().checked_sub(2).filter(|_| begun.len() >= SNAPSHOTS_MIN).map(|at| begun[at].0);
            let paths = self.world.files(self.host(node));
            let names = paths.iter().filter_map(|(path, _)| Path::file_name(path)?.to_str());
            let applied = watched.since_snapshot.get(&node).copied().unwrap_or_default();
            let due = self.plan.cluster.snapshot_entries;
            let late = (applied > DUE_MAX * due)
                .then(|| format!("{applied} entries of the log that no snapshot covers, one is due after {due}"));
            let garbage = watched.garbage.get(&node).copied().unwrap_or_default();
            let unfreed =
                (garbage > 0).then(|| format!("{garbage} entries in memory that it has dropped from its log"));
            let what = Files::of(names).excess(needed).or(late).or(unfreed).or_else(|| {
                // Who has just started has all that its segments hold, until it writes a snapshot.
                needed.and_then(|_| self.uncompacted(seen))
            })?;
            let sentence = format!("when all was quiet member {} held {what}", NodeId(node));
            let finding = Finding::safety("retention", "left over", format!("member {node}"), sentence);
            Some(finding.severity(Severity::Liveness))
        };
        watched.members.iter().filter_map(|(node, seen)| excess(*node, seen)).collect()
    }

    /// How much more of the log is in memory than a snapshot leaves there, unless snapshots may have failed.
    fn uncompacted(&self, seen: &Seen) -> Option<String> {
        let Cluster { log_keep, snapshot_entries, .. } = self.plan.cluster;
        let may_fail = self.plan.fault_points.contains_key(GIVES_UP)
            || self.plan.faults.iter().any(|fault| matches!(fault.what, What::DiskFull { .. }));
        let (held, most) = (seen.commit.0.saturating_sub(seen.first.0), log_keep + COMPACTED_MAX * snapshot_entries);
        (held > most && !may_fail).then(|| format!("{held} decided entries of its log in memory, limit {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excess(names: &[&str], needed: Option<u64>) -> Option<String> {
        Files::of(names.iter().copied()).excess(needed)
    }

    #[test]
    fn what_is_needed_and_a_little_more_is_no_excess() {
        let usual = ["lock", "log-1-1", "log-10-2", "log-20-3", "snapshot-8-1-0", "snapshot-18-1-0", "spare-7"];
        assert_eq!(excess(&usual, Some(0x18)), None);
        assert_eq!(excess(&["log-1-1.damaged", "log-2-2.damaged", "log-3-3.damaged"], Some(9)), None);
    }

    #[test]
    fn excess_of_each_kind_is_told() {
        let segments = ["log-1-1", "log-10-2", "log-20-3"];
        assert_eq!(excess(&segments, None), None);
        assert_eq!(excess(&segments, Some(0x20)), None);
        let many: Vec<String> = (1..=11).map(|n| format!("log-{n:x}-{n}")).collect();
        let told = excess(&many.iter().map(String::as_str).collect::<Vec<_>>(), Some(0x20));
        assert_eq!(told.as_deref(), Some("10 segments of the log that a snapshot covers, limit 8"));
        for (name, kept) in [("snapshot", SNAPSHOTS_MAX), ("writing", WRITING_MAX), ("spare", SPARE_MAX)] {
            let names = vec![format!("{name}-1-1-1"); kept + 1];
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            assert!(excess(&names, None).is_some(), "{name}");
            assert!(excess(&names[1..], None).is_none(), "{name}");
        }
    }
}
