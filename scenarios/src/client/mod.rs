//! A simulated ZooKeeper client: real bytes through the simulated network. It picks operations by the plan's weights,
//! pipelines them, keeps its session alive, moves between members, and brings its watches along.

mod bytes;
mod ghost;
pub mod guest;
mod lists;
mod source;
pub mod stranger;
pub mod words;

pub use self::bytes::SUPER_USER;
use self::bytes::{USERS, from_wire, to_wire};
use self::ghost::Ghost;
use self::source::Source;
use crate::plan::{List, Mix, Operation, Part, Workload};
use crate::recorder::{Call, Recorder};
use ::bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use synod_checkers::history::{self, Change, Create, Data, Granted, MultiOp, Reply, Request, Response, WatchKind};
use synod_env::{Env, Stream};
use synod_sim::Dice;
use synod_types::Instant;
use synod_wire::zookeeper as wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a connect and its handshake may take.
const CONNECT_PATIENCE: Duration = Duration::from_millis(2_500);

/// A silent client looks up so often whether the load is over.
const SILENCE_STEP: Duration = Duration::from_millis(500);

/// What the driver tells its clients.
#[derive(Default)]
pub struct Signals {
    /// No new operations; stay connected.
    pub quiet: AtomicBool,
}

/// One client.
pub struct Client {
    id: u32,
    env: Env,
    recorder: Recorder,
    signals: Arc<Signals>,
    /// For which member to go to and how long to wait; operations have a source of their own.
    dice: Dice,
    source: Source,
    workload: Workload,
    servers: Vec<SocketAddr>,
    session: Option<Granted>,
    zxid_seen: i64,
    written: u64,
    versions: BTreeMap<String, i32>,
    /// Of access control lists.
    aversions: BTreeMap<String, i32>,
    watches: Watches,
    /// Who the client proves to be, on each connection anew.
    users: BTreeSet<usize>,
    connects: u64,
    /// Goes on over a connection that the session has left; see `ghost`.
    is_ghost: bool,
    /// Of the run, by the clock of the clients' machine, which does not drift.
    beginning: Instant,
    next_operation: Instant,
    silent_until: Instant,
}

/// Watches a client believes it has.
#[derive(Default)]
struct Watches {
    data: BTreeSet<String>,
    exist: BTreeSet<String>,
    child: BTreeSet<String>,
    persistent: BTreeSet<String>,
    recursive: BTreeSet<String>,
}

impl Watches {
    fn fired(&mut self, kind: WatchKind, path: &str) {
        match kind {
            WatchKind::ChildrenChanged => drop(self.child.remove(path)),
            WatchKind::Created | WatchKind::DataChanged => {
                self.data.remove(path);
                self.exist.remove(path);
            }
            WatchKind::Deleted => {
                self.data.remove(path);
                self.exist.remove(path);
                self.child.remove(path);
            }
        }
    }

    fn is_empty(&self) -> bool {
        let all = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        all.iter().all(|set| set.is_empty())
    }

    /// The server was asked to drop watches of a kind.
    fn removed(&mut self, path: &str, kind: i32) {
        let sets = [
            (1, &mut self.child),
            (2, &mut self.data),
            (2, &mut self.exist),
            (4, &mut self.persistent),
            (5, &mut self.recursive),
        ];
        for (of, set) in sets {
            if kind == of || kind == 3 {
                set.remove(path);
            }
        }
    }
}

/// A request under way.
struct Pending {
    xid: i32,
    call: Call,
    request: Request,
}

/// An open connection with its session.
struct Connection {
    stream: Box<dyn Stream>,
    id: u64,
    node: u8,
    input: BytesMut,
    output: BytesMut,
    pending: VecDeque<Pending>,
    pings: VecDeque<Call>,
    set_watches: Option<Call>,
    auths: VecDeque<Call>,
    xid: i32,
    heard: Instant,
    sent: Instant,
}

/// Why a connection is left.
enum Left {
    /// Of its own will; the session goes on elsewhere.
    Move,
    /// The session was closed.
    Closed,
    /// The session goes on elsewhere, and the connection is used for so long all the same.
    Beside { for_ms: u64 },
}

/// The driver's own clients are numbered from here on.
const PROBES: u32 = 100;

/// The number of a client's shadow: the connection with the wrong password.
const INTRUDER: u32 = 1_000;

