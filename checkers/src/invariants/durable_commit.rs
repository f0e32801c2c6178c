//! When an entry is first known to be committed, it is on the disks of a majority. A member that is down counts with
//! what it had made durable; one whose disk was lost counts until it holds again what is committed: its
//! acknowledgement may have been on the way when the disk went, and lost disks are bounded like crashed members.
//!
//! And no member believes more of its log durable than is.

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
