//! The bytes of one file: what processes see, and what a power failure would leave of it.
//!
//! Pages hold what is seen; pages of zeros are not stored. Whoever changes a page for the first time since the last
//! sync puts the durable version aside (`shadow`). A sync forgets the shadows; a power failure brings them back and then
//! lets each unsynced change survive whole, in part, or not at all.

use crate::dice::Dice;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

pub(crate) const PAGE: usize = 4096;
const SECTOR: usize = 512;

type Page = Box<[u8; PAGE]>;

/// What was never written, as much of it as is read at once.
static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Whether a part of a page is zeros.
fn blank(part: &[u8]) -> bool {
    part == &ZEROS[..part.len()]
}

/// A change since the last sync.
#[derive(Clone)]
pub(crate) enum Change {
    Write(u64, Bytes),
    SetLen(u64),
}

/// What a power failure does to a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Whole,
    Lost,
    /// These parts of what was written survive.
    Parts(Vec<Range<usize>>),
}

/// One part of a write survives.
fn part(range: Range<usize>) -> Fate {
    Fate::Parts([range].into())
}

/// The sectors of a write, as ranges of what is written.
fn sectors(offset: u64, len: usize) -> impl Iterator<Item = Range<usize>> {
    let first = SECTOR - (offset % SECTOR as u64) as usize;
    let bounds = std::iter::once(0).chain((first..len).step_by(SECTOR)).chain([len]);
    bounds
        .scan(None, move |from, to| Some(from.replace(to).map(|from| from..to)))
        .flatten()
        .filter(|part| !part.is_empty())
}

/// Ways in which a write can be torn: after its first byte, in its middle, before its last byte, and at each of its
/// first and last sectors; and all of it but its first sector.
pub(crate) fn tears(offset: u64, len: usize) -> Vec<Fate> {
    let mut at: Vec<usize> = sectors(offset, len).map(|sector| sector.end).collect();
    if at.len() > 8 {
        at.drain(4..at.len() - 4);
    }
    at.extend([1, len / 2, len.saturating_sub(1)]);
    at.sort_unstable();
    at.dedup();
    let fates = at.into_iter().filter(|at| (1..len).contains(at)).map(|at| part(0..at));
    let rest = sectors(offset, len).next().filter(|sector| sector.end < len).map(|sector| part(sector.end..len));
    fates.chain(rest).collect()
}

impl Change {
    /// Lost, kept, cut at any byte, or kept in some of its sectors.
    pub fn random_fate(&self, dice: &mut Dice) -> Fate {
        match (self, dice.below(4)) {
            (_, 0) => Fate::Whole,
            (Change::Write(_, data), 1) => {
                let torn = dice.below(data.len() as u64 + 1) as usize;
                part(0..torn)
            }
            (Change::Write(offset, data), 2) => {
                Fate::Parts(sectors(*offset, data.len()).filter(|_| dice.chance(0.5)).collect())
            }
            _ => Fate::Lost,
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Content {
    pages: BTreeMap<u64, Page>,
    len: u64,
    durable_len: u64,
    /// Durable versions of pages that were changed since the last sync; none: zeros.
    shadow: BTreeMap<u64, Option<Page>>,
    /// The same for pages whose sync failed. They are taken for clean: no later sync writes them, unless they change.
    lost: BTreeMap<u64, Option<Page>>,
    changes: Vec<Change>,
    /// Pages that cannot be read until they are written.
    bad: BTreeSet<u64>,
}

/// The pages that a range touches, each with the range within it: (page, from, to).
fn pages(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let (page, from) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let to = PAGE.min(from + (end - at) as usize);
            at += (to - from) as u64;
            (page, from, to)
        })
    })
}

impl Content {
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether a read of a range meets an unreadable page.
    pub fn unreadable(&self, offset: u64, len: usize) -> bool {
        let len = len.min(self.len.saturating_sub(offset) as usize);
        !self.bad.is_empty() && pages(offset, len).any(|(page, ..)| self.bad.contains(&page))
    }

    pub fn read(&self, offset: u64, len: usize) -> Bytes {
        let len = len.min(self.len.saturating_sub(offset) as usize);
        let touched = offset / PAGE as u64..(offset + len as u64).div_ceil(PAGE as u64);
        if len <= ZEROS.len() && self.pages.range(touched).next().is_none() {
            return Bytes::from_static(&ZEROS[..len]);
        }
        let mut data = BytesMut::with_capacity(len);
        for (page, from, to) in pages(offset, len) {
            match self.pages.get(&page) {
                Some(page) => data.extend_from_slice(&page[from..to]),
                None => data.resize(data.len() + to - from, 0),
            }
        }
        data.freeze()
    }

