//! What happens in the world, as seen from outside: the material of the trace hash and of a replay's lines.
//!
//! Nothing here depends on memory addresses, task numbers or threads: the same seed gives the same events.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use xxhash_rust::xxh3::Xxh3;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SimEvent {
    /// Nanoseconds since the world began.
    pub at_ns: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. Hosts are numbered from 1 in the order of their creation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the fields say what they are
pub enum EventKind {
    /// A connection was asked for, and what came of it.
    Connect { from: SocketAddr, to: SocketAddr, outcome: &'static str },
    /// Bytes reached the other end's kernel.
    Data { from: SocketAddr, to: SocketAddr, len: u64, hash: u64 },
    /// The end of a direction, a reset or a segment that did not get through.
    Segment { from: SocketAddr, to: SocketAddr, what: &'static str },
    /// An operation on a file's contents.
    File { host: u32, op: &'static str, file: u64, offset: u64, len: u64, ok: bool },
    /// An operation on names.
    Name { host: u32, op: &'static str, path: String, ok: bool },
    /// A sleep ended, by the host's monotonic clock.
    Timer { host: u32, local_ns: u64 },
    /// A process drew a random number.
    Random { host: u32, value: u64 },
    /// A process started a task or offloaded work.
    Spawn { host: u32, name: &'static str },
    /// A process reached a rare state.
    Sometimes { host: u32, point: &'static str },
    /// A fault point fired.
    FaultPoint { host: u32, point: &'static str },
    /// Something was done to a host.
    Host { host: u32, what: &'static str },
    /// A process panicked.
    Panic { host: u32, message: String },
}

impl fmt::Display for SimEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>13.6}s ", self.at_ns as f64 / 1e9)?;
        match &self.kind {
            EventKind::Connect { from, to, outcome } => write!(f, "connect {from} -> {to}: {outcome}"),
            EventKind::Data { from, to, len, hash } => write!(f, "data {from} -> {to}: {len} bytes, {hash:016x}"),
            EventKind::Segment { from, to, what } => write!(f, "{what} {from} -> {to}"),
            EventKind::File { host, op, file, offset, len, ok } => {
                let failed = if *ok { "" } else { " failed" };
                write!(f, "host {host}: {op} file {file} at {offset}, {len} bytes{failed}")
            }
            EventKind::Name { host, op, path, ok } => {
                write!(f, "host {host}: {op} {path}{}", if *ok { "" } else { " failed" })
            }
            EventKind::Timer { host, local_ns } => write!(f, "host {host}: timer of {:.6}s", *local_ns as f64 / 1e9),
            EventKind::Random { host, value } => write!(f, "host {host}: random {value:016x}"),
            EventKind::Spawn { host, name } => write!(f, "host {host}: spawn {name}"),
            EventKind::Sometimes { host, point } => write!(f, "host {host}: sometimes {point}"),
            EventKind::FaultPoint { host, point } => write!(f, "host {host}: fault point {point}"),
            EventKind::Host { host, what } => write!(f, "host {host}: {what}"),
            EventKind::Panic { host, message } => write!(f, "host {host}: panic: {message}"),
        }
    }
}

/// Called with each event as it happens.
pub(crate) type Hook = Box<dyn FnMut(&SimEvent) + Send>;

/// The bytes of an event, so that the hash takes them all at once.
#[derive(Default)]
struct Gathered(Vec<u8>);

impl Hasher for Gathered {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the bytes are hashed elsewhere")
    }
}

/// The rolling hash over all events, and who looks at them.
pub(crate) struct Trace {
    hash: Xxh3,
    gathered: Gathered,
    pub hook: Option<Hook>,
    /// The last events, as many as are asked for.
    pub recent: VecDeque<SimEvent>,
    pub recent_max: usize,
}

impl Trace {
    pub fn new() -> Trace {
        Trace { hash: Xxh3::new(), gathered: Gathered::default(), hook: None, recent: VecDeque::new(), recent_max: 0 }
    }

    pub fn record(&mut self, at_ns: u64, kind: EventKind) {
        let event = SimEvent { at_ns, kind };
        event.hash(&mut self.gathered);
        self.hash.update(&self.gathered.0);
        self.gathered.0.clear();
        if let Some(hook) = &mut self.hook {
            hook(&event);
        }
        if self.recent_max > 0 {
            if self.recent.len() == self.recent_max {
                self.recent.pop_front();
            }
            self.recent.push_back(event);
        }
    }

    pub fn hash(&self) -> u128 {
        self.hash.digest128()
    }
}
