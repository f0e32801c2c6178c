//! One run as its page shows it: everything that happened on and between the machines, from the run's hooks.
//!
//! Whether a fault took effect is told as far as the world knows it: it counts effects by kind, not by fault.

use crate::campaign::run_guarded;
use crate::explain::{Decision, Explained};
use crate::messages::{Messages, request_text, response_text};
use crate::plan::{Fault, Plan, What};
use crate::run::{Options, Outcome, worst};
use crate::watcher::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use synod_checkers::finding::Severity;
use synod_checkers::history::{Change, History, Response};
use synod_node::replica::Role;
use synod_reports::run::{
    Event, Explanation, Fact, FaultBand, FindingRow, MemberRole, Operation, Outcome as Known, RunReport, StateChange,
    Verdict,
};
use synod_reports::{SCHEMA, shortened};
use synod_sim::{EventKind, SimEvent};
use synod_types::{ErrorCode, Instant};

/// Longest text of a request or an answer.
const TEXT_CHARS_MAX: usize = 300;

/// Runs a plan and tells how it went. `title` names it, `reproduce` is the command that runs it again.
pub fn report(plan: &Plan, title: &str, reproduce: &str) -> RunReport {
    let recording: Arc<Mutex<Recording>> = Arc::new(Mutex::new(Recording::of(plan)));
    let hook = || recording.clone();
    let (events, remarks, members, messages) = (hook(), hook(), hook(), hook());
    let outcome = run_guarded(
        plan,
        Options {
            on_event: Some(Box::new(move |event| lock(&events).event(event))),
            on_remark: Some(Box::new(move |at, text| lock(&remarks).remark(at.0, text))),
            on_member: Some(Box::new(move |at, node, seen| lock(&members).member(at.0, node, seen))),
            on_message: Some(Box::new(move |at: Instant, passing| lock(&messages).messages.pass(at.0, passing))),
            keep_history: true,
            ..Options::default()
        },
    );
    let recording = std::mem::take(&mut *lock(&recording));
    let end_ns = u64::try_from(outcome.simulated.as_nanos()).unwrap_or(u64::MAX);
    // Of those that are as bad, the first.
    let worst = worst(&outcome.findings);
    let history = outcome.history.as_ref();
    let mut events = recording.events;
    events.extend(history.into_iter().flat_map(told_to_clients));
    // At the end of the world its processes end: nothing that happened to them.
    events.retain(|event| event.at_ns < end_ns || event.kind != "process");
    let mut states = recording.states;
    states.retain(|state| state.at_ns < end_ns || state.role != MemberRole::Down);
    RunReport {
        schema: SCHEMA,
        title: title.to_string(),
        seed: plan.seed,
        verdict: worst.map_or(Verdict::Held, |finding| verdict(finding.severity)),
        sentence: worst.map_or_else(|| held(&outcome), |finding| finding.sentence.clone()),
        reproduce: reproduce.to_string(),
        replay: plan.recorded.as_ref().map(|recorded| recorded.compare(&outcome).to_string()),
        profile: plan.profile.name().to_string(),
        nodes: plan.cluster.nodes,
        clients: plan.workload.clients,
        end_ns,
        faults: bands(recording.bands, &outcome, end_ns),
        messages: recording.messages.finish(),
        states,
        events,
        operations: operations(history, &outcome),
        findings: outcome.findings.iter().map(finding_row).collect(),
        explanation: None,
    }
}

/// Adds what taking out one decision after the other has shown.
pub fn explain(report: &mut RunReport, explained: &Explained) {
    let told = |decisions: &[Decision]| decisions.iter().map(|decision| decision.to_string()).collect();
    for (decisions, mattered) in [(&explained.necessary, true), (&explained.irrelevant, false)] {
        for decision in decisions {
            if let Decision::Fault(i, _) = decision
                && let Some(band) = report.faults.iter_mut().find(|band| band.id as usize == *i)
            {
                band.mattered = Some(mattered);
            }
        }
    }
    let fact = |(at_ns, text, operation): &(u64, String, usize)| Fact {
        at_ns: *at_ns,
        text: shortened(text, TEXT_CHARS_MAX),
        operation: Some(*operation),
    };
    report.explanation = Some(Explanation {
        necessary: told(&explained.necessary),
        irrelevant: told(&explained.irrelevant),
        facts: explained.facts.iter().map(fact).collect(),
    });
}

fn lock(recording: &Mutex<Recording>) -> MutexGuard<'_, Recording> {
    recording.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn verdict(severity: Severity) -> Verdict {
    match severity {
        Severity::Unknown => Verdict::Unknown,
        Severity::Liveness => Verdict::Liveness,
        Severity::Safety => Verdict::Safety,
    }
}

