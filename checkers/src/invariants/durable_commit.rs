//! When an entry is first known to be committed, it is on the disks of a majority. A member that is down counts with
//! what it had made durable; one whose disk was lost counts until it holds again what is committed: its
//! acknowledgement may have been on the way when the disk went, and lost disks are bounded like crashed members.
//!
//! No member believes more of its log durable than is, and a leader decides what a majority has told it, itself and those
//! whose acknowledgements of its own term it has heard, up to an entry of its own term (the Raft dissertation, §3.6.2).

use super::heard::Heard;
use super::{Finding, Member, Observation, broken};
use std::collections::BTreeMap;
use synod_types::NodeId;

pub(super) fn claims(seen: &Observation<'_>) -> Result<(), Box<Finding>> {
    if seen.claimed <= seen.durable {
        return Ok(());
    }
    let what = format!("holds its log durable up to index {}, it is up to {}", seen.claimed.0, seen.durable.0);
    Err(broken("durable_commit", "claimed", seen, what))
}

pub(super) fn check(
    committing: &Member,
    others: &BTreeMap<NodeId, Member>,
    voters: usize,
    seen: &Observation<'_>,
) -> Result<(), Box<Finding>> {
    let index = seen.commit;
    let term = committing.term_at(index);
    let holds = |m: &Member| m.lost || m.snapshot >= index || m.durable >= index && m.term_at(index) == term;
    let count = others.values().filter(|m| holds(m)).count() + usize::from(holds(committing));
    if count > voters / 2 {
        return Ok(());
    }
    let what = format!("index {} is committed, but durable on {count} of {voters} members", index.0);
    Err(broken("durable_commit", "no_majority", seen, what))
}

/// A leader's commit index rises.
pub(super) fn acknowledged(
    leader: &Member,
    seen: &Observation<'_>,
    heard: &Heard,
    voters: usize,
) -> Result<(), Box<Finding>> {
    if let Some(term) = leader.term_at(seen.commit).filter(|term| *term != seen.term) {
        let what = format!("commits up to index {}, an entry of term {}", seen.commit.0, term.0);
        return Err(broken("durable_commit", "older_term", seen, what));
    }
    let count = heard.acknowledged(seen.term, seen.commit) + usize::from(seen.durable >= seen.commit);
    if count > voters / 2 {
        return Ok(());
    }
    let what = format!("commits index {}, which {count} of {voters} have acknowledged, itself included", seen.commit.0);
    Err(broken("durable_commit", "unacknowledged", seen, what))
}
