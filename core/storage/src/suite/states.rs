//! Every disk that a power failure could leave, instead of a sample: a scripted life of a folder is cut after each
//! operation of the disk, and each state of the last unsynced changes is recovered and compared with what was
//! acknowledged.

use super::cases::{content, write_snapshot};
use super::crashes::Power;
use super::model::{Model, Step, batch};
use super::{open, options};
use crate::{Error, Options, RawEntry, Storage, Tail};
use bytes::Bytes;
use std::path::Path;
use synod_env::Env;
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutants, NodeId, Term};

/// Unsynced changes that are kept and lost in every combination; earlier ones are kept.
pub const CHANGES_MAX: usize = 8;

/// The same of [`run_twice`], which has many more cuts.
const CHANGES_MAX_TWICE: usize = 3;

/// A machine whose disk can be looked at in every state that a power failure at this moment could leave.
pub trait Fork: Power {
    /// Machines with such disks. One may be the one before with another disk: use each before taking the next.
    fn crash_states(&self, changes_max: usize) -> Box<dyn Iterator<Item = Env> + Send>;
}

/// What a run saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Places at which the life was cut.
    pub cuts: u64,
    /// States that were recovered.
    pub states: u64,
    /// Of these, with a torn tail.
    pub torn: u64,
}

/// Lives the scripted life on new machines, cut after 0, 1, 2 … operations, until it is lived to its end.
pub async fn run<M: Fork>(machine: impl Fn() -> (M, Env), folder: &Path, mutants: Mutants) -> Seen {
    let mut seen = Seen::default();
    while !run_cut(machine(), folder, mutants, &mut seen).await {}
    seen
}

/// Lives the scripted life on one machine, cut after `seen.cuts` operations. Whether it was lived to its end.
pub async fn run_cut<M: Fork>(machine: (M, Env), folder: &Path, mutants: Mutants, seen: &mut Seen) -> bool {
    let (power, env) = machine;
    power.cut_after(seen.cuts);
    let mut life = Life::default();
    let ended = life.live(&env, folder, options(mutants)).await;
    for env in power.crash_states(CHANGES_MAX) {
        seen.torn += u64::from(life.check(&env, folder, options(mutants), *seen).await);
        seen.states += 1;
    }
    seen.cuts += 1;
    ended.is_ok()
}

/// As [`run`], but at the cut the process ends, and the power fails in the start after it, after 0, 1, 2 … operations: what
/// a start finds in the page cache may be gone at the next.
pub async fn run_twice<M: Fork>(machine: impl Fn() -> (M, Env), folder: &Path, mutants: Mutants) -> Seen {
    let mut seen = Seen::default();
    loop {
        for operations in 0.. {
            let (power, env) = machine();
            power.cut_after(seen.cuts);
            let mut life = Life::default();
            let lived = life.live(&env, folder, options(mutants)).await.is_ok();
            power.restart();
            power.cut_after(operations);
            let opened = Storage::open(&env, folder, options(mutants)).await.map(drop).is_ok();
            for env in power.crash_states(CHANGES_MAX_TWICE) {
                seen.torn += u64::from(life.check(&env, folder, options(mutants), seen).await);
                seen.states += 1;
            }
            match (opened, lived) {
                (true, true) => return seen,
                (true, false) => break,
                (false, _) => {}
            }
        }
        seen.cuts += 1;
    }
}

/// What the folder should hold.
#[derive(Default)]
struct Life {
    /// What was acknowledged.
    model: Model,
    /// What may or may not be there.
    pending: Vec<Step>,
    /// The newest snapshot that was acknowledged.
    newest: Option<SnapshotMeta>,
}

impl Life {
    /// Hard states, entries, truncations, flushes too long for an echo, new segments, snapshots of its own and of a
    /// leader, starts.
    async fn live(&mut self, env: &Env, folder: &Path, options: Options) -> Result<(), Error> {
        let (mut storage, _) = Storage::open(env, folder, options).await?;
        self.elect(&mut storage, 1).await?;
        self.append(&mut storage, &[40, 0, 700]).await?;
        self.append(&mut storage, &[2_000]).await?;
        self.elect(&mut storage, 2).await?;
        self.replace(&mut storage, Index(3), &[100, 600]).await?;
        drop(storage);
        let (mut storage, _) = Storage::open(env, folder, options).await?;
        self.append(&mut storage, &[9_000]).await?;
        self.append(&mut storage, &[12_000, 10]).await?;
        self.own_snapshot(&mut storage, Index(5)).await?;
        self.append(&mut storage, &[4_000]).await?;
        self.append(&mut storage, &[50]).await?;
        self.append(&mut storage, &[22_000]).await?;
        self.append(&mut storage, &[300, 300]).await?;
        self.own_snapshot(&mut storage, Index(8)).await?;
        self.leaders_snapshot(&mut storage, Index(30)).await?;
        self.append(&mut storage, &[500]).await?;
        drop(storage);
        let (mut storage, _) = Storage::open(env, folder, options).await?;
        self.elect(&mut storage, 3).await?;
        self.append(&mut storage, &[20]).await
    }

