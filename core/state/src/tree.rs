//! The tree of znodes with its indexes and its share of the digest. Each change goes through here, so none of them can
//! be forgotten. What is allowed is decided in `write`.

use crate::acl::{AclList, AclTable};
use crate::digest;
use crate::key::{Key, KeyBuf};
use crate::map::Map;
use crate::znode::{DUE_NOW, Znode};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;
use synod_types::record::Lifetime;
use synod_types::{Acl, SessionId, Stat};

/// All znodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tree {
    nodes: Map<Key, Arc<Znode>>,
    acls: AclTable,
    /// The ephemeral nodes of each session.
    ephemerals: Map<(SessionId, Key), ()>,
    /// Containers and TTL nodes without children, by the time at which they are due.
    due: Map<(i64, Key), ()>,
    /// Bytes of paths and data.
    size: usize,
    digest: u128,
}

impl Tree {
    /// Without any node, not even the root.
    pub fn empty() -> Tree {
        Tree { nodes: Map::new(), acls: AclTable::new(), ephemerals: Map::new(), due: Map::new(), size: 0, digest: 0 }
    }

    pub fn node(&self, path: &str) -> Option<&Znode> {
        self.at(&KeyBuf::of(path)?)
    }

    pub fn at(&self, key: &KeyBuf) -> Option<&Znode> {
        self.nodes.get(key.bytes()).map(|node| &**node)
    }

