//! The suite on a disk in memory.

mod world;

use std::path::Path;
use synod_storage::suite::{self, crashes::Seen};
use synod_types::Mutants;
use world::{Machine, block_on};

fn campaign(seeds: std::ops::Range<u64>, rot: bool, mutants: Mutants) -> Seen {
    let mut sum = Seen::default();
    for seed in seeds {
        let (machine, env) = Machine::new(seed);
        let seen = block_on(suite::crashes::run(&env, Path::new("/data"), &machine, seed, rot, mutants));
        sum.recoveries += seen.recoveries;
        sum.torn += seen.torn;
        sum.damaged += seen.damaged;
        sum.mended += seen.mended;
    }
    sum
}

#[test]
fn all() {
    let (_, env) = Machine::new(1);
    block_on(suite::all(&env, Path::new("/data")));
}

#[test]
fn power_failures() {
    let seen = campaign(0..2_000, false, Mutants::NONE);
    assert!(seen.torn > 100 && seen.damaged == 0, "{seen:?}");
}

#[test]
fn power_failures_and_rot() {
    let seen = campaign(100_000..102_000, true, Mutants::NONE);
    assert!(seen.damaged > 100 && seen.mended > 100, "{seen:?}");
}

/// Each planted bug fails the campaign that is there to find it.
#[cfg(feature = "mutants")]
#[test]
fn planted_bugs() {
    use synod_types::Mutant;
    let switches = [
        (Mutant::StoreSkipFsync, false),
        (Mutant::StoreForgetVote, false),
        (Mutant::StoreNoRecordCrc, false),
        (Mutant::StoreRollBeforeSync, false),
        (Mutant::StoreTruncateDamaged, true),
        (Mutant::StoreAcceptPartialSnapshot, false),
        (Mutant::StoreNoDirSync, false),
    ];
    for (mutant, rot) in switches {
        let found = std::panic::catch_unwind(|| campaign(0..2_000, rot, Mutants::only(mutant)));
        assert!(found.is_err(), "{} survived: {found:?}", mutant.name());
    }
}

#[test]
fn futures_are_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let (_, env) = Machine::new(1);
    let folder = Path::new("/send");
    drop(send(suite::all(&env, folder)));
    drop(send(suite::crashes::run(&env, folder, &Machine::new(1).0, 1, true, Mutants::NONE)));
}
