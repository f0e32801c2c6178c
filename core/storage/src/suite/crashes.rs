//! Power failures: what was acknowledged is there afterwards, and a power failure alone is never taken for damage (else
//! one that hits all members at once would leave a cluster without voters).

use super::cases::{content, damage, write_snapshot};
use super::model::{Dice, Model, Step, batch, entries, written_once};
use super::{open, options};
use crate::{Options, RawEntry, Storage, Tail};
use std::path::Path;
use synod_env::Env;
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutants};

/// The switch of a simulated machine.
pub trait Power: Sync {
    /// The power fails after so many more operations of the disk; until it is back all of them fail.
    fn cut_after(&self, operations: u64);
    /// Decides what happened to everything that was not synced, and turns the power on.
    fn restore(&self);
    /// It was not the power that failed: the process ended there, and what it wrote stays, synced or not.
    fn restart(&self);
}

/// What a seed saw, so that a campaign can tell that it saw everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Recoveries.
    pub recoveries: u64,
    /// Torn tails.
    pub torn: u64,
    /// Declared damage.
    pub damaged: u64,
    /// Damage that changed nothing of what was recovered.
    pub mended: u64,
}

/// One seed: rounds of work, a power failure, recovery. With `rot`, something on the disk also goes bad at the end.
pub async fn run(env: &Env, folder: &Path, power: &dyn Power, seed: u64, rot: bool, mutants: Mutants) -> Seen {
    let mut dice = Dice(seed);
    let mut seen = Seen::default();
    let options = options(mutants);
    let mut wanted = Wanted::default();
    let rounds = 2 + dice.below(5);
    for round in 0..rounds {
        wanted.pending.clear();
        let span = if dice.one_in(3) { 30 } else { 400 };
        power.cut_after(2 + dice.below(span));
        let worked = work(env, folder, options, &mut dice, &mut wanted).await;
        let Wanted { model, pending, newest, written } = &mut wanted;
        power.restore();
        let rotten = rot && round + 1 == rounds && damage(env, folder, &mut dice).await;
        let told = format!("seed {seed} round {round}");
        // The power may fail while recovery is at work, also after processes that ended there; that must not change what
        // is found.
        if !rotten && dice.one_in(3) {
            while dice.one_in(2) {
                power.cut_after(dice.below(60));
                drop(Storage::open(env, folder, options).await);
                power.restart();
            }
            power.cut_after(dice.below(60));
            drop(Storage::open(env, folder, options).await);
            power.restore();
        }
        // Nor may damage be forgotten because the start that found it never ended.
        let broken_start = rotten && dice.one_in(3);
        if broken_start {
            power.cut_after(dice.below(60));
            drop(Storage::open(env, folder, options).await);
            power.restore();
        }
        let (storage, recovered) = open(env, folder, options).await;
        drop(storage);
        seen.recoveries += 1;
        let outcomes = model.outcomes(pending);
        let explained = outcomes.iter().any(|outcome| outcome.explains(&recovered));
        if let Some(meta) = recovered.snapshot {
            assert_eq!(meta, content(meta.index, meta.term).0, "{told}: a snapshot that nobody finished");
        }
        let snapshot_kept = recovered.snapshot.unwrap_or_default() >= newest.unwrap_or_default();
        let was_found = broken_start && recovered.hard_state.recovering;
        match &recovered.tail {
            tail if was_found || matches!(tail, Tail::Damaged { .. }) => {
                assert!(rotten, "{told}: a power failure was taken for damage: {tail:?}");
                assert!(recovered.hard_state.recovering && !recovered.empty, "{told}: damage is not remembered");
                assert!(written_once(&recovered, written), "{told}: nobody wrote this: {recovered:?}");
                seen.damaged += 1;
                let (_, again) = open(env, folder, options).await;
                assert!(again.hard_state.recovering, "{told}: damage was forgotten at the second start");
                assert_eq!(again.entries, recovered.entries, "{told}: the second start found something else");
                return seen;
            }
            Tail::Torn { .. } => seen.torn += 1,
            _ => {}
        }
        if rotten {
            // A snapshot may be gone, as long as the log reaches back to an older one.
            assert!(
                explained,
                "{told}: damage was not noticed\nwanted {model:?}\nthen {pending:?}\nfound {recovered:?}"
            );
            seen.mended += 1;
            return seen;
        }
        assert!(snapshot_kept, "{told}: snapshot {newest:?} is gone, found {:?}", recovered.snapshot);
        assert!(explained, "{told}: ({worked})\nwanted {model:?}\nthen {pending:?}\nfound {recovered:?}");
        let untouched = outcomes.contains(&Model::default());
        assert!(!recovered.empty || untouched && newest.is_none(), "{told}: the folder is not empty");
        *model = Model::of(&recovered);
        *newest = recovered.snapshot;
    }
    seen
}

/// What the folder should hold.
#[derive(Default)]
struct Wanted {
    /// What was acknowledged.
    model: Model,
    /// What may or may not be there.
    pending: Vec<Step>,
    /// The newest snapshot that was acknowledged.
    newest: Option<SnapshotMeta>,
    /// Every entry that was ever written.
    written: Vec<RawEntry>,
}

/// Works until the power fails, at most for a while.
async fn work(env: &Env, folder: &Path, options: Options, dice: &mut Dice, wanted: &mut Wanted) -> String {
    let Wanted { model, pending, newest, written } = wanted;
    let Ok((mut storage, _)) = Storage::open(env, folder, options).await else { return "open failed".into() };
    for _ in 0..60 {
        if dice.one_in(12) && model.last() > model.floor {
            let index = Index(model.floor.0 + 1 + dice.below(model.last().0 - model.floor.0));
            let Some(term) = model.entry(index).map(|entry| entry.term) else { continue };
            match write_snapshot(&storage, index, term).await {
                Ok(meta) => *newest = (*newest).max(Some(meta)),
                Err(error) => return format!("snapshot: {error}"),
            }
            let oldest = storage.snapshots().list().first().map_or(Index(0), |meta| meta.index);
            if let Err(error) = storage.compact(oldest.next()).await {
                return format!("compact: {error}");
            }
            continue;
        }
        if dice.one_in(40) {
            let (index, term) = (Index(model.last().0 + 1 + dice.below(9)), model.hard_state.term);
            let (meta, data) = content(index, term);
            let snapshots = storage.snapshots();
            let half = data.len().min(1_000);
            for (offset, part) in [(0, data.slice(..half)), (half, data.slice(half..))] {
                if let Err(error) = snapshots.receive(meta, offset as u64, part).await {
                    return format!("receive: {error}");
                }
            }
            if let Err(error) = snapshots.finish_receive(meta).await {
                return format!("finish: {error}");
            }
            *newest = (*newest).max(Some(meta));
            *pending = vec![Step::HardState(HardState { recovering: false, ..model.hard_state }), Step::Reset(meta)];
        } else {
            let covered = newest.map_or(Index(0), |meta| meta.index);
            *pending = model.random_steps(covered, dice);
        }
        written.extend(entries(pending));
        if let Err(error) = storage.append(&mut batch(pending)).await {
            return format!("append: {error}");
        }
        for step in pending.drain(..) {
            model.apply(&step);
        }
    }
    "to the end".into()
}
