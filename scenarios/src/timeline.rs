//! A run as a person reads it: one line an event, one column a member, faults as banners.
//!
//! Only the world's own time is in it, so two replays of a seed are the same text. The hooks collect; the lines are
//! put in order at the end, when the clients' history is known as well.

use crate::plan::Plan;
use crate::run::{Options, Outcome};
use crate::watcher::Seen;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use synod_checkers::history::{History, Operation, Request, Response};
use synod_node::replica::Role;
use synod_reports::shortened;
use synod_sim::{EventKind, SimEvent};
use synod_types::Instant;

const COLUMN: usize = 17;
/// Clients are summed up over so long.
const SUMMARY_NS: u64 = 1_000_000_000;
const OPERATION_CHARS_MAX: usize = 200;

/// Collects the lines of one run.
#[derive(Clone)]
pub struct Timeline {
    shared: Arc<Mutex<Lines>>,
}

struct Lines {
    nodes: u8,
    verbose: bool,
    columns: BTreeMap<u8, Column>,
    lines: Vec<(u64, String)>,
}

#[derive(Clone, Copy, Default)]
struct Column {
    seen: Option<Seen>,
    paused: bool,
}

impl Timeline {
    /// Of a plan's run; with `verbose`, every event of network, disks and timers.
    pub fn new(plan: &Plan, verbose: bool) -> Timeline {
        let nodes = plan.cluster.nodes;
        let columns = (1..=nodes).map(|node| (node, Column::default())).collect();
        Timeline { shared: Arc::new(Mutex::new(Lines { nodes, verbose, columns, lines: Vec::new() })) }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What a run must be given to be seen.
    pub fn options(&self) -> Options {
        let (events, remarks, members) = (self.clone(), self.clone(), self.clone());
        Options {
            on_event: Some(Box::new(move |event| events.lock().event(event))),
            on_remark: Some(Box::new(move |at, text| remarks.lock().banner(at, text))),
            on_member: Some(Box::new(move |at, node, seen| members.lock().member(at, node, seen))),
            keep_history: true,
            ..Options::default()
        }
    }

    /// The text, after the run.
    pub fn finish(&self, plan: &Plan, outcome: &Outcome, reproduce: &str) -> String {
        let mut lines = self.lock();
        if let Some(history) = &outcome.history {
            lines.summaries(history);
        }
        // At the end of the world its processes end: nothing that happened to them.
        let end = u64::try_from(outcome.simulated.as_nanos()).unwrap_or(u64::MAX);
        lines.lines.retain(|(at, line)| *at < end || !line.ends_with("process ends"));
        lines.lines.sort_by_key(|(at, _)| *at);
        let mut text = heading(plan);
        for (_, line) in lines.lines.drain(..) {
            text += line.trim_end();
            text.push('\n');
        }
        if let Some(history) = &outcome.history {
            text += &operations(history);
        }
        text += &verdict(outcome, reproduce);
        text
    }
}

fn heading(plan: &Plan) -> String {
    let c = &plan.cluster;
    let mut text = format!(
        "seed {}: {} members, {} clients, {} operations in {} s, election timeout {} ms, {} faults{}\n",
        plan.seed,
        c.nodes,
        plan.workload.clients,
        plan.workload.operations,
        plan.workload.horizon_ms as f64 / 1e3,
        c.election_timeout_ms,
        plan.faults.len(),
        plan.mutant.as_ref().map_or(String::new(), |name| format!(", planted bug {name}")),
    );
    text += "L leads  C campaigns  P asks whether to campaign  F follows  R waits for its vote  = paused  x down\n";
    text += "role, term, committed/applied\n\n";
    let mut head = format!("{:>11}  ", "seconds");
    for node in 1..=c.nodes {
        let _ = write!(head, "{:<COLUMN$}", format!("node {node}"));
    }
    text + head.trim_end() + "\n"
}

impl Column {
    fn letter(self) -> char {
        match self.seen {
            _ if self.paused => '=',
            None => 'x',
            Some(seen) if seen.recovering => 'R',
            Some(seen) => match seen.role {
                Role::Leader => 'L',
                Role::Candidate => 'C',
                Role::PreCandidate => 'P',
                Role::Follower => 'F',
            },
        }
    }

    fn full(self) -> String {
        match self.seen {
            None => self.letter().to_string(),
            Some(s) => format!("{} t{} {}/{}", self.letter(), s.term.0, s.commit.0, s.applied.0),
        }
    }
}

impl Lines {
    /// A line about a member: its own column in full, of the others the letter. Member 0 is all of them.
    fn line(&mut self, at_ns: u64, node: u8, text: &str) {
        let mut line = format!("{:>11.6}  ", at_ns as f64 / 1e9);
        for (id, column) in &self.columns {
            let shown = if *id == node { column.full() } else { column.letter().to_lowercase().to_string() };
            let _ = write!(line, "{shown:<COLUMN$}");
        }
        let who = if node == 0 { String::new() } else { format!("{node}: ") };
        let _ = write!(line, "{who}{text}");
        self.lines.push((at_ns, line));
    }

    fn banner(&mut self, at: Instant, text: &str) {
        self.lines.push((at.0, format!("{:>11.6}  ──── {text} ────", at.0 as f64 / 1e9)));
    }

