//! The time of sessions. The leader keeps a deadline a session; followers report whose clients they heard from, and
//! answer a ping only once the leader has confirmed the report. An expiry is a proposal like any other.
//!
//! A leader answers a ping, and confirms a report, once a majority has said after it that it still leads: no clock tells
//! it how long it was paused or suspended.
//!
//! A session never ends before its last answered ping plus its timeout, as long as no leader's clock runs fast by more
//! than [`CLOCK_DRIFT_PPM_MAX`]. A new leader takes every session as heard of at its election: whatever its predecessor
//! confirmed, a majority had agreed to before, and one of that majority has voted for the new one since.

use crate::connections::Connection;
use crate::io::{ConnectionId, Now, Output};
use crate::replica::Replica;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use synod_consensus::{Input as RaftInput, Role};
use synod_types::peer::PeerMessage;
use synod_types::{Command, Index, Instant, Mutant, NodeId, Origin, SessionId, Term};

/// For so many election timeouts a member serves on after it was confirmed last. A new leader is usually there, and has
/// confirmed, after two.
const TRUST: u32 = 3;

/// How fast a leader's monotonic clock may run without ending a session early, parts per million: sessions are granted
/// so much longer than they asked for. Ordinary oscillators stay below 100, discipline by NTP adds 500 at most.
pub const CLOCK_DRIFT_PPM_MAX: u32 = 10_000;

/// What a member knows of the time of sessions.
pub(crate) struct Sessions {
    /// Sessions whose connection is here.
    pub attached: BTreeMap<SessionId, ConnectionId>,
    /// Sessions whose connection was here and ended; reported once more, then forgotten.
    pub left: BTreeMap<SessionId, Instant>,
    /// Syncs that wait for an index to be applied.
    pub syncs: BTreeSet<(Index, ConnectionId)>,
    /// Syncs to ask for again.
    pub syncs_refused: Vec<u64>,
    /// Syncs that nobody has answered, and when they were asked for.
    pub syncs_asked: BTreeMap<u64, Instant>,
    /// The term in which `leader` leads.
    pub term: Term,
    /// What this member has applied is all that was committed at this moment, or more: when it sent the latest report that
    /// its leader has confirmed and that it has caught up with, or, of a leader, asked the others.
    pub confirmed_at: Instant,
    /// What to catch up with: what was committed when a later report was confirmed, and when that was sent.
    behind: Option<(Index, Instant)>,
    report: Option<Report>,
    /// Leader: signs of life that are to be confirmed with the next round, and those under way with its context.
    signs: Vec<Sign>,
    confirming: Option<(u64, Vec<Sign>)>,
    /// When that was asked last.
    asked_at: Instant,
    reports: u64,
    reported_at: Instant,
    /// Leader only: the sessions it watches over, and when to look at each again.
    heard: BTreeMap<SessionId, Heard>,
    due: BTreeSet<(Instant, SessionId)>,
    expiring: BTreeSet<SessionId>,
    reaped_at: Instant,
}

/// A session that the leader watches over.
struct Heard {
    /// When there was a sign of life last.
    at: Instant,
    /// When to look again: never after its end is due.
    due: Instant,
}

/// A report under way to the leader.
struct Report {
    to: NodeId,
    sequence: u64,
    sent_at: Instant,
    /// Whom it names.
    sessions: Vec<SessionId>,
    /// Pings to answer when it is confirmed.
    pings: Vec<(ConnectionId, u64)>,
}

/// Somebody was heard from, and wants to know that the leader knows.
enum Sign {
    /// A client here.
    Ping { connection: ConnectionId, tag: u64 },
    /// A follower, with those that it has heard from; some of them are not extended any more.
    Report { to: NodeId, sequence: u64, ending: Vec<SessionId> },
}

impl Sessions {
    /// The numbers of reports begin at a random one: what answers those of an earlier incarnation must not answer these.
    pub fn new(now: Instant, incarnation: u64) -> Sessions {
        Sessions {
            attached: BTreeMap::new(),
            left: BTreeMap::new(),
            syncs: BTreeSet::new(),
            syncs_refused: Vec::new(),
            syncs_asked: BTreeMap::new(),
            term: Term(0),
            confirmed_at: now,
            behind: None,
            report: None,
            signs: Vec::new(),
            confirming: None,
            asked_at: now,
            reports: incarnation >> 1,
            reported_at: now,
            heard: BTreeMap::new(),
            due: BTreeSet::new(),
            expiring: BTreeSet::new(),
            reaped_at: now,
        }
    }

