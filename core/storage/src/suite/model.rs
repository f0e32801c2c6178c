//! What a log should hold, and random things to do to it.

use crate::{Batch, RawEntry, Recovered};
use bytes::Bytes;
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, NodeId, Term};

/// Seeded random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// One change, as the model sees it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Truncate(Index),
    Entry(RawEntry),
    HardState(HardState),
    Reset(SnapshotMeta),
}

/// What the log should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) floor: Index,
    pub(crate) entries: Vec<RawEntry>,
    pub(crate) hard_state: HardState,
}

impl Model {
    pub(crate) fn of(recovered: &Recovered) -> Model {
        let after = recovered.snapshot.map_or(Index(0), |meta| meta.index);
        let floor = recovered.entries.first().map_or(after, |entry| entry.index.prev());
        Model { floor, entries: recovered.entries.clone(), hard_state: recovered.hard_state }
    }

    pub(crate) fn last(&self) -> Index {
        self.entries.last().map_or(self.floor, |entry| entry.index)
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&RawEntry> {
        self.entries.get(index.0.checked_sub(self.floor.0 + 1)? as usize)
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::Truncate(from) => self.entries.retain(|entry| entry.index < *from),
            Step::Entry(entry) => self.entries.push(entry.clone()),
            Step::HardState(state) => self.hard_state = *state,
            Step::Reset(meta) => (self.floor, self.entries) = (meta.index, Vec::new()),
        }
    }

    /// What recovery makes of this log beside a snapshot.
    fn joined(&self, snapshot: Option<SnapshotMeta>) -> Model {
        let mut joined = self.clone();
        let meta = snapshot.unwrap_or_default();
        let agrees = meta.index <= self.floor || self.entry(meta.index).is_some_and(|entry| entry.term == meta.term);
        if !agrees {
            joined.apply(&Step::Reset(meta));
        }
        let term = joined.entries.last().map_or(meta.term, |entry| entry.term.max(meta.term));
        if term > joined.hard_state.term {
            joined.hard_state = HardState { term, vote: None, ..joined.hard_state };
        }
        joined
    }

    /// Whether this is what was recovered. Older entries than the snapshot's end may be gone.
    pub(crate) fn explains(&self, recovered: &Recovered) -> bool {
        let joined = self.joined(recovered.snapshot);
        let found = Model::of(recovered);
        let reach = recovered.snapshot.map_or(Index(0), |meta| meta.index);
        let kept: Vec<_> = joined.entries.iter().filter(|entry| entry.index > found.floor).cloned().collect();
        found.floor <= reach
            && found.hard_state == joined.hard_state
            && found.entries == kept
            && found.last() == joined.last()
    }

    /// The models that a power failure during these steps may leave.
    pub(crate) fn outcomes(&self, steps: &[Step]) -> Vec<Model> {
        let mut outcomes = vec![self.clone()];
        let mut model = self.clone();
        for step in steps {
            model.apply(step);
            outcomes.push(model.clone());
        }
        outcomes
    }

    /// Changes that a member could make: what a snapshot covers is decided and stays.
    pub(crate) fn random_steps(&self, covered: Index, dice: &mut Dice) -> Vec<Step> {
        let mut model = self.clone();
        let mut steps = Vec::new();
        let mut push = |step: Step, model: &mut Model| {
            model.apply(&step);
            steps.push(step);
        };
        if dice.one_in(4) {
            let term = Term(model.hard_state.term.0 + 1);
            let vote = dice.one_in(2).then_some(NodeId(1 + dice.below(5) as u8));
            push(Step::HardState(HardState { term, vote, recovering: false }), &mut model);
        }
        if dice.one_in(8) && !model.entries.is_empty() {
            let kept = dice.below(4).min(model.entries.len() as u64 - 1);
            push(Step::Truncate(Index(model.last().0 - kept).max(covered.next())), &mut model);
        }
        for _ in 0..dice.below(5) {
            let length = match dice.below(20) {
                0..2 => dice.below(12_000),
                2..4 => dice.below(2_000),
                4 => 0,
                _ => dice.below(200),
            };
            let fill = dice.roll().to_le_bytes();
            // Half of the bodies are mostly zeros: a torn write of those is hard to see.
            let sparse = dice.one_in(2);
            let body: Bytes =
                (0..length as usize).map(|i| if sparse && i % 64 != 0 { 0 } else { fill[i % 8] }).collect();
            let (term, index) = (model.hard_state.term, model.last().next());
            push(Step::Entry(RawEntry { term, index, body }), &mut model);
        }
        steps
    }
}

/// The entries among the steps.
pub(crate) fn entries(steps: &[Step]) -> impl Iterator<Item = RawEntry> + '_ {
    steps.iter().filter_map(|step| match step {
        Step::Entry(entry) => Some(entry.clone()),
        _ => None,
    })
}

/// Whether each recovered entry was written once. Damage can hide that it was replaced later.
pub(crate) fn written_once(recovered: &Recovered, written: &[RawEntry]) -> bool {
    recovered.entries.iter().all(|entry| written.contains(entry))
}

/// The steps as a batch.
pub(crate) fn batch(steps: &[Step]) -> Batch {
    let mut batch = Batch::new();
    let mut state = HardState::default();
    for step in steps {
        match step {
            Step::Truncate(from) => batch.truncate(*from),
            Step::Entry(entry) => batch.entry(entry.term, entry.index, &entry.body),
            Step::HardState(hard_state) => {
                state = *hard_state;
                batch.hard_state(state);
            }
            Step::Reset(meta) => batch.reset(*meta, state),
        }
    }
    batch
}
