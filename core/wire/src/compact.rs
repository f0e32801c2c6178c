//! Primitives of Synod's own formats (proposals, peer frames, log, snapshots): little-endian integers, lengths as
//! LEB128 varints, an optional value as its length plus one with 0 for "none". Jute has primitives of its own.

use crate::Error;
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use synod_types::Identity;

/// Reads one value after the other. Data buffers are slices of the input, not copies.
pub(crate) struct Reader<'a> {
    codec: &'static str,
    bytes: &'a Bytes,
    at: usize,
    identities: Option<(&'a [u8], Arc<[Identity]>)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(codec: &'static str, bytes: &'a Bytes) -> Reader<'a> {
        Reader { codec, bytes, at: 0, identities: None }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Keeps what the bytes from `start` to here mean.
    pub(crate) fn remember_identities(&mut self, start: usize, list: &Arc<[Identity]>) {
        self.identities = Some((&self.bytes[start..self.at], list.clone()));
    }

    /// The identities kept, if the same bytes come again; they are then read.
    pub(crate) fn repeated_identities(&mut self) -> Option<Arc<[Identity]>> {
        let (bytes, list) = self.identities.as_ref()?;
        if !self.bytes[self.at..].starts_with(bytes) {
            return None;
        }
        self.at += bytes.len();
        Some(list.clone())
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    pub(crate) fn take(&mut self, wanted: usize) -> Result<&'a [u8], Error> {
        match self.bytes[self.at..].get(..wanted) {
            Some(taken) => {
                self.at += wanted;
                Ok(taken)
            }
            None => Err(self.short(wanted)),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.short(N)),
        }
    }

    #[cold]
    fn short(&self, wanted: usize) -> Error {
        Error::Short { codec: self.codec, wanted: wanted as u64, left: self.left() as u64, offset: self.at as u64 }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> Result<i32, Error> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Error> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn bytes16(&mut self) -> Result<[u8; 16], Error> {
        self.array()
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(self.unknown("flag", value as i64)),
        }
    }

    /// An error about the tag that was read last. The offset is that of the tag's last byte.
    #[cold]
    pub(crate) fn unknown(&self, what: &'static str, value: i64) -> Error {
        Error::Unknown { codec: self.codec, what, value, offset: self.at.saturating_sub(1) as u64 }
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(first as u64);
        }
        let mut value = (first & 0x7f) as u64;
        for shift in (7..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(self.unknown("varint byte", byte as i64));
            }
            value |= ((byte & 0x7f) as u64) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.unknown("varint byte", 0x80))
    }

    /// Checks that `count` values of at least `each` bytes can follow.
    #[inline]
    fn fits(&self, count: u64, each: usize, start: usize) -> Result<usize, Error> {
        let limit = (self.left() / each) as u64;
        if count > limit {
            return Err(Error::TooLong { codec: self.codec, length: count, limit, offset: start as u64 });
        }
        Ok(count as usize)
    }

    /// The count of a list whose items take at least `each` bytes, so that a list may be allocated for it.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, Error> {
        let start = self.at;
        let count = self.varint()?;
        self.fits(count, each, start)
    }

    /// Like `count`, of a list that may be missing.
    pub(crate) fn optional_count(&mut self, each: usize) -> Result<Option<usize>, Error> {
        let start = self.at;
        match self.varint()?.checked_sub(1) {
            Some(count) => Ok(Some(self.fits(count, each, start)?)),
            None => Ok(None),
        }
    }

    #[inline]
    pub(crate) fn string(&mut self) -> Result<String, Error> {
        let length = self.count(1)?;
        let start = self.at;
        match std::str::from_utf8(self.take(length)?) {
            Ok(string) => Ok(string.to_owned()),
            Err(_) => Err(Error::Utf8 { codec: self.codec, offset: start as u64 }),
        }
    }

    #[inline]
    fn slice(&mut self, length: usize) -> Bytes {
        let start = self.at;
        self.at += length;
        self.bytes.slice(start..self.at)
    }

    pub(crate) fn data(&mut self) -> Result<Bytes, Error> {
        let length = self.count(1)?;
        Ok(self.slice(length))
    }

    #[inline]
    pub(crate) fn optional_data(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.optional_count(1)?.map(|length| self.slice(length)))
    }

    /// The value must have taken all bytes.
    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.left() {
            0 => Ok(()),
            left => Err(Error::LeftOver { codec: self.codec, left: left as u64, offset: self.at as u64 }),
        }
    }
}

#[inline]
pub(crate) fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[inline]
pub(crate) fn put_data(out: &mut BytesMut, data: &[u8]) {
    put_varint(out, data.len() as u64);
    out.put_slice(data);
}

#[inline]
pub(crate) fn put_string(out: &mut BytesMut, string: &str) {
    put_data(out, string.as_bytes());
}

#[inline]
pub(crate) fn put_optional_data(out: &mut BytesMut, data: Option<&[u8]>) {
    match data {
        Some(data) => {
            put_varint(out, data.len() as u64 + 1);
            out.put_slice(data);
        }
        None => out.put_u8(0),
    }
}

pub(crate) fn put_bool(out: &mut BytesMut, value: bool) {
    out.put_u8(value as u8);
}