/// The sentence of a run in which nothing is wrong.
fn held(outcome: &Outcome) -> String {
    let liveness = &outcome.liveness;
    let after = |time: Option<Duration>| match time.map(|time| time.as_millis()) {
        None => "never".to_string(),
        Some(0) => "at once".to_string(),
        Some(ms) => format!("{ms} ms later"),
    };
    match &liveness.stuck {
        Some(why) => format!("all promises held, but it does not serve any more, lawfully: {why}"),
        None => format!(
            "all promises held; the faults ended, there was a leader {}, and the first write was answered {}",
            after(liveness.to_leader),
            after(liveness.to_write)
        ),
    }
}

fn finding_row(finding: &synod_checkers::Finding) -> FindingRow {
    FindingRow {
        oracle: finding.oracle.clone(),
        rule: finding.rule.clone(),
        object: finding.object.clone(),
        severity: verdict(finding.severity),
        sentence: finding.sentence.clone(),
        operations: finding.operations.clone(),
    }
}

/// What the hooks saw.
#[derive(Default)]
struct Recording {
    nodes: u8,
    messages: Messages,
    events: Vec<Event>,
    states: Vec<StateChange>,
    members: BTreeMap<u8, Member>,
    /// Faults of the plan by their number, as far as they have begun.
    faults: Vec<Fault>,
    bands: BTreeMap<usize, Band>,
}

/// A member as it was last seen, and the position of its last state.
#[derive(Clone, Copy, Default)]
struct Member {
    seen: Option<Seen>,
    is_paused: bool,
    last: Option<usize>,
}

/// A fault from its beginning on.
#[derive(Clone, Default)]
struct Band {
    band: FaultBand,
    is_over: bool,
    /// Why it was not done.
    why_not: Option<String>,
    /// Leaders that a hunt struck, a chosen place that was reached.
    hits: Vec<FaultBand>,
    must_hit: bool,
}

impl Recording {
    fn of(plan: &Plan) -> Recording {
        Recording { nodes: plan.cluster.nodes, faults: plan.faults.clone(), ..Recording::default() }
    }

    /// The member on a host; 0 for the clients' machine.
    fn node_of(&self, host: u32) -> u8 {
        u8::try_from(host).ok().filter(|n| *n <= self.nodes).unwrap_or(0)
    }

    fn note(&mut self, at_ns: u64, node: u8, kind: &str, text: String) {
        self.events.push(Event { at_ns, node, kind: kind.to_string(), text });
    }

    fn event(&mut self, event: &SimEvent) {
        let at = event.at_ns;
        match &event.kind {
            EventKind::Host { host, what } => {
                let node = self.node_of(*host);
                // Each client is a process of one machine, and links have bands of their own.
                if node == 0 || what.contains("block") {
                    return;
                }
                let member = self.members.entry(node).or_default();
                match *what {
                    "pause" => member.is_paused = true,
                    "resume" => member.is_paused = false,
                    "crash" | "power failure" | "process ends" => {
                        (member.seen, member.is_paused) = (None, false);
                    }
                    what if what.starts_with("crash a") => self.fell(node, what, at),
                    _ => {}
                }
                self.state(at, node);
                self.note(at, node, "process", what.to_string());
            }
            EventKind::Sometimes { host, point } => {
                self.note(at, self.node_of(*host), "sometimes", point.to_string());
            }
            EventKind::FaultPoint { host, point } => {
                self.note(at, self.node_of(*host), "fault point", point.to_string());
            }
            EventKind::Panic { host, message } => self.note(at, self.node_of(*host), "panic", message.clone()),
            EventKind::File { host, op, ok: false, .. } => {
                self.note(at, self.node_of(*host), "disk", format!("{op} failed"));
            }
            EventKind::Name { host, op, path, ok: false } => {
                self.note(at, self.node_of(*host), "disk", format!("{op} {path} failed"));
            }
            _ => {}
        }
    }

    fn member(&mut self, at_ns: u64, node: u8, seen: &Seen) {
        self.members.entry(node).or_default().seen = Some(*seen);
        self.state(at_ns, node);
    }

