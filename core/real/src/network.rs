//! TCP and UDP sockets.

use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use synod_env::network::DATAGRAM_BYTES_MAX;
use synod_env::{BoxFuture, Datagrams, Listener, Network, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;

pub struct RealNetwork;

impl Network for RealNetwork {
    fn listen(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Without it a restarted member could not listen while old connections are in TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            let listener = socket.listen(BACKLOG)?;
            let addr = listener.local_addr()?;
            Ok(Box::new(RealListener { listener, addr }) as Box<dyn Listener>)
        })
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { stream(TcpStream::connect(addr).await?, addr) })
    }

    fn bind(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        Box::pin(async move {
            let socket = UdpSocket::bind(addr).await?;
            let addr = socket.local_addr()?;
            Ok(Box::new(RealDatagrams { socket, addr }) as Box<dyn Datagrams>)
        })
    }
}

fn stream(stream: TcpStream, peer: SocketAddr) -> io::Result<Box<dyn Stream>> {
    stream.set_nodelay(true)?;
    Ok(Box::new(RealStream { stream, peer }))
}

struct RealListener {
    listener: TcpListener,
    addr: SocketAddr,
}

impl Listener for RealListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (accepted, peer) = self.listener.accept().await?;
            stream(accepted, peer)
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

struct RealDatagrams {
    socket: UdpSocket,
    addr: SocketAddr,
}

impl Datagrams for RealDatagrams {
    fn send_to(&self, data: Bytes, to: SocketAddr) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move { self.socket.send_to(&data, to).await.map(drop) })
    }

    fn recv_from(&self) -> BoxFuture<'_, io::Result<(Bytes, SocketAddr)>> {
        Box::pin(async move {
            let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
            let (len, from) = self.socket.recv_from(&mut buffer).await?;
            Ok((Bytes::copy_from_slice(&buffer[..len]), from))
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

struct RealStream {
    stream: TcpStream,
    peer: SocketAddr,
}

impl Stream for RealStream {
    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }
}

impl AsyncRead for RealStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for RealStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
