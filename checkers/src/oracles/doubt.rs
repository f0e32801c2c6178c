//! Nodes that writes of unknown outcome may have changed: for each everything it may be. What is seen of a node leaves
//! of its possible lives those that explain it; if none is left, no outcome of the unknown writes does.
//!
//! Each node is looked at by itself, which allows more than the tree does: half a multi, a child of no node. So what is
//! found is wrong in the tree too.

use super::unknown::Window;
use crate::tree::{Own, Tree, split};
use std::collections::BTreeMap;
use synod_types::{Stat, Zxid};

/// Lives of one node beyond which no more are followed.
const LIVES_MAX: usize = 500;

/// What a write of unknown outcome does to a node, if it took effect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect<'a> {
    Create {
        data: &'a [u8],
        owner: Option<i64>,
    },
    Set {
        data: &'a [u8],
        version: i32,
    },
    Delete {
        version: i32,
    },
    /// The end of a session that owns the node.
    End {
        session: i64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Unknown<'a> {
    effect: Effect<'a>,
    window: Window,
}

/// Something that a node may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Life {
    pub own: Option<Own>,
    /// Where its czxid lies, if only that is known.
    created: Option<Window>,
    /// Where its mzxid lies, if only that is known.
    set: Option<Window>,
    /// Which of the unknown writes it takes to get there.
    spent: Vec<usize>,
}

/// All that a node may be.
#[derive(Debug)]
struct Lives<'a> {
    lives: Vec<Life>,
    /// What was seen of it up to this zxid is accounted for.
    until: i64,
    unknown: Vec<Unknown<'a>>,
    /// There were more than `LIVES_MAX`.
    cut: bool,
}

/// What may have been created or removed below a node.
#[derive(Debug, Default)]
struct Children {
    /// Since when each may, and whether it may have been created.
    open: Vec<(i64, bool)>,
    /// So many were created, as the node's counter showed.
    found: i32,
}

/// The nodes in doubt.
#[derive(Debug, Default)]
pub(super) struct Doubts<'a> {
    nodes: BTreeMap<String, Lives<'a>>,
    parents: BTreeMap<String, Children>,
    /// Zxids of known writes, in order.
    pub taken: Vec<i64>,
}

impl<'a> Doubts<'a> {
    /// A write that may take effect on a node.
    pub fn add(&mut self, path: &str, effect: Effect<'a>, window: Window) {
        if !matches!(effect, Effect::Set { .. }) {
            self.add_child(split(path).0, matches!(effect, Effect::Create { .. }), window);
        }
        let none = || Lives { lives: Vec::new(), until: 0, unknown: Vec::new(), cut: false };
        self.nodes.entry(path.to_string()).or_insert_with(none).unknown.push(Unknown { effect, window });
    }

    /// A child that may come or go.
    pub fn add_child(&mut self, parent: &str, create: bool, window: Window) {
        self.parents.entry(parent.to_string()).or_default().open.push((window.after, create));
    }

    /// Whether a node is in doubt.
    pub fn over(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// The nodes in doubt right below one.
    pub fn below(&self, parent: &str) -> Vec<String> {
        if !self.parents.contains_key(parent) {
            return Vec::new();
        }
        let below = if parent == "/" { "/".to_string() } else { format!("{parent}/") };
        let paths = self.nodes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        paths.map(|(path, _)| path).filter(|path| split(path).0 == parent).cloned().collect()
    }

    /// The nodes in doubt that this session may own.
    pub fn owned(&self, session: i64) -> Vec<String> {
        let of = |lives: &Lives<'_>| {
            lives.lives.iter().any(|l| l.owner() == session)
                || lives
                    .unknown
                    .iter()
                    .any(|u| matches!(u.effect, Effect::Create { owner: Some(owner), .. } if owner == session))
        };
        self.nodes.iter().filter(|(_, lives)| of(lives)).map(|(path, _)| path.clone()).collect()
    }

