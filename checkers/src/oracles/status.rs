//! What members say of themselves to who operates them (four-letter words), when all is quiet: it must be so. Needs ground
//! truth.
//!
//! Rules: `zxid`, `leader`, `nodes`, `ephemerals`, `sessions`, `data_bytes`, `waiting`.

use super::Replay;
use crate::finding::Finding;
use crate::history::History;
use std::collections::{BTreeMap, BTreeSet};
use synod_types::Zxid;

const ORACLE: &str = "status";

/// Checks a history.
pub(super) fn check(history: &History, replay: &Replay) -> Vec<Finding> {
    let (Some(truth), Some(first)) = (&history.truth, history.status.first()) else { return Vec::new() };
    let mut findings = Vec::new();
    let mut found = |rule: &str, object: String, sentence: String| {
        findings.push(Finding::safety(ORACLE, rule, object, sentence));
    };
    for status in &history.status {
        let who = || format!("member {}", status.node);
        let mut differs = |rule, what: &str, said: String, expected: String| {
            if said != expected {
                found(rule, who(), format!("when all was quiet {} said {what} {said}, expected {expected}", who()));
            }
        };
        let Some(applied) = truth.iter().rev().find(|a| a.index == status.applied) else { continue };
        differs("zxid", "zxid", Zxid(status.zxid).to_string(), applied.zxid.to_string());
        differs("waiting", "number of unanswered requests", status.waiting.to_string(), "0".into());
        if truth.last().is_none_or(|last| last.index != status.applied) {
            continue;
        }
        let tree = &replay.tree;
        differs("nodes", "nodes", status.nodes.to_string(), (tree.below("/") + 1).to_string());
        let sessions = |sessions: &BTreeMap<i64, u32>| {
            sessions.iter().map(|(id, timeout_ms)| format!("{id:#x} of {timeout_ms} ms")).collect::<Vec<_>>().join(", ")
        };
        differs("sessions", "sessions", sessions(&status.sessions), sessions(&replay.sessions));
        let expected: BTreeMap<i64, BTreeSet<String>> = tree.owners().map(|(id, paths)| (id, paths.clone())).collect();
        differs("ephemerals", "ephemeral nodes", format!("{:?}", status.owned), format!("{expected:?}"));
        let expected: usize = expected.values().map(BTreeSet::len).sum();
        differs("ephemerals", "number of ephemeral nodes", status.ephemerals.to_string(), expected.to_string());
        // What the server keeps in its own nodes is not modelled.
        if first.applied == status.applied {
            differs(
                "data_bytes",
                "bytes of paths and data",
                status.data_bytes.to_string(),
                first.data_bytes.to_string(),
            );
        }
    }
    let leaders: Vec<u8> = history.status.iter().filter(|s| s.leads).map(|s| s.node).collect();
    if leaders.len() != 1 {
        found(
            "leader",
            "cluster".into(),
            format!("when all was quiet one member led, and {leaders:?} said that they do"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::world::{TIMEOUT_MS, World, create, ephemeral, session};
    use super::super::{Options, check};
    use crate::history::{Applied, Status};

    #[test]
    fn what_members_say_of_themselves_is_so() {
        let mut world = World::new(2);
        world.call(0, create("/a", "1"));
        world.call(0, create("/b", "2"));
        world.call(1, ephemeral("/e"));
        let Some(Applied { index, zxid, .. }) = world.history.truth.iter().flatten().last().cloned() else {
            panic!("nothing was applied")
        };
        let status = |node| Status {
            node,
            applied: index,
            zxid: zxid.0,
            leads: node == 2,
            nodes: 7,
            ephemerals: 1,
            data_bytes: 100,
            waiting: 0,
            connections: 3,
            watches: 1,
            sessions: (0..2).map(|client| (session(client), TIMEOUT_MS)).collect(),
            owned: [(session(1), ["/e".to_string()].into())].into(),
        };
        world.history.status = vec![status(1), status(2)];
        assert_eq!(check(&world.history, Options::default()), []);
        type Change = fn(&mut Status);
        let broken: [(&str, Change); 9] = [
            ("zxid", |s| s.zxid -= 1),
            ("leader", |s| s.leads = false),
            ("nodes", |s| s.nodes -= 4),
            ("ephemerals", |s| s.ephemerals = 0),
            ("ephemerals", |s| s.owned.clear()),
            ("data_bytes", |s| s.data_bytes += 1),
            ("waiting", |s| s.waiting = 1),
            ("sessions", |s| s.sessions.clear()),
            ("sessions", |s| s.sessions.values_mut().for_each(|timeout_ms| *timeout_ms += 1)),
        ];
        for (rule, change) in broken {
            let mut history = world.history.clone();
            change(&mut history.status[1]);
            let findings = check(&history, Options::default());
            let rules: Vec<_> = findings.iter().map(|f| (f.oracle.as_str(), f.rule.as_str())).collect();
            assert_eq!(rules, [("status", rule)]);
        }
    }
}
