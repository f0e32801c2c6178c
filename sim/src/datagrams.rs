//! Datagrams: each is on its own, so that it may be lost, come twice, or come after later ones.

use crate::events::EventKind;
use crate::kernel::{Due, Kernel};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use synod_env::network::DATAGRAM_BYTES_MAX;
use xxhash_rust::xxh3::xxh3_64;

/// Datagrams that wait at a socket; more are dropped.
const WAITING_MAX: usize = 256;

/// A socket for datagrams.
pub(crate) struct Socket {
    incarnation: u64,
    waiting: VecDeque<(Bytes, SocketAddr)>,
    wakers: Vec<Waker>,
}

/// A datagram on its way.
pub(crate) struct Datagram {
    from: SocketAddr,
    from_host: u32,
    to: SocketAddr,
    to_host: u32,
    data: Bytes,
    corrupt: bool,
}

impl Kernel {
    pub fn bind(&mut self, host: u32, incarnation: u64, mut addr: SocketAddr) -> io::Result<SocketAddr> {
        self.check_local(host, incarnation, addr)?;
        if addr.port() == 0 {
            addr.set_port(self.free_port(host));
        }
        let key = (host, addr.port());
        if self.net.sockets.contains_key(&key) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let socket = Socket { incarnation, waiting: VecDeque::new(), wakers: Vec::new() };
        self.net.sockets.insert(key, socket);
        Ok(addr)
    }

    pub fn unbind(&mut self, host: u32, incarnation: u64, port: u16) {
        if self.net.sockets.get(&(host, port)).is_some_and(|socket| socket.incarnation == incarnation)
            && let Some(socket) = self.net.sockets.remove(&(host, port))
        {
            self.dropped.extend(socket.wakers);
        }
    }

    /// Closes the sockets of a process that has ended; of all, when a host has lost power.
    pub fn close_datagrams(&mut self, host: u32, incarnation: Option<u64>) {
        let sockets = self.net.sockets.iter().filter(|(key, _)| key.0 == host);
        let ports: Vec<_> = sockets.map(|(key, socket)| (key.1, socket.incarnation)).collect();
        for (port, owner) in ports {
            if incarnation.is_none_or(|incarnation| incarnation == owner) {
                self.unbind(host, owner, port);
            }
        }
    }

    /// Sends a datagram from a bound address.
    pub fn send_datagram(
        &mut self,
        host: u32,
        incarnation: u64,
        mut from: SocketAddr,
        to: SocketAddr,
        data: Bytes,
    ) -> io::Result<()> {
        if self.net.sockets.get(&(host, from.port())).is_none_or(|socket| socket.incarnation != incarnation) {
            return Err(ErrorKind::NotConnected.into());
        }
        if data.len() > DATAGRAM_BYTES_MAX {
            let why = format!("send datagram: length {} exceeds {DATAGRAM_BYTES_MAX}", data.len());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let Some(to_host) = self.host_at(host, to.ip()) else { return Ok(()) };
        if from.ip().is_unspecified() {
            let ip = if to.ip().is_loopback() { to.ip() } else { crate::network::ip_of(host) };
            from.set_ip(ip);
        }
        let copies = self.datagram_transits(host, to_host, data.len());
        for (at, corrupt) in copies {
            let id = self.number();
            let data = data.clone();
            self.net.datagrams.insert(id, Datagram { from, from_host: host, to, to_host, data, corrupt });
            self.schedule(at, Due::Datagram(id));
        }
        Ok(())
    }

    pub fn datagram_arrives(&mut self, id: u64) {
        let Some(mut datagram) = self.net.datagrams.remove(&id) else { return };
        let (from_host, to_host) = (datagram.from_host, datagram.to_host);
        if self.blocked(from_host, Some(to_host)) {
            let Datagram { from, to, .. } = datagram;
            return self.record(EventKind::Segment { from, to, what: "datagram blocked" });
        }
        if datagram.corrupt && !datagram.data.is_empty() {
            let mut data = datagram.data.to_vec();
            let at = xxh3_64(&data) as usize % data.len();
            data[at] ^= 1 << (id % 8);
            datagram.data = data.into();
            self.effect("corruption");
        }
        let Datagram { from, to, data, .. } = datagram;
        let latest = self.net.latest_datagrams.entry((from_host, to_host)).or_default();
        let overtaken = id < *latest;
        *latest = id.max(*latest);
        if overtaken {
            self.effect("reordering");
        }
        self.record(EventKind::Data { from, to, len: data.len() as u64, hash: xxh3_64(&data) });
        if let Some(socket) = self.net.sockets.get_mut(&(to_host, to.port()))
            && socket.waiting.len() < WAITING_MAX
        {
            socket.waiting.push_back((data, from));
            self.wakers.append(&mut socket.wakers);
        }
    }

    pub fn poll_receive(
        &mut self,
        cx: &Context<'_>,
        host: u32,
        incarnation: u64,
        port: u16,
    ) -> Poll<io::Result<(Bytes, SocketAddr)>> {
        let socket = self.net.sockets.get_mut(&(host, port)).filter(|socket| socket.incarnation == incarnation);
        let Some(socket) = socket else { return Poll::Ready(Err(ErrorKind::NotConnected.into())) };
        if let Some(received) = socket.waiting.pop_front() {
            return Poll::Ready(Ok(received));
        }
        if !socket.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            socket.wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
