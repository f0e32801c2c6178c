//! What was durable comes back after a crash, and what is committed is never dropped from a log that held it.

use super::{CommittedLog, Finding, Member, Observation, broken};
use synod_types::{Index, Term};

/// What a member had on its disk.
#[derive(Clone, Copy)]
pub(super) struct Before {
    durable: Index,
    term: Option<Term>,
    /// It comes back with a snapshot that a leader sent and that its log disagrees with: nobody decided what follows there.
    overruled: bool,
}

impl Before {
    /// None of a member that is seen for the first time.
    pub fn of(member: &Member, committed: &CommittedLog, seen: &Observation<'_>) -> Option<Before> {
        let durable = member.durable;
        let decided = committed.entries.get(&seen.snapshot.0).is_none_or(|entry| entry.term == seen.snapshot_term);
        let overruled = decided && member.term_at(seen.snapshot).is_some_and(|term| term != seen.snapshot_term);
        (member.term > Term(0)).then(|| Before { durable, term: member.term_at(durable), overruled })
    }
}

/// A member is back.
pub(super) fn recovered(before: Option<Before>, member: &Member, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
    let Some(Before { durable, term, overruled }) = before else { return Ok(()) };
    if overruled || member.snapshot >= durable || member.term_at(durable) == term {
        return Ok(());
    }
    let what = format!(
        "comes back without index {}, which was durable; its log ends at {}",
        durable.0,
        member.end().map_or(0, |(_, end)| end.0)
    );
    Err(broken("durable_log", "forgotten", seen, what))
}

/// A log is cut.
pub(super) fn truncated(member: &Member, committed: &CommittedLog, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
    let Some(from) = seen.truncated_from else { return Ok(()) };
    let first = from.max(seen.snapshot.next());
    let (held, decided) = (member.entry(first), committed.entries.get(&first.0));
    match (held, decided) {
        // A leader of an earlier term than the one in which it was decided may not have it, and its word may come late.
        (Some((term, _)), Some(entry)) if term == entry.term && seen.term >= entry.in_term => {
            let what = format!("drops index {}, which is committed", first.0);
            Err(broken("durable_log", "dropped", seen, what))
        }
        _ => Ok(()),
    }
}
