//! All or nothing.

use crate::world::{World, anyone, check, create, delete, set};
use synod_types::command::Written;
use synod_types::znode::{CreateMode, EventKind};
use synod_types::{ErrorCode, WriteOp};

#[test]
fn later_operations_see_earlier_ones_and_all_share_a_transaction() {
    let mut world = World::new();
    let sequential = CreateMode::PersistentSequential;
    let plain = CreateMode::Persistent;
    let results = world.multi(vec![
        create("/a", plain),
        create("/a/n", sequential),
        create("/a/n", sequential),
        set("/a", "yy", 0),
        check("/a", 1),
        delete("/a/n0000000000", 0),
    ]);
    assert!(results.iter().all(|r| r.is_ok()), "{results:?}");
    let zxid = world.state.zxid();
    let stat = world.stat("/a");
    assert_eq!((stat.czxid, stat.mzxid, stat.pzxid, stat.version), (zxid, zxid, zxid, 1));
    assert!(matches!(&results[2], Ok(Written::Created { path, .. }) if path == "/a/n0000000001"));
    let created = EventKind::Created;
    let children = EventKind::ChildrenChanged;
    assert_eq!(
        world.told(),
        [
            (created, "/a"),
            (children, "/"),
            (created, "/a/n0000000000"),
            (children, "/a"),
            (created, "/a/n0000000001"),
            (children, "/a"),
            (EventKind::DataChanged, "/a"),
            (EventKind::Deleted, "/a/n0000000000"),
            (children, "/a"),
        ]
    );
}

#[test]
fn a_failure_undoes_everything_and_says_which() {
    let mut world = World::new();
    world.create("/keep").unwrap();
    let before = world.state.clone();
    let results = world.multi(vec![
        create("/a", CreateMode::Ephemeral),
        delete("/keep", -1),
        WriteOp::SetAcl { path: "/".into(), acl: anyone(), version: -1 },
        set("/none", "", -1),
        create("/b", CreateMode::Persistent),
    ]);
    let after = Err(Some(ErrorCode::RuntimeInconsistency));
    assert_eq!(results, [Err(None), Err(None), Err(None), Err(Some(ErrorCode::NoNode)), after]);
    assert!(world.events.is_empty());
    for path in ["/", "/keep", "/a", "/b"] {
        assert_eq!(world.state.stat(path), before.stat(path));
    }
    assert_eq!(world.state.ephemeral_count(), 0);
    assert_eq!(world.state.approximate_data_size(), before.approximate_data_size());
    assert_eq!(world.state.zxid().counter(), before.zxid().counter() + 1);
}

#[test]
fn an_empty_one_succeeds_and_a_nested_one_does_not() {
    let mut world = World::new();
    assert_eq!(world.multi(vec![]), []);
    let nested = WriteOp::Multi { ops: vec![] };
    assert_eq!(world.multi(vec![nested]), [Err(Some(ErrorCode::MarshallingError))]);
}
