//! What ZooKeeper promises of watches. One-shot ones: each registration fires at most once, at the first matching change
//! after it; the event is on the connection before any reply at or above its zxid; none is lost while the connection
//! lives, and a new connection's `SetWatches` makes up for what was missed. Those that stay (`AddWatch`) hear of every
//! matching change from their registration on. Nobody hears of a change of a node that he may not read; a one-shot watch
//! is used up by it all the same. One change is told once, whatever number of watches waits for it.
//!
//! Each connection is walked in the order in which things came in, with the table of watches its server must have.
//! Where a history has no ground truth and a write of unknown outcome may have touched a path, that path is left out
//! from then on.
//!
//! Rules: `unregistered`, `zxid_order`, `wrong_change`, `after_reply`, `lost`, `registered`.

use super::Replay;
use crate::access::{self, may};
use crate::finding::{Finding, Severity, seconds};
use crate::history::{History, Request, WatchEvent, WatchKind};
use crate::tree::code;
use std::collections::BTreeMap;
use synod_types::Zxid;

const ORACLE: &str = "watches";

/// Checks a history.
pub fn check(history: &History) -> Vec<Finding> {
    check_replayed(history, &Replay::of(history))
}

/// What a watch waits for: changes of the node, or of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Data,
    Children,
}

impl Table {
    fn matches(self, kind: WatchKind) -> bool {
        match self {
            Table::Data => kind != WatchKind::ChildrenChanged,
            Table::Children => matches!(kind, WatchKind::ChildrenChanged | WatchKind::Deleted),
        }
    }
}

/// Something that came in on a connection.
enum Came<'a> {
    Reply(usize),
    Event(&'a WatchEvent),
}

/// A change that `SetWatches` must report.
struct Missed {
    kind: WatchKind,
    path: String,
    /// The connection's next reply after that of `SetWatches` must find it delivered.
    replies: u32,
    delivered: bool,
}

pub(super) fn check_replayed(history: &History, replay: &Replay) -> Vec<Finding> {
    let mut streams: BTreeMap<u64, Vec<(u64, Came<'_>)>> = BTreeMap::new();
    for (i, operation) in history.operations.iter().enumerate() {
        if let (Some(position), true) = (operation.position, operation.acknowledged()) {
            streams.entry(operation.connection).or_default().push((position, Came::Reply(i)));
        }
    }
    for event in &history.watches {
        streams.entry(event.connection).or_default().push((event.position, Came::Event(event)));
    }
    let ended = history.ended();
    let mut findings = Vec::new();
    for (connection, mut stream) in streams {
        stream.sort_by_key(|(position, _)| *position);
        let alive = history.header.quiescent && !ended.contains(&connection);
        let walk = Walk {
            history,
            replay,
            connection,
            watches: BTreeMap::new(),
            due: BTreeMap::new(),
            standing: BTreeMap::new(),
            expected: BTreeMap::new(),
            hidden: BTreeMap::new(),
            by: None,
            missed: Vec::new(),
            late: Vec::new(),
            last_zxid: 0,
            findings: &mut findings,
        };
        walk.run(&stream, alive);
    }
    findings
}

struct Walk<'a> {
    history: &'a History,
    replay: &'a Replay,
    connection: u64,
    /// The server's table: registered at this zxid.
    watches: BTreeMap<(Table, String), i64>,
    /// When the first matching change of a registration comes: zxid, then the registration.
    due: BTreeMap<(i64, Table, String), WatchKind>,
    /// Watches that stay, and whether they hear of what is below.
    standing: BTreeMap<String, bool>,
    /// What they must tell: zxid, then an order of our own.
    expected: BTreeMap<(i64, usize), (WatchKind, String)>,
    /// Registrations that a change uses up of which the client does not hear, and when.
    hidden: BTreeMap<(Table, String), i64>,
    /// The operation that was answered last: tells who the client is.
    by: Option<usize>,
    missed: Vec<Missed>,
    /// Events whose replies came first: they may still arrive, which is another finding than a loss.
    late: Vec<(i64, WatchKind, String, usize)>,
    last_zxid: i64,
    findings: &'a mut Vec<Finding>,
}