impl Client {
    /// A client of these members, the first of which is number 1. The dice are those of its connections and of its
    /// operations.
    pub fn new(
        id: u32,
        env: Env,
        recorder: Recorder,
        signals: Arc<Signals>,
        dice: (Dice, Dice),
        workload: Workload,
        servers: Vec<SocketAddr>,
    ) -> Client {
        let now = env.now();
        let beginning = Instant(now.0 - recorder.now_ns());
        let (connections, operations) = dice;
        let mut source = Source::new(id, operations, &workload);
        let next_operation = match workload.script {
            Some(_) => after(beginning, source.due_us(0)),
            None => now,
        };
        Client {
            id,
            env,
            recorder,
            signals,
            dice: connections,
            source,
            workload,
            servers,
            session: None,
            zxid_seen: 0,
            written: 0,
            versions: BTreeMap::new(),
            aversions: BTreeMap::new(),
            watches: Watches::default(),
            users: BTreeSet::new(),
            connects: 0,
            is_ghost: false,
            beginning,
            next_operation,
            silent_until: now,
        }
    }

    /// Works until it is killed.
    pub async fn run(mut self) {
        loop {
            let node = 1 + self.dice.below(self.servers.len() as u64) as u8;
            match self.open(node).await {
                Ok(Some(mut connection)) => {
                    let left = self.work(&mut connection).await;
                    if let Ok(Left::Beside { for_ms }) = left {
                        self.haunt(connection, for_ms);
                        continue;
                    }
                    self.recorder.changed(self.id, connection.id, Change::Disconnected);
                    if let Ok(Left::Closed) = left {
                        self.forget_session();
                    }
                }
                Ok(None) => {}
                Err(_) => self.pause(50, 300).await,
            }
            self.pause(1, 30).await;
        }
    }

    async fn pause(&mut self, min_ms: u64, max_ms: u64) {
        let ms = min_ms + self.dice.below(max_ms - min_ms);
        self.env.sleep(Duration::from_millis(ms)).await;
    }

    fn forget_session(&mut self) {
        self.session = None;
        self.watches = Watches::default();
        self.users.clear();
    }

    /// Connects and opens or resumes the session; `None` if it is over.
    async fn open(&mut self, node: u8) -> io::Result<Option<Connection>> {
        let session = self.session.clone();
        self.connects += 1;
        let (request, handshake) = self.handshake(session.as_ref());
        let env = self.env.clone();
        let opened = env.timeout(CONNECT_PATIENCE, self.greet(self.id, node, request, handshake)).await??;
        let (connection, granted) = opened;
        match granted {
            Some(granted) => {
                self.session = Some(granted);
                Ok(Some(connection))
            }
            None => {
                if let Some(session) = &session {
                    self.recorder.changed(self.id, connection.id, Change::Expired { session: session.session });
                }
                self.recorder.changed(self.id, connection.id, Change::Disconnected);
                self.forget_session();
                Ok(None)
            }
        }
    }

