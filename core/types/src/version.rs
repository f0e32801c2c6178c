//! Cluster versions: what the members of a cluster have agreed to do alike. What apply does, and what a snapshot or a
//! command says, may differ between two versions; a raise is a command in the log, so all members change at the same
//! entry. A program supports a range of them. The leader proposes a raise when every member has said that it supports
//! it; a member that does not stops, or does not start.

/// The oldest version that this program can run. A new cluster begins with it.
pub const CLUSTER_VERSION_MIN: u32 = 1;

/// The newest version that this program can run.
///
/// | version | what is new |
/// |---|---|
/// | 1 | |
/// | 2 | a session's record says when the session was opened |
pub const CLUSTER_VERSION: u32 = 2;

/// From this version on a session's record says when it was opened.
pub const SESSIONS_OPENED_AT: u32 = 2;
