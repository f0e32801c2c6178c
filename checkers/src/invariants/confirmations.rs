//! Who answers a read index or confirms a report was still the newest leader when it was asked, knew all that was committed
//! by then, and has heard so from a majority in a round that began after the question. Source: the Raft dissertation, §6.4.

use super::heard::{Floor, Heard};
use super::{Finding, Said, untrue};
use synod_types::raft::Body;
use synod_types::{Index, Term};

pub(super) fn read<P>(
    said: &Said<'_>,
    term: Term,
    body: &Body<P>,
    heard: &Heard,
    voters: usize,
) -> Result<(), Box<Finding>> {
    let Body::ReadIndexReply { context, index } = body else { return Ok(()) };
    match heard.reads.get(&(said.to, *context)) {
        Some(floor) => check(said, ("read", voters), term, *index, *floor, heard),
        None => Ok(()),
    }
}

pub(super) fn report(
    said: &Said<'_>,
    sequence: u64,
    commit: Index,
    heard: &Heard,
    voters: usize,
) -> Result<(), Box<Finding>> {
    match heard.reports.get(&(said.to, sequence)) {
        Some(floor) => check(said, ("report", voters), said.by.term, commit, *floor, heard),
        None => Ok(()),
    }
}

fn check(
    said: &Said<'_>,
    (rule, voters): (&str, usize),
    term: Term,
    index: Index,
    floor: Floor,
    heard: &Heard,
) -> Result<(), Box<Finding>> {
    if floor.newest_reign > term {
        let what = format!("what only a leader may; when it was asked, term {} had one already", floor.newest_reign.0);
        return Err(untrue("confirmations", rule, said, what));
    }
    if index < floor.committed {
        let what = format!("to go by index {}; when it was asked, {} was committed", index.0, floor.committed.0);
        return Err(untrue("confirmations", rule, said, what));
    }
    let count = heard.echoed_since(term, floor.round) + 1;
    if count <= voters / 2 {
        let what =
            format!("what only a leader may; {count} of {voters} have said so since it was asked, itself included");
        return Err(untrue("confirmations", rule, said, what));
    }
    Ok(())
}
