//! Single cases, in the order of a member's life.

use super::model::{Dice, Model, batch, entries, written_once};
use super::{open, options};
use crate::{Batch, Error, Options, Storage, Tail};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use synod_env::{Env, OpenMode};
use synod_types::raft::{HardState, SnapshotMeta};
use synod_types::{Index, Mutants, NodeId, Term};

fn state(term: u64, vote: u8) -> HardState {
    HardState { term: Term(term), vote: Some(NodeId(vote)), recovering: false }
}

/// Appends entries of one term, each in a flush of its own.
async fn append(storage: &mut Storage, term: u64, indexes: std::ops::RangeInclusive<u64>, length: usize) {
    let mut batch = Batch::new();
    for index in indexes {
        batch.entry(Term(term), Index(index), &vec![index as u8 | 1; length]);
        storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append {index}: {error}"));
        assert!(batch.is_empty(), "append must clear the batch");
    }
}

fn indexes(recovered: &crate::Recovered) -> Vec<u64> {
    recovered.entries.iter().map(|entry| entry.index.0).collect()
}

async fn segments(env: &Env, folder: &Path) -> usize {
    let names = env.disk.list(folder).await.unwrap_or_default();
    names.iter().filter(|name| name.to_string_lossy().starts_with("log-")).count()
}

/// A new folder is empty, and stays so until something is acknowledged.
pub(super) async fn empty(env: &Env, folder: &Path, mutants: Mutants) {
    for _ in 0..3 {
        let (_, recovered) = open(env, folder, options(mutants)).await;
        assert!(recovered.empty && recovered.tail == Tail::Clean, "a new folder: {recovered:?}");
    }
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    let mut batch = Batch::new();
    batch.hard_state(HardState::default());
    storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append: {error}"));
    drop(storage);
    let (_, recovered) = open(env, folder, options(mutants)).await;
    assert!(!recovered.empty, "a hard state was acknowledged, even if it is the default one");
}

/// Entries and the last hard state come back.
pub(super) async fn reopen(env: &Env, folder: &Path, mutants: Mutants) {
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    append(&mut storage, 1, 1..=5, 100).await;
    let mut batch = Batch::new();
    batch.hard_state(state(2, 3));
    batch.entry(Term(2), Index(6), b"");
    batch.hard_state(state(3, 1));
    storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append: {error}"));
    batch.entry(Term(3), Index(9), b"gap");
    assert!(matches!(storage.append(&mut batch).await, Err(Error::Gap { .. })), "a gap must be refused");
    batch.clear();
    batch.entry(Term(3), Index(7), b"good");
    assert!(matches!(storage.append(&mut batch).await, Err(Error::Stopped(_))), "an error stops the log for good");
    drop(storage);
    for _ in 0..2 {
        let (_, recovered) = open(env, folder, options(mutants)).await;
        assert_eq!(indexes(&recovered), [1, 2, 3, 4, 5, 6]);
        assert_eq!((recovered.hard_state, &recovered.tail), (state(3, 1), &Tail::Clean));
        assert_eq!(recovered.entries[4].body, vec![5; 100]);
        assert!(recovered.entries[5].body.is_empty() && recovered.entries[5].term == Term(2));
    }
}

/// A log longer than a segment, with flushes longer than an echo and longer than a segment.
pub(super) async fn roll(env: &Env, folder: &Path, mutants: Mutants) {
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    let mut batch = Batch::new();
    batch.hard_state(state(1, 1));
    storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append: {error}"));
    append(&mut storage, 1, 1..=60, 3_000).await;
    append(&mut storage, 1, 61..=70, 20_000).await;
    append(&mut storage, 1, 71..=72, 150_000).await;
    append(&mut storage, 1, 73..=75, 10).await;
    drop(storage);
    assert!(segments(env, folder).await > 6, "the log must have rolled");
    let (_, recovered) = open(env, folder, options(mutants)).await;
    assert_eq!(indexes(&recovered), (1..=75).collect::<Vec<_>>());
    assert_eq!(recovered.hard_state, state(1, 1));
    assert_eq!(recovered.entries[71].body, vec![72 | 1; 150_000]);
}

