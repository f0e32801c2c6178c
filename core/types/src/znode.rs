//! The words of ZooKeeper's data model. Numbers are those of its protocol (ZooKeeper 3.9).

use crate::Zxid;

/// The permissions of an ACL entry, a bit mask.
pub mod perms {
    /// getData, getChildren.
    pub const READ: u32 = 1;
    /// setData.
    pub const WRITE: u32 = 2;
    /// Creating a child.
    pub const CREATE: u32 = 4;
    /// Deleting a child.
    pub const DELETE: u32 = 8;
    /// setACL.
    pub const ADMIN: u32 = 16;
    /// All of them.
    pub const ALL: u32 = 31;
}

/// Who somebody is, by an authentication scheme: `digest:user:hash`, `ip:127.0.0.1`, `world:anyone`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Name of the scheme.
    pub scheme: String,
    /// Name within the scheme.
    pub id: String,
}

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    /// Bit mask, see [`perms`].
    pub perms: u32,
    /// To whom they are granted.
    pub identity: Identity,
}

/// What clients see of a znode beside its data. Field order is that of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stat {
    /// Transaction that created it.
    pub czxid: Zxid,
    /// Transaction that last set its data.
    pub mzxid: Zxid,
    /// Wall-clock time of its creation, milliseconds.
    pub ctime: i64,
    /// Wall-clock time of the last change of its data, milliseconds.
    pub mtime: i64,
    /// Number of changes of its data (wraps).
    pub version: i32,
    /// Number of changes of its children, as clients see it: creates plus deletes.
    pub cversion: i32,
    /// Number of changes of its ACL.
    pub aversion: i32,
    /// Session that owns an ephemeral node; 0 otherwise (also for containers and TTL nodes).
    pub ephemeral_owner: i64,
    /// Bytes of data.
    pub data_length: i32,
    /// Number of children.
    pub num_children: i32,
    /// Transaction that last created or deleted a child.
    pub pzxid: Zxid,
}

/// Errors of ZooKeeper's protocol that the server side produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum ErrorCode {
    SystemError = -1,
    RuntimeInconsistency = -2,
    ConnectionLoss = -4,
    MarshallingError = -5,
    Unimplemented = -6,
    OperationTimeout = -7,
    BadArguments = -8,
    NewConfigNoQuorum = -13,
    ReconfigInProgress = -14,
    NoNode = -101,
    NoAuth = -102,
    BadVersion = -103,
    NoChildrenForEphemerals = -108,
    NodeExists = -110,
    NotEmpty = -111,
    SessionExpired = -112,
    InvalidAcl = -114,
    AuthFailed = -115,
    SessionMoved = -118,
    NotReadOnly = -119,
    NoWatcher = -121,
    ReconfigDisabled = -123,
    QuotaExceeded = -125,
    ThrottledOp = -127,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: &'static [ErrorCode] = &[
        ErrorCode::SystemError,
        ErrorCode::RuntimeInconsistency,
        ErrorCode::ConnectionLoss,
        ErrorCode::MarshallingError,
        ErrorCode::Unimplemented,
        ErrorCode::OperationTimeout,
        ErrorCode::BadArguments,
        ErrorCode::NewConfigNoQuorum,
        ErrorCode::ReconfigInProgress,
        ErrorCode::NoNode,
        ErrorCode::NoAuth,
        ErrorCode::BadVersion,
        ErrorCode::NoChildrenForEphemerals,
        ErrorCode::NodeExists,
        ErrorCode::NotEmpty,
        ErrorCode::SessionExpired,
        ErrorCode::InvalidAcl,
        ErrorCode::AuthFailed,
        ErrorCode::SessionMoved,
        ErrorCode::NotReadOnly,
        ErrorCode::NoWatcher,
        ErrorCode::ReconfigDisabled,
        ErrorCode::QuotaExceeded,
        ErrorCode::ThrottledOp,
    ];

    /// The number on the wire.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The error with this number.
    pub fn from_code(code: i32) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|error| error.code() == code)
    }
}

/// How a node lives. The number on the wire is in the comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CreateMode {
    /// 0
    Persistent,
    /// 1: deleted with its session.
    Ephemeral,
    /// 2: a counter is appended to its name.
    PersistentSequential,
    /// 3
    EphemeralSequential,
    /// 4: deleted by the server once its last child is gone.
    Container,
    /// 5: deleted by the server when childless and unchanged for `ttl_ms`.
    PersistentTtl {
        /// 1..2^40
        ttl_ms: u64,
    },
    /// 6
    PersistentSequentialTtl {
        /// 1..2^40
        ttl_ms: u64,
    },
}

impl CreateMode {
    /// Whether a counter is appended to the name.
    pub fn sequential(self) -> bool {
        matches!(self, Self::PersistentSequential | Self::EphemeralSequential | Self::PersistentSequentialTtl { .. })
    }

    /// Whether the node dies with its session.
    pub fn ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }
}

/// What happened to a node. Numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum EventKind {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}
