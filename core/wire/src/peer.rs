//! Frames between members.
//!
//! ```text
//! 0      2        3     4       8               12            16
//! magic  version  kind  length  header's crc32c body's crc32c body
//! ```
//! Little-endian. The header has a checksum of its own over its first 8 bytes: who believes a damaged length waits for
//! bytes that never come. The other goes on over the body. A frame that does not pass is an error that closes the
//! link, and the link's end is what consensus is told. `version` is that of the framing and the bodies;
//! which versions of the peer protocol go together is decided on the greetings.

use crate::Error;
use crate::compact::{Reader, put_bool, put_data, put_varint};
use crate::proposal::{ENTRY_BYTES_MIN, FORWARD_BYTES_MIN, command, entry, origin, put_command, put_entry, put_origin};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use synod_types::peer::{Greeting, PeerMessage, Promise};
use synod_types::raft::{Body, Message, SnapshotMeta};
use synod_types::{Index, NodeId, Proposal, SessionId, Term};

/// Version of frames.
pub const VERSION: u8 = 1;
/// Length of a frame's header in bytes.
pub const HEADER_BYTES: usize = 16;
/// Longest body in bytes. Senders keep batches and chunks far below.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const MAGIC: [u8; 2] = *b"Sy";
const GREETING: u8 = 1;
const MESSAGE: u8 = 2;
const CODEC: &str = "peer frame";

/// What came over a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Only as the first frame.
    Greeting(Greeting),
    /// Every other frame.
    Message(PeerMessage),
}

/// Appends the frame of a greeting.
pub fn put_greeting(out: &mut BytesMut, greeting: &Greeting) {
    put_frame(out, GREETING, |out| {
        out.put_u32_le(greeting.version);
        out.put_u64_le(greeting.cluster);
        out.put_u8(greeting.from.0);
        out.put_u8(greeting.to.0);
        out.put_u64_le(greeting.incarnation);
        out.put_u32_le(greeting.cluster_version);
        put_bool(out, greeting.promise.is_some());
        if let Some(promise) = &greeting.promise {
            out.put_u64_le(promise.term.0);
            out.put_u64_le(promise.index.0);
            put_bool(out, promise.voted);
        }
    });
}

/// Appends the frame of a message.
pub fn put_message(out: &mut BytesMut, message: &PeerMessage) {
    put_frame(out, MESSAGE, |out| put_body(out, message));
}

