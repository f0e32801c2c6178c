//! The framing of records in the write-ahead log: what one record looks like, and how to tell a record from zeros,
//! from damage, and from a good record that belongs elsewhere. Which records there are, when they are synced and what
//! recovery does about damage is the storage's business.
//!
//! ```text
//! 0       4       8     9      12          20          28      36      44      48
//! crc32c  length  kind  zeros  generation  offset      index   term    zeros   body … zeros to a multiple of 8
//! ```
//! Little-endian. The checksum covers everything after itself up to the end of the body. `length` is the body's.
//! `generation` is a random number drawn for each segment file and `offset` the record's place in it: a record that a
//! disk brought to the wrong place, or that an earlier life of the file left behind, does not pass, and a client cannot
//! forge a record inside its data. Records start at multiples of 8, so that a search behind damage is quick.

use crate::Error;
use crate::compact::Reader;
use crate::proposal::{decode_proposal, put_proposal};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use synod_types::raft::{Entry, HardState, SnapshotMeta};
use synod_types::{Index, Mutant, Mutants, NodeId, Proposal, Term};

/// Length of a record's header in bytes.
pub const HEADER_BYTES: usize = 48;
/// Longest body in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Records start at multiples of this.
pub const ALIGNMENT: usize = 8;

const CODEC: &str = "log record";

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A log entry; the body is its proposal, empty for the entry that opens a term.
    Entry = 1,
    /// Term, vote and recovery flag.
    HardState = 2,
    /// Entries from `index` on are void.
    Truncate = 3,
    /// The log starts anew after a snapshot; the body is its [`SnapshotMeta`].
    Reset = 4,
    /// The first record of a segment.
    Segment = 5,
    /// The identity of records that stand elsewhere, written a second time.
    Mark = 6,
}

impl RecordKind {
    /// All of them.
    pub const ALL: &'static [RecordKind] = &[
        RecordKind::Entry,
        RecordKind::HardState,
        RecordKind::Truncate,
        RecordKind::Reset,
        RecordKind::Segment,
        RecordKind::Mark,
    ];

    fn from_tag(tag: u8) -> Option<RecordKind> {
        RecordKind::ALL.iter().copied().find(|kind| *kind as u8 == tag)
    }
}

/// One record. `index` and `term` mean what the kind says; unused they are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// What it says.
    pub kind: RecordKind,
    /// A position in the replicated log.
    pub index: Index,
    /// An era.
    pub term: Term,
    /// The rest.
    pub body: Bytes,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment's random number.
    pub generation: u64,
    /// Offset in the segment's file, a multiple of [`ALIGNMENT`].
    pub offset: u64,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A record; the next one starts at offset `next`.
    Record {
        /// The record.
        record: LogRecord,
        /// Offset in the file of the record after it.
        next: u64,
    },
    /// Zeros, or the end of the bytes: nothing was written here.
    End,
    /// Something else.
    Damaged {
        /// What is wrong.
        why: Damage,
        /// Offset in the file of the bad record.
        at: u64,
    },
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes end within the record: a torn write, or the caller has read too little of the file.
    #[error("record needs {wanted} bytes, {left} left")]
    Cut {
        /// Bytes of the record.
        wanted: u64,
        /// Bytes there are.
        left: u64,
    },
    /// The header says that it belongs to another file or place.
    #[error("record belongs to generation {generation:016x} offset {offset}")]
    Misplaced {
        /// The generation found.
        generation: u64,
        /// The offset found.
        offset: u64,
    },
    /// The body is longer than a record can be.
    #[error("record length {length} exceeds {limit}")]
    TooLong {
        /// The length found.
        length: u64,
        /// [`BODY_BYTES_MAX`].
        limit: u64,
    },
    /// The checksum does not match.
    #[error("record checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The checksum of the bytes.
        found: u32,
        /// The checksum in the header.
        expected: u32,
    },
    /// A good checksum over a kind that does not exist: a newer version wrote it.
    #[error("record kind {kind} is unknown")]
    Kind {
        /// The kind found.
        kind: u8,
    },
}

/// Appends a record that will stand at `place` and whose body `body` appends. Returns its length in the file, padding
/// included.
pub fn put_with(
    out: &mut BytesMut,
    place: Place,
    kind: RecordKind,
    index: Index,
    term: Term,
    body: impl FnOnce(&mut BytesMut),
) -> usize {
    let start = out.len();
    let mut header = [0; HEADER_BYTES];
    header[8] = kind as u8;
    header[12..20].copy_from_slice(&place.generation.to_le_bytes());
    header[20..28].copy_from_slice(&place.offset.to_le_bytes());
    header[28..36].copy_from_slice(&index.0.to_le_bytes());
    header[36..44].copy_from_slice(&term.0.to_le_bytes());
    out.put_slice(&header);
    body(out);
    let length = (out.len() - start - HEADER_BYTES) as u32;
    out[start + 4..start + 8].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    let padding = (out.len() - start).next_multiple_of(ALIGNMENT) - (out.len() - start);
    out.put_bytes(0, padding);
    out.len() - start
}

/// Appends a record that will stand at `place`. Returns its length in the file, padding included.
pub fn put_record(out: &mut BytesMut, place: Place, record: &LogRecord) -> usize {
    put_with(out, place, record.kind, record.index, record.term, |out| out.put_slice(&record.body))
}

