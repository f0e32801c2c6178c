//! One node of the tree.

use crate::acl::AclList;
use bytes::Bytes;
use synod_types::record::Lifetime;
use synod_types::{Stat, Zxid};

/// A node's data and counters. Its path is its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Znode {
    /// `None` is null, which clients tell from empty.
    pub data: Option<Bytes>,
    pub acl: AclList,
    pub lifetime: Lifetime,
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub pzxid: Zxid,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    /// Number of children ever created; the suffix of sequential ones.
    pub cversion: i32,
    pub aversion: i32,
    /// Number of children. Derived, so no part of the digest.
    pub children: i32,
}

/// A container with a history is due at any time.
pub const DUE_NOW: i64 = i64::MIN;

impl Znode {
    /// A node as its creation leaves it.
    pub fn new(data: Option<Bytes>, acl: AclList, lifetime: Lifetime, zxid: Zxid, time_ms: i64) -> Znode {
        Znode {
            data,
            acl,
            lifetime,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time_ms,
            mtime: time_ms,
            version: 0,
            cversion: 0,
            aversion: 0,
            children: 0,
        }
    }

    /// What clients see. The number of changes of the children counts creations and deletions, though only the former
    /// are stored; containers and TTL nodes show no owner. Source: ZooKeeper 3.9, `DataNode.copyStat`.
    pub fn stat(&self) -> Stat {
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion.wrapping_mul(2).wrapping_sub(self.children),
            aversion: self.aversion,
            ephemeral_owner: if let Lifetime::Ephemeral(session) = self.lifetime { session.0 } else { 0 },
            data_length: self.data_len() as i32,
            num_children: self.children,
            pzxid: self.pzxid,
        }
    }

    pub fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, |d| d.len())
    }

    /// From when on the server itself may delete the node: a TTL node when it is older than this, a container at once.
    pub fn due_at(&self) -> Option<i64> {
        match self.lifetime {
            _ if self.children > 0 => None,
            Lifetime::Container => (self.cversion != 0).then_some(DUE_NOW),
            Lifetime::Ttl { ttl_ms } => Some(self.mtime.saturating_add(ttl_ms as i64).max(DUE_NOW + 1)),
            Lifetime::Persistent | Lifetime::Ephemeral(_) => None,
        }
    }

    /// Whether it is due at this moment.
    pub fn due(&self, now_ms: i64) -> bool {
        self.due_at().is_some_and(|at| at == DUE_NOW || at < now_ms)
    }
}
