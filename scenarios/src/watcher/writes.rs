//! How far a member's log is durable, and which term and vote, counted from what it gave its disk and what its disk confirmed: not from what it
//! says itself.

use std::collections::VecDeque;
use synod_node::replica::Output;
use synod_types::Index;
use synod_types::raft::HardState;

/// Of one incarnation of a member.
#[derive(Default)]
pub(super) struct Writes {
    /// Up to here it is.
    pub durable: Index,
    /// These are.
    pub hard_state: HardState,
    /// Under way: the number of the write, the last entry of the log that it makes durable, the term and vote.
    under_way: VecDeque<(u64, Index, Option<HardState>)>,
}

impl Writes {
    /// What a member found on its disk; `last` is the end of its log after its first step, which put out `outputs`.
    pub fn recovered(last: Index, hard_state: HardState, outputs: &[Output]) -> Writes {
        let changed = outputs.iter().filter_map(|output| match output {
            Output::Append { truncate, entries, .. } => truncate.or(entries.first().map(|entry| entry.index)),
            _ => None,
        });
        let durable = changed.map(Index::prev).fold(last, Index::min);
        Writes { durable, hard_state, under_way: VecDeque::new() }
    }

    /// Everything up to this write is durable.
    pub fn confirmed(&mut self, sequence: u64) {
        while let Some((_, last, hard_state)) = self.under_way.pop_front_if(|(number, ..)| *number <= sequence) {
            self.durable = self.durable.max(last);
            self.hard_state = hard_state.unwrap_or(self.hard_state);
        }
    }

    /// A step gave its disk something to do.
    pub fn put_out(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Append { sequence, hard_state, truncate, entries } => {
                    if let Some(from) = truncate {
                        self.cut(from.prev());
                    }
                    let last = entries.last().map_or(Index(0), |entry| entry.index);
                    self.under_way.push_back((*sequence, last, *hard_state));
                }
                Output::ResetLog { sequence, meta, hard_state } => {
                    self.cut(Index(0));
                    self.under_way.push_back((*sequence, meta.index, Some(*hard_state)));
                }
                _ => {}
            }
        }
    }

    /// What is confirmed later does not bring back what was dropped.
    fn cut(&mut self, end: Index) {
        self.durable = self.durable.min(end);
        for (_, last, _) in &mut self.under_way {
            *last = end.min(*last);
        }
    }
}
