//! The replay where nobody knows the log: the acknowledged writes in the order of their zxids, joined by those of
//! unknown outcome that reads give away. What the other unknown writes may have done is in `doubt`, but for creates
//! with a counter: what these may have named, and what the counter then is, is `clouded` from then on, and a mismatch
//! there is undecided, not wrong.

use super::doubt::{Effect, Life, created};
use super::log::{self, WriteResult};
use super::replay::{ORACLE, Replaying, seen, unmodelled, write_result};
use super::unknown::{Attributed, Window, windows};
use crate::finding::{Finding, Severity, seconds};
use crate::history::{MultiResult, Operation, Reply, Request, Response};
use crate::tree::{Brought, Change, Own, Stamp, split};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use synod_types::{Stat, Zxid};

/// Combinations of what several nodes may be beyond which a write is not decided.
const COMBINATIONS_MAX: usize = 1000;

/// A write on nodes that are something particular.
struct Tried {
    fits: bool,
    result: WriteResult,
    /// What the nodes in doubt are then.
    after: Vec<Life>,
}

impl<'a> Replaying<'a> {
    pub(super) fn acknowledged(&mut self, reads: &[usize]) {
        let operations = &self.history.operations;
        let Attributed { zxids, names } = Attributed::of(operations, reads);
        let windows = windows(operations);
        self.names = names;
        let mut steps: Vec<(i64, usize)> = Vec::new();
        for (i, operation) in operations.iter().enumerate() {
            let ends = matches!(operation.request, Request::CloseSession);
            if operation.acknowledged() && (operation.request.writes() || ends) && operation.zxid > 0 {
                steps.push((operation.zxid, i));
            } else if let Some(&(zxid, read)) = zxids.get(&i) {
                steps.push((zxid, i));
                self.in_window(i, zxid, read, windows[&i]);
            } else if let Some(&window) = windows.get(&i) {
                self.may_change(operation, window);
            }
        }
        self.may_end(&zxids);
        steps.sort();
        let logged = |i: usize| !write_result(&operations[i]).is_some_and(unmodelled);
        self.doubts.taken = steps.iter().filter(|(_, i)| logged(*i)).map(|(zxid, _)| *zxid).collect();
        let mut reads = reads.iter().peekable();
        let mut last = (i64::MIN, 0);
        for (zxid, i) in steps {
            if zxid == last.0 {
                let sentence = format!("operations {} and {i} have the same zxid {}", last.1, Zxid(zxid));
                self.found("zxid_unique", operations[i].request.path(), sentence, [last.1, i]);
            }
            last = (zxid, i);
            self.reads_before(&mut reads, zxid);
            self.write(zxid, i);
            self.keep_events();
        }
        self.reads_before(&mut reads, i64::MAX);
        if let Some(&first) = self.undecided.first() {
            let operation = &operations[first];
            let sentence = format!(
                "{} writes or reads could not be decided, as nothing tells whether and when some writes took effect; \
                 the first is {} {} of client {} called at {}",
                self.undecided.len(),
                operation.request.name(),
                operation.request.path(),
                operation.client,
                seconds(operation.call_ns),
            );
            let finding = Finding::safety(ORACLE, "undecided", "history", sentence).severity(Severity::Unknown);
            self.out.findings.push(finding.operations(self.undecided.iter().copied()));
        }
    }

    /// A write of unknown outcome that a read shows took effect when it could.
    fn in_window(&mut self, i: usize, zxid: i64, read: usize, window: Window) {
        if window.holds(zxid) {
            return;
        }
        let operation = &self.history.operations[i];
        let (rule, what) = match zxid <= window.after {
            true => ("write_floor", "before it was called"),
            false => ("session_fifo", "after a later write of its session"),
        };
        let sentence = format!(
            "{} of client {} (called {}, never answered) took effect at zxid {}, {what}: possible is between {} and {}",
            operation.request.name(),
            operation.client,
            seconds(operation.call_ns),
            Zxid(zxid),
            Zxid(window.after),
            Zxid(window.before),
        );
        self.found(rule, operation.request.path(), sentence, [i, read]);
    }

