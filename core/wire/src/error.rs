//! What can be wrong with bytes.

/// Bytes that do not decode. Offsets count from the start of the value that was decoded (a frame, a record, a file).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A length or count says more than is allowed or more than is there.
    #[error("decode {codec}: length {length} exceeds {limit} at offset {offset}")]
    TooLong {
        /// What was decoded.
        codec: &'static str,
        /// The length found.
        length: u64,
        /// What would have been possible.
        limit: u64,
        /// Where.
        offset: u64,
    },
    /// A length below zero that does not stand for null.
    #[error("decode {codec}: negative length {length} at offset {offset}")]
    Negative {
        /// What was decoded.
        codec: &'static str,
        /// The length found.
        length: i64,
        /// Where.
        offset: u64,
    },
    /// The bytes end within a value.
    #[error("decode {codec}: {wanted} bytes wanted, {left} left at offset {offset}")]
    Short {
        /// What was decoded.
        codec: &'static str,
        /// Bytes the next value takes.
        wanted: u64,
        /// Bytes there are.
        left: u64,
        /// Where.
        offset: u64,
    },
    /// Bytes after the end of the value.
    #[error("decode {codec}: {left} bytes left over at offset {offset}")]
    LeftOver {
        /// What was decoded.
        codec: &'static str,
        /// How many.
        left: u64,
        /// Where.
        offset: u64,
    },
    /// A string is not UTF-8.
    #[error("decode {codec}: string is not utf-8 at offset {offset}")]
    Utf8 {
        /// What was decoded.
        codec: &'static str,
        /// Where.
        offset: u64,
    },
    /// A tag, version, opcode or flag that has no meaning here.
    #[error("decode {codec}: unknown {what} {value} at offset {offset}")]
    Unknown {
        /// What was decoded.
        codec: &'static str,
        /// Kind of tag.
        what: &'static str,
        /// The tag found.
        value: i64,
        /// Where.
        offset: u64,
    },
    /// A read in a multi, a write in a multiRead, or an operation that neither takes.
    #[error("decode multi: operation {opcode} does not belong there at offset {offset}")]
    Mixed {
        /// The operation found.
        opcode: i32,
        /// Where.
        offset: u64,
    },
    /// The checksum does not match the bytes.
    #[error("decode {codec}: checksum {found:08x}, expected {expected:08x} at offset {offset}")]
    Checksum {
        /// What was decoded.
        codec: &'static str,
        /// The checksum of the bytes.
        found: u32,
        /// The checksum that came with them.
        expected: u32,
        /// Where.
        offset: u64,
    },
}

impl Error {
    /// Whether only the request is at fault (answer `MarshallingError`) and the stream around it is still in step.
    /// Every other error of a client's frame closes its connection.
    pub fn spares_connection(&self) -> bool {
        matches!(self, Error::Utf8 { .. } | Error::Mixed { .. })
    }
}
