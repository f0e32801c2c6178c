//! Each bug that can be planted here is one that the naive model notices.

use crate::random::{agree, steps};
use bytes::Bytes;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use synod_state::State;
use synod_types::version::CLUSTER_VERSION;
use synod_types::{Mutant, Mutants};

fn noticed(mutants: Mutants) -> bool {
    let config = Config { cases: 400, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let run = |steps: Vec<_>| {
        let mut state = State::new(mutants, Bytes::new());
        state.set_member(3, CLUSTER_VERSION);
        agree(state, &steps)
    };
    runner.run(&steps(), run).is_err()
}

#[test]
fn every_planted_bug_is_noticed() {
    for mutant in [
        Mutant::StateLocalClock,
        Mutant::StateEphemeralLeak,
        Mutant::StateCreateAfterClose,
        Mutant::StateSequenceReuse,
        Mutant::StateCversionOnDelete,
        Mutant::StateVersionIgnored,
        Mutant::StateMultiNotAtomic,
        Mutant::StateSnapshotDropsSession,
        Mutant::SessionMoveIgnored,
        Mutant::SessionWrongPassword,
        Mutant::SessionExpiryNoOwner,
        Mutant::StateCheckIgnored,
        Mutant::StateDeleteNotEmpty,
        Mutant::StateErrorOrder,
        Mutant::StateSessionKept,
        Mutant::StateMultiSetMzxid,
        Mutant::StateMultiLeaksParent,
        Mutant::StateFailedWriteZxid,
        Mutant::StateEphemeralChildren,
        Mutant::StateAclIgnored,
        Mutant::WatchFailedMulti,
        Mutant::ZkMultiErrors,
    ] {
        assert!(noticed(Mutants::only(mutant)), "{}", mutant.name());
    }
    assert!(!noticed(Mutants::NONE));
}

#[test]
fn a_snapshot_without_its_newest_session_still_loads() {
    let mut world = crate::world::World::with(Mutants::only(Mutant::StateSnapshotDropsSession));
    world.apply(crate::world::open(2));
    let restored = State::restore(world.state.clone().records(), Mutants::NONE).unwrap();
    assert_eq!(restored.sessions().map(|(id, _)| id.0).collect::<Vec<_>>(), [1]);
    assert_ne!(restored.digest(), world.state.digest());
}
