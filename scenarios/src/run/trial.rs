//! When all is quiet: members say how they are, they forget clients that have gone, and the cluster bears as many failures
//! as it was built for.

use super::driver::{CONNECTIONS_MAX, Driver, LOOK};
use super::healing::{HEALED_PATIENCE, PROBE_AGAIN};
use crate::client::guest::{self, Visit};
use crate::client::{stranger, words};
use crate::recorder::Recorder;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_checkers::Finding;
use synod_checkers::finding::Severity;
use synod_checkers::history::Status;
use synod_sim::Dice;
use synod_types::{Index, Instant};

/// A member answers all words within so long, and forgets who has gone.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// A member waits so long for a client to ask for a session, and for a peer's greeting one election timeout; what it does
/// not understand it does not wait for. A little more, for the weather.
const SILENCE_MAX: Duration = Duration::from_secs(10 + 3);
const NONSENSE_MAX: Duration = Duration::from_secs(5);
/// A session ends so long after its timeout at most: clocks drift, and its end is a write.
const SESSION_END_MAX: Duration = Duration::from_secs(2);
/// Strangers come to so many of a hundred runs, and so many more of them than there is room for.
const STRANGERS_PERCENT: u64 = 20;
const EXCESS: usize = 3;
/// A guest comes to so many of a hundred runs, and tries so often if its connection ends early.
const GUESTS_PERCENT: u64 = 30;
const VISITS: usize = 3;
const VISIT_AGAIN: Duration = Duration::from_secs(5);

/// Who fails is drawn from a stream of the run's dice.
const STREAM: u64 = 30_000;

