//! Models that are explored exhaustively within bounds. Where the engine has a sans-IO `step`, the shipping code itself
//! is the model's actor, so what is proved within the bounds is proved of what runs.
//!
//! Each model names its source, its bounds and its invariants; [`run`] explores one by name and reports the counts.
//! Not here: histories of real runs (`checkers`), faults in time (`sim`).

pub mod raft;
mod report;

pub use report::{Report, Violation};

use synod_types::Mutants;

/// The names that [`run`] knows, each with what it explores.
pub fn names() -> Vec<(&'static str, &'static str)> {
    raft::configurations().into_iter().map(|configuration| (configuration.name, configuration.about)).collect()
}

/// Explores a model with a planted bug or none, on `threads` threads. `None` if there is no model of that name.
pub fn run(name: &str, mutants: Mutants, threads: usize) -> Option<Report> {
    let configuration = raft::configurations().into_iter().find(|configuration| configuration.name == name)?;
    Some(raft::explore(&configuration, mutants, threads))
}
