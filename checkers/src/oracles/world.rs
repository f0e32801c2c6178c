//! A cluster of one honest member, for tests: it answers at once, records what its clients see, and keeps the log.

use crate::history::*;
use crate::tree::{Brought, Change as TreeChange, Life, Stamp, Tree};
use std::collections::BTreeSet;
use synod_types::command::{self, Command, Outcome, WriteOp, Written};
use synod_types::session::{Owner, SessionGranted};
use synod_types::znode::{CreateMode, ErrorCode};
use synod_types::{Identity, Index, NodeId, SessionId, Term, Zxid};

pub(super) struct World {
    pub history: History,
    tree: Tree,
    zxid: i64,
    now: u64,
    /// Per client: replies and events so far.
    positions: Vec<u64>,
    watches: BTreeSet<(usize, bool, String)>,
}

pub(super) const TIMEOUT_MS: u32 = 4000;

pub(super) fn create(path: &str, data: &str) -> Request {
    Request::Create(Create {
        path: path.into(),
        data: data.into(),
        ephemeral: false,
        sequential: false,
        ..Create::default()
    })
}

pub(super) fn ephemeral(path: &str) -> Request {
    Request::Create(Create {
        path: path.into(),
        data: path.into(),
        ephemeral: true,
        sequential: false,
        ..Create::default()
    })
}

pub(super) fn sequential(path: &str, data: &str) -> Request {
    Request::Create(Create {
        path: path.into(),
        data: data.into(),
        ephemeral: false,
        sequential: true,
        ..Create::default()
    })
}

pub(super) fn set(path: &str, data: &str) -> Request {
    Request::SetData { path: path.into(), data: data.into(), version: -1 }
}

pub(super) fn delete(path: &str) -> Request {
    Request::Delete { path: path.into(), version: -1 }
}

pub(super) fn get(path: &str, watch: bool) -> Request {
    Request::GetData { path: path.into(), watch }
}

pub(super) fn children(path: &str, watch: bool) -> Request {
    Request::GetChildren { path: path.into(), watch }
}

pub(super) fn exists(path: &str, watch: bool) -> Request {
    Request::Exists { path: path.into(), watch }
}

fn owner(client: usize) -> Owner {
    Owner { node: NodeId(1), incarnation: 1, connection: client as u64 }
}

pub(super) fn session(client: usize) -> i64 {
    0x100_0000 + client as i64
}

impl World {
    /// With this many clients, their sessions open.
    pub fn new(clients: usize) -> World {
        let mut world = World {
            history: History { truth: Some(Vec::new()), ..History::default() },
            tree: Tree::new(),
            zxid: 1 << 32,
            now: 1_000_000_000,
            positions: vec![0; clients],
            watches: BTreeSet::new(),
        };
        world.history.header.quiescent = true;
        for client in 0..clients {
            let granted = SessionGranted {
                session: SessionId(session(client)),
                password: [client as u8; 16],
                timeout_ms: TIMEOUT_MS,
            };
            let command = Command::OpenSession {
                session: granted.session,
                password: granted.password,
                timeout_ms: TIMEOUT_MS,
                owner: owner(client),
            };
            world.log(command, Ok(command::Applied::Session(granted)));
            let reply = Reply {
                session: Some(Granted {
                    session: session(client),
                    password: granted.password[..].into(),
                    timeout_ms: TIMEOUT_MS,
                }),
                ..Reply::default()
            };
            let request = Request::OpenSession { timeout_ms: TIMEOUT_MS, last_zxid_seen: 0 };
            let i = world.record(client, request, Response::Ok(reply), 0);
            world.history.operations[i].session = 0;
        }
        world
    }

    pub fn wait_ms(&mut self, ms: u64) {
        self.now += ms * 1_000_000;
    }

    fn stamp(&self) -> Stamp {
        Stamp { zxid: self.zxid, time_ms: (self.now / 1_000_000) as i64 }
    }

    fn log(&mut self, command: Command, result: Result<command::Applied, ErrorCode>) {
        self.zxid += 1;
        let truth = self.history.truth.get_or_insert_default();
        truth.push(Applied {
            index: Index(truth.len() as u64 + 1),
            term: Term(1),
            zxid: Zxid(self.zxid),
            time_ms: (self.now / 1_000_000) as i64,
            applied_ns: Some(self.now),
            command,
            outcome: Outcome { zxid: Zxid(self.zxid), result },
        });
    }

