//! Who may do what: ZooKeeper's access control lists, spelled out and shared with nothing of the engine.

use crate::tree::code;
use std::net::IpAddr;
use synod_types::{Acl, Identity};

/// Bits of a permission mask.
pub(crate) mod may {
    pub const READ: u32 = 1;
    pub const WRITE: u32 = 2;
    pub const CREATE: u32 = 4;
    pub const DELETE: u32 = 8;
    pub const ADMIN: u32 = 16;
    pub const ALL: u32 = 31;
}

/// The list that lets everybody do everything.
pub(crate) fn open() -> Vec<Acl> {
    vec![Acl { perms: may::ALL, identity: Identity { scheme: "world".into(), id: "anyone".into() } }]
}

/// Whether a list grants one of the permissions to one of the identities.
pub(crate) fn grants(list: &[Acl], perms: u32, who: &[Identity]) -> bool {
    who.iter().any(|one| one.scheme == "super")
        || list.iter().filter(|entry| entry.perms & perms != 0).any(|entry| {
            let named = &entry.identity;
            match named.scheme.as_str() {
                "world" => named.id == "anyone",
                "ip" => who.iter().any(|one| one.scheme == "ip" && inside(&one.id, &named.id)),
                _ => who.contains(named),
            }
        })
}

/// The list as a node keeps it: each entry once, `auth` replaced by who the writer is.
pub(crate) fn kept(list: &[Acl], who: &[Identity]) -> Result<Vec<Acl>, i32> {
    let mut kept = Vec::new();
    for (i, entry) in list.iter().enumerate() {
        if list[..i].contains(entry) {
            continue;
        }
        if entry.identity.scheme == "auth" {
            let proven: Vec<&Identity> =
                who.iter().filter(|one| !["ip", "world", "super"].contains(&one.scheme.as_str())).collect();
            if proven.is_empty() {
                return Err(code::INVALID_ACL);
            }
            kept.extend(proven.into_iter().map(|one| Acl { perms: entry.perms, identity: one.clone() }));
            continue;
        }
        if !names_somebody(&entry.identity) {
            return Err(code::INVALID_ACL);
        }
        kept.push(entry.clone());
    }
    if kept.is_empty() { Err(code::INVALID_ACL) } else { Ok(kept) }
}

/// The list as it is shown to who may not change it: digests without their secret.
pub(crate) fn shown(list: &[Acl]) -> Vec<Acl> {
    let mut shown = list.to_vec();
    for entry in shown.iter_mut().filter(|entry| entry.identity.scheme == "digest") {
        if let Some(colon) = entry.identity.id.find(':') {
            entry.identity.id.replace_range(colon.., ":x");
        }
    }
    shown
}

fn names_somebody(identity: &Identity) -> bool {
    let id = &identity.id;
    match identity.scheme.as_str() {
        "world" => id == "anyone",
        "digest" => matches!(id.split(':').collect::<Vec<_>>()[..], [_, secret] if !secret.is_empty()),
        "ip" => net(id).is_some(),
        "x509" | "sasl" => !id.is_empty(),
        _ => false,
    }
}

/// The bits of an address, one by one.
fn bits(address: IpAddr) -> Vec<bool> {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    octets.iter().flat_map(|octet| (0..8).map(move |bit| octet >> (7 - bit) & 1 == 1)).collect()
}

/// The leading bits that an address of the net has, and the length of its addresses.
fn net(text: &str) -> Option<(Vec<bool>, usize)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let mut leading = bits(address.parse().ok()?);
    let width = leading.len();
    if let Some(length) = length {
        let length: usize = length.parse().ok()?;
        if length > width {
            return None;
        }
        leading.truncate(length);
    }
    Some((leading, width))
}

fn inside(address: &str, text: &str) -> bool {
    let (Some((leading, width)), Ok(address)) = (net(text), address.parse()) else { return false };
    let address = bits(address);
    address.len() == width && address.starts_with(&leading)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(perms: u32, scheme: &str, id: &str) -> Acl {
        Acl { perms, identity: Identity { scheme: scheme.into(), id: id.into() } }
    }

    fn who(scheme: &str, id: &str) -> Vec<Identity> {
        vec![Identity { scheme: scheme.into(), id: id.into() }]
    }

    #[test]
    fn nets_hold_the_addresses_that_share_their_leading_bits() {
        for (net, holds) in [
            ("10.1.2.3", true),
            ("10.1.2.2", false),
            ("10.1.2.2/31", true),
            ("10.1.2.0/31", false),
            ("10.1.0.0/16", true),
            ("10.0.0.0/16", false),
            ("99.9.9.9/0", true),
            ("::/0", false),
        ] {
            assert_eq!(grants(&[acl(may::READ, "ip", net)], may::READ, &who("ip", "10.1.2.3")), holds, "{net}");
        }
        assert!(!grants(&[acl(may::WRITE, "ip", "0.0.0.0/0")], may::READ, &who("ip", "10.1.2.3")));
    }

    #[test]
    fn lists_are_checked_and_filled_in() {
        let me = who("digest", "me:hash");
        assert_eq!(kept(&[acl(3, "auth", ""), acl(3, "auth", "")], &me), Ok(vec![acl(3, "digest", "me:hash")]));
        assert_eq!(kept(&[acl(3, "auth", "")], &who("ip", "10.0.0.1")), Err(code::INVALID_ACL));
        for entry in [acl(1, "digest", "x"), acl(1, "digest", "x:"), acl(1, "ip", "10.0.0.1/33"), acl(1, "none", "x")] {
            assert_eq!(kept(std::slice::from_ref(&entry), &me), Err(code::INVALID_ACL), "{entry:?}");
        }
        assert_eq!(kept(&[], &me), Err(code::INVALID_ACL));
        assert_eq!(shown(&[acl(1, "digest", "me:hash")]), [acl(1, "digest", "me:x")]);
    }
}