/// What was dropped stays dropped, over segments and starts.
pub(super) async fn truncate_and_reset(env: &Env, folder: &Path, mutants: Mutants) {
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    append(&mut storage, 1, 1..=40, 3_000).await;
    let mut batch = Batch::new();
    batch.truncate(Index(5));
    batch.entry(Term(2), Index(5), b"other");
    storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append: {error}"));
    drop(storage);
    let (mut storage, recovered) = open(env, folder, options(mutants)).await;
    assert_eq!(indexes(&recovered), [1, 2, 3, 4, 5]);
    assert_eq!(recovered.entries[4].body, b"other"[..]);
    let meta = write_snapshot(&storage, Index(20), Term(3)).await.unwrap_or_else(|e| panic!("{e}"));
    batch.reset(meta, state(4, 2));
    storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append: {error}"));
    append(&mut storage, 4, 21..=22, 10).await;
    storage.compact(Index(21)).await.unwrap_or_else(|error| panic!("compact: {error}"));
    assert_eq!(segments(env, folder).await, 1, "segments before a reset hold nothing");
    drop(storage);
    let (_, recovered) = open(env, folder, options(mutants)).await;
    assert_eq!((indexes(&recovered), recovered.hard_state), (vec![21, 22], state(4, 2)));
}

/// Old segments go, their hard state stays, and the log still joins the snapshot.
pub(super) async fn compact(env: &Env, folder: &Path, mutants: Mutants) {
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    let mut batch = Batch::new();
    batch.hard_state(state(1, 2));
    storage.append(&mut batch).await.unwrap_or_else(|error| panic!("append: {error}"));
    append(&mut storage, 1, 1..=100, 3_000).await;
    let before = segments(env, folder).await;
    write_snapshot(&storage, Index(90), Term(1)).await.unwrap_or_else(|error| panic!("{error}"));
    storage.compact(Index(80)).await.unwrap_or_else(|error| panic!("compact: {error}"));
    assert!(segments(env, folder).await < before, "compaction must remove segments");
    drop(storage);
    let (_, recovered) = open(env, folder, options(mutants)).await;
    let first = recovered.entries[0].index;
    assert!(first > Index(50) && first <= Index(80), "the first entry is {first:?}");
    assert_eq!(indexes(&recovered), (first.0..=100).collect::<Vec<_>>());
    assert_eq!((recovered.hard_state, &recovered.tail), (state(1, 2), &Tail::Clean));
}

/// What the suite's snapshot of a place in the log holds.
pub(super) fn content(index: Index, term: Term) -> (SnapshotMeta, Bytes) {
    let mut dice = Dice(index.0 << 20 | term.0);
    let length = dice.below(9_000) as usize;
    let data: Bytes = (0..length / 8).flat_map(|_| dice.roll().to_le_bytes()).collect();
    let (size_bytes, checksum) = (data.len() as u64, crc32c::crc32c(&data));
    (SnapshotMeta { index, term, size_bytes, checksum }, data)
}

/// Writes the suite's snapshot.
pub(super) async fn write_snapshot(storage: &Storage, index: Index, term: Term) -> Result<SnapshotMeta, Error> {
    let (meta, data) = content(index, term);
    let mut writer = storage.snapshots().create(index, term).await?;
    for part in data.chunks(2_000) {
        writer.push(data.slice_ref(part)).await?;
    }
    let written = writer.finish().await?;
    assert_eq!(written, meta, "a snapshot's size or checksum is wrong");
    Ok(written)
}

