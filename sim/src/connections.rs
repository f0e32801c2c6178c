//! Connections as the hosts' kernels see them: segments in flight, buffers, resets, retransmission.
//!
//! A connection has two ends. What an end has sent is in its `flight` until it reaches the other end's buffer; both
//! together are bounded by the link's window. Only the first segment of a flight has an event of its own. A segment
//! that is blocked when it should arrive is sent again, with doubling pauses, until the connection is given up: so a
//! partition that ends is survived, and a silent peer is noticed by those who send, and only by them.
//!
//! When a process ends, its kernel closes its sockets. When a host loses power nobody closes anything: what has left it
//! still arrives, once, and the peer notices when its own segments go unanswered, or with the reset that the restarted
//! host answers.

use crate::events::EventKind;
use crate::kernel::{Due, Kernel, park};
use crate::links::Transit;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use tokio::io::ReadBuf;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that one write takes at most.
const WRITE_MAX: usize = 64 << 10;

/// A connection; its ends are numbered 0 (who asked) and 1 (who accepted).
pub(crate) struct Conn {
    pub ends: [End; 2],
    /// Both ends' segments vanish for good.
    pub silent: bool,
}

pub(crate) struct End {
    pub host: u32,
    pub incarnation: u64,
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
    /// It is lost at least once and sent again.
    repeated: bool,
    /// Some of its bits are flipped on the way.
    corrupt: bool,
    payload: Payload,
}

impl Segment {
    fn len(&self) -> usize {
        if let Payload::Data(data) = &self.payload { data.len() } else { 0 }
    }
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

impl End {
    pub fn new(host: u32, incarnation: u64, addr: SocketAddr) -> End {
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

    /// Whoever sent this sends nothing again: what was lost stays lost, and so does all behind it.
    fn only_what_left(&mut self) {
        let left = self.flight.iter().position(|segment| segment.repeated).unwrap_or(self.flight.len());
        self.flight.truncate(left);
        self.flight_len = self.flight.iter().map(Segment::len).sum();
    }

    fn clear_flight(&mut self) {
        self.flight.clear();
        self.flight_len = 0;
    }

    fn finished(&self) -> bool {
        self.closed && self.flight.is_empty()
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
        let Transit { at, repeated, corrupt } = self.transit(from, to, len);
        let sent_at = self.now;
        let Some(end) = self.net.conns.get_mut(&id).map(|conn| &mut conn.ends[side]) else { return };
        let first = end.flight.is_empty();
        let at = at.max(end.flight.back().map_or(0, |last| last.at));
        end.flight.push_back(Segment { sent_at, at, repeated, corrupt, payload });
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
        let Some(first) = from.flight.front().filter(|segment| segment.at <= now) else { return };
        let orphaned = from.closed && first.len() > 0;
        if self.blocked(from_host, Some(to_host)) || silent {
            return self.send_again(id, side);
        }
        let late = orphaned && self.reconnected(id, side);
        let mut corrupted = 0;
        let (conns, trace) = (&mut self.net.conns, &mut self.trace);
        let Some(conn) = conns.get_mut(&id) else { return };
        let [from, to] = conn.ends.get_disjoint_mut([side, 1 - side]).unwrap_or_else(|_| unreachable!());
        from.sent = 1;
        let mut reset = false;
        while let Some(segment) = from.flight.pop_front_if(|segment| segment.at <= now) {
            match segment.payload {
                Payload::Data(mut data) => {
                    if segment.corrupt && !data.is_empty() {
                        corrupted += 1;
                        trace.record(now, EventKind::Segment { from: from_addr, to: to_addr, what: "corrupted" });
                        // Any bit will do: no dice needed.
                        let at = xxh3_64(&data) as usize % data.len();
                        data[at] ^= 1 << (segment.sent_at % 8);
                    }
                    from.flight_len -= data.len();
                    let (len, hash) = (data.len() as u64, xxh3_64(&data));
                    trace.record(now, EventKind::Data { from: from_addr, to: to_addr, len, hash });
                    if to.closed || to.error.is_some() {
                        // Nobody will read it: the sender is told.
                        reset = true;
                    } else {
                        to.received_len += data.len();
                        to.received.push_back(Chunk { data, read: 0 });
                    }
                }
                Payload::Fin => {
                    trace.record(now, EventKind::Segment { from: from_addr, to: to_addr, what: "end" });
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
        for _ in 0..corrupted {
            self.effect("corruption");
        }
        if late {
            self.effect("late delivery");
        }
        self.wake(reader);
        if let Some(at) = next {
            self.schedule(at, Due::Deliver(id, side));
        }
        if reset {
            self.send_reset(id, 1 - side);
        }
        self.reap(id);
    }

    /// Whether the hosts of a connection have a newer one in the same direction.
    fn reconnected(&self, id: u64, side: usize) -> bool {
        let hosts = |conn: &Conn| [conn.ends[side].host, conn.ends[1 - side].host];
        let old = self.net.conns.get(&id).map(hosts);
        self.net.conns.range(id + 1..).any(|(_, conn)| Some(hosts(conn)) == old)
    }

    /// The first segment in flight got no answer.
    fn send_again(&mut self, id: u64, side: usize) {
        let now = self.now;
        if let Some(conn) = self.net.conns.get_mut(&id)
            && conn.ends[side].gone
        {
            conn.ends[side].clear_flight();
            return self.reap(id);
        }
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
    pub fn abort(&mut self, id: u64, side: usize) {
        self.send_reset(id, side);
        self.close(id, side);
    }

    fn send_reset(&mut self, id: u64, side: usize) {
        let Some(conn) = self.net.conns.get_mut(&id) else { return };
        conn.ends[side].clear_flight();
        conn.ends[side].error.get_or_insert(ErrorKind::ConnectionReset);
        let (from, to) = (conn.ends[side].host, conn.ends[1 - side].host);
        let at = self.transit(from, to, 0).at;
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

    /// Closes the connections of a process that has ended.
    pub fn close_connections(&mut self, host: u32, incarnation: u64) {
        let of_process = |end: &End| end.host == host && end.incarnation == incarnation && !end.closed;
        let both = |(&id, conn): (&u64, &Conn)| [0, 1].map(|side| of_process(&conn.ends[side]).then_some((id, side)));
        for (id, side) in self.net.conns.iter().flat_map(both).flatten().collect::<Vec<_>>() {
            self.close(id, side);
        }
    }

    /// A host has lost power: its ends are nobody's.
    pub fn forget_connections(&mut self, host: u32) {
        let ids: Vec<u64> = self.net.conns.keys().copied().collect();
        for id in ids {
            let Some(conn) = self.net.conns.get_mut(&id) else { continue };
            for end in conn.ends.iter_mut().filter(|end| end.host == host) {
                end.only_what_left();
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
