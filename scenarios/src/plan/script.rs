//! What each client does, one by one: a workload that was written down, so that operations can be taken out.

use serde::{Deserialize, Serialize};

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Whose. Clients are numbered from 1.
    pub client: u32,
    /// Not before, microseconds from the beginning of the run; a client does its steps one after the other.
    pub at_us: u64,
    /// What.
    pub operation: Operation,
}

/// What a client does. Values are its own to choose, each is written once. `conditional` writes name the version that
/// the client saw last, if it saw one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum Operation {
    Set {
        path: String,
        conditional: bool,
    },
    /// A value of so many bytes.
    Large {
        path: String,
        bytes: u32,
    },
    Create {
        path: String,
    },
    Delete {
        path: String,
        conditional: bool,
    },
    Ephemeral {
        path: String,
    },
    /// A new node whose data nobody may write.
    ReadOnly {
        path: String,
    },
    Sequential {
        ephemeral: bool,
    },
    Multi {
        parts: Vec<Part>,
    },
    Get {
        path: String,
        watch: bool,
    },
    Exists {
        path: String,
        watch: bool,
    },
    Children {
        path: String,
        watch: bool,
    },
    /// A sync and a read that follows it.
    SyncGet {
        path: String,
    },
    /// A write and, without waiting for it, a read of the same node.
    SetGet {
        path: String,
        conditional: bool,
    },
    /// The session ends and a new one begins.
    Reopen,
    /// The client is gone for good, without a word; another begins in its place.
    Vanish,
    /// The connection ends and the session goes on elsewhere.
    Reconnect,
    /// A resume with a wrong password.
    Intrude,
    /// No request and no ping for so long, milliseconds.
    Silence {
        for_ms: u64,
    },
    /// A new node with an access control list.
    Guarded {
        path: String,
        list: List,
    },
    SetAcl {
        path: String,
        list: List,
        conditional: bool,
    },
    GetAcl {
        path: String,
    },
    /// The client is one user more from now on, all that there are beyond the last, and begins a new connection as such.
    Login {
        user: usize,
    },
    WhoAmI,
    /// A node that goes with its last child.
    Container {
        path: String,
    },
    /// A node that goes when it was left alone for so long, milliseconds.
    Timed {
        path: String,
        ttl_ms: u64,
        sequential: bool,
    },
    /// A new node, asked for in the older way.
    CreateOld {
        path: String,
    },
    Ephemerals {
        prefix: String,
    },
    CountBelow {
        path: String,
    },
    /// Several reads of one moment: of data, and of children.
    ReadMany {
        data: Vec<String>,
        children: Vec<String>,
    },
    /// A watch that stays.
    AddWatch {
        path: String,
        recursive: bool,
    },
    /// Asks for watches of a kind (the protocol's number); `remove` drops them.
    Watching {
        path: String,
        kind: i32,
        remove: bool,
    },
    /// The session goes on over a new connection while the old one is still used for so long, milliseconds.
    Overlap {
        for_ms: u64,
    },
}

/// An access control list, by what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum List {
    Open,
    /// Everybody reads, nobody does more.
    ReadOnly,
    /// Whoever the client has proved to be may do all.
    Auth,
    /// The first user does all, everybody reads.
    First,
    /// Both users: one administers, one reads and writes.
    Both,
    /// The clients' address may do all.
    Address,
    /// The net around it may.
    Net,
    /// A net beside it.
    OtherNet,
    Everywhere,
    /// A digest without a secret.
    NoSecret,
    /// A net of more bits than an address has.
    WideNet,
    /// An entry twice.
    Twice,
    Empty,
}

impl List {
    /// All of them.
    pub const ALL: [List; 13] = [
        List::Open,
        List::ReadOnly,
        List::Auth,
        List::First,
        List::Both,
        List::Address,
        List::Net,
        List::OtherNet,
        List::Everywhere,
        List::NoSecret,
        List::WideNet,
        List::Twice,
        List::Empty,
    ];
}

/// Part of a multi.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs)]
pub enum Part {
    Set { path: String, conditional: bool },
    Create { path: String },
    Sequential,
    Delete { path: String, conditional: bool },
    Check { path: String, conditional: bool },
    Ephemeral { path: String },
    Container { path: String },
    Guarded { path: String, list: List },
}
