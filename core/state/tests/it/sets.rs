//! setData, setACL, check.

use crate::world::{World, acl, anyone, check, create_with, set};
use bytes::Bytes;
use synod_state::{Answer, Query};
use synod_types::command::Written;
use synod_types::znode::{EventKind, perms};
use synod_types::{Acl, ErrorCode, WriteOp};

fn set_acl(path: &str, acl: Option<Vec<Acl>>, version: i32) -> WriteOp {
    WriteOp::SetAcl { path: path.into(), acl, version }
}

#[test]
fn setting_data_changes_version_and_modification_only() {
    let mut world = World::new();
    world.create("/a").unwrap();
    let before = world.stat("/a");
    world.time_ms = 2000;
    let Ok(Written::Set { stat }) = world.write(set("/a", "hello", 0)) else { panic!() };
    let zxid = world.state.zxid();
    let expected = synod_types::Stat { version: 1, mzxid: zxid, mtime: 2000, data_length: 5, ..before };
    assert_eq!((stat, world.stat("/a")), (expected, expected));
    assert_eq!(world.told(), [(EventKind::DataChanged, "/a")]);
    assert_eq!(world.write(set("/a", "", 0)), Err(ErrorCode::BadVersion));
    assert_eq!(world.stat("/a"), expected);
}

#[test]
fn null_data_is_not_empty_data() {
    let mut world = World::new();
    world.create("/a").unwrap();
    let data = |world: &World| match world.read(Query::GetData { path: "/a".into() }) {
        Ok(Answer::Data { data, .. }) => data,
        other => panic!("{other:?}"),
    };
    world.write(set("/a", "", -1)).unwrap();
    assert_eq!(data(&world), Some(Bytes::new()));
    let empty = world.state.digest();
    world.write(WriteOp::SetData { path: "/a".into(), data: None, version: -1 }).unwrap();
    assert_eq!(data(&world), None);
    assert_ne!(world.state.digest(), empty);
}

#[test]
fn setting_the_list_changes_its_version_only_and_tells_nobody() {
    let mut world = World::new();
    world.create("/a").unwrap();
    let before = world.stat("/a");
    let list = vec![acl(perms::READ | perms::ADMIN, "world", "anyone")];
    let Ok(Written::Set { stat }) = world.write(set_acl("/a", Some(list), 0)) else { panic!() };
    assert_eq!(stat, synod_types::Stat { aversion: 1, ..before });
    assert!(world.events.is_empty());
    assert_eq!(world.write(set_acl("/a", anyone(), 0)), Err(ErrorCode::BadVersion));
    assert_eq!(world.write(set("/a", "x", 7)), Err(ErrorCode::NoAuth));
    world.write(set_acl("/a", anyone(), 1)).unwrap();
    world.write(set("/a", "x", -1)).unwrap();
}

#[test]
fn errors_come_in_this_order() {
    let mut world = World::new();
    world.write(create_with("/locked", Some(vec![acl(perms::ALL, "digest", "u:h")]))).unwrap();
    assert_eq!(world.write(set("bad", "", 5)), Err(ErrorCode::BadArguments));
    assert_eq!(world.write(set("/none", "", 5)), Err(ErrorCode::NoNode));
    assert_eq!(world.write(set("/locked", "", 5)), Err(ErrorCode::NoAuth));
    assert_eq!(world.write(set_acl("bad", None, 5)), Err(ErrorCode::BadArguments));
    assert_eq!(world.write(set_acl("/none", None, 5)), Err(ErrorCode::InvalidAcl));
    assert_eq!(world.write(set_acl("/none", anyone(), 5)), Err(ErrorCode::NoNode));
    assert_eq!(world.write(set_acl("/locked", anyone(), 5)), Err(ErrorCode::NoAuth));
    let checks = ["bad", "/none", "/locked"].map(|path| world.multi(vec![check(path, 5)])[0].clone());
    assert_eq!(checks, [ErrorCode::BadArguments, ErrorCode::NoNode, ErrorCode::NoAuth].map(|e| Err(Some(e))));
    assert_eq!(world.write(check("/locked", -1)), Err(ErrorCode::Unimplemented));
}
