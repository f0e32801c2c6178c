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
    /// That leader and its incarnation.
    known_to: Option<(u8, u64)>,
    /// The older disk is in the machine.
    is_in: bool,
}

impl Watcher {
    /// From now on it counts what a member acknowledges: its disk of this moment may be put back.
    pub fn keep_disk(&self, node: u8) {
        self.lock().older.entry(node).or_default();
    }

    /// The disk is in the machine again: at its next start the member has to notice.
    pub fn older_disk(&self, node: u8) {
        self.disk_lost(node);
        self.lock().older.entry(node).or_default().is_in = true;
    }

    /// Whether that leader still runs to whom the member acknowledged most; who it is.
    pub fn knows_promise_of(&self, node: u8) -> Option<u8> {
        let watched = self.lock();
        let (leader, incarnation) = watched.older.get(&node)?.known_to?;
        // One that starts again has not been seen yet.
        let up = watched.members.contains_key(&leader);
        (up && watched.incarnations.get(&leader) == Some(&incarnation)).then_some(leader)
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
                let acknowledged = (raft.term(), progress.matched);
                if let Some(older) = self.older.get_mut(&peer.0).filter(|o| own && o.acknowledged < acknowledged) {
                    older.acknowledged = acknowledged;
                    older.known_to = Some((node, replica.config().incarnation));
                }
            }
        }
        if let Some(older) = self.older.get_mut(&node).filter(|older| older.is_in) {
            let disk = raft.durable_hard_state();
            let holds = (disk.term, (raft.last_term(), raft.last_index()));
            let (term, index) = older.acknowledged;
            let behind = holds.0 < term || holds.0 == term && holds.1 < (term, index);
            match (raft.is_recovering(), disk.recovering) {
                (true, true) => drop(self.older.remove(&node)),
                // If it ends before that is on its disk, it has to notice again.
                (true, false) => {}
                // Nobody looks a second time before the driver has done something about it.
                (false, _) => {
                    older.is_in = false;
                    self.unnoticed.push((node, behind));
                    wake.notify_one();
                }
            }
        }
    }
}