    /// What a member is from now on. Of several things in one moment the last counts.
    fn state(&mut self, at_ns: u64, node: u8) {
        let member = self.members.entry(node).or_default();
        let figures = member.seen.unwrap_or(Seen {
            role: Role::Follower,
            term: synod_types::Term(0),
            commit: synod_types::Index(0),
            applied: synod_types::Index(0),
            first: synod_types::Index(1),
            digest: 0,
            recovering: false,
            version: 0,
        });
        let role = match (member.seen, figures.role) {
            _ if member.is_paused => MemberRole::Paused,
            (None, _) => MemberRole::Down,
            _ if figures.recovering => MemberRole::Recovering,
            (_, Role::Leader) => MemberRole::Leader,
            (_, Role::Candidate) => MemberRole::Candidate,
            (_, Role::PreCandidate) => MemberRole::PreCandidate,
            (_, Role::Follower) => MemberRole::Follower,
        };
        let digest =
            if member.seen.is_some() { format!("{:08x}", (figures.digest >> 96) as u32) } else { String::new() };
        let (term, commit, applied) = (figures.term.0, figures.commit.0, figures.applied.0);
        let state = StateChange { at_ns, node, role, term, commit, applied, digest };
        match member.last {
            Some(last) if self.states[last].at_ns == at_ns => self.states[last] = state,
            _ => {
                member.last = Some(self.states.len());
                self.states.push(state);
            }
        }
    }

    /// What the driver says: faults become bands, the rest events.
    fn remark(&mut self, at_ns: u64, text: &str) {
        if let Some(begun) = text.strip_prefix("begin ") {
            return self.begin(at_ns, begun);
        }
        if let Some(ended) = text.strip_prefix("end ") {
            let open = self.bands.iter_mut().find(|(i, band)| !band.is_over && of_fault(ended, &self.faults[**i].what));
            if let Some((_, band)) = open {
                (band.is_over, band.band.to_ns) = (true, at_ns);
            }
            return;
        }
        if let Some(why) = text.strip_prefix("not done: ") {
            if let Some(band) = self.bands.values_mut().max_by_key(|band| (band.band.from_ns, band.band.id)) {
                (band.is_over, band.why_not) = (true, Some(why.to_string()));
            }
            return;
        }
        if text == "all faults are over" {
            for band in self.bands.values_mut().filter(|band| !band.is_over) {
                (band.is_over, band.band.to_ns) = (true, at_ns);
            }
        }
        if let Some((how, leader)) = text.split_once(" of leader ")
            && let Ok(node) = leader.parse()
        {
            self.strike(at_ns, how, node);
        }
        let node = text.strip_prefix("start node ").and_then(|n| n.parse().ok()).unwrap_or(0);
        self.note(at_ns, node, "remark", text.to_string());
    }

    fn begin(&mut self, at_ns: u64, text: &str) {
        let next = self.faults.iter().enumerate();
        let begins = |(i, fault): &(usize, &Fault)| !self.bands.contains_key(i) && of_fault(text, &fault.what);
        let Some((i, fault)) = next.filter(begins).min_by_key(|(i, fault)| (fault.at_ms, *i)) else { return };
        let leader = text.rsplit_once("(leader ").and_then(|(_, n)| n.trim_end_matches(')').parse::<u8>().ok());
        let nodes: BTreeSet<u8> = match fault.what {
            // Without a leader the driver takes the first member.
            What::IsolateLeader | What::CrashLeader | What::PauseLeader => [leader.unwrap_or(1)].into(),
            What::SwapDisk { node, .. } => [node].into(),
            _ => fault.what.members().into_iter().collect(),
        };
        let band = FaultBand {
            id: i as u32,
            kind: fault.what.kind().to_string(),
            text: words(fault, leader),
            nodes: nodes.into_iter().collect(),
            from_ns: at_ns,
            to_ns: at_ns,
            took_effect: true,
            mattered: None,
        };
        let must_hit = matches!(fault.what, What::HuntLeaders { .. } | What::Fall { .. });
        self.bands.insert(i, Band { band, is_over: fault.for_ms == 0, must_hit, ..Band::default() });
    }

    /// A hunt has struck.
    fn strike(&mut self, at_ns: u64, how: &str, leader: u8) {
        let hunt = self.bands.iter_mut().find_map(|(i, band)| match &self.faults[*i].what {
            What::HuntLeaders { how: hunts, hold_ms, .. } if !band.is_over && format!("{hunts:?}") == how => {
                Some((band, *hold_ms))
            }
            _ => None,
        });
        let Some((band, hold_ms)) = hunt else { return };
        let text = format!("{} leader {leader} for {hold_ms} ms: {}", how.to_lowercase(), band.band.text);
        let to_ns = at_ns + hold_ms * 1_000_000;
        band.hits.push(FaultBand { text, nodes: vec![leader], from_ns: at_ns, to_ns, ..band.band.clone() });
    }

