//! The network as a process sees it: listeners, streams and sockets over what the kernel keeps of them.

use crate::kernel::{Kernel, Shared};
use crate::process::Process;
use bytes::Bytes;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use synod_env::{BoxFuture, Datagrams, Listener, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

impl Network for Process {
    fn listen(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (host, incarnation) = (self.host, self.incarnation);
            let addr = self.shared.with(|kernel| kernel.listen(host, incarnation, addr))?;
            let shared = self.shared.clone();
            Ok(Box::new(SimListener { shared, host, incarnation, addr }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (host, incarnation) = (self.host, self.incarnation);
            if !self.shared.with(|kernel| kernel.is_running(host, incarnation)) {
                return Err(ErrorKind::NotConnected.into());
            }
            let id = self.shared.with(|kernel| kernel.connect(host, incarnation, addr));
            // Dropping the future must not leave a connection that nobody holds.
            let attempt = AttemptGuard { shared: &self.shared, id };
            let conn = poll_fn(|cx| self.shared.with(|kernel| kernel.poll_connect(cx, id))).await;
            drop(attempt);
            Ok(Box::new(SimStream { shared: self.shared.clone(), id: conn?, side: 0, peer: addr }) as Box<dyn Stream>)
        })
    }

    fn bind(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        let (host, incarnation) = (self.host, self.incarnation);
        Box::pin(async move {
            let addr = self.shared.with(|kernel| kernel.bind(host, incarnation, addr))?;
            let shared = self.shared.clone();
            Ok(Box::new(SimDatagrams { shared, host, incarnation, addr }) as Box<dyn Datagrams>)
        })
    }
}

struct SimDatagrams {
    shared: Arc<Shared>,
    host: u32,
    incarnation: u64,
    addr: SocketAddr,
}

impl Datagrams for SimDatagrams {
    fn send_to(&self, data: Bytes, to: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        let (host, incarnation, from) = (self.host, self.incarnation, self.addr);
        let sent = self.shared.with(|kernel| kernel.send_datagram(host, incarnation, from, to, data));
        Box::pin(std::future::ready(sent))
    }

    fn recv_from(&self) -> BoxFuture<'_, io::Result<(Bytes, SocketAddr)>> {
        let (host, incarnation, port) = (self.host, self.incarnation, self.addr.port());
        let receive =
            move |cx: &mut Context<'_>| self.shared.with(|kernel| kernel.poll_receive(cx, host, incarnation, port));
        Box::pin(poll_fn(receive))
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SimDatagrams {
    fn drop(&mut self) {
        self.shared.with(|kernel| kernel.unbind(self.host, self.incarnation, self.addr.port()));
    }
}

struct AttemptGuard<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        self.shared.with(|kernel| kernel.forget_attempt(self.id));
    }
}

struct SimListener {
    shared: Arc<Shared>,
    host: u32,
    incarnation: u64,
    addr: SocketAddr,
}

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (host, port) = (self.host, self.addr.port());
            let (id, peer) = poll_fn(|cx| self.shared.with(|kernel| kernel.poll_accept(cx, host, port))).await?;
            Ok(Box::new(SimStream { shared: self.shared.clone(), id, side: 1, peer }) as Box<dyn Stream>)
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.shared.with(|kernel| kernel.unlisten(self.host, self.incarnation, self.addr.port()));
    }
}

struct SimStream {
    shared: Arc<Shared>,
    id: u64,
    side: usize,
    peer: SocketAddr,
}

impl SimStream {
    fn with<T>(&self, call: impl FnOnce(&mut Kernel, u64, usize) -> T) -> T {
        self.shared.with(|kernel| call(kernel, self.id, self.side))
    }
}

impl Stream for SimStream {
    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|kernel, id, side| kernel.poll_read(cx, id, side, buf))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|kernel, id, side| kernel.poll_write(cx, id, side, &[IoSlice::new(data)]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|kernel, id, side| kernel.poll_write(cx, id, side, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|kernel, id, side| kernel.shutdown(id, side));
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.with(|kernel, id, side| kernel.close(id, side));
    }
}
