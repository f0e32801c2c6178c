//! What a client's writes do to the tree, and in which order they are refused.
//! Source: ZooKeeper 3.9, `PrepRequestProcessor`, `DataTree`.

use crate::acl::{self, AclList};
use crate::key::KeyBuf;
use crate::path;
use crate::planted::Planted;
use crate::tree::{Before, Tree};
use crate::znode::Znode;
use bytes::Bytes;
use synod_types::command::{Event, Written};
use synod_types::record::Lifetime;
use synod_types::znode::{CreateMode, EventKind, perms};
use synod_types::{Acl, ErrorCode, Identity, Mutant, SessionId, WriteOp, Zxid};

/// Longest life of a TTL node, exclusive: 40 bits of milliseconds.
const TTL_MS_END: u64 = 1 << 40;

/// One transaction on the tree.
pub struct Transaction<'a> {
    pub tree: &'a mut Tree,
    pub events: &'a mut Vec<Event>,
    pub zxid: Zxid,
    pub time_ms: i64,
    pub planted: Planted,
}

/// Who writes.
#[derive(Clone, Copy)]
pub struct Author<'a> {
    pub session: SessionId,
    pub identities: &'a [Identity],
}

impl Transaction<'_> {
    /// All operations or none. Each result is its own success or, when one fails, what the protocol says of each.
    /// (Going back to a clone of the tree would be simpler, but makes each successful multi copy what it touches.)
    pub fn multi(&mut self, author: Author<'_>, ops: &[WriteOp]) -> Vec<Result<Written, Option<ErrorCode>>> {
        let events_before = self.events.len();
        let mut before = Vec::with_capacity(2 * ops.len());
        let mut results = Vec::with_capacity(ops.len());
        for (position, op) in ops.iter().enumerate() {
            self.remember(op, &mut before);
            match self.single(author, op, true) {
                Ok(written) => results.push(Ok(written)),
                Err(error) => {
                    if !self.planted.on(Mutant::StateMultiNotAtomic) {
                        before.into_iter().rev().for_each(|node| self.tree.put_back(node));
                        if !self.planted.on(Mutant::WatchFailedMulti) {
                            self.events.truncate(events_before);
                        }
                    }
                    let told = self.planted.on(Mutant::ZkMultiErrors).then_some(ErrorCode::RuntimeInconsistency);
                    results = vec![Err(told); position];
                    results.push(Err(Some(error)));
                    results.resize(ops.len(), Err(Some(ErrorCode::RuntimeInconsistency)));
                    return results;
                }
            }
        }
        results
    }

    /// Keeps all nodes that an operation may change.
    fn remember(&self, op: &WriteOp, before: &mut Vec<Before>) {
        let (path, parent_too) = match op {
            WriteOp::Create { path, mode, .. } if mode.sequential() => {
                let counter = self.tree.node(path::parent(path)).map_or(0, |parent| self.suffix(parent));
                (&numbered(path, counter), true)
            }
            WriteOp::Create { path, .. } | WriteOp::Delete { path, .. } => (path, true),
            WriteOp::SetData { path, .. } | WriteOp::SetAcl { path, .. } => (path, false),
            WriteOp::Check { .. } | WriteOp::Refused { .. } | WriteOp::Multi { .. } => return,
        };
        if parent_too && !self.planted.on(Mutant::StateMultiLeaksParent) {
            before.push(self.tree.remember(path::parent(path)));
        }
        before.push(self.tree.remember(path));
    }

    /// The counter that the next sequential child is named by.
    fn suffix(&self, parent: &Znode) -> i32 {
        if self.planted.on(Mutant::StateSequenceReuse) { parent.children } else { parent.cversion }
    }

    /// One operation. An error leaves everything as it was.
    pub fn single(&mut self, author: Author<'_>, op: &WriteOp, in_multi: bool) -> Result<Written, ErrorCode> {
        match op {
            WriteOp::Create { path, data, acl, mode } => {
                self.create(author, path, data.as_ref(), acl.as_deref(), *mode)
            }
            WriteOp::Refused { error } => Err(*error),
            WriteOp::Delete { path, version } => self.delete(author, path, *version),
            WriteOp::SetData { path, data, version } => self.set_data(author, path, data.as_ref(), *version, in_multi),
            WriteOp::SetAcl { path, acl, version } => self.set_acl(author, path, acl.as_deref(), *version),
            WriteOp::Check { path, version } if in_multi => self.check(author, path, *version),
            WriteOp::Check { .. } => Err(ErrorCode::Unimplemented),
            WriteOp::Multi { .. } => Err(ErrorCode::MarshallingError),
        }
    }

    fn create(
        &mut self,
        author: Author<'_>,
        path: &str,
        data: Option<&Bytes>,
        acl: Option<&[Acl]>,
        mode: CreateMode,
    ) -> Result<Written, ErrorCode> {
        let lifetime = lifetime(mode, author.session)?;
        let valid = if mode.sequential() { path::valid(&format!("{path}1")) } else { path::valid(path) };
        if !valid {
            return Err(ErrorCode::BadArguments);
        }
        let acl = Wanted::of(self.tree, acl, author.identities)?;
        let parent_path = path::parent(path);
        let (parent_key, parent) = self.existing(parent_path)?;
        if !parent.acl.permits(perms::CREATE, author.identities) {
            return Err(ErrorCode::NoAuth);
        }
        let path = if mode.sequential() { numbered(path, self.suffix(parent)) } else { path.to_string() };
        let key = KeyBuf::of(&path).ok_or(ErrorCode::BadArguments)?;
        if self.tree.at(&key).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(parent.lifetime, Lifetime::Ephemeral(_)) && !self.planted.on(Mutant::StateEphemeralChildren) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let parent_acl = parent.acl.clone();
        let acl = acl.acquire(self.tree);
        let data = data.map(own).or_else(|| self.planted.on(Mutant::StateNullIsEmpty).then(Bytes::new));
        let node = Znode::new(data, acl.clone(), lifetime, self.zxid, self.stamp());
        let stat = node.stat();
        self.tree.insert(&key, node);
        let zxid = self.zxid;
        self.tree.change(&parent_key, |parent| {
            parent.cversion = parent.cversion.wrapping_add(1);
            parent.children += 1;
            parent.pzxid = zxid;
        });
        self.tell(EventKind::Created, &path, acl);
        self.tell(EventKind::ChildrenChanged, parent_path, parent_acl);
        Ok(Written::Created { path, stat })
    }

    fn delete(&mut self, author: Author<'_>, path: &str, version: i32) -> Result<Written, ErrorCode> {
        if path::system(path) || !path::valid(path) {
            return Err(ErrorCode::BadArguments);
        }
        let (_, parent) = self.existing(path::parent(path))?;
        let (_, node) = self.existing(path)?;
        let asked = if self.planted.on(Mutant::StateDeleteAsksNode) { node } else { parent };
        if !asked.acl.permits(perms::DELETE, author.identities) {
            return Err(ErrorCode::NoAuth);
        }
        if self.planted.on(Mutant::StateErrorOrder) && node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.expect_version(version, node.version)?;
        if node.children > 0 && !self.planted.on(Mutant::StateDeleteNotEmpty) {
            return Err(ErrorCode::NotEmpty);
        }
        self.remove(path);
        Ok(Written::Deleted)
    }

    fn set_data(
        &mut self,
        author: Author<'_>,
        path: &str,
        data: Option<&Bytes>,
        version: i32,
        in_multi: bool,
    ) -> Result<Written, ErrorCode> {
        let asked = if self.planted.on(Mutant::StateAclIgnored) { perms::ALL } else { perms::WRITE };
        let (key, node) = self.permitted(author, path, asked)?;
        if !self.planted.on(Mutant::StateVersionIgnored) {
            self.expect_version(version, node.version)?;
        }
        let (acl, replaced) = (node.acl.clone(), node.data_len());
        let (zxid, time_ms) = (self.zxid, self.stamp());
        let keeps_mzxid = in_multi && self.planted.on(Mutant::StateMultiSetMzxid);
        let stat = self.tree.replace_data(&key, data.map(own), |node| {
            node.version = node.version.wrapping_add(1);
            node.mzxid = if keeps_mzxid { node.mzxid } else { zxid };
            node.mtime = time_ms;
        });
        if self.planted.on(Mutant::StateSizeKept) {
            self.tree.miscount(replaced);
        }
        self.tell(EventKind::DataChanged, path, acl);
        Ok(Written::Set { stat: stat.ok_or(ErrorCode::NoNode)? })
    }

    fn set_acl(
        &mut self,
        author: Author<'_>,
        path: &str,
        acl: Option<&[Acl]>,
        version: i32,
    ) -> Result<Written, ErrorCode> {
        if !path::valid(path) {
            return Err(ErrorCode::BadArguments);
        }
        let acl = Wanted::of(self.tree, acl, author.identities)?;
        let (key, node) = self.permitted(author, path, perms::ADMIN)?;
        self.expect_version(version, node.aversion)?;
        let acl = acl.acquire(self.tree);
        if self.planted.on(Mutant::StateListOutlives) {
            let old = self.tree.at(&key).map(|node| node.acl.entries().clone()).unwrap_or_default();
            self.tree.acquire_acl(&old);
        }
        let stat = self.tree.replace_acl(&key, acl, |node| node.aversion = node.aversion.wrapping_add(1));
        Ok(Written::Set { stat: stat.ok_or(ErrorCode::NoNode)? })
    }

    fn check(&mut self, author: Author<'_>, path: &str, version: i32) -> Result<Written, ErrorCode> {
        let (_, node) = self.permitted(author, path, perms::READ)?;
        if !self.planted.on(Mutant::StateCheckIgnored) {
            self.expect_version(version, node.version)?;
        }
        Ok(Written::Checked)
    }

    /// Deletes a childless node and tells of it. The road of clients' deletes, of ending sessions and of the reaper.
    pub fn remove(&mut self, path: &str) {
        let Some(key) = KeyBuf::of(path) else { return };
        let Some(acl) = self.tree.at(&key).map(|node| node.acl.clone()) else { return };
        self.tree.remove(&key);
        self.tell(EventKind::Deleted, path, acl);
        let parent_path = path::parent(path);
        let Ok((parent_key, parent)) = self.existing(parent_path) else { return };
        let parent_acl = parent.acl.clone();
        let (zxid, keep_pzxid) = (self.zxid, self.planted.on(Mutant::StateCversionOnDelete));
        self.tree.change(&parent_key, |parent| {
            parent.children -= 1;
            if !keep_pzxid {
                parent.pzxid = zxid;
            }
        });
        self.tell(EventKind::ChildrenChanged, parent_path, parent_acl);
    }

    fn existing(&self, path: &str) -> Result<(KeyBuf, &Znode), ErrorCode> {
        let key = KeyBuf::of(path).ok_or(ErrorCode::NoNode)?;
        let node = self.tree.at(&key).ok_or(ErrorCode::NoNode)?;
        Ok((key, node))
    }

    /// The node of a valid path on which the author has the permission.
    fn permitted(&self, author: Author<'_>, path: &str, perms: u32) -> Result<(KeyBuf, &Znode), ErrorCode> {
        if !path::valid(path) {
            return Err(ErrorCode::BadArguments);
        }
        let (key, node) = self.existing(path)?;
        if !node.acl.permits(perms, author.identities) {
            return Err(ErrorCode::NoAuth);
        }
        Ok((key, node))
    }

    /// -1 is any version, also for a node whose version has wrapped to -1.
    fn expect_version(&self, expected: i32, actual: i32) -> Result<(), ErrorCode> {
        let any = expected == -1 || expected < 0 && self.planted.on(Mutant::StateNegativeVersions);
        if any || expected == actual { Ok(()) } else { Err(ErrorCode::BadVersion) }
    }

    fn tell(&mut self, kind: EventKind, path: &str, acl: AclList) {
        self.events.push(Event { zxid: self.zxid, kind, path: path.to_string(), acl: acl.entries().clone() });
    }

    /// The time that nodes are stamped with.
    fn stamp(&self) -> i64 {
        if self.planted.on(Mutant::StateLocalClock) {
            self.time_ms + i64::from(self.planted.member)
        } else {
            self.time_ms
        }
    }
}

