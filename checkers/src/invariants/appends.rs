//! A leader sends what is in its log and no more than it has decided, hands over to nobody who lacks something, and a
//! follower refuses only what does not follow its log.

use super::heard::Heard;
use super::{Finding, Member, Role, Said, untrue};
use synod_types::Term;
use synod_types::raft::{Body, Entry};

pub(super) fn check<P>(
    said: &Said<'_>,
    term: Term,
    body: &Body<P>,
    heard: &Heard,
    listener: Option<&Member>,
) -> Result<(), Box<Finding>> {
    let by = said.by;
    let leads = by.role == Role::Leader && by.term == term;
    match body {
        Body::Append { commit, .. } if leads && *commit > by.commit => {
            let what = format!("that index {} is committed, it knows of {}", commit.0, by.commit.0);
            Err(untrue("appends", "commit", said, what))
        }
        Body::Append { prev_index, prev_term, entries, .. } if leads => {
            let ends = [entries.first(), entries.last()].into_iter().flatten();
            let said_of = ends.map(|Entry { index, term, .. }| (*index, *term)).chain([(*prev_index, *prev_term)]);
            for (index, told) in said_of {
                if let Some(held) = by.term_at(index).filter(|held| *held != told) {
                    let what = format!("that index {} has term {}, its log has {} there", index.0, told.0, held.0);
                    return Err(untrue("appends", "other_log", said, what));
                }
            }
            Ok(())
        }
        Body::Snapshot { meta, .. } if leads && meta.index > by.commit => {
            let what = format!("a snapshot up to index {}, it knows of {} committed", meta.index.0, by.commit.0);
            Err(untrue("appends", "snapshot", said, what))
        }
        // An heir that is in a later term already may have dropped what it had acknowledged.
        Body::TimeoutNow if leads => match (by.end(), listener.filter(|l| !l.lost && l.term <= term)) {
            (Some((end_term, end)), Some(heir)) if heir.term_at(end).is_some_and(|held| held != end_term) => {
                let what = format!("to take over, though it lacks index {}", end.0);
                Err(untrue("appends", "hands_over", said, what))
            }
            (Some((_, end)), Some(heir)) if heir.end().is_some_and(|(_, theirs)| theirs < end) => {
                let what = format!("to take over, though it lacks index {}", end.0);
                Err(untrue("appends", "hands_over", said, what))
            }
            _ => Ok(()),
        },
        Body::AppendRejected { prev_index, .. }
            if term == by.term && !heard.unheld.contains(&(said.to, *prev_index)) =>
        {
            let what = format!("that its log does not hold index {} as the leader's does, it did", prev_index.0);
            Err(untrue("appends", "rejected", said, what))
        }
        _ => Ok(()),
    }
}
