//! Addresses, listeners, and how connections come to be.

use crate::connections::{Conn, End};
use crate::datagrams::{Datagram, Socket};
use crate::events::EventKind;
use crate::kernel::{Due, Kernel, park};
use crate::links::{Block, Link, LinkConfig};
use crate::world::Host;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Waker};

pub(crate) const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;
/// The system's number for too many open files.
const EMFILE: i32 = 24;

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
    pub sockets: BTreeMap<(u32, u16), Socket>,
    pub datagrams: BTreeMap<u64, Datagram>,
    /// The latest datagram that has arrived, from one host at another.
    pub latest_datagrams: BTreeMap<(u32, u32), u64>,
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

impl Kernel {
    /// The host that an address names, seen from another host.
    pub fn host_at(&self, from: u32, ip: IpAddr) -> Option<u32> {
        if ip.is_loopback() || ip.is_unspecified() {
            return Some(from);
        }
        (0..self.hosts.len() as u32).find(|&host| ip_of(host) == ip)
    }

    /// Whether a process can use an address as its own.
    pub fn check_local(&self, host: u32, incarnation: u64, addr: SocketAddr) -> io::Result<()> {
        if self.host_at(host, addr.ip()) != Some(host) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        if !self.is_running(host, incarnation) {
            return Err(ErrorKind::NotConnected.into());
        }
        Ok(())
    }

    pub fn listen(&mut self, host: u32, incarnation: u64, mut addr: SocketAddr) -> io::Result<SocketAddr> {
        self.check_local(host, incarnation, addr)?;
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

    pub fn free_port(&mut self, host: u32) -> u16 {
        loop {
            let state = self.host(host);
            let port = state.next_port;
            state.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL_PORT);
            let key = (host, port);
            if !self.net.listeners.contains_key(&key) && !self.net.sockets.contains_key(&key) {
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
        let out_of_files = self.host(host).out_of_files;
        let Some(listener) = self.net.listeners.get_mut(&(host, port)) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        if out_of_files && !listener.waiting.is_empty() {
            self.did(Host(host), "failed accept", true);
            return Poll::Ready(Err(io::Error::from_raw_os_error(EMFILE)));
        }
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
        let at = self.transit(host, to_host.unwrap_or(host), 0).at;
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
        let lost = to_host.is_some_and(|to_host| self.syn_dropped(id, from, to_host)) || lost;
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
        let at = self.transit(to_host, from, 0).at;
        self.schedule(at, Due::SynAnswer(id));
    }

    /// Whether a connection attempt meets with nothing but silence though the hosts reach each other.
    fn syn_dropped(&mut self, id: u64, from: u32, to: u32) -> bool {
        let now = self.now;
        let dropped = self.net.blocks.iter().any(|block| block.syns_only && block.covers(now, from, to));
        let first = self.net.attempts.get(&id).is_some_and(|attempt| attempt.sends == 1);
        if dropped && first {
            self.effect("syn timeout");
        }
        dropped
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

// Ending.

impl Kernel {
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
        self.close_connections(host, incarnation);
        self.close_datagrams(host, Some(incarnation));
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
        self.forget_connections(host);
        self.close_datagrams(host, None);
    }
}