    fn member(&mut self, at: Instant, node: u8, seen: &Seen) {
        let column = self.columns.entry(node).or_default();
        let before = column.seen.replace(*seen);
        let same = |b: Seen| (b.role, b.term, b.recovering) == (seen.role, seen.term, seen.recovering);
        if before.is_some_and(same) {
            if self.verbose {
                self.line(at.0, node, "");
            }
            return;
        }
        let term = seen.term.0;
        let text = match seen.role {
            _ if before.is_some_and(|b| b.recovering && !seen.recovering) => "has its vote back".to_string(),
            Role::Leader => format!("leads in term {term}"),
            Role::Candidate => format!("campaigns for term {term}"),
            Role::PreCandidate => "asks whether it may campaign".to_string(),
            Role::Follower if before.is_some_and(|b| b.role == Role::Leader) => format!("steps down in term {term}"),
            Role::Follower if seen.recovering => format!("waits for its vote in term {term}"),
            Role::Follower => format!("follows in term {term}"),
        };
        self.line(at.0, node, &text);
    }

    /// The member on a host; 0 for the clients' machine.
    fn node_of(&self, host: u32) -> u8 {
        u8::try_from(host).ok().filter(|n| *n <= self.nodes).unwrap_or(0)
    }

    fn event(&mut self, event: &SimEvent) {
        let at = event.at_ns;
        match &event.kind {
            EventKind::Host { host, what } => {
                let node = self.node_of(*host);
                // Each of the clients is a process of one machine.
                if node == 0 && !self.verbose {
                    return;
                }
                if let Some(column) = self.columns.get_mut(&node) {
                    match *what {
                        "pause" => column.paused = true,
                        "resume" => column.paused = false,
                        "crash" | "power failure" | "process ends" => *column = Column::default(),
                        _ => {}
                    }
                }
                self.line(at, node, what);
            }
            EventKind::Sometimes { host, point } => self.line(at, self.node_of(*host), point),
            EventKind::Panic { host, message } => {
                self.line(at, self.node_of(*host), &format!("PANIC {message}"));
            }
            _ if self.verbose => {
                let text = event.to_string();
                let text = text.split_once("s ").map_or(text.as_str(), |(_, rest)| rest);
                self.line(at, 0, text);
            }
            _ => {}
        }
    }

    /// A line each second about the clients.
    fn summaries(&mut self, history: &History) {
        #[derive(Default)]
        struct Second {
            succeeded: u32,
            errors: u32,
            unanswered: u32,
        }
        let mut seconds: BTreeMap<u64, Second> = BTreeMap::new();
        for operation in history.operations.iter().filter(|o| !matches!(o.request, Request::Ping)) {
            let at = operation.return_ns.unwrap_or(operation.call_ns);
            let second = seconds.entry(at / SUMMARY_NS).or_default();
            match &operation.response {
                None => second.unanswered += 1,
                Some(Response::Error(_)) => second.errors += 1,
                Some(Response::Ok(_)) => second.succeeded += 1,
            }
        }
        let indent = usize::from(self.nodes) * COLUMN;
        for (second, n) in seconds {
            let at = (second + 1) * SUMMARY_NS;
            let line = format!(
                "{:>11.6}  {:indent$}clients: {} succeeded, {} got an error, {} no answer",
                at as f64 / 1e9,
                "",
                n.succeeded,
                n.errors,
                n.unanswered
            );
            self.lines.push((at, line));
        }
    }
}

/// A table of the clients' operations.
fn operations(history: &History) -> String {
    let mut kinds: BTreeMap<&str, [u32; 3]> = BTreeMap::new();
    for operation in &history.operations {
        let counts = kinds.entry(operation.request.name()).or_default();
        let column = match &operation.response {
            Some(Response::Ok(_)) => 0,
            Some(Response::Error(_)) => 1,
            None => 2,
        };
        counts[column] += 1;
    }
    let mut text = format!("\n{:<16} {:>9} {:>9} {:>9}\n", "operations", "succeeded", "error", "no answer");
    for (kind, [succeeded, errors, unanswered]) in kinds {
        let _ = writeln!(text, "{kind:<16} {succeeded:>9} {errors:>9} {unanswered:>9}");
    }
    let _ = writeln!(text, "{:<16} {:>9}\n", "watch events", history.watches.len());
    text
}

fn verdict(outcome: &Outcome, reproduce: &str) -> String {
    let mut text = String::new();
    for finding in &outcome.findings {
        let severity = format!("{:?}", finding.severity).to_lowercase();
        let _ = writeln!(text, "{severity}: {}/{} {}", finding.oracle, finding.rule, finding.object);
        let _ = writeln!(text, "  {}", finding.sentence);
        for at in &finding.operations {
            if let Some(operation) = outcome.history.as_ref().and_then(|h| h.operations.get(*at)) {
                let _ = writeln!(text, "  {}", told(*at, operation));
            }
        }
    }
    let _ = writeln!(
        text,
        "trace {:032x}, {:.6} s simulated, {} operations acknowledged, {} findings",
        outcome.hash,
        outcome.simulated.as_secs_f64(),
        outcome.acknowledged,
        outcome.findings.len()
    );
    if let Some(first) = outcome.findings.first() {
        let sentence = shortened(&first.sentence, OPERATION_CHARS_MAX);
        let _ = writeln!(text, "{reproduce}  # {}/{}: {sentence}", first.oracle, first.rule);
    }
    text
}

/// An operation in a line.
pub(crate) fn told(at: usize, o: &Operation) -> String {
    let answer = match (&o.response, o.return_ns) {
        (Some(response), Some(ns)) => format!("at {:.6} s zxid {:#x} {response:?}", ns as f64 / 1e9, o.zxid),
        _ => "never answered".into(),
    };
    format!(
        "operation {at}: client {} session {:#x} node {} at {:.6} s {}; {}",
        o.client,
        o.session,
        o.node,
        o.call_ns as f64 / 1e9,
        shortened(&format!("{:?}", o.request), OPERATION_CHARS_MAX),
        shortened(&answer, OPERATION_CHARS_MAX)
    )
}
