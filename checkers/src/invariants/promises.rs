//! What a member promises rests on its disk: no message that depends on a term, a vote or an entry leaves before that is
//! durable. Source: the Raft dissertation, §3.8.

use super::{Finding, Member, Role, Said, untrue};
use synod_types::Term;
use synod_types::raft::Body;

pub(super) fn check<P>(
    said: &Said<'_>,
    term: Term,
    body: &Body<P>,
    listener: Option<&Member>,
) -> Result<(), Box<Finding>> {
    let by = said.by;
    let rests_on_its_term = matches!(
        body,
        Body::AppendReply { .. }
            | Body::AppendRejected { .. }
            | Body::Vote { .. }
            | Body::VoteReply { .. }
            | Body::SnapshotReply { .. }
    );
    if matches!(body, Body::ProbeReply { knows: true, .. }) && by.recovering {
        let what = "that it knows the cluster, though it waits for its own vote".into();
        return Err(untrue("promises", "standing", said, what));
    }
    if rests_on_its_term && term > by.durable_term {
        let what = format!("something in term {}, on its disk is term {}", term.0, by.durable_term.0);
        return Err(untrue("promises", "term", said, what));
    }
    match body {
        // What it said in an earlier term, and could not send before, is of no use to a leader of this one.
        Body::AppendReply { .. } if term < by.term => Ok(()),
        Body::AppendReply { matched, .. } if *matched > by.durable => {
            let what = format!("that its log is durable up to index {}, it is up to {}", matched.0, by.durable.0);
            Err(untrue("promises", "acknowledgement", said, what))
        }
        Body::AppendReply { recovering: false, .. } if by.recovering => {
            Err(untrue("promises", "recovering", said, "that its acknowledgement counts, it has no vote".into()))
        }
        Body::AppendReply { matched, .. } => {
            let leader = listener.filter(|l| l.role == Role::Leader && l.term == term);
            match (leader.and_then(|l| l.term_at(*matched)), by.term_at(*matched)) {
                (Some(theirs), Some(own)) if theirs != own => {
                    let what = format!(
                        "that their logs are equal up to index {}; its own has term {} there, the leader's {}",
                        matched.0, own.0, theirs.0
                    );
                    Err(untrue("promises", "other_log", said, what))
                }
                _ => Ok(()),
            }
        }
        Body::VoteReply { granted: true } if by.recovering => {
            Err(untrue("promises", "recovering", said, "that it has its vote, but has none".into()))
        }
        Body::VoteReply { granted: true } if term == by.durable_term && by.durable_vote != Some(said.to) => {
            let what = format!("that it has its vote, on its disk is {:?}", by.durable_vote);
            Err(untrue("promises", "vote", said, what))
        }
        Body::Vote { .. } if term == by.durable_term && by.durable_vote != Some(said.from) => {
            let what = format!("to vote for it, on its own disk is a vote for {:?}", by.durable_vote);
            Err(untrue("promises", "vote", said, what))
        }
        _ => Ok(()),
    }
}
