//! What a command says with its exit code.

use std::process::ExitCode;
use synod_checkers::finding::Severity;

/// How a command ended, from best to worst of a campaign's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything held.
    Held = 0,
    /// A promise of safety is broken.
    Safety = 1,
    /// A promise of liveness is broken.
    Liveness = 2,
    /// An oracle could not decide.
    Unknown = 3,
    /// The same seed went two ways.
    Nondeterminism = 4,
    /// The command was not understood, or its files.
    Usage = 64,
    /// The harness itself failed.
    Internal = 70,
    /// For `git bisect run`: this version cannot be judged.
    Skip = 125,
}

impl From<Option<Severity>> for Exit {
    fn from(worst: Option<Severity>) -> Exit {
        match worst {
            None => Exit::Held,
            Some(Severity::Safety) => Exit::Safety,
            Some(Severity::Liveness) => Exit::Liveness,
            Some(Severity::Unknown) => Exit::Unknown,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
