//! What is committed in a term is in the log of every leader of a later term. By log matching it is enough to compare
//! the last committed entry. Both moments are checked: an election against what is committed, a commit against those
//! who lead a later term already, and against those who could win an election at that moment.

use super::{CommittedLog, Finding, Member, NodeId, Observation, Role, broken};
use std::collections::BTreeMap;

pub(super) fn elected(member: &Member, committed: &CommittedLog, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
    // Who wins a term late, behind a commit of a later one, owes that commit nothing. A leader commits by an entry of
    // its own term, so the last entry's term tells.
    let last = committed.entries.get(&committed.last.0);
    match missing(member, committed).filter(|_| last.is_none_or(|entry| entry.term <= seen.term)) {
        Some(what) => Err(broken("leader_completeness", "elected_without", seen, what)),
        None => Ok(()),
    }
}

pub(super) fn committed(
    members: &BTreeMap<NodeId, Member>,
    committed: &CommittedLog,
    seen: &Observation<'_>,
) -> Result<(), Box<Finding>> {
    for (node, leader) in members.iter().filter(|(_, m)| m.role == Role::Leader && m.term > seen.term) {
        if let Some(what) = missing(leader, committed) {
            let what = format!("commits, but member {node}, which leads term {}, {what}", leader.term.0);
            return Err(broken("leader_completeness", "committed_behind", seen, what));
        }
    }
    Ok(())
}

/// Nobody who lacks what is committed finds a majority whose logs are no better than its own.
pub(super) fn electable(
    members: &BTreeMap<NodeId, Member>,
    committing: &Member,
    committed: &CommittedLog,
    voters: usize,
    seen: &Observation<'_>,
) -> Result<(), Box<Finding>> {
    let everyone = || members.values().chain([committing]).filter(|m| !m.lost);
    for (node, candidate) in members.iter().filter(|(_, m)| !m.lost) {
        let (Some(what), Some(end)) = (missing(candidate, committed), candidate.end()) else { continue };
        let votes = everyone().filter(|m| m.end().is_some_and(|theirs| theirs <= end)).count();
        if votes > voters / 2 {
            let what = format!("commits, but member {node}, for whom {votes} of {voters} would vote, {what}");
            return Err(broken("leader_completeness", "committed_in_doubt", seen, what));
        }
    }
    Ok(())
}

fn missing(member: &Member, committed: &CommittedLog) -> Option<String> {
    let last = committed.last;
    if last <= member.snapshot {
        return None;
    }
    let entry = committed.entries.get(&last.0)?;
    let held = member.entry(last);
    (held.map(|(term, _)| term) != Some(entry.term)).then(|| {
        format!(
            "lacks index {} of term {}, committed by member {} at {}",
            last.0,
            entry.term.0,
            entry.by,
            crate::finding::seconds(entry.at_ns)
        )
    })
}