/// Written, listed, read in chunks, loaded, thinned out.
pub(super) async fn snapshots(env: &Env, folder: &Path, mutants: Mutants) {
    let (storage, _) = open(env, folder, Options { snapshot_keep: 2, ..options(mutants) }).await;
    let snapshots = storage.snapshots();
    let mut metas = Vec::new();
    for index in 1..=4u64 {
        let mut writer = snapshots.create(Index(index), Term(1)).await.unwrap_or_else(|error| panic!("{error}"));
        for part in 0..3 {
            let bytes = Bytes::from(vec![part + index as u8; 1_000]);
            writer.push(bytes).await.unwrap_or_else(|error| panic!("{error}"));
        }
        metas.push(writer.finish().await.unwrap_or_else(|error| panic!("{error}")));
    }
    assert_eq!(snapshots.list(), metas[2..], "two are kept");
    assert!(matches!(snapshots.read_chunk(metas[0], 0, 10).await, Err(Error::NoSnapshot(_))));
    let (mut at, mut whole) = (0, Vec::new());
    loop {
        let (bytes, done) = snapshots.read_chunk(metas[3], at, 700).await.unwrap_or_else(|error| panic!("{error}"));
        at += bytes.len() as u64;
        whole.extend_from_slice(&bytes);
        if done {
            break;
        }
    }
    assert_eq!(crc32c::crc32c(&whole), metas[3].checksum);
    let mut reader = snapshots.load(metas[3]).await.unwrap_or_else(|error| panic!("{error}"));
    let mut loaded = Vec::new();
    while let Some(bytes) = reader.next().await.unwrap_or_else(|error| panic!("{error}")) {
        loaded.extend_from_slice(&bytes);
    }
    assert_eq!((loaded.len(), loaded == whole), (3_000, true));
}

/// A leader's snapshot: in order, from one snapshot only, and whole.
pub(super) async fn receive(env: &Env, folder: &Path, mutants: Mutants) {
    let (storage, _) = open(env, folder, options(mutants)).await;
    let snapshots = storage.snapshots();
    let data = Bytes::from_static(b"twelve bytes");
    let meta = |index| {
        let (index, term, size_bytes) = (Index(index), Term(2), 12);
        SnapshotMeta { index, term, size_bytes, checksum: crc32c::crc32c(b"twelve bytes") }
    };
    assert!(matches!(snapshots.receive(meta(9), 5, data.slice(5..)).await, Err(Error::Chunk { .. })));
    snapshots.receive(meta(9), 0, data.slice(..5)).await.unwrap_or_else(|error| panic!("{error}"));
    let mixed = snapshots.receive(meta(8), 5, data.slice(5..)).await;
    assert!(matches!(mixed, Err(Error::Chunk { .. })), "chunks of two snapshots must not mix");
    snapshots.receive(meta(9), 0, data.slice(..6)).await.unwrap_or_else(|error| panic!("{error}"));
    let short = snapshots.finish_receive(meta(9)).await;
    assert!(matches!(short, Err(Error::BadSnapshot { .. })), "half a snapshot was accepted");
    snapshots.receive(meta(9), 0, data.slice(..6)).await.unwrap_or_else(|error| panic!("{error}"));
    snapshots.receive(meta(9), 6, data.slice(6..)).await.unwrap_or_else(|error| panic!("{error}"));
    snapshots.finish_receive(meta(9)).await.unwrap_or_else(|error| panic!("{error}"));
    snapshots.receive(meta(10), 0, Bytes::from_static(b"twelve bites")).await.unwrap_or_else(|error| panic!("{error}"));
    let wrong = snapshots.finish_receive(meta(10)).await;
    assert!(matches!(wrong, Err(Error::BadSnapshot { .. })), "a wrong checksum was accepted");
    assert_eq!(snapshots.list(), [meta(9)]);
}

