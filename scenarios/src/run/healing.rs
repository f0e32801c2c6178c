//! After the faults: the cluster must serve again, or it must be shown why it cannot.

use super::Liveness;
use super::driver::{Driver, LOOK};
use crate::client::probe;
use crate::plan::What;
use crate::recorder::Recorder;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_types::{Instant, Term};

/// After the faults, the cluster must serve again within so long: many election timeouts and sessions' ends.
pub(super) const HEALED_PATIENCE: Duration = Duration::from_secs(30);
/// A member that has not answered is asked anew after so long.
pub(super) const PROBE_AGAIN: Duration = Duration::from_secs(3);
impl Driver<'_> {
    /// Faults are over: the cluster must serve again, unless what is lost forbids it.
    pub async fn heal_and_probe(&mut self) -> (Vec<Finding>, Liveness) {
        self.signals.quiet.store(true, Ordering::Relaxed);
        self.end_all_faults();
        self.remark("all faults are over".into());
        let healed = self.world.now();
        let deadline = healed + HEALED_PATIENCE;
        let mut liveness = Liveness::default();
        let mut unserved: BTreeSet<u8> = (1..=self.plan.cluster.nodes).collect();
        let done: Arc<Mutex<BTreeMap<u8, Instant>>> = Arc::default();
        let mut asked: BTreeMap<u8, Instant> = BTreeMap::new();
        let mut probes = 0;
        while self.world.now() < deadline {
            self.supervise();
            let now = self.world.now();
            if liveness.to_leader.is_none() && self.watcher.leader().is_some() {
                liveness.to_leader = Some(now.since(healed));
            }
            for node in &unserved {
                if asked.get(node).is_none_or(|at| now.since(*at) > PROBE_AGAIN) {
                    asked.insert(*node, now);
                    probes += 1;
                    self.probe(100 + probes, *node, &self.recorder, &done);
                }
            }
            self.world.sleep(LOOK).await;
            for (node, at) in done.lock().expect("not poisoned").iter() {
                unserved.remove(node);
                let took = at.since(healed);
                liveness.to_write = Some(liveness.to_write.map_or(took, |first| first.min(took)));
            }
            if unserved.is_empty() && self.agree() && self.is_whole() {
                let reign = self.reign();
                // Watch events that are on their way arrive, and clients notice connections that are dead.
                let quiet = Duration::from_millis(u64::from(self.plan.workload.session_timeout_ms) + 1_500);
                self.world.sleep(quiet).await;
                if self.agree() {
                    let mut findings = self.disturbed(reign);
                    findings.extend(self.ask_status().await);
                    return (findings, liveness);
                }
            }
        }
        liveness.stuck = self.lawfully_stuck();
        if liveness.stuck.is_some() {
            return (Vec::new(), liveness);
        }
        let members = self.watcher.lock().members.clone();
        let rule = match (unserved.is_empty(), self.agree()) {
            (false, _) => "serves after healing",
            (true, false) => "replicas converge",
            (true, true) => "whole again",
        };
        let lacks = match rule {
            "serves after healing" => format!("nodes {unserved:?} have not answered a write, a sync and reads"),
            "replicas converge" => "not all members have applied the same".into(),
            _ => "somebody has no vote, or the cluster not the version that all programs support".into(),
        };
        let after = self.world.now().since(healed).as_secs_f64();
        let mut sentence = format!("{after:.0} s after the last fault {lacks}; ");
        for (node, seen) in &members {
            sentence += &format!(
                "node {node}: {:?} in term {}, applied {}, cluster version {}{}; ",
                seen.role,
                seen.term.0,
                seen.applied.0,
                seen.version,
                if seen.recovering { ", recovering" } else { "" }
            );
        }
        (vec![Finding::safety("liveness", rule, "cluster", sentence).severity(Severity::Liveness)], liveness)
    }

    fn end_all_faults(&mut self) {
        self.world.heal();
        for i in std::mem::take(&mut self.active) {
            if let What::MisdirectWrites { node, .. } = self.plan.faults[i].what {
                self.settle(node);
            }
        }
        self.restarts.clear();
        self.take_out_older_disks();
        self.forget_older_disks();
        self.mend_links();
        for node in 1..=self.plan.cluster.nodes {
            let host = self.host(node);
            self.world.slow_disk(host, 1, None);
            self.world.fail_syncs(host, 0);
            self.world.fill_disk(host, false);
            self.world.limit_files(host, false);
            self.world.misdirect_reads(host, 0);
            self.world.disarm(host);
            self.world.set_fault_points(host, BTreeMap::new());
            self.give_back(node);
            if self.hit.values().any(|n| *n == node) {
                self.world.resume(host);
            }
            self.world.set_clock_drift(host, self.plan.cluster.clocks[usize::from(node) - 1].0);
        }
        self.hit.clear();
        self.hunts.clear();
        self.flaps.clear();
        self.down_until.clear();
    }

    /// Asks a member for a write, a sync and reads; notes when it has answered all.
    pub(super) fn probe(&self, id: u32, node: u8, recorder: &Recorder, done: &Arc<Mutex<BTreeMap<u8, Instant>>>) {
        let (recorder, servers, done, world) =
            (recorder.clone(), self.addresses(2181), done.clone(), self.world.clone());
        let of = |letter: char, count: u32| (0..count).map(move |n| format!("/{letter}{n}"));
        let keys = self.plan.workload.keys;
        let paths = of('k', keys).chain(of('a', 3)).chain(of('c', 3)).chain(of('t', 3)).chain(of('e', keys)).collect();
        self.world.start(self.clients, async move |env| {
            if probe(env, recorder, id, node, servers, paths).await.is_ok() {
                done.lock().expect("not poisoned").insert(node, world.now());
            }
        });
    }

    /// Why nobody may be elected: a leader needs the votes of a majority, and who lost what it had acknowledged has no
    /// vote until a leader gives it back (`consensus::recovery`). All members are up and can talk by now.
    fn lawfully_stuck(&self) -> Option<String> {
        let nodes = self.plan.cluster.nodes;
        // Who has its vote holds all, though it may not have voted yet. Until somebody has voted, whoever lost nothing can
        // get it; from then on who comes for the first time cannot be told from one that lost its disk.
        let founded = (1..=nodes).any(|node| self.watcher.is_sound(node));
        let votes = |node: u8| self.watcher.lock().members.get(&node).is_some_and(|seen| !seen.recovering);
        let founds = |node: u8| !founded && !self.watcher.was_damaged(node);
        let holds = |node: &u8| self.watcher.is_sound(*node) || votes(*node) || founds(*node);
        let sound: Vec<u8> = (1..=nodes).filter(holds).collect();
        (sound.len() <= usize::from(nodes) / 2).then(|| {
            format!("only nodes {sound:?} of {nodes} still hold all that they acknowledged, too few to elect a leader")
        })
    }

    /// Who leads, and in which term.
    pub(super) fn reign(&self) -> Option<(u8, Term)> {
        let leader = self.watcher.leader()?;
        Some((leader, self.watcher.lock().members.get(&leader)?.term))
    }

    /// Nobody deposes a leader when nothing is wrong, not even the weather.
    fn disturbed(&self, before: Option<(u8, Term)>) -> Vec<Finding> {
        let cluster = &self.plan.cluster;
        let now = self.reign();
        if now == before || cluster.loss > 0.0 || cluster.tail.0 > 0.0 {
            return Vec::new();
        }
        let told = |reign: Option<(u8, Term)>| match reign {
            Some((node, term)) => format!("member {node} led in term {}", term.0),
            None => "nobody led".into(),
        };
        let sentence = format!("when all was quiet {}, and a few seconds later {}", told(before), told(now));
        vec![Finding::safety("liveness", "disturbed", "cluster", sentence).severity(Severity::Liveness)]
    }

    /// Whether everybody has its vote, and the cluster has come to what all programs support.
    fn is_whole(&self) -> bool {
        let watched = self.watcher.lock();
        let supported = self.programs.values().min();
        watched.members.values().all(|seen| !seen.recovering && Some(&seen.version) >= supported)
    }

    /// Whether all members run and have applied the same.
    fn agree(&self) -> bool {
        let watched = self.watcher.lock();
        let mut states = watched.members.values().map(|seen| (seen.applied, seen.digest));
        let first = states.next();
        watched.members.len() == usize::from(self.plan.cluster.nodes) && states.all(|s| Some(s) == first)
    }
}
