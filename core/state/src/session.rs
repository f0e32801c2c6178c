//! A client's session, as replicated.

use synod_types::session::{Owner, Password};

/// What all members know of a session. When it ends is known to the leader alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its secret.
    pub password: Password,
    /// Its timeout in milliseconds.
    pub timeout_ms: u32,
    /// The connection it lives on. Writes over any other are refused.
    pub owner: Owner,
    /// When it was opened, milliseconds since 1970; 0 if that was in a version that did not record it.
    pub opened_ms: i64,
}
