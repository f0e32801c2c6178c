//! At most one leader a term.

use super::{Finding, Observation, broken};
use std::collections::BTreeMap;
use synod_types::{NodeId, Term};

/// Terms that are remembered.
const TERMS_MAX: usize = 1024;

/// Who led which term, as member and incarnation: a member that restarts does not lead its old term again.
#[derive(Default)]
pub(super) struct ElectionSafety {
    leaders: BTreeMap<Term, (NodeId, u64)>,
}

impl ElectionSafety {
    /// The newest term that had a leader.
    pub fn newest(&self) -> Term {
        self.leaders.last_key_value().map(|(term, _)| *term).unwrap_or_default()
    }

    pub fn check(&mut self, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
        let leader = (seen.node, seen.incarnation);
        let first = *self.leaders.entry(seen.term).or_insert(leader);
        if self.leaders.len() > TERMS_MAX {
            self.leaders.pop_first();
        }
        if first == leader {
            return Ok(());
        }
        let what = format!("leads, as member {} has done in this term", first.0);
        Err(broken("election_safety", "two_leaders", seen, what))
    }
}
