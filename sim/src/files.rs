//! The disk as a process sees it: operations are queued when they are called, their futures bring the results.

use crate::disk::plain;
use crate::kernel::Shared;
use crate::operations::{Outcome, Work};
use crate::process::Process;
use bytes::Bytes;
use std::future::{Future, ready};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use synod_env::{BoxFuture, Disk, File, OpenMode};

/// An operation in the disk's queue.
struct Op {
    shared: Arc<Shared>,
    id: u64,
}

impl Future for Op {
    type Output = io::Result<Outcome>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Outcome>> {
        self.shared.with(|kernel| kernel.poll_disk_op(cx, self.id))
    }
}

impl Drop for Op {
    fn drop(&mut self) {
        self.shared.with(|kernel| kernel.abandon_disk_op(self.id));
    }
}

fn op(shared: &Arc<Shared>, host: u32, incarnation: u64, work: Work) -> Op {
    Op { shared: shared.clone(), id: shared.with(|kernel| kernel.disk_op(host, incarnation, work)) }
}

impl Process {
    fn disk_op(&self, work: Work) -> Op {
        op(&self.shared, self.host, self.incarnation, work)
    }

    fn done(&self, work: Work) -> BoxFuture<'_, io::Result<()>> {
        let op = self.disk_op(work);
        Box::pin(async move { op.await.map(drop) })
    }
}

impl Disk for Process {
    fn open(&self, path: &Path, mode: OpenMode) -> BoxFuture<'_, io::Result<Box<dyn File>>> {
        let op = self.disk_op(Work::Open(plain(path), mode));
        Box::pin(async move {
            let Outcome::File(file) = op.await? else { return Err(ErrorKind::Other.into()) };
            let (shared, host, incarnation) = (self.shared.clone(), self.host, self.incarnation);
            Ok(Box::new(SimFile { shared, host, incarnation, file, writable: mode != OpenMode::Read }) as Box<dyn File>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.done(Work::CreateDirs(plain(path)))
    }

    fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<PathBuf>>> {
        let op = self.disk_op(Work::List(plain(path)));
        Box::pin(async move {
            match op.await? {
                Outcome::Names(names) => Ok(names),
                _ => Err(ErrorKind::Other.into()),
            }
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.done(Work::Rename(plain(from), plain(to)))
    }

    fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.done(Work::Remove(plain(path)))
    }

    fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.done(Work::SyncDir(plain(path)))
    }

    fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        let op = self.disk_op(Work::Lock(plain(path)));
        let (shared, host, incarnation) = (self.shared.clone(), self.host, self.incarnation);
        let path = plain(path);
        Box::pin(async move {
            op.await?;
            Ok(Box::new(Lock { shared, host, incarnation, path }) as Box<dyn Send + Sync>)
        })
    }
}

struct Lock {
    shared: Arc<Shared>,
    host: u32,
    incarnation: u64,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.shared.with(|kernel| {
            if let Some(host) = kernel.hosts.get_mut(self.host as usize) {
                host.disk.unlock_path(&self.path, self.incarnation);
            }
        });
    }
}

struct SimFile {
    shared: Arc<Shared>,
    host: u32,
    incarnation: u64,
    file: u64,
    writable: bool,
}

impl SimFile {
    fn op(&self, work: Work) -> Op {
        op(&self.shared, self.host, self.incarnation, work)
    }

    fn change(&self, work: Work) -> BoxFuture<'_, io::Result<()>> {
        if !self.writable {
            return Box::pin(ready(Err(ErrorKind::PermissionDenied.into())));
        }
        let op = self.op(work);
        Box::pin(async move { op.await.map(drop) })
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        let op = self.op(Work::Read(self.file, offset, len));
        Box::pin(async move {
            match op.await? {
                Outcome::Data(data) => Ok(data),
                _ => Err(ErrorKind::Other.into()),
            }
        })
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.change(Work::Write(self.file, offset, data))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        let op = self.op(Work::Sync(self.file));
        Box::pin(async move { op.await.map(drop) })
    }

    fn write_sync(&self, parts: Vec<(u64, Bytes)>) -> BoxFuture<'_, io::Result<()>> {
        self.change(Work::WriteSync(self.file, parts))
    }

    fn len(&self) -> BoxFuture<'_, io::Result<u64>> {
        let op = self.op(Work::Len(self.file));
        Box::pin(async move {
            match op.await? {
                Outcome::Len(len) => Ok(len),
                _ => Err(ErrorKind::Other.into()),
            }
        })
    }

    fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.change(Work::SetLen(self.file, len))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.shared.with(|kernel| {
            if let Some(host) = kernel.hosts.get_mut(self.host as usize) {
                host.disk.close(self.file);
            }
        });
    }
}
