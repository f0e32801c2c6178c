//! Members that come back with their disk as it was at an earlier time.
//!
//! Such a member has to notice by what the others remember (`synod_node::roll_call`), and then it counts like one whose
//! disk was lost. It cannot notice when those who remember are out of reach or have started again, and then it could
//! lawfully undo what was decided. So whoever comes up as a voter gets its own disk back at once, before it can say
//! anything; that is a broken promise if those who could tell were there, and otherwise a fault that was held back.

use super::driver::Driver;
use crate::plan::What;
use std::collections::{BTreeMap, BTreeSet};
use synod_checkers::Finding;
use synod_sim::DiskImage;

/// The disks that are in no machine.
#[derive(Default)]
pub(super) struct OlderDisks {
    /// As they were when a fault began, by its number.
    kept: BTreeMap<usize, DiskImage>,
    /// What members had that have an older one now and did not come up yet.
    own: BTreeMap<u8, OwnDisk>,
}

struct OwnDisk {
    image: DiskImage,
    /// Who could tell what the member had promised when the older one was put in, and the faults that went on.
    could_tell: Option<(u8, BTreeSet<usize>)>,
}

impl OlderDisks {
    pub fn has(&self, node: u8) -> bool {
        self.own.contains_key(&node)
    }
}

impl Driver<'_> {
    /// Keeps the disk of a member, to be put in later.
    pub fn keep_disk(&mut self, i: usize, node: u8) {
        self.watcher.keep_disk(node);
        self.older_disks.kept.insert(i, self.world.disk_image(self.host(node)));
    }

    /// The disk is put in that a member had when the fault began.
    pub fn put_in_older(&mut self, i: usize, node: u8) {
        let Some(image) = self.older_disks.kept.remove(&i) else { return };
        if self.older_disks.has(node) {
            return;
        }
        if self.swapped.contains_key(&node) || self.too_much(node) || self.watcher.is_suspect(node) {
            self.remark(format!("node {node} keeps its disk: no more may be lost before others have recovered"));
            *self.kinds.entry("held back:old-disk".into()).or_default() += 1;
            return self.watcher.forget_disk(node);
        }
        let could_tell = self.who_can_tell(node).map(|leader| (leader, self.active.clone()));
        self.take_down(node, self.world.now(), true);
        let own = self.world.disk_image(self.host(node));
        self.older_disks.own.insert(node, OwnDisk { image: own, could_tell });
        self.world.restore_disk(self.host(node), image);
        self.watcher.older_disk(node);
    }

    /// The leader that knows best what a member acknowledged, if it runs and nothing comes between the two.
    fn who_can_tell(&self, node: u8) -> Option<u8> {
        let c = &self.plan.cluster;
        let leader = self.watcher.knows_promise_of(node)?;
        let concerned = |n: &u8| *n == node || *n == leader;
        let hampered = self.active.iter().map(|i| &self.plan.faults[*i].what).any(|what| {
            let slows = matches!(what, What::Delay { .. } | What::Loss { .. } | What::SlowLink { .. });
            let breaks = matches!(what, What::Corrupt { .. } | What::Flap { .. } | What::AcceptFails { .. });
            (slows || breaks) && what.members().iter().any(concerned)
        });
        let (host, peer) = (self.host(node), self.host(leader));
        let paused = self.hit.values().any(concerned);
        let calm = c.loss == 0.0 && 4 * c.tail.1 < c.election_timeout_ms;
        let reached = self.world.is_running(peer) && !self.world.is_blocked(host, peer);
        (calm && reached && !hampered && !paused).then_some(leader)
    }

    /// A member that came back as a voter with an older disk gets its own back before it can do harm. If those were at
    /// hand who know that it had acknowledged more, it should have noticed.
    pub fn take_out_older_disks(&mut self) {
        let unnoticed = std::mem::take(&mut self.watcher.lock().unnoticed);
        for (node, behind) in unnoticed {
            let Some(own) = self.older_disks.own.remove(&node) else { continue };
            self.remark(format!("node {node} votes with an older disk, its own is put back"));
            let can_tell = self.who_can_tell(node).map(|leader| (leader, self.active.clone()));
            self.watcher.forget_disk(node);
            if behind && can_tell.is_some() && can_tell == own.could_tell {
                let sentence = format!(
                    "at {:.6} s member {node} came back with an older disk, without what it had acknowledged, and votes",
                    self.world.now().0 as f64 / 1e9
                );
                let finding = Finding::safety("storage", "older_disk_votes", format!("member {node}"), sentence);
                self.watcher.lock().findings.push(finding);
            } else {
                *self.kinds.entry("held back:old-disk".into()).or_default() += 1;
            }
            self.put_back(node, own);
        }
        let pending = self.watcher.with_older_disks();
        self.older_disks.own.retain(|node, _| pending.contains(node));
    }

    /// What the invariants saw last may have been the older disk, from before another loss: nothing is expected of it.
    fn put_back(&mut self, node: u8, own: OwnDisk) {
        self.put_in(node, own.image);
        self.watcher.disk_lost(node);
    }

    /// Members that have not come up with an older disk get their own back.
    pub fn forget_older_disks(&mut self) {
        self.older_disks.kept.clear();
        for (node, own) in std::mem::take(&mut self.older_disks.own) {
            self.watcher.forget_disk(node);
            self.put_back(node, own);
        }
    }
}
