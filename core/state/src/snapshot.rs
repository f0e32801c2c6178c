//! The state as a sequence of records, and back.

use crate::acl::AclList;
use crate::digest;
use crate::key::KeyBuf;
use crate::path;
use crate::session::Session;
use crate::state::State;
use crate::znode::Znode;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use synod_types::record::{Header, Record, SessionRecord, ZnodeRecord};
use synod_types::version::{CLUSTER_VERSION, CLUSTER_VERSION_MIN};
use synod_types::{Acl, Mutant, Mutants, SessionId};

/// Why a snapshot cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// No header at the start.
    #[error("restore snapshot: first record is no header")]
    NoHeader,
    /// Of a cluster version that this program does not know.
    #[error("restore snapshot: cluster version {0}, supported are {CLUSTER_VERSION_MIN} to {CLUSTER_VERSION}")]
    Version(u32),
    /// Records of a kind come after those of a later kind, or unsorted, or a second header.
    #[error("restore snapshot: record {0} is out of order")]
    Order(u64),
    /// A node whose path breaks the rules.
    #[error("restore snapshot: node path {0:?} is invalid")]
    Path(String),
    /// A node without its parent.
    #[error("restore snapshot: node {0:?} has no parent")]
    Orphan(String),
    /// A node names a list that is not there.
    #[error("restore snapshot: node {path:?} has access control list {acl} of {acls}")]
    NoAcl { path: String, acl: u32, acls: usize },
    /// A record is missing or too many.
    #[error("restore snapshot: header promises {promised} records of a kind, found {found}")]
    Count { promised: u64, found: u64 },
    /// What was loaded is not what was written.
    #[error("restore snapshot: digest is {computed:032x}, header says {promised:032x}")]
    Digest { promised: u128, computed: u128 },
}

impl State {
    /// The snapshot: the header, the sessions, the access control lists, the nodes, each kind in ascending order.
    /// Clone the state first (O(1)) to keep it.
    pub fn records(mut self) -> impl Iterator<Item = Record> {
        if self.planted.on(Mutant::StateSnapshotDropsSession)
            && let Some((newest, session)) = self.sessions.iter().last().map(|(id, session)| (*id, *session))
        {
            self.sessions.remove(&newest);
            self.sessions_digest = self.sessions_digest.wrapping_sub(digest::session(newest, &session));
        }
        let acls: Vec<Arc<[Acl]>> = self.tree.acls().iter().map(|list| list.entries().clone()).collect();
        let numbers: BTreeMap<Arc<[Acl]>, u32> = acls.iter().cloned().zip(0..).collect();
        let header = Record::Header(Header {
            version: self.version,
            index: self.index,
            term: self.term,
            zxid: self.zxid,
            sessions: self.sessions.len() as u64,
            acls: acls.len() as u32,
            znodes: self.tree.node_count() as u64,
            digest: self.digest(),
        });
        let sessions = self.sessions.into_iter().map(|(session, s)| {
            let Session { password, timeout_ms, owner, opened_ms } = s;
            Record::Session(SessionRecord { session, password, timeout_ms, owner, opened_ms })
        });
        let forgets = self.planted.on(Mutant::StateForgetsAversion);
        let znodes = self.tree.into_nodes().map(move |(key, node)| {
            let acl = numbers.get(node.acl.entries()).copied().unwrap_or(u32::MAX);
            let record = znode_record(key.path(), &node, acl);
            Record::Znode(if forgets { ZnodeRecord { aversion: 0, ..record } } else { record })
        });
        std::iter::once(header).chain(sessions).chain(acls.into_iter().map(Record::Acl)).chain(znodes)
    }

