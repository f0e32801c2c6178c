//! The records of a snapshot as a stream of bytes, written and read chunk by chunk.
//!
//! ```text
//! "synodsnp"  version          the file's header, 8 + 4 bytes
//! length      record           for each record; the length counts the record, 4 bytes
//! 13          0 count mask     the trailer: tag 0, the number of records, the masked checksum
//! ```
//! Little-endian. The checksum is the crc32c of every byte before it. It is stored masked (rotated and shifted), because
//! the crc of bytes that end with their own crc is the same for all of them, and a snapshot's identity is the crc of
//! the whole. What the records mean together (their order, their counts, the digest) is checked by the state.

use crate::Error;
use crate::compact::{Reader, put_optional_data, put_string, put_varint};
use crate::proposal::{ACL_BYTES_MIN, acl, owner, put_acl, put_owner};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use synod_types::record::{Header, Lifetime, Record, SessionRecord, ZnodeRecord};
use synod_types::{Index, SessionId, Term, Zxid};

/// Version of the encoding.
pub const VERSION: u32 = 1;
/// Longest record in bytes.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

const MAGIC: &[u8; 8] = b"synodsnp";
const HEADER_BYTES: usize = 12;
const TRAILER_BYTES: usize = 13;
const CODEC: &str = "snapshot";

/// Length and checksum of a whole encoded snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Length in bytes.
    pub size_bytes: u64,
    /// crc32c of all bytes.
    pub checksum: u32,
}

/// Writes a snapshot.
#[derive(Debug)]
pub struct SnapshotEncoder {
    count: u64,
    sum: Sum,
}

impl SnapshotEncoder {
    /// Starts a snapshot: appends the file's header.
    pub fn new(out: &mut BytesMut) -> SnapshotEncoder {
        let mut encoder = SnapshotEncoder { count: 0, sum: Sum { size_bytes: 0, checksum: 0 } };
        let start = out.len();
        out.put_slice(MAGIC);
        out.put_u32_le(VERSION);
        encoder.add(&out[start..]);
        encoder
    }

    /// Appends a record. The caller may take the bytes out of `out` between any two calls.
    pub fn push(&mut self, record: &Record, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32_le(0);
        put_record(out, record);
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
        self.add(&out[start..]);
    }

    /// Appends the trailer.
    pub fn finish(mut self, out: &mut BytesMut) -> Sum {
        let start = out.len();
        out.put_u32_le(TRAILER_BYTES as u32);
        out.put_u8(0);
        out.put_u64_le(self.count);
        self.add(&out[start..]);
        let mask = masked(self.sum.checksum).to_le_bytes();
        out.put_slice(&mask);
        self.add(&mask);
        self.sum
    }

    fn add(&mut self, bytes: &[u8]) {
        self.sum.size_bytes += bytes.len() as u64;
        self.sum.checksum = crc32c::crc32c_append(self.sum.checksum, bytes);
    }
}

/// The addition is what keeps this from being linear, like the crc itself.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_left(15).wrapping_add(0x5f37_59df)
}

/// Reads a snapshot. What it yields is to be trusted only once [`SnapshotDecoder::finish`] has agreed.
#[derive(Debug, Default)]
pub struct SnapshotDecoder {
    buffer: BytesMut,
    sum: u32,
    offset: u64,
    count: u64,
    started: bool,
    done: bool,
}

impl SnapshotDecoder {
    /// Before the first byte.
    pub fn new() -> SnapshotDecoder {
        SnapshotDecoder::default()
    }

