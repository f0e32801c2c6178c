//! The recorded history of ZooKeeper clients, from a simulation or a real cluster: what each asked, when, and what it
//! saw; and, where a simulator knows it, what the members really applied. Data only.
//!
//! Whoever records keeps three promises. Times of all clients are of one clock, in nanoseconds. Every data value
//! written is unique, so that a read names its write. `position` counts what came in on a connection (replies and
//! watch events together, from 0), so the order in which one client saw things is exact even where times are equal.

mod data;
mod request;
mod told;

pub use data::Data;
pub use request::{Create, Granted, MultiOp, MultiResult, Part, Reply, Request, Response};

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use synod_types::command::{Command, Outcome};
use synod_types::{Index, Stat, Term, Zxid};

/// Everything that is known about a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// About the run as a whole.
    pub header: Header,
    /// Calls, in the order of their call times (calls of one client in the order it made them).
    pub operations: Vec<Operation>,
    /// Watch events as clients received them.
    pub watches: Vec<WatchEvent>,
    /// What happened to connections.
    pub connections: Vec<ConnectionEvent>,
    /// Replies that answered nothing that was due. Known to recorders that speak the protocol themselves; not part of
    /// the file format.
    pub strays: Vec<Stray>,
    /// What members said of themselves when all was quiet. Not part of the file format either.
    pub status: Vec<Status>,
    /// The log as the members applied it, from its first entry on without gaps. Known to simulators only; it is not
    /// part of the file format.
    pub truth: Option<Vec<Applied>>,
}

impl History {
    /// Connections that are known to have ended.
    pub fn ended(&self) -> BTreeSet<u64> {
        let ends = self.connections.iter().filter(|c| !matches!(c.change, Change::Connected { .. }));
        ends.map(|c| c.connection).collect()
    }
}

/// About the run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Where the history comes from: a seed, a cluster's name.
    pub source: String,
    /// Whether faults stopped early enough before the end that everything under way must have arrived.
    pub quiescent: bool,
    /// When the recording ended.
    pub end_ns: u64,
    /// The address that all clients have, where it is known: they are somebody by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The shortest and the longest timeout that a session may be granted, milliseconds, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts_ms: Option<(u32, u32)>,
    /// Whether members refuse requests because others wait.
    #[serde(default)]
    pub overload: bool,
}

/// One call of one client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Who called.
    pub client: u32,
    /// The session it called in; for `OpenSession` 0, for `AttachSession` the one to be resumed.
    pub session: i64,
    /// The member it is connected to.
    pub node: u8,
    /// The connection, unique in the history.
    pub connection: u64,
    /// When it was sent.
    pub call_ns: u64,
    /// When the answer came; without one the outcome is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_ns: Option<u64>,
    /// What was asked.
    pub request: Request,
    /// What was answered; there exactly if `return_ns` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// The zxid in the reply's header; 0 if there is none (connect replies).
    #[serde(default)]
    pub zxid: i64,
    /// Place of the reply among what came in on the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
}

/// A watch event as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// To whom.
    pub client: u32,
    /// Over which connection.
    pub connection: u64,
    /// Place among what came in on the connection.
    pub position: u64,
    /// When.
    pub time_ns: u64,
    /// What happened.
    pub kind: WatchKind,
    /// To which node.
    pub path: String,
    /// The zxid in the header; -1 if the server does not tell.
    pub zxid: i64,
}

/// A reply that was not the one due on its connection: replies come in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// To whom.
    pub client: u32,
    /// Over which connection.
    pub connection: u64,
    /// When.
    pub time_ns: u64,
    /// The number of the request whose reply was due, if any was.
    pub due: Option<i32>,
    /// The number in the reply that came.
    pub came: i32,
}

/// What a member says of itself when it is asked with four-letter words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who was asked.
    pub node: u8,
    /// Up to where it had applied the log, as the recorder knows; it applied nothing while it was asked.
    pub applied: Index,
    /// The last transaction that it knows.
    pub zxid: i64,
    /// Whether it says that it leads.
    pub leads: bool,
    /// Number of nodes in its tree, of ephemeral ones among them, and bytes of all paths and data.
    pub nodes: u64,
    pub ephemerals: u64,
    pub data_bytes: u64,
    /// Requests that it has not answered.
    pub waiting: u64,
    /// Connections of clients, that over which it was asked among them.
    pub connections: u64,
    /// Watches that are set.
    pub watches: u64,
    /// Its sessions with their timeouts, milliseconds.
    pub sessions: BTreeMap<i64, u32>,
    /// The ephemeral nodes of each session that has any.
    pub owned: BTreeMap<i64, BTreeSet<String>>,
}

/// What a watch event reports. Declared in the order of the numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchKind {
    /// The node came to be.
    Created,
    /// The node is gone.
    Deleted,
    /// The node has other data.
    DataChanged,
    /// The node gained or lost a child.
    ChildrenChanged,
}

/// Something that happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionEvent {
    /// Whose.
    pub client: u32,
    /// Which one, unique in the history.
    pub connection: u64,
    /// When.
    pub time_ns: u64,
    /// What.
    pub change: Change,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was made, to this member.
    Connected { node: u8 },
    /// It ended, by whichever side.
    Disconnected,
    /// The server told the client that its session is over.
    Expired { session: i64 },
}

/// An entry of the log and what applying it gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Its position.
    pub index: Index,
    /// Its era.
    pub term: Term,
    /// Its transaction id.
    pub zxid: Zxid,
    /// The time it carries.
    pub time_ms: i64,
    /// When the first member applied it, on the clock of the history, if known.
    pub applied_ns: Option<u64>,
    /// What it does.
    pub command: Command,
    /// What it answered.
    pub outcome: Outcome,
}

impl Operation {
    /// The reply, if it came and was a success.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.response {
            Some(Response::Ok(reply)) => Some(reply),
            _ => None,
        }
    }

    /// The error code, if the reply came and was an error.
    pub fn error(&self) -> Option<i32> {
        match self.response {
            Some(Response::Error(code)) => Some(code),
            _ => None,
        }
    }

    /// Whether an answer came.
    pub fn acknowledged(&self) -> bool {
        self.response.is_some() && self.return_ns.is_some()
    }
}

/// `Stat` in files: its fields in the order of the wire.
#[derive(Serialize, Deserialize)]
pub(crate) struct StatFields(i64, i64, i64, i64, i32, i32, i32, i64, i32, i32, i64);

impl From<&Stat> for StatFields {
    fn from(s: &Stat) -> StatFields {
        StatFields(
            s.czxid.0,
            s.mzxid.0,
            s.ctime,
            s.mtime,
            s.version,
            s.cversion,
            s.aversion,
            s.ephemeral_owner,
            s.data_length,
            s.num_children,
            s.pzxid.0,
        )
    }
}

impl From<StatFields> for Stat {
    fn from(s: StatFields) -> Stat {
        Stat {
            czxid: Zxid(s.0),
            mzxid: Zxid(s.1),
            ctime: s.2,
            mtime: s.3,
            version: s.4,
            cversion: s.5,
            aversion: s.6,
            ephemeral_owner: s.7,
            data_length: s.8,
            num_children: s.9,
            pzxid: Zxid(s.10),
        }
    }
}
