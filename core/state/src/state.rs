//! The whole, and `apply`.

use crate::digest;
use crate::key::KeyBuf;
use crate::map::Map;
use crate::planted::Planted;
use crate::session::Session;
use crate::tree::Tree;
use crate::write::{Author, Transaction};
use crate::znode::Znode;
use bytes::Bytes;
use std::sync::Arc;
use synod_types::command::{Applied, Event, Outcome};
use synod_types::record::Lifetime;
use synod_types::session::{Owner, Password, SessionGranted};
use synod_types::version::{CLUSTER_VERSION_MIN, SESSIONS_OPENED_AT};
use synod_types::znode::perms;
use synod_types::{
    Acl, Command, ErrorCode, Identity, Index, Mutant, Mutants, Proposal, SessionId, Stat, Term, WriteOp, Zxid,
};

/// From this counter on the leader must see to a new term.
const COUNTER_NEARLY_FULL: u32 = 0xf000_0000;

/// The replicated state of one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) zxid: Zxid,
    /// The cluster version: what apply does, by agreement.
    pub(crate) version: u32,
    pub(crate) sessions: Map<SessionId, Session>,
    /// The sessions' share of the digest.
    pub(crate) sessions_digest: u128,
    pub(crate) tree: Tree,
    pub(crate) planted: Planted,
}

impl State {
    /// The state before the first entry: no sessions, and the nodes that are always there. `config` is the content of
    /// `/zookeeper/config`; all members must give the same.
    pub fn new(mutants: Mutants, config: Bytes) -> State {
        let mut state = State::bare(mutants);
        let tree = &mut state.tree;
        let reader = Identity { scheme: "world".into(), id: "anyone".into() };
        let readable = tree.acquire_acl(&[Acl { perms: perms::READ, identity: reader }]);
        for (path, children) in [("/", 1), ("/zookeeper", 2), ("/zookeeper/config", 0), ("/zookeeper/quota", 0)] {
            // ZooKeeper makes these nodes behind its own back: they have children that never count as created, so
            // that clients see a negative cversion.
            let mut node = Znode::new(Some(Bytes::new()), tree.acls().open(), Lifetime::Persistent, Zxid(0), 0);
            node.children = children;
            if path == "/zookeeper/config" {
                node.acl = readable.clone();
                node.aversion = -1;
                if !config.is_empty() {
                    node.data = Some(config.clone());
                    node.version = -1;
                }
            }
            if let Some(key) = KeyBuf::of(path) {
                tree.insert(&key, node);
            }
        }
        state
    }

    /// With nothing in it, for `new` and `restore` to fill.
    pub(crate) fn bare(mutants: Mutants) -> State {
        State {
            index: Index(0),
            term: Term(0),
            zxid: Zxid(0),
            version: CLUSTER_VERSION_MIN,
            sessions: Map::new(),
            sessions_digest: 0,
            tree: Tree::empty(),
            planted: Planted { mutants, member: 0, supported: CLUSTER_VERSION_MIN },
        }
    }

    /// Says which member this is, and the newest cluster version that it supports. Nothing depends on it but planted
    /// bugs.
    pub fn set_member(&mut self, member: u8, supported: u32) {
        (self.planted.member, self.planted.supported) = (member, supported);
    }

    /// Applies the committed entry at `index`: a pure function of the state and the arguments. An entry without a
    /// proposal is what a new leader opens its term with; it has no outcome. Events are appended in the order in
    /// which ZooKeeper triggers watches.
    ///
    /// The zxid's epoch is the lower half of the term, its counter starts at 0 with the term's first entry, and each
    /// command takes the next one, also when it fails. The counter never carries into the epoch: at its end it stands
    /// still (see [`State::counter_nearly_full`]).
    pub fn apply(
        &mut self,
        term: Term,
        index: Index,
        proposal: Option<&Proposal>,
        events: &mut Vec<Event>,
    ) -> Option<Outcome> {
        self.index = index;
        self.term = term;
        if self.zxid.epoch() != term.0 as u32 {
            self.zxid = Zxid::first_of(term.0 as u32);
        }
        let proposal = proposal?;
        if self.zxid.counter() < u32::MAX {
            self.zxid.0 += 1;
        }
        let result = self.execute(proposal, events);
        let zxid = self.zxid;
        if result.is_err() && self.planted.on(Mutant::StateFailedWriteZxid) {
            self.zxid.0 -= 1;
        }
        Some(Outcome { zxid, result })
    }

