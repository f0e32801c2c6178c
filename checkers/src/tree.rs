//! A naive model of ZooKeeper's tree: full paths in one ordered map, every rule spelled out, nothing shared with the
//! engine. It replays writes in zxid order and says what each must answer. Who may write is judged where it is known
//! who writes; else a permission error in a history is taken at its word.

use crate::access::{self, may};
use crate::history::WatchKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use synod_types::{Acl, Identity, Stat, Zxid};

/// Codes of ZooKeeper's protocol.
pub(crate) mod code {
    pub const RUNTIME_INCONSISTENCY: i32 = -2;
    pub const BAD_ARGUMENTS: i32 = -8;
    pub const NO_NODE: i32 = -101;
    pub const NO_AUTH: i32 = -102;
    pub const BAD_VERSION: i32 = -103;
    pub const NO_CHILDREN_FOR_EPHEMERALS: i32 = -108;
    pub const NODE_EXISTS: i32 = -110;
    pub const NOT_EMPTY: i32 = -111;
    pub const SESSION_EXPIRED: i32 = -112;
    pub const INVALID_ACL: i32 = -114;
    pub const SESSION_MOVED: i32 = -118;
    pub const NO_WATCHER: i32 = -121;
    pub const THROTTLED: i32 = -127;
}

/// A node. `cversion` of the stat is derived when it is shown.
#[derive(Clone, Debug, Default)]
struct Node {
    data: Vec<u8>,
    stat: Stat,
    /// Children created so far: the counter of sequential nodes.
    created: i32,
    children: BTreeSet<String>,
    /// Who may do what; none: everybody everything.
    acl: Option<Arc<[Acl]>>,
    life: Life,
}

/// When the server itself may remove a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Life {
    /// Never, but for the end of a session.
    #[default]
    Ordinary,
    /// When it has lost its last child.
    Container,
    /// When it is childless and unchanged for so many milliseconds.
    Ttl(u64),
}

/// Whether a node can have so many milliseconds to live.
pub(crate) fn lifetime(ttl_ms: u64) -> bool {
    (1..1 << 40).contains(&ttl_ms)
}

impl Node {
    fn lets(&self, perms: u32, who: &[Identity]) -> bool {
        self.acl.as_ref().is_none_or(|acl| access::grants(acl, perms, who))
    }

    /// Whether the server may remove it at this time.
    fn due(&self, time_ms: i64) -> bool {
        self.children.is_empty()
            && match self.life {
                Life::Ordinary => false,
                Life::Container => self.created != 0,
                Life::Ttl(ttl_ms) => i128::from(time_ms) > i128::from(self.stat.mtime) + i128::from(ttl_ms),
            }
    }

    fn stat(&self) -> Stat {
        let children = self.children.len() as i32;
        Stat {
            cversion: self.created.wrapping_mul(2).wrapping_sub(children),
            num_children: children,
            data_length: self.data.len() as i32,
            ..self.stat
        }
    }
}

/// A node without its children.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Own {
    pub data: Vec<u8>,
    pub stat: Stat,
    /// Children created so far.
    pub created: i32,
}

impl Own {
    /// A new node.
    pub fn new(data: &[u8], zxid: i64, owner: Option<i64>) -> Own {
        let zxid = Zxid(zxid);
        let stat =
            Stat { czxid: zxid, mzxid: zxid, pzxid: zxid, ephemeral_owner: owner.unwrap_or(0), ..Stat::default() };
        Own { data: data.to_vec(), stat, created: 0 }
    }
}

/// The time and id a write carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub zxid: i64,
    pub time_ms: i64,
}

