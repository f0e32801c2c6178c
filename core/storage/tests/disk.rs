//! The suite on a disk in memory.

mod world;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use synod_env::Env;
use synod_storage::inspect::inspect;
use synod_storage::suite::{self, crashes::Power, crashes::Seen};
use synod_storage::{Batch, Error, Recovered, Storage, Tail};
use synod_types::{Index, Mutants, Term};
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
    block_on(suite::all(&env, Path::new("/data"), Mutants::NONE));
}

#[test]
fn power_failures() {
    let seen = campaign(0..600, false, Mutants::NONE);
    assert!(seen.torn > 20 && seen.damaged == 0, "{seen:?}");
}

#[test]
fn power_failures_and_rot() {
    let seen = campaign(0..600, true, Mutants::NONE);
    assert!(seen.damaged > 100 && seen.mended > 100, "{seen:?}");
}

fn states(mutants: Mutants) -> suite::states::Seen {
    block_on(suite::states::run(|| Machine::new(1), Path::new("/data"), mutants))
}

#[test]
fn every_state_that_a_power_failure_could_leave() {
    let seen = states(Mutants::NONE);
    assert!(seen.cuts > 100 && seen.states > 1_000 && seen.torn > 100, "{seen:?}");
}

fn states_after_two_starts(mutants: Mutants) -> suite::states::Seen {
    block_on(suite::states::run_twice(|| Machine::new(1), Path::new("/data"), mutants))
}

#[test]
fn every_state_after_two_starts_that_ended() {
    let seen = states_after_two_starts(Mutants::NONE);
    assert!(seen.cuts > 100 && seen.states > 10_000, "{seen:?}");
}

/// A log of `flushes` entries in a fresh folder, and the file of its segment.
fn log(env: &Env, flushes: u64) -> (Storage, PathBuf) {
    let options = suite::options(Mutants::NONE);
    let (mut storage, _) = block_on(Storage::open(env, Path::new("/data"), options)).unwrap();
    for index in 1..=flushes {
        block_on(storage.append(&mut entry(index))).unwrap();
    }
    let segment = log_name(env);
    (storage, segment)
}

/// The newest segment.
fn log_name(env: &Env) -> PathBuf {
    let names = block_on(env.disk.list(Path::new("/data"))).unwrap();
    let segment = names.iter().rfind(|name| name.to_str().unwrap().starts_with("log-")).unwrap();
    Path::new("/data").join(segment)
}

fn entry(index: u64) -> Batch {
    let mut batch = Batch::new();
    batch.entry(Term(1), Index(index), &[7; 500]);
    batch
}

fn recover(env: &Env) -> Recovered {
    block_on(Storage::open(env, Path::new("/data"), suite::options(Mutants::NONE))).unwrap().1
}

#[test]
fn a_failed_flush_stops_the_log() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        let (machine, env) = Machine::new(1);
        let (mut storage, _) = log(&env, 3);
        machine.fail_next(kind);
        let error = block_on(storage.append(&mut entry(4))).unwrap_err();
        assert_eq!(matches!(error, Error::Full { .. }), kind == ErrorKind::StorageFull, "{error}");
        let again = block_on(storage.append(&mut entry(4))).unwrap_err();
        assert!(matches!(again, Error::Stopped(_)), "{again}");
        assert!(block_on(storage.compact(Index(1))).is_err());
        drop(storage);
        assert!(recover(&env).entries.len() >= 3);
    }
}

