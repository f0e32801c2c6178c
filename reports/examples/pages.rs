//! Writes pages of made-up runs and campaigns into a folder, for the browser's test and for the eyes.
//!
//! Example: `cargo run -p synod-reports --example pages -- target/pages`

use std::path::Path;
use synod_reports::run::{
    Event, Explanation, Fact, FaultBand, FindingRow, MemberRole, Message, Operation, Outcome, RunReport, StateChange,
    Verdict,
};
use synod_reports::{
    Acknowledged, Campaign, Failure, Growth, Histogram, Resident, SCHEMA, campaign_page, junit, run_page,
};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// What a client may have written: it must stay text.
const HOSTILE: &str = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)><!--";

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: pages FOLDER");
        std::process::exit(64);
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let save = |name: &str, text: String| std::fs::write(folder.join(name), text);
    save("large.html", run_page(&large()))?;
    save("violation.html", run_page(&violation()))?;
    save("empty.html", run_page(&RunReport { sentence: "nothing was recorded".into(), ..RunReport::default() }))?;
    save("green.html", campaign_page(&campaign(10_000)))?;
    save("red.html", campaign_page(&red()))?;
    save("red.xml", junit(&red()))
}

/// Numbers that look random and are the same everywhere (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A cluster that goes through the motions.
struct Motions {
    numbers: Numbers,
    report: RunReport,
    commit: u64,
}

impl Motions {
    fn new(title: &str, nodes: u8, clients: u32, end_ns: u64) -> Motions {
        let title = title.to_string();
        let report = RunReport { schema: SCHEMA, title, seed: 42, nodes, clients, end_ns, ..RunReport::default() };
        Motions { numbers: Numbers(0x9e37_79b9_7f4a_7c15), report, commit: 1 }
    }

    fn is_stopped(&self, node: u8, at: u64) -> bool {
        let stops = |f: &&FaultBand| matches!(f.kind.as_str(), "pause" | "crash") && f.nodes.contains(&node);
        self.report.faults.iter().filter(stops).any(|f| (f.from_ns..f.to_ns).contains(&at))
    }

    /// A partition of one node cuts it off from the others, one of two cuts them apart; clients are not touched.
    fn is_cut(&self, from: u8, to: u8, at: u64) -> bool {
        let cuts = |f: &&FaultBand| match f.nodes[..] {
            _ if f.kind != "partition" || from == 0 || to == 0 => false,
            [node] => node == from || node == to,
            _ => f.nodes.contains(&from) && f.nodes.contains(&to),
        };
        self.report.faults.iter().filter(cuts).any(|f| (f.from_ns..f.to_ns).contains(&at))
    }

    fn send(&mut self, from: u8, to: u8, at: u64, kind: &str, text: String) -> u64 {
        let received = at + 300_000 + self.numbers.below(4 * MS);
        let is_lost = self.is_stopped(to, received) || self.is_cut(from, to, at) || self.numbers.one_in(60);
        let received_ns = (!is_lost).then_some(received);
        self.report.messages.push(Message { from, to, sent_ns: at, received_ns, kind: kind.into(), text });
        received
    }

    fn state(&mut self, node: u8, at_ns: u64, role: MemberRole, term: u64) {
        let digest = format!("{:08x}", self.commit.wrapping_mul(0x9e37_79b1) as u32);
        let applied = self.commit.saturating_sub(u64::from(node));
        self.report.states.push(StateChange { at_ns, node, role, term, commit: self.commit, applied, digest });
    }

    fn event(&mut self, node: u8, at_ns: u64, kind: &str, text: &str) {
        self.report.events.push(Event { at_ns, node, kind: kind.into(), text: text.into() });
    }

