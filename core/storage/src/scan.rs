//! Reading one segment: its head, its echoes, its records up to the first place where no good record stands, and what
//! that place means. Reads only; what the echoes restore is reported, not written.

use crate::layout::{Echo, Header, PAGE};
use bytes::{Bytes, BytesMut};
use std::io;
use synod_env::File;
use synod_types::{Mutant, Mutants};
use synod_wire::log::{Damage, HEADER_BYTES, LogRecord, Next, Place, next_record};

/// How much is read at a time.
pub(crate) const CHUNK: u64 = 1 << 20;
/// What a disk refuses to read is a multiple of this.
const SECTOR: u64 = 512;

/// How a segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Where it must.
    Clean,
    /// In a flush that was not acknowledged.
    Torn { cut_bytes: u64 },
    /// Before something that was acknowledged.
    Damaged { why: String },
}

/// What a segment holds.
pub(crate) struct Scan {
    /// Offset behind the last good record.
    pub(crate) end: u64,
    pub(crate) ending: Ending,
    /// The echoes with a good head, older first.
    pub(crate) echoes: Vec<Echo>,
    /// Records that were damaged and stand whole in an echo: offset and bytes.
    pub(crate) restored: Vec<(u64, Bytes)>,
}

/// Reads what can be read; sectors that the device refuses are zeros.
pub(crate) async fn read_lossy(file: &dyn File, offset: u64, len: u64) -> Bytes {
    if let Ok(bytes) = read_full(file, offset, len).await {
        return bytes;
    }
    let mut out = BytesMut::with_capacity(len as usize);
    while (out.len() as u64) < len {
        let at = offset + out.len() as u64;
        let part = (SECTOR - at % SECTOR).min(len - out.len() as u64);
        match read_full(file, at, part).await {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => out.extend_from_slice(&bytes),
            Err(_) => out.resize(out.len() + part as usize, 0),
        }
    }
    out.freeze()
}

/// Reads what the file has by its length. A read that brings less comes from elsewhere: it says nothing about what is
/// there, which is therefore neither torn nor damaged.
async fn read_held(file: &dyn File, offset: u64, len: u64) -> io::Result<Bytes> {
    let bytes = read_lossy(file, offset, len).await;
    if (bytes.len() as u64) < len {
        let what = format!("reading {len} bytes at byte {offset} brought {}, and the file is longer", bytes.len());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
    }
    Ok(bytes)
}

/// Reads until `len` bytes or the end of the file.
pub(crate) async fn read_full(file: &dyn File, offset: u64, len: u64) -> io::Result<Bytes> {
    let first = file.read_at(offset, len as usize).await?;
    if first.len() as u64 == len || first.is_empty() {
        return Ok(first);
    }
    let mut out = BytesMut::from(&first[..]);
    while (out.len() as u64) < len {
        let more = file.read_at(offset + out.len() as u64, len as usize - out.len()).await?;
        if more.is_empty() {
            break;
        }
        out.extend_from_slice(&more);
    }
    Ok(out.freeze())
}

/// Records that were read before, to be written again. A read that brings something else must not end up on the disk.
pub(crate) async fn read_again(
    file: &dyn File,
    header: &Header,
    from: u64,
    to: u64,
    mutants: Mutants,
) -> io::Result<Bytes> {
    let bytes = read_full(file, from, to.saturating_sub(from)).await?;
    let mut at = from;
    while at < to {
        let place = Place { generation: header.salt, offset: at };
        let Next::Record { next, .. } = next_record(&bytes, from, place, mutants) else {
            return Err(io::Error::other(format!("the record at byte {at} was good before, and is not")));
        };
        at = next;
    }
    Ok(bytes)
}

/// The head of a segment from either copy.
pub(crate) async fn read_header(file: &dyn File, mutants: Mutants) -> Option<Header> {
    let pages = read_lossy(file, 0, 2 * PAGE).await;
    let second = || Header::parse(pages.get(PAGE as usize..)?);
    Header::parse(&pages).or_else(|| if mutants.on(Mutant::StoreSecondHead) { None } else { second() })
}

