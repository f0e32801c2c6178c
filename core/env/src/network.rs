//! Byte streams between addresses.

use crate::BoxFuture;
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
}