    pub fn leader_found(&mut self) {
        self.report = None;
        self.behind = None;
    }

    pub fn stop_leading(&mut self) {
        self.heard.clear();
        self.due.clear();
        self.expiring.clear();
    }

    fn watch_over(&mut self, session: SessionId, at: Instant, lease: Duration) {
        let due = at + lease;
        match self.heard.get_mut(&session) {
            Some(heard) => heard.at = at,
            None => drop(self.heard.insert(session, Heard { at, due })),
        }
        self.look_by(session, due);
    }

    /// Looks at a session at this time, if not before.
    fn look_by(&mut self, session: SessionId, due: Instant) {
        let Some(heard) = self.heard.get_mut(&session) else { return };
        // A session that is resumed with a shorter timeout may end sooner than it might have.
        if due < heard.due {
            self.due.remove(&(heard.due, session));
            heard.due = due;
        }
        self.due.insert((heard.due, session));
    }

    /// The end of a session was not proposed after all.
    pub fn expire_again(&mut self, now: Instant, session: SessionId) {
        if self.expiring.remove(&session) {
            self.look_by(session, now);
        }
    }

    fn forget(&mut self, session: SessionId) {
        self.heard.remove(&session);
        self.expiring.remove(&session);
        self.left.remove(&session);
    }
}

impl Replica {
    /// Whether it may serve clients: what it answers to reads is not older.
    pub(crate) fn serving(&self, now: Now) -> bool {
        let alone = self.role == Role::Leader && self.config.voters.len() == 1;
        let fresh = now.instant.since(self.sessions.confirmed_at) <= TRUST * self.config.election_timeout;
        self.config.mutants.on(Mutant::ReplicaServesForEver) || alone || self.leader.is_some() && fresh
    }

