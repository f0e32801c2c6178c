//! Who campaigns was let by a majority or was told to, who leads has the votes of a majority, and nobody who hears a
//! leader helps to depose it. Source: the Raft dissertation, §4.2.3 and §9.6.

use super::heard::Heard;
use super::{Finding, Member, Observation, Said, broken, untrue};
use synod_types::Term;
use synod_types::raft::Body;

/// A pre-vote is not granted to whom it must be refused.
pub(super) fn pre_vote<P>(said: &Said<'_>, term: Term, body: &Body<P>, heard: &Heard) -> Result<(), Box<Finding>> {
    if !matches!(body, Body::PreVoteReply { granted: true }) {
        return Ok(());
    }
    if said.by.recovering {
        return Err(untrue("campaigns", "pre_vote", said, "to campaign, but has no vote itself".into()));
    }
    match heard.pre_votes_asked.get(&(said.to, term)) {
        Some(Some(why)) => Err(untrue("campaigns", "pre_vote", said, format!("to campaign, but {why}"))),
        _ => Ok(()),
    }
}

/// A term rises for a reason.
pub(super) fn term(
    member: &Member,
    seen: &Observation<'_>,
    heard: &mut Heard,
    voters: usize,
) -> Result<(), Box<Finding>> {
    if seen.term == member.term {
        return Ok(());
    }
    let told = std::mem::take(&mut heard.told_to_campaign);
    if seen.vote != Some(seen.node) {
        return match heard.disturbing == Some(seen.term) {
            true => {
                let what = "takes over the term of a candidate, though it hears a leader".into();
                Err(broken("campaigns", "disturbed", seen, what))
            }
            false => Ok(()),
        };
    }
    let count = heard.pre_votes.of(seen.term).count() + 1;
    if told || count > voters / 2 {
        return Ok(());
    }
    let what = format!("campaigns, but only {count} of {voters} would vote for it, itself included");
    Err(broken("campaigns", "not_let", seen, what))
}

/// A leader has been voted for.
pub(super) fn elected(seen: &Observation<'_>, heard: &Heard, voters: usize) -> Result<(), Box<Finding>> {
    let count = heard.votes.of(seen.term).count() + 1;
    if count > voters / 2 {
        return Ok(());
    }
    let what = format!("leads with {count} of {voters} votes, its own included");
    Err(broken("campaigns", "not_elected", seen, what))
}