    /// What a write of unknown outcome may change.
    fn may_change(&mut self, operation: &'a Operation, window: Window) {
        for change in log::requested(operation.session, &operation.request) {
            let Some((path, sequential)) = change.touches() else { continue };
            self.out.clouds.add(path, sequential, window.after);
            let effect = match change {
                Change::Create { sequential: true, .. } => {
                    self.clouds.add(path, sequential, window.after);
                    self.doubts.add_child(split(path).0, true, window);
                    continue;
                }
                Change::Create { data, owner, .. } => Effect::Create { data, owner },
                Change::Set { data, version, .. } => Effect::Set { data, version },
                Change::Delete { version, .. } => Effect::Delete { version },
                Change::SetAcl { .. } | Change::Check { .. } | Change::Refused { .. } => continue,
            };
            self.doubts.add(path, effect, window);
        }
    }

    /// A session without an acknowledged end may have ended at any time after its last write, with its ephemeral nodes.
    fn may_end(&mut self, attributed: &BTreeMap<usize, (i64, usize)>) {
        let operations = &self.history.operations;
        let ends = |o: &Operation| matches!(o.request, Request::CloseSession);
        let closed: BTreeSet<i64> =
            operations.iter().filter(|o| ends(o) && o.acknowledged()).map(|o| o.session).collect();
        let mut last: BTreeMap<i64, i64> = BTreeMap::new();
        for (i, operation) in operations.iter().enumerate() {
            let told = operation.request.writes()
                && operation.acknowledged()
                && !write_result(operation).is_some_and(unmodelled);
            let zxid = if told { Some(operation.zxid) } else { attributed.get(&i).map(|(zxid, _)| *zxid) };
            let last = last.entry(operation.session).or_default();
            *last = zxid.unwrap_or(0).max(*last);
        }
        for (i, operation) in operations.iter().enumerate().filter(|(_, o)| !closed.contains(&o.session)) {
            let session = operation.session;
            let window = Window { after: last[&session], before: i64::MAX };
            for (at, change) in log::requested(session, &operation.request).iter().enumerate() {
                let Change::Create { path, owner: Some(_), sequential, .. } = *change else { continue };
                self.out.clouds.add(path, sequential, window.after);
                // What has no name was refused, or is clouded.
                if let Some(path) = self.name(i, at, change) {
                    self.doubts.add(path, Effect::End { session }, window);
                }
            }
        }
    }