/// A write of the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    Create { path: &'a str, data: &'a [u8], owner: Option<i64>, sequential: bool, life: Life, acl: Option<&'a [Acl]> },
    Delete { path: &'a str, version: i32 },
    Set { path: &'a str, data: &'a [u8], version: i32 },
    SetAcl { path: &'a str, acl: &'a [Acl], version: i32 },
    Check { path: &'a str, version: i32 },
    Refused { code: i32 },
}

impl<'a> Change<'a> {
    /// The path it may change, and whether a counter is appended to it.
    pub fn touches(&self) -> Option<(&'a str, bool)> {
        match *self {
            Change::Create { path, sequential, .. } => Some((path, sequential)),
            Change::Delete { path, .. } | Change::Set { path, .. } | Change::SetAcl { path, .. } => Some((path, false)),
            Change::Check { .. } | Change::Refused { .. } => None,
        }
    }

    /// The data it writes.
    pub fn data(&self) -> Option<&'a [u8]> {
        match *self {
            Change::Create { data, .. } | Change::Set { data, .. } => Some(data),
            _ => None,
        }
    }
}

/// What a write brings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Brought {
    Created { path: String, stat: Stat },
    Deleted,
    Set { stat: Stat },
    Checked,
}

/// Something a watch may wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub zxid: i64,
    pub kind: WatchKind,
    pub path: String,
    /// Who may hear of it; none: everybody.
    pub acl: Option<Arc<[Acl]>>,
}

/// The tree at one zxid.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    /// Ephemeral nodes by owner.
    owned: BTreeMap<i64, BTreeSet<String>>,
    /// Changes since they were last taken.
    pub events: Vec<Event>,
    /// Who writes, if that is known.
    pub who: Option<Arc<[Identity]>>,
}

/// The nodes that always exist.
pub(crate) const SYSTEM: [&str; 4] = ["/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"];

impl Tree {
    pub fn new() -> Tree {
        let mut nodes = BTreeMap::new();
        for path in SYSTEM {
            nodes.insert(path.to_string(), Node::default());
        }
        for path in &SYSTEM[1..] {
            let (parent, name) = split(path);
            if let Some(parent) = nodes.get_mut(parent) {
                parent.children.insert(name.to_string());
            }
        }
        Tree { nodes, owned: BTreeMap::new(), events: Vec::new(), who: None }
    }

    pub fn stat(&self, path: &str) -> Option<Stat> {
        self.nodes.get(path).map(Node::stat)
    }

    pub fn data(&self, path: &str) -> Option<&[u8]> {
        self.nodes.get(path).map(|n| &*n.data)
    }

    pub fn children(&self, path: &str) -> Option<&BTreeSet<String>> {
        self.nodes.get(path).map(|n| &n.children)
    }

    /// Whether a node's list grants one of the permissions.
    pub fn lets(&self, path: &str, perms: u32, who: &[Identity]) -> bool {
        self.nodes.get(path).is_none_or(|node| node.lets(perms, who))
    }

    /// A node's access control list.
    pub fn acl(&self, path: &str) -> Option<Vec<Acl>> {
        self.nodes.get(path).map(|node| node.acl.as_ref().map_or_else(access::open, |acl| acl.to_vec()))
    }

    /// Number of nodes below one, at any depth.
    pub fn below(&self, path: &str) -> usize {
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        self.nodes.keys().filter(|p| p.as_str() != "/" && p.starts_with(&prefix)).count()
    }

