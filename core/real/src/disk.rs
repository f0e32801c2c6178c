//! Files, operated by worker threads.
//!
//! Each open file has a queue, so that its operations run in the order of the calls, and at most one thread that works
//! it off: the log thread when the operation that woke the queue is a `write_sync`, else one of tokio's blocking pool.
//! A call queues its operation at once; dropping its future does not undo it.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use synod_env::{BoxFuture, Disk, File, OpenMode};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The file system, with the log thread that its files share.
pub struct RealDisk {
    runtime: Handle,
    log: mpsc::Sender<Arc<Queue>>,
}

impl RealDisk {
    pub fn new(runtime: Handle) -> RealDisk {
        let (log, woken) = mpsc::channel::<Arc<Queue>>();
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || woken.iter().for_each(|queue| queue.work_off()))
            .unwrap_or_else(|error| panic!("start log thread: {error}"));
        RealDisk { runtime, log }
    }

    /// Runs a blocking call of the file system on a worker thread.
    fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        path: &Path,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let path = path.to_owned();
        let done = self.runtime.spawn_blocking(move || {
            work(&path).map_err(|error| io::Error::new(error.kind(), format!("{what} {}: {error}", path.display())))
        });
        Box::pin(async move { done.await.unwrap_or_else(|_| Err(gone(what))) })
    }
}

fn gone(what: &str) -> io::Error {
    io::Error::other(format!("{what}: the worker is gone"))
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> BoxFuture<'_, io::Result<Box<dyn File>>> {
        let (runtime, log) = (self.runtime.clone(), self.log.clone());
        self.call("open", path, move |path| {
            let mut options = OpenOptions::new();
            options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
            let queue = Arc::new(Queue { file: options.open(path)?, jobs: Mutex::default() });
            Ok(Box::new(RealFile { queue, runtime, log }) as Box<dyn File>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.call("create directory", path, |path| fs::create_dir_all(path))
    }

    fn list(&self, path: &Path) -> BoxFuture<'_, io::Result<Vec<PathBuf>>> {
        self.call("list", path, |path| {
            let entries = match fs::read_dir(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    names.push(PathBuf::from(entry.file_name()));
                }
            }
            names.sort();
            Ok(names)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'_, io::Result<()>> {
        let to = to.to_owned();
        self.call("rename", from, move |from| fs::rename(from, to))
    }

    fn remove(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.call("remove", path, |path| fs::remove_file(path))
    }

    fn sync_dir(&self, path: &Path) -> BoxFuture<'_, io::Result<()>> {
        self.call("sync directory", path, |path| fs::File::open(path)?.sync_all())
    }

    fn lock(&self, path: &Path) -> BoxFuture<'_, io::Result<Box<dyn Send + Sync>>> {
        self.call("lock", path, |path| {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Box::new(file) as Box<dyn Send + Sync>),
                Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => Err(error),
            }
        })
    }
}

type Job = Box<dyn FnOnce(&fs::File) + Send>;

/// One open file and the operations that wait for it.
struct Queue {
    file: fs::File,
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    /// Whether a thread works the queue off.
    running: bool,
}

impl Queue {
    /// Runs what waits, in order, until nothing is left.
    fn work_off(&self) {
        loop {
            let job = {
                // No job runs under this lock, so nothing can have panicked with the queue half changed.
                let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                match jobs.waiting.pop_front() {
                    Some(job) => job,
                    None => {
                        jobs.running = false;
                        return;
                    }
                }
            };
            job(&self.file);
        }
    }
}

struct RealFile {
    queue: Arc<Queue>,
    runtime: Handle,
    log: mpsc::Sender<Arc<Queue>>,
}

#[derive(PartialEq, Eq)]
enum Thread {
    Log,
    Pool,
}

impl RealFile {
    /// Queues an operation at once; the future brings its result.
    fn submit<T: Send + 'static>(
        &self,
        what: &'static str,
        thread: Thread,
        work: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |file| {
            // Nobody may be waiting any more.
            drop(done.send(work(file).map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))));
        });
        let wake = {
            let mut jobs = self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.waiting.push_back(job);
            !std::mem::replace(&mut jobs.running, true)
        };
        if wake {
            let queue = self.queue.clone();
            if thread == Thread::Log {
                // The log thread lives as long as a sender, and this is one.
                drop(self.log.send(queue));
            } else {
                self.runtime.spawn_blocking(move || queue.work_off());
            }
        }
        Box::pin(async move { result.await.unwrap_or_else(|_| Err(gone(what))) })
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, len: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        self.submit("read", Thread::Pool, move |file| {
            // A length from a damaged record must not allocate what the file cannot hold.
            let rest = file.metadata()?.len().saturating_sub(offset);
            let len = usize::try_from(rest).map_or(len, |rest| rest.min(len));
            let mut data = BytesMut::zeroed(len);
            let mut filled = 0;
            while filled < len {
                match file.read_at(&mut data[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            data.truncate(filled);
            Ok(data.freeze())
        })
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.submit("write", Thread::Pool, move |file| file.write_all_at(&data, offset))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        self.submit("sync", Thread::Pool, |file| file.sync_data())
    }

    fn write_sync(&self, parts: Vec<(u64, Bytes)>) -> BoxFuture<'_, io::Result<()>> {
        self.submit("write and sync", Thread::Log, move |file| {
            for (offset, data) in &parts {
                file.write_all_at(data, *offset)?;
            }
            file.sync_data()
        })
    }

    fn len(&self) -> BoxFuture<'_, io::Result<u64>> {
        self.submit("length", Thread::Pool, |file| Ok(file.metadata()?.len()))
    }

    fn set_len(&self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        self.submit("set length", Thread::Pool, move |file| file.set_len(len))
    }
}
