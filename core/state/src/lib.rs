//! The replicated state machine: sessions and ZooKeeper's tree of znodes. One function changes it, [`State::apply`],
//! and it is pure: the same entries in the same order give the same state, the same outcomes, the same events and the
//! same digest on every member. There is no clock, no randomness and no order of a hash table in here; time comes in
//! with the proposal.
//!
//! A clone is O(1) (the maps share structure), so a snapshot is a clone whose records somebody writes at leisure.
//!
//! Not in here: watches and the order of a session's requests (`replica`), bytes (`wire`, `storage`), who decides that
//! a session or a node is due (the leader's `replica`, by proposal).

mod acl;
mod digest;
mod key;
mod map;
mod path;
mod planted;
mod read;
mod session;
mod snapshot;
mod state;
mod tree;
mod write;
mod znode;

pub use acl::may_read;
pub use read::{Answer, Query};
pub use session::Session;
pub use snapshot::RestoreError;
pub use state::State;
