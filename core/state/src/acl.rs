//! Access control lists: which are well formed, whom they let in, and how equal ones share their memory.
//! Source: ZooKeeper 3.9, `PrepRequestProcessor.fixupACL`, `ZooKeeperServer.checkACL`.

use crate::digest;
use crate::map::Map;
use std::net::IpAddr;
use std::sync::Arc;
use synod_types::znode::perms;
use synod_types::{Acl, ErrorCode, Identity};

/// A list as nodes hold it: shared, with what is asked of it most precomputed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclList(Arc<Inner>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Inner {
    entries: Arc<[Acl]>,
    digest: u128,
    /// What anyone may.
    world: u32,
}

impl AclList {
    fn new(entries: &[Acl]) -> AclList {
        let world = entries.iter().filter(|a| is_world(&a.identity)).fold(0, |all, a| all | a.perms);
        AclList(Arc::new(Inner { entries: Arc::from(entries), digest: digest::acl(entries), world }))
    }

    pub fn entries(&self) -> &Arc<[Acl]> {
        &self.0.entries
    }

    pub fn digest(&self) -> u128 {
        self.0.digest
    }

    /// Whether one of the identities has one of the permissions.
    pub fn permits(&self, perms: u32, identities: &[Identity]) -> bool {
        self.0.world & perms != 0
            || identities.iter().any(|who| who.scheme == "super")
            || self.0.entries.iter().any(|a| a.perms & perms != 0 && identities.iter().any(|w| matches(w, &a.identity)))
    }
}

/// Whether a list lets one of the identities read: decides who hears of a watch event.
pub fn may_read(entries: &[Acl], identities: &[Identity]) -> bool {
    let readable = |a: &Acl| a.perms & perms::READ != 0;
    identities.iter().any(|who| who.scheme == "super")
        || entries
            .iter()
            .any(|a| readable(a) && (is_world(&a.identity) || identities.iter().any(|who| matches(who, &a.identity))))
}

/// The lists in use, each stored once. The open one (anyone may everything), which nearly all nodes have, is at hand
/// and not counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclTable {
    open: AclList,
    /// Every other list, with the number of nodes that have it.
    lists: Map<Arc<[Acl]>, (AclList, u64)>,
}

impl AclTable {
    pub fn new() -> AclTable {
        let identity = Identity { scheme: "world".into(), id: "anyone".into() };
        AclTable { open: AclList::new(&[Acl { perms: perms::ALL, identity }]), lists: Map::new() }
    }

    pub fn open(&self) -> AclList {
        self.open.clone()
    }

    /// The shared list for one more node.
    pub fn acquire(&mut self, entries: &[Acl]) -> AclList {
        if **self.open.entries() == *entries {
            return self.open();
        }
        if let Some((list, nodes)) = self.lists.get_mut(entries) {
            *nodes += 1;
            return list.clone();
        }
        let list = AclList::new(entries);
        self.lists.insert(list.entries().clone(), (list.clone(), 1));
        list
    }

    /// A node gives its list back.
    pub fn release(&mut self, list: &AclList) {
        if list.entries() == self.open.entries() {
            return;
        }
        if let Some((_, nodes)) = self.lists.get_mut::<[Acl]>(list.entries()) {
            *nodes -= 1;
            if *nodes == 0 {
                self.lists.remove::<[Acl]>(list.entries());
            }
        }
    }

    /// All lists: the open one, then the others in order.
    pub fn iter(&self) -> impl Iterator<Item = &AclList> {
        std::iter::once(&self.open).chain(self.lists.iter().map(|(_, (list, _))| list))
    }
}

fn is_world(identity: &Identity) -> bool {
    identity.scheme == "world" && identity.id == "anyone"
}

/// The list that a client's `acl` means: duplicates removed, `auth` replaced by who the client is. Order is kept.
///
/// # Errors
/// `InvalidAcl` for none at all, an unknown scheme, a malformed id, or `auth` by a client that is nobody.
pub fn fixup(acl: Option<&[Acl]>, identities: &[Identity]) -> Result<Vec<Acl>, ErrorCode> {
    let mut unique: Vec<&Acl> = Vec::new();
    for entry in acl.unwrap_or_default() {
        if !unique.contains(&entry) {
            unique.push(entry);
        }
    }
    let mut fixed = Vec::with_capacity(unique.len());
    for entry in unique {
        if entry.identity.scheme == "auth" {
            let who = identities.iter().filter(|i| !matches!(i.scheme.as_str(), "ip" | "world" | "super"));
            let before = fixed.len();
            fixed.extend(who.map(|identity| Acl { perms: entry.perms, identity: identity.clone() }));
            if fixed.len() == before {
                return Err(ErrorCode::InvalidAcl);
            }
        } else if well_formed(&entry.identity) {
            fixed.push(entry.clone());
        } else {
            return Err(ErrorCode::InvalidAcl);
        }
    }
    if fixed.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(fixed) }
}

fn well_formed(identity: &Identity) -> bool {
    match identity.scheme.as_str() {
        "world" => identity.id == "anyone",
        "digest" => identity.id.split_once(':').is_some_and(|(_, hash)| !hash.is_empty() && !hash.contains(':')),
        "ip" => subnet(&identity.id).is_some(),
        "x509" | "sasl" => !identity.id.is_empty(),
        _ => false,
    }
}

/// Whether somebody is who an entry of a list names.
fn matches(who: &Identity, named: &Identity) -> bool {
    if who.scheme != named.scheme {
        return false;
    }
    match who.scheme.as_str() {
        "ip" => who.id.parse().is_ok_and(|address| within(address, &named.id)),
        _ => who.id == named.id,
    }
}

/// An address as its bits from the left, and how many of them there are.
fn address_bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// Reads `address` or `address/bits`.
fn subnet(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = address_bits(address).1;
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some((address, bits))
}

fn within(address: IpAddr, net: &str) -> bool {
    let Some((net, bits)) = subnet(net) else { return false };
    let ((a, a_width), (n, n_width)) = (address_bits(address), address_bits(net));
    let differing = a ^ n;
    a_width == n_width && (bits == 0 || differing >> (128 - bits) == 0)
}

/// The list as somebody without ADMIN sees it: the secrets of the digest scheme are hidden.
pub fn masked(entries: &[Acl]) -> Vec<Acl> {
    let hide = |a: &Acl| {
        let mut a = a.clone();
        if a.identity.scheme == "digest"
            && let Some((user, _)) = a.identity.id.split_once(':')
        {
            a.identity.id = format!("{user}:x");
        }
        a
    };
    entries.iter().map(hide).collect()
}
