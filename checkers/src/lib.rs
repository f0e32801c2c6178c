//! Oracles over histories and traces. Shares no code with the engine but `types`.

pub mod finding;
pub mod formats;
pub mod history;
pub mod invariants;
pub mod linearizability;
pub mod oracles;
mod tree;

pub use finding::{Finding, Severity};
