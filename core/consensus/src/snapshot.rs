//! Snapshots: a peer that is behind the leader's log gets the leader's newest snapshot, chunk by chunk with one chunk
//! in flight. Source: dissertation §5.1, §5.3. Not here: what a snapshot contains, and how it is stored.

use crate::io::Output;
use crate::log::Log;
use crate::progress::Feed;
use crate::raft::Raft;
use bytes::Bytes;
use synod_types::raft::{Body, Payload, SnapshotMeta};
use synod_types::{Mutant, NodeId};

/// A snapshot that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Receiving {
    meta: SnapshotMeta,
    /// The first bytes of it that were stored.
    received: u64,
    /// It is complete and being loaded.
    restoring: bool,
}

/// The leader's half.
impl<P: Payload> Raft<P> {
    /// Begins, from offset 0, to send the newest snapshot.
    pub(crate) fn begin_snapshot(&mut self, peer: NodeId, out: &mut Vec<Output<P>>) {
        self.fetch(peer, self.snapshot, 0, out);
    }

    fn fetch(&mut self, peer: NodeId, meta: SnapshotMeta, offset: u64, out: &mut Vec<Output<P>>) {
        if let Some(progress) = self.progress.get_mut(&peer) {
            progress.probe(progress.next);
            progress.chunk_waits = false;
            progress.feed = Feed::Snapshot { meta, offset, reading: true };
            out.push(Output::Fetch { peer, meta, offset });
        }
    }

    /// The answer to a chunk is lost with the follower's link, which the leader is not told of: what waits for two
    /// checks of the quorum is sent again. A follower that has it, or is loading it, says so or keeps silent.
    pub(crate) fn repeat_chunks(&mut self, out: &mut Vec<Output<P>>) {
        let mut lost = Vec::new();
        for (peer, progress) in &mut self.progress {
            if let Feed::Snapshot { meta, offset, reading: false } = progress.feed
                && std::mem::replace(&mut progress.chunk_waits, true)
            {
                lost.push((*peer, meta, offset));
            }
        }
        for (peer, meta, offset) in lost {
            let (meta, offset) = if meta == self.snapshot { (meta, offset) } else { (self.snapshot, 0) };
            self.fetch(peer, meta, offset, out);
        }
    }

    pub(crate) fn on_fetched(
        &mut self,
        peer: NodeId,
        meta: SnapshotMeta,
        offset: u64,
        data: Bytes,
        done: bool,
        out: &mut Vec<Output<P>>,
    ) {
        if let Some(progress) = self.progress.get_mut(&peer)
            && progress.feed == (Feed::Snapshot { meta, offset, reading: true })
        {
            progress.feed = Feed::Snapshot { meta, offset, reading: false };
            self.send(peer, Body::Snapshot { meta, offset, data, done }, out);
        }
    }

    pub(crate) fn on_fetch_failed(&mut self, peer: NodeId, meta: SnapshotMeta, out: &mut Vec<Output<P>>) {
        let newest = self.snapshot;
        if let Some(progress) = self.progress.get_mut(&peer)
            && let Feed::Snapshot { meta: wanted, reading: true, .. } = progress.feed
            && wanted == meta
        {
            if newest != meta {
                return self.begin_snapshot(peer, out);
            }
            // Tried again with the next heartbeat.
            progress.feed = Feed::Probe { paused: true };
        }
    }

    pub(crate) fn on_snapshot_reply(
        &mut self,
        from: NodeId,
        meta: SnapshotMeta,
        received: u64,
        installed: bool,
        out: &mut Vec<Output<P>>,
    ) {
        let newest = self.snapshot;
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.active = true;
        let Feed::Snapshot { meta: sent, reading, .. } = progress.feed else { return };
        if installed && meta.index <= self.log.last_index() {
            // The next append message proves it; until then nothing is counted.
            progress.probe(meta.index.next());
            self.feed(from, out);
        } else if !installed && !reading && meta == sent {
            let (meta, offset) = if newest == sent { (sent, received) } else { (newest, 0) };
            self.fetch(from, meta, offset, out);
        }
    }

