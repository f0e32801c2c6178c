//! Oracles over histories and traces: was what the clients saw, and what the members did, allowed? Shares no code with
//! the engine but `types`: an oracle that shares the engine's code shares its bugs.
//!
//! - `linearizability`: search for an order, for any object with a sequential specification.
//! - `history`, `formats`: what clients of ZooKeeper saw; histories as files. `file`: a verdict on a file.
//! - `oracles`: ZooKeeper's promises over a history. All run on every history; what cannot be decided says so.
//! - `invariants`: theorems of the replicated log over what a simulator sees of each member.
//!
//! Not here: recording (whoever runs clients), and choosing what to run.

mod access;
mod file;
pub mod finding;
pub mod formats;
pub mod history;
pub mod invariants;
pub mod linearizability;
pub mod oracles;
mod tree;

pub use file::{FileVerdict, Format, Word, check_file};
pub use finding::{Finding, Severity};
