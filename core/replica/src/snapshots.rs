//! When a snapshot is due, and how a received one takes the place of the state.

use crate::io::{ConnectionId, Now, Output};
use crate::replica::Replica;
use synod_consensus::Input as RaftInput;
use synod_state::State;
use synod_types::Mutant;
use synod_types::raft::SnapshotMeta;

impl Replica {
    /// After an applied entry. The state's clone is O(1); writing it is somebody else's work.
    pub(crate) fn consider_snapshot(&mut self, out: &mut Vec<Output>) {
        let due = self.entries_since_snapshot >= self.config.snapshot_entries
            || self.bytes_since_snapshot >= self.config.snapshot_bytes;
        if !due || self.snapshot_running {
            return;
        }
        let (mut index, mut term) = self.state.applied();
        if self.config.mutants.on(Mutant::StateSnapshotAhead) {
            index = self.raft.commit();
            term = self.raft.term_at(index).unwrap_or(term);
        }
        self.snapshot_running = true;
        self.entries_since_snapshot = 0;
        self.bytes_since_snapshot = 0;
        out.push(Output::Snapshot { state: Box::new(self.state.clone()), index, term });
    }

    pub(crate) fn snapshot_written(&mut self, now: Now, meta: SnapshotMeta, out: &mut Vec<Output>) {
        self.snapshot_running = false;
        let keep = self.config.log_keep;
        self.raft(now, RaftInput::Compact { meta, keep }, out);
    }

    /// The state jumps ahead. Watches may have missed changes in between, so every client starts over: it comes back
    /// with what it has seen, and is told the difference.
    pub(crate) fn restored(&mut self, now: Now, meta: SnapshotMeta, state: State, out: &mut Vec<Output>) {
        // Consensus may have given it up meanwhile: its log would not follow the state.
        let wanted = self.raft.awaits_restored(meta);
        if wanted && state.applied().0 > self.state.applied().0 {
            if state.version() > self.config.cluster_version {
                return self.outgrown(state.version(), out);
            }
            let all: Vec<ConnectionId> = self.connections.keys().copied().collect();
            for connection in all {
                self.close(connection, "a snapshot took the place of the state", out);
            }
            self.state = state;
            self.state.set_member(self.config.id.0, self.config.cluster_version);
            self.entries_since_snapshot = 0;
            self.bytes_since_snapshot = 0;
            self.digests.clear();
        }
        self.raft(now, RaftInput::Restored { meta }, out);
    }
}
