//! The digest of a state: the sum modulo 2^128 of the hashes of its records. A sum, so that a change takes out the old
//! hash and adds the new one, whatever else there is. A znode counts as two records, its stat and its data, so that a
//! change of its children does not read its data again.

use crate::session::Session;
use crate::znode::Znode;
use synod_types::record::Lifetime;
use synod_types::version::CLUSTER_VERSION_MIN;
use synod_types::{Acl, Index, SessionId, Term, Zxid};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// Bytes of fixed width, gathered on the stack.
struct Fields<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Fields<N> {
    fn new() -> Fields<N> {
        Fields { bytes: [0; N], len: 0 }
    }

    fn put<const M: usize>(&mut self, field: [u8; M]) -> &mut Self {
        self.bytes[self.len..self.len + M].copy_from_slice(&field);
        self.len += M;
        self
    }
}

/// Hash of a znode's stat, lifetime and access control list.
pub fn stat(key: &[u8], znode: &Znode) -> u128 {
    let (tag, value) = match znode.lifetime {
        Lifetime::Persistent => (0u8, 0),
        Lifetime::Ephemeral(session) => (1, session.0 as u64),
        Lifetime::Container => (2, 0),
        Lifetime::Ttl { ttl_ms } => (3, ttl_ms),
    };
    let mut fields = Fields::<77>::new();
    fields.put([tag]).put(value.to_le_bytes());
    fields.put(znode.czxid.0.to_le_bytes()).put(znode.mzxid.0.to_le_bytes()).put(znode.pzxid.0.to_le_bytes());
    fields.put(znode.ctime.to_le_bytes()).put(znode.mtime.to_le_bytes());
    fields.put(znode.version.to_le_bytes()).put(znode.cversion.to_le_bytes()).put(znode.aversion.to_le_bytes());
    fields.put(znode.acl.digest().to_le_bytes());
    xxh3_128_with_seed(&fields.bytes, xxh3_64(key))
}

/// Hash of a znode's data. Null is not the empty string.
pub fn data(key: &[u8], data: Option<&[u8]>) -> u128 {
    let seed = xxh3_64(key);
    match data {
        // Seeding the hash of anything long is slow; seeding the hash of its hash is not.
        Some(bytes) => xxh3_128_with_seed(&xxh3_128(bytes).to_le_bytes(), !seed),
        None => xxh3_128_with_seed(&[], seed.rotate_left(32)),
    }
}

/// Hash of a whole znode.
pub fn znode(key: &[u8], znode: &Znode) -> u128 {
    stat(key, znode).wrapping_add(data(key, znode.data.as_deref()))
}

/// Hash of an access control list.
pub fn acl(entries: &[Acl]) -> u128 {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&entry.perms.to_le_bytes());
        for text in [&entry.identity.scheme, &entry.identity.id] {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    xxh3_128(&bytes)
}

/// Hash of a session: what a former version does not know is no part of it, as long as it is not there.
pub fn session(id: SessionId, session: &Session) -> u128 {
    let mut fields = Fields::<53>::new();
    fields.put(id.0.to_le_bytes()).put(session.password).put(session.timeout_ms.to_le_bytes());
    fields.put([session.owner.node.0]);
    fields.put(session.owner.incarnation.to_le_bytes()).put(session.owner.connection.to_le_bytes());
    if session.opened_ms != 0 {
        fields.put(session.opened_ms.to_le_bytes());
    }
    xxh3_128(&fields.bytes[..fields.len])
}

/// Hash of the counters and the cluster version.
pub fn header(index: Index, term: Term, zxid: Zxid, version: u32) -> u128 {
    let mut fields = Fields::<24>::new();
    fields.put(index.0.to_le_bytes()).put(term.0.to_le_bytes()).put(zxid.0.to_le_bytes());
    xxh3_128_with_seed(&fields.bytes, u64::from(version - CLUSTER_VERSION_MIN))
}
