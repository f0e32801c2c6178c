//! Clients' connections. Each has a queue of requests; replies leave from its front only. A write holds the front
//! until it is applied, a sync until it is confirmed; a read is evaluated when it reaches the front, so it sees the
//! session's earlier writes.

use crate::io::{ConnectionId, Now, Output, Reply, Request};
use crate::replica::Replica;
use std::collections::VecDeque;
use std::sync::Arc;
use synod_consensus::Input as RaftInput;
use synod_types::session::{Owner, Password, SessionGranted};
use synod_types::znode::ErrorCode;
use synod_types::{Command, Identity, Index, Instant, Mutant, Origin, SessionId, Zxid};

/// One client's connection.
pub(crate) struct Connection {
    /// None until the session is opened or resumed.
    pub session: Option<SessionId>,
    pub owner: Owner,
    pub identities: Arc<[Identity]>,
    pub zxid_seen: Zxid,
    pub queue: VecDeque<Slot>,
    /// Syncs in the queue.
    pub syncs: u32,
    /// When the client was last heard from.
    pub active: Instant,
    /// Heard from since the last report to the leader.
    pub unreported: bool,
    /// A ping waits for the leader's confirmation of the next report (`Some(tag)`).
    pub ping: Option<u64>,
}

/// A request in its place.
pub(crate) enum Slot {
    /// Waits for the log.
    Write { tag: u64, request: u64 },
    /// A write behind a sync: not proposed before the sync is answered, or a read between the two could see it.
    Held { tag: u64, command: Command },
    /// Waits for a confirmed index (`None`), then for its application.
    Sync { tag: u64, context: u64, index: Option<Index> },
    /// Answered, but behind others.
    Done { tag: u64, zxid: Zxid, result: Result<Reply, ErrorCode> },
    /// Evaluated at the front.
    Local { tag: u64, request: Request },
}

impl Replica {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn connect(
        &mut self,
        now: Now,
        connection: ConnectionId,
        resume: Option<(SessionId, Password)>,
        timeout_ms: u32,
        zxid_seen: Zxid,
        identities: Arc<[Identity]>,
        entropy: [u64; 3],
        out: &mut Vec<Output>,
    ) {
        if self.waiting.len() >= self.config.outstanding_max {
            out.push(Output::Close { connection, why: "overloaded" });
            return;
        }
        let owner = self.owner(connection);
        self.connections.insert(
            connection,
            Connection {
                session: None,
                owner,
                identities,
                zxid_seen,
                queue: VecDeque::new(),
                syncs: 0,
                active: now.instant,
                unreported: false,
                ping: None,
            },
        );
        let command = match resume {
            Some((session, password)) if self.config.mutants.on(Mutant::ReplicaAcceptOlder) => {
                let granted = SessionGranted { session, password, timeout_ms };
                let known = self.state.session(session).is_some_and(|s| s.password == password);
                if known {
                    self.attach(now, connection, granted);
                    out.push(Output::Connected { connection, granted: Some(granted) });
                }
                Command::AttachSession { session, password, timeout_ms, owner }
            }
            Some((session, password)) => Command::AttachSession { session, password, timeout_ms, owner },
            None => {
                // High byte: this member; it never is 0xff, the mark of a TTL node. The rest is random, never zero.
                let low = entropy[0] & 0x00ff_ffff_ffff_fff0 | (entropy[0] & 0xf).max(1);
                let session = SessionId((u64::from(self.config.id.0) << 56 | low) as i64);
                let mut password = [0; 16];
                password[..8].copy_from_slice(&entropy[1].to_be_bytes());
                password[8..].copy_from_slice(&entropy[2].to_be_bytes());
                Command::OpenSession { session, password, timeout_ms, owner }
            }
        };
        self.submit(connection, 0, command);
    }

    pub(crate) fn attach(&mut self, now: Now, connection: ConnectionId, granted: SessionGranted) {
        if let Some(c) = self.connections.get_mut(&connection) {
            c.session = Some(granted.session);
            c.active = now.instant;
            self.sessions.attached.insert(granted.session, connection);
        }
    }

