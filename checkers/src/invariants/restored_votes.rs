//! A member that lost its disk has its vote back when nothing that it may have promised can be broken any more: a leader
//! that was elected without it, after its start, has given it what it had held. Source: `synod_consensus::recovery` has
//! the rule; what it had held is known here from before the loss.

use super::{CommittedLog, Finding, Member, Observation, broken};
use crate::finding::seconds;
use synod_types::{Index, Term};

pub(super) fn check(
    member: &Member,
    committed: &CommittedLog,
    reign_ns: Option<u64>,
    seen: &Observation<'_>,
) -> Result<(), Box<Finding>> {
    let (index, term) = member.promised;
    if term == Term(0) {
        return Ok(());
    }
    if let Some(reign_ns) = reign_ns.filter(|reign_ns| *reign_ns <= member.started_ns) {
        let what =
            format!("has its vote back from a leader that was elected at {}, before its start", seconds(reign_ns));
        return Err(broken("restored_votes", "older_leader", seen, what));
    }
    // Of later terms it had nothing.
    let decided = committed.entries.range(..=index.0).rev().find(|(_, entry)| entry.term <= term);
    if let Some((index, entry)) = decided.filter(|(index, _)| seen.durable < Index(**index)) {
        let what = format!(
            "has its vote back with a log that is durable up to index {}; it had held {index}, of term {} and committed",
            seen.durable.0, entry.term.0
        );
        return Err(broken("restored_votes", "log", seen, what));
    }
    Ok(())
}