/// A list that was found well formed but belongs to no node yet.
enum Wanted {
    Shared(AclList),
    New(Vec<Acl>),
}

impl Wanted {
    fn of(tree: &Tree, acl: Option<&[Acl]>, identities: &[Identity]) -> Result<Wanted, ErrorCode> {
        let open = tree.acls().open();
        match acl {
            Some(entries) if *entries == **open.entries() => Ok(Wanted::Shared(open)),
            _ => acl::fixup(acl, identities).map(Wanted::New),
        }
    }

    fn acquire(self, tree: &mut Tree) -> AclList {
        match self {
            Wanted::Shared(list) => list,
            Wanted::New(entries) => tree.acquire_acl(&entries),
        }
    }
}

fn lifetime(mode: CreateMode, session: SessionId) -> Result<Lifetime, ErrorCode> {
    match mode {
        CreateMode::Persistent | CreateMode::PersistentSequential => Ok(Lifetime::Persistent),
        CreateMode::Ephemeral | CreateMode::EphemeralSequential => Ok(Lifetime::Ephemeral(session)),
        CreateMode::Container => Ok(Lifetime::Container),
        CreateMode::PersistentTtl { ttl_ms } | CreateMode::PersistentSequentialTtl { ttl_ms } => {
            if (1..TTL_MS_END).contains(&ttl_ms) { Ok(Lifetime::Ttl { ttl_ms }) } else { Err(ErrorCode::BadArguments) }
        }
    }
}

/// The name of a sequential node. Ten digits, and after 2^31 creates a sign.
fn numbered(path: &str, counter: i32) -> String {
    format!("{path}{counter:010}")
}

/// A copy of its own: what arrives is a slice of a frame or of a whole batch, which the tree must not keep alive.
fn own(data: &Bytes) -> Bytes {
    Bytes::copy_from_slice(data)
}
