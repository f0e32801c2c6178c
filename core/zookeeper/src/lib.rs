//! ZooKeeper's client protocol on a replica, sans-IO: one [`Protocol`] a connection turns bytes into [`Action`]s for the
//! replica, and the replica's outputs into bytes. What a request does is the state's business; how it looks as bytes is
//! `wire`'s; sockets are the node's.
//!
//! | file | what |
//! |---|---|
//! | `protocol` | a connection: handshake, frames, order, end |
//! | `requests` | what each operation asks of the replica |
//! | `replies` | how each reply looks |
//! | `auth` | who a client is: schemes `ip`, `digest`, the super user |

mod auth;
mod protocol;
mod replies;
mod requests;

pub use protocol::{Action, Options, Protocol, is_ping};
pub use synod_wire::zookeeper::Word;
