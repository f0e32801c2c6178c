//! Connections as the hosts' kernels see them: segments in flight, buffers, resets, retransmission.
//!
//! A connection has two ends. What an end has sent is in its `flight` until it reaches the other end's buffer; both
//! together are bounded by the link's window. Only the first segment of a flight has an event of its own. A segment
//! that is blocked when it should arrive is sent again, with doubling pauses, until the connection is given up: so a
//! partition that ends is survived, and a silent peer is noticed by those who send, and only by them.
//!
//! When a process ends, its kernel closes its sockets. When a host loses power nobody closes anything: the peer notices
//! when its own segments go unanswered, or with the reset that the restarted host answers.

use crate::events::EventKind;
use crate::kernel::{Due, Kernel, park};
use crate::links::{Block, Link, LinkConfig};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;

/// Bytes that one write takes at most.
const WRITE_MAX: usize = 64 << 10;

/// First pause of an unanswered connection attempt, doubling, and how often it is sent: given up at the last, after 63 s.
const SYN_PAUSE_NS: u64 = 1_000_000_000;
const SYN_SENDS: u32 = 7;

#[derive(Default)]
pub(crate) struct Net {
    pub conns: BTreeMap<u64, Conn>,
    pub listeners: BTreeMap<(u32, u16), ListenerState>,
    pub attempts: BTreeMap<u64, Attempt>,
    pub links: BTreeMap<(u32, u32), Link>,
    pub link_config: LinkConfig,
    pub blocks: Vec<Block>,
}

/// A connection; its ends are numbered 0 (who asked) and 1 (who accepted).
pub(crate) struct Conn {
    pub ends: [End; 2],
    /// Both ends' segments vanish for good.
    pub silent: bool,
}

pub(crate) struct End {
    pub host: u32,
    incarnation: u64,
    pub addr: SocketAddr,
    flight: VecDeque<Segment>,
    flight_len: usize,
    /// Sends of the first segment in flight.
    sent: u32,
    received: VecDeque<Chunk>,
    received_len: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The other end's FIN has come.
    ended: bool,
    /// This end has sent its FIN.
    shut: bool,
    pub error: Option<ErrorKind>,
    /// No process holds this end any more.
    pub closed: bool,
    /// The host has lost power since: nobody knows this end, what comes to it is answered by a reset.
    gone: bool,
}

struct Segment {
    sent_at: u64,
    at: u64,
    payload: Payload,
}

enum Payload {
    Data(Vec<u8>),
    Fin,
}

/// Bytes that were received, from `read` on.
struct Chunk {
    data: Vec<u8>,
    read: usize,
}

pub(crate) struct ListenerState {
    incarnation: u64,
    waiting: VecDeque<u64>,
    wakers: Vec<Waker>,
}

/// A connection that is being asked for.
pub(crate) struct Attempt {
    host: u32,
    incarnation: u64,
    local: SocketAddr,
    to: SocketAddr,
    to_host: Option<u32>,
    sends: u32,
    conn: Option<u64>,
    outcome: Option<Result<u64, ErrorKind>>,
    waker: Option<Waker>,
}

/// The address of a host: 10.0.x.y.
pub(crate) fn ip_of(host: u32) -> IpAddr {
    let [_, _, high, low] = host.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
}

impl End {
    fn new(host: u32, incarnation: u64, addr: SocketAddr) -> End {
        End {
            host,
            incarnation,
            addr,
            flight: VecDeque::new(),
            flight_len: 0,
            sent: 1,
            received: VecDeque::new(),
            received_len: 0,
            reader: None,
            writer: None,
            ended: false,
            shut: false,
            error: None,
            closed: false,
            gone: false,
        }
    }

    fn clear_flight(&mut self) {
        self.flight.clear();
        self.flight_len = 0;
    }

    fn finished(&self) -> bool {
        self.closed && self.flight.is_empty()
    }
}

// Connecting.

