//! The window of the log that is kept in memory: everything after an anchor whose index and term are still known.
//! Not here: what of it is durable (`durability`) or committed (`raft`).

use std::collections::VecDeque;
use synod_types::raft::{Entry, Payload};
use synod_types::{Index, Term};

/// Entries after an anchor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Log<P> {
    /// Position before the first entry; (0, 0) is before the log.
    anchor_index: Index,
    anchor_term: Term,
    entries: VecDeque<Entry<P>>,
    /// Compacted entries that are still to be freed: hundreds of thousands at once would hold everybody up.
    garbage: VecDeque<Entry<P>>,
}

/// Compacted entries freed in a step.
const FREED_PER_STEP: usize = 256;

impl<P: Payload> Log<P> {
    pub fn new(anchor_index: Index, anchor_term: Term) -> Log<P> {
        Log { anchor_index, anchor_term, entries: VecDeque::new(), garbage: VecDeque::new() }
    }

    /// The window from what a disk held. Where the entries begin after 1 without a snapshot right before them, the
    /// first entry becomes the anchor, because the term before it is not known.
    pub fn from_entries(anchor_index: Index, anchor_term: Term, entries: Vec<Entry<P>>) -> Log<P> {
        let mut log = Log { anchor_index, anchor_term, entries: entries.into(), garbage: VecDeque::new() };
        if let Some(first) = log.entries.front()
            && first.index != anchor_index.next()
        {
            if first.index == Index(1) {
                (log.anchor_index, log.anchor_term) = (Index(0), Term(0));
            } else {
                (log.anchor_index, log.anchor_term) = (first.index, first.term);
                log.entries.pop_front();
            }
        }
        log
    }

    pub fn first_index(&self) -> Index {
        self.anchor_index.next()
    }

    pub fn last_index(&self) -> Index {
        Index(self.anchor_index.0 + self.entries.len() as u64)
    }

    pub fn last_term(&self) -> Term {
        self.entries.back().map_or(self.anchor_term, |entry| entry.term)
    }

    pub fn entry(&self, index: Index) -> Option<&Entry<P>> {
        let offset = index.0.checked_sub(self.anchor_index.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.anchor_index {
            return Some(self.anchor_term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    pub fn push(&mut self, entry: Entry<P>) {
        debug_assert_eq!(entry.index, self.last_index().next());
        self.entries.push_back(entry);
    }

    /// Drops `from` and everything after it.
    pub fn truncate(&mut self, from: Index) {
        let keep = from.0.saturating_sub(self.anchor_index.0 + 1);
        self.entries.truncate(keep as usize);
    }

    /// Moves the anchor up to `index`, if the window holds it.
    pub fn compact(&mut self, index: Index) {
        let Some(term) = self.term_at(index) else { return };
        let kept = self.entries.split_off((index.0 - self.anchor_index.0) as usize);
        self.garbage.append(&mut self.entries);
        self.entries = kept;
        (self.anchor_index, self.anchor_term) = (index, term);
        self.free_some();
    }

    /// Entries that were compacted and are not freed yet.
    pub fn garbage(&self) -> usize {
        self.garbage.len()
    }

    /// Frees a little of what was compacted.
    pub fn free_some(&mut self) {
        let freed = self.garbage.len().min(FREED_PER_STEP);
        self.garbage.drain(..freed);
        if self.garbage.is_empty() && freed > 0 {
            self.garbage = VecDeque::new();
        }
    }

    /// Copies of `from..=to`, at most `entries_max` and about `bytes_max`, but at least one where there is one; with
    /// their payload bytes.
    pub fn slice(&self, from: Index, to: Index, entries_max: usize, bytes_max: usize) -> (Vec<Entry<P>>, usize) {
        let to = to.min(self.last_index());
        if from <= self.anchor_index || from > to {
            return (Vec::new(), 0);
        }
        let start = (from.0 - self.anchor_index.0 - 1) as usize;
        let count = ((to.0 - from.0 + 1) as usize).min(entries_max.max(1));
        let mut bytes = 0;
        let mut entries = Vec::with_capacity(count);
        for entry in self.entries.range(start..start + count) {
            let size = entry.payload.as_ref().map_or(0, Payload::size_bytes);
            if !entries.is_empty() && bytes + size > bytes_max {
                break;
            }
            bytes += size;
            entries.push(entry.clone());
        }
        (entries, bytes)
    }

    /// Copies of `from..=to`.
    pub fn range(&self, from: Index, to: Index) -> Vec<Entry<P>> {
        self.slice(from, to, usize::MAX, usize::MAX).0
    }

    /// The largest index up to `index` in the window whose term is at most `term` (the anchor when there is none).
    /// Nothing above it can match a log that has `term` at or below `index`.
    pub fn last_with_term_at_most(&self, index: Index, term: Term) -> Index {
        let mut index = index.min(self.last_index());
        while index > self.anchor_index && self.term_at(index).is_some_and(|held| held > term) {
            index = index.prev();
        }
        index
    }

    /// Whether a log that ends at `(index, term)` is at least as complete as this one (§3.6.1).
    pub fn is_at_most(&self, index: Index, term: Term) -> bool {
        (term, index) >= (self.last_term(), self.last_index())
    }
}