    fn fault(&mut self, kind: &str, text: &str, nodes: &[u8], from_ns: u64, ms: u64) -> &mut FaultBand {
        let (id, to_ns, nodes) = (self.report.faults.len() as u32, from_ns + ms * MS, nodes.to_vec());
        let (kind, text) = (kind.to_string(), text.to_string());
        self.report.faults.push(FaultBand { id, kind, text, nodes, from_ns, to_ns, took_effect: true, mattered: None });
        self.report.faults.last_mut().expect("just pushed")
    }

    /// An election, then a reign with heartbeats.
    fn reign(&mut self, leader: u8, term: u64, from: u64, to: u64, beat: u64) {
        let others = |leader| move |node: &u8| *node != leader;
        let nodes = 1..=self.report.nodes;
        if term > 1 {
            self.state(leader, from, MemberRole::PreCandidate, term - 1);
            self.state(leader, from + 3 * MS, MemberRole::Candidate, term);
            self.event(leader, from + 3 * MS, "remark", &format!("campaigns for term {term}"));
        }
        for node in nodes.clone().filter(others(leader)) {
            let heard =
                self.send(leader, node, from + 4 * MS, "vote", format!("term {term}, last index {}", self.commit));
            if !self.is_stopped(node, heard) {
                self.state(node, heard, MemberRole::Follower, term);
                self.send(node, leader, heard, "voted", format!("granted, term {term}"));
            }
        }
        self.state(leader, from + 12 * MS, MemberRole::Leader, term);
        self.event(leader, from + 12 * MS, "sometimes", "raft.elected");
        let mut at = from + 15 * MS;
        while at < to {
            self.commit += self.numbers.below(4);
            for node in nodes.clone().filter(others(leader)) {
                let text = format!("term {term}, {} entries after {}", self.numbers.below(5), self.commit);
                let sent = at + self.numbers.below(MS);
                let heard = self.send(leader, node, sent, "append", text);
                if !self.is_stopped(node, heard) {
                    self.send(node, leader, heard + 200_000, "appended", format!("up to {}", self.commit));
                    if self.numbers.one_in(6) {
                        self.state(node, heard, MemberRole::Follower, term);
                    }
                }
            }
            self.state(leader, at, MemberRole::Leader, term);
            at += beat;
        }
    }

    fn operation(&mut self, client: u32, node: u8, at: u64) {
        let (request, kind) = match self.numbers.below(4) {
            0 => (format!("Create /lock/n{} ephemeral", self.numbers.below(90)), "create"),
            1 => (format!("SetData /k{} 32 bytes", self.numbers.below(9)), "set"),
            _ => (format!("GetData /k{}", self.numbers.below(9)), "get"),
        };
        let asked = self.send(0, node, at, "request", request.clone());
        let outcome = match self.numbers.below(20) {
            0 => Outcome::Error,
            1 => Outcome::Unknown,
            _ => Outcome::Ok,
        };
        let answered = asked + self.numbers.below(25 * MS);
        let return_ns = (outcome != Outcome::Unknown).then(|| self.send(node, 0, answered, "answer", kind.to_string()));
        let answer = match outcome {
            Outcome::Ok => format!("zxid {:#x}, version {}", self.commit, self.numbers.below(20)),
            Outcome::Error => "NodeExists".into(),
            Outcome::Unknown => String::new(),
        };
        let session = format!("{:#x}", 0x0100_0a3f_0000_0001_u64 + u64::from(client));
        let conflict = false;
        let operation = Operation { client, session, node, call_ns: at, return_ns, request, answer, outcome, conflict };
        self.report.operations.push(operation);
    }

    fn operations(&mut self, count: u64, from: u64, to: u64) {
        for n in 0..count {
            let at = from + (to - from) * n / count + self.numbers.below(5 * MS);
            let node = 1 + (n % u64::from(self.report.nodes)) as u8;
            self.operation((n % u64::from(self.report.clients)) as u32, node, at);
        }
    }
}

