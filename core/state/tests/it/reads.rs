//! Queries.

use crate::world::{World, acl, create_with};
use synod_state::{Answer, Query};
use synod_types::znode::{CreateMode, perms};
use synod_types::{ErrorCode, SessionId};

#[test]
fn reading_needs_the_permission() {
    let mut world = World::new();
    world.write(create_with("/a", Some(vec![acl(perms::ALL & !perms::READ, "world", "anyone")]))).unwrap();
    let queries = |path: &str| {
        let path = path.to_string();
        [
            Query::Exists { path: path.clone() },
            Query::GetData { path: path.clone() },
            Query::GetChildren { path: path.clone() },
            Query::AllChildrenNumber { path },
        ]
    };
    for query in queries("/a") {
        assert_eq!(world.read(query.clone()), Err(ErrorCode::NoAuth), "{query:?}");
    }
    for path in ["/none", "", "x", "/a/", "//", "/\0a"] {
        for query in queries(path) {
            assert_eq!(world.read(query.clone()), Err(ErrorCode::NoNode), "{query:?}");
        }
    }
}

#[test]
fn children_are_the_direct_ones_by_name() {
    let mut world = World::new();
    for path in ["/a", "/a/y", "/a/x", "/a/x/deep", "/a/x-", "/ab", "/a-", "/a-/z"] {
        world.create(path).unwrap();
    }
    let children = |path: &str| match world.read(Query::GetChildren { path: path.into() }) {
        Ok(Answer::Children { children, stat }) => {
            assert_eq!(stat, world.stat(path));
            children
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(children("/a"), ["x", "x-", "y"]);
    assert_eq!(children("/"), ["a", "a-", "ab", "zookeeper"]);
    assert_eq!(children("/ab"), [""; 0]);
    let count = |path: &str| world.read(Query::AllChildrenNumber { path: path.into() });
    assert_eq!(count("/a"), Ok(Answer::Count(4)));
    assert_eq!(count("/"), Ok(Answer::Count(11)));
}

#[test]
fn ephemerals_are_those_of_one_session_under_a_prefix() {
    let mut world = World::new();
    world.create("/p").unwrap();
    for path in ["/p/b", "/p/a", "/q"] {
        world.create_as(path, CreateMode::Ephemeral).unwrap();
    }
    let of = |session: i64, prefix: &str| {
        world.read(Query::Ephemerals { session: SessionId(session), prefix: prefix.into() }).unwrap()
    };
    let paths = |paths: &[&str]| Answer::Paths(paths.iter().map(|p| p.to_string()).collect());
    assert_eq!(of(1, "/"), paths(&["/p/a", "/p/b", "/q"]));
    assert_eq!(of(1, ""), paths(&["/p/a", "/p/b", "/q"]));
    assert_eq!(of(1, "/p"), paths(&["/p/a", "/p/b"]));
    assert_eq!(of(2, "/"), paths(&[]));
}