    pub fn write(&mut self, offset: u64, data: Bytes) {
        let mut rest = &data[..];
        for (page, from, to) in pages(offset, data.len()) {
            let (now, later) = rest.split_at(to - from);
            rest = later;
            // Zeros where there are zeros change nothing.
            if self.pages.contains_key(&page) || self.lost.contains_key(&page) || !blank(now) {
                self.put_aside(page);
            }
            self.bad.remove(&page);
        }
        self.put(offset, &data);
        self.changes.push(Change::Write(offset, data));
    }

    pub fn set_len(&mut self, len: u64) {
        for page in self.pages.range(len / PAGE as u64..).map(|(&page, _)| page).collect::<Vec<_>>() {
            self.put_aside(page);
        }
        self.cut(len);
        self.changes.push(Change::SetLen(len));
    }

    /// Keeps the durable version of a page that is about to change.
    fn put_aside(&mut self, page: u64) {
        if !self.shadow.contains_key(&page) {
            let durable = self.lost.remove(&page).unwrap_or_else(|| self.pages.get(&page).cloned());
            self.shadow.insert(page, durable);
        }
    }

    fn put(&mut self, offset: u64, data: &[u8]) {
        let mut rest = data;
        for (page, from, to) in pages(offset, data.len()) {
            let (now, later) = rest.split_at(to - from);
            rest = later;
            if let Some(page) = self.pages.get_mut(&page) {
                page[from..to].copy_from_slice(now);
            } else if !blank(now) {
                let mut new = Box::new([0; PAGE]);
                new[from..to].copy_from_slice(now);
                self.pages.insert(page, new);
            }
        }
        self.len = self.len.max(offset + data.len() as u64);
    }

    fn cut(&mut self, len: u64) {
        let (last, keep) = (len / PAGE as u64, (len % PAGE as u64) as usize);
        drop(self.pages.split_off(&(last + u64::from(keep > 0))));
        if keep > 0
            && let Some(page) = self.pages.get_mut(&last)
        {
            page[keep..].fill(0);
        }
        self.len = len;
    }

    pub fn sync(&mut self) {
        self.shadow.clear();
        self.changes.clear();
        self.durable_len = self.len;
    }

    /// A sync that fails: what it should have written is taken for clean and is not durable.
    pub fn fail_sync(&mut self) {
        for (page, durable) in std::mem::take(&mut self.shadow) {
            self.lost.insert(page, durable);
        }
        self.changes.clear();
    }

    /// Whether pages are taken for clean that are not durable.
    pub fn lies(&self) -> bool {
        !self.lost.is_empty()
    }

    /// The changes since the last sync, oldest first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// Their number.
    pub fn unsynced(&self) -> usize {
        self.changes.len()
    }

    /// Power is gone; `fate` decides for each change, in order. Gives the number of changes that did not survive whole.
    pub fn lose(&mut self, mut fate: impl FnMut(&Change) -> Fate) -> u64 {
        let mut damaged = self.lost.len() as u64;
        for (page, durable) in std::mem::take(&mut self.lost).into_iter().chain(std::mem::take(&mut self.shadow)) {
            match durable {
                Some(durable) => self.pages.insert(page, durable),
                None => self.pages.remove(&page),
            };
        }
        self.cut(self.durable_len);
        for change in std::mem::take(&mut self.changes) {
            // Which changes survive is independent of their order: that is the reordering.
            let whole = match (fate(&change), change) {
                (Fate::Lost, _) | (Fate::Parts(_), Change::SetLen(_)) => false,
                (Fate::Whole, Change::SetLen(len)) => {
                    self.cut(len);
                    true
                }
                (Fate::Whole, Change::Write(offset, data)) => {
                    self.put(offset, &data);
                    true
                }
                (Fate::Parts(parts), Change::Write(offset, data)) => {
                    let kept: usize = parts.iter().map(|part| part.len()).sum();
                    for part in parts {
                        self.put(offset + part.start as u64, &data[part]);
                    }
                    kept == data.len()
                }
            };
            damaged += u64::from(!whole);
        }
        self.durable_len = self.len;
        damaged
    }

    /// Flips a bit of a durable byte in a range; gives its offset, or none where nothing durable lies there.
    pub fn rot(&mut self, from: u64, to: u64, dice: &mut Dice) -> Option<u64> {
        let to = to.min(self.durable_len).min(self.len);
        let at = from + dice.below(to.checked_sub(from).filter(|&span| span > 0)?);
        let page = at / PAGE as u64;
        if self.shadow.contains_key(&page) || self.lost.contains_key(&page) {
            return None;
        }
        self.pages.entry(page).or_insert_with(|| Box::new([0; PAGE]))[(at % PAGE as u64) as usize] ^=
            1 << dice.below(8);
        Some(at)
    }

    /// Makes the pages of a range unreadable until they are written; whether there were any.
    pub fn spoil(&mut self, from: u64, to: u64) -> bool {
        let len = to.min(self.len).saturating_sub(from) as usize;
        self.bad.extend(pages(from, len).map(|(page, ..)| page));
        len > 0
    }
}