    /// Takes the next bytes, however they are cut.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next record; `None` when more bytes are needed or the trailer was read. Data buffers are slices of what was
    /// fed.
    ///
    /// # Errors
    /// Bytes that are no snapshot. Nothing sensible follows.
    pub fn next_record(&mut self) -> Result<Option<Record>, Error> {
        if !self.started {
            let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
            let [magic @ .., v0, v1, v2, v3] = header;
            if magic != MAGIC {
                return Err(self.unknown("magic", u64::from_le_bytes(*magic) as i64));
            }
            let version = u32::from_le_bytes([*v0, *v1, *v2, *v3]);
            if version != VERSION {
                return Err(self.unknown("version", version as i64));
            }
            self.take(HEADER_BYTES);
            self.started = true;
        }
        if self.done {
            return match self.buffer.len() as u64 {
                0 => Ok(None),
                left => Err(Error::LeftOver { codec: CODEC, left, offset: self.offset }),
            };
        }
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > RECORD_BYTES_MAX {
            let (length, limit) = (length as u64, RECORD_BYTES_MAX as u64);
            return Err(Error::TooLong { codec: CODEC, length, limit, offset: self.offset });
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        if length == TRAILER_BYTES && self.buffer[4] == 0 {
            self.trailer()?;
            return self.next_record();
        }
        let body = self.take(4 + length).split_off(4);
        self.count += 1;
        decode_record(&body).map(Some)
    }

    /// Whether the trailer was read and agreed with everything before it.
    ///
    /// # Errors
    /// The snapshot is not whole.
    pub fn finish(self) -> Result<(), Error> {
        if self.done && self.buffer.is_empty() {
            return Ok(());
        }
        let left = self.buffer.len() as u64;
        Err(Error::Short { codec: CODEC, wanted: left + 1, left, offset: self.offset })
    }

    fn take(&mut self, length: usize) -> Bytes {
        let taken = self.buffer.split_to(length).freeze();
        self.sum = crc32c::crc32c_append(self.sum, &taken);
        self.offset += length as u64;
        taken
    }

    fn trailer(&mut self) -> Result<(), Error> {
        let mut fields = self.take(4 + 1 + 8);
        fields.advance(5);
        let count = fields.get_u64_le();
        let found = masked(self.sum);
        let expected = self.take(4).get_u32_le();
        let offset = self.offset - 4;
        if count != self.count {
            let codec = "snapshot trailer";
            return Err(Error::Unknown { codec, what: "count of records", value: count as i64, offset });
        }
        if found != expected {
            return Err(Error::Checksum { codec: CODEC, found, expected, offset });
        }
        self.done = true;
        Ok(())
    }

    fn unknown(&self, what: &'static str, value: i64) -> Error {
        Error::Unknown { codec: CODEC, what, value, offset: self.offset }
    }
}

fn put_record(out: &mut BytesMut, record: &Record) {
    match record {
        Record::Header(header) => {
            out.put_u8(1);
            out.put_u32_le(header.version);
            out.put_u64_le(header.index.0);
            out.put_u64_le(header.term.0);
            out.put_i64_le(header.zxid.0);
            out.put_u64_le(header.sessions);
            out.put_u32_le(header.acls);
            out.put_u64_le(header.znodes);
            out.put_u128_le(header.digest);
        }
        Record::Session(session) => {
            // What a former version can say is said as it says it.
            let opened = session.opened_ms != 0;
            out.put_u8(if opened { 5 } else { 2 });
            out.put_i64_le(session.session.0);
            out.put_slice(&session.password);
            out.put_u32_le(session.timeout_ms);
            put_owner(out, &session.owner);
            if opened {
                out.put_i64_le(session.opened_ms);
            }
        }
        Record::Acl(acl) => {
            out.put_u8(3);
            put_varint(out, acl.len() as u64);
            put_acl(out, acl);
        }
        Record::Znode(znode) => {
            out.put_u8(4);
            put_string(out, &znode.path);
            put_optional_data(out, znode.data.as_deref());
            out.put_u32_le(znode.acl);
            put_lifetime(out, znode.lifetime);
            out.put_i64_le(znode.czxid.0);
            out.put_i64_le(znode.mzxid.0);
            out.put_i64_le(znode.pzxid.0);
            out.put_i64_le(znode.ctime);
            out.put_i64_le(znode.mtime);
            out.put_i32_le(znode.version);
            out.put_i32_le(znode.cversion);
            out.put_i32_le(znode.aversion);
        }
    }
}

fn decode_record(bytes: &Bytes) -> Result<Record, Error> {
    let mut reader = Reader::new("snapshot record", bytes);
    let record = match reader.u8()? {
        1 => Record::Header(Header {
            version: reader.u32()?,
            index: Index(reader.u64()?),
            term: Term(reader.u64()?),
            zxid: Zxid(reader.i64()?),
            sessions: reader.u64()?,
            acls: reader.u32()?,
            znodes: reader.u64()?,
            digest: reader.u128()?,
        }),
        tag @ (2 | 5) => Record::Session(SessionRecord {
            session: SessionId(reader.i64()?),
            password: reader.bytes16()?,
            timeout_ms: reader.u32()?,
            owner: owner(&mut reader)?,
            opened_ms: if tag == 5 { reader.i64()? } else { 0 },
        }),
        3 => {
            let count = reader.count(ACL_BYTES_MIN)?;
            Record::Acl(acl(&mut reader, count)?.into())
        }
        4 => Record::Znode(ZnodeRecord {
            path: reader.string()?,
            data: reader.optional_data()?,
            acl: reader.u32()?,
            lifetime: lifetime(&mut reader)?,
            czxid: Zxid(reader.i64()?),
            mzxid: Zxid(reader.i64()?),
            pzxid: Zxid(reader.i64()?),
            ctime: reader.i64()?,
            mtime: reader.i64()?,
            version: reader.i32()?,
            cversion: reader.i32()?,
            aversion: reader.i32()?,
        }),
        tag => return Err(reader.unknown("record", tag as i64)),
    };
    reader.finish()?;
    Ok(record)
}

fn put_lifetime(out: &mut BytesMut, lifetime: Lifetime) {
    match lifetime {
        Lifetime::Persistent => out.put_u8(0),
        Lifetime::Ephemeral(session) => {
            out.put_u8(1);
            out.put_i64_le(session.0);
        }
        Lifetime::Container => out.put_u8(2),
        Lifetime::Ttl { ttl_ms } => {
            out.put_u8(3);
            put_varint(out, ttl_ms);
        }
    }
}

fn lifetime(reader: &mut Reader<'_>) -> Result<Lifetime, Error> {
    Ok(match reader.u8()? {
        0 => Lifetime::Persistent,
        1 => Lifetime::Ephemeral(SessionId(reader.i64()?)),
        2 => Lifetime::Container,
        3 => Lifetime::Ttl { ttl_ms: reader.varint()? },
        tag => return Err(reader.unknown("lifetime", tag as i64)),
    })
}
