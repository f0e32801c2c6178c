//! A state and what is needed to talk to it in few words.

use bytes::Bytes;
use std::sync::Arc;
use synod_state::{Answer, Query, State};
use synod_types::command::{Applied, Event, Outcome, Written};
use synod_types::session::Owner;
use synod_types::znode::{CreateMode, EventKind, perms};
use synod_types::{
    Acl, Command, ErrorCode, Identity, Mutants, NodeId, Origin, Proposal, SessionId, Stat, Term, WriteOp,
};

pub const OWNER: Owner = Owner { node: NodeId(1), incarnation: 7, connection: 1 };
pub const PASSWORD: [u8; 16] = *b"0123456789abcdef";

pub struct World {
    pub state: State,
    pub term: Term,
    pub time_ms: i64,
    /// Of the last command.
    pub events: Vec<Event>,
    pub identities: Arc<[Identity]>,
}

impl World {
    /// With session 1, in term 1.
    pub fn new() -> World {
        World::with(Mutants::NONE)
    }

    pub fn with(mutants: Mutants) -> World {
        let state = State::new(mutants, Bytes::new());
        let identities = Arc::from([identity("ip", "127.0.0.1")]);
        let mut world = World { state, term: Term(1), time_ms: 1000, events: Vec::new(), identities };
        world.apply(open(1)).result.unwrap();
        world
    }

    pub fn apply(&mut self, command: Command) -> Outcome {
        let origin = Origin { node: NodeId(1), incarnation: 1, request: 1 };
        let proposal = Proposal { origin, time_ms: self.time_ms, command };
        self.entry(Some(&proposal)).unwrap()
    }

    pub fn entry(&mut self, proposal: Option<&Proposal>) -> Option<Outcome> {
        self.events.clear();
        let index = self.state.applied().0.next();
        let outcome = self.state.apply(self.term, index, proposal, &mut self.events);
        assert_eq!(self.state.digest(), self.state.recompute_digest());
        outcome
    }

    pub fn write(&mut self, op: WriteOp) -> Result<Written, ErrorCode> {
        let command = Command::Write { session: SessionId(1), owner: OWNER, identities: self.identities.clone(), op };
        match self.apply(command).result? {
            Applied::Write(written) => Ok(written),
            other => panic!("not a single write: {other:?}"),
        }
    }

    pub fn multi(&mut self, ops: Vec<WriteOp>) -> Vec<Result<Written, Option<ErrorCode>>> {
        let op = WriteOp::Multi { ops };
        let command = Command::Write { session: SessionId(1), owner: OWNER, identities: self.identities.clone(), op };
        match self.apply(command).result {
            Ok(Applied::Multi(results)) => results,
            other => panic!("not a multi: {other:?}"),
        }
    }

    pub fn create(&mut self, path: &str) -> Result<String, ErrorCode> {
        self.create_as(path, CreateMode::Persistent)
    }

    pub fn create_as(&mut self, path: &str, mode: CreateMode) -> Result<String, ErrorCode> {
        match self.write(create(path, mode))? {
            Written::Created { path, .. } => Ok(path),
            other => panic!("not a create: {other:?}"),
        }
    }

    pub fn stat(&self, path: &str) -> Stat {
        self.state.stat(path).unwrap()
    }

    pub fn read(&self, query: Query) -> Result<Answer, ErrorCode> {
        self.state.read(&query, &self.identities)
    }

    pub fn told(&self) -> Vec<(EventKind, &str)> {
        self.events.iter().map(|e| (e.kind, e.path.as_str())).collect()
    }

    /// Who writes and reads from now on.
    pub fn become_(&mut self, identities: &[(&str, &str)]) {
        self.identities = identities.iter().map(|(scheme, id)| identity(scheme, id)).collect();
    }
}

pub fn open(session: i64) -> Command {
    Command::OpenSession { session: SessionId(session), password: PASSWORD, timeout_ms: 4000, owner: OWNER }
}

pub fn identity(scheme: &str, id: &str) -> Identity {
    Identity { scheme: scheme.into(), id: id.into() }
}

pub fn acl(perms: u32, scheme: &str, id: &str) -> Acl {
    Acl { perms, identity: identity(scheme, id) }
}

pub fn anyone() -> Option<Vec<Acl>> {
    Some(vec![acl(perms::ALL, "world", "anyone")])
}

pub fn create(path: &str, mode: CreateMode) -> WriteOp {
    WriteOp::Create { path: path.into(), data: Some(Bytes::from_static(b"x")), acl: anyone(), mode }
}

pub fn create_with(path: &str, acl: Option<Vec<Acl>>) -> WriteOp {
    WriteOp::Create { path: path.into(), data: None, acl, mode: CreateMode::Persistent }
}

pub fn set(path: &str, data: &'static str, version: i32) -> WriteOp {
    WriteOp::SetData { path: path.into(), data: Some(Bytes::from_static(data.as_bytes())), version }
}

pub fn delete(path: &str, version: i32) -> WriteOp {
    WriteOp::Delete { path: path.into(), version }
}

pub fn check(path: &str, version: i32) -> WriteOp {
    WriteOp::Check { path: path.into(), version }
}
