//! Snapshots, away from the core thread: written from a clone of the state, sent in chunks, received and loaded.

use crate::core::{Shared, Work};
use bytes::BytesMut;
use std::sync::Arc;
use std::time::Duration;
use synod_replica::Input;
use synod_replica::State;
use synod_storage::{SnapshotWriter, Snapshots};
use synod_types::raft::SnapshotMeta;
use synod_types::record::Record;
use synod_types::{Index, Mutant, Mutants, Term};
use synod_wire::record::{SnapshotDecoder, SnapshotEncoder};

/// Bytes encoded before the core thread and the disk get a turn.
const PIECE_BYTES: usize = 256 << 10;
/// What the simulator charges for encoding or decoding a piece.
const PIECE_COST: Duration = Duration::from_micros(300);

/// Starts a task.
pub(crate) fn start(shared: &Arc<Shared>, work: Work) {
    let shared = shared.clone();
    match work {
        Work::Write { state, index, term } => shared.env.clone().spawn("snapshot-write", async move {
            if shared.env.buggify("node.snapshot_written_twice") {
                drop(write(&shared, (*state).clone(), index, term).await);
            }
            if shared.config.mutants.on(Mutant::StoreRetireEarly) {
                shared.lock().batch.compact = Some(index.next());
                shared.log.notify_one();
            }
            let input = match write(&shared, *state, index, term).await {
                Ok(meta) => Input::SnapshotWritten { meta },
                Err(error) => {
                    tracing::warn!(member = shared.config.id.0, %error, "no snapshot");
                    Input::SnapshotFailed
                }
            };
            let now = shared.now();
            let mut core = shared.lock();
            core.figures.snapshots += u64::from(matches!(input, Input::SnapshotWritten { .. }));
            core.step(&shared, now, input);
            core.batch.compact = Some(core.replica.consensus().first_index());
            shared.log.notify_one();
            shared.env.sometimes("node.snapshot_written");
        }),
        Work::Fetch { peer, meta, offset } => shared.env.clone().spawn("snapshot-send", async move {
            let input = match shared.snapshots.read_chunk(meta, offset, shared.config.chunk_bytes).await {
                Ok(_) if shared.env.buggify("node.chunk_unread") => Input::FetchFailed { peer, meta },
                Ok((data, done)) => Input::Fetched { peer, meta, offset, data, done },
                Err(_) => Input::FetchFailed { peer, meta },
            };
            shared.step(input);
            shared.env.sometimes("node.snapshot_sent");
        }),
    }
}

type Records = Box<dyn Iterator<Item = Record> + Send>;

async fn write(shared: &Arc<Shared>, state: State, index: Index, term: Term) -> Result<SnapshotMeta, String> {
    let snapshots = &shared.snapshots;
    let mut writer = snapshots.create(index, term).await.map_err(|e| e.to_string())?;
    match fill(shared, state, &mut writer).await {
        Ok(()) => writer.finish().await.map_err(|e| e.to_string()),
        Err(error) => {
            if !shared.config.mutants.on(Mutant::NodeUnfinishedLeft) {
                let _ = writer.discard().await;
            }
            Err(error)
        }
    }
}

async fn fill(shared: &Arc<Shared>, state: State, writer: &mut SnapshotWriter) -> Result<(), String> {
    let mut records: Records = Box::new(state.records());
    let mut piece = BytesMut::new();
    let mut encoder = Some(SnapshotEncoder::new(&mut piece));
    while let Some(mut encoding) = encoder {
        let encoded = shared.env.offload(PIECE_COST, move || {
            for record in records.by_ref() {
                encoding.push(&record, &mut piece);
                if piece.len() >= PIECE_BYTES {
                    return (records, Some(encoding), piece.freeze());
                }
            }
            encoding.finish(&mut piece);
            (records, None, piece.freeze())
        });
        let bytes;
        (records, encoder, bytes) = encoded.await.map_err(|e| e.to_string())?;
        writer.push(bytes).await.map_err(|e| e.to_string())?;
        if shared.lock().stopped.is_some() {
            return Err("the member stops".into());
        }
        if shared.env.buggify("node.snapshot_abandoned") {
            return Err("abandoned by a fault point".into());
        }
        // The first is small in a small state; whoever has filled one fills another.
        piece = BytesMut::with_capacity(if encoder.is_some() { PIECE_BYTES + 4096 } else { 0 });
    }
    // The iterator may be the last owner of an old version of the state: letting go of it takes a while.
    let _ = shared.env.offload(Duration::ZERO, move || drop(records)).await;
    Ok(())
}

/// Reads a snapshot from the disk into a state.
pub(crate) async fn load(
    env: &synod_env::Env,
    snapshots: &Snapshots,
    meta: SnapshotMeta,
    mutants: Mutants,
) -> Result<State, String> {
    let mut reader = snapshots.load(meta).await.map_err(|e| e.to_string())?;
    let mut decoder = SnapshotDecoder::new();
    let mut records = Vec::new();
    while let Some(bytes) = reader.next().await.map_err(|e| e.to_string())? {
        let decoded = env.offload(PIECE_COST, move || {
            decoder.feed(&bytes);
            loop {
                match decoder.next_record() {
                    Ok(Some(record)) => records.push(record),
                    Ok(None) => return (decoder, records, Ok(())),
                    Err(error) => return (decoder, records, Err(error)),
                }
            }
        });
        let result;
        (decoder, records, result) = decoded.await.map_err(|e| e.to_string())?;
        result.map_err(|e| e.to_string())?;
    }
    decoder.finish().map_err(|e| e.to_string())?;
    let restored = env.offload(PIECE_COST, move || State::restore(records.into_iter(), mutants));
    restored.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// Receives the pieces of leaders' snapshots, in order.
pub(crate) async fn receive(shared: Arc<Shared>) {
    let snapshots = shared.snapshots.clone();
    // What has become of the snapshot so far. Its last chunk gets the one answer for all: an earlier one would end the
    // restoring, and what then still comes would be restored although nobody waits for it.
    let mut result: Result<(), String> = Ok(());
    loop {
        let (chunk, stopped) = {
            let mut core = shared.lock();
            (core.chunks.pop_front(), core.stopped.is_some())
        };
        if stopped {
            return;
        }
        let Some(chunk) = chunk else {
            shared.store.notified().await;
            continue;
        };
        let meta = chunk.meta;
        if chunk.offset == 0 {
            result = Ok(());
        }
        if result.is_ok() {
            result = snapshots.receive(meta, chunk.offset, chunk.data).await.map_err(|e| e.to_string());
        }
        if shared.env.buggify("node.chunk_refused") {
            result = Err("refused by a fault point".into());
        }
        if !chunk.done {
            continue;
        }
        if result.is_ok() {
            result = snapshots.finish_receive(meta).await.map_err(|e| e.to_string());
            shared.env.buggify_pause("node.restore_late", 2 * shared.config.election_timeout).await;
        }
        let input = match std::mem::replace(&mut result, Ok(())) {
            Ok(()) => match load(&shared.env, &snapshots, meta, shared.config.mutants).await {
                Ok(state) => Input::Restored { meta, state: Box::new(state) },
                Err(error) => {
                    tracing::warn!(member = shared.config.id.0, error, "the received snapshot does not load");
                    Input::RestoreFailed { meta }
                }
            },
            Err(error) => {
                tracing::warn!(member = shared.config.id.0, error, "the received snapshot is not stored");
                Input::RestoreFailed { meta }
            }
        };
        shared.env.sometimes("node.snapshot_received");
        shared.step(input);
    }
}