    /// The node that one of the changes of a write is about, if it is known.
    fn name(&self, i: usize, at: usize, change: &Change<'a>) -> Option<&'a str> {
        let (path, sequential) = change.touches()?;
        match sequential {
            false => Some(path),
            true => {
                let told = super::blind::created(&self.history.operations[i], at);
                told.or_else(|| self.names.get(&(i, at)).copied())
            }
        }
    }

    /// Everything that a node in doubt may be at this zxid. Where that is too much, the node is clouded.
    fn lives(&mut self, path: &str, zxid: i64) -> Vec<Life> {
        let lives = self.doubts.lives(path, &self.tree, zxid);
        if self.doubts.cut(path) {
            self.clouds.add(path, false, zxid - 1);
        }
        lives
    }

    /// Whether a read saw what may be. The error says what it saw instead.
    pub(super) fn look(&mut self, i: usize) -> Result<(), String> {
        let history = self.history;
        let operation = &history.operations[i];
        let (path, zxid) = (operation.request.path(), operation.zxid);
        if let Some(children) = operation.reply().and_then(|r| r.children.as_ref()) {
            self.look_for(path, children, zxid);
        }
        if !self.doubts.over(path) {
            let result = seen(&self.tree, &self.softened(operation, zxid), self.times);
            if let (Ok(()), Some(stat)) = (&result, operation.reply().and_then(|r| r.stat.as_ref())) {
                self.see_counter(path, created(stat));
            }
            return result;
        }
        let lives = self.lives(path, zxid);
        let mut possible = Vec::new();
        let mut wrong = None;
        for life in &lives {
            let mut life = life.clone();
            let stat = operation.reply().and_then(|r| r.stat.as_ref());
            if stat.is_some_and(|stat| !life.narrow(stat, &self.doubts.taken)) {
                continue;
            }
            self.tree.put(path, life.own.as_ref());
            match seen(&self.tree, &self.softened(operation, zxid), self.times) {
                Ok(()) => possible.push(life),
                Err(what) => drop(wrong.get_or_insert(what)),
            }
        }
        let explained = !possible.is_empty();
        self.doubts.keep(path, &mut self.tree, zxid, if explained { possible } else { lives });
        match explained {
            true => Ok(()),
            false => Err(wrong.unwrap_or_else(|| format!("saw {:?} with impossible zxids", operation.response))),
        }
    }

    /// A certain node was seen to have been given so many children.
    fn see_counter(&mut self, path: &str, created: i32) {
        if let Some(own) = self.tree.own(path).filter(|own| own.created < created) {
            self.doubts.counted(path, created - own.created);
            self.tree.put(path, Some(&Own { created, ..own }));
        }
    }

    /// What a list of children tells of those in doubt.
    fn look_for(&mut self, parent: &str, children: &[String], zxid: i64) {
        for path in self.doubts.below(parent) {
            let name = split(&path).1;
            let listed = children.iter().any(|child| child == name);
            let mut lives = self.lives(&path, zxid);
            if lives.iter().any(|life| life.own.is_some() == listed) {
                lives.retain(|life| life.own.is_some() == listed);
            }
            self.doubts.keep(&path, &mut self.tree, zxid, lives);
        }
    }

    /// A read with what its stat shows of children as it is expected, where that may be.
    fn softened<'o>(&self, operation: &'o Operation, zxid: i64) -> Cow<'o, Operation> {
        let path = operation.request.path();
        let (Some(_), Some(expected)) = (self.doubts.slack(path, zxid), self.tree.stat(path)) else {
            return Cow::Borrowed(operation);
        };
        let mut operation = operation.clone();
        if let Some(Response::Ok(Reply { stat: Some(stat), .. })) = &mut operation.response {
            self.doubts.soften(path, zxid, stat, &expected);
        }
        Cow::Owned(operation)
    }

    /// A write with what its stats show of children as they are expected, where that may be.
    fn softened_write<'o>(
        &self,
        operation: &'o Operation,
        zxid: i64,
        changes: &[Change<'a>],
        result: &WriteResult,
    ) -> Cow<'o, Operation> {
        let expected = match result {
            WriteResult::Single(result) => std::slice::from_ref(result),
            WriteResult::Multi(results) => results,
            WriteResult::Done => &[],
        };
        let mut softened = Cow::Borrowed(operation);
        for (at, (change, expected)) in changes.iter().zip(expected).enumerate() {
            let (Change::Set { path, .. }, Ok(Brought::Set { stat: expected })) = (change, expected) else { continue };
            if self.doubts.slack(path, zxid).is_none() {
                continue;
            }
            if let Some(Response::Ok(reply)) = &mut softened.to_mut().response {
                let stat = match reply.multi.get_mut(at) {
                    Some(MultiResult::Set { stat }) => stat,
                    _ => &mut reply.stat,
                };
                if let Some(stat) = stat {
                    self.doubts.soften(path, zxid, stat, expected);
                }
            }
        }
        softened
    }

    fn write(&mut self, zxid: i64, i: usize) {
        let history = self.history;
        let operation = &history.operations[i];
        if matches!(operation.request, Request::CloseSession) {
            self.end(zxid, operation.session);
            return;
        }
        if write_result(operation).is_some_and(unmodelled) {
            return;
        }
        let changes = log::requested(operation.session, &operation.request);
        let doubtful = self.involved(i, &changes);
        let lives: Vec<Vec<Life>> = doubtful.iter().map(|path| self.lives(path, zxid - 1)).collect();
        let mut combinations = lives.iter().fold(1usize, |n, lives| n.saturating_mul(lives.len()));
        if combinations > COMBINATIONS_MAX {
            combinations = COMBINATIONS_MAX;
            doubtful.iter().for_each(|path| self.clouds.add(path, false, zxid - 1));
        }
        // What was refused changed nothing, whether it should have been refused or not.
        let refused = write_result(operation).is_some();
        let mut tried: Vec<(Vec<Life>, Tried)> = Vec::new();
        for n in 0..combinations {
            let mut rest = n;
            let choice = lives.iter().map(|lives| {
                let life = lives[rest % lives.len()].clone();
                rest /= lives.len();
                life
            });
            let mut choice: Vec<Life> = choice.collect();
            let undo = combinations > 1 || refused;
            let outcome = self.attempt(zxid, i, &changes, &doubtful, &mut choice, undo);
            tried.push((choice, outcome));
        }
        let fits = tried.iter().any(|(_, tried)| tried.fits);
        if combinations > 1 {
            if fits {
                tried.retain(|(_, tried)| tried.fits);
            }
            // Once more, to stay.
            if let Some((choice, _)) = tried.first_mut().filter(|_| !refused) {
                self.attempt(zxid, i, &changes, &doubtful, choice, false);
            }
        }
        for (at, path) in doubtful.iter().enumerate() {
            let lives = tried.iter().map(|(_, tried)| tried.after[at].clone()).collect();
            self.doubts.keep(path, &mut self.tree, zxid, lives);
        }
        if fits || !operation.acknowledged() {
            return;
        }
        let clouded = changes.iter().filter_map(Change::touches).any(|(path, _)| self.clouds.over(path, zxid));
        if clouded {
            self.undecided.push(i);
            return;
        }
        let path = operation.request.path();
        let sentence = format!(
            "client {} called {} {path} at {} and got {:?} at zxid {}, expected {:?}{}",
            operation.client,
            operation.request.name(),
            seconds(operation.call_ns),
            operation.response,
            Zxid(zxid),
            tried[0].1.result,
            if combinations > 1 { ", or what else unknown writes explain" } else { "" },
        );
        self.found("write_result", path, sentence, [i]);
    }

    /// The nodes in doubt that a write may depend on or change.
    fn involved(&self, i: usize, changes: &[Change<'a>]) -> Vec<String> {
        let mut involved = BTreeSet::new();
        for (at, change) in changes.iter().enumerate() {
            let path = match change {
                Change::Check { path, .. } => path,
                _ => {
                    let Some((path, _)) = change.touches() else { continue };
                    involved.insert(split(path).0.to_string());
                    let Some(path) = self.name(i, at, change) else { continue };
                    path
                }
            };
            involved.insert(path.to_string());
            if matches!(change, Change::Delete { .. }) {
                involved.extend(self.doubts.below(path));
            }
        }
        involved.into_iter().filter(|path| self.doubts.over(path)).collect()
    }

    /// Corrects the counters of parents where unknown writes may have counted on, by the names that were given.
    fn count_again(&mut self, zxid: i64, i: usize, changes: &[Change<'a>], stays: bool) {
        let mut created: BTreeMap<&str, i32> = BTreeMap::new();
        for (at, change) in changes.iter().enumerate() {
            let Some((path, sequential)) = change.touches() else { continue };
            let parent = split(path).0;
            let before = created.entry(parent).or_default();
            if let (true, Some(slack)) = (sequential, self.doubts.slack(parent, zxid))
                && let Some(name) = self.name(i, at, change)
                && let Some(Ok(counter)) = name.strip_prefix(path).map(str::parse::<i32>)
                && let Some(own) = self.tree.own(parent)
                && (own.created..=own.created.saturating_add(slack)).contains(&(counter - *before))
            {
                let created = counter - *before;
                if stays && !self.doubts.over(parent) {
                    self.doubts.counted(parent, created - own.created);
                }
                self.tree.put(parent, Some(&Own { created, ..own }));
            }
            *before += i32::from(matches!(change, Change::Create { .. }));
        }
    }

    /// A write on nodes in doubt that are what is chosen.
    fn attempt(
        &mut self,
        zxid: i64,
        i: usize,
        changes: &[Change<'a>],
        doubtful: &[String],
        choice: &mut [Life],
        undo: bool,
    ) -> Tried {
        let history = self.history;
        let operation = &history.operations[i];
        let mut may = true;
        for (path, life) in doubtful.iter().zip(choice.iter_mut()) {
            for (at, change) in changes.iter().enumerate() {
                if let Change::Set { path: set, .. } = change
                    && set == path
                    && let Some(stat) = shown(operation, at)
                    && stat.czxid.0 != zxid
                {
                    may &= life.narrow_created(stat, &self.doubts.taken);
                }
            }
            self.tree.put(path, life.own.as_ref());
        }
        let mut before: BTreeMap<String, Option<Own>> = BTreeMap::new();
        if undo {
            for (path, sequential) in changes.iter().filter_map(Change::touches) {
                for path in [split(path).0, path].into_iter().take(if sequential { 1 } else { 2 }) {
                    before.insert(path.to_string(), self.tree.own(path));
                }
            }
        }
        self.count_again(zxid, i, changes, !undo);
        let events = self.tree.events.len();
        let stamp = Stamp { zxid, time_ms: 0 };
        let result = match &operation.request {
            Request::Multi { .. } => WriteResult::of_multi(changes.len(), self.tree.apply_all(stamp, changes)),
            _ => WriteResult::Single(self.tree.apply(stamp, changes[0])),
        };
        let operation = self.softened_write(operation, zxid, changes, &result);
        let fits = may
            && match operation.acknowledged() {
                true => log::agrees(&operation, &result, self.times),
                false => result.error().is_none(),
            };
        let refused = write_result(&operation).is_some();
        let after = doubtful.iter().zip(choice.iter()).map(|(path, life)| match refused {
            true => life.clone(),
            false => life.written(self.tree.own(path), zxid),
        });
        let after = after.collect();
        if undo {
            for made in made(&result) {
                before.entry(made.to_string()).or_insert(None);
            }
            for (path, own) in &before {
                self.tree.put(path, own.as_ref());
            }
            self.tree.events.truncate(events);
        }
        Tried { fits, result, after }
    }

    /// The acknowledged end of a session.
    fn end(&mut self, zxid: i64, session: i64) {
        let mut parents = BTreeSet::new();
        for path in self.doubts.owned(session) {
            let lives = self.lives(&path, zxid - 1);
            let ended: Vec<Life> = lives.iter().map(|life| life.ended(session)).collect();
            if lives.iter().zip(&ended).all(|(before, after)| before.own != after.own) {
                parents.insert(split(&path).0.to_string());
            }
            self.doubts.keep(&path, &mut self.tree, zxid, ended);
        }
        parents.extend(self.tree.owned(session).map(|path| split(path).0.to_string()));
        self.tree.end_session(Stamp { zxid, time_ms: 0 }, session);
        for parent in parents {
            self.doubts.changed_below(&parent, &mut self.tree, zxid);
        }
    }
}

/// The stat that a write was told of what it set.
fn shown(operation: &Operation, at: usize) -> Option<&Stat> {
    let reply = operation.reply()?;
    match reply.multi.get(at) {
        Some(MultiResult::Set { stat }) => stat.as_ref(),
        Some(_) => None,
        None => reply.stat.as_ref(),
    }
}

/// The paths that a write made.
fn made(result: &WriteResult) -> impl Iterator<Item = &str> {
    let all: Vec<&Brought> = match result {
        WriteResult::Single(result) => result.iter().collect(),
        WriteResult::Multi(results) => results.iter().flatten().collect(),
        WriteResult::Done => Vec::new(),
    };
    all.into_iter().filter_map(|brought| match brought {
        Brought::Created { path, .. } => Some(path.as_str()),
        _ => None,
    })
}