    /// A member fell at a chosen place.
    fn fell(&mut self, node: u8, what: &str, at_ns: u64) {
        let fall = self.bands.iter_mut().find(|(i, band)| {
            !band.is_over && matches!(&self.faults[**i].what, What::Fall { node: n, .. } if *n == node)
        });
        if let Some((_, band)) = fall {
            let text = format!("{what}: {}", band.band.text);
            band.hits.push(FaultBand { text, from_ns: at_ns, to_ns: at_ns, ..band.band.clone() });
        }
    }
}

/// Whether a remark is about such a fault.
fn of_fault(text: &str, what: &What) -> bool {
    let told = format!("{what:?}");
    text.strip_prefix(&told).is_some_and(|rest| rest.is_empty() || rest.starts_with(" (leader "))
}

/// A fault in words: its kind, whom, how much and how long.
fn words(fault: &Fault, leader: Option<u8>) -> String {
    let mut text = fault.what.kind().replace('-', " ");
    if let (What::IsolateLeader | What::CrashLeader | What::PauseLeader, Some(leader)) = (&fault.what, leader) {
        text += &format!(" {leader}");
    }
    let fields = match serde_json::to_value(&fault.what).unwrap_or_default() {
        serde_json::Value::Object(kinds) => kinds.values().filter_map(|v| v.as_object().cloned()).flatten().collect(),
        _ => Vec::new(),
    };
    let names_members =
        |name: &str| matches!(name, "node" | "nodes" | "side" | "pairs" | "from" | "to" | "with" | "a" | "b");
    let (whom, how): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| names_members(name));
    for (name, value) in whom {
        text += &match name.as_str() {
            "nodes" | "side" | "pairs" | "a" => format!(" {}", plain(&value)),
            "b" => format!(" and {}", plain(&value)),
            name => format!(" {name} {}", plain(&value)),
        };
    }
    for (name, value) in how {
        text += &match (name.rsplit_once('_'), &value) {
            (_, serde_json::Value::Bool(false)) => String::new(),
            (_, serde_json::Value::Bool(true)) => format!(", {name}"),
            (Some((name, "ms")), _) => format!(", {name} {} ms", plain(&value)),
            (Some((name, "s")), _) => format!(", {} {}/s", plain(&value), name.replace("_per", "")),
            _ if name == "ppm" => format!(", {} ppm", plain(&value)),
            _ => format!(", {name} {}", plain(&value)),
        };
    }
    match fault.for_ms {
        0 => text,
        ms => format!("{text} for {ms} ms"),
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(" ")
        }
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The name by which the world counts the effect of a kind, where it does so for every one that has an effect.
fn effect_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "partition" | "partial-partition" | "one-way" | "isolate-leader" => "partition",
        "flap" | "reset" => "reset",
        "delay" => "delay",
        "loss" => "loss",
        "half-open" => "half-open",
        "syn-timeout" => "syn timeout",
        "corrupt" => "corruption",
        "slow-link" => "bandwidth",
        "slow-disk" => "slow disk",
        "stuck-disk" => "stuck disk",
        "disk-full" => "disk full",
        "accept-fails" => "failed accept",
        "flush-fails" => "failed sync",
        "misdirect-writes" => "misdirected write",
        "misdirect-reads" => "misdirected read",
        "read-errors" => "read error",
        "rot" | "rot-tail" | "rot-snapshot" | "scratch-head" => "rot",
        "wipe" => "wipe",
        _ => return None,
    })
}

fn bands(bands: BTreeMap<usize, Band>, outcome: &Outcome, end_ns: u64) -> Vec<FaultBand> {
    let mut all = Vec::new();
    for Band { mut band, why_not, hits, must_hit, .. } in bands.into_values() {
        band.to_ns = band.to_ns.clamp(band.from_ns, end_ns);
        let counted = effect_of(&band.kind).is_none_or(|effect| outcome.effects.contains_key(effect));
        band.took_effect = why_not.is_none() && counted && (!must_hit || !hits.is_empty());
        if let Some(why) = why_not {
            band.text += &format!(", not done: {why}");
        }
        if hits.is_empty() {
            all.push(band);
        }
        all.extend(hits.into_iter().map(|hit| FaultBand { to_ns: hit.to_ns.min(end_ns), ..hit }));
    }
    all.sort_by_key(|band| (band.from_ns, band.id));
    all
}

