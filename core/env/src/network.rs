//! Byte streams and datagrams between addresses.

use crate::BoxFuture;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// A reliable, ordered stream of bytes (TCP with `TCP_NODELAY`). Reads and writes may be partial. Dropping it closes
/// both directions. A half-open stream looks healthy until a write or a timeout tells.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The other end's address.
    fn peer_addr(&self) -> SocketAddr;
}

/// A socket that accepts streams. Dropping it frees the address.
pub trait Listener: Send + Sync {
    /// The next stream.
    ///
    /// # Errors
    /// The listener stays usable after an error; the caller waits a little before it tries again.
    fn accept(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// The bound address, with the port that was chosen for port 0.
    fn local_addr(&self) -> SocketAddr;
}

/// Longest datagram in bytes.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// A socket for datagrams (UDP): each arrives whole or not at all, perhaps twice, perhaps after later ones. Nobody hears
/// what became of one. Dropping it frees the address.
pub trait Datagrams: Send + Sync {
    /// Sends a datagram, to nobody if nobody is there.
    ///
    /// # Errors
    /// It is longer than [`DATAGRAM_BYTES_MAX`], or the system refuses.
    fn send_to(&self, data: Bytes, to: SocketAddr) -> BoxFuture<'_, io::Result<()>>;

    /// The next datagram, and who sent it. What comes while nobody receives waits, as long as there is room.
    ///
    /// # Errors
    /// The socket stays usable after an error; the caller waits a little before it tries again.
    fn recv_from(&self) -> BoxFuture<'_, io::Result<(Bytes, SocketAddr)>>;

    /// The bound address, with the port that was chosen for port 0.
    fn local_addr(&self) -> SocketAddr;
}

/// The network as one member sees it.
pub trait Network: Send + Sync {
    /// Listens on an address.
    ///
    /// # Errors
    /// `AddrInUse`, or the address is not one of this member's.
    fn listen(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects. May take as long as the system's SYN timeout: callers bound it with [`crate::Env::timeout`].
    ///
    /// # Errors
    /// `ConnectionRefused` when nobody listens; `TimedOut` when nothing answers.
    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// Opens a socket for datagrams. Its ports are others than those of listeners.
    ///
    /// # Errors
    /// `AddrInUse`, or the address is not one of this member's.
    fn bind(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>>;
}
