//! Access control lists.

use crate::world::{World, acl, create_with, set};
use synod_state::{Answer, Query};
use synod_types::znode::perms;
use synod_types::{Acl, ErrorCode};

fn stored(world: &World, path: &str) -> Vec<Acl> {
    world.state.acl(path).unwrap().to_vec()
}

#[test]
fn lists_that_are_refused() {
    let mut world = World::new();
    let one = |scheme, id| Some(vec![acl(perms::ALL, scheme, id)]);
    for list in [
        None,
        Some(vec![]),
        one("nobody", "x"),
        one("super", ""),
        one("world", "somebody"),
        one("digest", "user"),
        one("digest", "user:"),
        one("digest", "a:b:c"),
        one("ip", "localhost"),
        one("ip", "1.2.3.4/33"),
        one("ip", "1.2.3.4/-1"),
        one("ip", "::1/129"),
        one("auth", ""),
        one("", ""),
    ] {
        assert_eq!(world.write(create_with("/a", list.clone())), Err(ErrorCode::InvalidAcl), "{list:?}");
    }
}

#[test]
fn auth_is_who_the_client_is_but_for_its_address() {
    let mut world = World::new();
    world.become_(&[("ip", "127.0.0.1"), ("digest", "u:h"), ("super", ""), ("sasl", "me")]);
    world.write(create_with("/a", Some(vec![acl(perms::READ, "auth", "")]))).unwrap();
    assert_eq!(stored(&world, "/a"), [acl(perms::READ, "digest", "u:h"), acl(perms::READ, "sasl", "me")]);
}

#[test]
fn duplicates_go_and_order_stays() {
    let mut world = World::new();
    let (a, b) = (acl(1, "digest", "u:h"), acl(2, "ip", "10.0.0.0/8"));
    world.write(create_with("/a", Some(vec![b.clone(), a.clone(), b.clone()]))).unwrap();
    assert_eq!(stored(&world, "/a"), [b, a]);
}

#[test]
fn addresses_match_by_prefix() {
    let mut world = World::new();
    for (n, (net, address, inside)) in [
        ("10.1.0.0/16", "10.1.255.3", true),
        ("10.1.0.0/16", "10.2.0.0", false),
        ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false),
        ("10.1.2.3/0", "192.168.0.1", true),
        ("0.0.0.0/0", "::1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::", false),
        ("::/0", "1.2.3.4", false),
        ("10.1.2.3", "garbage", false),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/{n}");
        world.write(create_with(&path, Some(vec![acl(perms::WRITE, "ip", net)]))).unwrap();
        world.become_(&[("ip", address)]);
        assert_eq!(world.write(set(&path, "", -1)).is_ok(), inside, "{address} in {net}");
    }
}

#[test]
fn super_may_everything() {
    let mut world = World::new();
    world.write(create_with("/a", Some(vec![acl(0, "digest", "u:h")]))).unwrap();
    assert_eq!(world.write(set("/a", "", -1)), Err(ErrorCode::NoAuth));
    world.become_(&[("super", "")]);
    world.write(set("/a", "", -1)).unwrap();
}

#[test]
fn without_admin_the_digests_are_hidden() {
    let mut world = World::new();
    let list = [acl(perms::READ, "digest", "reader:secret"), acl(perms::ADMIN, "digest", "admin:secret")];
    world.write(create_with("/a", Some(list.to_vec()))).unwrap();
    let read = |world: &World| {
        world.read(Query::GetAcl { path: "/a".into() }).map(|answer| match answer {
            Answer::Acl { acl, stat } => {
                assert_eq!(stat, world.stat("/a"));
                acl
            }
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(read(&world), Err(ErrorCode::NoAuth));
    world.become_(&[("digest", "admin:secret")]);
    assert_eq!(read(&world).unwrap(), list);
    world.become_(&[("digest", "reader:secret")]);
    let hidden = [acl(perms::READ, "digest", "reader:x"), acl(perms::ADMIN, "digest", "admin:x")];
    assert_eq!(read(&world).unwrap(), hidden);
}
