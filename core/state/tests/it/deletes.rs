//! Deleting.

use crate::world::{World, acl, create_with, delete, set};
use synod_types::ErrorCode;
use synod_types::znode::{EventKind, perms};

#[test]
fn errors_come_in_this_order() {
    let mut world = World::new();
    world.write(create_with("/p", Some(vec![acl(perms::ALL & !perms::DELETE, "world", "anyone")]))).unwrap();
    world.create("/p/c").unwrap();
    world.create("/p/c/d").unwrap();
    world.write(set("/p/c", "y", -1)).unwrap();
    for path in ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"] {
        assert_eq!(world.write(delete(path, -1)), Err(ErrorCode::BadArguments));
    }
    assert_eq!(world.write(delete("/p/none", 5)), Err(ErrorCode::NoNode));
    assert_eq!(world.write(delete("/none/none", 5)), Err(ErrorCode::NoNode));
    assert_eq!(world.write(delete("/p/c", 5)), Err(ErrorCode::NoAuth));
    world.become_(&[("super", "")]);
    assert_eq!(world.write(delete("/p/c", 5)), Err(ErrorCode::BadVersion));
    assert_eq!(world.write(delete("/p/c", 1)), Err(ErrorCode::NotEmpty));
    world.write(delete("/p/c/d", 0)).unwrap();
    world.write(delete("/p/c", 1)).unwrap();
    assert_eq!(world.told(), [(EventKind::Deleted, "/p/c"), (EventKind::ChildrenChanged, "/p")]);
    assert_eq!(world.state.stat("/p/c"), None);
}

#[test]
fn events_carry_the_lists_that_decide_who_hears_them() {
    let mut world = World::new();
    let mine = vec![acl(perms::ALL, "ip", "127.0.0.1")];
    world.write(create_with("/a", Some(mine.clone()))).unwrap();
    assert_eq!(*world.events[0].acl, mine[..]);
    assert_eq!(world.events[1].acl[0].identity.scheme, "world");
    world.write(delete("/a", -1)).unwrap();
    assert_eq!(*world.events[0].acl, mine[..]);
    assert_eq!(world.events[1].acl[0].identity.scheme, "world");
}
