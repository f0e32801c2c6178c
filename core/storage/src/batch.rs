//! What one flush makes durable.

use bytes::{BufMut, Bytes, BytesMut};
use std::ops::Range;
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Term};
use synod_wire::log::{ALIGNMENT, HEADER_BYTES};

/// Changes of the log, in order, that become durable together. Bodies lie in one buffer, so an entry costs no
/// allocation. A batch is not atomic: a power failure in its flush may keep any prefix of the changes.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) bodies: BytesMut,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Truncate(Index),
    Entry { term: Term, index: Index, body: Range<usize> },
    HardState(HardState),
    Reset(SnapshotMeta),
}

impl Batch {
    /// An empty batch. Reuse one: [`Batch::clear`] keeps its memory.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Drops the entries from this index on.
    pub fn truncate(&mut self, from: Index) {
        self.changes.push(Change::Truncate(from));
    }

    /// An entry whose body `encode` appends to the buffer it is given.
    pub fn entry_with(&mut self, term: Term, index: Index, encode: impl FnOnce(&mut BytesMut)) {
        let start = self.bodies.len();
        encode(&mut self.bodies);
        self.changes.push(Change::Entry { term, index, body: start..self.bodies.len() });
    }

    /// An entry.
    pub fn entry(&mut self, term: Term, index: Index, body: &[u8]) {
        self.entry_with(term, index, |out| out.put_slice(body));
    }

    /// Term, vote and recovery flag.
    pub fn hard_state(&mut self, state: HardState) {
        self.changes.push(Change::HardState(state));
    }

    /// The log starts anew after a snapshot: no entry before or after counts.
    pub fn reset(&mut self, meta: SnapshotMeta, state: HardState) {
        // The hard state first: a torn flush may end between the two.
        self.changes.push(Change::HardState(state));
        self.changes.push(Change::Reset(meta));
    }

    /// Cuts the changes from this one on off into a batch of their own.
    pub(crate) fn split_off(&mut self, at: usize) -> Batch {
        let mut changes = self.changes.split_off(at);
        let first = changes.iter().find_map(|change| match change {
            Change::Entry { body, .. } => Some(body.start),
            _ => None,
        });
        let cut = first.unwrap_or(self.bodies.len());
        for change in &mut changes {
            if let Change::Entry { body, .. } = change {
                *body = body.start - cut..body.end - cut;
            }
        }
        Batch { changes, bodies: self.bodies.split_off(cut) }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of bodies, for bounds.
    pub fn body_bytes(&self) -> usize {
        self.bodies.len()
    }

    /// Forgets the changes, keeps the memory.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.bodies.clear();
    }

    /// Bytes the records take in the file, at most.
    pub(crate) fn file_bytes(&self) -> u64 {
        let frames = self.changes.len() * (HEADER_BYTES + ALIGNMENT);
        (frames + 16 * self.changes.len() + self.bodies.len()) as u64
    }

    /// Takes the bodies out, for slicing.
    pub(crate) fn take_bodies(&mut self) -> Bytes {
        self.bodies.split().freeze()
    }
}
