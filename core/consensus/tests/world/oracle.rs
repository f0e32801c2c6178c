//! What must hold at every step.

use super::*;

/// What must hold at every step.
#[derive(Default)]
pub(super) struct Oracle {
    pub(super) leaders: BTreeMap<Term, NodeId>,
    /// Index → entry, and the lowest term of a member when it reported it decided.
    pub(super) decided: BTreeMap<Index, (Term, Option<Number>, Term)>,
    /// (index, term) → payload and the term before it.
    pub(super) entries: BTreeMap<(Index, Term), (Option<Number>, Option<Term>)>,
}

impl Oracle {
    /// Log matching: an index and a term name one entry, and one entry before it.
    pub(super) fn check_entries(
        &mut self,
        node: NodeId,
        raft: Option<&Raft<Number>>,
        entries: &[Entry<Number>],
    ) -> Verdict {
        for entry in entries {
            let before = raft.and_then(|raft| raft.term_at(entry.index.prev()));
            let known = self.entries.entry((entry.index, entry.term)).or_insert((entry.payload, before));
            let before_differs = before.is_some() && known.1.is_some() && known.1 != before;
            if known.0 != entry.payload || before_differs {
                return Err(format!("log matching: node {node} has another {:?} of {:?}", entry.index, entry.term));
            }
        }
        Ok(())
    }

    /// State machine safety: an index is decided once.
    pub(super) fn check_decided(&self, node: NodeId, index: Index, term: Term, number: Option<Number>) -> Verdict {
        match self.decided.get(&index) {
            Some((other_term, other, _)) if (*other_term, *other) != (term, number) => Err(format!(
                "state machine safety: node {node} applies {number:?} of {term:?} at {index:?}, another {other:?} of {other_term:?}"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn decide(&mut self, entry: &Entry<Number>, term: Term) {
        let known = self.decided.entry(entry.index).or_insert((entry.term, entry.payload, term));
        known.2 = known.2.min(term);
    }

    /// Election safety and leader completeness.
    pub(super) fn check_leader(&mut self, node: NodeId, term: Term, raft: Option<&Raft<Number>>) -> Verdict {
        let leader = *self.leaders.entry(term).or_insert(node);
        if leader != node {
            return Err(format!("election safety: {leader:?} and {node:?} lead {term:?}"));
        }
        let Some(raft) = raft else { return Ok(()) };
        for (index, (decided_term, _, at)) in &self.decided {
            let held = raft.term_at(*index);
            let covered = *index < raft.first_index();
            if *at < term && held != Some(*decided_term) && !(covered && held.is_none()) {
                return Err(format!(
                    "leader completeness: {node:?} leads {term:?} without {index:?} of {decided_term:?}"
                ));
            }
        }
        Ok(())
    }
}