    /// The nodes that the server may remove at this time.
    pub fn due(&self, time_ms: i64) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(move |(_, node)| node.due(time_ms)).map(|(path, _)| path.as_str())
    }

    /// A node without its children.
    pub fn own(&self, path: &str) -> Option<Own> {
        let node = self.nodes.get(path)?;
        Some(Own { data: node.data.clone(), stat: node.stat, created: node.created })
    }

    /// Makes a node what it may be, with the children it has; the parent's counters stay as they are.
    pub fn put(&mut self, path: &str, own: Option<&Own>) {
        let children = match self.nodes.remove(path) {
            Some(node) => {
                if let Some(owned) = self.owned.get_mut(&node.stat.ephemeral_owner) {
                    owned.remove(path);
                }
                node.children
            }
            None => {
                let below = format!("{path}/");
                let names = self.nodes.range(below.clone()..).map_while(|(p, _)| p.strip_prefix(&below));
                names.filter(|name| !name.contains('/')).map(str::to_string).collect()
            }
        };
        let (parent, name) = split(path);
        if let Some(parent) = self.nodes.get_mut(parent) {
            match own {
                Some(_) => parent.children.insert(name.to_string()),
                None => parent.children.remove(name),
            };
        }
        if let Some(Own { data, stat, created }) = own {
            if stat.ephemeral_owner != 0 {
                self.owned.entry(stat.ephemeral_owner).or_default().insert(path.to_string());
            }
            let node = Node { data: data.clone(), stat: *stat, created: *created, children, ..Node::default() };
            self.nodes.insert(path.to_string(), node);
        }
    }

    /// One write.
    pub fn apply(&mut self, stamp: Stamp, change: Change<'_>) -> Result<Brought, i32> {
        match change {
            Change::Create { .. } => self.create(stamp, change),
            Change::Delete { path, version } => {
                if SYSTEM.contains(&path) {
                    return Err(code::BAD_ARGUMENTS);
                }
                if valid(path) && self.nodes.contains_key(path) {
                    self.permitted(split(path).0, may::DELETE)?;
                }
                let node = self.at_version(path, version, 0, |s| s.version)?;
                if !node.children.is_empty() {
                    return Err(code::NOT_EMPTY);
                }
                self.remove(stamp, path);
                Ok(Brought::Deleted)
            }
            Change::Set { path, data, version } => {
                let node = self.at_version(path, version, may::WRITE, |s| s.version)?;
                node.data = data.to_vec();
                node.stat.version = node.stat.version.wrapping_add(1);
                node.stat.mzxid = Zxid(stamp.zxid);
                node.stat.mtime = stamp.time_ms;
                let stat = node.stat();
                self.event(stamp, WatchKind::DataChanged, path);
                Ok(Brought::Set { stat })
            }
            Change::SetAcl { path, acl, version } => {
                let acl = if valid(path) { self.kept(acl)? } else { None };
                let node = self.at_version(path, version, may::ADMIN, |s| s.aversion)?;
                node.acl = acl;
                node.stat.aversion = node.stat.aversion.wrapping_add(1);
                Ok(Brought::Set { stat: node.stat() })
            }
            Change::Check { path, version } => {
                self.at_version(path, version, may::READ, |s| s.version)?;
                Ok(Brought::Checked)
            }
            Change::Refused { code } => Err(code),
        }
    }

    /// All or nothing. The error is the position of the write that failed and its code.
    pub fn apply_all(&mut self, stamp: Stamp, changes: &[Change<'_>]) -> Result<Vec<Brought>, (usize, i32)> {
        let events = self.events.len();
        let mut before: Vec<(String, Option<Node>)> = Vec::new();
        let mut brought = Vec::with_capacity(changes.len());
        for (i, change) in changes.iter().enumerate() {
            if let Some(path) = self.final_path(change) {
                for path in [split(&path).0, &path] {
                    before.push((path.to_string(), self.nodes.get(path).cloned()));
                }
            }
            match self.apply(stamp, *change) {
                Ok(one) => brought.push(one),
                Err(code) => {
                    before.into_iter().rev().for_each(|(path, node)| self.put_back(path, node));
                    self.events.truncate(events);
                    return Err((i, code));
                }
            }
        }
        Ok(brought)
    }

    /// The node a write changes.
    fn final_path(&self, change: &Change<'_>) -> Option<String> {
        match change {
            Change::Create { path, sequential: true, .. } => {
                let created = self.nodes.get(split(path).0).map_or(0, |parent| parent.created);
                Some(format!("{path}{created:010}"))
            }
            Change::Create { path, .. }
            | Change::Delete { path, .. }
            | Change::Set { path, .. }
            | Change::SetAcl { path, .. } => Some(path.to_string()),
            Change::Check { .. } | Change::Refused { .. } => None,
        }
    }

    /// Makes a node what it was.
    fn put_back(&mut self, path: String, node: Option<Node>) {
        if let Some(now) = self.nodes.remove(&path)
            && let Some(owned) = self.owned.get_mut(&now.stat.ephemeral_owner)
        {
            owned.remove(&path);
        }
        if let Some(node) = node {
            if node.stat.ephemeral_owner != 0 {
                self.owned.entry(node.stat.ephemeral_owner).or_default().insert(path.clone());
            }
            self.nodes.insert(path, node);
        }
    }

    /// The ephemeral nodes of a session.
    pub fn owned(&self, session: i64) -> impl Iterator<Item = &str> {
        self.owned.get(&session).into_iter().flatten().map(String::as_str)
    }

    /// The sessions that own ephemeral nodes, and which.
    pub fn owners(&self) -> impl Iterator<Item = (i64, &BTreeSet<String>)> {
        self.owned.iter().filter(|(_, paths)| !paths.is_empty()).map(|(session, paths)| (*session, paths))
    }

    /// The end of a session takes its ephemeral nodes.
    pub fn end_session(&mut self, stamp: Stamp, session: i64) {
        for path in self.owned.remove(&session).unwrap_or_default() {
            self.remove(stamp, &path);
        }
    }

    /// The server removes a container or TTL node, if it is due.
    pub fn reap(&mut self, stamp: Stamp, path: &str) {
        if self.nodes.get(path).is_some_and(|n| n.due(stamp.time_ms)) {
            self.remove(stamp, path);
        }
    }

    fn create(&mut self, stamp: Stamp, change: Change<'_>) -> Result<Brought, i32> {
        let Change::Create { path, data, owner, sequential, life, acl } = change else {
            return Err(code::BAD_ARGUMENTS);
        };
        let named = if sequential { format!("{path}1") } else { path.to_string() };
        if !valid(&named) || named == "/" {
            return Err(if named == "/" { code::NODE_EXISTS } else { code::BAD_ARGUMENTS });
        }
        if let Life::Ttl(ttl_ms) = life
            && !lifetime(ttl_ms)
        {
            return Err(code::BAD_ARGUMENTS);
        }
        let acl = acl.map_or(Ok(None), |acl| self.kept(acl))?;
        let parent_path = split(&named).0.to_string();
        self.permitted(&parent_path, may::CREATE)?;
        let parent = self.nodes.get_mut(&parent_path).ok_or(code::NO_NODE)?;
        let path = if sequential { format!("{path}{:010}", parent.created) } else { named };
        let parent_owner = parent.stat.ephemeral_owner;
        if self.nodes.contains_key(&path) {
            return Err(code::NODE_EXISTS);
        }
        if parent_owner != 0 {
            return Err(code::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let zxid = Zxid(stamp.zxid);
        let stat = Stat {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: stamp.time_ms,
            mtime: stamp.time_ms,
            ephemeral_owner: owner.unwrap_or(0),
            ..Stat::default()
        };
        let node = Node { data: data.to_vec(), stat, acl, life, ..Node::default() };
        let stat = node.stat();
        if let Some(parent) = self.nodes.get_mut(&parent_path) {
            parent.created = parent.created.wrapping_add(1);
            parent.stat.pzxid = zxid;
            parent.children.insert(split(&path).1.to_string());
        }
        if let Some(owner) = owner {
            self.owned.entry(owner).or_default().insert(path.clone());
        }
        self.nodes.insert(path.clone(), node);
        self.event(stamp, WatchKind::Created, &path);
        self.event(stamp, WatchKind::ChildrenChanged, &parent_path);
        Ok(Brought::Created { path, stat })
    }

    fn remove(&mut self, stamp: Stamp, path: &str) {
        let Some(node) = self.nodes.remove(path) else { return };
        if let Some(owned) = self.owned.get_mut(&node.stat.ephemeral_owner) {
            owned.remove(path);
        }
        let acl = node.acl;
        let (parent_path, name) = split(path);
        if let Some(parent) = self.nodes.get_mut(parent_path) {
            parent.children.remove(name);
            parent.stat.pzxid = Zxid(stamp.zxid);
        }
        self.events.push(Event { zxid: stamp.zxid, kind: WatchKind::Deleted, path: path.to_string(), acl });
        self.event(stamp, WatchKind::ChildrenChanged, parent_path);
    }

    /// The list that a writer's list means; none if that is the open one.
    fn kept(&self, acl: &[Acl]) -> Result<Option<Arc<[Acl]>>, i32> {
        let Some(who) = &self.who else { return Ok(None) };
        let kept = access::kept(acl, who)?;
        Ok((kept != access::open()).then(|| kept.into()))
    }

    /// Whether the writer has one of the permissions on a node, if there is one.
    fn permitted(&self, path: &str, perms: u32) -> Result<(), i32> {
        match &self.who {
            Some(who) if perms != 0 && !self.lets(path, perms, who) => Err(code::NO_AUTH),
            _ => Ok(()),
        }
    }

    fn at_version(
        &mut self,
        path: &str,
        version: i32,
        perms: u32,
        of: impl Fn(&Stat) -> i32,
    ) -> Result<&mut Node, i32> {
        if !valid(path) {
            return Err(code::BAD_ARGUMENTS);
        }
        self.permitted(path, perms)?;
        let node = self.nodes.get_mut(path).ok_or(code::NO_NODE)?;
        if version != -1 && version != of(&node.stat) {
            return Err(code::BAD_VERSION);
        }
        Ok(node)
    }

    fn event(&mut self, stamp: Stamp, kind: WatchKind, path: &str) {
        let acl = self.nodes.get(path).and_then(|node| node.acl.clone());
        self.events.push(Event { zxid: stamp.zxid, kind, path: path.to_string(), acl });
    }
}

/// Parent and name.
pub(crate) fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((parent, name)) => (parent, name),
        None => ("/", path),
    }
}