    fn record(&mut self, client: usize, request: Request, response: Response, zxid: i64) -> usize {
        let call_ns = self.now;
        self.now += 1_000_000;
        let position = self.position(client);
        self.history.operations.push(Operation {
            client: client as u32,
            session: session(client),
            node: 1,
            connection: client as u64,
            call_ns,
            return_ns: Some(self.now),
            request,
            response: Some(response),
            zxid,
            position: Some(position),
        });
        self.now += 1_000_000;
        self.history.operations.len() - 1
    }

    fn position(&mut self, client: usize) -> u64 {
        self.positions[client] += 1;
        self.positions[client] - 1
    }

    /// A call; its place in the history.
    pub fn call(&mut self, client: usize, request: Request) -> usize {
        let response = match &request {
            Request::Ping => Response::Ok(Reply::default()),
            Request::Sync { path } => Response::Ok(Reply { path: Some(path.clone()), ..Reply::default() }),
            Request::CloseSession => {
                self.end(client, true);
                Response::Ok(Reply::default())
            }
            request if request.writes() => self.write(client, request),
            request => self.read(client, request),
        };
        self.fire();
        self.record(client, request, response, self.zxid)
    }

    /// The call took effect, its answer was lost with the connection.
    pub fn lose(&mut self, client: usize, request: Request) -> usize {
        let i = self.call(client, request);
        let operation = &mut self.history.operations[i];
        (operation.return_ns, operation.response, operation.position, operation.zxid) = (None, None, None, 0);
        let (client, connection, time_ns) = (operation.client, operation.connection, operation.call_ns);
        self.history.connections.push(ConnectionEvent { client, connection, time_ns, change: Change::Disconnected });
        i
    }

    /// The end of a session.
    pub fn end(&mut self, client: usize, asked: bool) {
        let id = SessionId(session(client));
        let command = match asked {
            true => Command::CloseSession { session: id, owner: owner(client) },
            false => Command::ExpireSession { session: id, owner: owner(client) },
        };
        self.log(command, Ok(command::Applied::Done));
        self.tree.end_session(self.stamp(), id.0);
        self.fire();
    }

    fn read(&mut self, client: usize, request: &Request) -> Response {
        let path = request.path();
        let watch = matches!(
            request,
            Request::Exists { watch: true, .. }
                | Request::GetData { watch: true, .. }
                | Request::GetChildren { watch: true, .. }
        );
        let of_children = matches!(request, Request::GetChildren { .. });
        let stat = self.tree.stat(path);
        if watch && (stat.is_some() || matches!(request, Request::Exists { .. })) {
            self.watches.insert((client, of_children, path.to_string()));
        }
        if stat.is_none() {
            return Response::Error(crate::tree::code::NO_NODE);
        }
        let mut reply = Reply { stat, ..Reply::default() };
        if matches!(request, Request::GetData { .. }) {
            reply.data = self.tree.data(path).map(Data::from);
        }
        if of_children {
            reply.children = self.tree.children(path).map(|c| c.iter().cloned().collect());
        }
        Response::Ok(reply)
    }