/// Stopped between storing a leader's snapshot and resetting the log.
pub(super) async fn snapshot_ahead_of_log(env: &Env, folder: &Path, mutants: Mutants) {
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    append(&mut storage, 1, 1..=5, 10).await;
    let meta = write_snapshot(&storage, Index(9), Term(4)).await.unwrap_or_else(|e| panic!("{e}"));
    drop(storage);
    let (mut storage, recovered) = open(env, folder, options(mutants)).await;
    assert_eq!((recovered.snapshot, recovered.entries.len(), &recovered.tail), (Some(meta), 0, &Tail::Clean));
    assert_eq!(recovered.hard_state.term, Term(4));
    append(&mut storage, 4, 10..=11, 10).await;
    drop(storage);
    let (_, recovered) = open(env, folder, options(mutants)).await;
    assert_eq!(indexes(&recovered), [10, 11]);
}

/// The newest snapshot is damaged: an older one will do while the log reaches back to it, and only then.
pub(super) async fn damaged_snapshot(env: &Env, folder: &Path, mutants: Mutants) {
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    append(&mut storage, 1, 1..=60, 3_000).await;
    let mut metas = Vec::new();
    for index in [20, 50] {
        let meta = write_snapshot(&storage, Index(index), Term(1)).await;
        metas.push(meta.unwrap_or_else(|error| panic!("{error}")));
    }
    storage.compact(Index(21)).await.unwrap_or_else(|error| panic!("compact: {error}"));
    drop(storage);
    let file = folder.join(crate::layout::snapshot_name(&metas[1]));
    flip(env, &file, 5).await;
    let (mut storage, recovered) = open(env, folder, options(mutants)).await;
    assert_eq!((recovered.snapshot, &recovered.tail), (Some(metas[0]), &Tail::Clean));
    assert!(recovered.entries[0].index <= Index(21) && recovered.entries.len() >= 40);
    storage.compact(Index(50)).await.unwrap_or_else(|error| panic!("compact: {error}"));
    drop(storage);
    let (_, recovered) = open(env, folder, options(mutants)).await;
    assert!(matches!(recovered.tail, Tail::Damaged { .. }), "a gap behind the snapshot: {:?}", recovered.tail);
    assert!(recovered.entries.is_empty() && recovered.hard_state.recovering);
    let (_, recovered) = open(env, folder, options(mutants)).await;
    assert!(recovered.tail == Tail::Clean && recovered.hard_state.recovering && !recovered.empty);
}

/// Another member's folder, another cluster's, a newer version's.
pub(super) async fn foreign(env: &Env, folder: &Path, mutants: Mutants) {
    let own = options(mutants);
    let (mut storage, _) = open(env, folder, own).await;
    append(&mut storage, 1, 1..=1, 10).await;
    drop(storage);
    let other = Storage::open(env, folder, Options { node: NodeId(2), ..own }).await;
    assert!(matches!(other, Err(Error::Foreign { found_node: NodeId(1), node: NodeId(2), .. })));
    let other = Storage::open(env, folder, Options { cluster: 8, ..own }).await;
    assert!(matches!(other, Err(Error::Foreign { found_cluster: 7, cluster: 8, .. })));
    let older = Storage::open(env, folder, Options { format: 0, ..own }).await;
    assert!(matches!(older, Err(Error::Newer { found: 1, limit: 0, .. })));
    let (_, recovered) = open(env, folder, own).await;
    assert_eq!(indexes(&recovered), [1], "a refused folder stays as it is");
}

/// One process a folder.
pub(super) async fn locked(env: &Env, folder: &Path, mutants: Mutants) {
    let (storage, _) = open(env, folder, options(mutants)).await;
    let second = Storage::open(env, folder, options(mutants)).await;
    assert!(matches!(second, Err(Error::Locked { .. })), "two opened one folder");
    drop(storage);
    open(env, folder, options(mutants)).await;
}