    pub(crate) fn request(
        &mut self,
        now: Now,
        connection: ConnectionId,
        tag: u64,
        request: Request,
        out: &mut Vec<Output>,
    ) {
        let overloaded = self.waiting.len() >= self.config.outstanding_max;
        let requests = &mut self.requests;
        let Some(c) = self.connections.get_mut(&connection) else { return };
        let Some(session) = c.session else { return };
        c.active = now.instant;
        c.unreported = true;
        match request {
            Request::Ping => self.ping(now, connection, tag, out),
            Request::Write(_) if overloaded => {
                c.queue.push_back(Slot::Local { tag, request: Request::Nothing(Err(ErrorCode::ThrottledOp)) });
                self.advance(connection, out);
            }
            Request::Write(op) => {
                let command = Command::Write { session, owner: c.owner, identities: c.identities.clone(), op };
                self.submit(connection, tag, command);
                if self.config.mutants.on(Mutant::ReplicaReplyBeforeCommit) {
                    self.answer_early(now, connection, out);
                }
            }
            Request::Close => {
                let command = Command::CloseSession { session, owner: c.owner };
                self.submit(connection, tag, command);
            }
            Request::Sync => {
                *requests += 1;
                let context = *requests;
                let local = self.config.mutants.on(Mutant::ReplicaSyncLocal);
                c.queue.push_back(Slot::Sync { tag, context, index: local.then_some(Index(0)) });
                c.syncs += 1;
                if local {
                    self.advance(connection, out);
                } else {
                    self.waiting.insert(context, connection);
                    self.ask_sync(now, context, out);
                }
            }
            request => {
                c.queue.push_back(Slot::Local { tag, request });
                let overtakes = self.config.mutants.on(Mutant::ReplicaReadOvertakesWrite);
                if overtakes {
                    self.evaluate_last(connection, out);
                }
                if self.connections.get(&connection).is_some_and(|c| c.queue.len() == 1) {
                    self.advance(connection, out);
                }
            }
        }
    }

    /// Puts a command in the log's hands, or in the queue behind a sync.
    fn submit(&mut self, connection: ConnectionId, tag: u64, command: Command) {
        let Some(c) = self.connections.get_mut(&connection) else { return };
        if c.syncs > 0 && !self.config.mutants.on(Mutant::ReplicaWriteOvertakesSync) {
            c.queue.push_back(Slot::Held { tag, command });
            return;
        }
        self.requests += 1;
        let request = self.requests;
        c.queue.push_back(Slot::Write { tag, request });
        self.waiting.insert(request, connection);
        self.offer(request, command);
    }

    /// A sync was answered: the writes behind it, up to the next one, go their way.
    fn release_held(&mut self, connection: ConnectionId) {
        let Some(c) = self.connections.get_mut(&connection) else { return };
        c.syncs -= 1;
        for slot in &mut c.queue {
            match slot {
                Slot::Sync { .. } => return,
                Slot::Held { tag, command } => {
                    self.requests += 1;
                    let request = self.requests;
                    let command = command.clone();
                    *slot = Slot::Write { tag: *tag, request };
                    self.waiting.insert(request, connection);
                    let origin = Origin { node: self.config.id, incarnation: self.config.incarnation, request };
                    self.unsent.push_back((origin, command));
                }
                _ => {}
            }
        }
    }

    /// The outcome of a request that was in the log's hands.
    pub(crate) fn complete(
        &mut self,
        connection: ConnectionId,
        number: u64,
        zxid: Zxid,
        result: Result<Reply, ErrorCode>,
        out: &mut Vec<Output>,
    ) {
        let Some(c) = self.connections.get_mut(&connection) else { return };
        let slot = c.queue.iter_mut().find(|s| matches!(s, Slot::Write { request, .. } if *request == number));
        if let Some(slot) = slot {
            let Slot::Write { tag, .. } = *slot else { return };
            *slot = Slot::Done { tag, zxid, result };
            self.advance(connection, out);
        }
    }

    /// Answers from the front of the queue as far as possible.
    pub(crate) fn advance(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        let applied = match self.config.mutants.on(Mutant::ReplicaSyncUnapplied) {
            true => Index(u64::MAX),
            false => self.state.applied().0,
        };
        let mut held = false;
        loop {
            if std::mem::take(&mut held) {
                self.release_held(connection);
            }
            let Some(c) = self.connections.get_mut(&connection) else { return };
            match c.queue.front() {
                Some(Slot::Sync { index: Some(index), .. }) if *index <= applied => {
                    let Some(Slot::Sync { tag, .. }) = c.queue.pop_front() else { return };
                    let zxid = self.state.zxid();
                    out.push(Output::Reply { connection, tag, zxid, result: Ok(Reply::Nothing) });
                    held = true;
                }
                Some(Slot::Done { .. }) => {
                    let Some(Slot::Done { tag, zxid, result }) = c.queue.pop_front() else { return };
                    out.push(Output::Reply { connection, tag, zxid, result });
                }
                Some(Slot::Local { .. }) => {
                    let Some(Slot::Local { tag, request }) = c.queue.pop_front() else { return };
                    let result = self.evaluate(connection, request, out);
                    out.push(Output::Reply { connection, tag, zxid: self.state.zxid(), result });
                }
                _ => return,
            }
        }
    }

