//! The search for an order within one partition: depth first, over configurations (which operations are placed, in
//! which state). The earliest return among the operations not yet placed is the deadline: only what was called up to
//! it may come next, and sooner or later its operation must.
//!
//! What keeps it small, all without loss:
//! - reads that match the state are placed at once, as they change nothing;
//! - reads of unknown outcome are dropped, as nothing can depend on them;
//! - of operations that are equal only one is tried: the one with the earliest return, a returned one before one of
//!   unknown outcome;
//! - the operation that meets the deadline is tried first, the rest only to enable it (Lowe's just-in-time order);
//! - an operation of unknown outcome is placed only for somebody to see its effect: what overwrites it unseen may not
//!   come next;
//! - a read that neither the state nor an overwriting operation still to come can lead to ends the branch at once;
//! - states that no read still to come can tell apart (`BARREN`) count as one;
//! - a configuration is not visited again, nor one that differs from a visited one by having used up more operations
//!   of unknown outcome.

use super::steps::{BARREN, Fixed, Steps};
use super::visited::Visited;
use super::{Limits, Operation, Spec, Verdict};
use std::collections::HashMap;

/// How many of the reads not yet placed, in the order of their calls, are asked whether they can still be explained.
const READS_AHEAD: usize = 16;

/// An operation that returned.
pub(super) struct Returned {
    pub call: u64,
    pub return_: u64,
    pub class: u32,
    pub reads: bool,
    pub overwrites: bool,
    /// For a read: the operations that overwrite with something from which it can be reached. Part of `origins`.
    origins: std::ops::Range<usize>,
    /// Position in the whole history.
    source: usize,
}

/// All operations of unknown outcome that are equal. They are used in the order of their calls.
pub(super) struct Pending {
    /// The class of returned operations that are equal, if any.
    pub class: u32,
    pub overwrites: bool,
    /// Position of the first one's bit.
    pub bit: usize,
    /// Call and position in the whole history.
    pub members: Vec<(u64, usize)>,
}

/// A place in the order.
#[derive(Clone, Copy)]
pub(super) enum Placed {
    Returned(usize),
    Pending(usize),
}

/// A visited configuration and what is left to try there.
struct Frame {
    state: u32,
    /// Length of the order when it was settled.
    placed: usize,
    /// Every returned operation before this one is placed.
    first: usize,
    /// The returned operation with the earliest return, and that return.
    deadline: usize,
    limit: u64,
    /// The last operation is one of unknown outcome whose effect nobody has seen.
    unseen: bool,
    cursor: Cursor,
}

/// What `settle` finds.
enum Settled {
    /// More to place.
    Open(Frame),
    /// Every returned operation is placed.
    Complete,
    /// A read can no longer be explained.
    Dead,
}

/// The next candidate of a frame.
#[derive(Clone, Copy)]
enum Cursor {
    Deadline,
    Returned(usize),
    Pending(usize),
}

/// Searches an order for the `members` (positions in `history`) of one partition.
pub(super) fn search<S: Spec>(spec: &S, history: &[Operation<S::Op>], members: &[usize], limits: Limits) -> Verdict {
    let mut search = Search::new(spec, history, members);
    let found = search.run(limits);
    match found {
        Ok(true) => Verdict::Linearizable {
            order: search
                .order
                .iter()
                .map(|placed| match *placed {
                    Placed::Returned(i) => search.returned[i].source,
                    Placed::Pending(bit) => search.pending_source[bit],
                })
                .collect(),
        },
        Ok(false) => Verdict::Violation { blocked: search.returned[search.furthest].source },
        Err(why) => Verdict::Unknown { why },
    }
}

struct Search<'a, S: Spec> {
    returned: Vec<Returned>,
    pending: Vec<Pending>,
    pending_source: Vec<usize>,
    origins: Vec<Placed>,
    steps: Steps<'a, S>,
    order: Vec<Placed>,
    done: Vec<u64>,
    used: Vec<u64>,
    used_count: Vec<usize>,
    visited: Visited,
    /// The deadline that no configuration has passed yet.
    furthest: usize,
}

