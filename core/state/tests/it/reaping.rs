//! Containers and TTL nodes.

use crate::world::{World, delete, set};
use synod_types::Command;
use synod_types::command::Applied;
use synod_types::znode::{CreateMode, EventKind};

fn reap(world: &mut World, path: &str) -> bool {
    let outcome = world.apply(Command::Reap { path: path.into() });
    assert_eq!(outcome.result, Ok(Applied::Done));
    world.state.stat(path).is_none()
}

#[test]
fn a_container_goes_with_its_last_child() {
    let mut world = World::new();
    world.create_as("/c", CreateMode::Container).unwrap();
    assert_eq!(world.stat("/c").ephemeral_owner, 0);
    assert_eq!(world.state.reapable(i64::MAX), [""; 0]);
    assert!(!reap(&mut world, "/c"), "it never had a child");
    world.create("/c/x").unwrap();
    assert_eq!(world.state.reapable(i64::MAX), [""; 0]);
    assert!(!reap(&mut world, "/c"));
    world.write(delete("/c/x", -1)).unwrap();
    assert_eq!(world.state.reapable(i64::MIN), ["/c"]);
    assert!(reap(&mut world, "/c"));
    assert_eq!(world.told(), [(EventKind::Deleted, "/c"), (EventKind::ChildrenChanged, "/")]);
    assert_eq!(world.state.reapable(i64::MAX), [""; 0]);
}

#[test]
fn a_ttl_node_goes_when_it_is_older_than_its_ttl() {
    let mut world = World::new();
    world.create_as("/t", CreateMode::PersistentTtl { ttl_ms: 500 }).unwrap();
    assert_eq!(world.stat("/t").ephemeral_owner, 0);
    world.time_ms = 1500;
    assert_eq!(world.state.reapable(1500), [""; 0]);
    assert!(!reap(&mut world, "/t"));
    assert_eq!(world.state.reapable(1501), ["/t"]);
    world.write(set("/t", "again", -1)).unwrap();
    assert_eq!(world.state.reapable(2000), [""; 0]);
    world.create("/t/child").unwrap();
    assert_eq!(world.state.reapable(9999), [""; 0]);
    world.time_ms = 9999;
    assert!(!reap(&mut world, "/t"));
    world.write(delete("/t/child", -1)).unwrap();
    assert!(reap(&mut world, "/t"));
}

#[test]
fn nothing_else_is_reaped() {
    let mut world = World::new();
    world.create("/a").unwrap();
    world.create_as("/e", CreateMode::Ephemeral).unwrap();
    for path in ["/", "/a", "/e"] {
        assert!(!reap(&mut world, path));
        assert!(world.events.is_empty());
    }
    assert!(reap(&mut world, "/none"));
}
