//! What the records of a log add up to.

use crate::RawEntry;
use bytes::Bytes;
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutant, Mutants, Term};
use synod_wire::log::{LogRecord, RecordKind, hard_state, reset};

/// The log as far as it was replayed.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) hard_state: Option<HardState>,
    /// The entries start after this index.
    pub(crate) floor: Index,
    pub(crate) entries: Vec<RawEntry>,
    /// Lowest index that a record since [`Replay::segment`] wrote, dropped or made void: what earlier segments hold
    /// from there on does not count.
    pub(crate) low: Index,
}

impl Replay {
    /// A log whose first segment expects `first` next.
    pub(crate) fn new(first: Index) -> Replay {
        Replay { floor: first.prev(), low: first, ..Replay::default() }
    }

    /// The index that comes next.
    pub(crate) fn next(&self) -> Index {
        self.entries.last().map_or(self.floor, |entry| entry.index).next()
    }

    /// Term of the last entry.
    pub(crate) fn last_term(&self) -> Term {
        self.entries.last().map_or(Term(0), |entry| entry.term)
    }

    /// A segment begins, which says that `first` comes next.
    pub(crate) fn segment(&mut self, first: Index) -> Result<(), String> {
        self.low = first;
        if first == self.next() {
            Ok(())
        } else {
            Err(format!("starts at index {}, expected {}", first.0, self.next().0))
        }
    }

    /// The entries from this index on do not count.
    pub(crate) fn truncate(&mut self, from: Index) {
        if from <= self.floor {
            self.entries.clear();
            self.floor = from.prev();
        } else {
            let kept = (from.0 - self.floor.0 - 1).min(self.entries.len() as u64);
            self.entries.truncate(kept as usize);
        }
        self.low = self.low.min(from);
    }

    /// The log starts anew after an index.
    pub(crate) fn reset(&mut self, index: Index) {
        self.entries.clear();
        self.floor = index;
        self.low = Index(0);
    }

    /// Takes one record in.
    pub(crate) fn apply(&mut self, record: &LogRecord, mutants: Mutants) -> Result<(), String> {
        let forgets = mutants.on(Mutant::StoreTruncationForgotten);
        match record.kind {
            RecordKind::Entry => {
                if record.index > self.next() || record.index == Index(0) {
                    return Err(format!("entry of index {}, expected {}", record.index.0, self.next().0));
                }
                // A copy: a slice would keep a whole read buffer alive for as long as the entry lives.
                let body = Bytes::copy_from_slice(&record.body);
                let entry = RawEntry { term: record.term, index: record.index, body };
                if forgets && let Some(held) = self.entries.iter_mut().find(|held| held.index == entry.index) {
                    *held = entry;
                    return Ok(());
                }
                self.truncate(record.index);
                self.entries.push(entry);
            }
            RecordKind::Truncate if forgets => {}
            RecordKind::Truncate => self.truncate(record.index.next()),
            RecordKind::HardState => self.hard_state = Some(hard_state(record).map_err(|error| error.to_string())?),
            RecordKind::Reset => {
                let meta: SnapshotMeta = reset(record).map_err(|error| error.to_string())?;
                self.reset(meta.index);
            }
            RecordKind::Segment | RecordKind::Mark => return Err(format!("unexpected record kind {:?}", record.kind)),
        }
        Ok(())
    }
}
