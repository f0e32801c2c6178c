//! What was given to the disk and what waits for it: the order of writes, how far the log is durable, and the
//! messages that may not leave before the term and vote they rest on are durable (§3.8).

use crate::io::Output;
use crate::raft::Raft;
use std::collections::VecDeque;
use synod_types::raft::{HardState, Message, Payload};
use synod_types::{Index, Mutant, Mutants, NodeId};

/// Writes in flight and what depends on them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Durability<P> {
    /// The last sequence given out.
    sequence: u64,
    /// Writes not confirmed yet, in order.
    writes: VecDeque<Write>,
    /// The log is durable up to here.
    pub index: Index,
    /// The hard state that is durable.
    pub hard_state: HardState,
    /// The sequence that carries the newest hard state, while it is not confirmed.
    hard_state_in: Option<u64>,
    /// Messages that wait for a sequence.
    withheld: VecDeque<(u64, NodeId, Message<P>)>,
    /// What this step changed: the hard state, the first index truncated, the first index appended.
    hard_state_changed: bool,
    truncate: Option<Index>,
    append: Option<Index>,
    mutants: Mutants,
}

/// One write in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Write {
    sequence: u64,
    last: Option<Index>,
    hard_state: Option<HardState>,
}

impl<P: Payload> Durability<P> {
    pub fn new(index: Index, hard_state: HardState, mutants: Mutants) -> Durability<P> {
        Durability {
            sequence: 0,
            writes: VecDeque::new(),
            index,
            hard_state,
            hard_state_in: None,
            withheld: VecDeque::new(),
            hard_state_changed: false,
            truncate: None,
            append: None,
            mutants,
        }
    }

    /// The hard state changed in this step.
    pub fn change_hard_state(&mut self) {
        self.hard_state_changed = true;
    }

    /// Entries from `from` on were appended in this step.
    pub fn appended(&mut self, from: Index) {
        self.append.get_or_insert(from);
    }

    /// Entries from `from` on were dropped in this step.
    pub fn truncated(&mut self, from: Index) {
        self.truncate = Some(self.truncate.map_or(from, |earlier| earlier.min(from)));
        self.append = self.append.filter(|append| *append < from);
        self.lower(from.prev());
    }

    /// The whole log was replaced by a snapshot that ends at `index`; returns the sequence to report with it.
    pub fn reset(&mut self, index: Index, hard_state: HardState) -> u64 {
        self.lower(Index(0));
        self.truncate = None;
        self.append = None;
        self.hard_state_changed = false;
        self.sequence += 1;
        self.hard_state_in = Some(self.sequence);
        self.writes.push_back(Write { sequence: self.sequence, last: Some(index), hard_state: Some(hard_state) });
        self.sequence
    }

    /// A confirmation that comes later must not count what is no longer in the log.
    fn lower(&mut self, last: Index) {
        self.index = self.index.min(last);
        if self.mutants.on(Mutant::RaftConfirmTruncated) {
            return;
        }
        for write in &mut self.writes {
            write.last = write.last.map(|index| index.min(last));
        }
    }

    /// Everything up to `sequence` is durable.
    fn confirm(&mut self, sequence: u64) {
        while let Some(write) = self.writes.front().copied()
            && write.sequence <= sequence
        {
            self.writes.pop_front();
            self.index = self.index.max(write.last.unwrap_or_default());
            self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        }
        if self.hard_state_in.is_some_and(|waits_for| waits_for <= sequence) {
            self.hard_state_in = None;
        }
    }
}

impl<P: Payload> Raft<P> {
    /// Sends a message that rests on this member's term, vote or standing: at once if they are durable, else when
    /// they are.
    pub(crate) fn send_when_durable(&mut self, to: NodeId, message: Message<P>, out: &mut Vec<Output<P>>) {
        let durability = &mut self.durability;
        let waits_for = if self.config.mutants.on(Mutant::RaftVoteBeforeDurable) {
            None
        } else if durability.hard_state_changed {
            Some(durability.sequence + 1)
        } else {
            durability.hard_state_in
        };
        match waits_for {
            Some(sequence) => durability.withheld.push_back((sequence, to, message)),
            None => out.push(Output::Send { to, message }),
        }
    }

    /// Ends a step: everything the step changed becomes one write.
    pub(crate) fn write(&mut self, out: &mut Vec<Output<P>>) {
        let durability = &mut self.durability;
        if !durability.hard_state_changed && durability.truncate.is_none() && durability.append.is_none() {
            return;
        }
        let last = self.log.last_index();
        let entries = durability.append.take().map_or(Vec::new(), |from| self.log.range(from, last));
        let hard_state = durability.hard_state_changed.then_some(self.hard_state);
        durability.sequence += 1;
        let sequence = durability.sequence;
        if hard_state.is_some() {
            durability.hard_state_in = Some(sequence);
            durability.hard_state_changed = false;
        }
        durability.writes.push_back(Write { sequence, last: entries.last().map(|entry| entry.index), hard_state });
        out.push(Output::Append { sequence, hard_state, truncate: durability.truncate.take(), entries });
    }

    /// A write is durable: what waited for it goes out, and it counts.
    pub(crate) fn on_appended(&mut self, sequence: u64, out: &mut Vec<Output<P>>) {
        self.durability.confirm(sequence);
        while let Some((waits_for, _, _)) = self.durability.withheld.front()
            && *waits_for <= sequence
        {
            if let Some((_, to, message)) = self.durability.withheld.pop_front() {
                out.push(Output::Send { to, message });
            }
        }
        self.acknowledge_durable(out);
        self.end_recovery(out);
        self.advance_commit(out);
    }
}
