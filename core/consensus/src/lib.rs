//! Raft, sans-IO: a state machine that is stepped with inputs and answers with outputs. It knows no time (the driver
//! picks a timer's length and says when it fired), no randomness, no disk (a write is an output, its completion an
//! input), no socket, and not what its payloads mean.

pub mod io;

pub use io::{Input, Output, Role, TimerKind};