impl Kernel {
    /// The host that an address names, seen from another host.
    fn host_at(&self, from: u32, ip: IpAddr) -> Option<u32> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        (0..self.hosts.len() as u32).find(|&host| ip_of(host) == ip)
    }

    pub fn listen(&mut self, host: u32, incarnation: u64, mut addr: SocketAddr) -> io::Result<SocketAddr> {
        if self.host_at(host, addr.ip()) != Some(host) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if !self.is_running(host, incarnation) {
            return Err(ErrorKind::NotConnected.into());
        }
        if addr.port() == 0 {
            addr.set_port(self.free_port(host));
        }
        let key = (host, addr.port());
        if self.net.listeners.contains_key(&key) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let listener = ListenerState { incarnation, waiting: VecDeque::new(), wakers: Vec::new() };
        self.net.listeners.insert(key, listener);
        Ok(addr)
    }

    fn free_port(&mut self, host: u32) -> u16 {
        loop {
            let state = self.host(host);
            let port = state.next_port;
            state.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            if !self.net.listeners.contains_key(&(host, port)) {
                return port;
            }
        }
    }

    pub fn unlisten(&mut self, host: u32, incarnation: u64, port: u16) {
        let Some(listener) = self.net.listeners.get(&(host, port)) else { return };
        if listener.incarnation == incarnation
            && let Some(listener) = self.net.listeners.remove(&(host, port))
        {
            self.dropped.extend(listener.wakers);
            for conn in listener.waiting {
                self.abort(conn, 1);
            }
        }
    }

    pub fn poll_accept(&mut self, cx: &Context<'_>, host: u32, port: u16) -> Poll<io::Result<(u64, SocketAddr)>> {
        let Some(listener) = self.net.listeners.get_mut(&(host, port)) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        if let Some(id) = listener.waiting.pop_front() {
            let peer = self.net.conns.get(&id).map(|conn| conn.ends[0].addr);
            return Poll::Ready(peer.map(|peer| (id, peer)).ok_or_else(|| ErrorKind::ConnectionAborted.into()));
        }
        if !listener.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            listener.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Sends a SYN; the number names the attempt.
    pub fn connect(&mut self, host: u32, incarnation: u64, to: SocketAddr) -> u64 {
        let id = self.number();
        let to_host = self.host_at(host, to.ip());
        let ip = if to.ip().is_loopback() { to.ip() } else { ip_of(host) };
        let local = SocketAddr::new(ip, self.free_port(host));
        let at = self.transit(host, to_host.unwrap_or(host), 0);
        let attempt =
            Attempt { host, incarnation, local, to, to_host, sends: 1, conn: None, outcome: None, waker: None };
        self.net.attempts.insert(id, attempt);
        self.schedule(at, Due::Syn(id));
        id
    }

    pub fn syn_arrives(&mut self, id: u64) {
        let Some(attempt) = self.net.attempts.get(&id) else { return };
        let (from, to, to_host) = (attempt.host, attempt.to, attempt.to_host);
        let full = |listener: &ListenerState| listener.waiting.len() >= BACKLOG;
        // The answer has to get through as well; both are tried again together.
        let lost = self.blocked(from, to_host)
            || to_host.is_some_and(|to_host| self.blocked(to_host, Some(from)))
            || to_host.is_some_and(|to_host| self.net.listeners.get(&(to_host, to.port())).is_some_and(full));
        let now = self.now;
        let Some(attempt) = self.net.attempts.get_mut(&id) else { return };
        let Some(to_host) = to_host.filter(|_| !lost) else {
            if attempt.sends >= SYN_SENDS {
                return self.answer(id, Err(ErrorKind::TimedOut));
            }
            let pause = SYN_PAUSE_NS << (attempt.sends - 1);
            attempt.sends += 1;
            return self.schedule(now + pause, Due::Syn(id));
        };
        if let Some(listener) = self.net.listeners.get_mut(&(to_host, to.port())) {
            let client = End::new(from, attempt.incarnation, attempt.local);
            let server = End::new(to_host, listener.incarnation, to);
            // One connection an attempt: they share the number.
            attempt.conn = Some(id);
            listener.waiting.push_back(id);
            self.wakers.append(&mut listener.wakers);
            self.net.conns.insert(id, Conn { ends: [client, server], silent: false });
        }
        let at = self.transit(to_host, from, 0);
        self.schedule(at, Due::SynAnswer(id));
    }

    pub fn syn_answer_arrives(&mut self, id: u64) {
        let conn = self.net.attempts.get(&id).and_then(|attempt| attempt.conn);
        self.answer(id, conn.ok_or(ErrorKind::ConnectionRefused));
    }

    fn answer(&mut self, id: u64, outcome: Result<u64, ErrorKind>) {
        let Some(attempt) = self.net.attempts.get_mut(&id) else { return };
        attempt.outcome = Some(outcome);
        let (waker, from, to) = (attempt.waker.take(), attempt.local, attempt.to);
        self.wake(waker);
        let outcome = match outcome {
            Ok(_) => "connected",
            Err(ErrorKind::TimedOut) => "timed out",
            Err(_) => "refused",
        };
        self.record(EventKind::Connect { from, to, outcome });
    }

    pub fn poll_connect(&mut self, cx: &Context<'_>, id: u64) -> Poll<io::Result<u64>> {
        let Some(attempt) = self.net.attempts.get_mut(&id) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        match attempt.outcome {
            None => {
                park(&mut attempt.waker, &mut self.dropped, cx);
                Poll::Pending
            }
            Some(outcome) => {
                self.net.attempts.remove(&id);
                Poll::Ready(outcome.map_err(io::Error::from))
            }
        }
    }

    /// Nobody waits for an attempt any more.
    pub fn forget_attempt(&mut self, id: u64) {
        if let Some(attempt) = self.net.attempts.remove(&id) {
            self.dropped.extend(attempt.waker);
            if let Some(conn) = attempt.conn {
                self.abort(conn, 0);
            }
        }
    }
}

