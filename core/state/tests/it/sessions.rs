//! Sessions: opened, moved, closed, expired.

use crate::world::{OWNER, PASSWORD, World, create, open};
use std::sync::Arc;
use synod_types::command::Applied;
use synod_types::session::{Owner, SessionGranted};
use synod_types::znode::{CreateMode, EventKind};
use synod_types::{Command, ErrorCode, SessionId};

const OTHER: Owner = Owner { connection: 2, ..OWNER };

fn attach(password: [u8; 16]) -> Command {
    Command::AttachSession { session: SessionId(1), password, timeout_ms: 9000, owner: OTHER }
}

fn write_over(owner: Owner) -> Command {
    let op = create("/w", CreateMode::Persistent);
    Command::Write { session: SessionId(1), owner, identities: Arc::from([]), op }
}

#[test]
fn opening_grants_what_was_asked() {
    let mut world = World::new();
    let granted = SessionGranted { session: SessionId(9), password: PASSWORD, timeout_ms: 4000 };
    assert_eq!(world.apply(open(9)).result, Ok(Applied::Session(granted)));
    assert_eq!(world.state.session(SessionId(9)).unwrap().owner, OWNER);
}

#[test]
fn an_id_is_given_once() {
    let mut world = World::new();
    assert_eq!(world.apply(open(1)).result, Err(ErrorCode::SessionExpired));
    assert_eq!(world.apply(open(0)).result, Err(ErrorCode::SessionExpired));
    assert_eq!(world.state.session_count(), 1);
}

#[test]
fn attaching_moves_the_session_and_refuses_the_older_connection() {
    let mut world = World::new();
    let granted = SessionGranted { session: SessionId(1), password: PASSWORD, timeout_ms: 9000 };
    assert_eq!(world.apply(attach(PASSWORD)).result, Ok(Applied::Session(granted)));
    assert_eq!(world.apply(write_over(OWNER)).result, Err(ErrorCode::SessionMoved));
    assert_eq!(world.state.stat("/w"), None);
    let close = Command::CloseSession { session: SessionId(1), owner: OWNER };
    assert_eq!(world.apply(close).result, Err(ErrorCode::SessionMoved));
    assert!(world.apply(write_over(OTHER)).result.is_ok());
}

#[test]
fn attaching_needs_the_password() {
    let mut world = World::new();
    assert_eq!(world.apply(attach([0; 16])).result, Err(ErrorCode::SessionExpired));
    assert_eq!(world.state.session(SessionId(1)).unwrap().owner, OWNER);
}

#[test]
fn the_end_of_a_session_deletes_its_ephemeral_nodes_in_one_transaction() {
    for end in [
        Command::CloseSession { session: SessionId(1), owner: OWNER },
        Command::ExpireSession { session: SessionId(1), owner: OWNER },
    ] {
        let mut world = World::new();
        world.create("/p").unwrap();
        for path in ["/z", "/p/b", "/p/a", "/p-e"] {
            world.create_as(path, CreateMode::Ephemeral).unwrap();
        }
        assert_eq!(world.stat("/z").ephemeral_owner, 1);
        let outcome = world.apply(end.clone());
        assert_eq!(outcome.result, Ok(Applied::Done));
        let deleted = world.told().into_iter().filter(|(kind, _)| *kind == EventKind::Deleted);
        assert_eq!(deleted.map(|(_, path)| path).collect::<Vec<_>>(), ["/p-e", "/p/a", "/p/b", "/z"]);
        assert!(world.events.iter().all(|e| e.zxid == outcome.zxid));
        assert_eq!(world.stat("/p").pzxid, outcome.zxid);
        assert_eq!(world.state.ephemeral_count(), 0);
        assert!(world.state.stat("/p").is_some());
        assert_eq!(world.apply(end).result, Err(ErrorCode::SessionExpired));
        assert_eq!(world.apply(write_over(OWNER)).result, Err(ErrorCode::SessionExpired));
        assert_eq!(world.apply(attach(PASSWORD)).result, Err(ErrorCode::SessionExpired));
    }
}
