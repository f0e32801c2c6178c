//! A simulated ZooKeeper client: real bytes through the simulated network. It picks operations by the plan's weights,
//! pipelines them, keeps its session alive, moves between members, and brings its watches along.

mod bytes;
mod connection;
mod ghost;
pub mod guest;
mod lists;
mod probe;
mod replies;
mod requests;
mod source;
pub mod stranger;
mod watches;
pub mod words;

pub use self::bytes::SUPER_USER;
use self::bytes::{USERS, to_wire};
use self::connection::Connection;
use self::ghost::Ghost;
pub use self::probe::probe;
use self::source::Source;
use self::watches::Watches;
use crate::plan::Workload;
use crate::recorder::Recorder;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use synod_checkers::history::{Change, Granted, Request};
use synod_env::Env;
use synod_sim::Dice;
use synod_types::Instant;
use synod_wire::zookeeper as wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A silent client looks up so often whether the load is over.
const SILENCE_STEP: Duration = Duration::from_millis(500);

/// What the driver tells its clients.
#[derive(Default)]
pub struct Signals {
    /// No new operations; stay connected.
    pub quiet: AtomicBool,
}

/// One client.
pub struct Client {
    id: u32,
    env: Env,
    recorder: Recorder,
    signals: Arc<Signals>,
    /// For which member to go to and how long to wait; operations have a source of their own.
    dice: Dice,
    source: Source,
    workload: Workload,
    servers: Vec<SocketAddr>,
    session: Option<Granted>,
    zxid_seen: i64,
    written: u64,
    versions: BTreeMap<String, i32>,
    /// Of access control lists.
    aversions: BTreeMap<String, i32>,
    watches: Watches,
    /// Who the client proves to be, on each connection anew.
    users: BTreeSet<usize>,
    connects: u64,
    /// Goes on over a connection that the session has left; see `ghost`.
    is_ghost: bool,
    /// Of the run, by the clock of the clients' machine, which does not drift.
    beginning: Instant,
    next_operation: Instant,
    silent_until: Instant,
}

/// Why a connection is left.
enum Left {
    /// Of its own will; the session goes on elsewhere.
    Move,
    /// The session was closed.
    Closed,
    /// The session goes on elsewhere, and the connection is used for so long all the same.
    Beside { for_ms: u64 },
}

impl Client {
    /// A client of these members, the first of which is number 1. The dice are those of its connections and of its
    /// operations.
    pub fn new(
        id: u32,
        env: Env,
        recorder: Recorder,
        signals: Arc<Signals>,
        dice: (Dice, Dice),
        workload: Workload,
        servers: Vec<SocketAddr>,
    ) -> Client {
        let now = env.now();
        let beginning = Instant(now.0 - recorder.now_ns());
        let (connections, operations) = dice;
        let mut source = Source::new(id, operations, &workload);
        let next_operation = match workload.script {
            Some(_) => after(beginning, source.due_us(0)),
            None => now,
        };
        Client {
            id,
            env,
            recorder,
            signals,
            dice: connections,
            source,
            workload,
            servers,
            session: None,
            zxid_seen: 0,
            written: 0,
            versions: BTreeMap::new(),
            aversions: BTreeMap::new(),
            watches: Watches::default(),
            users: BTreeSet::new(),
            connects: 0,
            is_ghost: false,
            beginning,
            next_operation,
            silent_until: now,
        }
    }

    /// Works until it is killed.
    pub async fn run(mut self) {
        loop {
            let node = 1 + self.dice.below(self.servers.len() as u64) as u8;
            match self.open(node).await {
                Ok(Some(mut connection)) => {
                    let left = self.work(&mut connection).await;
                    if let Ok(Left::Beside { for_ms }) = left {
                        self.haunt(connection, for_ms);
                        continue;
                    }
                    self.recorder.changed(self.id, connection.id, Change::Disconnected);
                    if let Ok(Left::Closed) = left {
                        self.forget_session();
                    }
                }
                Ok(None) => {}
                Err(_) => self.pause(50, 300).await,
            }
            self.pause(1, 30).await;
        }
    }

    async fn pause(&mut self, min_ms: u64, max_ms: u64) {
        let ms = min_ms + self.dice.below(max_ms - min_ms);
        self.env.sleep(Duration::from_millis(ms)).await;
    }

    fn forget_session(&mut self) {
        self.session = None;
        self.watches = Watches::default();
        self.users.clear();
    }

    /// Leaves a connection to a ghost; the session goes on over another.
    fn haunt(&mut self, connection: Connection, for_ms: u64) {
        let ghost = Ghost::of(self, for_ms);
        self.env.spawn("ghost", ghost.run(connection));
    }

    /// Operations on a connection until it ends.
    async fn work(&mut self, c: &mut Connection) -> io::Result<Left> {
        let timeout = Duration::from_millis(self.session.as_ref().map_or(4_000, |s| s.timeout_ms).into());
        for user in self.users.clone() {
            let request = Request::Auth { id: USERS[user].0.into() };
            to_wire(&request).put(&mut c.output, wire::xid::AUTH);
            c.auths.push_back(self.call(c, request));
        }
        if !self.watches.is_empty() {
            self.send_set_watches(c);
        }
        let mut left = None;
        let mut was_silent = false;
        loop {
            let now = self.env.now();
            let quiet = self.signals.quiet.load(Ordering::Relaxed);
            let silent = now < self.silent_until && !quiet;
            if was_silent && !silent {
                // It gives the member time to answer, which had nothing to answer before.
                c.heard = now;
            }
            was_silent = silent;
            if !silent && now.since(c.sent) >= timeout / 3 && c.pings.is_empty() {
                let call = self.call(c, Request::Ping);
                wire::Request::Ping.put(&mut c.output, wire::xid::PING);
                c.pings.push_back(call);
                c.sent = now;
            }
            let room = c.pending.len() < self.workload.pipeline as usize;
            if left.is_none() && !silent && room && now >= self.next_operation {
                if let Some(operation) = self.source.next().filter(|_| !quiet) {
                    if !self.is_ghost {
                        self.recorder.step(self.id, &operation);
                    }
                    left = self.operate(c, operation).await;
                }
                let last_us = now.since(self.beginning).as_micros() as u64;
                self.next_operation = after(self.beginning, self.source.due_us(last_us));
            }
            if !c.output.is_empty() {
                let data = c.output.split();
                c.stream.write_all(&data).await?;
                c.stream.flush().await?;
                c.sent = now;
            }
            match left {
                Some(Left::Closed) | None => {}
                Some(left) => return Ok(left),
            }
            if now.since(c.heard) > timeout * 2 / 3 && !silent {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut wake = match silent {
                true => self.silent_until.min(now + SILENCE_STEP),
                false if c.pings.is_empty() => c.sent + timeout / 3,
                false => c.heard + timeout * 2 / 3,
            };
            if room && !silent && left.is_none() {
                wake = wake.min(self.next_operation);
            }
            let wake = wake.max(now + Duration::from_micros(100));
            tokio::select! {
                biased;
                read = c.stream.read_buf(&mut c.input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    c.heard = self.env.now();
                    self.take_replies(c)?;
                    if left.is_some() && c.pending.is_empty() {
                        return Ok(Left::Closed);
                    }
                }
                () = self.env.sleep_until(wake) => {}
            }
        }
    }
}

fn after(beginning: Instant, us: u64) -> Instant {
    Instant(beginning.0.saturating_add(us.saturating_mul(1_000)))
}
