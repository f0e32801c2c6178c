//! How long the state machine takes: nanoseconds of processor time an operation, on a tree of a million znodes of 256
//! bytes. `cargo run --release -p synod-state --example speed [nodes]`

use bytes::Bytes;
use std::hint::black_box;
use std::sync::Arc;
use synod_state::{Query, State};
use synod_types::command::{Event, Outcome};
use synod_types::session::Owner;
use synod_types::znode::{CreateMode, perms};
use synod_types::{Acl, Command, Identity, Mutants, NodeId, Origin, Proposal, SessionId, Term, WriteOp};

const OWNER: Owner = Owner { node: NodeId(1), incarnation: 1, connection: 1 };
const OPERATIONS: usize = 300_000;

struct Bench {
    state: State,
    events: Vec<Event>,
    identities: Arc<[Identity]>,
    open: Vec<Acl>,
    nodes: usize,
    random: u64,
}

impl Bench {
    fn apply(&mut self, command: Command) -> Outcome {
        let origin = Origin { node: NodeId(1), incarnation: 1, request: 1 };
        let proposal = Proposal { origin, time_ms: 1, command };
        self.events.clear();
        let index = self.state.applied().0.next();
        self.state.apply(Term(1), index, Some(&proposal), &mut self.events).unwrap()
    }

    fn write(&mut self, op: WriteOp) {
        let command = Command::Write { session: SessionId(1), owner: OWNER, identities: self.identities.clone(), op };
        let outcome = self.apply(command);
        assert!(outcome.result.is_ok(), "{outcome:?}");
    }

    fn create(&mut self, path: String, mode: CreateMode) {
        let op =
            WriteOp::Create { path, data: Some(Bytes::from_static(&[7; 256])), acl: Some(self.open.clone()), mode };
        self.write(op);
    }

    fn any(&mut self) -> String {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        path((self.random >> 33) as usize % self.nodes)
    }

    fn set_any(&mut self) -> WriteOp {
        WriteOp::SetData { path: self.any(), data: Some(Bytes::from_static(&[8; 256])), version: -1 }
    }
}

fn path(n: usize) -> String {
    format!("/registry/pods/ns-{:03}/p{n:08}", n % 1000)
}

fn timed<T>(what: &str, operations: usize, mut run: impl FnMut() -> T) -> T {
    let start = cpu_ns();
    let result = run();
    println!("{what:<44} {:>9} ns", (cpu_ns() - start) / operations as u64);
    result
}

/// Time this thread had a processor: other work on the machine counts less than with a clock.
fn cpu_ns() -> u64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok()).map_or(0, |pages| pages * 4096)
}

fn main() {
    let nodes = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let identity = |scheme: &str, id: &str| Identity { scheme: scheme.into(), id: id.into() };
    let mut bench = Bench {
        state: State::new(Mutants::NONE, Bytes::new()),
        events: Vec::new(),
        identities: Arc::from([identity("ip", "127.0.0.1")]),
        open: vec![Acl { perms: perms::ALL, identity: identity("world", "anyone") }],
        nodes,
        random: 1,
    };
    let open = Command::OpenSession { session: SessionId(1), password: [0; 16], timeout_ms: 1, owner: OWNER };
    bench.apply(open).result.unwrap();
    for parent in ["/registry", "/registry/pods", "/many"] {
        bench.create(parent.into(), CreateMode::Persistent);
    }
    for n in 0..1000 {
        bench.create(format!("/registry/pods/ns-{n:03}"), CreateMode::Persistent);
    }
    let before = resident_bytes();
    timed("create", nodes, || (0..nodes).for_each(|n| bench.create(path(n), CreateMode::Persistent)));
    println!("{:<44} {:>9} bytes", "resident, each znode", (resident_bytes() - before) / nodes);
    timed("(making a random path)", OPERATIONS, || (0..OPERATIONS).for_each(|_| drop(black_box(bench.any()))));
    timed("(making a set)", OPERATIONS, || (0..OPERATIONS).for_each(|_| drop(black_box(bench.set_any()))));
    let set = |bench: &mut Bench| {
        let op = bench.set_any();
        bench.write(op);
    };
    timed("set", OPERATIONS, || (0..OPERATIONS).for_each(|_| set(&mut bench)));
    timed("get data", OPERATIONS, || {
        for _ in 0..OPERATIONS {
            let query = Query::GetData { path: bench.any() };
            black_box(bench.state.read(&query, &bench.identities).unwrap());
        }
    });
    let held = bench.state.clone();
    timed("set, first after a snapshot", OPERATIONS / 30, || (0..OPERATIONS / 30).for_each(|_| set(&mut bench)));
    timed("set, while a snapshot is held", OPERATIONS, || (0..OPERATIONS).for_each(|_| set(&mut bench)));
    let mut held = Some(held);
    timed("drop the snapshot, each znode", nodes, || held = None);
    timed("multi of 2 sets", OPERATIONS, || {
        for _ in 0..OPERATIONS {
            let ops = vec![bench.set_any(), bench.set_any()];
            bench.write(WriteOp::Multi { ops });
        }
    });
    timed("create ephemeral sequential", 100_000, || {
        (0..100_000).for_each(|_| bench.create("/many/n-".into(), CreateMode::EphemeralSequential));
    });
    timed("get children, each of 100000", 100_000, || {
        let query = Query::GetChildren { path: "/many".into() };
        black_box(bench.state.read(&query, &[]).unwrap());
    });
    timed("close session, each of 100000 ephemerals", 100_000, || {
        bench.apply(Command::CloseSession { session: SessionId(1), owner: OWNER }).result.unwrap();
    });
    timed("digest from all records, each", nodes, || assert_eq!(bench.state.digest(), bench.state.recompute_digest()));
    let records = timed("records, each", nodes, || bench.state.clone().records().collect::<Vec<_>>());
    let restored = timed("restore, each", nodes, || State::restore(records.iter().cloned(), Mutants::NONE).unwrap());
    timed("compare, each", nodes, || assert!(restored == bench.state));
}
