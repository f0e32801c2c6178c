//! Names of files, and the fixed parts of a segment's and a snapshot's file. Little-endian. The records between them
//! are framed by [`synod_wire::log`].

use crate::Options;
use bytes::{BufMut, Bytes, BytesMut};
use synod_types::raft::SnapshotMeta;
use synod_types::{Index, NodeId, Term};

/// A page: the header and its copy, and each echo area, have pages of their own.
pub(crate) const PAGE: u64 = 4096;
/// Where the echo areas start: after the header and its copy.
const AREAS: u64 = 2 * PAGE;
/// Length of an echo's head; its records follow.
pub(crate) const ECHO_HEAD: u64 = 64;
/// Length of a snapshot's trailer.
pub(crate) const TRAILER: u64 = 64;
/// Name of the file that is locked.
pub(crate) const LOCK: &str = "lock";
/// What is appended to the name of a file that was put aside.
pub(crate) const DAMAGED: &str = ".damaged";

const SEGMENT_MAGIC: [u8; 8] = *b"SYNODLOG";
const SNAPSHOT_MAGIC: [u8; 8] = *b"SYNODSNP";
const ECHO_MAGIC: u32 = u32::from_le_bytes(*b"ECHO");

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// A segment of the log.
    Segment { first: Index, sequence: u64 },
    /// A snapshot.
    Snapshot { index: Index, term: Term, checksum: u32 },
    /// A segment that is not used yet. Nobody misses it.
    Spare,
    /// A snapshot that was not finished. Nobody misses it.
    Writing { index: Index, term: Term },
    /// A segment that was put aside.
    Aside { sequence: u64 },
    /// Not ours.
    Other,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Name {
        let fields: Vec<&str> = name.split('-').collect();
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let parsed = match fields[..] {
            ["log", _, last] if last.ends_with(DAMAGED) => {
                hex(last.trim_end_matches(DAMAGED)).map(|sequence| Name::Aside { sequence })
            }
            ["log", first, sequence] => {
                hex(first).zip(hex(sequence)).map(|(first, sequence)| Name::Segment { first: Index(first), sequence })
            }
            ["snapshot", index, term, checksum] => hex(index)
                .zip(hex(term))
                .zip(u32::from_str_radix(checksum, 16).ok())
                .map(|((index, term), checksum)| Name::Snapshot { index: Index(index), term: Term(term), checksum }),
            ["spare", _] => Some(Name::Spare),
            ["writing", index, term, _] => {
                hex(index).zip(hex(term)).map(|(index, term)| Name::Writing { index: Index(index), term: Term(term) })
            }
            _ => None,
        };
        parsed.unwrap_or(Name::Other)
    }
}

pub(crate) fn segment_name(first: Index, sequence: u64) -> String {
    format!("log-{:016x}-{sequence:016x}", first.0)
}

pub(crate) fn snapshot_name(meta: &SnapshotMeta) -> String {
    format!("snapshot-{:016x}-{:016x}-{:08x}", meta.index.0, meta.term.0, meta.checksum)
}

pub(crate) fn spare_name(random: u64) -> String {
    format!("spare-{random:016x}")
}

pub(crate) fn writing_name(index: Index, term: Term, random: u64) -> String {
    format!("writing-{:016x}-{:016x}-{random:016x}", index.0, term.0)
}

/// Whose file it is. These fields stand at the same place in every format, so that a newer one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) format: u32,
    pub(crate) node: NodeId,
    pub(crate) cluster: u64,
}

impl Identity {
    pub(crate) fn of(options: &Options) -> Identity {
        Identity { format: options.format, node: options.node, cluster: options.cluster }
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_u32_le(self.format);
        out.put_u32_le(self.node.0 as u32);
        out.put_u64_le(self.cluster);
    }

    fn parse(bytes: &[u8]) -> Option<Identity> {
        Some(Identity { format: u32_at(bytes, 8)?, node: NodeId(*bytes.get(12)?), cluster: u64_at(bytes, 16)? })
    }
}

/// The head of a segment, written twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) identity: Identity,
    /// Counts the segments of the folder, from 1.
    pub(crate) sequence: u64,
    /// Random; part of each record's checksum.
    pub(crate) salt: u64,
    /// Index of the entry that comes next when the segment begins.
    pub(crate) first: Index,
    /// The segment before it, 0 when there is none.
    pub(crate) previous: u64,
    /// Where that one's last record ends. What stands behind is void.
    pub(crate) previous_end: u64,
    /// Length of each of the two echo areas.
    pub(crate) area: u64,
}

const HEADER: usize = 72;

