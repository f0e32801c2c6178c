//! The handshake.

use super::put_frame;
use crate::Error;
use crate::jute::{Reader, put_bool, put_buffer};
use bytes::{BufMut, Bytes, BytesMut};

/// The first frame of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// 0.
    pub protocol_version: i32,
    /// The latest transaction the client has seen.
    pub last_zxid_seen: i64,
    /// Session timeout it asks for, in milliseconds.
    pub timeout_ms: i32,
    /// The session it resumes; 0 for a new one.
    pub session: i64,
    /// That session's secret.
    pub password: Option<Bytes>,
    /// Whether it takes a read-only server. `None` from clients older than 3.4, which do not send it.
    pub read_only: Option<bool>,
}

/// The first frame of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// 0.
    pub protocol_version: i32,
    /// The timeout granted, in milliseconds; 0 if the session is refused.
    pub timeout_ms: i32,
    /// The session; 0 if it is refused.
    pub session: i64,
    /// Its secret.
    pub password: Option<Bytes>,
    /// Whether the server is read-only. `None` (not written) when the request had none.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Decodes a frame.
    ///
    /// # Errors
    /// Bytes that are no handshake.
    pub fn decode(frame: &Bytes) -> Result<ConnectRequest, Error> {
        let mut reader = Reader::new(frame);
        Ok(ConnectRequest {
            protocol_version: reader.int()?,
            last_zxid_seen: reader.long()?,
            timeout_ms: reader.int()?,
            session: reader.long()?,
            password: reader.buffer()?,
            read_only: read_only(&mut reader)?,
        })
    }

    /// Appends the frame, length included.
    pub fn put(&self, out: &mut BytesMut) {
        put_frame(out, |out| {
            out.put_i32(self.protocol_version);
            out.put_i64(self.last_zxid_seen);
            out.put_i32(self.timeout_ms);
            out.put_i64(self.session);
            put_buffer(out, self.password.as_deref());
            put_read_only(out, self.read_only);
        });
    }
}

impl ConnectResponse {
    /// Decodes a frame.
    ///
    /// # Errors
    /// Bytes that are no handshake.
    pub fn decode(frame: &Bytes) -> Result<ConnectResponse, Error> {
        let mut reader = Reader::new(frame);
        Ok(ConnectResponse {
            protocol_version: reader.int()?,
            timeout_ms: reader.int()?,
            session: reader.long()?,
            password: reader.buffer()?,
            read_only: read_only(&mut reader)?,
        })
    }

    /// Appends the frame, length included.
    pub fn put(&self, out: &mut BytesMut) {
        put_frame(out, |out| {
            out.put_i32(self.protocol_version);
            out.put_i32(self.timeout_ms);
            out.put_i64(self.session);
            put_buffer(out, self.password.as_deref());
            put_read_only(out, self.read_only);
        });
    }
}

fn read_only(reader: &mut Reader<'_>) -> Result<Option<bool>, Error> {
    if reader.left() == 0 { Ok(None) } else { Ok(Some(reader.bool()?)) }
}

fn put_read_only(out: &mut BytesMut, read_only: Option<bool>) {
    if let Some(read_only) = read_only {
        put_bool(out, read_only);
    }
}