    /// Whether more is possible for a node than is followed.
    pub fn cut(&self, path: &str) -> bool {
        self.nodes.get(path).is_some_and(|lives| lives.cut)
    }

    /// How many children more than known a node may have been given, if any may have come or gone.
    pub fn slack(&self, parent: &str, zxid: i64) -> Option<i32> {
        let Children { open, found } = self.parents.get(parent)?;
        let mut open = open.iter().filter(|(after, _)| *after < zxid).peekable();
        open.peek()?;
        Some(open.filter(|(_, create)| *create).count() as i32 - found)
    }

    /// Everything that a node in doubt may be at this zxid.
    pub fn lives(&mut self, path: &str, tree: &Tree, zxid: i64) -> Vec<Life> {
        let Some(Lives { lives, until, unknown, cut }) = self.nodes.get_mut(path) else { return Vec::new() };
        if lives.is_empty() {
            lives.push(Life { own: tree.own(path), created: None, set: None, spent: Vec::new() });
        }
        // A child in doubt may not be there.
        let children = tree.children(path).is_some_and(|c| !c.is_empty()) && !self.parents.contains_key(path);
        let mut at = 0;
        while at < lives.len() {
            for (u, Unknown { effect, window }) in unknown.iter().enumerate() {
                let window =
                    Window { after: window.after.max(*until), before: window.before.min(zxid.saturating_add(1)) };
                if lives[at].spent.contains(&u) || !free(&self.taken, window) {
                    continue;
                }
                if let Some(next) = lives[at].after(u, *effect, window, children)
                    && !lives.contains(&next)
                {
                    *cut |= lives.len() >= LIVES_MAX;
                    if !*cut {
                        lives.push(next);
                    }
                }
            }
            at += 1;
        }
        lives.clone()
    }

    /// What a node may be now that all up to this zxid is accounted for. In the tree is the likeliest of it.
    pub fn keep(&mut self, path: &str, tree: &mut Tree, zxid: i64, mut possible: Vec<Life>) {
        let Some(Lives { lives, until, unknown, .. }) = self.nodes.get_mut(path) else { return };
        let over = |u: usize| unknown[u].window.before <= zxid.saturating_add(1);
        for life in &mut possible {
            life.spent.retain(|u| !over(*u));
            life.spent.sort();
        }
        possible.sort_by_key(|life| life.spent.len());
        lives.clear();
        for life in possible {
            if !lives.contains(&life) {
                lives.push(life);
            }
        }
        *until = zxid.max(*until);
        let Some(life) = lives.first() else { return };
        tree.put(path, life.own.as_ref());
        let certain = lives.len() == 1 && life.created.is_none() && life.set.is_none();
        if certain && (0..unknown.len()).all(|u| over(u) || life.spent.contains(&u)) {
            self.nodes.remove(path);
        }
    }

    /// A child of a node came or went by a known write at this zxid.
    pub fn changed_below(&mut self, path: &str, tree: &mut Tree, zxid: i64) {
        let change = |own: &mut Own| own.stat.pzxid = Zxid(zxid);
        if let Some(mut own) = tree.own(path) {
            change(&mut own);
            tree.put(path, Some(&own));
        }
        let lives = self.nodes.get_mut(path).map_or(&mut [][..], |node| &mut node.lives);
        lives.iter_mut().filter_map(|life| life.own.as_mut()).for_each(change);
    }

    /// So many of the unknown creates below a node took effect, as its counter shows.
    pub fn counted(&mut self, path: &str, creates: i32) {
        if let Some(children) = self.parents.get_mut(path) {
            children.found += creates;
        }
    }

    /// Takes what a stat shows of the children of a node for what is expected, if unknown writes may account for it.
    pub fn soften(&self, path: &str, zxid: i64, seen: &mut Stat, expected: &Stat) {
        let Some(slack) = self.slack(path, zxid) else { return };
        let doubtful = self.below(path).len() as i32;
        if (created(expected)..=created(expected).saturating_add(slack)).contains(&created(seen))
            && (expected.pzxid.0..=zxid).contains(&seen.pzxid.0)
            && seen.num_children.abs_diff(expected.num_children) <= doubtful as u32
        {
            (seen.cversion, seen.num_children, seen.pzxid) = (expected.cversion, expected.num_children, expected.pzxid);
        }
    }
}

