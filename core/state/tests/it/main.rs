//! The state machine seen from outside: one file a chapter of ZooKeeper's rules, a naive model beside it, and random
//! commands that both must answer alike.

mod access;
mod creates;
mod deletes;
mod multi;
mod naive;
#[cfg(feature = "mutants")]
mod planted;
mod random;
mod reads;
mod reaping;
mod sessions;
mod sets;
mod snapshot;
mod versions;
mod world;
mod zxids;