async fn flip(env: &Env, path: &Path, offset: u64) {
    let broken = async {
        let file = env.disk.open(path, OpenMode::Write).await?;
        let byte = file.read_at(offset, 1).await?;
        file.write_sync(vec![(offset, Bytes::from(vec![byte[0] ^ 0x10]))]).await
    };
    broken.await.unwrap_or_else(|error| panic!("damage {}: {error}", path.display()));
}

/// Where the heads and the echoes of a segment of the suite's size begin.
const HEADS: [u64; 4] = [0, 4096, 8192, 16384];
const BLOCKS: [std::ops::Range<u64>; 3] = [0..8192, 8192..24576, 8192..32768];

/// Lets one place of one file go bad. False when there is none.
pub(super) async fn damage(env: &Env, folder: &Path, dice: &mut Dice) -> bool {
    let names = env.disk.list(folder).await.unwrap_or_default();
    let ours = |name: &PathBuf| name.to_str().is_some_and(|name| name.starts_with("log-") || name.starts_with("snap"));
    let files: Vec<_> = names.into_iter().filter(ours).map(|name| folder.join(name)).collect();
    let Some(path) = files.get(dice.below(files.len() as u64) as usize) else { return false };
    let broken = async {
        let file = env.disk.open(path, OpenMode::Write).await?;
        let length = file.len().await?;
        // Where something is written there is more to break.
        let mut at = dice.below(length);
        for _ in 0..50 {
            if file.read_at(at, 1).await?.first().is_some_and(|byte| *byte != 0) {
                break;
            }
            at = dice.below(length);
        }
        let is_log = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
        if is_log && dice.one_in(3) {
            // The heads and the echoes' heads are few among the sectors.
            at = HEADS[dice.below(HEADS.len() as u64) as usize];
        }
        if is_log && dice.one_in(4) {
            // What was written last may have been torn, and must be told from that.
            let all = file.read_at(0, length as usize).await?;
            let last = all.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64;
            at = last - dice.below(1_000.min(last + 1));
        }
        if is_log && dice.one_in(8) {
            // A whole block: both heads, or both echoes, also with what they echo.
            let block = &BLOCKS[dice.below(BLOCKS.len() as u64) as usize];
            return file.write_sync(vec![(block.start, vec![0; (block.end - block.start) as usize].into())]).await;
        }
        let sector = 512.min(length - at / 512 * 512) as usize;
        let start = at / 512 * 512;
        let bad = match dice.below(4) {
            0 => (start, Bytes::from(vec![0; sector])),
            1 => (start, (0..sector).map(|_| dice.roll() as u8).collect()),
            2 => (start, file.read_at(dice.below(length / 512 + 1) * 512, sector).await?),
            _ => (at, Bytes::from(vec![file.read_at(at, 1).await?[0] ^ (1 << dice.below(8))])),
        };
        file.write_sync(vec![bad]).await
    };
    broken.await.unwrap_or_else(|error: std::io::Error| panic!("damage {}: {error}", path.display()));
    true
}

/// One bad place is mended or declared, in a log that was closed in good order.
pub(super) async fn rot(env: &Env, folder: &Path, seed: u64, mutants: Mutants) {
    let mut dice = Dice(seed);
    let (mut storage, _) = open(env, folder, options(mutants)).await;
    let (mut model, mut written) = (Model::default(), Vec::new());
    for _ in 0..30 {
        let steps = model.random_steps(Index(0), &mut dice);
        storage.append(&mut batch(&steps)).await.unwrap_or_else(|error| panic!("append: {error}"));
        steps.iter().for_each(|step| model.apply(step));
        written.extend(entries(&steps));
    }
    drop(storage);
    damage(env, folder, &mut dice).await;
    let (_, recovered) = open(env, folder, options(mutants)).await;
    match &recovered.tail {
        Tail::Damaged { .. } => assert!(written_once(&recovered, &written) && recovered.hard_state.recovering),
        _ => assert!(model.explains(&recovered), "seed {seed}: damage was not noticed: {model:?} {recovered:?}"),
    }
}