// Bytes.

impl Kernel {
    pub fn poll_write(
        &mut self,
        cx: &Context<'_>,
        id: u64,
        side: usize,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let now = self.now;
        let Some(conn) = self.net.conns.get(&id) else { return Poll::Ready(Err(ErrorKind::ConnectionReset.into())) };
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let held = conn.ends[side].flight_len + conn.ends[1 - side].received_len;
        let end = &conn.ends[side];
        let failed = match end {
            // Its process is dead.
            end if end.closed => Some(ErrorKind::NotConnected),
            end if end.shut => Some(ErrorKind::BrokenPipe),
            end => end.error,
        };
        if let Some(kind) = failed {
            return Poll::Ready(Err(kind.into()));
        }
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let link = self.link(from, to);
        let space = link.config.window.saturating_sub(held);
        if space == 0 {
            if let Some(conn) = self.net.conns.get_mut(&id) {
                park(&mut conn.ends[side].writer, &mut self.dropped, cx);
            }
            return Poll::Pending;
        }
        let fits = wanted.min(space).min(WRITE_MAX);
        let len = link.cut(fits);
        if len < fits {
            self.effect("partial write");
        }
        let Some(end) = self.net.conns.get_mut(&id).map(|conn| &mut conn.ends[side]) else {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        };
        end.flight_len += len;
        // What one poll writes piece by piece travels as one segment.
        if let Some(Segment { sent_at, payload: Payload::Data(data), .. }) = end.flight.back_mut()
            && *sent_at == now
            && data.len() + len <= WRITE_MAX
        {
            gather(data, parts, len);
            return Poll::Ready(Ok(len));
        }
        let mut data = Vec::with_capacity(len);
        gather(&mut data, parts, len);
        self.send(id, side, Payload::Data(data));
        Poll::Ready(Ok(len))
    }

    /// Puts a segment in flight, behind those that already are.
    fn send(&mut self, id: u64, side: usize, payload: Payload) {
        let Some(conn) = self.net.conns.get(&id) else { return };
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let len = if let Payload::Data(data) = &payload { data.len() } else { 0 };
        let at = self.transit(from, to, len);
        let sent_at = self.now;
        let Some(end) = self.net.conns.get_mut(&id).map(|conn| &mut conn.ends[side]) else { return };
        let first = end.flight.is_empty();
        let at = at.max(end.flight.back().map_or(0, |last| last.at));
        end.flight.push_back(Segment { sent_at, at, payload });
        if first {
            self.schedule(at, Due::Deliver(id, side));
        }
    }