impl<'a, S: Spec> Search<'a, S> {
    fn new(spec: &'a S, history: &'a [Operation<S::Op>], members: &[usize]) -> Search<'a, S> {
        let mut sorted = members.to_vec();
        sorted.sort_by_key(|&i| (history[i].call, history[i].return_.unwrap_or(u64::MAX)));
        let mut classes: HashMap<&S::Op, u32, Fixed> = HashMap::default();
        let mut ops: Vec<&S::Op> = Vec::new();
        let mut returned = Vec::new();
        let mut pending: Vec<Pending> = Vec::new();
        for &source in &sorted {
            let Operation { call, return_, ref op, .. } = history[source];
            let reads = spec.reads(op);
            if return_.is_none() && reads {
                continue;
            }
            let class = *classes.entry(op).or_insert_with(|| {
                ops.push(op);
                ops.len() as u32 - 1
            });
            let overwrites = spec.overwrites(op);
            match return_ {
                Some(return_) => {
                    returned.push(Returned { call, return_, class, reads, overwrites, origins: 0..0, source })
                }
                None => match pending.iter_mut().find(|p| p.class == class) {
                    Some(p) => p.members.push((call, source)),
                    None => pending.push(Pending { class, overwrites, bit: 0, members: vec![(call, source)] }),
                },
            }
        }
        let mut pending_source = Vec::new();
        for p in &mut pending {
            p.bit = pending_source.len();
            pending_source.extend(p.members.iter().map(|(_, source)| *source));
        }
        let words = pending_source.len().div_ceil(64);
        let mut steps = Steps::new(spec, ops);
        let mut origins = Vec::new();
        if S::NARROWS {
            for r in 0..returned.len() {
                if returned[r].reads {
                    let start = origins.len();
                    steps.origins_of(&returned, &pending, r, &mut origins);
                    returned[r].origins = start..origins.len();
                }
            }
        }
        Search {
            done: vec![0; returned.len().div_ceil(64)],
            used: vec![0; words],
            used_count: vec![0; pending.len()],
            order: Vec::with_capacity(members.len()),
            visited: Visited::new(words),
            steps,
            origins,
            returned,
            pending,
            pending_source,
            furthest: 0,
        }
    }

    fn is_done(&self, i: usize) -> bool {
        self.done[i / 64] >> (i % 64) & 1 == 1
    }

    fn place_returned(&mut self, i: usize) {
        self.done[i / 64] |= 1 << (i % 64);
        self.order.push(Placed::Returned(i));
    }

    /// Takes back what was placed after the first `length`.
    fn take_back(&mut self, length: usize) {
        while self.order.len() > length {
            match self.order.pop() {
                Some(Placed::Returned(i)) => self.done[i / 64] &= !(1 << (i % 64)),
                Some(Placed::Pending(bit)) => {
                    self.used[bit / 64] &= !(1 << (bit % 64));
                    let owner = self.pending.partition_point(|p| p.bit <= bit) - 1;
                    self.used_count[owner] -= 1;
                }
                None => return,
            }
        }
    }

    /// The state, or `BARREN` if no read still to come can be reached from it.
    fn reduced(&mut self, state: u32) -> u32 {
        if !S::NARROWS || state == BARREN {
            return state;
        }
        let Search { steps, returned, done, .. } = self;
        let is_done = |i: &u32| done[*i as usize / 64] >> (i % 64) & 1 == 1;
        if steps.reachable(state, returned).iter().all(is_done) { BARREN } else { state }
    }

    /// Whether a read that does not match the state may still do so later.
    fn explainable(&self, state: u32, read: usize) -> bool {
        let Returned { class, ref origins, .. } = self.returned[read];
        let open = self.origins[origins.clone()].iter().any(|origin| match *origin {
            Placed::Returned(i) => !self.is_done(i),
            Placed::Pending(bit) => self.used[bit / 64] >> (bit % 64) & 1 == 0,
        });
        open || self.steps.reaches(state, class)
    }

    /// Places the reads that match and finds the deadline.
    fn settle(&mut self, state: u32, first: usize, unseen: bool) -> Settled {
        let state = self.reduced(state);
        let mut first = first;
        let mut unseen = unseen;
        let mut limit = u64::MAX;
        let mut deadline = usize::MAX;
        let mut i = first;
        while i < self.returned.len() && self.returned[i].call <= limit {
            if !self.is_done(i) {
                let Returned { reads, class, return_, .. } = self.returned[i];
                if reads && self.steps.step(state, class).is_some() {
                    self.place_returned(i);
                    unseen = false;
                } else if return_ < limit {
                    limit = return_;
                    deadline = i;
                }
            }
            i += 1;
        }
        if deadline == usize::MAX {
            return Settled::Complete;
        }
        while self.is_done(first) {
            first += 1;
        }
        self.blocked_at(deadline);
        if S::NARROWS {
            let reads = (first..self.returned.len()).filter(|&i| self.returned[i].reads && !self.is_done(i));
            if let Some(dead) = reads.take(READS_AHEAD).find(|&i| !self.explainable(state, i)) {
                self.blocked_at(dead);
                return Settled::Dead;
            }
        }
        let placed = self.order.len();
        Settled::Open(Frame { state, placed, first, deadline, limit, unseen, cursor: Cursor::Deadline })
    }

    /// Notes how far a configuration came.
    fn blocked_at(&mut self, i: usize) {
        if self.returned[i].return_ > self.returned[self.furthest].return_ {
            self.furthest = i;
        }
    }

    /// Whether an order exists. The error says why that stays open.
    fn run(&mut self, limits: Limits) -> Result<bool, String> {
        if self.returned.is_empty() {
            return Ok(true);
        }
        self.furthest = (0..self.returned.len()).min_by_key(|&i| self.returned[i].return_).unwrap_or(0);
        let mut frames = Vec::new();
        match self.settle(0, 0, false) {
            Settled::Open(frame) => frames.push(frame),
            Settled::Complete => return Ok(true),
            Settled::Dead => return Ok(false),
        }
        while let Some(frame) = frames.last_mut() {
            self.take_back(frame.placed);
            let first = frame.first;
            let Some((next, placed)) = self.candidate(frame) else {
                frames.pop();
                continue;
            };
            let mut unseen = false;
            match placed {
                Placed::Returned(i) => self.place_returned(i),
                Placed::Pending(p) => {
                    let bit = self.pending[p].bit + self.used_count[p];
                    self.used[bit / 64] |= 1 << (bit % 64);
                    self.used_count[p] += 1;
                    self.order.push(Placed::Pending(bit));
                    unseen = true;
                }
            }
            let frame = match self.settle(next, first, unseen) {
                Settled::Open(frame) => frame,
                Settled::Complete => return Ok(true),
                Settled::Dead => continue,
            };
            if self.visited.insert(frame.state, frame.first, frame.unseen, &self.done, &self.used) {
                if self.visited.len() > limits.configurations_max {
                    return Err(format!("more than {} configurations", limits.configurations_max));
                }
                frames.push(frame);
            }
        }
        Ok(false)
    }

    /// The next candidate of a frame and the state it leads to. A pending one is named by its group.
    fn candidate(&mut self, frame: &mut Frame) -> Option<(u32, Placed)> {
        loop {
            match frame.cursor {
                Cursor::Deadline => {
                    frame.cursor = Cursor::Returned(frame.first);
                    if let Some(next) = self.returned_step(frame, frame.deadline) {
                        return Some((next, Placed::Returned(frame.deadline)));
                    }
                }
                Cursor::Returned(i) => {
                    if i >= self.returned.len() || self.returned[i].call > frame.limit {
                        frame.cursor = Cursor::Pending(0);
                        continue;
                    }
                    frame.cursor = Cursor::Returned(i + 1);
                    if i == frame.deadline || self.is_done(i) {
                        continue;
                    }
                    if let Some(next) = self.returned_step(frame, i)
                        && !self.twin_first(frame, i)
                    {
                        return Some((next, Placed::Returned(i)));
                    }
                }
                Cursor::Pending(p) => {
                    let group = self.pending.get(p)?;
                    frame.cursor = Cursor::Pending(p + 1);
                    let open = group.members.get(self.used_count[p]).is_some_and(|(call, _)| *call <= frame.limit);
                    if !open || frame.unseen && group.overwrites {
                        continue;
                    }
                    let class = group.class;
                    if let Some(next) = self.steps.step(frame.state, class)
                        && next != frame.state
                        && !self.candidates(frame).any(|j| self.returned[j].class == class)
                    {
                        return Some((next, Placed::Pending(p)));
                    }
                }
            }
        }
    }

    /// Where placing a returned operation leads, if it may be placed. Reads that match have been placed already.
    fn returned_step(&mut self, frame: &Frame, i: usize) -> Option<u32> {
        let Returned { reads, overwrites, class, .. } = self.returned[i];
        if reads || frame.unseen && overwrites {
            return None;
        }
        self.steps.step(frame.state, class)
    }

    /// The returned operations that may come next.
    fn candidates(&self, frame: &Frame) -> impl Iterator<Item = usize> {
        (frame.first..self.returned.len())
            .take_while(|&i| self.returned[i].call <= frame.limit)
            .filter(|&i| !self.is_done(i))
    }

    /// Whether an equal operation has to come before this one.
    fn twin_first(&self, frame: &Frame, i: usize) -> bool {
        let this = &self.returned[i];
        self.candidates(frame).any(|j| {
            let other = &self.returned[j];
            other.class == this.class && (other.return_, j) < (this.return_, i)
        })
    }
}