    /// All nodes, parents before their children.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Znode)> {
        self.nodes.iter().map(|(key, node)| (key, &**node))
    }

    pub fn into_nodes(self) -> impl Iterator<Item = (Key, Arc<Znode>)> {
        self.nodes.into_iter()
    }

    /// The names of a node's children, in order.
    pub fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = String> + use<'a> {
        let prefix = KeyBuf::of_children(path);
        let keys = self.nodes.iter_from(Bound::Excluded(prefix.bytes())).map(|(key, _)| key);
        let offset = prefix.bytes().len();
        keys.take_while(move |key| key.bytes().starts_with(prefix.bytes())).map(move |key| key.text_from(offset))
    }

    /// Number of nodes below a node, at any depth.
    pub fn descendants(&self, path: &str) -> usize {
        if path == "/" {
            return self.nodes.len().saturating_sub(1);
        }
        let below = |separator: &str| {
            let prefix = [path, separator].concat().into_bytes();
            let from = self.nodes.iter_from(Bound::Included(&prefix[..]));
            from.take_while(|(key, _)| key.bytes().starts_with(&prefix)).count()
        };
        below("\0") + below("/")
    }

    /// The paths of a session's ephemeral nodes, in order.
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let from = (session, Key::least());
        let keys = self.ephemerals.iter_from(Bound::Included(&from)).map(|((owner, key), ())| (owner, key));
        let mut paths: Vec<String> = keys.take_while(|(owner, _)| **owner == session).map(|(_, k)| k.path()).collect();
        paths.sort_unstable();
        paths
    }

    /// The paths of the nodes that are due, the longest due first.
    pub fn due(&self, now_ms: i64) -> Vec<String> {
        let entries = self.due.iter().map(|((at, key), ())| (*at, key));
        entries.take_while(|(at, _)| *at == DUE_NOW || *at < now_ms).map(|(_, key)| key.path()).collect()
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.len()
    }

    pub fn size(&self) -> usize {
        self.size
    }

    pub fn digest(&self) -> u128 {
        self.digest
    }

    pub fn recompute_digest(&self) -> u128 {
        self.iter().fold(0, |sum: u128, (key, node)| sum.wrapping_add(digest::znode(key.bytes(), node)))
    }

    /// The first part in which two trees differ.
    pub fn difference(&self, other: &Tree) -> Option<&'static str> {
        let parts = [
            ("nodes", self.nodes == other.nodes),
            ("access control lists", self.acls == other.acls),
            ("index of ephemeral nodes", self.ephemerals == other.ephemerals),
            ("index of nodes that are due", self.due == other.due),
            ("sum of bytes", self.size == other.size),
            ("digest", self.digest == other.digest),
        ];
        parts.into_iter().find_map(|(part, same)| (!same).then_some(part))
    }

    pub fn acls(&self) -> &AclTable {
        &self.acls
    }

    /// The shared form of a list, for one more node that the caller then inserts or changes.
    pub fn acquire_acl(&mut self, entries: &[Acl]) -> AclList {
        self.acls.acquire(entries)
    }

    /// A new node. Its parent's counters are the caller's.
    pub fn insert(&mut self, key: &KeyBuf, node: Znode) {
        self.insert_shared(key, Arc::new(node));
    }

    fn insert_shared(&mut self, key: &KeyBuf, node: Arc<Znode>) {
        let key = Key::from(key);
        self.size += key.bytes().len() + node.data_len();
        self.digest = self.digest.wrapping_add(digest::znode(key.bytes(), &node));
        if let Lifetime::Ephemeral(session) = node.lifetime {
            self.ephemerals.insert((session, key.clone()), ());
        }
        if let Some(at) = node.due_at() {
            self.due.insert((at, key.clone()), ());
        }
        self.nodes.insert(key, node);
    }

    /// A node ceases to be. Its parent's counters are the caller's.
    pub fn remove(&mut self, key: &KeyBuf) {
        let Some(node) = self.nodes.remove(key.bytes()) else { return };
        let key = Key::from(key);
        self.size -= key.bytes().len() + node.data_len();
        self.digest = self.digest.wrapping_sub(digest::znode(key.bytes(), &node));
        self.acls.release(&node.acl);
        if let Some(at) = node.due_at() {
            self.due.remove(&(at, key.clone()));
        }
        if let Lifetime::Ephemeral(session) = node.lifetime {
            self.ephemerals.remove(&(session, key));
        }
    }

    /// Changes a node's counters and gives its new stat. Data and list have a way of their own, lifetimes never change.
    pub fn change(&mut self, key: &KeyBuf, change: impl FnOnce(&mut Znode)) -> Option<Stat> {
        let shared = self.nodes.get_mut(key.bytes())?;
        let node = Arc::make_mut(shared);
        let (hash_before, due_before) = (digest::stat(key.bytes(), node), node.due_at());
        change(node);
        let (hash, due, stat) = (digest::stat(key.bytes(), node), node.due_at(), node.stat());
        self.digest = self.digest.wrapping_sub(hash_before).wrapping_add(hash);
        if due_before != due {
            let key = Key::from(key);
            if let Some(at) = due_before {
                self.due.remove(&(at, key.clone()));
            }
            if let Some(at) = due {
                self.due.insert((at, key), ());
            }
        }
        Some(stat)
    }

    /// Replaces a node's data, changes its counters, and gives its new stat.
    pub fn replace_data(&mut self, key: &KeyBuf, data: Option<Bytes>, change: impl FnOnce(&mut Znode)) -> Option<Stat> {
        let (mut len_before, mut hash_before, mut hash) = (0, 0, 0);
        let len = data.as_ref().map_or(0, |d| d.len());
        let stat = self.change(key, |node| {
            len_before = node.data_len();
            hash_before = digest::data(key.bytes(), node.data.as_deref());
            node.data = data;
            hash = digest::data(key.bytes(), node.data.as_deref());
            change(node);
        })?;
        self.size = self.size + len - len_before;
        self.digest = self.digest.wrapping_sub(hash_before).wrapping_add(hash);
        Some(stat)
    }

    /// Replaces a node's access control list by one that was acquired, changes its counters, and gives its new stat.
    pub fn replace_acl(&mut self, key: &KeyBuf, acl: AclList, change: impl FnOnce(&mut Znode)) -> Option<Stat> {
        let mut old = None;
        let stat = self.change(key, |node| {
            old = Some(std::mem::replace(&mut node.acl, acl));
            change(node);
        });
        if let Some(old) = old {
            self.acls.release(&old);
        }
        stat
    }

    /// A planted bug: the index of ephemeral nodes is lost.
    pub fn forget_owners(&mut self) {
        self.ephemerals = Map::new();
    }

    /// A planted bug: bytes that are not there are counted.
    pub fn miscount(&mut self, bytes: usize) {
        self.size += bytes;
    }

    /// A node as it is now, to put back later.
    pub fn remember(&self, path: &str) -> Before {
        let key = KeyBuf::of(path);
        let node = key.as_ref().and_then(|key| self.nodes.get(key.bytes()).cloned());
        Before { key, node }
    }

    /// Makes a node what it was, whatever happened to it since.
    pub fn put_back(&mut self, before: Before) {
        let Some(key) = before.key else { return };
        self.remove(&key);
        if let Some(node) = before.node {
            self.acls.acquire(node.acl.entries());
            self.insert_shared(&key, node);
        }
    }
}

/// What a node was at some moment, or that there was none.
pub struct Before {
    key: Option<KeyBuf>,
    node: Option<Arc<Znode>>,
}