    fn execute(&mut self, proposal: &Proposal, events: &mut Vec<Event>) -> Result<Applied, ErrorCode> {
        let time_ms = proposal.time_ms;
        match &proposal.command {
            Command::OpenSession { session, password, timeout_ms, owner } => {
                let opened_ms = if self.does(SESSIONS_OPENED_AT) { time_ms } else { 0 };
                let (password, timeout_ms, owner) = (*password, *timeout_ms, *owner);
                self.open_session(*session, Session { password, timeout_ms, owner, opened_ms })
            }
            Command::AttachSession { session, password, timeout_ms, owner } => {
                self.attach_session(*session, *password, *timeout_ms, *owner)
            }
            Command::CloseSession { session, owner } | Command::ExpireSession { session, owner } => {
                let expires = matches!(proposal.command, Command::ExpireSession { .. });
                match self.owned(*session, *owner) {
                    Err(ErrorCode::SessionMoved) if expires && self.planted.on(Mutant::SessionExpiryNoOwner) => {}
                    Err(ErrorCode::SessionMoved) if !expires && self.planted.on(Mutant::SessionCloseNoOwner) => {}
                    owned => owned?,
                }
                self.end_session(*session, time_ms, events);
                Ok(Applied::Done)
            }
            Command::Write { session, owner, identities, op } => {
                self.owned(*session, *owner)?;
                let author = Author { session: *session, identities };
                let mut transaction = self.transaction(time_ms, events);
                match op {
                    WriteOp::Multi { ops } => Ok(Applied::Multi(transaction.multi(author, ops))),
                    op => transaction.single(author, op, false).map(Applied::Write),
                }
            }
            Command::RaiseVersion { to } => {
                self.version = self.version.max(*to);
                Ok(Applied::Done)
            }
            Command::Reap { path } => {
                if self
                    .tree
                    .node(path)
                    .is_some_and(|node| node.due(time_ms) || self.planted.on(Mutant::StateReapUnchecked))
                {
                    self.transaction(time_ms, events).remove(path);
                }
                Ok(Applied::Done)
            }
        }
    }

    /// Whether the members have agreed to do what is new in this cluster version.
    fn does(&self, version: u32) -> bool {
        self.version >= version || self.planted.on(Mutant::StateVersionUngated) && self.planted.supported >= version
    }

    fn transaction<'a>(&'a mut self, time_ms: i64, events: &'a mut Vec<Event>) -> Transaction<'a> {
        Transaction { tree: &mut self.tree, events, zxid: self.zxid, time_ms, planted: self.planted }
    }

    /// Ids are unique; should one come twice (a clock set back), its first owner keeps it. 0 means "none" elsewhere.
    fn open_session(&mut self, id: SessionId, session: Session) -> Result<Applied, ErrorCode> {
        if id.0 == 0 || self.sessions.contains_key(&id) {
            return Err(ErrorCode::SessionExpired);
        }
        self.put_session(id, session);
        Ok(granted(id, &session))
    }

    fn attach_session(
        &mut self,
        id: SessionId,
        password: Password,
        timeout_ms: u32,
        owner: Owner,
    ) -> Result<Applied, ErrorCode> {
        let session = self.sessions.get(&id).ok_or(ErrorCode::SessionExpired)?;
        if session.password != password && !self.planted.on(Mutant::SessionWrongPassword) {
            return Err(ErrorCode::SessionExpired);
        }
        let timeout_ms = if self.planted.on(Mutant::StateAttachTimeout) { session.timeout_ms } else { timeout_ms };
        let session = Session { timeout_ms, owner, ..*session };
        self.put_session(id, session);
        Ok(granted(id, &session))
    }

    /// Deletes the session's ephemeral nodes, by path, and the session.
    fn end_session(&mut self, id: SessionId, time_ms: i64, events: &mut Vec<Event>) {
        let mut paths = self.tree.ephemerals(id);
        if self.planted.on(Mutant::StateEphemeralLeak) {
            paths.pop();
        }
        let mut transaction = self.transaction(time_ms, events);
        for path in &paths {
            transaction.remove(path);
        }
        if self.planted.on(Mutant::StateSessionKept) {
            return;
        }
        if let Some(session) = self.sessions.remove(&id) {
            self.sessions_digest = self.sessions_digest.wrapping_sub(digest::session(id, &session));
        }
    }

