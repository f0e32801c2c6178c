//! What a snapshot of the replicated state is made of, in the order in which it is written: one header, the sessions
//! by id, the access control lists, the znodes by (parent, name). `state` makes and reads them, `wire` encodes them.

use crate::session::{Owner, Password};
use crate::znode::Acl;
use crate::{Index, SessionId, Term, Zxid};
use bytes::Bytes;
use std::sync::Arc;

/// One record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// Always first, and only there.
    Header(Header),
    /// A session, by ascending id.
    Session(SessionRecord),
    /// An access control list. The first one of a snapshot is number 0, the next 1, and so on.
    Acl(Arc<[Acl]>),
    /// A znode, by ascending (parent, name): parents come before their children, siblings one after the other.
    Znode(ZnodeRecord),
}

/// What the snapshot stands for, and how to tell that it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// The cluster version ([`crate::version`]) that the state was in, and the records' with it.
    pub version: u32,
    /// Last applied index.
    pub index: Index,
    /// Term of the entry at that index.
    pub term: Term,
    /// Last transaction.
    pub zxid: Zxid,
    /// Number of session records.
    pub sessions: u64,
    /// Number of access control lists.
    pub acls: u32,
    /// Number of znode records.
    pub znodes: u64,
    /// The digest of the state. Who restores computes it anew and compares.
    pub digest: u128,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionRecord {
    /// Its id.
    pub session: SessionId,
    /// Its secret.
    pub password: Password,
    /// Its timeout in milliseconds.
    pub timeout_ms: u32,
    /// The connection it lives on.
    pub owner: Owner,
    /// When it was opened, milliseconds since 1970; 0 if that was in a version that did not record it.
    pub opened_ms: i64,
}

/// How a znode ends, beside being deleted by a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lifetime {
    /// By nothing else.
    #[default]
    Persistent,
    /// With this session.
    Ephemeral(SessionId),
    /// Once its last child is gone.
    Container,
    /// When childless and unchanged for so long.
    Ttl {
        /// 1..2^40
        ttl_ms: u64,
    },
}

/// A znode. The number of its children is not stored: who restores counts them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZnodeRecord {
    /// Full path.
    pub path: String,
    /// Its data; `None` is null, which clients tell from empty.
    pub data: Option<Bytes>,
    /// Number of its access control list within this snapshot.
    pub acl: u32,
    /// How it ends.
    pub lifetime: Lifetime,
    /// Transaction that created it.
    pub czxid: Zxid,
    /// Transaction that last set its data.
    pub mzxid: Zxid,
    /// Transaction that last created or deleted a child.
    pub pzxid: Zxid,
    /// Wall-clock time of its creation, milliseconds.
    pub ctime: i64,
    /// Wall-clock time of the last change of its data, milliseconds.
    pub mtime: i64,
    /// Number of changes of its data.
    pub version: i32,
    /// Number of children ever created (what clients see as cversion is twice this minus the number of children).
    pub cversion: i32,
    /// Number of changes of its access control list.
    pub aversion: i32,
}