/// A stormy minute of five nodes.
fn large() -> RunReport {
    let end = 60 * SECOND;
    let mut run = Motions::new("seed 42", 5, 8, end);
    let kinds = ["pause", "crash", "partition", "slow disk", "clock jump", "loss", "delay"];
    for n in 0..64 {
        let (at, node) = (run.numbers.below(end - 4 * SECOND), 1 + run.numbers.below(5) as u8);
        let (kind, ms) = (kinds[n % kinds.len()], 100 + run.numbers.below(2500));
        let nodes = if kind == "partition" { vec![node, 1 + node % 5] } else { vec![node] };
        run.fault(kind, &format!("{kind} node {node} for {ms} ms"), &nodes, at, ms).took_effect = n % 9 != 0;
    }
    run.fault("delay", "delay everywhere, 40 ms with a tail", &[], 31 * SECOND, 1500);
    let (mut from, mut term) = (0, 1);
    while from < end {
        let leader = 1 + (term * 3 % 5) as u8;
        let to = (from + 3 * SECOND + run.numbers.below(6 * SECOND)).min(end);
        run.reign(leader, term, from, to, 48 * MS);
        (from, term) = (to, term + 1);
    }
    for fault in run.report.faults.clone() {
        let role = match fault.kind.as_str() {
            "pause" => MemberRole::Paused,
            "crash" => MemberRole::Down,
            _ => continue,
        };
        run.state(fault.nodes[0], fault.from_ns, role, term);
        run.state(fault.nodes[0], fault.to_ns, MemberRole::Recovering, term);
        run.state(fault.nodes[0], fault.to_ns + 80 * MS, MemberRole::Follower, term);
    }
    for _ in 0..4600 {
        let (at, node) = (run.numbers.below(end), 1 + run.numbers.below(5) as u8);
        match run.numbers.below(3) {
            0 => run.event(node, at, "disk", "sync log segment 4, 3 writes"),
            1 => run.event(node, at, "timer", "election timeout restarted, 312 ms"),
            _ => run.event(node, at, "sometimes", "node.snapshot_written"),
        }
    }
    run.operations(2000, 500 * MS, 55 * SECOND);
    RunReport {
        verdict: Verdict::Held,
        sentence:
            "2,000 operations, 64 faults: all promises held, and the cluster served again 1.2 s after the last fault"
                .into(),
        reproduce: "cargo sim replay 42 --profile stormy".into(),
        replay: Some("exact".into()),
        profile: "stormy".into(),
        ..run.report
    }
}

