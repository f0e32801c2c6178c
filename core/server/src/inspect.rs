//! `synod log inspect`: prints what a folder holds and changes nothing in it.

use crate::failure::Failure;
use std::path::Path;
use synod_node::storage::inspect::inspect;

/// Prints it.
///
/// # Errors
/// The folder cannot be read.
pub fn print(folder: &Path) -> Result<(), Failure> {
    let inspection = synod_real::run(async |env| inspect(&env, folder, None).await);
    let inspection = inspection.map_err(|e| Failure::Internal(format!("inspect: {e}")))?;
    if inspection.segments.is_empty() && inspection.snapshots.is_empty() {
        return Err(Failure::Usage(format!("inspect {}: no log and no snapshot is there", folder.display())));
    }
    print!("{inspection}");
    Ok(())
}
