//! ZooKeeper's rules told a second time, as plainly as possible: full paths in a `BTreeMap`, everything recomputed,
//! everything cloned. Shares nothing with the state machine but the vocabulary.

use bytes::Bytes;
use std::collections::BTreeMap;
use synod_types::command::{Applied, Event, Written};
use synod_types::session::{Owner, Password, SessionGranted};
use synod_types::znode::{CreateMode, EventKind};
use synod_types::{Acl, Command, ErrorCode, Identity, SessionId, Stat, WriteOp, Zxid};

#[derive(Clone, Debug)]
pub struct Node {
    pub data: Option<Bytes>,
    pub acl: Vec<Acl>,
    pub mode: CreateMode,
    pub owner: i64,
    pub created: Zxid,
    pub modified: Zxid,
    pub children_changed: Zxid,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub creates: i32,
    pub deletes: i32,
    pub aversion: i32,
}

#[derive(Clone, Debug)]
pub struct Naive {
    pub nodes: BTreeMap<String, Node>,
    pub sessions: BTreeMap<i64, (Password, u32, Owner)>,
    pub epoch: u64,
    pub counter: u64,
}

type Told = Vec<(EventKind, String, Vec<Acl>)>;

impl Naive {
    pub fn new() -> Naive {
        let node = |acl: u32, deletes: i32, aversion: i32| Node {
            data: Some(Bytes::new()),
            acl: vec![Acl { perms: acl, identity: Identity { scheme: "world".into(), id: "anyone".into() } }],
            mode: CreateMode::Persistent,
            owner: 0,
            created: Zxid(0),
            modified: Zxid(0),
            children_changed: Zxid(0),
            ctime: 0,
            mtime: 0,
            version: 0,
            creates: 0,
            deletes,
            aversion,
        };
        let nodes = [
            ("/".to_string(), node(31, -1, 0)),
            ("/zookeeper".to_string(), node(31, -2, 0)),
            ("/zookeeper/config".to_string(), node(1, 0, -1)),
            ("/zookeeper/quota".to_string(), node(31, 0, 0)),
        ];
        Naive { nodes: nodes.into(), sessions: BTreeMap::new(), epoch: 0, counter: 0 }
    }

    pub fn zxid(&self) -> Zxid {
        Zxid((self.epoch << 32 | self.counter) as i64)
    }

