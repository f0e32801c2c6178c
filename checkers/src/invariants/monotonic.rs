//! Within an incarnation terms, commits and applied positions only rise and a term has one vote. Over restarts that
//! holds for what was on disk, unless the disk was lost.

use super::{Finding, Index, Member, Observation, Term, broken};
use synod_types::NodeId;

pub(super) fn check(member: &Member, seen: &Observation<'_>) -> Result<(), Box<Finding>> {
    let restarted = member.incarnation != seen.incarnation;
    if restarted && seen.disk_lost {
        return Ok(());
    }
    let (term, vote) = if restarted { (member.durable_term, member.durable_vote) } else { (member.term, member.vote) };
    vote_rule(seen, term, vote, seen.term, seen.vote)?;
    vote_rule(seen, member.durable_term, member.durable_vote, seen.durable_term, seen.durable_vote)?;
    if restarted {
        return Ok(());
    }
    let falls = |rule: &str, name: &str, from: Index, to: Index| match to < from {
        true => Err(broken("monotonic", rule, seen, format!("{name} falls from {} to {}", from.0, to.0))),
        false => Ok(()),
    };
    falls("commit", "commit index", member.commit, seen.commit)?;
    falls("applied", "applied index", member.applied, seen.applied)
}

fn vote_rule(
    seen: &Observation<'_>,
    old_term: Term,
    old_vote: Option<NodeId>,
    term: Term,
    vote: Option<NodeId>,
) -> Result<(), Box<Finding>> {
    if term < old_term {
        return Err(broken("monotonic", "term", seen, format!("term falls from {} to {}", old_term.0, term.0)));
    }
    if term == old_term && old_vote.is_some() && vote != old_vote {
        let what = format!("vote changes from {old_vote:?} to {vote:?} within a term");
        return Err(broken("monotonic", "vote", seen, what));
    }
    Ok(())
}