    /// The first segments that an end has sent should arrive now.
    pub fn deliver(&mut self, id: u64, side: usize) {
        let now = self.now;
        let Some(conn) = self.net.conns.get(&id) else { return };
        let (from, to) = (&conn.ends[side], &conn.ends[1 - side]);
        let (from_host, to_host) = (from.host, to.host);
        let (from_addr, to_addr, silent) = (from.addr, to.addr, conn.silent);
        if from.flight.front().is_none_or(|segment| segment.at > now) {
            return;
        }
        if self.blocked(from_host, Some(to_host)) || silent {
            return self.send_again(id, side);
        }
        let mut arrived = Vec::new();
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let [from, to] = conn.ends.get_disjoint_mut([side, 1 - side]).unwrap_or_else(|_| unreachable!());
        from.sent = 1;
        let mut reset = false;
        while let Some(segment) = from.flight.pop_front_if(|segment| segment.at <= now) {
            match segment.payload {
                Payload::Data(data) => {
                    from.flight_len -= data.len();
                    let len = data.len() as u64;
                    arrived.push(EventKind::Data { from: from_addr, to: to_addr, len, hash: xxh3_64(&data) });
                    if to.closed || to.error.is_some() {
                        // Nobody will read it: the sender is told.
                        reset = true;
                    } else {
                        to.received_len += data.len();
                        to.received.push_back(Chunk { data, read: 0 });
                    }
                }
                Payload::Fin => {
                    arrived.push(EventKind::Segment { from: from_addr, to: to_addr, what: "end" });
                    reset |= to.gone;
                    to.ended = true;
                }
            }
        }
        let reader = to.reader.take();
        let next = from.flight.front().map(|segment| segment.at);
        if reset && to.gone && !from.closed {
            self.effect("half-open");
        }
        self.wake(reader);
        for kind in arrived {
            self.record(kind);
        }
        if let Some(at) = next {
            self.schedule(at, Due::Deliver(id, side));
        }
        if reset {
            self.send_reset(id, 1 - side);
        }
        self.reap(id);
    }

    /// The first segment in flight got no answer.
    fn send_again(&mut self, id: u64, side: usize) {
        let now = self.now;
        let Some(conn) = self.net.conns.get(&id) else { return };
        let (from, to, silent) = (conn.ends[side].host, conn.ends[1 - side].host, conn.silent);
        let sent = conn.ends[side].sent;
        let link = self.link(from, to);
        let (pause, given_up) = (link.retransmit_ns(sent), sent >= link.config.sends_max);
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let (from, to) = (conn.ends[side].addr, conn.ends[1 - side].addr);
        let end = &mut conn.ends[side];
        end.sent += 1;
        if given_up {
            let noticed = !end.closed;
            self.fail(id, side, ErrorKind::TimedOut);
            self.record(EventKind::Segment { from, to, what: "given up" });
            if silent && noticed {
                self.effect("half-open");
            }
            return self.reap(id);
        }
        if let Some(first) = end.flight.front_mut() {
            first.at = now + pause;
        }
        self.schedule(now + pause, Due::Deliver(id, side));
        self.record(EventKind::Segment { from, to, what: "blocked" });
    }

    /// One end learns that the connection is dead.
    pub fn fail(&mut self, id: u64, side: usize, kind: ErrorKind) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let end = &mut conn.ends[side];
        end.clear_flight();
        end.error.get_or_insert(kind);
        let (reader, writer) = (end.reader.take(), end.writer.take());
        self.wake(reader);
        self.wake(writer);
    }

    pub fn poll_read(&mut self, cx: &Context<'_>, id: u64, side: usize, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(conn) = self.net.conns.get(&id) else { return Poll::Ready(Err(ErrorKind::ConnectionReset.into())) };
        let (end, peer) = (&conn.ends[side], conn.ends[1 - side].host);
        if end.received_len == 0 {
            if let Some(kind) = end.error.or(end.closed.then_some(ErrorKind::NotConnected)) {
                return Poll::Ready(Err(kind.into()));
            }
            if end.ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(conn) = self.net.conns.get_mut(&id) {
                park(&mut conn.ends[side].reader, &mut self.dropped, cx);
            }
            return Poll::Pending;
        }
        let (host, fits) = (end.host, end.received_len.min(buf.remaining()));
        let mut len = self.link(peer, host).cut(fits);
        if len < fits {
            self.effect("partial read");
        }
        let Some(conn) = self.net.conns.get_mut(&id) else { return Poll::Pending };
        let end = &mut conn.ends[side];
        end.received_len -= len;
        while len > 0
            && let Some(chunk) = end.received.front_mut()
        {
            let n = len.min(chunk.data.len() - chunk.read);
            buf.put_slice(&chunk.data[chunk.read..chunk.read + n]);
            chunk.read += n;
            len -= n;
            if chunk.read == chunk.data.len() {
                end.received.pop_front();
            }
        }
        let writer = conn.ends[1 - side].writer.take();
        self.wake(writer);
        Poll::Ready(Ok(()))
    }

    pub fn shutdown(&mut self, id: u64, side: usize) {
        if self.net.conns.get(&id).is_some_and(|conn| !conn.ends[side].closed) {
            self.finish(id, side);
        }
    }

    /// Sends the end of a direction, once.
    fn finish(&mut self, id: u64, side: usize) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let end = &mut conn.ends[side];
        if end.error.is_none() && !std::mem::replace(&mut end.shut, true) {
            self.send(id, side, Payload::Fin);
        }
    }
}

