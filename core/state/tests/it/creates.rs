//! The create family.

use crate::world::{World, acl, create, create_with, delete};
use synod_types::command::Written;
use synod_types::znode::{CreateMode, EventKind, perms};
use synod_types::{ErrorCode, Stat, WriteOp, Zxid};

#[test]
fn a_new_node_has_this_stat() {
    let mut world = World::new();
    let Ok(Written::Created { path, stat }) = world.write(create("/a", CreateMode::Ephemeral)) else { panic!() };
    let zxid = Zxid(1 << 32 | 2);
    let expected = Stat {
        czxid: zxid,
        mzxid: zxid,
        pzxid: zxid,
        ctime: 1000,
        mtime: 1000,
        ephemeral_owner: 1,
        data_length: 1,
        ..Stat::default()
    };
    assert_eq!((path.as_str(), stat), ("/a", expected));
    assert_eq!(world.told(), [(EventKind::Created, "/a"), (EventKind::ChildrenChanged, "/")]);
}

#[test]
fn a_parent_counts_creates_and_deletes() {
    let mut world = World::new();
    world.create("/a").unwrap();
    for child in ["/a/x", "/a/y"] {
        world.create(child).unwrap();
    }
    let stat = world.stat("/a");
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (2, 2, world.state.zxid()));
    world.write(delete("/a/x", -1)).unwrap();
    let after = world.stat("/a");
    assert_eq!((after.cversion, after.num_children, after.pzxid), (3, 1, world.state.zxid()));
    assert_eq!((after.version, after.mzxid, after.mtime), (stat.version, stat.mzxid, stat.mtime));
}

#[test]
fn the_system_nodes_are_those_of_a_fresh_zookeeper() {
    let world = World::new();
    assert_eq!(world.state.node_count(), 4);
    assert_eq!((world.stat("/").cversion, world.stat("/").num_children), (-1, 1));
    assert_eq!((world.stat("/zookeeper").cversion, world.stat("/zookeeper").num_children), (-2, 2));
    assert_eq!(world.stat("/zookeeper/config").aversion, -1);
}

#[test]
fn the_suffix_counts_creates_and_is_never_reused() {
    let mut world = World::new();
    world.create("/q").unwrap();
    let sequential = CreateMode::PersistentSequential;
    assert_eq!(world.create_as("/q/n-", sequential).unwrap(), "/q/n-0000000000");
    world.create("/q/other").unwrap();
    world.write(delete("/q/other", -1)).unwrap();
    assert_eq!(world.create_as("/q/n-", CreateMode::EphemeralSequential).unwrap(), "/q/n-0000000002");
    assert_eq!(world.create_as("/q/", sequential).unwrap(), "/q/0000000003");
    assert_eq!(world.create_as("/", sequential).unwrap(), "/0000000001");
    world.create("/q/n-0000000005").unwrap();
    assert_eq!(world.create_as("/q/n-", sequential), Err(ErrorCode::NodeExists));
}

#[test]
fn illegal_paths_are_bad_arguments() {
    let mut world = World::new();
    let long = format!("/{}", "x".repeat(3000));
    for path in ["/a", "/ü", "/…", "/a b", "/...", "/.a", "/\u{d7ff}", "/\u{ffef}", "/\u{f900}", &long] {
        assert_eq!(world.create(path).as_deref(), Ok(path));
    }
    for path in [
        "",
        "a",
        "//",
        "/a/",
        "/a//b",
        "/.",
        "/..",
        "/a/./b",
        "/a/../b",
        "/\0",
        "/\u{1}",
        "/\u{1f}",
        "/\u{7f}",
        "/\u{9f}",
        "/\u{e000}",
        "/\u{f8ff}",
        "/\u{fff0}",
        "/\u{ffff}",
        "/\u{10000}",
    ] {
        assert_eq!(world.create(path), Err(ErrorCode::BadArguments), "{path:?}");
        assert_eq!(world.write(delete(path, -1)), Err(ErrorCode::BadArguments), "{path:?}");
    }
    assert_eq!(world.create_as("", CreateMode::PersistentSequential), Err(ErrorCode::BadArguments));
}

#[test]
fn errors_come_in_this_order() {
    let mut world = World::new();
    world.create_as("/e", CreateMode::Ephemeral).unwrap();
    world.write(create_with("/locked", Some(vec![acl(perms::ALL, "digest", "u:h")]))).unwrap();
    let locked_in = |path: &str, acl, mode| WriteOp::Create { path: path.into(), data: None, acl, mode };
    let ttl = CreateMode::PersistentTtl { ttl_ms: 0 };
    let plain = CreateMode::Persistent;
    let open = || Some(vec![acl(31, "world", "anyone")]);
    for (op, error) in [
        (WriteOp::Refused { error: ErrorCode::Unimplemented }, ErrorCode::Unimplemented),
        (locked_in("bad", None, ttl), ErrorCode::BadArguments),
        (locked_in("/no/bad/", None, plain), ErrorCode::BadArguments),
        (locked_in("/no/x", None, plain), ErrorCode::InvalidAcl),
        (locked_in("/no/x", open(), plain), ErrorCode::NoNode),
        (locked_in("/locked/x", open(), plain), ErrorCode::NoAuth),
        (locked_in("/e", open(), plain), ErrorCode::NodeExists),
        (locked_in("/", open(), plain), ErrorCode::NodeExists),
        (locked_in("/e/x", open(), plain), ErrorCode::NoChildrenForEphemerals),
    ] {
        assert_eq!(world.write(op.clone()), Err(error), "{op:?}");
        assert!(world.events.is_empty());
    }
}

#[test]
fn a_ttl_has_forty_bits() {
    let mut world = World::new();
    for (ttl_ms, ok) in [(0, false), (1, true), ((1 << 40) - 1, true), (1 << 40, false), (u64::MAX, false)] {
        let created = world.create_as(&format!("/t{ttl_ms}"), CreateMode::PersistentTtl { ttl_ms });
        assert_eq!(created.is_ok(), ok, "{ttl_ms}");
    }
}
