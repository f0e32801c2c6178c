//! The states a search meets, as numbers: each step from one to another is taken once, then looked up.

use super::Spec;
use super::search::{Pending, Placed, Returned};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// States as numbers, and each step from one to another taken once.
pub(super) struct Steps<'a, S: Spec> {
    spec: &'a S,
    /// One operation of each class.
    ops: Vec<&'a S::Op>,
    numbers: HashMap<S::State, u32, Fixed>,
    states: Vec<S::State>,
    rows: Vec<Row>,
    /// By state, the reads that can be reached from it, once asked for.
    reachable: Vec<Option<Vec<u32>>>,
}

/// Where the classes from `base` on lead.
struct Row {
    base: usize,
    next: Vec<u32>,
}

/// The state that stands for all from which no read still to come can be reached.
pub(super) const BARREN: u32 = 1;
const NOT_TAKEN: u32 = u32::MAX;
const FORBIDDEN: u32 = u32::MAX - 1;

impl<'a, S: Spec> Steps<'a, S> {
    pub fn new(spec: &'a S, ops: Vec<&'a S::Op>) -> Steps<'a, S> {
        let mut steps = Steps {
            spec,
            ops,
            numbers: HashMap::default(),
            states: Vec::new(),
            rows: Vec::new(),
            reachable: Vec::new(),
        };
        steps.number(spec.initial());
        steps.push(spec.initial());
        steps
    }

    fn number(&mut self, state: S::State) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = self.states.len() as u32;
        self.numbers.insert(state.clone(), number);
        self.push(state);
        number
    }

    fn push(&mut self, state: S::State) {
        self.states.push(state);
        self.rows.push(Row { base: 0, next: Vec::new() });
        self.reachable.push(None);
    }

    /// The reads that can be reached from a state.
    pub fn reachable(&mut self, state: u32, returned: &[Returned]) -> &[u32] {
        let Steps { spec, states, ops, reachable, .. } = self;
        let reads = returned.iter().enumerate().filter(|(_, r)| r.reads);
        reachable[state as usize].get_or_insert_with(|| {
            reads
                .filter(|(_, r)| spec.reaches(&states[state as usize], ops[r.class as usize]))
                .map(|(i, _)| i as u32)
                .collect()
        })
    }

    #[inline]
    pub fn step(&mut self, state: u32, class: u32) -> Option<u32> {
        let row = &self.rows[state as usize];
        let known = row.next.get((class as usize).wrapping_sub(row.base)).copied().unwrap_or(NOT_TAKEN);
        let next = if known == NOT_TAKEN { self.take(state, class) } else { known };
        (next != FORBIDDEN).then_some(next)
    }

    /// Whether the read `class` can be reached from the state, see `Spec::reaches`.
    pub fn reaches(&self, state: u32, class: u32) -> bool {
        state != BARREN && self.spec.reaches(&self.states[state as usize], self.ops[class as usize])
    }

    /// The operations called before the return of `read` that overwrite with something from which it can be reached.
    pub fn origins_of(&mut self, returned: &[Returned], pending: &[Pending], read: usize, into: &mut Vec<Placed>) {
        let Returned { class, return_, .. } = returned[read];
        for (i, origin) in returned.iter().enumerate().take_while(|(_, o)| o.call <= return_) {
            if origin.overwrites && self.step(0, origin.class).is_some_and(|s| self.reaches(s, class)) {
                into.push(Placed::Returned(i));
            }
        }
        for origin in pending.iter().filter(|o| o.overwrites) {
            if self.step(0, origin.class).is_some_and(|s| self.reaches(s, class)) {
                let called = origin.members.iter().take_while(|(call, _)| *call <= return_);
                into.extend(called.enumerate().map(|(n, _)| Placed::Pending(origin.bit + n)));
            }
        }
    }

    fn take(&mut self, state: u32, class: u32) -> u32 {
        let op = self.ops[class as usize];
        if state == BARREN && !self.spec.overwrites(op) {
            return if self.spec.reads(op) { FORBIDDEN } else { BARREN };
        }
        let next = match self.spec.step(&self.states[state as usize], self.ops[class as usize]) {
            Some(next) => self.number(next),
            None => FORBIDDEN,
        };
        let row = &mut self.rows[state as usize];
        let class = class as usize;
        // A row covers only the classes near each other in time: most states live briefly.
        if row.next.is_empty() {
            row.base = class;
        }
        if class < row.base {
            let missing = row.base - class;
            row.next.splice(0..0, std::iter::repeat_n(NOT_TAKEN, missing));
            row.base = class;
        }
        if class - row.base >= row.next.len() {
            row.next.resize(class - row.base + 1, NOT_TAKEN);
        }
        row.next[class - row.base] = next;
        next
    }
}

pub(super) type Fixed = BuildHasherDefault<Multiply>;

/// A fast hasher without a random seed. Maps with it are looked up, never walked.
#[derive(Default)]
pub(super) struct Multiply(u64);

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = (self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xd6e8_feb8_6659_fd93_u128;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
