//! The suite that the log and the snapshots pass on every disk: on the one of the tests here, on the simulator's, on a
//! real one. Each function panics with what was broken.

mod cases;
pub mod crashes;
mod model;
pub mod states;

pub use model::Dice;

use crate::{Options, Recovered, Storage};
use std::path::Path;
use synod_env::Env;
use synod_types::{Mutants, NodeId};

/// How the suite uses its folders: short segments, so that they roll.
pub fn options(mutants: Mutants) -> Options {
    Options { segment_bytes: 64 << 10, mutants, ..Options::new(NodeId(1), 7) }
}

/// Everything that needs no power failure, each case in a folder of its own inside `folder`.
pub async fn all(env: &Env, folder: &Path) {
    cases::empty(env, &folder.join("empty")).await;
    cases::reopen(env, &folder.join("reopen")).await;
    cases::roll(env, &folder.join("roll")).await;
    cases::truncate_and_reset(env, &folder.join("truncate")).await;
    cases::compact(env, &folder.join("compact")).await;
    cases::snapshots(env, &folder.join("snapshots")).await;
    cases::receive(env, &folder.join("receive")).await;
    cases::snapshot_ahead_of_log(env, &folder.join("ahead")).await;
    cases::damaged_snapshot(env, &folder.join("fallback")).await;
    cases::foreign(env, &folder.join("foreign")).await;
    cases::locked(env, &folder.join("locked")).await;
    for seed in 0..20 {
        cases::rot(env, &folder.join(format!("rot-{seed}")), seed).await;
    }
}

async fn open(env: &Env, folder: &Path, options: Options) -> (Storage, Recovered) {
    Storage::open(env, folder, options).await.unwrap_or_else(|error| panic!("open: {error}"))
}
