//! Raft, sans-IO: a state machine that is stepped with inputs and answers with outputs. It knows no time (the driver
//! picks a timer's length and says when it fired), no randomness, no disk (a write is an output, its completion an
//! input), no socket, and not what its payloads mean.
//!
//! [`Raft`] holds the state and dispatches; each noun of the protocol has a file: `election`, `replication`
//! (`progress` is what the leader knows of one peer), `read` (ReadIndex), `snapshot`, `transfer`, `recovery` (an empty
//! or damaged folder), `log` (the window kept in memory) and `durability` (what was written and what waits for it).
//!
//! Not here: a change of membership; the voters are fixed at the start.

pub mod config;
mod durability;
mod election;
pub mod io;
mod log;
mod progress;
mod raft;
mod read;
mod recovery;
mod replication;
mod snapshot;
mod transfer;

pub use config::{Boot, Config, Limits};
pub use io::{Input, Output, Role, TimerKind};
pub use progress::Progress;
pub use raft::Raft;