    fn handshake(&self, session: Option<&Granted>) -> (Request, wire::ConnectRequest) {
        // Now and then less than usual, also less than is granted; more would hide dead connections from the client.
        let timeout_ms = match (u64::from(self.id) + self.connects) % 8 {
            3 if self.id < PROBES => 1_000,
            5 if self.id < PROBES => 4_000,
            _ => self.workload.session_timeout_ms,
        };
        let last_zxid_seen = self.zxid_seen;
        let request = match session {
            None => Request::OpenSession { timeout_ms, last_zxid_seen },
            Some(s) => {
                let (session, password) = (s.session, s.password.clone());
                Request::AttachSession { session, password, timeout_ms, last_zxid_seen }
            }
        };
        let handshake = wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            timeout_ms: timeout_ms as i32,
            session: session.map_or(0, |s| s.session),
            password: Some(session.map_or(Bytes::from_static(&[0; 16]), |s| Bytes::from(s.password.0.clone()))),
            read_only: Some(false),
        };
        (request, handshake)
    }

    async fn greet(
        &self,
        client: u32,
        node: u8,
        request: Request,
        handshake: wire::ConnectRequest,
    ) -> io::Result<(Connection, Option<Granted>)> {
        let address = self.servers[usize::from(node) - 1];
        let mut stream = self.env.network.connect(address).await?;
        let id = self.recorder.connected(client, node);
        let session = handshake.session;
        let call = self.recorder.call(client, session, node, id, request);
        let mut output = BytesMut::new();
        handshake.put(&mut output);
        let result = async {
            stream.write_all(&output).await?;
            stream.flush().await?;
            let mut input = BytesMut::new();
            loop {
                if let Some(frame) = wire::frame(&mut input, wire::FRAME_BYTES_MAX).map_err(io::Error::other)? {
                    return Ok((input, frame));
                }
                if stream.read_buf(&mut input).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
        };
        let (input, frame) = match result.await {
            Ok(read) => read,
            Err(error) => {
                self.recorder.changed(client, id, Change::Disconnected);
                return Err(error);
            }
        };
        let response = wire::ConnectResponse::decode(&frame).map_err(io::Error::other)?;
        let granted = (response.timeout_ms > 0).then(|| Granted {
            session: response.session,
            password: Data(response.password.map(|p| p.to_vec()).unwrap_or_default()),
            timeout_ms: response.timeout_ms as u32,
        });
        let answer = match &granted {
            Some(granted) => Response::Ok(Reply { session: Some(granted.clone()), ..Reply::default() }),
            None => Response::Error(synod_types::ErrorCode::SessionExpired.code()),
        };
        self.recorder.returned(call, answer, 0);
        let now = self.env.now();
        let connection = Connection {
            stream,
            id,
            node,
            input,
            output: BytesMut::new(),
            pending: VecDeque::new(),
            pings: VecDeque::new(),
            set_watches: None,
            auths: VecDeque::new(),
            xid: 0,
            heard: now,
            sent: now,
        };
        Ok((connection, granted))
    }

    /// Operations on a connection until it ends.
    async fn work(&mut self, c: &mut Connection) -> io::Result<Left> {
        let timeout = Duration::from_millis(self.session.as_ref().map_or(4_000, |s| s.timeout_ms).into());
        for user in self.users.clone() {
            let request = Request::Auth { id: USERS[user].0.into() };
            to_wire(&request).put(&mut c.output, wire::xid::AUTH);
            c.auths.push_back(self.call(c, request));
        }
        if !self.watches.is_empty() {
            self.send_set_watches(c);
        }
        let mut left = None;
        let mut was_silent = false;
        loop {
            let now = self.env.now();
            let quiet = self.signals.quiet.load(Ordering::Relaxed);
            let silent = now < self.silent_until && !quiet;
            if was_silent && !silent {
                // It gives the member time to answer, which had nothing to answer before.
                c.heard = now;
            }
            was_silent = silent;
            if !silent && now.since(c.sent) >= timeout / 3 && c.pings.is_empty() {
                let call = self.call(c, Request::Ping);
                wire::Request::Ping.put(&mut c.output, wire::xid::PING);
                c.pings.push_back(call);
                c.sent = now;
            }
            let room = c.pending.len() < self.workload.pipeline as usize;
            if left.is_none() && !silent && room && now >= self.next_operation {
                if let Some(operation) = self.source.next().filter(|_| !quiet) {
                    if !self.is_ghost {
                        self.recorder.step(self.id, &operation);
                    }
                    left = self.operate(c, operation).await;
                }
                let last_us = now.since(self.beginning).as_micros() as u64;
                self.next_operation = after(self.beginning, self.source.due_us(last_us));
            }
            if !c.output.is_empty() {
                let data = c.output.split();
                c.stream.write_all(&data).await?;
                c.stream.flush().await?;
                c.sent = now;
            }
            match left {
                Some(Left::Closed) | None => {}
                Some(left) => return Ok(left),
            }
            if now.since(c.heard) > timeout * 2 / 3 && !silent {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut wake = match silent {
                true => self.silent_until.min(now + SILENCE_STEP),
                false if c.pings.is_empty() => c.sent + timeout / 3,
                false => c.heard + timeout * 2 / 3,
            };
            if room && !silent && left.is_none() {
                wake = wake.min(self.next_operation);
            }
            let wake = wake.max(now + Duration::from_micros(100));
            tokio::select! {
                biased;
                read = c.stream.read_buf(&mut c.input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    c.heard = self.env.now();
                    self.take_replies(c)?;
                    if left.is_some() && c.pending.is_empty() {
                        return Ok(Left::Closed);
                    }
                }
                () = self.env.sleep_until(wake) => {}
            }
        }
    }

    fn call(&self, c: &Connection, request: Request) -> Call {
        let session = self.session.as_ref().map_or(0, |s| s.session);
        self.recorder.call(self.id, session, c.node, c.id, request)
    }

    fn send(&mut self, c: &mut Connection, request: Request) {
        c.xid += 1;
        to_wire(&request).put(&mut c.output, c.xid);
        let call = self.call(c, request.clone());
        c.pending.push_back(Pending { xid: c.xid, call, request });
    }

    fn send_set_watches(&mut self, c: &mut Connection) {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        let (data, exist, child) = (list(&self.watches.data), list(&self.watches.exist), list(&self.watches.child));
        let relative_zxid = self.zxid_seen;
        let (persistent, recursive) = (list(&self.watches.persistent), list(&self.watches.recursive));
        let request = Request::SetWatches { relative_zxid, data, exist, child, persistent, recursive };
        to_wire(&request).put(&mut c.output, wire::xid::SET_WATCHES);
        c.set_watches = Some(self.call(c, request));
    }

    /// Does one operation.
    async fn operate(&mut self, c: &mut Connection, operation: Operation) -> Option<Left> {
        match operation {
            Operation::Set { path, conditional } => {
                let request = self.set(path, conditional);
                self.send(c, request);
            }
            Operation::Large { path, bytes } => {
                let mut data = self.value();
                data.0.resize(bytes as usize, b'.');
                self.send(c, Request::SetData { path, data, version: -1 });
            }
            Operation::Create { path } => {
                let create = self.create(path, false, false);
                self.send(c, Request::Create(create));
            }
            Operation::Delete { path, conditional } => {
                let version = self.version(&path, conditional);
                self.send(c, Request::Delete { path, version });
            }
            Operation::Ephemeral { path } => {
                let create = self.create(path, true, false);
                self.send(c, Request::Create(create));
            }
            Operation::ReadOnly { path } => {
                let create = self.guarded(path, List::ReadOnly);
                self.send(c, Request::Create(create));
            }
            Operation::Guarded { path, list } => {
                let create = self.guarded(path, list);
                self.send(c, Request::Create(create));
            }
            Operation::SetAcl { path, list, conditional } => {
                let version = self.aversions.get(&path).copied().filter(|_| conditional).unwrap_or(-1);
                let acl = lists::entries(list, &self.recorder.address());
                self.send(c, Request::SetAcl { path, acl, version });
            }
            Operation::GetAcl { path } => self.send(c, Request::GetAcl { path }),
            Operation::Login { user } => {
                match user < USERS.len() {
                    true => drop(self.users.insert(user)),
                    false => self.users.extend(0..USERS.len()),
                }
                return Some(Left::Move);
            }
            Operation::WhoAmI => self.send(c, Request::WhoAmI),
            Operation::Container { path } => {
                let create = self.create(path, false, false);
                self.send(c, Request::Create(Create { container: true, ..create }));
            }
            Operation::Timed { path, ttl_ms, sequential } => {
                let create = self.create(path, false, sequential);
                self.send(c, Request::Create(Create { ttl_ms: Some(ttl_ms), ..create }));
            }
            Operation::CreateOld { path } => {
                let create = self.create(path, false, false);
                self.send(c, Request::Create(Create { old: true, ..create }));
            }
            Operation::Ephemerals { prefix } => self.send(c, Request::Ephemerals { prefix }),
            Operation::CountBelow { path } => self.send(c, Request::CountBelow { path }),
            Operation::ReadMany { data, children } => {
                let data = data.into_iter().map(|path| history::Part::Data { path });
                let children = children.into_iter().map(|path| history::Part::Children { path });
                self.send(c, Request::ReadMany { reads: data.chain(children).collect() });
            }
            Operation::AddWatch { path, recursive } => self.send(c, Request::AddWatch { path, recursive }),
            Operation::Watching { path, kind, remove } => self.send(c, Request::Watching { path, kind, remove }),
            Operation::Overlap { for_ms } => return Some(Left::Beside { for_ms }),
            Operation::Sequential { ephemeral } => {
                let create = self.create("/q/n-".into(), ephemeral, true);
                self.send(c, Request::Create(create));
            }
            Operation::Multi { parts } => {
                let ops = parts.into_iter().map(|part| self.part(part)).collect();
                self.send(c, Request::Multi { ops });
            }
            Operation::Get { path, watch } => self.send(c, Request::GetData { path, watch }),
            Operation::Exists { path, watch } => self.send(c, Request::Exists { path, watch }),
            Operation::Children { path, watch } => self.send(c, Request::GetChildren { path, watch }),
            Operation::SyncGet { path } => {
                self.send(c, Request::Sync { path: path.clone() });
                self.send(c, Request::GetData { path, watch: false });
            }
            Operation::SetGet { path, conditional } => {
                let request = self.set(path.clone(), conditional);
                self.send(c, request);
                self.send(c, Request::GetData { path, watch: false });
            }
            Operation::Reopen => {
                self.send(c, Request::CloseSession);
                return Some(Left::Closed);
            }
            Operation::Vanish => {
                self.forget_session();
                return Some(Left::Move);
            }
            Operation::Reconnect => return Some(Left::Move),
            Operation::Intrude => self.intrude().await,
            Operation::Silence { for_ms } => {
                self.silent_until = self.env.now() + Duration::from_millis(for_ms);
            }
        }
        None
    }

    fn part(&mut self, part: Part) -> MultiOp {
        match part {
            Part::Create { path } => {
                let create = self.create(path, false, false);
                MultiOp::Create(Create { old: self.written.is_multiple_of(2), ..create })
            }
            Part::Ephemeral { path } => MultiOp::Create(self.create(path, true, false)),
            Part::Container { path } => MultiOp::Create(Create { container: true, ..self.create(path, false, false) }),
            Part::Guarded { path, list } => MultiOp::Create(self.guarded(path, list)),
            Part::Sequential => MultiOp::Create(self.create("/q/m-".into(), false, true)),
            Part::Delete { path, conditional } => {
                let version = self.version(&path, conditional);
                MultiOp::Delete { path, version }
            }
            Part::Check { path, conditional } => {
                let version = self.version(&path, conditional);
                MultiOp::Check { path, version }
            }
            Part::Set { path, conditional } => {
                let version = self.version(&path, conditional);
                MultiOp::SetData { path, data: self.value(), version }
            }
        }
    }

    fn value(&mut self) -> Data {
        self.written += 1;
        Data::from(format!("v{}-{}", self.id, self.written).as_str())
    }

    fn version(&self, path: &str, conditional: bool) -> i32 {
        self.versions.get(path).copied().filter(|_| conditional).unwrap_or(-1)
    }

    fn set(&mut self, path: String, conditional: bool) -> Request {
        let version = self.version(&path, conditional);
        Request::SetData { path, data: self.value(), version }
    }

    fn create(&mut self, path: String, ephemeral: bool, sequential: bool) -> Create {
        Create { path, data: self.value(), ephemeral, sequential, ..Create::default() }
    }

    fn guarded(&mut self, path: String, list: List) -> Create {
        let acl = Some(lists::entries(list, &self.recorder.address()));
        Create { acl, ..self.create(path, false, false) }
    }

    /// Leaves a connection to a ghost; the session goes on over another.
    fn haunt(&mut self, connection: Connection, for_ms: u64) {
        let ghost = Ghost::of(self, for_ms);
        self.env.spawn("ghost", ghost.run(connection));
    }

    /// Somebody else who knows the session's id but not its password.
    async fn intrude(&mut self) {
        let Some(mut stolen) = self.session.clone() else { return };
        let node = 1 + self.dice.below(self.servers.len() as u64) as u8;
        // What a client sends that has no session is as wrong as any other.
        stolen.password = Data(vec![if node.is_multiple_of(2) { 0 } else { 7 }; 16]);
        let (request, handshake) = self.handshake(Some(&stolen));
        let client = self.id + INTRUDER;
        let greeted = self.env.timeout(Duration::from_millis(300), self.greet(client, node, request, handshake)).await;
        if let Ok(Ok((connection, _))) = greeted {
            self.recorder.changed(client, connection.id, Change::Disconnected);
        }
    }

    fn take_replies(&mut self, c: &mut Connection) -> io::Result<()> {
        while let Some(frame) = wire::frame(&mut c.input, wire::FRAME_BYTES_MAX).map_err(io::Error::other)? {
            let expected = c.pending.front().map(|p| (p.xid, to_wire(&p.request).opcode()));
            let due = expected.map(|(xid, _)| xid);
            if let Some(came) = xid_of(&frame).filter(|xid| *xid > 0 && Some(*xid) != due) {
                self.recorder.stray(self.id, c.id, due, came);
                return Err(io::Error::other(format!("reply {came} where {due:?} was due")));
            }
            let opcode_of = |xid| expected.filter(|(x, _)| *x == xid).map(|(_, opcode)| opcode);
            let reply = wire::Reply::decode(&frame, opcode_of).map_err(io::Error::other)?;
            match (reply.xid, reply.result) {
                (wire::xid::NOTIFICATION, Ok(wire::Response::Event(event))) => {
                    let kind = match event.kind {
                        1 => WatchKind::Created,
                        2 => WatchKind::Deleted,
                        3 => WatchKind::DataChanged,
                        _ => WatchKind::ChildrenChanged,
                    };
                    self.watches.fired(kind, &event.path);
                    self.recorder.event(self.id, c.id, kind, event.path, reply.zxid);
                }
                (wire::xid::PING, _) => {
                    if let Some(call) = c.pings.pop_front() {
                        self.recorder.returned(call, Response::Ok(Reply::default()), reply.zxid);
                    }
                }
                (wire::xid::SET_WATCHES, _) => {
                    if let Some(call) = c.set_watches.take() {
                        self.recorder.returned(call, Response::Ok(Reply::default()), reply.zxid);
                    }
                }
                (wire::xid::AUTH, result) => {
                    if let Some(call) = c.auths.pop_front() {
                        self.recorder.returned(call, from_wire(result, false), 0);
                    }
                }
                (_, result) => {
                    let Some(pending) = c.pending.pop_front() else { return Err(io::ErrorKind::InvalidData.into()) };
                    self.zxid_seen = self.zxid_seen.max(reply.zxid);
                    let response = from_wire(result, matches!(pending.request, Request::ReadMany { .. }));
                    self.learn(&pending.request, &response);
                    self.recorder.returned(pending.call, response, reply.zxid);
                }
            }
        }
        Ok(())
    }

    /// Versions for conditional writes, and watches.
    fn learn(&mut self, request: &Request, response: &Response) {
        if let (Request::Exists { path, watch: true }, Response::Error(-101)) = (request, response) {
            self.watches.exist.insert(path.clone());
        }
        let Response::Ok(reply) = response else { return };
        if let Some(stat) = reply.stat {
            self.versions.insert(request.path().to_string(), stat.version);
            self.aversions.insert(request.path().to_string(), stat.aversion);
        }
        match request {
            Request::GetData { path, watch: true } | Request::Exists { path, watch: true } => {
                self.watches.data.insert(path.clone());
            }
            Request::GetChildren { path, watch: true } => drop(self.watches.child.insert(path.clone())),
            Request::AddWatch { path, recursive } => {
                self.watches.persistent.remove(path);
                self.watches.recursive.remove(path);
                let set = if *recursive { &mut self.watches.recursive } else { &mut self.watches.persistent };
                set.insert(path.clone());
            }
            Request::Watching { path, kind, remove: true } => self.watches.removed(path, *kind),
            _ => {}
        }
    }
}

/// The number of the request that a reply answers; those of the protocol's own are negative, 0 is nobody's.
fn xid_of(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|xid| i32::from_be_bytes(*xid))
}

