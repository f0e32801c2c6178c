//! Access control lists that clients give to nodes: good ones, and some that must be refused.

use super::bytes::USERS;
use crate::plan::List;
use std::net::Ipv4Addr;
use synod_types::znode::perms;
use synod_types::{Acl, Identity};

pub(super) fn entry(perms: u32, scheme: &str, id: &str) -> Acl {
    Acl { perms, identity: Identity { scheme: scheme.into(), id: id.into() } }
}

/// The entries of a list; `address` is that of the clients.
pub(super) fn entries(list: List, address: &str) -> Vec<Acl> {
    let own = address.parse().unwrap_or(Ipv4Addr::LOCALHOST).to_bits();
    // Nets whose last bit, or the one behind it, tells them from others.
    let net = |flipped: u32, bits: u32| format!("{}/{bits}", Ipv4Addr::from_bits(own ^ flipped));
    let read_only = entry(perms::READ, "world", "anyone");
    let ann = entry(perms::ALL, "digest", USERS[0].0);
    match list {
        List::Open => vec![entry(perms::ALL, "world", "anyone")],
        List::ReadOnly => vec![entry(perms::ALL & !perms::WRITE, "world", "anyone")],
        List::Auth => vec![entry(perms::ALL, "auth", "")],
        List::First => vec![ann, read_only],
        List::Both => vec![
            entry(perms::ADMIN | perms::DELETE, "digest", USERS[0].0),
            entry(perms::READ | perms::WRITE | perms::CREATE, "digest", USERS[1].0),
        ],
        List::Address => vec![entry(perms::ALL, "ip", address)],
        List::Net => vec![entry(perms::ALL, "ip", &net(1, 31)), ann],
        List::OtherNet => vec![entry(perms::ALL, "ip", &net(4, 30)), read_only],
        List::Everywhere => vec![entry(perms::READ | perms::WRITE | perms::CREATE, "ip", "0.0.0.0/0")],
        List::NoSecret => vec![entry(perms::ALL, "digest", "ann:")],
        List::WideNet => vec![entry(perms::ALL, "ip", "10.0.0.1/33")],
        List::Twice => vec![ann.clone(), read_only, ann],
        List::Empty => Vec::new(),
    }
}
