//! What members acknowledge whose disk may become an older one, and how they come up with it.

use super::{Watched, Watcher};
use synod_node::replica::{Replica, Role};
use synod_types::{Index, Term};
use tokio::sync::Notify;

/// A member whose disk is kept, to be put back later.
#[derive(Default)]
pub(super) struct Older {
    /// The term and index up to which a leader knows that the member has its entries.
    acknowledged: (Term, Index),
    /// The older disk is in the machine.
    is_in: bool,
}

impl Watcher {
    /// From now on it counts what a member acknowledges: its disk of this moment may be put back.
    pub fn keep_disk(&self, node: u8) {
        self.lock().older.insert(node, Older::default());
    }

    /// The disk is in the machine again: at its next start the member has to notice.
    pub fn older_disk(&self, node: u8) {
        self.disk_lost(node);
        self.lock().older.entry(node).or_default().is_in = true;
    }

    /// Members with an older disk that have not come up since.
    pub fn with_older_disks(&self) -> Vec<u8> {
        self.lock().older.iter().filter(|(_, older)| older.is_in).map(|(node, _)| *node).collect()
    }

    /// That disk will not be put back, or was taken out.
    pub fn forget_disk(&self, node: u8) {
        self.lock().older.remove(&node);
    }
}

impl Watched {
    /// What members acknowledge whose disk may become an older one, and how they come up with it.
    pub(super) fn check_disk(&mut self, replica: &Replica, wake: &Notify) {
        let (raft, node) = (replica.consensus(), replica.config().id.0);
        if self.older.is_empty() {
            return;
        }
        if raft.role() == Role::Leader {
            for (peer, progress) in raft.progress().filter(|(_, p)| !p.recovering) {
                let own = raft.term_at(progress.matched) == Some(raft.term());
                if let (Some(older), true) = (self.older.get_mut(&peer.0), own) {
                    older.acknowledged = older.acknowledged.max((raft.term(), progress.matched));
                }
            }
        }
        if let Some(older) = self.older.get(&node).filter(|older| older.is_in) {
            let disk = raft.durable_hard_state();
            let holds = (disk.term, (raft.last_term(), raft.last_index()));
            let (term, index) = older.acknowledged;
            let behind = holds.0 < term || holds.0 == term && holds.1 < (term, index);
            if !raft.is_recovering() {
                self.unnoticed.push((node, behind));
                wake.notify_one();
            }
            self.older.remove(&node);
        }
    }
}
