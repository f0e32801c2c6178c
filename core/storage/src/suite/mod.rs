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
pub async fn all(env: &Env, folder: &Path, mutants: Mutants) {
    cases::empty(env, &folder.join("empty"), mutants).await;
    cases::reopen(env, &folder.join("reopen"), mutants).await;
    cases::roll(env, &folder.join("roll"), mutants).await;
    cases::truncate_and_reset(env, &folder.join("truncate"), mutants).await;
    cases::compact(env, &folder.join("compact"), mutants).await;
    cases::snapshots(env, &folder.join("snapshots"), mutants).await;
    cases::receive(env, &folder.join("receive"), mutants).await;
    cases::snapshot_ahead_of_log(env, &folder.join("ahead"), mutants).await;
    cases::damaged_snapshot(env, &folder.join("fallback"), mutants).await;
    cases::foreign(env, &folder.join("foreign"), mutants).await;
    cases::locked(env, &folder.join("locked"), mutants).await;
    for seed in 0..20 {
        cases::rot(env, &folder.join(format!("rot-{seed}")), seed, mutants).await;
    }
}

async fn open(env: &Env, folder: &Path, options: Options) -> (Storage, Recovered) {
    Storage::open(env, folder, options).await.unwrap_or_else(|error| panic!("open: {error}"))
}
