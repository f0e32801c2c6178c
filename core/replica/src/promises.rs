//! What the other members have promised to this one: acknowledgements and votes, which rest on their disks. Somebody
//! whose disk holds less than it once promised came back with an older one, and cannot tell by itself. So each member
//! remembers, as long as it runs, and tells it when it is greeted; who hears of a promise that its disk does not know
//! takes that disk for lost.
//!
//! Not remembered, because nobody else knows of it: what a leader counted for itself.

use crate::replica::Replica;
use synod_consensus::Role;
use synod_types::peer::Promise;
use synod_types::raft::{Body, HardState, Message};
use synod_types::{Index, NodeId, Term};

impl Replica {
    /// The latest promise of another member.
    pub fn promise_of(&self, peer: NodeId) -> Option<Promise> {
        self.promises.get(&peer).copied()
    }

    /// Remembers what a message has promised that was just taken.
    pub(crate) fn note_promise(&mut self, from: NodeId, term: Term, voted: bool) {
        let mut index = Index(0);
        if !voted {
            let leads = self.role == Role::Leader && self.raft.term() == term;
            let progress = self.raft.progress().find(|(peer, p)| leads && *peer == from && !p.recovering);
            let Some((_, progress)) = progress else { return };
            // What is of an older term was another leader's to count.
            if self.raft.term_at(progress.matched) == Some(term) {
                index = progress.matched;
            }
        }
        let new = Promise { term, index, voted };
        let latest = self.promises.entry(from).or_insert(new);
        if term > latest.term {
            *latest = new;
        } else if term == latest.term {
            latest.index = index.max(latest.index);
            latest.voted |= voted;
        }
    }
}

/// What a message may promise: its term, and whether it is a vote.
pub(crate) fn promising<P>(message: &Message<P>) -> Option<(Term, bool)> {
    match message.body {
        Body::AppendReply { recovering: false, .. } => Some((message.term, false)),
        Body::VoteReply { granted: true } => Some((message.term, true)),
        _ => None,
    }
}

/// Whether a disk with this term and vote, and this end of its log, can be the one that a member made a promise to
/// `peer` on. Terms only grow; within one, votes stay, and of what its leader wrote nothing is undone.
pub fn keeps(promise: &Promise, peer: NodeId, disk: &HardState, last: (Term, Index)) -> bool {
    if disk.term != promise.term {
        return disk.term > promise.term;
    }
    let voted = !promise.voted || disk.vote == Some(peer);
    voted && (promise.index == Index(0) || last >= (promise.term, promise.index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_keeps_a_promise_or_it_is_an_older_one() {
        let promise = |term, index, voted| Promise { term: Term(term), index: Index(index), voted };
        let disk = |term, vote: Option<u8>| HardState { term: Term(term), vote: vote.map(NodeId), recovering: false };
        let keeps =
            |p: Promise, d: HardState, last: (u64, u64)| keeps(&p, NodeId(2), &d, (Term(last.0), Index(last.1)));
        assert!(keeps(promise(3, 7, false), disk(3, None), (3, 7)));
        assert!(!keeps(promise(3, 7, false), disk(3, None), (3, 6)));
        assert!(!keeps(promise(3, 7, false), disk(3, None), (2, 9)), "an older leader's entries are others");
        assert!(!keeps(promise(3, 7, false), disk(2, None), (2, 9)));
        assert!(keeps(promise(3, 7, false), disk(4, None), (2, 1)), "a later leader may have undone them");
        assert!(keeps(promise(3, 0, true), disk(3, Some(2)), (2, 1)));
        assert!(!keeps(promise(3, 0, true), disk(3, Some(1)), (2, 1)));
        assert!(!keeps(promise(3, 0, true), disk(3, None), (2, 1)));
    }
}