    pub fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let below = self.nodes.keys().filter(|p| *p != "/").filter_map(|p| p.strip_prefix(&prefix));
        below.filter(|name| !name.contains('/')).map(String::from).collect()
    }

    pub fn stat(&self, path: &str) -> Option<Stat> {
        let node = self.nodes.get(path)?;
        Some(Stat {
            czxid: node.created,
            mzxid: node.modified,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion: node.creates + node.deletes,
            aversion: node.aversion,
            ephemeral_owner: node.owner,
            data_length: node.data.as_ref().map_or(0, |d| d.len()) as i32,
            num_children: self.children(path).len() as i32,
            pzxid: node.children_changed,
        })
    }

    pub fn apply(
        &mut self,
        term: u64,
        time: i64,
        command: Option<&Command>,
    ) -> (Option<Result<Applied, ErrorCode>>, Vec<Event>) {
        if term != self.epoch {
            (self.epoch, self.counter) = (term, 0);
        }
        let Some(command) = command else { return (None, vec![]) };
        self.counter += 1;
        let mut told = vec![];
        let result = self.run(time, command, &mut told);
        let zxid = self.zxid();
        let events = told.into_iter().map(|(kind, path, acl)| Event { zxid, kind, path, acl: acl.into() });
        (Some(result), events.collect())
    }

    fn run(&mut self, time: i64, command: &Command, told: &mut Told) -> Result<Applied, ErrorCode> {
        match command {
            Command::OpenSession { session, password, timeout_ms, owner } => {
                if self.sessions.contains_key(&session.0) {
                    return Err(ErrorCode::SessionExpired);
                }
                self.sessions.insert(session.0, (*password, *timeout_ms, *owner));
                Ok(granted(*session, *password, *timeout_ms))
            }
            Command::AttachSession { session, password, timeout_ms, owner } => {
                match self.sessions.get_mut(&session.0) {
                    Some(known) if known.0 == *password => {
                        *known = (*password, *timeout_ms, *owner);
                        Ok(granted(*session, *password, *timeout_ms))
                    }
                    _ => Err(ErrorCode::SessionExpired),
                }
            }
            Command::CloseSession { session, owner } | Command::ExpireSession { session, owner } => {
                self.connected(*session, *owner)?;
                self.end(*session, told);
                Ok(Applied::Done)
            }
            Command::RaiseVersion { .. } => Ok(Applied::Done),
            Command::Reap { path } => {
                if self.due(time).contains(path) {
                    self.erase(path, told);
                }
                Ok(Applied::Done)
            }
            Command::Write { session, owner, identities, op } => {
                self.connected(*session, *owner)?;
                let WriteOp::Multi { ops } = op else {
                    return self.one(time, session.0, identities, op, false, told).map(Applied::Write);
                };
                let before = self.clone();
                let mut results = vec![];
                for op in ops {
                    results.push(self.one(time, session.0, identities, op, true, told));
                }
                let Some(failed) = results.iter().position(|r| r.is_err()) else {
                    return Ok(Applied::Multi(results.into_iter().map(|r| r.map_err(Some)).collect()));
                };
                // What came after the failure ran on a tree that is thrown away.
                *self = before;
                told.clear();
                let error = results[failed].clone().unwrap_err();
                let at = |i: usize| match i {
                    _ if i < failed => Err(None),
                    _ if i == failed => Err(Some(error)),
                    _ => Err(Some(ErrorCode::RuntimeInconsistency)),
                };
                Ok(Applied::Multi((0..ops.len()).map(at).collect()))
            }
        }
    }

    /// What the server itself may delete.
    pub fn due(&self, now: i64) -> Vec<String> {
        let due = |path: &str, node: &Node| {
            self.children(path).is_empty()
                && match node.mode {
                    CreateMode::Container => node.creates > 0,
                    CreateMode::PersistentTtl { ttl_ms } | CreateMode::PersistentSequentialTtl { ttl_ms } => {
                        now - node.mtime > ttl_ms as i64
                    }
                    _ => false,
                }
        };
        self.nodes.iter().filter(|(path, node)| due(path, node)).map(|(path, _)| path.clone()).collect()
    }

    fn connected(&self, session: SessionId, owner: Owner) -> Result<(), ErrorCode> {
        match self.sessions.get(&session.0) {
            None => Err(ErrorCode::SessionExpired),
            Some(known) if known.2 != owner => Err(ErrorCode::SessionMoved),
            Some(_) => Ok(()),
        }
    }

    fn end(&mut self, session: SessionId, told: &mut Told) {
        let owned = self.nodes.iter().filter(|(_, node)| node.owner == session.0).map(|(path, _)| path.clone());
        for path in owned.collect::<Vec<_>>() {
            self.erase(&path, told);
        }
        self.sessions.remove(&session.0);
    }

    fn erase(&mut self, path: &str, told: &mut Told) {
        let node = self.nodes.remove(path).unwrap();
        let (zxid, above) = (self.zxid(), parent_of(path));
        let parent = self.nodes.get_mut(&above).unwrap();
        parent.deletes += 1;
        parent.children_changed = zxid;
        told.push((EventKind::Deleted, path.to_string(), node.acl));
        told.push((EventKind::ChildrenChanged, above, parent.acl.clone()));
    }

    fn one(
        &mut self,
        time: i64,
        session: i64,
        who: &[Identity],
        op: &WriteOp,
        in_multi: bool,
        told: &mut Told,
    ) -> Result<Written, ErrorCode> {
        let zxid = self.zxid();
        match op {
            WriteOp::Refused { error } => Err(*error),
            WriteOp::Multi { .. } => Err(ErrorCode::MarshallingError),
            WriteOp::Check { .. } if !in_multi => Err(ErrorCode::Unimplemented),
            WriteOp::Create { path, data, acl, mode } => {
                if let CreateMode::PersistentTtl { ttl_ms } | CreateMode::PersistentSequentialTtl { ttl_ms } = mode
                    && !(1..=0xff_ffff_ffff).contains(ttl_ms)
                {
                    return Err(ErrorCode::BadArguments);
                }
                let tried = if mode.sequential() { format!("{path}0") } else { path.clone() };
                legal(&tried)?;
                let acl = fixed(acl, who)?;
                let above = parent_of(&tried);
                let parent = self.nodes.get_mut(&above).ok_or(ErrorCode::NoNode)?;
                allowed(&parent.acl, 4, who)?;
                let path = if mode.sequential() { format!("{path}{}", padded(parent.creates)) } else { path.clone() };
                let parent_is_ephemeral = parent.owner != 0;
                if self.nodes.contains_key(&path) {
                    return Err(ErrorCode::NodeExists);
                }
                if parent_is_ephemeral {
                    return Err(ErrorCode::NoChildrenForEphemerals);
                }
                let parent = self.nodes.get_mut(&above).unwrap();
                parent.creates += 1;
                parent.children_changed = zxid;
                told.push((EventKind::Created, path.clone(), acl.clone()));
                told.push((EventKind::ChildrenChanged, above, parent.acl.clone()));
                let node = Node {
                    data: data.clone(),
                    acl,
                    mode: *mode,
                    owner: if mode.ephemeral() { session } else { 0 },
                    created: zxid,
                    modified: zxid,
                    children_changed: zxid,
                    ctime: time,
                    mtime: time,
                    version: 0,
                    creates: 0,
                    deletes: 0,
                    aversion: 0,
                };
                self.nodes.insert(path.clone(), node);
                let stat = self.stat(&path).unwrap();
                Ok(Written::Created { path, stat })
            }
            WriteOp::Delete { path, version } => {
                if ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"].contains(&path.as_str()) {
                    return Err(ErrorCode::BadArguments);
                }
                legal(path)?;
                let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
                allowed(&self.nodes[&parent_of(path)].acl, 8, who)?;
                same(*version, node.version)?;
                if !self.children(path).is_empty() {
                    return Err(ErrorCode::NotEmpty);
                }
                self.erase(path, told);
                Ok(Written::Deleted)
            }
            WriteOp::SetData { path, data, version } => {
                legal(path)?;
                let node = self.nodes.get_mut(path).ok_or(ErrorCode::NoNode)?;
                allowed(&node.acl, 2, who)?;
                same(*version, node.version)?;
                node.data = data.clone();
                node.version += 1;
                node.modified = zxid;
                node.mtime = time;
                told.push((EventKind::DataChanged, path.clone(), node.acl.clone()));
                Ok(Written::Set { stat: self.stat(path).unwrap() })
            }
            WriteOp::SetAcl { path, acl, version } => {
                legal(path)?;
                let acl = fixed(acl, who)?;
                let node = self.nodes.get_mut(path).ok_or(ErrorCode::NoNode)?;
                allowed(&node.acl, 16, who)?;
                same(*version, node.aversion)?;
                node.acl = acl;
                node.aversion += 1;
                Ok(Written::Set { stat: self.stat(path).unwrap() })
            }
            WriteOp::Check { path, version } => {
                legal(path)?;
                let node = self.nodes.get(path).ok_or(ErrorCode::NoNode)?;
                allowed(&node.acl, 1, who)?;
                same(*version, node.version)?;
                Ok(Written::Checked)
            }
        }
    }
}

