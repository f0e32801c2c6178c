//! What must hold of a history of ZooKeeper clients, one noun a file. Each oracle runs on every history, also after
//! another has failed. `check` runs them all over one replay.

mod acknowledged;
pub mod answers;
pub mod blind;
mod doubt;
mod log;
mod reaping;
mod replay;
pub mod sessions;
mod status;
mod unknown;
pub mod watches;
mod who;
pub mod zookeeper_versions;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_unknown;
#[cfg(test)]
mod world;

pub(crate) use replay::Replay;

use crate::finding::Finding;
use crate::history::History;

/// What the oracles take for granted about the run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Operations per znode above which the version-blind search takes only the first ones.
    pub blind_operations_max: usize,
    /// Configurations beyond which that search asks about fewer operations.
    pub blind_configurations_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { blind_operations_max: 200, blind_configurations_max: 20_000 }
    }
}

/// All oracles over one history.
pub fn check(history: &History, options: Options) -> Vec<Finding> {
    look(history, options).findings
}

/// The same, with how much of it the version-blind search has looked at.
pub fn look(history: &History, options: Options) -> blind::Looked {
    let replay = Replay::of(history);
    let mut findings = zookeeper_versions::check_replayed(history, &replay);
    findings.extend(watches::check_replayed(history, &replay));
    findings.extend(sessions::check(history));
    findings.extend(answers::check(history));
    findings.extend(reaping::check(history, &replay));
    findings.extend(status::check(history, &replay));
    findings.extend(who::check(history, &replay.who));
    let blind::Looked { findings: blind, halvings } = blind::check(history, options);
    findings.extend(blind);
    blind::Looked { findings, halvings }
}
