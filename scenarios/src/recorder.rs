//! Writes the history down while clients make it.

use crate::plan::{self, Step};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use synod_checkers::history::{
    Change, ConnectionEvent, Header, History, Operation, Request, Response, Status, Stray, WatchEvent, WatchKind,
};
use synod_sim::World;

/// Where a client writes what it did and saw. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    world: World,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    history: History,
    connections: u64,
    /// Things that came in, by connection.
    positions: BTreeMap<u64, u64>,
    acknowledged: u64,
    script: Option<Vec<Step>>,
}

/// A call in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call(usize);

impl Recorder {
    /// An empty history of a world.
    pub fn new(world: World) -> Recorder {
        Recorder { world, shared: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What is known of clients and members.
    pub fn describe(&self, header: Header) {
        self.lock().history.header = header;
    }

    /// The clients' address.
    pub fn address(&self) -> String {
        self.lock().history.header.address.clone().unwrap_or_default()
    }

    /// Time since the beginning of the run, nanoseconds.
    pub fn now_ns(&self) -> u64 {
        self.world.now().0
    }

    /// Keeps what clients set out to do, so that it can be done again.
    pub fn keep_script(&self) {
        self.lock().script = Some(Vec::new());
    }

    /// A client begins an operation.
    pub fn step(&self, client: u32, operation: &plan::Operation) {
        let at_us = self.world.now().0 / 1_000;
        if let Some(script) = &mut self.lock().script {
            script.push(Step { client, at_us, operation: operation.clone() });
        }
    }

    /// What clients set out to do, at the end, if it was kept.
    pub fn take_script(&self) -> Option<Vec<Step>> {
        self.lock().script.take()
    }

    /// A new connection of a client to a member.
    pub fn connected(&self, client: u32, node: u8) -> u64 {
        let time_ns = self.world.now().0;
        let mut s = self.lock();
        s.connections += 1;
        let connection = s.connections;
        s.history.connections.push(ConnectionEvent { client, connection, time_ns, change: Change::Connected { node } });
        connection
    }

    /// Its end, or the end of its session.
    pub fn changed(&self, client: u32, connection: u64, change: Change) {
        let time_ns = self.world.now().0;
        self.lock().history.connections.push(ConnectionEvent { client, connection, time_ns, change });
    }

    /// A request was sent.
    pub fn call(&self, client: u32, session: i64, node: u8, connection: u64, request: Request) -> Call {
        let call_ns = self.world.now().0;
        let mut s = self.lock();
        s.history.operations.push(Operation {
            client,
            session,
            node,
            connection,
            call_ns,
            return_ns: None,
            request,
            response: None,
            zxid: 0,
            position: None,
        });
        Call(s.history.operations.len() - 1)
    }

    /// Its answer came.
    pub fn returned(&self, call: Call, response: Response, zxid: i64) {
        let now = self.world.now().0;
        let mut s = self.lock();
        let connection = s.history.operations[call.0].connection;
        let position = s.next_position(connection);
        let operation = &mut s.history.operations[call.0];
        operation.return_ns = Some(now);
        operation.response = Some(response);
        operation.zxid = zxid;
        operation.position = Some(position);
        if !matches!(operation.request, Request::Ping) {
            s.acknowledged += 1;
        }
    }

    /// A watch fired.
    pub fn event(&self, client: u32, connection: u64, kind: WatchKind, path: String, zxid: i64) {
        let time_ns = self.world.now().0;
        let mut s = self.lock();
        let position = s.next_position(connection);
        s.history.watches.push(WatchEvent { client, connection, position, time_ns, kind, path, zxid });
    }

    /// A reply came that was not due.
    pub fn stray(&self, client: u32, connection: u64, due: Option<i32>, came: i32) {
        let time_ns = self.world.now().0;
        self.lock().history.strays.push(Stray { client, connection, time_ns, due, came });
    }

    /// What members said of themselves when all was quiet.
    pub fn status(&self, status: Vec<Status>) {
        self.lock().history.status = status;
    }

    /// Operations acknowledged so far, pings apart.
    pub fn acknowledged(&self) -> u64 {
        self.lock().acknowledged
    }

    /// The history, at the end.
    pub fn finish(&self, quiescent: bool) -> History {
        let end_ns = self.world.now().0;
        let mut s = self.lock();
        s.history.header.quiescent = quiescent;
        s.history.header.end_ns = end_ns;
        std::mem::take(&mut s.history)
    }
}

impl Shared {
    fn next_position(&mut self, connection: u64) -> u64 {
        let next = self.positions.entry(connection).or_default();
        *next += 1;
        *next - 1
    }
}