    /// Evaluates a local request against the applied state.
    fn evaluate(
        &mut self,
        connection: ConnectionId,
        request: Request,
        out: &mut Vec<Output>,
    ) -> Result<Reply, ErrorCode> {
        let Some(c) = self.connections.get(&connection) else { return Ok(Reply::Nothing) };
        match request {
            Request::Read { query, watch } => {
                let answer = self.state.read(&query, &c.identities);
                if watch {
                    self.watches.register(connection, query, &answer, self.config.mutants);
                }
                answer.map(Reply::Answer)
            }
            Request::ReadMany(queries) => {
                let mut answers: Vec<_> = queries.iter().map(|q| self.state.read(q, &c.identities)).collect();
                if self.config.mutants.on(Mutant::ZkReadManyStops)
                    && let Some(first) = answers.iter().position(Result::is_err)
                {
                    answers[first + 1..].fill(Err(ErrorCode::RuntimeInconsistency));
                }
                Ok(Reply::Answers(answers))
            }
            Request::SetWatches { .. } => {
                self.set_watches(connection, request, out);
                Ok(Reply::Nothing)
            }
            Request::AddWatch { path, recursive } => {
                self.watches.add_persistent(connection, path, recursive);
                Ok(Reply::Nothing)
            }
            Request::Watching { path, mode, remove } => match self.watches.on_path(connection, &path, mode, remove) {
                true => Ok(Reply::Nothing),
                false => Err(ErrorCode::NoWatcher),
            },
            Request::Nothing(result) => result.map(|()| Reply::Nothing),
            Request::Write(_) | Request::Close | Request::Sync | Request::Ping => Err(ErrorCode::SystemError),
        }
    }

    /// Mutant `replica.read_overtakes_write`: evaluates on arrival.
    fn evaluate_last(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(Slot::Local { tag, request }) = self.connections.get_mut(&connection).and_then(|c| c.queue.pop_back())
        else {
            return;
        };
        let result = self.evaluate(connection, request, out);
        let zxid = self.state.zxid();
        if let Some(c) = self.connections.get_mut(&connection) {
            c.queue.push_back(Slot::Done { tag, zxid, result });
        }
        self.advance(connection, out);
    }

    /// Mutant `replica.reply_before_commit`: answers with what applying it now would give.
    fn answer_early(&mut self, now: Now, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some((origin, command)) = self.unsent.back().cloned() else { return };
        let number = origin.request;
        let proposal = synod_types::Proposal { origin, time_ms: now.wall_ms, command };
        let index = self.state.applied().0.next();
        let outcome = self.state.clone().apply(self.raft.term(), index, Some(&proposal), &mut Vec::new());
        if let Some(outcome) = outcome {
            self.complete(connection, number, outcome.zxid, outcome.result.map(Reply::Applied), out);
        }
    }

    /// Asks consensus for an index that is safe to read at.
    pub(crate) fn ask_sync(&mut self, now: Now, context: u64, out: &mut Vec<Output>) {
        self.sessions.syncs_asked.insert(context, now.instant);
        self.raft(now, RaftInput::ReadIndex { context }, out);
    }

    pub(crate) fn sync_ready(&mut self, context: u64, index: Index, out: &mut Vec<Output>) {
        self.sessions.syncs_asked.remove(&context);
        let Some(connection) = self.waiting.remove(&context) else { return };
        let Some(c) = self.connections.get_mut(&connection) else { return };
        for slot in &mut c.queue {
            if let Slot::Sync { context: of, index: at, .. } = slot
                && *of == context
            {
                *at = Some(index);
                if index > self.state.applied().0 && !self.config.mutants.on(Mutant::ReplicaLostWakeup) {
                    self.sessions.syncs.insert((index, connection));
                }
            }
        }
        self.advance(connection, out);
    }

    /// Not confirmed: asked again at the next tick, under a new context.
    pub(crate) fn sync_refused(&mut self, context: u64) {
        if self.waiting.contains_key(&context) {
            self.sessions.syncs_refused.push(context);
        }
    }

    pub(crate) fn identify(&mut self, connection: ConnectionId, identities: Arc<[Identity]>) {
        if let Some(c) = self.connections.get_mut(&connection) {
            c.identities = identities;
        }
    }

    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        let Some(c) = self.connections.remove(&connection) else { return };
        for slot in &c.queue {
            match slot {
                Slot::Write { request, .. } => drop(self.waiting.remove(request)),
                Slot::Sync { .. } if self.config.mutants.on(Mutant::ReplicaSyncOutlives) => {}
                Slot::Sync { context, .. } => drop(self.waiting.remove(context)),
                _ => {}
            }
        }
        self.watches.forget(connection, self.config.mutants);
        if let Some(session) = c.session
            && self.sessions.attached.get(&session) == Some(&connection)
        {
            self.sessions.attached.remove(&session);
            if !self.config.mutants.on(Mutant::SessionLeftForgotten) {
                self.sessions.left.insert(session, c.active);
            }
        }
    }

    /// Ends a connection from this side.
    pub(crate) fn close(&mut self, connection: ConnectionId, why: &'static str, out: &mut Vec<Output>) {
        if self.connections.contains_key(&connection) {
            self.disconnect(connection);
            out.push(Output::Close { connection, why });
        }
    }
}