/// Whether the server takes it for a path.
fn valid(path: &str) -> bool {
    let bad = |c: char| matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    let Some(rest) = path.strip_prefix('/') else { return false };
    path == "/" || !path.contains(bad) && rest.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zxid: i64) -> Stamp {
        Stamp { zxid, time_ms: 100 + zxid }
    }

    fn create(path: &str) -> Change<'_> {
        Change::Create { path, data: b"x", owner: None, sequential: false, life: Life::Ordinary, acl: None }
    }

    #[test]
    fn stats_follow_the_rules() {
        let mut tree = Tree::new();
        assert_eq!(tree.stat("/").map(|s| (s.cversion, s.num_children)), Some((-1, 1)));
        tree.apply(at(1), create("/a")).unwrap();
        tree.apply(at(2), create("/a/b")).unwrap();
        tree.apply(at(3), Change::Set { path: "/a", data: b"yy", version: 0 }).unwrap();
        tree.apply(at(4), Change::Delete { path: "/a/b", version: -1 }).unwrap();
        let stat = tree.stat("/a").unwrap();
        assert_eq!((stat.czxid.0, stat.mzxid.0, stat.pzxid.0, stat.ctime, stat.mtime), (1, 3, 4, 101, 103));
        assert_eq!((stat.version, stat.cversion, stat.data_length, stat.num_children), (1, 2, 2, 0));
        let kinds: Vec<_> = tree.events.iter().map(|e| (e.zxid, e.kind, e.path.as_str())).collect();
        use WatchKind::*;
        assert_eq!(
            kinds[..4],
            [(1, Created, "/a"), (1, ChildrenChanged, "/"), (2, Created, "/a/b"), (2, ChildrenChanged, "/a")]
        );
        assert_eq!(kinds[4..], [(3, DataChanged, "/a"), (4, Deleted, "/a/b"), (4, ChildrenChanged, "/a")]);
    }

    #[test]
    fn errors_come_in_order() {
        let mut tree = Tree::new();
        let owned = Change::Create {
            path: "/e",
            data: b"",
            owner: Some(7),
            sequential: false,
            life: Life::Ordinary,
            acl: None,
        };
        tree.apply(at(1), owned).unwrap();
        tree.apply(at(2), create("/a")).unwrap();
        tree.apply(at(3), create("/a/b")).unwrap();
        for (change, code) in [
            (create("a"), code::BAD_ARGUMENTS),
            (create("/a/"), code::BAD_ARGUMENTS),
            (create("/x/y"), code::NO_NODE),
            (create("/a"), code::NODE_EXISTS),
            (create("/e/x"), code::NO_CHILDREN_FOR_EPHEMERALS),
            (Change::Delete { path: "/a", version: 3 }, code::BAD_VERSION),
            (Change::Delete { path: "/a", version: 0 }, code::NOT_EMPTY),
            (Change::Delete { path: "/zookeeper", version: 0 }, code::BAD_ARGUMENTS),
            (Change::Set { path: "/q", data: b"", version: 0 }, code::NO_NODE),
        ] {
            assert_eq!(tree.apply(at(9), change), Err(code), "{change:?}");
        }
        tree.end_session(at(10), 7);
        assert_eq!(tree.stat("/e"), None);
    }

    #[test]
    fn counters_count_creates_and_multis_are_atomic() {
        let mut tree = Tree::new();
        let next =
            Change::Create { path: "/n-", data: b"", owner: None, sequential: true, life: Life::Ordinary, acl: None };
        for i in 0..3 {
            let made = tree.apply(at(i), next).unwrap();
            assert!(matches!(made, Brought::Created { path, .. } if path == format!("/n-{i:010}")));
        }
        tree.apply(at(4), Change::Delete { path: "/n-0000000001", version: -1 }).unwrap();
        let failed = tree.apply_all(at(5), &[next, Change::Check { path: "/none", version: -1 }]);
        assert_eq!(failed, Err((1, code::NO_NODE)));
        let made = tree.apply_all(at(6), &[next, next]).unwrap();
        assert!(matches!(&made[1], Brought::Created { path, .. } if path == "/n-0000000004"));
    }

    #[test]
    fn the_server_removes_containers_and_ttl_nodes_in_their_time() {
        let mut tree = Tree::new();
        let of = |path, life| Change::Create { path, data: b"", owner: None, sequential: false, life, acl: None };
        tree.apply(at(1), of("/c", Life::Container)).unwrap();
        tree.apply(at(2), of("/t", Life::Ttl(50))).unwrap();
        tree.reap(at(3), "/c");
        tree.apply(at(4), create("/c/x")).unwrap();
        tree.reap(at(5), "/c");
        assert!(tree.stat("/c").is_some(), "a container without a history, or with children, stays");
        tree.apply(at(6), Change::Delete { path: "/c/x", version: -1 }).unwrap();
        tree.reap(at(7), "/c");
        assert!(tree.stat("/c").is_none());
        tree.apply(at(20), Change::Set { path: "/t", data: b"1", version: -1 }).unwrap();
        tree.reap(at(70), "/t");
        assert_eq!(tree.due(170).count(), 0);
        assert_eq!(tree.due(171).collect::<Vec<_>>(), ["/t"]);
        tree.reap(at(71), "/t");
        assert!(tree.stat("/t").is_none());
    }

    #[test]
    fn permissions_are_those_of_the_parent_where_children_come_and_go() {
        let mut tree = Tree::new();
        let me: Arc<[Identity]> = Arc::from([Identity { scheme: "digest".into(), id: "me:x".into() }]);
        tree.who = Some(me);
        let acl = |perms| [Acl { perms, identity: Identity { scheme: "auth".into(), id: String::new() } }];
        let all = acl(may::ALL);
        let made = Change::Create {
            path: "/p",
            data: b"",
            owner: None,
            sequential: false,
            life: Life::Ordinary,
            acl: Some(&all),
        };
        tree.apply(at(1), made).unwrap();
        tree.apply(at(2), create("/p/open")).unwrap();
        tree.who = Some(Arc::from([]));
        for (change, code) in [
            (create("/p/x"), code::NO_AUTH),
            (Change::Set { path: "/p", data: b"", version: 9 }, code::NO_AUTH),
            (Change::Delete { path: "/p/open", version: 9 }, code::NO_AUTH),
            (Change::Delete { path: "/p/none", version: 9 }, code::NO_NODE),
            (Change::Check { path: "/p", version: 0 }, code::NO_AUTH),
            (Change::SetAcl { path: "/p", acl: &all, version: 0 }, code::INVALID_ACL),
            (Change::Delete { path: "/p", version: 0 }, code::NOT_EMPTY),
        ] {
            assert_eq!(tree.apply(at(9), change), Err(code), "{change:?}");
        }
        tree.apply(at(10), Change::Set { path: "/p/open", data: b"", version: 0 }).unwrap();
    }
}