/// Reads a segment. `must_end` is where the next segment says that it ends; `None` for the last one. `visit` gets each
/// good record with its offset, and may refuse it.
pub(crate) async fn scan(
    file: &dyn File,
    header: &Header,
    must_end: Option<u64>,
    mutants: Mutants,
    visit: &mut (dyn FnMut(u64, LogRecord) -> Result<(), String> + Send),
) -> Result<Scan, io::Error> {
    let length = file.len().await?;
    let (mut echoes, mut proven) = (Vec::new(), 0);
    for slot in 0..2 {
        let area = read_lossy(file, header.echo_at(slot), header.area).await;
        let echo = Echo::parse(&area, header.salt);
        // Wherever it is, it was written: what came before it was durable.
        proven = echo.as_ref().map_or(0, Echo::proves).max(proven);
        // In the other's place it was misdirected, and what follows it there is not what it speaks of.
        echoes.extend(echo.filter(|echo| echo.flush % 2 == slot));
    }
    echoes.sort_by_key(|echo| echo.flush);

    let mut at = header.records_at();
    let (mut base, mut buffer) = (at, Bytes::new());
    let mut restored: Vec<(u64, Bytes)> = Vec::new();
    let mut refused = false;
    let reason = loop {
        if must_end.is_some_and(|end| at >= end) {
            break String::new();
        }
        let place = Place { generation: header.salt, offset: at };
        let why = match next_record(&buffer, base, place, mutants) {
            Next::Record { record, next } => match visit(at, record) {
                Ok(()) => {
                    at = next;
                    continue;
                }
                Err(why) => {
                    refused = true;
                    break why;
                }
            },
            Next::End => "nothing written".to_owned(),
            Next::Damaged { why: Damage::Cut { wanted, .. }, .. } if wanted > length.saturating_sub(at) => {
                format!("record of {wanted} bytes exceeds the file")
            }
            Next::Damaged { why, .. } => {
                // A good checksum over something unknown was no torn write.
                refused = matches!(why, Damage::Kind { .. });
                why.to_string()
            }
        };
        // Perhaps only the buffer ends here and the file goes on.
        let buffered = (base + buffer.len() as u64).saturating_sub(at);
        let wanted = wanted_bytes(&buffer, base, place).max(HEADER_BYTES as u64).min(length.saturating_sub(at));
        if buffered < wanted {
            (base, buffer) = (at, read_held(file, at, wanted.max(CHUNK.min(length - at))).await?);
            continue;
        }
        // Perhaps the echo still has what was here.
        let echo = echoes.iter().find(|echo| {
            let unused = restored.iter().all(|(start, _)| *start != echo.start);
            unused && echo.records.is_some() && echo.start <= at && at < echo.end
        });
        let Some((start, records)) = echo.and_then(|echo| Some((echo.start, echo.records.clone()?))) else {
            break why;
        };
        (base, buffer) = (start, records.clone());
        restored.push((start, records));
    };

    let ending = match must_end {
        Some(end) if at == end => Ending::Clean,
        Some(end) => Ending::Damaged { why: format!("at offset {at}: {reason}; the next segment says {end}") },
        None if refused => Ending::Damaged { why: format!("at offset {at}: {reason}") },
        None if echoes.is_empty() && !mutants.on(Mutant::StoreLostEchoes) => {
            Ending::Damaged { why: format!("both echoes are unreadable, records end at offset {at}") }
        }
        None if at < proven && !mutants.on(Mutant::StoreEchoIgnored) => {
            Ending::Damaged { why: format!("at offset {at}: {reason}; durable up to offset {proven}") }
        }
        None => {
            let acknowledged_end = echoes.iter().map(|echo| echo.end).max().unwrap_or(at);
            match last_written(file, at, length).await?.max((at < acknowledged_end).then_some(acknowledged_end)) {
                Some(last) => Ending::Torn { cut_bytes: last - at },
                None => Ending::Clean,
            }
        }
    };
    Ok(Scan { end: at, ending, echoes, restored })
}

/// How many bytes the record at a place wants to be read, as far as the buffer tells.
fn wanted_bytes(buffer: &Bytes, base: u64, place: Place) -> u64 {
    match next_record(buffer, base, place, Mutants::NONE) {
        Next::Damaged { why: Damage::Cut { wanted, .. }, .. } => wanted,
        _ => 0,
    }
}

/// Length up to the last byte that is not zero. Page by page as far as there are only zeros, which most of a segment is.
fn written(bytes: &[u8]) -> Option<usize> {
    const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];
    let blank: usize =
        bytes.rchunks(ZEROS.len()).take_while(|part| **part == ZEROS[..part.len()]).map(<[u8]>::len).sum();
    bytes[..bytes.len() - blank].iter().rposition(|byte| *byte != 0).map(|position| position + 1)
}

/// Offset behind the last byte from `from` on that is not zero.
async fn last_written(file: &dyn File, from: u64, length: u64) -> io::Result<Option<u64>> {
    let mut last = None;
    let mut at = from;
    while at < length {
        let chunk = read_held(file, at, CHUNK.min(length - at)).await?;
        last = written(&chunk).map(|end| at + end as u64).or(last);
        at += chunk.len() as u64;
    }
    Ok(last)
}
