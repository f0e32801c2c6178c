//! The shipping Raft, exhaustively within bounds.

use synod_types::Mutants;

/// Names and numbers of distinct states. They change when the code or the model changes; that is to be noticed.
const UNIQUE: [(&str, usize); 6] = [
    ("raft", 988_586),
    ("raft-terms", 319_821),
    ("raft-old-terms", 460_279),
    ("raft-links", 150_037),
    ("raft-votes", 275),
    ("raft-reads", 418_140),
];

#[test]
fn every_configuration_holds() {
    let mut counted = Vec::new();
    for (name, _) in synod_models::names() {
        let report = synod_models::run(name, Mutants::NONE, 2).expect("a known name");
        println!("{report}\n");
        assert!(report.holds(), "{report}");
        counted.push((name, report.unique));
    }
    assert_eq!(counted, UNIQUE);
}

#[cfg(feature = "mutants")]
#[test]
fn planted_bugs_are_found() {
    use synod_types::Mutant::*;
    for (mutant, name, invariant) in [
        (RaftCountDuplicateVotes, "raft-votes", "election safety"),
        (RaftVoteTwice, "raft-terms", "election safety"),
        (RaftVoteStaleLog, "raft-terms", "leader completeness"),
        (RaftVoteBeforeDurable, "raft", "election safety"),
        (RaftAckBeforeDurable, "raft", "durable commit"),
        (RaftCommitWithoutQuorum, "raft-terms", "durable commit"),
        (RaftCommitOldTermByCount, "raft-old-terms", "leader completeness"),
        (RaftSkipPrevCheck, "raft-terms", "log matching"),
        (RaftReadWithoutQuorum, "raft-reads", "fresh reads"),
        (RaftReadIndexReuse, "raft-reads", "fresh reads"),
        (RaftReadBeforeTermCommit, "raft-reads", "fresh reads"),
    ] {
        let report = synod_models::run(name, Mutants::only(mutant), 1).expect("a known name");
        println!("{}: {report}\n", mutant.name());
        let found: Vec<_> = report.violations.iter().map(|violation| violation.invariant).collect();
        assert!(found.contains(&invariant), "{}: found {found:?}", mutant.name());
    }
}