/// Watch events, and what happened to connections and sessions.
fn told_to_clients(history: &History) -> Vec<Event> {
    let on_clients = |at_ns, kind: &str, text| Event { at_ns, node: 0, kind: kind.to_string(), text };
    let watches = history.watches.iter().map(|watch| {
        let text = format!("client {}: {:?} {} (zxid {:#x})", watch.client, watch.kind, watch.path, watch.zxid);
        on_clients(watch.time_ns, "watch", text)
    });
    let connections = history.connections.iter().map(|event| {
        let text = match event.change {
            Change::Connected { node } => format!("client {} is connected to node {node}", event.client),
            Change::Disconnected => format!("client {} lost its connection", event.client),
            Change::Expired { session } => format!("client {}: session {session:#x} is over", event.client),
        };
        on_clients(event.time_ns, "connection", text)
    });
    watches.chain(connections).collect()
}

fn operations(history: Option<&History>, outcome: &Outcome) -> Vec<Operation> {
    let conflicts: BTreeSet<usize> = outcome.findings.iter().flat_map(|f| f.operations.iter().copied()).collect();
    let all = history.into_iter().flat_map(|history| &history.operations).enumerate();
    all.map(|(at, o)| Operation {
        client: o.client,
        session: format!("{:#x}", o.session),
        node: o.node,
        call_ns: o.call_ns,
        return_ns: o.return_ns,
        request: shortened(&request_text(&o.request), TEXT_CHARS_MAX),
        answer: match &o.response {
            None => String::new(),
            Some(Response::Error(code)) => error_text(*code),
            Some(Response::Ok(reply)) => {
                let zxid = if o.zxid > 0 { format!("zxid {:#x}", o.zxid) } else { String::new() };
                shortened(&response_text(reply, zxid), TEXT_CHARS_MAX)
            }
        },
        outcome: match &o.response {
            None => Known::Unknown,
            Some(Response::Ok(_)) => Known::Ok,
            Some(Response::Error(_)) => Known::Error,
        },
        conflict: conflicts.contains(&at),
    })
    .collect()
}

fn error_text(code: i32) -> String {
    let known = ErrorCode::ALL.iter().find(|known| **known as i32 == code);
    known.map_or_else(|| format!("error {code}"), |known| format!("{known:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Hunt, Overrides, Place};

    #[test]
    fn faults_have_words() {
        let told = |what, for_ms| words(&Fault { at_ms: 1, for_ms, what }, Some(3));
        assert_eq!(told(What::Pause { node: 2 }, 1900), "pause node 2 for 1900 ms");
        assert_eq!(told(What::PauseLeader, 5), "pause leader 3 for 5 ms");
        assert_eq!(told(What::Partition { side: vec![0, 2] }, 7), "partition 0 2 for 7 ms");
        assert_eq!(told(What::Reset { a: 1, b: 2 }, 0), "reset 1 and 2");
        assert_eq!(told(What::SlowDisk { node: 1, by_ms: 20 }, 7), "slow disk node 1, by 20 ms for 7 ms");
        assert_eq!(told(What::SlowLink { node: 1, bytes_per_s: 900 }, 7), "slow link node 1, 900 bytes/s for 7 ms");
        let hunt = What::HuntLeaders { how: Hunt::PowerFailure, after_ms: 5, hold_ms: 6 };
        assert_eq!(told(hunt, 0), "hunt leaders, after 5 ms, hold 6 ms, how power-failure");
        let fall = What::Fall { node: 1, at: Place::Point("x.y".into(), 3), power: true };
        assert_eq!(told(fall, 0), "fall at point node 1, at point x.y 3, power");
    }

    #[test]
    fn a_page_has_what_happened() {
        let overrides = Overrides { horizon_s: Some(8), operations: Some(300), ..Overrides::default() };
        let plan = Plan::of_seed(3, &overrides);
        let report = report(&plan, "seed 3", "cargo sim replay 3");
        assert_eq!(report.verdict, Verdict::Held, "{}", report.sentence);
        assert!(report.states.iter().any(|s| s.role == MemberRole::Leader), "no leader");
        let arrived = report.messages.iter().filter(|m| m.received_ns.is_some()).count();
        assert!(arrived * 10 > report.messages.len() * 8, "{arrived} of {} messages arrived", report.messages.len());
        assert!(report.messages.iter().all(|m| m.received_ns.is_none_or(|at| at > m.sent_ns)));
        for kind in ["heartbeat", "append", "appended", "vote", "forward"] {
            assert!(report.messages.iter().any(|m| m.kind == kind), "no {kind}");
        }
        assert!(report.operations.len() > 100, "{}", report.operations.len());
        // Each fault of the plan, some of them more than once.
        let shown: BTreeSet<u32> = report.faults.iter().map(|band| band.id).collect();
        assert_eq!(shown.len(), plan.faults.len());
        assert!(report.faults.iter().all(|band| band.from_ns <= band.to_ns && band.to_ns <= report.end_ns));
    }
}