/// How many children a node was given, as its stat shows.
pub(super) fn created(stat: &Stat) -> i32 {
    stat.cversion.wrapping_add(stat.num_children) / 2
}

/// Whether a zxid is left for one more write.
fn free(taken: &[i64], Window { after, before }: Window) -> bool {
    let inside = taken.partition_point(|z| *z < before).saturating_sub(taken.partition_point(|z| *z <= after));
    after < before && before - after - 1 > inside as i64
}

impl Life {
    fn owner(&self) -> i64 {
        self.own.as_ref().map_or(0, |own| own.stat.ephemeral_owner)
    }

    /// This life after one more write, if the write has an effect on it.
    fn after(&self, u: usize, effect: Effect<'_>, window: Window, children: bool) -> Option<Life> {
        let fits = |own: &Own, version: i32| version == -1 || version == own.stat.version;
        let mut spent = self.spent.clone();
        spent.push(u);
        spent.sort();
        let gone = |spent| Some(Life { own: None, created: None, set: None, spent });
        match (effect, &self.own) {
            (Effect::Create { data, owner }, None) => {
                let own = Some(Own::new(data, window.after + 1, owner));
                Some(Life { own, created: Some(window), set: Some(window), spent })
            }
            (Effect::Set { data, version }, Some(own)) if fits(own, version) => {
                let mut own = Own { data: data.to_vec(), ..own.clone() };
                own.stat.version = own.stat.version.wrapping_add(1);
                own.stat.mzxid = Zxid(window.after + 1);
                Some(Life { own: Some(own), set: Some(window), spent, ..*self })
            }
            (Effect::Delete { version }, Some(own)) if fits(own, version) && !children => gone(spent),
            (Effect::End { session }, Some(own)) if own.stat.ephemeral_owner == session => gone(spent),
            _ => None,
        }
    }

    /// This life with the zxids that a stat shows, as far as they were not known. False if they cannot be.
    pub fn narrow(&mut self, seen: &Stat, taken: &[i64]) -> bool {
        let Some(own) = &mut self.own else { return true };
        let may = |window: Window, zxid: Zxid| window.holds(zxid.0) && taken.binary_search(&zxid.0).is_err();
        if self.created.is_some() && self.set.is_some() && own.stat.version == 0 && seen.czxid != seen.mzxid {
            return false;
        }
        if let Some(window) = self.created {
            if !may(window, seen.czxid) {
                return false;
            }
            own.stat.czxid = seen.czxid;
            if own.created == 0 {
                own.stat.pzxid = seen.czxid;
            }
            self.created = None;
        }
        if let Some(window) = self.set {
            if !may(window, seen.mzxid) {
                return false;
            }
            own.stat.mzxid = seen.mzxid;
            self.set = None;
        }
        true
    }

    /// This life with the czxid that the stat of a new write shows; its mzxid is that of the write.
    pub fn narrow_created(&mut self, seen: &Stat, taken: &[i64]) -> bool {
        let set = self.set.take();
        let may = self.narrow(seen, taken);
        self.set = set;
        may
    }

    /// This life after a known write.
    pub fn written(&self, own: Option<Own>, zxid: i64) -> Life {
        let fresh = own.as_ref().is_none_or(|own| own.stat.czxid.0 == zxid);
        let set = own.as_ref().is_none_or(|own| own.stat.mzxid.0 == zxid);
        Life {
            own,
            created: self.created.filter(|_| !fresh),
            set: self.set.filter(|_| !set),
            spent: self.spent.clone(),
        }
    }

    /// This life after the end of a session.
    pub fn ended(&self, session: i64) -> Life {
        match self.owner() == session && session != 0 {
            true => Life { own: None, created: None, set: None, spent: self.spent.clone() },
            false => self.clone(),
        }
    }
}