impl Header {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER);
        out.put_slice(&SEGMENT_MAGIC);
        self.identity.put(&mut out);
        for field in [self.sequence, self.salt, self.first.0, self.previous, self.previous_end] {
            out.put_u64_le(field);
        }
        out.put_u32_le(self.area as u32);
        let checksum = crc32c::crc32c(&out);
        out.put_u32_le(checksum);
        out.freeze()
    }

    /// Reads one copy; `None` when it is damaged.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        let area = u32_at(bytes, 64)? as u64;
        let good = bytes.starts_with(&SEGMENT_MAGIC) && u32_at(bytes, 68)? == crc32c::crc32c(&bytes[..68]);
        if !good || area < ECHO_HEAD {
            return None;
        }
        Some(Header {
            identity: Identity::parse(bytes)?,
            sequence: u64_at(bytes, 24)?,
            salt: u64_at(bytes, 32)?,
            first: Index(u64_at(bytes, 40)?),
            previous: u64_at(bytes, 48)?,
            previous_end: u64_at(bytes, 56)?,
            area,
        })
    }

    /// Offset of the area that a flush is echoed in.
    pub(crate) fn echo_at(&self, flush: u64) -> u64 {
        AREAS + (flush % 2) * self.area
    }

    /// Offset of the first record.
    pub(crate) fn records_at(&self) -> u64 {
        AREAS + 2 * self.area
    }

    /// How long the records of a flush may be to be echoed whole.
    pub(crate) fn echo_bytes_max(&self) -> u64 {
        self.area - ECHO_HEAD
    }

    /// Length of an area in a segment of this length.
    pub(crate) fn area_for(segment_bytes: u64) -> u64 {
        (segment_bytes / 8 / PAGE * PAGE).clamp(PAGE, 256 << 10)
    }
}

/// The second writing of a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    /// Number of the flush within the segment.
    pub(crate) flush: u64,
    /// Where its records start and end in the segment's file.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Its records again; `None` when what was echoed is damaged.
    pub(crate) records: Option<Bytes>,
    /// The records were too long to be echoed and were synced before this was written: they are durable.
    pub(crate) complete: bool,
}

impl Echo {
    /// The head of an echo: of all of the flush's records, or of none.
    pub(crate) fn head(salt: u64, flush: u64, start: u64, end: u64, records: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(ECHO_HEAD as usize);
        out.put_u32_le(ECHO_MAGIC);
        out.put_u32_le(records.len() as u32);
        for field in [salt, flush, start, end] {
            out.put_u64_le(field);
        }
        out.put_u32_le(crc32c::crc32c(records));
        let checksum = crc32c::crc32c(&out);
        out.put_u32_le(checksum);
        out.resize(ECHO_HEAD as usize, 0);
        out.freeze()
    }

    /// Reads an area; `None` when its head is damaged or was never written.
    pub(crate) fn parse(area: &Bytes, salt: u64) -> Option<Echo> {
        let good = u32_at(area, 0)? == ECHO_MAGIC
            && u64_at(area, 8)? == salt
            && u32_at(area, 44)? == crc32c::crc32c(&area[..44]);
        if !good {
            return None;
        }
        let (start, end, length) = (u64_at(area, 24)?, u64_at(area, 32)?, u32_at(area, 4)? as usize);
        let complete = length == 0;
        let echoed = ECHO_HEAD as usize..(ECHO_HEAD as usize).saturating_add(length);
        let whole = !complete && area.get(echoed.clone()).is_some_and(|r| Some(crc32c::crc32c(r)) == u32_at(area, 40));
        let records = whole.then(|| area.slice(echoed));
        Some(Echo { flush: u64_at(area, 16)?, start, end, records, complete })
    }

    /// Every record before this offset was durable before a crash could have torn anything.
    pub(crate) fn proves(&self) -> u64 {
        if self.complete { self.end } else { self.start }
    }
}

/// The end of a snapshot's file.
pub(crate) fn trailer(identity: Identity, meta: &SnapshotMeta) -> Bytes {
    let mut out = BytesMut::with_capacity(TRAILER as usize);
    out.put_slice(&SNAPSHOT_MAGIC);
    identity.put(&mut out);
    for field in [meta.index.0, meta.term.0, meta.size_bytes] {
        out.put_u64_le(field);
    }
    out.put_u32_le(meta.checksum);
    out.put_u32_le(0);
    out.put_u32_le(0);
    let checksum = crc32c::crc32c(&out);
    out.put_u32_le(checksum);
    out.freeze()
}

/// Reads a snapshot's trailer; `None` when it is damaged.
pub(crate) fn parse_trailer(bytes: &[u8]) -> Option<(Identity, SnapshotMeta)> {
    let bytes = bytes.get(..TRAILER as usize)?;
    if !bytes.starts_with(&SNAPSHOT_MAGIC) || u32_at(bytes, 60)? != crc32c::crc32c(&bytes[..60]) {
        return None;
    }
    let meta = SnapshotMeta {
        index: Index(u64_at(bytes, 24)?),
        term: Term(u64_at(bytes, 32)?),
        size_bytes: u64_at(bytes, 40)?,
        checksum: u32_at(bytes, 48)?,
    };
    Some((Identity::parse(bytes)?, meta))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|field| u64::from_le_bytes(*field))
}
