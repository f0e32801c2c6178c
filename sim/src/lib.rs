//! A simulated world for [`synod_env::Env`]: one seed decides everything that happens in it.
//!
//! madsim gives the intercepted libc, for code that asks the system for time or randomness behind our back; executor,
//! network, disk and clocks are ours, because their faults are the point. [`run_seed`] runs one universe on a fresh thread; [`World`] is the hand that makes machines,
//! starts processes on them and breaks things; [`SimEvent`] is what can be seen from outside, and the hash over all of
//! them tells whether two runs were the same.
//!
//! Each part of the world draws from a random stream of its own ([`dice`]), so that a fault that is taken out of a plan
//! does not reshuffle the rest.
//!
//! Not here: which faults to cause when (that is a plan, in `scenarios`), and what is right (`checkers`).

#[cfg(not(madsim))]
compile_error!(
    "synod-sim needs `--cfg madsim`: build from inside the workspace, whose .cargo/config.toml sets it, \
     and without a RUSTFLAGS variable (or with `--cfg madsim` in it)"
);

mod clock;
mod connections;
mod content;
mod datagrams;
mod dice;
mod disk;
mod events;
mod executor;
mod falls;
mod faults;
mod files;
mod image;
mod kernel;
mod links;
mod names;
mod network;
mod operations;
mod points;
mod process;
mod streams;
mod world;

pub use dice::Dice;
pub use disk::DiskConfig;
pub use events::{EventKind, SimEvent};
pub use falls::{Fall, Trigger};
pub use image::DiskImage;
pub use links::{BlockId, LinkConfig};
pub use world::{Host, World, run_seed};