    fn write(&mut self, client: usize, request: &Request) -> Response {
        let id = session(client);
        let changes = super::log::requested(id, request);
        let ops: Vec<WriteOp> = changes.iter().map(write_op).collect();
        let multi = matches!(request, Request::Multi { .. });
        let op = if multi { WriteOp::Multi { ops } } else { ops[0].clone() };
        let address = self.history.header.address.clone();
        let identities = address.map(|id| Identity { scheme: "ip".into(), id }).into_iter().collect();
        let command = Command::Write { session: SessionId(id), owner: owner(client), identities, op };
        self.log(command, Ok(command::Applied::Done));
        let stamp = self.stamp();
        let (outcome, response) = if multi {
            let results = super::log::WriteResult::of_multi(changes.len(), self.tree.apply_all(stamp, &changes));
            let super::log::WriteResult::Multi(results) = results else { unreachable!() };
            let told = results.iter().map(|r| match r {
                Ok(Brought::Created { path, stat }) => MultiResult::Created { path: path.clone(), stat: Some(*stat) },
                Ok(Brought::Set { stat }) => MultiResult::Set { stat: Some(*stat) },
                Ok(Brought::Deleted) => MultiResult::Deleted,
                Ok(Brought::Checked) => MultiResult::Checked,
                Err(code) => MultiResult::Error(*code),
            });
            let reply = Reply { multi: told.collect(), ..Reply::default() };
            let results = results
                .iter()
                .map(|r| r.as_ref().map(written).map_err(|code| (*code != 0).then(|| error(*code))))
                .collect();
            (Ok(command::Applied::Multi(results)), Response::Ok(reply))
        } else {
            match self.tree.apply(stamp, changes[0]) {
                Ok(brought) => {
                    let mut reply = Reply::default();
                    match &brought {
                        Brought::Created { path, stat } => (reply.path, reply.stat) = (Some(path.clone()), Some(*stat)),
                        Brought::Set { stat } => reply.stat = Some(*stat),
                        Brought::Deleted | Brought::Checked => {}
                    }
                    (Ok(command::Applied::Write(written(&brought))), Response::Ok(reply))
                }
                Err(code) => (Err(error(code)), Response::Error(code)),
            }
        };
        if let Some(last) = self.history.truth.as_mut().and_then(|t| t.last_mut()) {
            last.outcome.result = outcome;
        }
        response
    }

    /// Delivers what watches wait for.
    fn fire(&mut self) {
        for event in std::mem::take(&mut self.tree.events) {
            let of = |table: &bool| match table {
                true => matches!(event.kind, WatchKind::ChildrenChanged | WatchKind::Deleted),
                false => event.kind != WatchKind::ChildrenChanged,
            };
            let fired: Vec<_> =
                self.watches.iter().filter(|(_, table, path)| *path == event.path && of(table)).cloned().collect();
            let clients: BTreeSet<usize> = fired.iter().map(|(client, ..)| *client).collect();
            for watch in &fired {
                self.watches.remove(watch);
            }
            for client in clients {
                let position = self.position(client);
                self.history.watches.push(WatchEvent {
                    client: client as u32,
                    connection: client as u64,
                    position,
                    time_ns: self.now,
                    kind: event.kind,
                    path: event.path.clone(),
                    zxid: event.zxid,
                });
            }
        }
    }
}

fn error(code: i32) -> ErrorCode {
    use ErrorCode::*;
    let all = [RuntimeInconsistency, BadArguments, NoNode, BadVersion, NoChildrenForEphemerals, NodeExists, NotEmpty];
    all.into_iter().find(|e| e.code() == code).unwrap_or(SystemError)
}

fn written(brought: &Brought) -> Written {
    match brought {
        Brought::Created { path, stat } => Written::Created { path: path.clone(), stat: *stat },
        Brought::Deleted => Written::Deleted,
        Brought::Set { stat } => Written::Set { stat: *stat },
        Brought::Checked => Written::Checked,
    }
}

fn write_op(change: &TreeChange<'_>) -> WriteOp {
    match *change {
        TreeChange::Create { path, data, owner, sequential, life, acl } => WriteOp::Create {
            path: path.into(),
            data: Some(data.to_vec().into()),
            acl: Some(acl.map_or_else(crate::access::open, <[_]>::to_vec)),
            mode: match (life, owner, sequential) {
                (Life::Container, ..) => CreateMode::Container,
                (Life::Ttl(ttl_ms), ..) => CreateMode::PersistentTtl { ttl_ms },
                (Life::Ordinary, None, false) => CreateMode::Persistent,
                (Life::Ordinary, None, true) => CreateMode::PersistentSequential,
                (Life::Ordinary, Some(_), false) => CreateMode::Ephemeral,
                (Life::Ordinary, Some(_), true) => CreateMode::EphemeralSequential,
            },
        },
        TreeChange::Delete { path, version } => WriteOp::Delete { path: path.into(), version },
        TreeChange::Set { path, data, version } => {
            WriteOp::SetData { path: path.into(), data: Some(data.to_vec().into()), version }
        }
        TreeChange::Check { path, version } => WriteOp::Check { path: path.into(), version },
        TreeChange::SetAcl { path, acl, version } => {
            WriteOp::SetAcl { path: path.into(), acl: Some(acl.to_vec()), version }
        }
        TreeChange::Refused { code } => WriteOp::Refused { error: error(code) },
    }
}
