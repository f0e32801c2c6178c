//! Who waits for which change at this member. Watches are not replicated: a client that moves brings them along with
//! `SetWatches`.

use crate::io::{ConnectionId, Output, Request, WatchMode};
use crate::replica::Replica;
use std::collections::{BTreeMap, BTreeSet};
use synod_state::{Answer, Query};
use synod_types::command::Event;
use synod_types::znode::EventKind;
use synod_types::{ErrorCode, Mutant, Mutants, Zxid};

/// A table of registrations.
#[derive(Default)]
struct Table {
    by_path: BTreeMap<String, BTreeSet<ConnectionId>>,
    by_connection: BTreeMap<ConnectionId, BTreeSet<String>>,
}

impl Table {
    fn add(&mut self, connection: ConnectionId, path: String) {
        if self.by_connection.entry(connection).or_default().insert(path.clone()) {
            self.by_path.entry(path).or_default().insert(connection);
        }
    }

    fn has(&self, connection: ConnectionId, path: &str) -> bool {
        self.by_connection.get(&connection).is_some_and(|paths| paths.contains(path))
    }

    fn remove(&mut self, connection: ConnectionId, path: &str) -> bool {
        let Some(paths) = self.by_connection.get_mut(&connection) else { return false };
        let had = paths.remove(path);
        if paths.is_empty() {
            self.by_connection.remove(&connection);
        }
        if let Some(set) = self.by_path.get_mut(path) {
            set.remove(&connection);
            if set.is_empty() {
                self.by_path.remove(path);
            }
        }
        had
    }

    fn forget(&mut self, connection: ConnectionId) {
        for path in self.by_connection.remove(&connection).unwrap_or_default() {
            if let Some(set) = self.by_path.get_mut(&path) {
                set.remove(&connection);
                if set.is_empty() {
                    self.by_path.remove(&path);
                }
            }
        }
    }

    fn on(&self, path: &str) -> impl Iterator<Item = ConnectionId> + '_ {
        self.by_path.get(path).into_iter().flatten().copied()
    }

    /// Takes the one-shot registrations of a path.
    fn take(&mut self, path: &str) -> BTreeSet<ConnectionId> {
        let Some(set) = self.by_path.remove(path) else { return BTreeSet::new() };
        for connection in &set {
            if let Some(paths) = self.by_connection.get_mut(connection) {
                paths.remove(path);
                if paths.is_empty() {
                    self.by_connection.remove(connection);
                }
            }
        }
        set
    }

    fn len(&self) -> usize {
        self.by_connection.values().map(BTreeSet::len).sum()
    }
}

/// All registrations of a member.
#[derive(Default)]
pub(crate) struct Watches {
    /// One-shot: set by getData and exists.
    data: Table,
    /// One-shot: set by getChildren.
    child: Table,
    persistent: Table,
    recursive: Table,
}

impl Watches {
    pub fn len(&self) -> usize {
        self.data.len() + self.child.len() + self.persistent.len() + self.recursive.len()
    }

    /// Connections with registrations, and paths that have some.
    pub fn spread(&self) -> (usize, usize) {
        let tables = [&self.data, &self.child, &self.persistent, &self.recursive];
        let connections: BTreeSet<_> = tables.iter().flat_map(|t| t.by_connection.keys()).collect();
        let paths: BTreeSet<_> = tables.iter().flat_map(|t| t.by_path.keys()).collect();
        (connections.len(), paths.len())
    }

    pub fn is_empty(&self) -> bool {
        [&self.data, &self.child, &self.persistent, &self.recursive].iter().all(|t| t.by_path.is_empty())
    }

    /// The watch that a read asks for, by what it answered. A read that fails sets none, but for `exists` on an absent
    /// node.
    pub fn register(
        &mut self,
        connection: ConnectionId,
        query: Query,
        answer: &Result<Answer, ErrorCode>,
        mutants: Mutants,
    ) {
        match (query, answer) {
            (Query::Exists { path }, Ok(_) | Err(ErrorCode::NoNode)) | (Query::GetData { path }, Ok(_)) => {
                if mutants.on(Mutant::WatchLost) {
                    self.data.take(&path);
                }
                self.data.add(connection, path)
            }
            (Query::GetData { path }, Err(_)) if mutants.on(Mutant::WatchFailedRead) => self.data.add(connection, path),
            (Query::GetChildren { path }, Ok(_)) => self.child.add(connection, path),
            _ => {}
        }
    }

