//! No two members commit different entries at one index, and those that have applied the same index have the same
//! state. States of two indexes are never the same, for the index is part of them: a digest that does not see that sees
//! nothing.

use super::{Committed, CommittedLog, Finding, Member, Observation, broken};
use std::collections::BTreeMap;
use synod_types::{Index, NodeId};

/// The digest at each applied index, and who had it first.
#[derive(Default)]
pub(super) struct StateMachineSafety {
    digests: BTreeMap<u64, (u128, NodeId)>,
}

impl StateMachineSafety {
    /// A member's commit index has risen.
    pub fn committed(
        &mut self,
        member: &Member,
        old: Index,
        committed: &mut CommittedLog,
        seen: &Observation<'_>,
    ) -> Result<(), Box<Finding>> {
        for index in (old.0.max(member.snapshot.0) + 1)..=seen.commit.0 {
            let Some((term, payload)) = member.entry(Index(index)) else {
                let what = format!("commit index {} is beyond its log", seen.commit.0);
                return Err(broken("state_machine_safety", "commit_beyond_log", seen, what));
            };
            let now = Committed { term, payload, by: seen.node, at_ns: seen.at_ns, in_term: seen.term };
            let first = committed.entries.entry(index).or_insert(now);
            if (first.term, first.payload) != (term, payload) {
                let what = format!(
                    "commits an entry of term {} at index {index}, member {} one of term {} at {}",
                    term.0,
                    first.by,
                    first.term.0,
                    crate::finding::seconds(first.at_ns)
                );
                return Err(broken("state_machine_safety", "commit", seen, what));
            }
        }
        committed.last = committed.last.max(seen.commit);
        Ok(())
    }

    /// A member has applied.
    pub fn applied(&mut self, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
        if seen.applied.0 == 0 {
            return Ok(());
        }
        if seen.applied > seen.commit {
            let what = format!("applied index {}, but committed only {}", seen.applied.0, seen.commit.0);
            return Err(broken("state_machine_safety", "applied_uncommitted", seen, what));
        }
        let before = self.digests.get(&(seen.applied.0 - 1)).filter(|(digest, _)| *digest == seen.digest);
        if before.is_some() && !self.digests.contains_key(&seen.applied.0) {
            let what = format!("its digest at index {} is that of the index before", seen.applied.0);
            return Err(broken("state_machine_safety", "blind_digest", seen, what));
        }
        let (digest, by) = self.digests.entry(seen.applied.0).or_insert((seen.digest, seen.node));
        if *digest != seen.digest {
            let what = format!("its state at index {} differs from that of member {by}", seen.applied.0);
            return Err(broken("state_machine_safety", "digest", seen, what));
        }
        Ok(())
    }

    pub fn forget(&mut self, end: u64) {
        while self.digests.first_key_value().is_some_and(|(index, _)| *index < end) {
            self.digests.pop_first();
        }
    }
}