fn gather(data: &mut Vec<u8>, parts: &[IoSlice<'_>], mut len: usize) {
    for part in parts {
        let n = len.min(part.len());
        data.extend_from_slice(&part[..n]);
        len -= n;
    }
}

// Ending.

impl Kernel {
    /// A process lets go of its end: what was sent is still delivered, unless it left something unread.
    pub fn close(&mut self, id: u64, side: usize) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        let end = &mut conn.ends[side];
        if end.closed {
            return;
        }
        end.closed = true;
        self.dropped.extend(end.reader.take());
        self.dropped.extend(end.writer.take());
        let unread = std::mem::take(&mut end.received_len) > 0;
        end.received.clear();
        if end.error.is_none() {
            if unread {
                self.send_reset(id, side);
            } else {
                self.finish(id, side);
            }
        }
        self.reap(id);
    }

    /// Ends a connection at once, from one end.
    fn abort(&mut self, id: u64, side: usize) {
        self.send_reset(id, side);
        self.close(id, side);
    }

    fn send_reset(&mut self, id: u64, side: usize) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.ends[side].clear_flight();
        conn.ends[side].error.get_or_insert(ErrorKind::ConnectionReset);
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let at = self.transit(from, to, 0);
        self.schedule(at, Due::Reset(id, 1 - side));
    }

    /// A reset arrives at one end. Nobody sends a lost one again.
    pub fn reset_arrives(&mut self, id: u64, side: usize) {
        let Some(conn) = self.net.conns.get(&id) else { return };
        let (end, peer) = (&conn.ends[side], &conn.ends[1 - side]);
        let (host, from_host, from, to, silent) = (end.host, peer.host, peer.addr, end.addr, conn.silent);
        if silent || self.blocked(from_host, Some(host)) {
            return;
        }
        self.fail(id, side, ErrorKind::ConnectionReset);
        self.record(EventKind::Segment { from, to, what: "reset" });
        self.reap(id);
    }

    /// Forgets a connection that both ends have let go of.
    fn reap(&mut self, id: u64) {
        if self.net.conns.get(&id).is_some_and(|conn| conn.ends.iter().all(End::finished)) {
            self.net.conns.remove(&id);
        }
    }

    /// Closes the sockets of a process that has ended.
    pub fn close_sockets(&mut self, host: u32, incarnation: u64) {
        let ports: Vec<u16> = self.net.listeners.keys().filter(|key| key.0 == host).map(|key| key.1).collect();
        for port in ports {
            self.unlisten(host, incarnation, port);
        }
        let attempts = self.net.attempts.iter().filter(|(_, a)| a.host == host && a.incarnation == incarnation);
        for id in attempts.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.forget_attempt(id);
        }
        let of_process = |end: &End| end.host == host && end.incarnation == incarnation && !end.closed;
        let both = |(&id, conn): (&u64, &Conn)| [0, 1].map(|side| of_process(&conn.ends[side]).then_some((id, side)));
        for (id, side) in self.net.conns.iter().flat_map(both).flatten().collect::<Vec<_>>() {
            self.close(id, side);
        }
    }

    /// A host loses power: it forgets its sockets, and tells nobody.
    pub fn forget_sockets(&mut self, host: u32) {
        for key in self.net.listeners.keys().filter(|key| key.0 == host).copied().collect::<Vec<_>>() {
            if let Some(listener) = self.net.listeners.remove(&key) {
                self.dropped.extend(listener.wakers);
            }
        }
        for id in self.net.attempts.iter().filter(|(_, a)| a.host == host).map(|(&id, _)| id).collect::<Vec<_>>() {
            let attempt = self.net.attempts.remove(&id);
            self.dropped.extend(attempt.and_then(|attempt| attempt.waker));
        }
        let ids: Vec<u64> = self.net.conns.keys().copied().collect();
        for id in ids {
            let Some(conn) = self.net.conns.get_mut(&id) else { continue };
            for end in conn.ends.iter_mut().filter(|end| end.host == host) {
                end.clear_flight();
                end.received.clear();
                end.received_len = 0;
                (end.closed, end.gone) = (true, true);
                self.dropped.extend(end.reader.take());
                self.dropped.extend(end.writer.take());
            }
            self.reap(id);
        }
    }
}