    pub fn add_persistent(&mut self, connection: ConnectionId, path: String, recursive: bool) {
        // A path has one mode a connection: the later call wins.
        self.persistent.remove(connection, &path);
        self.recursive.remove(connection, &path);
        match recursive {
            true => self.recursive.add(connection, path),
            false => self.persistent.add(connection, path),
        }
    }

    /// Whether there is such a watch; drops it with `remove`.
    pub fn on_path(&mut self, connection: ConnectionId, path: &str, mode: WatchMode, remove: bool) -> bool {
        let mut any = false;
        let tables = [
            (&mut self.child, WatchMode::Children),
            (&mut self.data, WatchMode::Data),
            (&mut self.persistent, WatchMode::Persistent),
            (&mut self.recursive, WatchMode::Recursive),
        ];
        for (table, of) in tables {
            if mode == of || mode == WatchMode::Any {
                any |= if remove { table.remove(connection, path) } else { table.has(connection, path) };
            }
        }
        any
    }

    pub fn forget(&mut self, connection: ConnectionId, mutants: Mutants) {
        for table in [&mut self.data, &mut self.child, &mut self.persistent] {
            table.forget(connection);
        }
        if !mutants.on(Mutant::WatchOutlives) {
            self.recursive.forget(connection);
        }
    }

    /// Who hears of an event; each connection once. One-shot registrations that it answers are used up.
    pub fn trigger(&mut self, event: &Event, mutants: Mutants) -> BTreeSet<ConnectionId> {
        let path = event.path.as_str();
        let mut told = BTreeSet::new();
        let lost = event.kind == EventKind::Created && mutants.on(Mutant::WatchCreatedLost);
        if event.kind != EventKind::ChildrenChanged && !lost {
            if mutants.on(Mutant::WatchTwice) {
                told.extend(self.data.on(path));
            } else {
                told.extend(self.data.take(path));
            }
            let mut at = path;
            loop {
                told.extend(self.recursive.on(at));
                at = match at.rfind('/') {
                    _ if at == "/" => break,
                    Some(0) => "/",
                    Some(end) => &at[..end],
                    None => break,
                };
            }
        }
        let of_children = match event.kind {
            EventKind::ChildrenChanged => true,
            EventKind::Deleted => !mutants.on(Mutant::WatchChildOnDelete),
            EventKind::DataChanged => mutants.on(Mutant::WatchChildOnSet),
            EventKind::Created => false,
        };
        if of_children {
            told.extend(self.child.take(path));
        }
        told.extend(self.persistent.on(path));
        if mutants.on(Mutant::WatchPersistentOnce) {
            self.persistent.take(path);
        }
        told
    }
}

impl Replica {
    /// Connections with watches, and paths that are watched.
    pub fn watch_spread(&self) -> (usize, usize) {
        self.watches.spread()
    }

    /// A client that comes back: what it missed is told at once, the rest is registered.
    pub(crate) fn set_watches(&mut self, connection: ConnectionId, request: Request, out: &mut Vec<Output>) {
        let Request::SetWatches { relative, data, exist, child, persistent, recursive } = request else { return };
        let zxid = self.state.zxid();
        let blind = self.config.mutants.on(Mutant::WatchSetWatchesZxid);
        let misses = self.config.mutants.on(Mutant::WatchSetWatchesCreated);
        let newer = |changed: Zxid| changed > relative && !blind;
        let mut event = |kind, path| out.push(Output::Event { connection, zxid, kind, path });
        for path in data {
            match self.state.stat(&path) {
                None => event(EventKind::Deleted, path),
                Some(stat) if newer(stat.mzxid) => event(EventKind::DataChanged, path),
                Some(_) => self.watches.data.add(connection, path),
            }
        }
        for path in exist {
            match self.state.stat(&path) {
                Some(_) if !misses => event(EventKind::Created, path),
                _ => self.watches.data.add(connection, path),
            }
        }
        for path in child {
            match self.state.stat(&path) {
                None => event(EventKind::Deleted, path),
                Some(stat) if newer(stat.pzxid) => event(EventKind::ChildrenChanged, path),
                Some(_) => self.watches.child.add(connection, path),
            }
        }
        for path in persistent {
            self.watches.add_persistent(connection, path, false);
        }
        for path in recursive {
            self.watches.add_persistent(connection, path, true);
        }
    }
}
