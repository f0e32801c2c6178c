//! Committed entries: executed on the state, their events sent to watches, their outcome to the client that waits
//! here, their digest compared with the other members'.

use crate::io::{AppliedEntry, Now, Output, Reply};
use crate::replica::{DIGEST_EVERY, DIGESTS_KEPT, Replica};
use std::sync::Arc;
use synod_types::command::{Applied, Event, Outcome};
use synod_types::peer::PeerMessage;
use synod_types::raft::{Entry, Payload};
use synod_types::{Command, Index, Mutant, NodeId, Proposal};

impl Replica {
    /// One decided entry, in order.
    pub(crate) fn apply(
        &mut self,
        now: Now,
        entry: Entry<Arc<Proposal>>,
        events: &mut Vec<Event>,
        out: &mut Vec<Output>,
    ) {
        if self.halted {
            return;
        }
        let proposal = entry.payload.as_deref();
        if let Some(Command::RaiseVersion { to }) = proposal.map(|p| &p.command)
            && *to > self.config.cluster_version
        {
            return self.outgrown(*to, out);
        }
        if self.config.mutants.on(Mutant::StateDoubleApply) && !self.applied_any {
            self.state.clone_from(&{
                let mut twice = self.state.clone();
                twice.apply(entry.term, entry.index, proposal, &mut Vec::new());
                twice
            });
        }
        let outcome = self.state.apply(entry.term, entry.index, proposal, events);
        self.applied_any = true;
        self.entries_since_snapshot += 1;
        self.bytes_since_snapshot += proposal.map_or(0, |p| p.size_bytes() as u64);
        let late = self.config.mutants.on(Mutant::WatchAfterReply);
        if !late {
            self.fire(events, out);
        }
        if let (Some(proposal), Some(outcome)) = (proposal, &outcome) {
            self.conclude(now, proposal, outcome, out);
        }
        if late {
            self.fire(events, out);
        }
        self.note_digest(entry.index, out);
        if self.config.trace {
            out.push(Output::Applied(Box::new(AppliedEntry {
                index: entry.index,
                term: entry.term,
                digest: self.state.digest(),
                outcome,
                proposal: entry.payload,
            })));
        }
        self.release_syncs(entry.index, out);
        self.consider_snapshot(out);
    }

    /// Sessions and the client that waits.
    fn conclude(&mut self, now: Now, proposal: &Proposal, outcome: &Outcome, out: &mut Vec<Output>) {
        let origin = proposal.origin;
        let this_life = origin.incarnation == self.config.incarnation;
        let mine =
            origin.node == self.config.id && (this_life || self.config.mutants.on(Mutant::ReplicaOldIncarnation));
        let connection = if mine { self.waiting.remove(&origin.request) } else { None };
        match &proposal.command {
            Command::OpenSession { .. } | Command::AttachSession { .. } => {
                let granted = match &outcome.result {
                    Ok(Applied::Session(granted)) => Some(*granted),
                    _ => None,
                };
                if let Some(granted) = granted {
                    self.session_alive(now, granted.session, granted.timeout_ms);
                    // The session lives on this connection now; an older one of it that is here ends.
                    let older = self.sessions.attached.get(&granted.session).copied();
                    let stays = self.config.mutants.on(Mutant::SessionMovedServed);
                    if let Some(older) = older.filter(|o| Some(*o) != connection && !stays) {
                        self.close(older, "the session moved", out);
                        self.sessions.left.remove(&granted.session);
                    }
                }
                let Some(connection) = connection else { return };
                let Some(c) = self.connections.get_mut(&connection) else { return };
                if c.session.is_some() {
                    return;
                }
                c.queue.pop_front();
                if self.state.zxid() < c.zxid_seen {
                    self.close(connection, "the client has seen a later state", out);
                    return;
                }
                if let Some(granted) = granted {
                    self.attach(now, connection, granted);
                }
                out.push(Output::Connected { connection, granted });
                if granted.is_none() {
                    self.close(connection, "the session is gone", out);
                }
            }
            Command::CloseSession { session, .. } | Command::ExpireSession { session, .. } => {
                if let Some(connection) = connection {
                    let result = outcome.result.clone().map(Reply::Applied);
                    self.complete(connection, origin.request, outcome.zxid, result, out);
                }
                if outcome.result.is_ok() {
                    self.session_gone(*session, out);
                }
            }
            Command::Write { .. } => {
                let Some(connection) = connection else { return };
                match &outcome.result {
                    // The client has a newer connection elsewhere: nothing more is owed to this one.
                    Err(synod_types::ErrorCode::SessionMoved) => self.close(connection, "the session moved", out),
                    result => {
                        let result = result.clone().map(Reply::Applied);
                        self.complete(connection, origin.request, outcome.zxid, result, out)
                    }
                }
            }
            Command::Reap { .. } | Command::RaiseVersion { .. } => {}
        }
    }

