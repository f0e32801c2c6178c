//! The cluster version: what apply does is decided by the log, and a snapshot says what was decided.

use crate::world::{World, open};
use synod_state::State;
use synod_types::command::Applied;
use synod_types::record::Record;
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN, SESSIONS_OPENED_AT};
use synod_types::{Command, Mutants, SessionId};

fn opened(world: &World, session: i64) -> i64 {
    world.state.session(SessionId(session)).unwrap().opened_ms
}

#[test]
fn a_cluster_begins_with_the_oldest_version_and_is_raised_by_the_log() {
    let mut world = World::new();
    assert_eq!(world.state.version(), CLUSTER_VERSION_MIN);
    let zxid = world.state.zxid();
    let outcome = world.apply(Command::RaiseVersion { to: CLUSTER_VERSION });
    assert_eq!((outcome.result, outcome.zxid.0), (Ok(Applied::Done), zxid.0 + 1));
    assert_eq!(world.state.version(), CLUSTER_VERSION);
    world.apply(Command::RaiseVersion { to: CLUSTER_VERSION_MIN });
    assert_eq!(world.state.version(), CLUSTER_VERSION, "a raise that comes late takes nothing back");
}

#[test]
fn a_session_says_when_it_was_opened_once_all_members_do() {
    let mut world = World::new();
    world.apply(Command::RaiseVersion { to: SESSIONS_OPENED_AT });
    world.time_ms = 5_000;
    world.apply(open(2));
    assert_eq!((opened(&world, 1), opened(&world, 2)), (0, 5_000));
}

#[test]
fn the_version_is_in_the_digest_and_in_the_snapshot() {
    let mut world = World::new();
    let mut other = World::new();
    world.apply(Command::RaiseVersion { to: CLUSTER_VERSION });
    other.apply(Command::RaiseVersion { to: CLUSTER_VERSION_MIN });
    assert_ne!(world.state.digest(), other.state.digest());
    world.apply(open(2));
    let records: Vec<Record> = world.state.clone().records().collect();
    let Record::Header(header) = &records[0] else { panic!("no header") };
    assert_eq!(header.version, CLUSTER_VERSION);
    assert_eq!(State::restore(records.into_iter(), Mutants::NONE), Ok(world.state));
}
