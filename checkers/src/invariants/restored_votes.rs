//! A member that lost its disk has its vote back when nothing that it may have promised can be broken any more: it holds
//! what it had held, and something that was decided without it in its term, which was appended after its start. Source:
//! `synod_consensus::recovery` has the rule and why less is not enough; what it had held is known here from before the
//! loss.

use super::log_matching::LogMatching;
use super::{CommittedLog, Finding, Member, Observation, Promised, broken};
use crate::finding::seconds;
use synod_types::{Index, Term};

/// Who waits for its vote does so after the next start as well. Unless nothing was lost after all: a read had failed; or
/// nothing was written meanwhile: others had told it, and it ended before that was on its disk.
pub(super) fn remembered(member: &Member, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
    let Promised { index, term, .. } = member.promised;
    let all_there = seen.durable >= index && seen.durable_term >= term;
    let as_it_was = (seen.durable, seen.durable_term) == member.found;
    if !member.recovering || seen.recovering || seen.disk_lost || all_there || as_it_was {
        return Ok(());
    }
    let what = format!(
        "starts with a vote, though nobody gave it back: it had held index {} in term {}, and has {} in term {}",
        index.0, term.0, seen.durable.0, seen.durable_term.0
    );
    Err(broken("restored_votes", "forgotten", seen, what))
}

pub(super) fn check(
    member: &Member,
    committed: &CommittedLog,
    entries: &LogMatching,
    seen: &Observation<'_>,
) -> Result<(), Box<Finding>> {
    let Promised { index, of, term } = member.promised;
    if term == Term(0) {
        return Ok(());
    }
    // Of later terms it had nothing, whatever it had heard of them.
    let decided = committed.entries.range(..=index.0).rev().find(|(_, entry)| entry.term <= of);
    if let Some((index, entry)) = decided.filter(|(index, _)| seen.durable < Index(**index)) {
        let what = format!(
            "has its vote back with a log that is durable up to index {}; it had held {index}, of term {} and committed",
            seen.durable.0, entry.term.0
        );
        return Err(broken("restored_votes", "log", seen, what));
    }
    let newest = seen.commit.min(seen.durable);
    let of_its_term = member.term_at(newest) == Some(seen.term);
    let since_ns = entries.since_ns(newest, seen.term);
    if !of_its_term || since_ns.is_some_and(|since_ns| since_ns <= member.started_ns) {
        let of = match since_ns.filter(|_| of_its_term) {
            Some(since_ns) => format!("was appended at {}, before its start", seconds(since_ns)),
            None => "is of an older term".into(),
        };
        let what = format!("has its vote back in term {}, but the newest it holds that is decided {of}", seen.term.0);
        return Err(broken("restored_votes", "before_start", seen, what));
    }
    Ok(())
}
