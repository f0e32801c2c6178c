//! Round trips, golden bytes and hostile bytes.

mod allocation;
mod hostile;
mod jute;
mod log;
mod peer;
mod proposal;
mod record;
mod shapes;
mod zookeeper;

use bytes::{Bytes, BytesMut};

/// The bytes that `put` appends.
fn written(put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    put(&mut out);
    out.freeze()
}

/// Bytes from hexadecimal digits and blanks.
fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
