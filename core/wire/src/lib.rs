//! Bytes ↔ types, pure: ZooKeeper's client protocol, the frames members exchange, proposals, log records, snapshots.
//! Every decoder of bytes that come from outside (a socket, a disk) lives here, never panics, never allocates more than
//! its input justifies, and has a fuzz target. What the values mean is decided elsewhere: there is no session, no
//! permission and no state in this room, and no input or output either.

mod compact;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz_bodies;
pub mod jute;
pub mod log;
pub mod peer;
pub mod proposal;
pub mod record;
pub mod zookeeper;

pub use error::Error;

#[cfg(test)]
mod tests;
