//! What a leader knows of one peer: how far its log matches, what is in flight to it, and in which way it is fed.

use std::collections::VecDeque;
use synod_types::Index;
use synod_types::raft::SnapshotMeta;

/// A leader's view of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The peer's log is durable and equal to the leader's up to here.
    pub matched: Index,
    /// The next entry to send.
    pub next: Index,
    /// The peer is being caught up after it lost its disk: what it acknowledges does not count.
    pub recovering: bool,
    /// Nonce of the peer's latest question what it lost, and the entry that was appended because of it.
    pub(crate) barrier: Option<(u64, Index)>,
    /// It was heard from since the last check of the quorum.
    pub active: bool,
    /// The newest broadcast round it has echoed.
    pub(crate) round: u64,
    pub(crate) feed: Feed,
    /// At the last check of the quorum a chunk of a snapshot was already waiting for its answer.
    pub(crate) chunk_waits: bool,
    /// Last index and payload bytes of each message with entries that is not acknowledged.
    in_flight: VecDeque<(Index, usize)>,
    in_flight_bytes: usize,
}

/// The way in which a peer is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Feed {
    /// One message at a time until it is known where the logs meet. `paused`: it was sent.
    Probe { paused: bool },
    /// Entries are streamed; `next` runs ahead of what is acknowledged.
    Stream,
    /// The peer is behind the log; it gets the snapshot, one chunk in flight: the one at `offset`, which is being read
    /// from the own disk or was sent.
    Snapshot { meta: SnapshotMeta, offset: u64, reading: bool },
}

impl Progress {
    pub(crate) fn new(next: Index) -> Progress {
        Progress {
            matched: Index(0),
            next,
            recovering: false,
            barrier: None,
            active: false,
            round: 0,
            feed: Feed::Probe { paused: false },
            chunk_waits: false,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
        }
    }

    /// Forgets what is in flight and asks where the logs meet, from `next` on.
    pub(crate) fn probe(&mut self, next: Index) {
        self.next = next.max(self.matched.next());
        self.feed = Feed::Probe { paused: false };
        self.in_flight.clear();
        self.in_flight_bytes = 0;
    }

    /// The link was lost. What the peer has durable is learnt anew: it may come back with another disk. Where to begin
    /// is still a good guess.
    pub(crate) fn disconnect(&mut self) {
        let next = if self.matched > Index(0) { self.matched.next() } else { self.next };
        self.matched = Index(0);
        self.probe(next);
    }

    pub(crate) fn has_room(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.in_flight.len() < messages_max && self.in_flight_bytes < bytes_max
    }

    /// A message with entries up to `last` was sent.
    pub(crate) fn sent(&mut self, last: Index, bytes: usize) {
        self.next = last.next();
        self.in_flight.push_back((last, bytes));
        self.in_flight_bytes += bytes;
    }

    /// The peer acknowledged everything up to `matched`.
    pub(crate) fn acknowledged(&mut self, matched: Index) {
        self.matched = self.matched.max(matched);
        self.next = self.next.max(matched.next());
        while let Some((last, bytes)) = self.in_flight.front().copied()
            && last <= matched
        {
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
        }
    }
}
