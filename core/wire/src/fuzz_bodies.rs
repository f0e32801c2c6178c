//! What the fuzz targets do with their input, one function a decoder: it must not panic, and what it accepts must
//! encode to bytes that mean the same. The crate's tests run them on stable, `fuzz/` with coverage.

use crate::log::{LogRecord, Next, Place, RecordKind, find_record, next_record, put_entry, put_record};
use crate::peer::{BODY_BYTES_MAX, Frame, decode_message, next_frame, put_greeting, put_message};
use crate::proposal::{decode_entry, decode_proposal, put_proposal};
use crate::record::{SnapshotDecoder, SnapshotEncoder};
use crate::zookeeper::{
    ConnectRequest, ConnectResponse, FRAME_BYTES_MAX, Reply, Request, RequestHeader, Response, four_letter_word, frame,
    put_reply, write_op,
};
use crate::{log, proposal};
use bytes::{Bytes, BytesMut};
use synod_types::{Index, Mutants, Term};

/// What a target does with its input.
pub type Body = fn(&[u8]);

/// All of them, by name.
pub const ALL: &[(&str, Body)] = &[
    ("handshake", handshake),
    ("request", request),
    ("response", response),
    ("stream", stream),
    ("proposals", proposals),
    ("peer_frames", peer_frames),
    ("peer_messages", peer_messages),
    ("log_records", log_records),
    ("log_bodies", log_bodies),
    ("snapshot", snapshot),
    ("snapshot_record", snapshot_record),
];

fn written(put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    put(&mut out);
    out.freeze()
}

/// Splits the operation's number, which selects the decoder, off the front.
fn opcode(data: &[u8]) -> Option<(i32, Bytes)> {
    let (first, rest) = data.split_first()?;
    Some((*first as i8 as i32, Bytes::copy_from_slice(rest)))
}

/// The first frames of a connection.
pub fn handshake(data: &[u8]) {
    if let Some(first) = data.first_chunk::<4>() {
        four_letter_word(*first);
    }
    let data = Bytes::copy_from_slice(data);
    if let Ok(request) = ConnectRequest::decode(&data) {
        let again = written(|out| request.put(out)).split_off(4);
        assert_eq!(ConnectRequest::decode(&again), Ok(request));
    }
    if let Ok(response) = ConnectResponse::decode(&data) {
        let again = written(|out| response.put(out)).split_off(4);
        assert_eq!(ConnectResponse::decode(&again), Ok(response));
    }
}

/// The body of a request; the first byte is its operation.
pub fn request(data: &[u8]) {
    let Some((opcode, body)) = opcode(data) else { return };
    if let Ok(request) = Request::decode(opcode, &body) {
        let again = written(|out| request.encode(out));
        assert_eq!(Request::decode(opcode, &again).as_ref(), Ok(&request));
        write_op(request, true);
    }
}

/// The body of a reply; the first byte is its operation.
pub fn response(data: &[u8]) {
    let Some((opcode, body)) = opcode(data) else { return };
    if let Ok(response) = Response::decode(opcode, &body) {
        let again = written(|out| response.encode(out));
        assert_eq!(Response::decode(opcode, &again), Ok(response));
    }
}

/// A stream of frames, seen by a server and by a client.
pub fn stream(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = frame(&mut buffer, FRAME_BYTES_MAX) {
        if let Ok((header, body)) = RequestHeader::decode(&frame) {
            let _ = Request::decode(header.opcode, &body);
        }
        if let Ok(reply) = Reply::decode(&frame, |xid| Some(xid & 0x7f)) {
            let again =
                written(|out| put_reply(out, reply.xid, reply.zxid, reply.result.as_ref().map_err(|code| *code)));
            assert_eq!(Reply::decode(&again.slice(4..), |xid| Some(xid & 0x7f)), Ok(reply));
        }
    }
}

/// Proposals and entries.
pub fn proposals(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    if let Ok(proposal) = decode_proposal(&data) {
        let again = written(|out| put_proposal(out, &proposal));
        assert_eq!(decode_proposal(&again), Ok(proposal));
    }
    if let Ok(entry) = decode_entry(&data) {
        let again = written(|out| proposal::put_entry(out, &entry));
        assert_eq!(decode_entry(&again), Ok(entry));
    }
}

/// A stream of frames from a peer.
pub fn peer_frames(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = next_frame(&mut buffer, BODY_BYTES_MAX) {
        let mut again = BytesMut::new();
        match &frame {
            Frame::Greeting(greeting) => put_greeting(&mut again, greeting),
            Frame::Message(message) => put_message(&mut again, message),
        }
        assert_eq!(next_frame(&mut again, BODY_BYTES_MAX), Ok(Some(frame)));
    }
}

/// The body of a peer's message, behind the checksum.
pub fn peer_messages(data: &[u8]) {
    if let Ok(message) = decode_message(&Bytes::copy_from_slice(data)) {
        let mut again = BytesMut::new();
        put_message(&mut again, &message);
        assert_eq!(next_frame(&mut again, BODY_BYTES_MAX), Ok(Some(Frame::Message(message))));
    }
}

/// A piece of a log segment.
pub fn log_records(data: &[u8]) {
    let data = Bytes::copy_from_slice(data);
    let mut place = Place { generation: 0, offset: 0 };
    while let Next::Record { record, next } = next_record(&data, 0, place, Mutants::NONE) {
        assert!(next > place.offset);
        let again = written(|out| {
            put_record(out, place, &record);
        });
        assert_eq!(next_record(&again, place.offset, place, Mutants::NONE), Next::Record { record, next });
        place.offset = next;
    }
    find_record(&data, 0, place, Mutants::NONE);
}

/// The bodies of log records, behind the checksum.
pub fn log_bodies(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    for kind in [RecordKind::Entry, RecordKind::HardState, RecordKind::Reset] {
        let record = LogRecord { kind, index: Index(1), term: Term(1), body: body.clone() };
        if let Ok(entry) = log::entry(&record) {
            let place = Place { generation: 1, offset: 0 };
            let again = written(|out| {
                put_entry(out, place, &entry);
            });
            let Next::Record { record, .. } = next_record(&again, 0, place, Mutants::NONE) else {
                panic!("an entry of {} bytes does not decode", again.len())
            };
            assert_eq!(log::entry(&record), Ok(entry));
        }
        let _ = log::hard_state(&record);
        let _ = log::reset(&record);
    }
}

/// A whole snapshot, fed in two pieces; the first byte says where it is cut.
pub fn snapshot(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let (head, tail) = bytes.split_at((*cut as usize).min(bytes.len()));
    let mut decoder = SnapshotDecoder::new();
    for piece in [head, tail] {
        decoder.feed(piece);
        while let Ok(Some(_)) = decoder.next_record() {}
    }
    let _ = decoder.finish();
}

/// One record of a snapshot, behind a good header.
pub fn snapshot_record(data: &[u8]) {
    let mut bytes = BytesMut::new();
    SnapshotEncoder::new(&mut bytes);
    bytes.extend_from_slice(&(data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(data);
    let mut decoder = SnapshotDecoder::new();
    decoder.feed(&bytes);
    if let Ok(Some(record)) = decoder.next_record() {
        let again = written(|out| SnapshotEncoder::new(out).push(&record, out));
        let mut decoder = SnapshotDecoder::new();
        decoder.feed(&again);
        assert_eq!(decoder.next_record(), Ok(Some(record)));
    }
}