    /// The state that a snapshot stands for.
    ///
    /// # Errors
    /// When anything is missing, misplaced or altered: the digest is computed anew and compared.
    pub fn restore(records: impl Iterator<Item = Record>, mutants: Mutants) -> Result<State, RestoreError> {
        let mut records = (0..).zip(records);
        let Some((_, Record::Header(header))) = records.next() else { return Err(RestoreError::NoHeader) };
        if !(CLUSTER_VERSION_MIN..=CLUSTER_VERSION).contains(&header.version) {
            return Err(RestoreError::Version(header.version));
        }
        let mut state = State::bare(mutants);
        (state.index, state.term, state.zxid) = (header.index, header.term, header.zxid);
        state.version = header.version;
        let mut loading = Loading { state, last_session: None, acls: Vec::new(), last_key: Vec::new(), siblings: None };
        for (position, record) in records {
            let in_order = match record {
                Record::Header(_) => false,
                Record::Session(session) => loading.session(session),
                Record::Acl(acl) => loading.acl(acl),
                Record::Znode(znode) => loading.znode(znode)?,
            };
            if !in_order {
                return Err(RestoreError::Order(position));
            }
        }
        let (state, acls) = loading.finish();
        let counts = [
            (header.sessions, state.sessions.len() as u64),
            (u64::from(header.acls), acls as u64),
            (header.znodes, state.tree.node_count() as u64),
        ];
        for (promised, found) in counts {
            if promised != found {
                return Err(RestoreError::Count { promised, found });
            }
        }
        if state.digest() != header.digest {
            return Err(RestoreError::Digest { promised: header.digest, computed: state.digest() });
        }
        Ok(state)
    }
}

/// A snapshot half read.
struct Loading {
    state: State,
    last_session: Option<SessionId>,
    acls: Vec<Arc<[Acl]>>,
    last_key: Vec<u8>,
    /// The parent of the last node, and how many of its children came so far: they come one after the other.
    siblings: Option<(String, i32)>,
}

impl Loading {
    /// `false`: not here.
    fn session(&mut self, record: SessionRecord) -> bool {
        let SessionRecord { session, password, timeout_ms, owner, opened_ms } = record;
        let ascending = self.last_session.is_none_or(|last| last < session);
        if !ascending || !self.acls.is_empty() {
            return false;
        }
        self.last_session = Some(session);
        self.state.put_session(session, Session { password, timeout_ms, owner, opened_ms });
        true
    }

    /// `false`: not here.
    fn acl(&mut self, acl: Arc<[Acl]>) -> bool {
        self.acls.push(acl);
        self.last_key.is_empty()
    }

    /// `false`: not here.
    fn znode(&mut self, record: ZnodeRecord) -> Result<bool, RestoreError> {
        if !path::valid(&record.path) {
            return Err(RestoreError::Path(record.path));
        }
        let Some(key) = KeyBuf::of(&record.path) else { return Err(RestoreError::Path(record.path)) };
        if key.bytes() <= &self.last_key[..] {
            return Ok(false);
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key.bytes());
        if record.path != "/" {
            let parent = path::parent(&record.path);
            match &mut self.siblings {
                Some((path, children)) if path == parent => *children += 1,
                _ if self.state.tree.node(parent).is_none() => return Err(RestoreError::Orphan(record.path)),
                _ => {
                    self.count_siblings();
                    let first = if self.state.planted.on(Mutant::StateRestoreChildren) { 0 } else { 1 };
                    self.siblings = Some((parent.to_string(), first));
                }
            }
        }
        let Some(entries) = self.acls.get(record.acl as usize) else {
            return Err(RestoreError::NoAcl { path: record.path, acl: record.acl, acls: self.acls.len() });
        };
        let acl = self.state.tree.acquire_acl(entries);
        self.state.tree.insert(&key, loaded(record, acl));
        Ok(true)
    }

    fn count_siblings(&mut self) {
        if let Some((path, children)) = self.siblings.take()
            && let Some(key) = KeyBuf::of(&path)
        {
            self.state.tree.change(&key, |node| node.children = children);
        }
    }

    /// The state, and how many lists there were.
    fn finish(mut self) -> (State, usize) {
        self.count_siblings();
        if self.state.planted.on(Mutant::StateRestoreEphemerals) {
            self.state.tree.forget_owners();
        }
        (self.state, self.acls.len())
    }
}

fn znode_record(path: String, node: &Znode, acl: u32) -> ZnodeRecord {
    let Znode { lifetime, czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, .. } = *node;
    let data = node.data.clone();
    ZnodeRecord { path, data, acl, lifetime, czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion }
}

fn loaded(record: ZnodeRecord, acl: AclList) -> Znode {
    let ZnodeRecord { data, lifetime, czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, .. } = record;
    // A slice of the snapshot's buffer would keep all of it alive.
    let data = data.map(|data| Bytes::copy_from_slice(&data));
    Znode { data, acl, lifetime, czxid, mzxid, pzxid, ctime, mtime, version, cversion, aversion, children: 0 }
}