/// Appends the record of a log entry.
pub fn put_entry(out: &mut BytesMut, place: Place, entry: &Entry<Arc<Proposal>>) -> usize {
    put_with(out, place, RecordKind::Entry, entry.index, entry.term, |out| {
        if let Some(proposal) = &entry.payload {
            put_proposal(out, proposal);
        }
    })
}

/// Appends the record of a hard state.
pub fn put_hard_state(out: &mut BytesMut, place: Place, state: &HardState) -> usize {
    put_with(out, place, RecordKind::HardState, Index(0), state.term, |out| {
        out.put_u8(state.vote.map_or(0, |vote| vote.0));
        out.put_u8(state.recovering as u8);
    })
}

/// Appends the record of a log that starts anew after a snapshot.
pub fn put_reset(out: &mut BytesMut, place: Place, meta: &SnapshotMeta) -> usize {
    put_with(out, place, RecordKind::Reset, meta.index, meta.term, |out| {
        out.put_u64_le(meta.size_bytes);
        out.put_u32_le(meta.checksum);
    })
}

/// The entry in a record of kind [`RecordKind::Entry`].
///
/// # Errors
/// Another kind, or a body that is no proposal.
pub fn entry(record: &LogRecord) -> Result<Entry<Arc<Proposal>>, Error> {
    expect(record, RecordKind::Entry)?;
    let payload = if record.body.is_empty() { None } else { Some(Arc::new(decode_proposal(&record.body)?)) };
    Ok(Entry { term: record.term, index: record.index, payload })
}

/// The hard state in a record of kind [`RecordKind::HardState`].
///
/// # Errors
/// Another kind, or a body that is no hard state.
pub fn hard_state(record: &LogRecord) -> Result<HardState, Error> {
    expect(record, RecordKind::HardState)?;
    let mut reader = Reader::new(CODEC, &record.body);
    let vote = reader.u8()?;
    let recovering = reader.bool()?;
    reader.finish()?;
    Ok(HardState { term: record.term, vote: (vote != 0).then_some(NodeId(vote)), recovering })
}

/// The snapshot in a record of kind [`RecordKind::Reset`].
///
/// # Errors
/// Another kind, or a body that describes no snapshot.
pub fn reset(record: &LogRecord) -> Result<SnapshotMeta, Error> {
    expect(record, RecordKind::Reset)?;
    let mut reader = Reader::new(CODEC, &record.body);
    let size_bytes = reader.u64()?;
    let checksum = reader.u32()?;
    reader.finish()?;
    Ok(SnapshotMeta { index: record.index, term: record.term, size_bytes, checksum })
}

fn expect(record: &LogRecord, kind: RecordKind) -> Result<(), Error> {
    if record.kind == kind {
        return Ok(());
    }
    Err(Error::Unknown { codec: CODEC, what: "kind", value: record.kind as i64, offset: 8 })
}

/// What stands at `place`. `bytes` are a part of the segment's file that begins at offset `base` and reaches at least
/// to the end of the record; `place.offset` is not before `base`. The body is a slice of `bytes`.
pub fn next_record(bytes: &Bytes, base: u64, place: Place, mutants: Mutants) -> Next {
    let damaged = |why| Next::Damaged { why, at: place.offset };
    let start = place.offset.saturating_sub(base).min(bytes.len() as u64) as usize;
    let rest = &bytes[start..];
    let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
        let cut = Damage::Cut { wanted: HEADER_BYTES as u64, left: rest.len() as u64 };
        return if rest.iter().all(|byte| *byte == 0) { Next::End } else { damaged(cut) };
    };
    if header.iter().all(|byte| *byte == 0) {
        return Next::End;
    }
    let (generation, offset) = (u64_at(header, 12), u64_at(header, 20));
    if (generation, offset) != (place.generation, place.offset) {
        return damaged(Damage::Misplaced { generation, offset });
    }
    let length = u32_at(header, 4) as usize;
    if length > BODY_BYTES_MAX {
        return damaged(Damage::TooLong { length: length as u64, limit: BODY_BYTES_MAX as u64 });
    }
    let end = HEADER_BYTES + length;
    if rest.len() < end {
        return damaged(Damage::Cut { wanted: end as u64, left: rest.len() as u64 });
    }
    let (expected, found) = (u32_at(header, 0), crc32c::crc32c(&rest[4..end]));
    if expected != found && !mutants.on(Mutant::StoreNoRecordCrc) {
        return damaged(Damage::Checksum { found, expected });
    }
    let Some(kind) = RecordKind::from_tag(header[8]) else {
        return damaged(Damage::Kind { kind: header[8] });
    };
    let body = bytes.slice(start + HEADER_BYTES..start + end);
    let record = LogRecord { kind, index: Index(u64_at(header, 28)), term: Term(u64_at(header, 36)), body };
    Next::Record { record, next: place.offset + end.next_multiple_of(ALIGNMENT) as u64 }
}

/// The offset of the first good record at or after `from`: whether damage has something behind it. `bytes` and `base`
/// as for [`next_record`].
pub fn find_record(bytes: &Bytes, base: u64, from: Place, mutants: Mutants) -> Option<u64> {
    let mut offset = from.offset.max(base).next_multiple_of(ALIGNMENT as u64);
    while offset - base + HEADER_BYTES as u64 <= bytes.len() as u64 {
        let place = Place { offset, ..from };
        if let Next::Record { .. } = next_record(bytes, base, place, mutants) {
            return Some(offset);
        }
        offset += ALIGNMENT as u64;
    }
    None
}

fn u32_at(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

fn u64_at(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    (u32_at(header, at) as u64) | (u32_at(header, at + 4) as u64) << 32
}
