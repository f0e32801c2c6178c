//! Jute, ZooKeeper's serialization: big-endian integers, 4-byte lengths, -1 for null, records as their fields in order.
//! Source: ZooKeeper 3.9, `BinaryInputArchive` and `BinaryOutputArchive`.
//!
//! Null and empty are different values for buffers and vectors, and stay different. The Java client encodes each UTF-16
//! unit of a string by itself, so a character outside the basic plane arrives as two surrogates of three bytes: both
//! forms are read, standard UTF-8 is written.

use crate::Error;
use bytes::{BufMut, Bytes, BytesMut};

const CODEC: &str = "jute";

/// Reads one value after the other. Buffers are slices of the input, not copies. Offsets in errors count from the start
/// of the input.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a Bytes) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Offset of the next value.
    pub fn offset(&self) -> u64 {
        self.at as u64
    }

    /// All bytes not read yet, as a slice of the input.
    pub fn rest(&self) -> Bytes {
        self.bytes.slice(self.at..)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => {
                Err(Error::Short { codec: CODEC, wanted: N as u64, left: self.left() as u64, offset: self.offset() })
            }
        }
    }

    /// A boolean: any byte but 0 is true.
    ///
    /// # Errors
    /// The input ends.
    pub fn bool(&mut self) -> Result<bool, Error> {
        Ok(self.array::<1>()?[0] != 0)
    }

    /// An int.
    ///
    /// # Errors
    /// The input ends.
    pub fn int(&mut self) -> Result<i32, Error> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A long.
    ///
    /// # Errors
    /// The input ends.
    pub fn long(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A length or count of things that take at least `each` bytes, `None` for null.
    fn length(&mut self, each: usize) -> Result<Option<usize>, Error> {
        let offset = self.offset();
        let length = self.int()?;
        if length < 0 {
            let length = length as i64;
            return if length == -1 { Ok(None) } else { Err(Error::Negative { codec: CODEC, length, offset }) };
        }
        let limit = self.left() / each;
        if length as usize > limit {
            return Err(Error::TooLong { codec: CODEC, length: length as u64, limit: limit as u64, offset });
        }
        Ok(Some(length as usize))
    }

    /// A buffer, `None` for null.
    ///
    /// # Errors
    /// A length that is negative or more than what is left.
    pub fn buffer(&mut self) -> Result<Option<Bytes>, Error> {
        Ok(self.length(1)?.map(|length| {
            let start = self.at;
            self.at += length;
            self.bytes.slice(start..self.at)
        }))
    }

    /// A string, `None` for null.
    ///
    /// # Errors
    /// A length that is negative or more than what is left; bytes that are not UTF-8.
    pub fn optional_string(&mut self) -> Result<Option<String>, Error> {
        let Some(length) = self.length(1)? else { return Ok(None) };
        let (start, end) = (self.at, self.at + length);
        self.at = end;
        let taken = &self.bytes[start..end];
        match std::str::from_utf8(taken) {
            Ok(string) => Ok(Some(string.to_owned())),
            Err(_) => match with_surrogates(taken) {
                Some(string) => Ok(Some(string)),
                None => Err(Error::Utf8 { codec: CODEC, offset: start as u64 }),
            },
        }
    }

    /// A string where null means no more than the empty one (a path: both are invalid).
    ///
    /// # Errors
    /// As [`Reader::optional_string`].
    pub fn string(&mut self) -> Result<String, Error> {
        Ok(self.optional_string()?.unwrap_or_default())
    }

    /// A vector of things that take at least `each` bytes, `None` for null.
    ///
    /// # Errors
    /// A count that is negative or more than what is left can hold; whatever `item` finds.
    pub fn vector<T>(
        &mut self,
        each: usize,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(count) = self.length(each)? else { return Ok(None) };
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(item(self)?);
        }
        Ok(Some(list))
    }

    /// A vector of strings, where null means no more than the empty one.
    ///
    /// # Errors
    /// As [`Reader::vector`] and [`Reader::string`].
    pub fn strings(&mut self) -> Result<Vec<String>, Error> {
        Ok(self.vector(4, Reader::string)?.unwrap_or_default())
    }
}

/// Decodes what the Java client makes of a string: UTF-8, where surrogates are encoded as if they were characters. A
/// pair becomes its character; a lone one becomes U+FFFD, which like itself is forbidden in paths.
fn with_surrogates(bytes: &[u8]) -> Option<String> {
    let mut string = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let good = match std::str::from_utf8(rest) {
            Ok(all) => {
                string.push_str(all);
                break;
            }
            Err(error) => error.valid_up_to(),
        };
        string.push_str(std::str::from_utf8(&rest[..good]).ok()?);
        rest = &rest[good..];
        let unit = surrogate(rest)?;
        rest = &rest[3..];
        let mut character = char::REPLACEMENT_CHARACTER;
        if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (unit, surrogate(rest)) {
            rest = &rest[3..];
            character = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?;
        }
        string.push(character);
    }
    Some(string)
}

/// The UTF-16 surrogate at the start, if there is one.
fn surrogate(bytes: &[u8]) -> Option<u32> {
    match bytes {
        [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, ..] => {
            Some(0xd000 | (*second as u32 & 0x3f) << 6 | (*third as u32 & 0x3f))
        }
        _ => None,
    }
}

/// Appends a boolean.
pub fn put_bool(out: &mut BytesMut, value: bool) {
    out.put_u8(value as u8);
}

/// Appends a string.
pub fn put_string(out: &mut BytesMut, string: &str) {
    out.put_i32(string.len() as i32);
    out.put_slice(string.as_bytes());
}

/// Appends a string or null.
pub fn put_optional_string(out: &mut BytesMut, string: Option<&str>) {
    put_buffer(out, string.map(str::as_bytes));
}

/// Appends a buffer or null.
pub fn put_buffer(out: &mut BytesMut, buffer: Option<&[u8]>) {
    match buffer {
        Some(buffer) => {
            out.put_i32(buffer.len() as i32);
            out.put_slice(buffer);
        }
        None => out.put_i32(-1),
    }
}

/// Appends a vector.
pub fn put_vector<T>(out: &mut BytesMut, list: &[T], mut item: impl FnMut(&mut BytesMut, &T)) {
    out.put_i32(list.len() as i32);
    for value in list {
        item(out, value);
    }
}

/// Appends a vector of strings.
pub fn put_strings(out: &mut BytesMut, list: &[String]) {
    put_vector(out, list, |out, string| put_string(out, string));
}