    pub(crate) fn put_session(&mut self, id: SessionId, session: Session) {
        self.sessions_digest = self.sessions_digest.wrapping_add(digest::session(id, &session));
        if let Some(old) = self.sessions.insert(id, session) {
            self.sessions_digest = self.sessions_digest.wrapping_sub(digest::session(id, &old));
        }
    }

    /// Whether the session lives, on this very connection.
    fn owned(&self, id: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        match self.sessions.get(&id) {
            None if self.planted.on(Mutant::StateCreateAfterClose) => Ok(()),
            None => Err(ErrorCode::SessionExpired),
            Some(session) if session.owner == owner || self.planted.on(Mutant::SessionMoveIgnored) => Ok(()),
            Some(_) => Err(ErrorCode::SessionMoved),
        }
    }

    /// The last transaction.
    pub fn zxid(&self) -> Zxid {
        self.zxid
    }

    /// The last applied entry.
    pub fn applied(&self) -> (Index, Term) {
        (self.index, self.term)
    }

    /// The cluster version that the log has come to; see [`synod_types::version`].
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether the epoch has so few transaction ids left (a sixteenth of 2^32) that the leader must see to a new term.
    pub fn counter_nearly_full(&self) -> bool {
        self.zxid.counter() >= COUNTER_NEARLY_FULL
    }

    /// The digest of the counters, sessions and nodes: equal on all members at the same index.
    pub fn digest(&self) -> u128 {
        let tree = if self.planted.on(Mutant::StateDigestBlind) { 0 } else { self.tree.digest() };
        digest::header(self.index, self.term, self.zxid, self.version)
            .wrapping_add(self.sessions_digest)
            .wrapping_add(tree)
    }

    /// The digest computed from all records, to verify the one that is kept up to date.
    pub fn recompute_digest(&self) -> u128 {
        let sessions = self.sessions.iter().fold(0, |sum: u128, (id, s)| sum.wrapping_add(digest::session(*id, s)));
        digest::header(self.index, self.term, self.zxid, self.version)
            .wrapping_add(sessions)
            .wrapping_add(self.tree.recompute_digest())
    }

    /// The first part in which two states differ, be it only in what is derived from the records.
    pub fn difference(&self, other: &State) -> Option<&'static str> {
        let counters = |s: &State| (s.index, s.term, s.zxid, s.version);
        let parts = [
            ("counters", counters(self) == counters(other)),
            ("sessions", self.sessions == other.sessions && self.sessions_digest == other.sessions_digest),
        ];
        parts.into_iter().find_map(|(part, same)| (!same).then_some(part)).or_else(|| self.tree.difference(&other.tree))
    }

    /// A live session.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// The live sessions, by id.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Number of live sessions.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Number of znodes, the root and the system's included.
    pub fn node_count(&self) -> usize {
        self.tree.node_count()
    }

    /// Bytes of all paths and data.
    pub fn approximate_data_size(&self) -> usize {
        self.tree.size()
    }

    /// Number of ephemeral nodes.
    pub fn ephemeral_count(&self) -> usize {
        self.tree.ephemeral_count()
    }

    /// The paths of a session's ephemeral nodes, in order.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = String> {
        self.tree.ephemerals(session).into_iter()
    }

    /// A node's stat, whoever asks.
    pub fn stat(&self, path: &str) -> Option<Stat> {
        self.tree.node(path).map(Znode::stat)
    }

    /// A node's access control list, whoever asks.
    pub fn acl(&self, path: &str) -> Option<Arc<[Acl]>> {
        self.tree.node(path).map(|node| node.acl.entries().clone())
    }

    /// The containers and TTL nodes that a leader should propose to reap at this moment. `apply` checks each again.
    pub fn reapable(&self, now_ms: i64) -> Vec<String> {
        self.tree.due(now_ms)
    }
}

fn granted(id: SessionId, session: &Session) -> Applied {
    let Session { password, timeout_ms, .. } = *session;
    Applied::Session(SessionGranted { session: id, password, timeout_ms })
}
