//! What goes into the log, what applying it answers, and what it makes known.

use crate::raft::Payload;
use crate::session::{Owner, Password, SessionGranted};
use crate::znode::{Acl, CreateMode, ErrorCode, EventKind, Identity, Stat};
use crate::{NodeId, SessionId, Zxid};
use bytes::Bytes;
use std::sync::Arc;

/// Where a proposal came from, so that the member that holds the client answers it. Unique over all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The member that took the request.
    pub node: NodeId,
    /// That member's incarnation: random, new at each start.
    pub incarnation: u64,
    /// Number of the request within the incarnation.
    pub request: u64,
}

/// The payload of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Proposal {
    /// Who waits for the answer.
    pub origin: Origin,
    /// The leader's wall clock when it proposed, in milliseconds since 1970. Apply knows no other clock.
    pub time_ms: i64,
    /// What to do.
    pub command: Command,
}

impl Payload for Proposal {
    fn size_bytes(&self) -> usize {
        64 + self.command.size_bytes()
    }
}

/// A change of the replicated state. Each consumes one zxid, also when it fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// A new session.
    OpenSession { session: SessionId, password: Password, timeout_ms: u32, owner: Owner },
    /// A client resumes its session on a new connection, perhaps at another member.
    AttachSession { session: SessionId, password: Password, timeout_ms: u32, owner: Owner },
    /// The client ends its session. Its ephemeral nodes go with it.
    CloseSession { session: SessionId, owner: Owner },
    /// The leader found that the session's time is over. Decided by the proposal, never in apply; void if the session
    /// has another owner by then: its client came back while the proposal was on its way.
    ExpireSession { session: SessionId, owner: Owner },
    /// A client's write.
    Write { session: SessionId, owner: Owner, identities: Arc<[Identity]>, op: WriteOp },
    /// The leader found a container or TTL node that is due; apply checks again that it is childless.
    Reap { path: String },
    /// The leader found that every member supports this cluster version; see [`crate::version`].
    RaiseVersion { to: u32 },
}

impl Command {
    /// Approximate size in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            Command::Write { op, .. } => 48 + op.size_bytes(),
            Command::Reap { path } => path.len(),
            _ => 48,
        }
    }
}

/// One write of ZooKeeper's data model. Arguments are as the client sent them: apply validates, so that every member
/// gives the same answer and precedence of errors lives in one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteOp {
    /// A new node. `acl` is `None` when the client sent a null vector.
    Create { path: String, data: Option<Bytes>, acl: Option<Vec<Acl>>, mode: CreateMode },
    /// Flags that are no create mode: `BadArguments`; a TTL mode while TTL nodes are off: `Unimplemented`.
    Refused { error: ErrorCode },
    /// Removes a childless node. `version` -1 means any.
    Delete { path: String, version: i32 },
    /// Replaces the data.
    SetData { path: String, data: Option<Bytes>, version: i32 },
    /// Replaces the access control list.
    SetAcl { path: String, acl: Option<Vec<Acl>>, version: i32 },
    /// Only inside a multi: succeeds if the node exists with this version.
    Check { path: String, version: i32 },
    /// All or nothing, one zxid.
    Multi { ops: Vec<WriteOp> },
}

impl WriteOp {
    /// Approximate size in bytes.
    pub fn size_bytes(&self) -> usize {
        match self {
            WriteOp::Create { path, data, .. } => 48 + path.len() + data.as_ref().map_or(0, |d| d.len()),
            WriteOp::SetData { path, data, .. } => 16 + path.len() + data.as_ref().map_or(0, |d| d.len()),
            WriteOp::Delete { path, .. } | WriteOp::Check { path, .. } => 16 + path.len(),
            WriteOp::SetAcl { path, acl, .. } => 16 + path.len() + 48 * acl.as_ref().map_or(0, |a| a.len()),
            WriteOp::Multi { ops } => ops.iter().map(|op| op.size_bytes()).sum(),
            WriteOp::Refused { .. } => 8,
        }
    }
}

/// What applying a proposal answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// The transaction's id.
    pub zxid: Zxid,
    /// How it ended.
    pub result: Result<Applied, ErrorCode>,
}

/// The success of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// `OpenSession`, `AttachSession`.
    Session(SessionGranted),
    /// `CloseSession`, `ExpireSession`, `Reap`, `RaiseVersion`.
    Done,
    /// `Write` of a single operation.
    Write(Written),
    /// `Write` of a multi: one result each, in order. When one fails none took effect: those before it carry
    /// `Err(None)` (code 0 on the wire), the failing one its error, those after it `RuntimeInconsistency`.
    Multi(Vec<Result<Written, Option<ErrorCode>>>),
}

/// The success of one write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// The final path, with the counter of sequential nodes.
    Created { path: String, stat: Stat },
    /// Gone.
    Deleted,
    /// `SetData`, `SetAcl`.
    Set { stat: Stat },
    /// `Check`.
    Checked,
}

/// A change that watches may be waiting for. In the order in which ZooKeeper triggers: for a create the node, then its
/// parent's children; for a delete the node, then its parent's children.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// The transaction that caused it.
    pub zxid: Zxid,
    /// What happened.
    pub kind: EventKind,
    /// To which node.
    pub path: String,
    /// The list that decides who may hear of it: the node's own (before its deletion), the parent's for
    /// `ChildrenChanged`.
    pub acl: Arc<[Acl]>,
}