    /// The own state machine wrote a snapshot.
    pub(crate) fn compact(&mut self, meta: SnapshotMeta, keep: u64) {
        if meta.index > self.commit || meta.index < self.snapshot.index {
            return;
        }
        self.snapshot = meta;
        self.log.compact(synod_types::Index(meta.index.0.saturating_sub(keep)));
    }
}

/// The follower's half.
impl<P: Payload> Raft<P> {
    /// Whether the state of this snapshot, and of no other, is to take the place of the present one.
    pub fn awaits_restored(&self, meta: SnapshotMeta) -> bool {
        self.receiving.is_some_and(|receiving| receiving.restoring && receiving.meta == meta)
    }

    /// A complete snapshot is being loaded: nothing may be decided meanwhile, for loading undoes it.
    pub(crate) fn is_restoring(&self) -> bool {
        self.receiving.is_some_and(|receiving| receiving.restoring)
    }

    pub(crate) fn on_chunk(
        &mut self,
        from: NodeId,
        meta: SnapshotMeta,
        offset: u64,
        data: Bytes,
        done: bool,
        out: &mut Vec<Output<P>>,
    ) {
        if self.is_restoring() || data.len() > self.config.limits.chunk_bytes_max {
            return;
        }
        if meta.index <= self.commit {
            return self.reply(from, Body::SnapshotReply { meta, received: 0, installed: true }, out);
        }
        let held = self.receiving.filter(|held| held.meta == meta);
        let mut received = held.map_or(0, |held| held.received);
        // Anything but the next chunk is answered with what is wanted. So a transfer goes on where it was cut off.
        if offset == received {
            let Some(end) = offset.checked_add(data.len() as u64) else { return };
            received = end;
            self.receiving = Some(Receiving { meta, received, restoring: done });
            out.push(Output::Store { meta, offset, data, done });
        }
        if !self.is_restoring() {
            self.reply(from, Body::SnapshotReply { meta, received, installed: false }, out);
        }
    }

    pub(crate) fn on_restored(&mut self, meta: SnapshotMeta, out: &mut Vec<Output<P>>) {
        if !self.ends_restoring(meta) {
            return;
        }
        let held = self.log.term_at(meta.index);
        let keeps = self.config.mutants.on(Mutant::RaftSnapshotKeepsLog) && held.is_some();
        if held == Some(meta.term) || keeps {
            // The log goes on after the snapshot: only what it covers may go.
            self.log.compact(meta.index);
            self.durability.index = self.durability.index.max(meta.index);
        } else {
            self.log = Log::new(meta.index, meta.term);
            let sequence = self.durability.reset(meta.index, self.hard_state);
            out.push(Output::ResetLog { sequence, meta, hard_state: self.hard_state });
        }
        let ahead = self.config.mutants.on(Mutant::RaftSnapshotCommit);
        self.commit = meta.index.max(self.following.leader_commit.filter(|_| ahead).unwrap_or_default());
        self.snapshot = meta;
        // What is committed is in the log of every leader to come.
        self.following.verified = self.following.verified.max(meta.index);
        if let Some(leader) = self.leader {
            self.reply(leader, Body::SnapshotReply { meta, received: 0, installed: true }, out);
        }
    }

    pub(crate) fn on_restore_failed(&mut self, meta: SnapshotMeta, out: &mut Vec<Output<P>>) {
        if self.ends_restoring(meta)
            && let Some(leader) = self.leader
        {
            self.reply(leader, Body::SnapshotReply { meta, received: 0, installed: false }, out);
        }
    }

    fn ends_restoring(&mut self, meta: SnapshotMeta) -> bool {
        let ends = self.awaits_restored(meta);
        if ends {
            self.receiving = None;
        }
        ends
    }
}