impl Walk<'_> {
    fn run(mut self, stream: &[(u64, Came<'_>)], alive: bool) {
        // Events of `SetWatches` come before its reply, so its reply is looked up from them.
        for (at, (_, came)) in stream.iter().enumerate() {
            match came {
                Came::Reply(i) => self.reply(*i),
                Came::Event(event) => {
                    let set_watches = stream[at..].iter().find_map(|(_, came)| match came {
                        Came::Reply(i) => Some(*i),
                        Came::Event(_) => None,
                    });
                    self.event(event, set_watches);
                }
            }
        }
        for (zxid, kind, path, i) in std::mem::take(&mut self.late) {
            let operation = &self.history.operations[i];
            let sentence = format!(
                "connection {}: {kind:?} at zxid {} never came, although the reply at {} shows zxid {}",
                self.connection,
                Zxid(zxid),
                operation.return_ns.map_or("?".into(), seconds),
                Zxid(operation.zxid)
            );
            self.found("lost", (&path, zxid), sentence, Severity::Safety, Some(i));
        }
        if !alive {
            return;
        }
        let standing =
            std::mem::take(&mut self.expected).into_iter().map(|((zxid, _), (kind, path))| (zxid, path, kind));
        let once = std::mem::take(&mut self.due).into_iter().map(|((zxid, _, path), kind)| (zxid, path, kind));
        for (zxid, path, kind) in once.chain(standing) {
            let sentence = format!(
                "connection {}: {kind:?} at zxid {} never came, although the connection lived to the end",
                self.connection,
                Zxid(zxid)
            );
            self.found("lost", (&path, zxid), sentence, Severity::Liveness, None);
        }
    }

    /// Something wrong, as what happened up to a zxid shows.
    fn found(
        &mut self,
        rule: &str,
        (path, zxid): (&str, i64),
        sentence: String,
        severity: Severity,
        operation: Option<usize>,
    ) {
        if !self.replay.clouds.over(path, zxid) {
            let finding = Finding::safety(ORACLE, rule, path, sentence).severity(severity).operations(operation);
            self.findings.push(finding);
        }
    }

    fn changes(&self, path: &str) -> &[(i64, WatchKind)] {
        self.replay.timeline.get(path).map_or(&[], |changes| changes)
    }

    fn register(&mut self, table: Table, path: &str, zxid: i64) {
        let key = (table, path.to_string());
        if self.watches.contains_key(&key) {
            return;
        }
        let changes = self.changes(path);
        let later = changes.partition_point(|(at, _)| *at <= zxid);
        if let Some((at, kind)) = changes[later..].iter().find(|(_, kind)| table.matches(*kind)).copied() {
            if !self.hears((at, kind, path)) {
                self.hidden.insert(key, at);
                return;
            }
            self.due.insert((at, table, path.to_string()), kind);
        }
        self.watches.insert(key, zxid);
    }

    /// Whether the client may hear of a change.
    fn hears(&self, (zxid, kind, path): (i64, WatchKind, &str)) -> bool {
        let Some(acl) = self.replay.listeners.get(&(zxid, kind, path.to_string())) else { return true };
        let who = self.by.and_then(|i| self.replay.who.at(i));
        who.is_none_or(|who| access::grants(acl, may::READ, who))
    }

    /// Whether there is a one-shot watch at the moment of a reply.
    fn has(&self, table: Table, path: &str, zxid: i64) -> bool {
        let key = (table, path.to_string());
        self.watches.contains_key(&key) || self.hidden.get(&key).is_some_and(|used| *used > zxid)
    }

    /// What the watches that stay will have to tell, after a reply at this zxid.
    fn expect(&mut self, zxid: i64) {
        self.expected.retain(|(at, _), _| *at <= zxid);
        let mut seen = BTreeMap::new();
        for (watched, recursive) in &self.standing {
            let below = if watched == "/" { "/".to_string() } else { format!("{watched}/") };
            let deeper = self.replay.timeline.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
            let itself = self.replay.timeline.get_key_value(watched);
            let paths = itself.into_iter().chain(deeper.filter(|(path, _)| *recursive && *path != watched));
            for (path, changes) in paths {
                let of_children = |kind| kind == WatchKind::ChildrenChanged;
                for (nth, (at, kind)) in changes.iter().enumerate().filter(|(_, (at, _))| *at > zxid) {
                    if !(*recursive && of_children(*kind)) && self.hears((*at, *kind, path)) {
                        seen.insert((*at, path.clone(), nth), *kind);
                    }
                }
            }
        }
        for (order, ((at, path, _), kind)) in seen.into_iter().enumerate() {
            self.expected.insert((at, order), (kind, path));
        }
    }

    /// `CheckWatches` and `RemoveWatches`.
    fn watching(&mut self, i: usize, path: &str, kind: i32, remove: bool) {
        let operation = &self.history.operations[i];
        let any = kind == 3;
        let once = [(1, Table::Children), (2, Table::Data)].map(|(number, table)| (any || kind == number, table));
        let standing = self.standing.get(path).is_some_and(|recursive| any || kind == 4 + i32::from(*recursive));
        let has = standing || once.iter().any(|(meant, table)| *meant && self.has(*table, path, operation.zxid));
        let told = match operation.error() {
            None => true,
            Some(code::NO_WATCHER) => false,
            Some(_) => return,
        };
        if told != has {
            let what = if has { "there is one" } else { "there is none" };
            let (connection, name) = (self.connection, operation.request.name());
            let sentence = format!("connection {connection}: {name} of kind {kind} on {path} said {told}, {what}");
            self.found("registered", (path, operation.zxid), sentence, Severity::Safety, Some(i));
        }
        if !remove {
            return;
        }
        for (_, table) in once.into_iter().filter(|(meant, _)| *meant) {
            let key = (table, path.to_string());
            self.watches.remove(&key);
            self.hidden.remove(&key);
            self.due.retain(|(_, t, p), _| *t != table || p != path);
        }
        if standing {
            self.standing.remove(path);
            self.expect(operation.zxid);
        }
    }

    fn reply(&mut self, i: usize) {
        let operation = &self.history.operations[i];
        for missed in &mut self.missed {
            missed.replies += 1;
        }
        let overdue = self.missed.extract_if(.., |m| m.replies > 1);
        for Missed { kind, path, delivered, .. } in overdue.collect::<Vec<_>>() {
            if !delivered {
                let sentence = format!(
                    "connection {}: set watches did not report {kind:?}, which the client had missed",
                    self.connection
                );
                self.found("lost", (&path, i64::MAX), sentence, Severity::Safety, Some(i));
            }
        }
        // What happened up to this reply's zxid must have been delivered.
        if operation.zxid > 0 {
            while let Some(entry) = self.due.first_entry()
                && entry.key().0 <= operation.zxid
            {
                let ((zxid, table, path), kind) = entry.remove_entry();
                self.watches.remove(&(table, path.clone()));
                self.late.push((zxid, kind, path, i));
            }
            while let Some(entry) = self.expected.first_entry()
                && entry.key().0 <= operation.zxid
            {
                let ((zxid, _), (kind, path)) = entry.remove_entry();
                if !self.late.iter().any(|(z, k, p, _)| (*z, *k, p) == (zxid, kind, &path)) {
                    self.late.push((zxid, kind, path, i));
                }
            }
        }
        self.by = Some(i);
        let zxid = operation.zxid;
        let found = operation.reply().is_some();
        match &operation.request {
            Request::GetData { path, watch: true } if found => self.register(Table::Data, path, zxid),
            Request::Exists { path, watch: true } if found || operation.error() == Some(crate::tree::code::NO_NODE) => {
                self.register(Table::Data, path, zxid)
            }
            Request::GetChildren { path, watch: true } if found => self.register(Table::Children, path, zxid),
            Request::AddWatch { path, recursive } if found => {
                self.standing.insert(path.clone(), *recursive);
                self.expect(zxid);
            }
            Request::Watching { path, kind, remove } => self.watching(i, path, *kind, *remove),
            Request::SetWatches { persistent, recursive, .. } if found => {
                self.standing.extend(persistent.iter().map(|path| (path.clone(), false)));
                self.standing.extend(recursive.iter().map(|path| (path.clone(), true)));
                self.expect(zxid);
                for (table, path, kind) in self.set_watches(i) {
                    match kind {
                        None => self.register(table, &path, zxid),
                        Some(kind) => {
                            if !self.missed.iter().any(|m| m.kind == kind && m.path == path) {
                                let delivered = self.delivered_before(i, kind, &path);
                                self.missed.push(Missed { kind, path, replies: 0, delivered });
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether an event came on this connection before the reply of a `SetWatches`.
    fn delivered_before(&self, i: usize, kind: WatchKind, path: &str) -> bool {
        let position = self.history.operations[i].position;
        self.history
            .watches
            .iter()
            .any(|w| w.connection == self.connection && Some(w.position) < position && w.kind == kind && w.path == path)
    }

    /// What `SetWatches` does with each path at the zxid of its reply: reports a change or registers.
    fn set_watches(&self, i: usize) -> Vec<(Table, String, Option<WatchKind>)> {
        let operation = &self.history.operations[i];
        let Request::SetWatches { relative_zxid, data, exist, child, .. } = &operation.request else {
            return Vec::new();
        };
        let mut result = Vec::new();
        let state = |path: &str| {
            let mut now = (crate::tree::SYSTEM.contains(&path), 0, 0);
            for (at, kind) in self.changes(path).iter().take_while(|(at, _)| *at <= operation.zxid) {
                match kind {
                    WatchKind::Created => now = (true, *at, *at),
                    WatchKind::Deleted => now = (false, 0, 0),
                    WatchKind::DataChanged => now.1 = *at,
                    WatchKind::ChildrenChanged => now.2 = *at,
                }
            }
            now
        };
        for path in data {
            let (exists, mzxid, _) = state(path);
            let kind = match exists {
                false => Some(WatchKind::Deleted),
                true => (mzxid > *relative_zxid).then_some(WatchKind::DataChanged),
            };
            result.push((Table::Data, path.clone(), kind));
        }
        for path in exist {
            result.push((Table::Data, path.clone(), state(path).0.then_some(WatchKind::Created)));
        }
        for path in child {
            let (exists, _, pzxid) = state(path);
            let kind = match exists {
                false => Some(WatchKind::Deleted),
                true => (pzxid > *relative_zxid).then_some(WatchKind::ChildrenChanged),
            };
            result.push((Table::Children, path.clone(), kind));
        }
        result
    }

    fn event(&mut self, event: &WatchEvent, next_reply: Option<usize>) {
        let WatchEvent { kind, path, .. } = event;
        let when = seconds(event.time_ns);
        // One that `SetWatches` reports has no registration; its zxid says little.
        if let Some(missed) = self.missed.iter_mut().find(|m| !m.delivered && m.kind == *kind && m.path == *path) {
            missed.delivered = true;
            return;
        }
        let reports = |i| self.set_watches(i).iter().any(|(_, p, k)| p == path && *k == Some(*kind));
        if next_reply.is_some_and(reports) {
            return;
        }
        if event.zxid > 0 {
            if event.zxid < self.last_zxid {
                let sentence = format!(
                    "connection {}: {kind:?} at {when} has zxid {}, after an event of {}",
                    self.connection,
                    Zxid(event.zxid),
                    Zxid(self.last_zxid)
                );
                self.found("zxid_order", (path, event.zxid), sentence, Severity::Safety, None);
            }
            self.last_zxid = self.last_zxid.max(event.zxid);
        }
        let same = |zxid: i64| event.zxid <= 0 || event.zxid == zxid;
        if let Some(late) = self.late.iter().position(|(z, k, p, _)| k == kind && p == path && same(*z)) {
            let (zxid, _, _, i) = self.late.remove(late);
            self.late.retain(|(z, k, p, _)| !(k == kind && p == path && same(*z)));
            let sentence = format!(
                "connection {}: {kind:?} at zxid {} came at {when}, after a reply with zxid {}",
                self.connection,
                Zxid(zxid),
                Zxid(self.history.operations[i].zxid)
            );
            self.found("after_reply", (path, zxid), sentence, Severity::Safety, Some(i));
            return;
        }
        let mut registered = false;
        let is_it = |((zxid, _), (k, p)): (&(i64, usize), &(WatchKind, String))| k == kind && p == path && same(*zxid);
        let standing = self.expected.iter().find(|(at, what)| is_it((*at, *what))).map(|(at, _)| *at);
        let mut fits = standing.is_some_and(|at| self.expected.remove(&at).is_some());
        for table in [Table::Data, Table::Children] {
            let key = (table, path.clone());
            if !table.matches(*kind) || !self.watches.contains_key(&key) {
                continue;
            }
            registered = true;
            let due = self.due.iter().find(|((_, t, p), _)| *t == table && p == path);
            if let Some((due, expected)) = due
                && expected == kind
                && same(due.0)
            {
                fits = true;
                let due = due.clone();
                self.due.remove(&due);
                self.watches.remove(&key);
            }
        }
        if fits {
            return;
        }
        let (rule, what) = match registered {
            true => ("wrong_change", "is not the first change after the registration"),
            false => ("unregistered", "has no registration"),
        };
        let sentence =
            format!("connection {}: {kind:?} at zxid {} at {when} {what}", self.connection, Zxid(event.zxid));
        let until = if event.zxid > 0 { event.zxid } else { i64::MAX };
        self.found(rule, (path, until), sentence, Severity::Safety, None);
        if registered {
            // The server holds it for fired.
            for table in [Table::Data, Table::Children] {
                if table.matches(*kind) && self.watches.remove(&(table, path.clone())).is_some() {
                    self.due.retain(|(_, t, p), _| *t != table || p != path);
                }
            }
        }
    }
}
