//! Two logs that hold an entry of the same index and term are equal up to it. Checked by induction: the entry is the
//! same, and so is the term of the one before it. Follows each member's log on the way.

use super::{Appended, Finding, Member, Observation, broken};
use std::collections::BTreeMap;
use synod_types::{Index, NodeId, Term};

/// Of every entry ever seen.
#[derive(Default)]
pub(super) struct LogMatching {
    entries: BTreeMap<(u64, Term), First>,
}

/// An entry as it was seen first.
struct First {
    payload: u128,
    /// The term before it.
    before: Option<Term>,
    by: NodeId,
    at_ns: u64,
}

impl LogMatching {
    /// Brings the mirror of a member's log up to an observation. What came back at a start was there before.
    pub fn follow(&mut self, member: &mut Member, seen: &Observation<'_>, came_back: bool) -> Result<(), Box<Finding>> {
        if let Some(from) = seen.truncated_from {
            let keep = from.0.saturating_sub(member.base + 1);
            member.log.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        }
        if seen.snapshot > member.snapshot {
            // The log may go on behind a snapshot only if it agrees with it there.
            if let Some((term, _)) = member.entry(seen.snapshot).filter(|(term, _)| *term != seen.snapshot_term) {
                let (index, of) = (seen.snapshot.0, seen.snapshot_term.0);
                let what =
                    format!("its log has term {} at index {index}, its snapshot ends there in term {of}", term.0);
                return Err(broken("log_matching", "snapshot", seen, what));
            }
            (member.snapshot, member.snapshot_term) = (seen.snapshot, seen.snapshot_term);
            let covered = seen.snapshot.0.saturating_sub(member.base);
            let held = member.log.len() as u64;
            // The term in front of what stays is the snapshot's.
            member.log.drain(..covered.min(held) as usize);
            member.base = seen.snapshot.0;
        }
        for entry in seen.appended {
            let Appended { index, term, .. } = *entry;
            let was_there = || self.entries.contains_key(&(index.0, term)) || Some(index.0) < self.first();
            if came_back && index.0 > member.base && !was_there() {
                let what = format!("came back with index {} of term {}, which nobody ever wrote", index.0, term.0);
                return Err(broken("log_matching", "invented", seen, what));
            }
            self.append(member, seen, *entry)?;
        }
        Ok(())
    }

    fn append(&mut self, member: &mut Member, seen: &Observation<'_>, entry: Appended) -> Result<(), Box<Finding>> {
        let Appended { index, term, payload } = entry;
        if index.0 <= member.base {
            return Ok(());
        }
        let expected = member.base + member.log.len() as u64 + 1;
        if index.0 != expected {
            let what = format!("appended index {} where {expected} comes next", index.0);
            return Err(broken("log_matching", "gap", seen, what));
        }
        let before = member.term_at(index.prev());
        if before.is_some_and(|before| before > term) {
            let what = format!("index {} has term {}, after an entry of a later one", index.0, term.0);
            return Err(broken("log_matching", "term_order", seen, what));
        }
        let new = First { payload, before, by: seen.node, at_ns: seen.at_ns };
        let first = self.entries.entry((index.0, term)).or_insert(new);
        if first.before.is_none() {
            first.before = before;
        }
        if first.payload != payload {
            let what = format!("index {} of term {} differs from that of member {}", index.0, term.0, first.by);
            return Err(broken("log_matching", "entry", seen, what));
        }
        if before.is_some() && first.before != before {
            let what = format!(
                "index {} of term {} follows one of term {before:?}, at member {} one of term {:?}",
                index.0, term.0, first.by, first.before
            );
            return Err(broken("log_matching", "prefix", seen, what));
        }
        member.log.push_back((term, payload));
        Ok(())
    }

    /// When an entry was seen first, if that is remembered.
    pub fn since_ns(&self, index: Index, term: Term) -> Option<u64> {
        self.entries.get(&(index.0, term)).map(|first| first.at_ns)
    }

    /// The first position that is remembered.
    fn first(&self) -> Option<u64> {
        self.entries.first_key_value().map(|((index, _), _)| *index)
    }

    pub fn forget(&mut self, end: u64) {
        while self.entries.first_key_value().is_some_and(|((index, _), _)| Index(*index) < Index(end)) {
            self.entries.pop_first();
        }
    }
}
