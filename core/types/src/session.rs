//! Sessions: a client's liveness, replicated.

use crate::{NodeId, SessionId};

/// The connection a session lives on at present. Replicated with the session, so a write that was sent over an older
/// connection (to any member) is refused when it is applied: sessions move between members without reordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The member that holds the connection.
    pub node: NodeId,
    /// That member's incarnation: random, new at each start of the process.
    pub incarnation: u64,
    /// Number of the connection within the incarnation.
    pub connection: u64,
}

/// What a client must present to resume its session.
pub type Password = [u8; 16];

/// The answer to `OpenSession` and `AttachSession`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionGranted {
    /// The session.
    pub session: SessionId,
    /// Its secret.
    pub password: Password,
    /// Its timeout in milliseconds.
    pub timeout_ms: u32,
}
