//! The task that writes the log. One flush is in flight; what arrives meanwhile goes into the next.

use crate::Stopped;
use crate::core::Shared;
use std::sync::Arc;
use std::time::Duration;
use synod_replica::Input;
use synod_storage::{Batch, Storage};
use synod_types::raft::{Entry, HardState, SnapshotMeta};
use synod_types::{Index, Mutant, Proposal};

/// Longest pause of a fault point.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// What the next flush will write.
#[derive(Default)]
pub(crate) struct Pending {
    batch: Batch,
    /// The latest sequence in it.
    sequence: Option<u64>,
    /// The log below this index may go.
    pub compact: Option<Index>,
}

impl Pending {
    pub fn append(
        &mut self,
        sequence: u64,
        hard_state: Option<HardState>,
        truncate: Option<Index>,
        entries: &[Entry<Arc<Proposal>>],
    ) {
        if let Some(from) = truncate {
            self.batch.truncate(from);
        }
        for entry in entries {
            self.batch.entry_with(entry.term, entry.index, |out| {
                if let Some(proposal) = &entry.payload {
                    synod_wire::proposal::put_proposal(out, proposal);
                }
            });
        }
        if let Some(hard_state) = hard_state {
            self.batch.hard_state(hard_state);
        }
        self.sequence = Some(sequence);
    }

    pub fn reset(&mut self, sequence: u64, meta: SnapshotMeta, hard_state: HardState) {
        self.batch.reset(meta, hard_state);
        self.sequence = Some(sequence);
    }
}

/// Writes until the member stops, or until a write fails: then the member must stop, as nothing is known about what
/// is on the disk, and trying again would prove nothing.
pub(crate) async fn run(shared: Arc<Shared>, mut storage: Storage) {
    loop {
        shared.env.buggify_pause("node.log_late", PAUSE_MAX).await;
        let (mut pending, stopped) = {
            let mut core = shared.lock();
            (std::mem::take(&mut core.batch), core.stopped.is_some())
        };
        if stopped {
            return;
        }
        if let Some(sequence) = pending.sequence {
            let started = shared.env.now();
            let bytes = pending.batch.body_bytes() as u64;
            let result = storage.append(&mut pending.batch).await;
            shared.env.buggify_pause("node.appended_late", PAUSE_MAX).await;
            let now = shared.now();
            let mut core = shared.lock();
            match result {
                Ok(()) => {
                    let took = now.instant.since(started).as_nanos() as u64;
                    core.figures.flushes += 1;
                    core.figures.log_bytes += bytes;
                    core.figures.flush_ns += took;
                    core.figures.flush_max_ns = core.figures.flush_max_ns.max(took);
                    let next = core.batch.sequence.filter(|_| shared.config.mutants.on(Mutant::NodeAcksNextBatch));
                    core.step(&shared, now, Input::Appended { sequence: next.unwrap_or(sequence) });
                }
                Err(error) => {
                    shared.halt(&mut core, Stopped::Disk(error.to_string()));
                    return;
                }
            }
        }
        if let Some(first_kept) = pending.compact {
            match storage.retire(first_kept) {
                Ok(removal) => {
                    let member = shared.config.id.0;
                    shared.env.spawn("remove segments", async move {
                        if let Err(error) = removal.await {
                            tracing::warn!(member, %error, "old segments of the log stay");
                        }
                    });
                }
                Err(error) => {
                    let mut core = shared.lock();
                    shared.halt(&mut core, Stopped::Disk(error.to_string()));
                    return;
                }
            }
        }
        if pending.sequence.is_none() && pending.compact.is_none() {
            shared.log.notified().await;
        }
    }
}