impl Driver<'_> {
    /// Asks every member how it is. What it says is judged with the history, if nothing happened meanwhile.
    pub(super) async fn ask_status(&self) -> Vec<Finding> {
        let (before, reign) = (self.applied(), self.reign());
        let mut answers = self.answers().await;
        if self.applied() != before || self.reign() != reign {
            return Vec::new();
        }
        let mut status = Vec::new();
        let mut findings = Vec::new();
        for node in 1..=self.plan.cluster.nodes {
            match answers.remove(&node) {
                Some(Ok(said)) => status.push(Status { applied: before[&node], ..said }),
                // The weather.
                Some(Err(error)) if error.kind() != io::ErrorKind::InvalidData => {}
                wrong => {
                    let what = wrong.map_or("it does not answer".into(), |said| format!("{said:?}"));
                    let sentence = format!("when all was quiet member {node} was asked for its status: {what}");
                    findings.push(Finding::safety("status", "answer", format!("member {node}"), sentence));
                }
            }
        }
        if status.len() == usize::from(self.plan.cluster.nodes) {
            self.recorder.status(status);
        }
        findings
    }

    /// What each member has applied.
    fn applied(&self) -> BTreeMap<u8, Index> {
        self.watcher.lock().members.iter().map(|(node, seen)| (*node, seen.applied)).collect()
    }

    /// What every member says of itself; who does not answer in time is left out.
    async fn answers(&self) -> BTreeMap<u8, io::Result<Status>> {
        let answers: Arc<Mutex<BTreeMap<u8, io::Result<Status>>>> = Arc::default();
        for node in 1..=self.plan.cluster.nodes {
            let (answers, address) = (answers.clone(), self.host(node).addr(2181));
            self.world.start(self.clients, async move |env| {
                let answer = words::status(&env, address, node).await;
                answers.lock().expect("not poisoned").insert(node, answer);
            });
        }
        let deadline = self.world.now() + STATUS_PATIENCE;
        let answered = || answers.lock().expect("not poisoned").len() == usize::from(self.plan.cluster.nodes);
        while !answered() && self.world.now() < deadline {
            self.world.sleep(LOOK).await;
        }
        std::mem::take(&mut *answers.lock().expect("not poisoned"))
    }

    /// What the history does not tell any more: clients go, then members fail.
    pub(super) async fn try_failures(&mut self) -> Vec<Finding> {
        let mut dice = Dice::numbered(self.plan.seed, STREAM);
        let mut findings = self.clients_go().await;
        if dice.below(100) < GUESTS_PERCENT {
            let node = 1 + dice.below(self.plan.cluster.nodes.into()) as u8;
            findings.extend(self.guest_comes(node).await);
        }
        if dice.below(100) < STRANGERS_PERCENT {
            let node = 1 + dice.below(self.plan.cluster.nodes.into()) as u8;
            let went = self.world.now();
            findings.extend(self.strangers_come(node).await);
            findings.extend(self.sessions_end(went).await);
        }
        findings.extend(self.try_storage(&mut dice).await);
        findings.extend(self.members_fail(dice).await);
        findings
    }

    /// All clients go at once. Nothing that belonged to their connections remains.
    async fn clients_go(&mut self) -> Vec<Finding> {
        self.remark("all clients go".into());
        self.world.crash(self.clients);
        let deadline = self.world.now() + STATUS_PATIENCE;
        loop {
            self.world.sleep(LOOK).await;
            let answers = self.answers().await;
            let said = answers.values().flatten();
            // The connection over which it is asked is counted.
            let kept: Vec<String> = said
                .filter(|said| said.connections != 1 || said.watches + said.waiting > 0)
                .map(|said| {
                    let others = said.connections.saturating_sub(1);
                    let (watches, waiting) = (said.watches, said.waiting);
                    format!("member {} {others} connections, {watches} watches, {waiting} requests", said.node)
                })
                .collect();
            if kept.is_empty() {
                return Vec::new();
            }
            if self.world.now() > deadline {
                let sentence = format!("long after all clients had gone there were still at {}", kept.join("; at "));
                return vec![Finding::safety("status", "remains", "connections", sentence)];
            }
        }
    }

    /// A guest asks a member what hardly any client asks, and another one what came of it.
    async fn guest_comes(&mut self, node: u8) -> Vec<Finding> {
        self.remark(format!("a guest comes to node {node}"));
        let address = |node: u8| self.host(node).addr(2181);
        let members = [address(node), address(1 + node % self.plan.cluster.nodes)];
        let mut broken: Vec<String> = Vec::new();
        while broken.len() < VISITS {
            let visit: Arc<Mutex<Option<Visit>>> = Arc::default();
            let (left, root, from) = (visit.clone(), format!("/guest-{}", broken.len()), self.clients.addr(0).ip());
            self.world.start(self.clients, async move |env| {
                let came = guest::visits(env, members, root, from.to_string()).await;
                *left.lock().expect("not poisoned") = Some(came);
            });
            let ended = loop {
                self.world.sleep(LOOK).await;
                if let Some(visit) = visit.lock().expect("not poisoned").take() {
                    break visit;
                }
            };
            match ended.end {
                Ok(None) => return Vec::new(),
                Ok(Some(wrong)) => {
                    return vec![Finding::safety("status", "guest", format!("member {node}"), wrong)];
                }
                Err(error) => broken.push(format!("{}: {error}", ended.at)),
            }
            // A member that lags behind the guest ends its connection.
            self.world.sleep(VISIT_AGAIN).await;
        }
        // The weather does not strike thrice in one place.
        let sentence = format!("a guest of member {node} was left without an answer each time: {}", broken.join("; "));
        let always = broken.iter().all(|at| *at == broken[0]);
        always.then(|| Finding::safety("status", "guest", format!("member {node}"), sentence)).into_iter().collect()
    }

    /// A crowd comes to a member and says nothing, or nonsense. There is room for as many as it takes; it ends the
    /// connections of all.
    async fn strangers_come(&mut self, node: u8) -> Vec<Finding> {
        self.remark(format!("strangers come to node {node}"));
        let (clients, peers) = (self.host(node).addr(2181), self.host(node).addr(7000));
        let greeting_max = Duration::from_millis(self.plan.cluster.election_timeout_ms) + NONSENSE_MAX;
        let of_length = |what: &[u8], silence: Duration| if what.is_empty() { silence } else { NONSENSE_MAX };
        let nonsense = stranger::TO_CLIENT_PORT.iter().skip(1).map(|what| (clients, what.to_vec(), NONSENSE_MAX));
        let to_peers = stranger::to_peer_port(node);
        let to_peers = to_peers.into_iter().map(|what| (peers, what.clone(), of_length(&what, greeting_max)));
        let mut findings = self.endure(node, nonsense.chain(to_peers).collect()).await.1;
        let crowd = (0..CONNECTIONS_MAX + EXCESS).map(|_| (clients, Vec::new(), SILENCE_MAX)).collect();
        let (ended, silent) = self.endure(node, crowd).await;
        findings.extend(silent.into_iter().take(1));
        let refused = ended.iter().filter(|took| **took < NONSENSE_MAX).count();
        if findings.is_empty() && ended.len() == CONNECTIONS_MAX + EXCESS && refused != EXCESS {
            let came = CONNECTIONS_MAX + EXCESS;
            let sentence = format!("member {node} refused {refused} of {came} connections, it takes {CONNECTIONS_MAX}");
            findings.push(Finding::safety("status", "limit", format!("member {node}"), sentence));
        }
        findings
    }

    /// Sessions of clients that have gone end in their time.
    async fn sessions_end(&self, went: Instant) -> Vec<Finding> {
        let gone = self.world.now().since(went);
        let answers = self.answers().await;
        let stays = |said: &Status| {
            let over = |timeout_ms: u32| Duration::from_millis(timeout_ms.into()) + SESSION_END_MAX < gone;
            let (id, timeout_ms) = said.sessions.iter().find(|(_, timeout_ms)| over(**timeout_ms))?;
            let sentence = format!(
                "{:.3} s after all clients had gone member {} had session {id:#x}, whose timeout is {timeout_ms} ms",
                gone.as_secs_f64(),
                said.node
            );
            Some(Finding::safety("status", "session_stays", "session", sentence).severity(Severity::Liveness))
        };
        answers.values().flatten().find_map(stays).into_iter().collect()
    }

    /// Strangers say something each, all at once. How long it took until the member ended each connection, and what it
    /// did not end in time.
    async fn endure(&self, node: u8, strangers: Vec<(SocketAddr, Vec<u8>, Duration)>) -> (Vec<Duration>, Vec<Finding>) {
        let count = strangers.len();
        let ended: Arc<Mutex<Vec<Result<Duration, String>>>> = Arc::default();
        let failed: Arc<Mutex<usize>> = Arc::default();
        for (address, what, patience) in strangers {
            let (ended, failed) = (ended.clone(), failed.clone());
            self.world.start(self.clients, async move |env| {
                match stranger::says(&env, address, &what, patience).await {
                    Ok(Some(took)) => ended.lock().expect("not poisoned").push(Ok(took)),
                    Ok(None) => {
                        let port = address.port();
                        let told = format!("port {port} is open {} s after {what:?} came", patience.as_secs());
                        ended.lock().expect("not poisoned").push(Err(told));
                    }
                    // The weather, or the member was quicker.
                    Err(_) => *failed.lock().expect("not poisoned") += 1,
                }
            });
        }
        let over = || ended.lock().expect("not poisoned").len() + *failed.lock().expect("not poisoned") == count;
        let deadline = self.world.now() + 3 * SILENCE_MAX;
        while !over() && self.world.now() < deadline {
            self.world.sleep(LOOK).await;
        }
        let mut took = Vec::new();
        let mut findings = Vec::new();
        for end in ended.lock().expect("not poisoned").drain(..) {
            match end {
                Ok(after) => took.push(after),
                Err(told) => {
                    let sentence = format!("a stranger's connection to member {node} at {told}");
                    findings.push(Finding::safety("status", "stranger", format!("member {node}"), sentence));
                }
            }
        }
        (took, findings)
    }

    /// As many members fail as the cluster was built to bear: the others serve.
    async fn members_fail(&mut self, mut dice: Dice) -> Vec<Finding> {
        let nodes = self.plan.cluster.nodes;
        let mut left: Vec<u8> = (1..=nodes).collect();
        let fail: Vec<u8> =
            (0..(nodes - 1) / 2).map(|_| left.swap_remove(dice.below(left.len() as u64) as usize)).collect();
        if fail.is_empty() {
            return Vec::new();
        }
        self.remark(format!("nodes {fail:?} fail for good"));
        for node in &fail {
            self.world.crash(self.host(*node));
            self.watcher.ended(*node);
        }
        // The history has ended.
        let recorder = Recorder::new(self.world.clone());
        let done: Arc<Mutex<BTreeMap<u8, Instant>>> = Arc::default();
        let begin = self.world.now();
        let mut asked: Option<Instant> = None;
        let mut probes = 0;
        while self.world.now().since(begin) < HEALED_PATIENCE {
            let now = self.world.now();
            left.retain(|node| !done.lock().expect("not poisoned").contains_key(node));
            if left.is_empty() {
                return Vec::new();
            }
            if asked.is_none_or(|at| now.since(at) > PROBE_AGAIN) {
                asked = Some(now);
                for node in &left {
                    probes += 1;
                    self.probe(200 + probes, *node, &recorder, &done);
                }
            }
            self.world.sleep(LOOK).await;
        }
        let patience = HEALED_PATIENCE.as_secs();
        let sentence = format!("{patience} s after nodes {fail:?} of {nodes} failed, nodes {left:?} do not serve");
        vec![Finding::safety("liveness", "bears failures", "cluster", sentence).severity(Severity::Liveness)]
    }
}