/// A stale read, explained.
fn violation() -> RunReport {
    let end = 14 * SECOND;
    let mut run = Motions::new("seed 1717", 3, 4, end);
    run.fault("pause", "pause node 2 at 11.9 s for 0.55 s", &[2], 11_900 * MS, 550).mattered = Some(true);
    run.fault("partition", "partition node 2 | 1, 3 at 11.85 s for 1.2 s", &[2], 11_850 * MS, 1200).mattered =
        Some(true);
    run.fault("slow disk", "slow disk at node 3, 120 ms", &[3], 4 * SECOND, 2500).mattered = Some(false);
    run.fault("clock jump", "clock of node 1 jumps by 2 s", &[1], 7 * SECOND, 0).mattered = Some(false);
    let rot = run.fault("rot", "rot in the log of node 1", &[1], 9 * SECOND, 600);
    (rot.mattered, rot.took_effect) = (Some(false), false);
    run.fault("delay", "delay everywhere for 1 s", &[], 2 * SECOND, 1000).mattered = Some(false);
    run.state(2, 0, MemberRole::Recovering, 0);
    run.reign(2, 1, 40 * MS, 11_900 * MS, 90 * MS);
    run.state(2, 11_900 * MS, MemberRole::Paused, 1);
    run.reign(1, 2, 12_010 * MS, end, 90 * MS);
    run.state(2, 12_450 * MS, MemberRole::Leader, 1);
    run.state(2, 13_060 * MS, MemberRole::Follower, 2);
    run.event(2, 12_480 * MS, "remark", "serves a read in term 1");
    run.event(3, 9 * SECOND, "disk", HOSTILE);
    run.operations(220, 300 * MS, 13 * SECOND);
    let report = &mut run.report;
    let first = report.operations.len();
    let operation = |client: u32, node, call_ns, return_ns, request: &str, answer: &str| Operation {
        client,
        session: format!("{:#x}", 0x0100_0a3f_0000_0001_u64 + u64::from(client)),
        node,
        call_ns,
        return_ns: Some(return_ns),
        request: request.into(),
        answer: answer.into(),
        outcome: Outcome::Ok,
        conflict: true,
    };
    report.operations.push(operation(1, 1, 12_190 * MS, 12_203 * MS, "SetData /lock/a \"2\"", "zxid 0x200000004"));
    report.operations.push(operation(3, 2, 12_478 * MS, 12_481 * MS, "GetData /lock/a", "\"1\", zxid 0x100000029"));
    report.operations[5].request = HOSTILE.into();
    let sentence = "stale read: client 3 read /lock/a = \"1\" (zxid 0x100000029) at node 2 at 12.481 s, \
                    but \"2\" (zxid 0x200000004) was acknowledged to client 1 at 12.203 s";
    let finding = |oracle: &str, rule: &str, severity, sentence: &str, operations| FindingRow {
        oracle: oracle.into(),
        rule: rule.into(),
        object: "/lock/a".into(),
        severity,
        sentence: sentence.into(),
        operations,
    };
    let undecided = "the cross-check gave up after 1,000,000 steps";
    report.findings = vec![
        finding("linearizability", "stale-read", Verdict::Safety, sentence, vec![first, first + 1]),
        finding(
            "leases",
            "two-leaders-serve",
            Verdict::Safety,
            "nodes 1 and 2 both served as leaders at 12.478 s",
            vec![first + 1],
        ),
        finding("linearizability", "cross-check", Verdict::Unknown, undecided, vec![3, 9, 17]),
    ];
    let fact = |at_ns, text: &str, operation| Fact { at_ns, text: text.into(), operation };
    report.explanation = Some(Explanation {
        necessary: report.faults[..2].iter().map(|fault| fault.text.clone()).collect(),
        irrelevant: report.faults[2..].iter().map(|fault| fault.text.clone()).collect(),
        facts: vec![
            fact(12_022 * MS, "node 1 leads in term 2, with the vote of node 3", None),
            fact(12_203 * MS, "client 1 is told that /lock/a = \"2\" (zxid 0x200000004)", Some(first)),
            fact(
                12_481 * MS,
                "client 3 reads /lock/a = \"1\" at node 2, which still thinks that it leads",
                Some(first + 1),
            ),
        ],
    });
    RunReport {
        verdict: Verdict::Safety,
        sentence: sentence.into(),
        reproduce: "cargo sim replay 1717 --profile hostile --mutant lease.no_drift_bound".into(),
        replay: Some("exact".into()),
        profile: "hostile".into(),
        ..run.report
    }
}

