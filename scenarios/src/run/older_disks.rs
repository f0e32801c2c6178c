//! Members that come back with their disk as it was at an earlier time.
//!
//! Such a member has to notice by what the others remember (`synod_node::roll_call`), and then it counts like one whose
//! disk was lost. It cannot notice when those who remember are out of reach or have started again, and then it could
//! lawfully undo what was decided. So whoever comes up as a voter gets its own disk back at once, before it can say
//! anything; that is a broken promise if those who could tell were there, and otherwise a fault that was held back.

use super::driver::Driver;
use std::collections::{BTreeMap, BTreeSet};
use synod_checkers::Finding;
use synod_sim::DiskImage;

/// The disks that are in no machine.
#[derive(Default)]
pub(super) struct OlderDisks {
    /// As they were when a fault began, by its number, with everyone's incarnations of that moment.
    kept: BTreeMap<usize, (DiskImage, Vec<Option<u64>>)>,
    /// What members had that have an older one now and did not come up yet.
    own: BTreeMap<u8, OwnDisk>,
}

struct OwnDisk {
    image: DiskImage,
    /// Everyone's incarnations when the older one was kept.
    then: Vec<Option<u64>>,
    /// The faults that went on when it was put in, if the others could tell the member what it had promised.
    tellable: Option<BTreeSet<usize>>,
}

impl OlderDisks {
    pub fn has(&self, node: u8) -> bool {
        self.own.contains_key(&node)
    }
}

impl Driver<'_> {
    fn incarnations(&self) -> Vec<Option<u64>> {
        (1..=self.plan.cluster.nodes).map(|node| self.watcher.incarnation(node)).collect()
    }

    /// Keeps the disk of a member, to be put in later.
    pub fn keep_disk(&mut self, i: usize, node: u8) {
        self.watcher.keep_disk(node);
        let kept = (self.world.disk_image(self.host(node)), self.incarnations());
        self.older_disks.kept.insert(i, kept);
    }

    /// The disk is put in that a member had when the fault began.
    pub fn put_in_older(&mut self, i: usize, node: u8) {
        let Some((image, then)) = self.older_disks.kept.remove(&i) else { return };
        let other = self.swapped.contains_key(&node) || self.older_disks.has(node);
        if other || self.too_much(node) || self.watcher.is_suspect(node) {
            self.remark(format!("node {node} keeps its disk: no more may be lost before others have recovered"));
            *self.kinds.entry("held back:old-disk".into()).or_default() += 1;
            return self.watcher.forget_disk(node);
        }
        let tellable = self.others_can_tell(node, &then).then(|| self.active.clone());
        self.take_down(node, self.world.now(), true);
        let own = self.world.disk_image(self.host(node));
        self.older_disks.own.insert(node, OwnDisk { image: own, then, tellable });
        self.world.restore_disk(self.host(node), image);
        self.watcher.older_disk(node);
    }

    /// Whether the others have run since then, and nothing comes between them and this member.
    fn others_can_tell(&self, node: u8, then: &[Option<u64>]) -> bool {
        let c = &self.plan.cluster;
        let calm = c.loss == 0.0 && 4 * c.tail.1 < c.election_timeout_ms && self.hit.is_empty();
        let talks = !self.active.iter().any(|i| self.plan.faults[*i].what.hampers_talk());
        let mut others = (1..=c.nodes).zip(then).filter(|(other, _)| *other != node);
        calm && talks
            && others.all(|(other, then)| {
                let host = self.host(other);
                let same = self.watcher.incarnation(other) == *then;
                same && self.world.is_running(host) && !self.world.is_blocked(host, self.host(node))
            })
    }

    /// A member that came back as a voter with an older disk gets its own back before it can do harm. If those were at
    /// hand who know that it had acknowledged more, it should have noticed.
    pub fn take_out_older_disks(&mut self) {
        let unnoticed = std::mem::take(&mut self.watcher.lock().unnoticed);
        for (node, behind) in unnoticed {
            let Some(own) = self.older_disks.own.remove(&node) else { continue };
            self.remark(format!("node {node} votes with an older disk, its own is put back"));
            if behind && own.tellable.as_ref() == Some(&self.active) && self.others_can_tell(node, &own.then) {
                let sentence = format!(
                    "at {:.6} s member {node} came back with an older disk, without what it had acknowledged, and votes",
                    self.world.now().0 as f64 / 1e9
                );
                let finding = Finding::safety("storage", "older_disk_votes", format!("member {node}"), sentence);
                self.watcher.lock().findings.push(finding);
            } else {
                *self.kinds.entry("held back:old-disk".into()).or_default() += 1;
            }
            self.put_in(node, own.image);
        }
        let pending = self.watcher.with_older_disks();
        self.older_disks.own.retain(|node, _| pending.contains(node));
    }

    /// Members that have not come up with an older disk get their own back.
    pub fn forget_older_disks(&mut self) {
        self.older_disks.kept.clear();
        for (node, own) in std::mem::take(&mut self.older_disks.own) {
            self.watcher.forget_disk(node);
            self.put_in(node, own.image);
        }
    }
}