fn granted(session: SessionId, password: Password, timeout_ms: u32) -> Applied {
    Applied::Session(SessionGranted { session, password, timeout_ms })
}

fn parent_of(path: &str) -> String {
    let above = &path[..path.rfind('/').unwrap()];
    if above.is_empty() { "/".to_string() } else { above.to_string() }
}

fn padded(counter: i32) -> String {
    format!("{counter:010}")
}

fn same(expected: i32, actual: i32) -> Result<(), ErrorCode> {
    if [-1, actual].contains(&expected) { Ok(()) } else { Err(ErrorCode::BadVersion) }
}

/// The generator makes no odd characters: those have tests of their own.
fn legal(path: &str) -> Result<(), ErrorCode> {
    let bad = !path.starts_with('/')
        || (path != "/" && path.ends_with('/'))
        || path.contains("//")
        || path.split('/').any(|segment| segment == "." || segment == "..");
    if bad { Err(ErrorCode::BadArguments) } else { Ok(()) }
}

/// The generator knows no addresses but 127.0.0.1: those have tests of their own.
fn allowed(acl: &[Acl], perms: u32, who: &[Identity]) -> Result<(), ErrorCode> {
    for entry in acl {
        if entry.perms & perms != 0 && (entry.identity.scheme == "world" || who.contains(&entry.identity)) {
            return Ok(());
        }
    }
    if who.iter().any(|w| w.scheme == "super") { Ok(()) } else { Err(ErrorCode::NoAuth) }
}

fn fixed(acl: &Option<Vec<Acl>>, who: &[Identity]) -> Result<Vec<Acl>, ErrorCode> {
    let mut unique = vec![];
    for entry in acl.iter().flatten() {
        if !unique.contains(entry) {
            unique.push(entry.clone());
        }
    }
    let mut fixed = vec![];
    for entry in unique {
        match entry.identity.scheme.as_str() {
            "auth" => {
                let mine: Vec<_> = who.iter().filter(|w| w.scheme == "digest").collect();
                if mine.is_empty() {
                    return Err(ErrorCode::InvalidAcl);
                }
                fixed.extend(mine.into_iter().map(|w| Acl { perms: entry.perms, identity: w.clone() }));
            }
            "world" | "digest" | "ip" => fixed.push(entry),
            _ => return Err(ErrorCode::InvalidAcl),
        }
    }
    if fixed.is_empty() { Err(ErrorCode::InvalidAcl) } else { Ok(fixed) }
}