/// A campaign that found nothing.
fn campaign(seeds: u64) -> Campaign {
    let mut numbers = Numbers(7);
    let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, n)| (name.to_string(), *n)).collect();
    let (mut states, mut points, mut operations) = (Growth::default(), Growth::default(), Histogram::new("operations"));
    let (mut leader, mut write, mut survival) = (Histogram::new("ms"), Histogram::new("ms"), Histogram::new("s"));
    let mut distinct = 0;
    for seed in 0..seeds {
        distinct += u64::from(numbers.below(1 + seed) < 1 + seed / 4 % 60);
        states.point(seed + 1, seed, distinct);
        points.point(seed + 1, seed, 12.min(1 + u64::from((seed + 1).ilog2())));
        operations.record(600 + numbers.below(300) + numbers.below(300));
        leader.record(150 + numbers.below(100) + numbers.below(250) * numbers.below(4));
        write.record(170 + numbers.below(160) + numbers.below(400) * numbers.below(4));
        survival.record(30 - numbers.below(6) * numbers.below(6) % 30);
    }
    Campaign {
        schema: SCHEMA,
        seeds,
        wall_s: seeds as f64 / 19.6,
        seeds_per_s: 19.6,
        simulated_s: seeds as f64 * 39.1,
        operations_acknowledged: Acknowledged { total: seeds * 787, median: operations.median },
        checker_share: 0.021,
        faults: counts(&[
            ("clock drift", 44_650),
            ("clock jump", 26_070),
            ("crash", 34_790),
            ("delay", 373_210),
            ("disk full", 25_900),
            ("failed sync", 4_380),
            ("half-open", 51_260),
            ("loss", 306_900),
            ("misdirected write", 0),
            ("partition", 93_100),
            ("pause", 41_210),
            ("rot", 1_930),
            ("torn write", 12_740),
        ]),
        faults_planned: counts(&[
            ("clock-drift", 46_100),
            ("clock-jump", 26_500),
            ("crash", 35_200),
            ("disk-full", 31_400),
            ("flush-fails", 9_900),
            ("half-open", 55_000),
            ("hunt-leaders", 2_200),
            ("partition", 94_000),
            ("pause", 41_500),
            ("rot", 6_100),
            ("wipe", 1_700),
        ]),
        faults_held_back: counts(&[("rot", 2_040), ("wipe", 610)]),
        promoted: [("a-torn-tail-loses-no-write".to_string(), true)].into(),
        sometimes: counts(&[
            ("node.snapshot_received", 3791),
            ("node.snapshot_sent", 8968),
            ("node.snapshot_written", 16_701),
            ("raft.elected", 61_020),
            ("raft.prevote_refused", 9_120),
            ("raft.truncated", 2_207),
            ("raft.vote_restored", 1_338),
            ("session.expired", 20_400),
            ("session.moved", 11_018),
            ("storage.repaired", 1_205),
            ("storage.tail_torn", 7_730),
            ("watch.reattached", 5_021),
        ]),
        rss_mb: Resident { after_100: Some(40.5), end: Some(41.2) },
        profiles: counts(&[("calm", seeds / 5), ("hostile", seeds * 2 / 5), ("stormy", seeds * 2 / 5)]),
        states,
        points,
        operations,
        liveness: [("time to leader", leader), ("time to first write", write), ("session survival", survival)]
            .map(|(name, histogram)| (name.to_string(), histogram))
            .into(),
        lawfully_stuck: 12,
        canary: Some(true),
        ..Campaign::default()
    }
}

/// One from three shards that found two things and missed a point.
fn red() -> Campaign {
    let failure = |seed, rule: &str, severity: &str, sentence: &str, seeds| Failure {
        seed,
        fingerprint: format!("watches/{rule}/k#"),
        oracle: "watches".into(),
        rule: rule.into(),
        severity: severity.into(),
        sentence: sentence.into(),
        seeds,
        reproduce: format!("cargo sim replay {seed} --profile hostile"),
        page: Some(format!("red-seed-{seed}.html")),
    };
    let lost =
        "client 2 was not told of the change of /k7 at 12.203 s (zxid 0x200000004) before it read it at 12.481 s";
    let shard = |first_seed, failed, failures| Campaign { first_seed, failed, failures, ..campaign(4_000) };
    let mut parts = vec![
        shard(0, 3, vec![failure(1717, "lost", "safety", lost, 3)]),
        shard(
            4_000,
            2,
            vec![failure(4_019, "lost", "safety", lost, 1), failure(5_002, "late", "liveness", HOSTILE, 1)],
        ),
        shard(9_000, 0, vec![]),
    ];
    for part in &mut parts {
        part.sometimes.insert("raft.vote_restored".into(), 0);
    }
    Campaign::merge(parts).expect("the example's shards are apart")
}
