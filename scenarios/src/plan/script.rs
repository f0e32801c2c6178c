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
    /// The connection ends and the session goes on elsewhere.
    Reconnect,
    /// A resume with a wrong password.
    Intrude,
    /// No request and no ping for so long, milliseconds.
    Silence {
        for_ms: u64,
    },
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
}