/// On a full disk each attempt would leave another one.
#[test]
fn what_could_not_be_finished_is_removed() {
    let count = |env: &Env, kind: &str| {
        let names = block_on(env.disk.list(Path::new("/data"))).unwrap();
        names.iter().filter(|name| name.to_str().unwrap().starts_with(kind)).count()
    };
    let (machine, env) = Machine::new(1);
    let (storage, _) = log(&env, 1);
    let begin = || {
        let mut writer = block_on(storage.snapshots().create(Index(1), Term(1))).unwrap();
        block_on(writer.push(vec![7; 1_000].into())).unwrap();
        assert_eq!(count(&env, "writing-"), 1);
        writer
    };
    let writer = begin();
    machine.fail_next(ErrorKind::StorageFull);
    block_on(writer.finish()).unwrap_err();
    assert_eq!((count(&env, "writing-"), count(&env, "snapshot-")), (0, 0));
    block_on(begin().discard()).unwrap();
    assert_eq!(count(&env, "writing-"), 0);
    // The very first start fills a segment before it writes anything else.
    let (machine, env) = Machine::new(1);
    machine.fail_next(ErrorKind::StorageFull);
    assert!(block_on(Storage::open(&env, Path::new("/data"), suite::options(Mutants::NONE))).is_err());
    assert_eq!(count(&env, "spare-"), 0);
}

/// The sync of the last flush failed, the page cache still shows it: the next start must make it durable before it
/// counts on it.
#[test]
fn what_was_recovered_is_durable() {
    let (machine, env) = Machine::new(1);
    let (mut storage, _) = log(&env, 3);
    machine.fail_sync();
    block_on(storage.append(&mut entry(4))).unwrap_err();
    drop(storage);
    assert_eq!(recover(&env).entries.len(), 4);
    machine.restore();
    assert_eq!(recover(&env).entries.len(), 4);
}

/// The records of a flush were lost, and the head of the next echo took the place of the one that could have restored them:
/// what is left still proves that there was more.
#[test]
fn an_echo_in_the_place_of_another() {
    const ECHOES: [u64; 2] = [8192, 2 * 8192];
    const RECORDS: usize = 3 * 8192;
    let (_, env) = Machine::new(1);
    let (mut storage, segment) = log(&env, 2);
    let file = block_on(env.disk.open(&segment, synod_env::OpenMode::Write)).unwrap();
    let read = |at: u64, length: usize| block_on(file.read_at(at, length)).unwrap();
    let heads = || ECHOES.map(|at| read(at, 64));
    let (before, old) = (read(0, 64 << 10), heads());
    block_on(storage.append(&mut entry(3))).unwrap();
    let (after, middle) = (read(0, 64 << 10), heads());
    block_on(storage.append(&mut entry(4))).unwrap();
    drop(storage);
    let (first, new) = (usize::from(middle[0] == old[0]), heads());
    let second = 1 - first;
    let lost: Vec<usize> = (RECORDS..after.len()).filter(|at| before[*at] != after[*at]).collect();
    let lost = lost[0]..lost[lost.len() - 1] + 1;
    let write = |at: u64, bytes| block_on(file.write_sync(vec![(at, bytes)])).unwrap();
    write(lost.start as u64, vec![0; lost.len()].into());
    write(ECHOES[first], new[second].clone());
    write(ECHOES[second], middle[second].clone());
    let recovered = recover(&env);
    assert!(matches!(recovered.tail, Tail::Damaged { .. }), "{:?}", recovered.tail);
}

/// A start reads the last flush twice: to know it, and to write it again. What one read brings from elsewhere must not be
/// written.
#[test]
fn what_is_written_again_is_what_was_read_before() {
    let mut unnoticed = 0;
    for after in 0..9 {
        let (machine, env) = Machine::new(1);
        let (mut storage, segment) = log(&env, 2);
        // Longer than an echo, which would mend it.
        let mut long = Batch::new();
        long.entry(Term(1), Index(3), &[7; 9_000]);
        block_on(storage.append(&mut long)).unwrap();
        drop(storage);
        machine.misread(&segment, after, 4096);
        let first = block_on(Storage::open(&env, Path::new("/data"), suite::options(Mutants::NONE)));
        if first.is_ok_and(|(_, recovered)| matches!(recovered.tail, Tail::Damaged { .. })) {
            // It knows, and asks the others.
            continue;
        }
        unnoticed += 1;
        let recovered = recover(&env);
        assert!(!matches!(recovered.tail, Tail::Damaged { .. }), "after {after} reads: {:?}", recovered.tail);
        assert_eq!(recovered.entries.len(), 3, "after {after} reads");
    }
    assert!(unnoticed > 1, "{unnoticed}");
}

