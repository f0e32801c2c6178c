//! What ends the program, with its exit code.

use std::fmt;

/// Wrong flags or configuration: nothing was started.
pub const USAGE: u8 = 64;
/// The member could not go on.
pub const INTERNAL: u8 = 70;

/// Why the program ends.
#[derive(Debug)]
pub enum Failure {
    /// What the operator asked for cannot be; another question or configuration helps.
    Usage(String),
    /// What was asked for is right and failed.
    Internal(String),
}

impl Failure {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            Failure::Internal(_) => INTERNAL,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(why) | Failure::Internal(why) => f.write_str(why),
        }
    }
}
