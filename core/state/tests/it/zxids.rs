//! Transaction ids.

use crate::world::{World, delete};
use synod_types::{ErrorCode, Term, Zxid};

#[test]
fn each_command_takes_one_also_when_it_fails() {
    let mut world = World::new();
    assert_eq!(world.state.zxid(), Zxid(1 << 32 | 1));
    assert_eq!(world.write(delete("/a", -1)), Err(ErrorCode::NoNode));
    assert_eq!(world.state.zxid(), Zxid(1 << 32 | 2));
    world.create("/a").unwrap();
    assert_eq!(world.stat("/a").czxid, Zxid(1 << 32 | 3));
}

#[test]
fn a_term_starts_at_counter_zero() {
    let mut world = World::new();
    world.term = Term(5);
    assert_eq!(world.entry(None), None);
    assert_eq!(world.state.zxid(), Zxid(5 << 32));
    world.create("/a").unwrap();
    assert_eq!(world.state.zxid(), Zxid(5 << 32 | 1));
    assert_eq!(world.entry(None), None);
    assert_eq!(world.state.zxid(), Zxid(5 << 32 | 1));
}

#[test]
fn the_epoch_is_the_lower_half_of_the_term() {
    let mut world = World::new();
    world.term = Term(7 << 32 | 3);
    world.entry(None);
    assert_eq!(world.state.zxid(), Zxid(3 << 32));
}

#[test]
fn a_full_counter_is_announced_and_never_carries_into_the_epoch() {
    use synod_state::State;
    use synod_types::Mutants;
    use synod_types::record::Record;
    let full = |counter: u32| {
        let mut world = World::new();
        let mut records: Vec<Record> = world.state.clone().records().collect();
        let Record::Header(header) = &mut records[0] else { panic!() };
        let digest_at = |zxid: Zxid| {
            // The header's share of the digest is not public: ask for the one that restore computes.
            let mut wrong = *header;
            wrong.zxid = zxid;
            let records = [vec![Record::Header(wrong)], world.state.clone().records().skip(1).collect()].concat();
            match State::restore(records.into_iter(), Mutants::NONE) {
                Err(synod_state::RestoreError::Digest { computed, .. }) => computed,
                other => panic!("{other:?}"),
            }
        };
        let zxid = Zxid(1 << 32 | i64::from(counter));
        (header.digest, header.zxid) = (digest_at(zxid), zxid);
        world.state = State::restore(records.into_iter(), Mutants::NONE).unwrap();
        world
    };
    assert!(!full(0xefff_ffff).state.counter_nearly_full());
    assert!(full(0xf000_0000).state.counter_nearly_full());
    let mut world = full(u32::MAX);
    world.create("/a").unwrap();
    assert_eq!(world.state.zxid(), Zxid(1 << 32 | 0xffff_ffff));
}
