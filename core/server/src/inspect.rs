//! `synod log inspect`: prints what a folder holds and changes nothing in it.

use crate::failure::Failure;
use std::path::Path;

/// Prints it.
///
/// # Errors
/// The folder cannot be read.
pub fn print(folder: &Path) -> Result<(), Failure> {
    Err(Failure::Internal(format!("inspect {}: to be written", folder.display())))
}
