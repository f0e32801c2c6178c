//! Files for segments to come, filled with zeros ahead of time: a flush into a written file is twice as fast as one
//! into a file that grows, and filling one takes too long to wait for.

use crate::Error;
use crate::error::disk;
use crate::layout::spare_name;
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use synod_env::{Env, File, OpenMode};
use tokio::sync::oneshot;

/// Written at once.
static ZEROS: [u8; 128 << 10] = [0; 128 << 10];
/// Synced at once.
const PORTION: u64 = 1 << 20;

/// A file full of zeros.
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn File>,
}

/// Fills a file with zeros and syncs it.
pub(crate) async fn prepare(env: &Env, folder: &Path, length: u64, wanted: &AtomicBool) -> Result<Spare, Error> {
    let path = folder.join(spare_name(env.random_u64()));
    let file = env.disk.open(&path, OpenMode::CreateNew).await.map_err(disk("create", &path))?;
    match fill(env, &path, file.as_ref(), length, wanted).await {
        Ok(()) => Ok(Spare { path, file }),
        Err(error) => {
            // On a full disk each attempt would leave another one.
            let _ = env.disk.remove(&path).await;
            Err(error)
        }
    }
}

async fn fill(env: &Env, path: &Path, file: &dyn File, length: u64, wanted: &AtomicBool) -> Result<(), Error> {
    let mut at = 0;
    while at < length && wanted.load(Ordering::Relaxed) {
        let end = length.min(at + PORTION);
        while at < end {
            let part = &ZEROS[..ZEROS.len().min((end - at) as usize)];
            file.write_at(at, Bytes::from_static(part)).await.map_err(disk("fill", path))?;
            at += part.len() as u64;
        }
        // In portions with pauses, or the log would wait for the disk.
        let started = env.now();
        file.sync().await.map_err(disk("sync", path))?;
        env.sleep(env.now().since(started)).await;
    }
    file.sync().await.map_err(disk("sync", path))
}

/// The same in the background. The receiver gets the file, or nothing when it failed: then whoever needs it tries once
/// more and gets to see the error.
pub(crate) fn prepare_ahead(
    env: &Env,
    folder: &Path,
    length: u64,
    wanted: &Arc<AtomicBool>,
) -> oneshot::Receiver<Spare> {
    let (tx, rx) = oneshot::channel();
    let (world, folder, wanted) = (env.clone(), folder.to_owned(), wanted.clone());
    env.spawn("prepare segment", async move {
        if let Ok(spare) = prepare(&world, &folder, length, &wanted).await {
            drop(tx.send(spare));
        }
    });
    rx
}