    /// Sends events to those that wait for them.
    fn fire(&mut self, events: &[Event], out: &mut Vec<Output>) {
        if self.watches.is_empty() {
            return;
        }
        for event in events {
            for connection in self.watches.trigger(event, self.config.mutants) {
                let Some(c) = self.connections.get(&connection) else { continue };
                let careless = self.config.mutants.on(Mutant::WatchUnreadable);
                if careless || synod_state::may_read(&event.acl, &c.identities) {
                    out.push(Output::Event {
                        connection,
                        zxid: event.zxid,
                        kind: event.kind,
                        path: event.path.clone(),
                    });
                }
            }
        }
    }

    fn release_syncs(&mut self, applied: Index, out: &mut Vec<Output>) {
        while let Some((index, connection)) = self.sessions.syncs.first().copied() {
            if index > applied {
                return;
            }
            self.sessions.syncs.remove(&(index, connection));
            self.advance(connection, out);
        }
    }

    /// Remembers the digest of every so many entries and tells the others.
    fn note_digest(&mut self, index: Index, out: &mut Vec<Output>) {
        if !index.0.is_multiple_of(DIGEST_EVERY) || self.config.mutants.on(Mutant::ControlDigestOff) {
            return;
        }
        let digest = self.state.digest();
        self.digests.push_back((index, digest));
        if self.digests.len() > DIGESTS_KEPT {
            self.digests.pop_front();
        }
        for to in self.config.voters.iter().filter(|v| **v != self.config.id) {
            out.push(Output::Send { to: *to, message: PeerMessage::Digest { index: index.0, digest } });
        }
        let early: Vec<_> = self
            .peer_digests
            .range((index, NodeId(0))..=(index, NodeId(u8::MAX)))
            .map(|((_, from), digest)| (*from, *digest))
            .collect();
        self.peer_digests = self.peer_digests.split_off(&(index.next(), NodeId(0)));
        for (from, theirs) in early {
            self.compare(from, index, theirs, digest, out);
        }
    }

    /// Another member's digest.
    pub(crate) fn compare_digest(&mut self, from: NodeId, index: Index, digest: u128, out: &mut Vec<Output>) {
        if self.config.mutants.on(Mutant::ControlDigestOff) {
            return;
        }
        if index > self.state.applied().0 {
            if self.peer_digests.len() < DIGESTS_KEPT * self.config.voters.len() {
                self.peer_digests.insert((index, from), digest);
            }
        } else if let Some((_, mine)) = self.digests.iter().find(|(i, _)| *i == index).copied() {
            self.compare(from, index, digest, mine, out);
        }
    }

    fn compare(&mut self, from: NodeId, index: Index, theirs: u128, mine: u128, out: &mut Vec<Output>) {
        if theirs != mine {
            self.halted = true;
            out.push(Output::Halt {
                why: format!(
                    "digest at index {}: {mine:032x} here, {theirs:032x} at member {from}: the replicas differ",
                    index.0
                ),
            });
        }
    }
}
