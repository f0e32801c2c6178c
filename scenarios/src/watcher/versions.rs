//! Whether cluster versions are raised as they must be.

use super::{Watched, Watcher};
use synod_checkers::Finding;
use synod_node::replica::{Output, Replica};
use synod_types::{Command, Instant};

impl Watcher {
    /// A member starts with a program: what it supports the others hear before it has done anything else.
    pub fn starts(&self, node: u8, supported: u32) {
        let mut watched = self.lock();
        watched.stopping.remove(&node);
        let most = watched.supported.entry(node).or_default();
        *most = supported.max(*most);
    }
}

impl Watched {
    /// The cluster version is raised when every member has supported it, and nobody runs beyond what it supports.
    pub(super) fn check_version(&mut self, now: Instant, replica: &Replica, outputs: &[Output]) {
        let (node, supported) = (replica.config().id.0, replica.config().cluster_version);
        let mut broken = |rule: &str, what: String| {
            let sentence = format!("at {:.6} s member {node} {what}", now.0 as f64 / 1e9);
            self.findings.push(Finding::safety("version", rule, format!("member {node}"), sentence));
        };
        let version = replica.state().version();
        if version > supported {
            broken("beyond", format!("runs at cluster version {version}, its program supports {supported}"));
        }
        let appended = outputs.iter().filter_map(|output| match output {
            Output::Append { entries, .. } => Some(entries),
            _ => None,
        });
        for proposal in appended.flatten().filter_map(|entry| entry.payload.as_ref()) {
            let Command::RaiseVersion { to } = proposal.command else { continue };
            if to <= self.raised {
                continue;
            }
            self.raised = to;
            let lacks = |node: &u8| self.supported.get(node).is_none_or(|most| *most < to);
            if let Some(old) = replica.config().voters.iter().map(|v| v.0).find(lacks) {
                broken("unasked", format!("raises the cluster version to {to}, member {old} never supported that"));
            }
        }
    }
}
