//! ZooKeeper's client protocol as bytes, both directions: servers, simulated clients and test clients use this one
//! codec. Which request is allowed when, and what it does, is the protocol room's and the replica's business.
//! Source: ZooKeeper 3.9, `zookeeper.jute`, `ZooDefs`, `ConnectRequest`, `MultiOperationRecord`, `MultiResponse`.
//!
//! Every message is a frame: a 4-byte length, then so many bytes. The first frame in each direction is a
//! [`ConnectRequest`] or [`ConnectResponse`]; the others begin with a [`RequestHeader`] or a reply header.
//!
//! What an error means to the connection: a frame, handshake, request header, `auth` or `sasl` packet that does not
//! decode closes it; the body of any other request does not, its frame stood by itself: the answer is
//! `MarshallingError`.

mod connect;
mod record;
mod request;
mod response;
mod word;
mod write;

pub use connect::{ConnectRequest, ConnectResponse};
pub use record::ClientInfo;
pub use request::{Create, Request, RequestHeader};
pub use response::{Part, Reply, Response, WatcherEvent, put_event, put_reply};
pub use word::{Word, four_letter_word};
pub use write::write_op;

use crate::Error;
use bytes::{BufMut, Bytes, BytesMut};

/// Default limit of a frame's length in bytes (`jute.maxbuffer`).
pub const FRAME_BYTES_MAX: usize = 0xf_ffff;

/// Numbers of the operations. Source: ZooKeeper 3.9, `ZooDefs.OpCode`.
#[allow(missing_docs)]
pub mod opcode {
    pub const NOTIFICATION: i32 = 0;
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const GET_CHILDREN: i32 = 8;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const RECONFIG: i32 = 16;
    pub const CHECK_WATCHES: i32 = 17;
    pub const REMOVE_WATCHES: i32 = 18;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
    pub const MULTI_READ: i32 = 22;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const SASL: i32 = 102;
    pub const GET_EPHEMERALS: i32 = 103;
    pub const GET_ALL_CHILDREN_NUMBER: i32 = 104;
    pub const SET_WATCHES2: i32 = 105;
    pub const ADD_WATCH: i32 = 106;
    pub const WHO_AM_I: i32 = 107;
    pub const CLOSE_SESSION: i32 = -11;
    /// The end of a multi, and a result in one that is an error.
    pub const ERROR: i32 = -1;
}

/// The xids that are not a client's count.
pub mod xid {
    /// A watch event.
    pub const NOTIFICATION: i32 = -1;
    /// A ping and its reply.
    pub const PING: i32 = -2;
    /// An auth packet and its reply.
    pub const AUTH: i32 = -4;
    /// A renewal of watches and its reply.
    pub const SET_WATCHES: i32 = -8;
}

/// `SyncConnected`: the state in every event that a server sends.
pub const STATE_CONNECTED: i32 = 3;

/// Splits the first whole frame off `buffer`, without its length; `None` if it has not arrived yet.
///
/// # Errors
/// A length that is negative or more than `max`.
pub fn frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>, Error> {
    let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*prefix);
    if length < 0 {
        return Err(Error::Negative { codec: "frame", length: length as i64, offset: 0 });
    }
    let length = length as usize;
    if length > max {
        return Err(Error::TooLong { codec: "frame", length: length as u64, limit: max as u64, offset: 0 });
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let mut frame = buffer.split_to(4 + length).freeze();
    Ok(Some(frame.split_off(4)))
}

/// Appends a frame whose content `body` appends.
pub fn put_frame(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}