    async fn flush(&mut self, storage: &mut Storage, steps: Vec<Step>) -> Result<(), Error> {
        self.pending = steps;
        storage.append(&mut batch(&self.pending)).await?;
        for step in self.pending.drain(..) {
            self.model.apply(&step);
        }
        Ok(())
    }

    async fn elect(&mut self, storage: &mut Storage, term: u64) -> Result<(), Error> {
        let state = HardState { term: Term(term), vote: Some(NodeId(2)), recovering: false };
        self.flush(storage, vec![Step::HardState(state)]).await
    }

    async fn append(&mut self, storage: &mut Storage, lengths: &[usize]) -> Result<(), Error> {
        self.replace(storage, self.model.last().next(), lengths).await
    }

    /// Appends entries from an index on, in place of those that there are.
    async fn replace(&mut self, storage: &mut Storage, from: Index, lengths: &[usize]) -> Result<(), Error> {
        let mut steps = Vec::new();
        if from <= self.model.last() {
            steps.push(Step::Truncate(from));
        }
        let mut index = from;
        for &length in lengths {
            let term = self.model.hard_state.term;
            let body: Bytes = (0..length).map(|at| (at as u64 * 31 + index.0 * 7 + term.0) as u8).collect();
            steps.push(Step::Entry(RawEntry { term, index, body }));
            index = index.next();
        }
        self.flush(storage, steps).await
    }

    async fn own_snapshot(&mut self, storage: &mut Storage, index: Index) -> Result<(), Error> {
        let term = self.model.entry(index).map_or(Term(0), |entry| entry.term);
        let meta = write_snapshot(storage, index, term).await?;
        self.newest = self.newest.max(Some(meta));
        let oldest = storage.snapshots().list().first().map_or(Index(0), |meta| meta.index);
        storage.compact(oldest.next()).await
    }

    async fn leaders_snapshot(&mut self, storage: &mut Storage, index: Index) -> Result<(), Error> {
        let (meta, data) = content(index, self.model.hard_state.term);
        let (snapshots, half) = (storage.snapshots(), data.len() / 2);
        snapshots.receive(meta, 0, data.slice(..half)).await?;
        snapshots.receive(meta, half as u64, data.slice(half..)).await?;
        snapshots.finish_receive(meta).await?;
        self.newest = self.newest.max(Some(meta));
        self.flush(storage, vec![Step::HardState(self.model.hard_state), Step::Reset(meta)]).await
    }

    /// Recovers one state of the disk. Whether its tail was torn.
    async fn check(&self, env: &Env, folder: &Path, options: Options, seen: Seen) -> bool {
        let told = format!("cut after {} operations, state {}", seen.cuts, seen.states);
        let (storage, recovered) = open(env, folder, options).await;
        drop(storage);
        if let Tail::Damaged { why } = &recovered.tail {
            panic!("{told}: a power failure was taken for damage: {why}");
        }
        if let Some(meta) = recovered.snapshot {
            assert_eq!(meta, content(meta.index, meta.term).0, "{told}: a snapshot that nobody finished");
        }
        let Life { model, pending, newest } = self;
        assert!(recovered.snapshot >= *newest, "{told}: snapshot {newest:?} is gone, found {:?}", recovered.snapshot);
        let outcomes = model.outcomes(pending);
        let explained = outcomes.iter().any(|outcome| outcome.explains(&recovered));
        assert!(explained, "{told}:\nwanted {model:?}\nthen {pending:?}\nfound {recovered:?}");
        let untouched = outcomes.contains(&Model::default());
        assert!(!recovered.empty || untouched && newest.is_none(), "{told}: the folder is not empty");
        matches!(recovered.tail, Tail::Torn { .. })
    }
}