/// Splits the first whole frame off `buffer` and decodes it; `None` if it has not all arrived yet. Data buffers in the
/// message are slices of it.
///
/// # Errors
/// Bytes that are no frame, or a body longer than `max`. The stream is lost: close the link.
pub fn next_frame(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, Error> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let &[magic_0, magic_1, version, kind, l0, l1, l2, l3, h0, h1, h2, h3, b0, b1, b2, b3] = header;
    let unknown = |what, value: i64, offset| Error::Unknown { codec: CODEC, what, value, offset };
    if [magic_0, magic_1] != MAGIC {
        return Err(unknown("magic", u16::from_le_bytes([magic_0, magic_1]) as i64, 0));
    }
    if version != VERSION {
        return Err(unknown("version", version as i64, 2));
    }
    if kind != GREETING && kind != MESSAGE {
        return Err(unknown("kind", kind as i64, 3));
    }
    let (expected, found) = (u32::from_le_bytes([h0, h1, h2, h3]), crc32c::crc32c(&header[..8]));
    if expected != found {
        return Err(Error::Checksum { codec: CODEC, found, expected, offset: 8 });
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if length > max {
        return Err(Error::TooLong { codec: CODEC, length: length as u64, limit: max as u64, offset: 4 });
    }
    if buffer.len() < HEADER_BYTES + length {
        return Ok(None);
    }
    let expected = u32::from_le_bytes([b0, b1, b2, b3]);
    let found = crc32c::crc32c_append(found, &buffer[HEADER_BYTES..HEADER_BYTES + length]);
    if expected != found {
        return Err(Error::Checksum { codec: CODEC, found, expected, offset: 12 });
    }
    let body = buffer.split_to(HEADER_BYTES + length).freeze().split_off(HEADER_BYTES);
    Ok(Some(match kind {
        GREETING => Frame::Greeting(decode_greeting(&body)?),
        _ => Frame::Message(decode_message(&body)?),
    }))
}

fn put_frame(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_slice(&[MAGIC[0], MAGIC[1], VERSION, kind]);
    out.put_bytes(0, HEADER_BYTES - 4);
    body(out);
    let length = (out.len() - start - HEADER_BYTES) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    let header = crc32c::crc32c(&out[start..start + 8]);
    let body = crc32c::crc32c_append(header, &out[start + HEADER_BYTES..]);
    out[start + 8..start + 12].copy_from_slice(&header.to_le_bytes());
    out[start + 12..start + 16].copy_from_slice(&body.to_le_bytes());
}

fn decode_greeting(body: &Bytes) -> Result<Greeting, Error> {
    let mut reader = Reader::new(CODEC, body);
    let greeting = Greeting {
        version: reader.u32()?,
        cluster: reader.u64()?,
        from: NodeId(reader.u8()?),
        to: NodeId(reader.u8()?),
        incarnation: reader.u64()?,
        cluster_version: reader.u32()?,
        promise: match reader.bool()? {
            false => None,
            true => Some(Promise { term: Term(reader.u64()?), index: Index(reader.u64()?), voted: reader.bool()? }),
        },
    };
    reader.finish()?;
    Ok(greeting)
}

fn put_body(out: &mut BytesMut, message: &PeerMessage) {
    match message {
        PeerMessage::Raft(message) => {
            out.put_u8(1);
            put_raft(out, message);
        }
        PeerMessage::Forward { term, refusals, proposals } => {
            out.put_u8(2);
            out.put_u64_le(term.0);
            put_varint(out, *refusals);
            put_varint(out, proposals.len() as u64);
            for (origin, command) in proposals {
                put_origin(out, origin);
                put_command(out, command);
            }
        }
        PeerMessage::ForwardRefused { term, refusals, requests } => {
            out.put_u8(3);
            out.put_u64_le(term.0);
            put_varint(out, *refusals);
            put_varint(out, requests.len() as u64);
            for request in requests {
                out.put_u64_le(*request);
            }
        }
        PeerMessage::Touch { sequence, sessions } => {
            out.put_u8(4);
            out.put_u64_le(*sequence);
            put_sessions(out, sessions);
        }
        PeerMessage::TouchReply { sequence, commit, ending } => {
            out.put_u8(5);
            out.put_u64_le(*sequence);
            out.put_u64_le(commit.0);
            put_sessions(out, ending);
        }
        PeerMessage::Digest { index, digest } => {
            out.put_u8(6);
            out.put_u64_le(*index);
            out.put_u128_le(*digest);
        }
    }
}

fn put_sessions(out: &mut BytesMut, sessions: &[SessionId]) {
    put_varint(out, sessions.len() as u64);
    for session in sessions {
        out.put_i64_le(session.0);
    }
}

/// Decodes the body of a message's frame.
pub(crate) fn decode_message(body: &Bytes) -> Result<PeerMessage, Error> {
    let mut reader = Reader::new(CODEC, body);
    let message = match reader.u8()? {
        1 => PeerMessage::Raft(raft(&mut reader)?),
        2 => {
            let (term, refusals) = (Term(reader.u64()?), reader.varint()?);
            let proposals = list(&mut reader, FORWARD_BYTES_MIN, |reader| Ok((origin(reader)?, command(reader)?)))?;
            PeerMessage::Forward { term, refusals, proposals }
        }
        3 => PeerMessage::ForwardRefused {
            term: Term(reader.u64()?),
            refusals: reader.varint()?,
            requests: list(&mut reader, 8, Reader::u64)?,
        },
        4 => PeerMessage::Touch {
            sequence: reader.u64()?,
            sessions: list(&mut reader, 8, |reader| Ok(SessionId(reader.i64()?)))?,
        },
        5 => PeerMessage::TouchReply {
            sequence: reader.u64()?,
            commit: Index(reader.u64()?),
            ending: list(&mut reader, 8, |reader| Ok(SessionId(reader.i64()?)))?,
        },
        6 => PeerMessage::Digest { index: reader.u64()?, digest: reader.u128()? },
        tag => return Err(reader.unknown("message", tag as i64)),
    };
    reader.finish()?;
    Ok(message)
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    each: usize,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let count = reader.count(each)?;
    let mut list = Vec::with_capacity(count);
    for _ in 0..count {
        list.push(item(reader)?);
    }
    Ok(list)
}

fn put_raft(out: &mut BytesMut, message: &Message<Arc<Proposal>>) {
    out.put_u64_le(message.term.0);
    match &message.body {
        Body::PreVote { last_index, last_term } => {
            out.put_u8(1);
            out.put_u64_le(last_index.0);
            out.put_u64_le(last_term.0);
        }
        Body::PreVoteReply { granted } => {
            out.put_u8(2);
            put_bool(out, *granted);
        }
        Body::Vote { last_index, last_term, transfer } => {
            out.put_u8(3);
            out.put_u64_le(last_index.0);
            out.put_u64_le(last_term.0);
            put_bool(out, *transfer);
        }
        Body::VoteReply { granted } => {
            out.put_u8(4);
            put_bool(out, *granted);
        }
        Body::Append { prev_index, prev_term, entries, commit, round } => {
            out.put_u8(5);
            out.put_u64_le(prev_index.0);
            out.put_u64_le(prev_term.0);
            out.put_u64_le(commit.0);
            out.put_u64_le(*round);
            put_varint(out, entries.len() as u64);
            for entry in entries {
                put_entry(out, entry);
            }
        }
        Body::AppendReply { matched, round, recovering } => {
            out.put_u8(6);
            out.put_u64_le(matched.0);
            out.put_u64_le(*round);
            put_bool(out, *recovering);
        }
        Body::AppendRejected { prev_index, conflict_index, conflict_term, round } => {
            out.put_u8(7);
            out.put_u64_le(prev_index.0);
            out.put_u64_le(conflict_index.0);
            out.put_u64_le(conflict_term.0);
            out.put_u64_le(*round);
        }
        Body::Snapshot { meta, offset, data, done } => {
            out.put_u8(8);
            put_meta(out, meta);
            out.put_u64_le(*offset);
            put_data(out, data);
            put_bool(out, *done);
        }
        Body::SnapshotReply { meta, received, installed } => {
            out.put_u8(9);
            put_meta(out, meta);
            out.put_u64_le(*received);
            put_bool(out, *installed);
        }
        Body::TimeoutNow => out.put_u8(10),
        Body::ReadIndex { context } => {
            out.put_u8(11);
            out.put_u64_le(*context);
        }
        Body::ReadIndexReply { context, index } => {
            out.put_u8(12);
            out.put_u64_le(*context);
            out.put_u64_le(index.0);
        }
        Body::Probe { nonce } => {
            out.put_u8(13);
            out.put_u64_le(*nonce);
        }
        Body::ProbeReply { nonce, knows, barrier } => {
            out.put_u8(14);
            out.put_u64_le(*nonce);
            put_bool(out, *knows);
            out.put_u64_le(barrier.unwrap_or_default().0);
        }
    }
}

fn raft(reader: &mut Reader<'_>) -> Result<Message<Arc<Proposal>>, Error> {
    let term = Term(reader.u64()?);
    let body = match reader.u8()? {
        1 => Body::PreVote { last_index: Index(reader.u64()?), last_term: Term(reader.u64()?) },
        2 => Body::PreVoteReply { granted: reader.bool()? },
        3 => Body::Vote { last_index: Index(reader.u64()?), last_term: Term(reader.u64()?), transfer: reader.bool()? },
        4 => Body::VoteReply { granted: reader.bool()? },
        5 => {
            let (prev_index, prev_term) = (Index(reader.u64()?), Term(reader.u64()?));
            let (commit, round) = (Index(reader.u64()?), reader.u64()?);
            Body::Append { prev_index, prev_term, entries: list(reader, ENTRY_BYTES_MIN, entry)?, commit, round }
        }
        6 => Body::AppendReply { matched: Index(reader.u64()?), round: reader.u64()?, recovering: reader.bool()? },
        7 => Body::AppendRejected {
            prev_index: Index(reader.u64()?),
            conflict_index: Index(reader.u64()?),
            conflict_term: Term(reader.u64()?),
            round: reader.u64()?,
        },
        8 => Body::Snapshot { meta: meta(reader)?, offset: reader.u64()?, data: reader.data()?, done: reader.bool()? },
        9 => Body::SnapshotReply { meta: meta(reader)?, received: reader.u64()?, installed: reader.bool()? },
        10 => Body::TimeoutNow,
        11 => Body::ReadIndex { context: reader.u64()? },
        12 => Body::ReadIndexReply { context: reader.u64()?, index: Index(reader.u64()?) },
        13 => Body::Probe { nonce: reader.u64()? },
        14 => Body::ProbeReply {
            nonce: reader.u64()?,
            knows: reader.bool()?,
            // No entry has index 0.
            barrier: Some(Index(reader.u64()?)).filter(|barrier| *barrier != Index(0)),
        },
        tag => return Err(reader.unknown("raft message", tag as i64)),
    };
    Ok(Message { term, body })
}

fn put_meta(out: &mut BytesMut, meta: &SnapshotMeta) {
    out.put_u64_le(meta.index.0);
    out.put_u64_le(meta.term.0);
    out.put_u64_le(meta.size_bytes);
    out.put_u32_le(meta.checksum);
}

fn meta(reader: &mut Reader<'_>) -> Result<SnapshotMeta, Error> {
    Ok(SnapshotMeta {
        index: Index(reader.u64()?),
        term: Term(reader.u64()?),
        size_bytes: reader.u64()?,
        checksum: reader.u32()?,
    })
}