/// A read that brings nothing, where the file has something, says nothing about what is there.
#[test]
fn a_read_from_behind_the_end_is_no_torn_tail() {
    let open = |env: &Env| block_on(Storage::open(env, Path::new("/data"), suite::options(Mutants::NONE)));
    let mut refused = 0;
    for (entries, after) in [1, 5].into_iter().flat_map(|entries| (0..9).map(move |after| (entries, after))) {
        let (machine, env) = Machine::new(1);
        drop(log(&env, entries));
        let segment = log_name(&env);
        machine.misread(&segment, after, 1 << 30);
        let first = open(&env);
        refused += u32::from(first.is_err());
        let (_, recovered) = first.or_else(|_| open(&env)).unwrap();
        let all = recovered.tail == Tail::Clean && recovered.entries.len() as u64 == entries;
        let knows = recovered.hard_state.recovering;
        assert!(all || knows, "{entries} entries, after {after} reads: {:?}", recovered.tail);
    }
    assert!(refused > 1, "{refused}");
}

#[test]
fn unreadable_places() {
    let records = 8192 + 2 * 8192;
    for (place, damaged) in [(records + 1_100..records + 1_104, true), (records + 5_000..records + 5_009, false)] {
        let (machine, env) = Machine::new(1);
        let (storage, segment) = log(&env, 10);
        drop(storage);
        machine.spoil(&segment, place);
        let recovered = recover(&env);
        assert_eq!(matches!(recovered.tail, Tail::Damaged { .. }), damaged, "{:?}", recovered.tail);
        assert_eq!(recovered.entries.len(), if damaged { 1 } else { 10 });
    }
}

#[test]
fn inspection() {
    let (machine, env) = Machine::new(1);
    let (storage, segment) = log(&env, 10);
    drop(storage);
    let told = block_on(inspect(&env, Path::new("/data"), None)).unwrap().to_string();
    assert!(told.contains("10 records, entries 1..=10") && told.contains("clean"), "{told}");
    machine.spoil(&segment, 8192 + 2 * 8192..8192 + 2 * 8192 + 1);
    let told = block_on(inspect(&env, Path::new("/data"), None)).unwrap().to_string();
    assert!(told.contains("DAMAGED: at offset 24576"), "{told}");
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
        let found = std::panic::catch_unwind(|| campaign(0..600, rot, Mutants::only(mutant)));
        assert!(found.is_err(), "{} survived: {found:?}", mutant.name());
    }
}

/// Each planted bug leaves a state that shows it.
#[cfg(feature = "mutants")]
#[test]
fn planted_bugs_in_every_state() {
    use synod_types::Mutant;
    for mutant in [
        Mutant::StoreSkipFsync,
        Mutant::StoreForgetVote,
        Mutant::StoreRollBeforeSync,
        Mutant::StoreAcceptPartialSnapshot,
        Mutant::StoreNoDirSync,
    ] {
        let found = std::panic::catch_unwind(|| states(Mutants::only(mutant)));
        assert!(found.is_err(), "{} survived: {found:?}", mutant.name());
    }
    let found = std::panic::catch_unwind(|| states_after_two_starts(Mutants::only(Mutant::StoreTrustNames)));
    assert!(found.is_err(), "survived: {found:?}");
}

#[test]
fn futures_are_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let (_, env) = Machine::new(1);
    let folder = Path::new("/send");
    drop(send(suite::all(&env, folder, Mutants::NONE)));
    drop(send(suite::crashes::run(&env, folder, &Machine::new(1).0, 1, true, Mutants::NONE)));
    drop(send(suite::states::run(|| Machine::new(1), folder, Mutants::NONE)));
}