fn after(beginning: Instant, us: u64) -> Instant {
    Instant(beginning.0.saturating_add(us.saturating_mul(1_000)))
}

/// What the driver asks a member at the end: one operation on a connection of its own.
pub async fn probe(
    env: Env,
    recorder: Recorder,
    id: u32,
    node: u8,
    servers: Vec<SocketAddr>,
    paths: Vec<String>,
) -> io::Result<()> {
    let workload = Workload {
        clients: 1,
        readers: 0,
        horizon_ms: 0,
        operations: 1,
        keys: 1,
        // More than is granted.
        session_timeout_ms: 100_000,
        pipeline: 64,
        mix: Mix::default(),
        script: None,
    };
    let dice = (Dice::numbered(0, 0), Dice::numbered(0, 0));
    let mut client = Client::new(id, env, recorder, Arc::default(), dice, workload, servers);
    let Some(mut c) = client.open(node).await? else { return Err(io::ErrorKind::ConnectionAborted.into()) };
    let create = client.create(format!("/probe-{id}-"), true, true);
    client.send(&mut c, Request::Create(create));
    client.send(&mut c, Request::Sync { path: "/".into() });
    for path in paths {
        client.send(&mut c, Request::GetData { path, watch: false });
    }
    client.send(&mut c, Request::CountBelow { path: "/".into() });
    client.send(&mut c, Request::GetChildren { path: "/".into(), watch: false });
    client.send(&mut c, Request::CloseSession);
    let data = c.output.split();
    let result = async {
        c.stream.write_all(&data).await?;
        c.stream.flush().await?;
        while !c.pending.is_empty() {
            if c.stream.read_buf(&mut c.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            client.take_replies(&mut c)?;
        }
        Ok(())
    };
    let result = result.await;
    client.recorder.changed(id, c.id, Change::Disconnected);
    result
}