    /// Ends what it may not serve any more.
    fn end_stale(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.serving(now) || self.config.mutants.on(Mutant::SessionPingWithoutLeader) {
            return;
        }
        let patience = TRUST * self.config.election_timeout;
        let old = now.instant.since(self.sessions.confirmed_at) > patience;
        let is_stale = |c: &Connection| c.session.is_some() && old || now.instant.since(c.active) > patience;
        let stale: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, c)| is_stale(c)).map(|(id, _)| *id).collect();
        for connection in stale {
            self.close(connection, "not serving: no leader", out);
        }
        self.drop_unsent();
    }

    fn lease(&self, timeout_ms: u32) -> Duration {
        let timeout = Duration::from_millis(timeout_ms.into());
        if self.config.mutants.on(Mutant::SessionExpireEarly) {
            return timeout / 2;
        }
        timeout + timeout * CLOCK_DRIFT_PPM_MAX / 1_000_000
    }

    /// A new leader starts every session afresh.
    pub(crate) fn lead(&mut self, now: Now) {
        self.sessions.stop_leading();
        if self.config.mutants.on(Mutant::SessionHeirless) {
            return;
        }
        let all: Vec<_> = self.state.sessions().map(|(id, s)| (id, s.timeout_ms)).collect();
        for (session, timeout_ms) in all {
            let lease = self.lease(timeout_ms);
            self.sessions.watch_over(session, now.instant, lease);
        }
    }

    /// A session was opened or resumed.
    pub(crate) fn session_alive(&mut self, now: Now, session: SessionId, timeout_ms: u32) {
        if self.role == Role::Leader {
            let lease = self.lease(timeout_ms);
            // An expiry on its way is void: it names the session's former connection.
            if self.sessions.expiring.remove(&session) {
                self.sessions.heard.remove(&session);
            }
            let known = self.sessions.heard.contains_key(&session);
            if !known || !self.config.mutants.on(Mutant::SessionResumeNotHeard) {
                self.sessions.watch_over(session, now.instant, lease);
            }
        }
    }

    /// A session was closed or expired.
    pub(crate) fn session_gone(&mut self, session: SessionId, out: &mut Vec<Output>) {
        self.sessions.forget(session);
        if let Some(connection) = self.sessions.attached.get(&session).copied() {
            self.close(connection, "the session ended", out);
            self.sessions.left.remove(&session);
        }
    }

    pub(crate) fn ping(&mut self, now: Now, connection: ConnectionId, tag: u64, out: &mut Vec<Output>) {
        let mute = self.config.mutants.on(Mutant::SessionPingWithoutLeader);
        let Some(c) = self.connections.get_mut(&connection) else { return };
        if mute {
            c.unreported = false;
        }
        let sign = Sign::Ping { connection, tag };
        match self.role {
            _ if mute => self.confirm(sign, Index(0), out),
            Role::Leader => self.sign_of_life(now, sign, out),
            _ => {
                c.ping = Some(tag);
                self.report(now, out);
            }
        }
    }

    /// Leader: a sign of life is confirmed when a majority has said after it that this member still leads. Otherwise one
    /// that stood still, while another was elected and let the session's time run out, would confirm it when it wakes up.
    fn sign_of_life(&mut self, now: Now, sign: Sign, out: &mut Vec<Output>) {
        if self.config.mutants.on(Mutant::SessionConfirmBlind) {
            return self.confirm(sign, self.raft.commit(), out);
        }
        let is_ping = matches!(sign, Sign::Ping { .. });
        self.sessions.signs.push(sign);
        // Reports come all the time; they wait for each other.
        if is_ping {
            self.ask_whether_leading(now, out);
        }
    }

    fn ask_whether_leading(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.sessions.confirming.is_some() || self.sessions.signs.is_empty() {
            return;
        }
        self.requests += 1;
        let context = self.requests;
        self.sessions.asked_at = now.instant;
        self.sessions.confirming = Some((context, std::mem::take(&mut self.sessions.signs)));
        self.raft(now, RaftInput::ReadIndex { context }, out);
    }

    /// A question was answered with what was committed then; whether it was that one.
    pub(crate) fn leads_still(&mut self, now: Now, context: u64, commit: Index, out: &mut Vec<Output>) -> bool {
        let Some((_, signs)) = self.sessions.confirming.take_if(|(asked, _)| *asked == context) else { return false };
        let late = self.config.mutants.on(Mutant::SessionLeaderTrusts);
        self.sessions.confirmed_at = if late { now.instant } else { self.sessions.asked_at };
        for sign in signs {
            self.confirm(sign, commit, out);
        }
        if self.sessions.signs.iter().any(|sign| matches!(sign, Sign::Ping { .. })) {
            self.ask_whether_leading(now, out);
        }
        true
    }

    fn confirm(&mut self, sign: Sign, commit: Index, out: &mut Vec<Output>) {
        match sign {
            Sign::Report { to, sequence, ending } => {
                out.push(Output::Send { to, message: PeerMessage::TouchReply { sequence, commit, ending } })
            }
            Sign::Ping { connection, tag } => {
                let Some(c) = self.connections.get_mut(&connection) else { return };
                if c.session.is_some_and(|s| self.sessions.expiring.contains(&s)) {
                    // Perhaps it does not end, because this member does not lead any more.
                    c.ping.get_or_insert(tag);
                    c.unreported = true;
                } else {
                    let zxid = self.state.zxid();
                    out.push(Output::Reply { connection, tag, zxid, result: Ok(crate::io::Reply::Nothing) });
                }
            }
        }
    }

    /// No leader any more: pings that are not confirmed become a follower's, who reports them.
    pub(crate) fn report_signs(&mut self) {
        let under_way = self.sessions.confirming.take().map(|(_, signs)| signs);
        for sign in under_way.into_iter().flatten().chain(std::mem::take(&mut self.sessions.signs)) {
            if let Sign::Ping { connection, tag } = sign
                && let Some(c) = self.connections.get_mut(&connection)
            {
                c.ping.get_or_insert(tag);
                c.unreported = true;
            }
        }
    }

    /// Tells the leader whom this follower has heard from; one report at a time.
    pub(crate) fn report(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(to) = self.leader else { return };
        if self.role == Role::Leader || self.sessions.report.is_some() {
            return;
        }
        let mut sessions: Vec<SessionId> = self.sessions.left.keys().copied().collect();
        if !self.config.mutants.on(Mutant::SessionLeftForEver) {
            self.sessions.left.clear();
        }
        let mut pings = Vec::new();
        for (id, c) in &mut self.connections {
            if let Some(tag) = c.ping.take() {
                pings.push((*id, tag));
            }
            if std::mem::take(&mut c.unreported) {
                sessions.extend(c.session);
            }
        }
        self.sessions.reports += 1;
        let sequence = self.sessions.reports;
        let (sent_at, told) = (now.instant, sessions.clone());
        self.sessions.report = Some(Report { to, sequence, sent_at, sessions: told, pings });
        self.sessions.reported_at = now.instant;
        out.push(Output::Send { to, message: PeerMessage::Touch { sequence, sessions } });
    }

    /// The link to a member broke: what was reported to it may not have come.
    pub(crate) fn report_lost(&mut self, peer: NodeId) {
        if let Some(report) = self.sessions.report.take_if(|r| r.to == peer) {
            self.report_again(report);
        }
    }

    /// What an unanswered report said is part of the next one.
    fn report_again(&mut self, report: Report) {
        self.sessions.left.extend(report.sessions.iter().map(|session| (*session, report.sent_at)));
        for (connection, tag) in report.pings {
            if let Some(c) = self.connections.get_mut(&connection) {
                c.ping.get_or_insert(tag);
                c.unreported = true;
            }
        }
    }

    /// Leader: a follower's report.
    pub(crate) fn touched(
        &mut self,
        now: Now,
        from: NodeId,
        sequence: u64,
        sessions: Vec<SessionId>,
        out: &mut Vec<Output>,
    ) {
        if self.role != Role::Leader {
            return;
        }
        let mut ending = Vec::new();
        for session in sessions {
            if !self.heard_of(now, session) {
                ending.push(session);
            }
        }
        self.sign_of_life(now, Sign::Report { to: from, sequence, ending }, out);
    }

    /// Leader: a session gave a sign of life, here or at a follower. Whether that is in time.
    pub(crate) fn heard_of(&mut self, now: Now, session: SessionId) -> bool {
        match self.sessions.heard.get_mut(&session) {
            Some(heard) if !self.sessions.expiring.contains(&session) => {
                heard.at = now.instant;
                true
            }
            _ => false,
        }
    }

    /// Follower: a report was confirmed, when this much was committed. A member that cannot keep up, because its disk
    /// hangs for example, must not go on answering reads from a state that only grows older.
    fn trust(&mut self, commit: Index, sent_at: Instant) {
        self.catch_up();
        if commit <= self.state.applied().0 || self.config.mutants.on(Mutant::SessionTrustsLagging) {
            (self.sessions.confirmed_at, self.sessions.behind) = (sent_at, None);
        } else {
            self.sessions.behind.get_or_insert((commit, sent_at));
        }
    }

    fn catch_up(&mut self) {
        let applied = self.state.applied().0;
        if let Some((_, sent_at)) = self.sessions.behind.take_if(|(commit, _)| *commit <= applied) {
            self.sessions.confirmed_at = sent_at;
        }
    }

    /// Follower: the leader has extended what was reported.
    pub(crate) fn touch_confirmed(
        &mut self,
        now: Now,
        from: NodeId,
        (sequence, commit, ending): (u64, Index, Vec<SessionId>),
        out: &mut Vec<Output>,
    ) {
        if self.sessions.report.as_ref().is_none_or(|r| r.to != from || r.sequence != sequence) {
            return;
        }
        let Some(report) = self.sessions.report.take() else { return };
        let late = self.config.mutants.on(Mutant::SessionTrustsAnswer);
        self.trust(commit, if late { now.instant } else { report.sent_at });
        let zxid = self.state.zxid();
        let more = self.connections.values().any(|c| c.ping.is_some());
        let answers_all = self.config.mutants.on(Mutant::SessionEndingAnswered);
        for (connection, tag) in report.pings {
            let Some(c) = self.connections.get_mut(&connection) else { continue };
            if c.session.is_some_and(|session| ending.contains(&session)) && !answers_all {
                // Asked again with the next report, unless the end comes first.
                c.ping.get_or_insert(tag);
                c.unreported = true;
            } else {
                out.push(Output::Reply { connection, tag, zxid, result: Ok(crate::io::Reply::Nothing) });
            }
        }
        if more {
            self.report(now, out);
        }
    }

    /// Time passes: reports, expiry, and the end of service in a minority.
    pub(crate) fn tick(&mut self, now: Now, out: &mut Vec<Output>) {
        self.ask_syncs_again(now, out);
        if self.role == Role::Leader {
            self.expire(now);
            self.reap(now);
            self.raise_version(now);
            if now.instant.since(self.sessions.asked_at) >= self.config.election_timeout / 8 {
                self.ask_whether_leading(now, out);
            }
            if self.state.counter_nearly_full() && !self.transfer_asked {
                // The zxid's counter must not run into its epoch: another leader opens a new one.
                if let Some(to) = self.config.voters.iter().copied().find(|v| *v != self.config.id) {
                    self.transfer_asked = true;
                    self.raft(now, RaftInput::Transfer { to }, out);
                }
            }
            self.end_stale(now, out);
            if self.wants_flush() {
                self.flush(now, out);
            }
            return;
        }
        // A report whose answer is missing for long was lost on the way.
        let patience = self.config.election_timeout;
        if let Some(report) = self.sessions.report.take_if(|r| now.instant.since(r.sent_at) > patience) {
            self.report_again(report);
        }
        if now.instant.since(self.sessions.reported_at) >= self.config.election_timeout / 4 {
            self.report(now, out);
        }
        self.catch_up();
        self.end_stale(now, out);
    }

    /// Syncs that were refused, and those of a follower whose answer the leader's link has lost: the way there may have
    /// stayed up, so nothing else tells.
    fn ask_syncs_again(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut again = std::mem::take(&mut self.sessions.syncs_refused);
        let waiting = &self.waiting;
        self.sessions.syncs_asked.retain(|context, _| waiting.contains_key(context));
        if self.role != Role::Leader && !self.config.mutants.on(Mutant::ReplicaSyncAskedOnce) {
            let patience = self.config.election_timeout;
            let late = self.sessions.syncs_asked.iter().filter(|(_, at)| now.instant.since(**at) > patience);
            again.extend(late.map(|(context, _)| *context));
        }
        for context in again {
            if self.waiting.contains_key(&context) {
                self.ask_sync(now, context, out);
            }
        }
    }

    /// Leader: proposes the end of sessions that nobody heard of in time.
    fn expire(&mut self, now: Now) {
        while let Some((at, session)) = self.sessions.due.first().copied() {
            if at > now.instant {
                return;
            }
            self.sessions.due.remove(&(at, session));
            let Some(mut heard) = self.sessions.heard.get(&session).filter(|h| h.due == at).map(|h| h.at) else {
                continue;
            };
            let Some((timeout_ms, owner)) = self.state.session(session).map(|s| (s.timeout_ms, s.owner)) else {
                self.sessions.forget(session);
                continue;
            };
            if let Some(c) = self.sessions.attached.get(&session).and_then(|id| self.connections.get(id))
                && !self.config.mutants.on(Mutant::SessionOwnNotHeard)
            {
                heard = heard.max(c.active);
            }
            if let Some(left) = self.sessions.left.get(&session) {
                heard = heard.max(*left);
            }
            let deadline = heard + self.lease(timeout_ms);
            if deadline > now.instant {
                if let Some(heard) = self.sessions.heard.get_mut(&session) {
                    heard.due = deadline;
                }
                self.sessions.due.insert((deadline, session));
                continue;
            }
            self.sessions.expiring.insert(session);
            self.sessions.left.remove(&session);
            // Asked again if this proposal is lost with the leadership: the next leader has deadlines of its own.
            self.requests += 1;
            let request = self.requests;
            self.offer(request, Command::ExpireSession { session, owner });
        }
    }

    /// Leader: proposes the removal of containers and TTL nodes that are due.
    fn reap(&mut self, now: Now) {
        if now.instant.since(self.sessions.reaped_at) < self.config.reap_every {
            return;
        }
        self.sessions.reaped_at = now.instant;
        for path in self.state.reapable(now.wall_ms) {
            self.requests += 1;
            let request = self.requests;
            let origin = Origin { node: self.config.id, incarnation: self.config.incarnation, request };
            self.unsent.push_back((origin, Command::Reap { path }));
        }
    }
}
