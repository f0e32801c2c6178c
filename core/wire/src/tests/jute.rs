//! Jute's primitives.

use super::{hex, written};
use crate::Error;
use crate::jute::{Reader, put_buffer, put_optional_string, put_string, put_strings};
use bytes::Bytes;

#[test]
fn null_and_empty_stay_apart() {
    let bytes = written(|out| {
        put_buffer(out, None);
        put_buffer(out, Some(b""));
        put_optional_string(out, None);
        put_optional_string(out, Some(""));
        put_strings(out, &[]);
    });
    assert_eq!(bytes, hex("ffffffff 00000000 ffffffff 00000000 00000000"));
    let mut reader = Reader::new(&bytes);
    assert_eq!(reader.buffer(), Ok(None));
    assert_eq!(reader.buffer(), Ok(Some(Bytes::new())));
    assert_eq!(reader.optional_string(), Ok(None));
    assert_eq!(reader.optional_string(), Ok(Some(String::new())));
    assert_eq!(reader.vector(4, Reader::string), Ok(Some(vec![])));
    assert_eq!(Reader::new(&hex("ffffffff")).vector(4, Reader::string), Ok(None));
}

#[test]
fn buffers_are_slices_of_the_input() {
    let bytes = hex("00000003 616263");
    let data = Reader::new(&bytes).buffer().unwrap().unwrap();
    assert_eq!(data.as_ptr(), bytes[4..].as_ptr());
}

#[test]
fn a_string_of_the_java_client_has_surrogates() {
    let read = |text: &str| Reader::new(&hex(text)).string();
    // U+1F600 as UTF-8, then as the two surrogates D83D DE00.
    assert_eq!(read("00000005 61f09f9880").unwrap(), "a\u{1f600}");
    assert_eq!(read("00000008 61 eda0bd edb880 62").unwrap(), "a\u{1f600}b");
    // Lone ones, also in the wrong order and before the end.
    assert_eq!(read("00000004 eda0bd 62").unwrap(), "\u{fffd}b");
    assert_eq!(read("00000006 edb880 eda0bd").unwrap(), "\u{fffd}\u{fffd}");
    assert_eq!(read("00000009 eda0bd eda0bd edb880").unwrap(), "\u{fffd}\u{1f600}");
    // The ends of the range: U+10000 and U+10FFFF.
    assert_eq!(read("00000006 eda080 edb080").unwrap(), "\u{10000}");
    assert_eq!(read("00000006 edafbf edbfbf").unwrap(), "\u{10ffff}");
    assert_eq!(written(|out| put_string(out, "a\u{1f600}")), hex("00000005 61f09f9880"));
}

#[test]
fn a_string_that_is_neither_is_an_error_behind_which_reading_can_go_on() {
    let bytes = hex("00000002 c328 00000007");
    let mut reader = Reader::new(&bytes);
    let error = reader.string().unwrap_err();
    assert_eq!(error, Error::Utf8 { codec: "jute", offset: 4 });
    assert_eq!(error.to_string(), "decode jute: string is not utf-8 at offset 4");
    assert_eq!(reader.int(), Ok(7));
    assert!(Reader::new(&hex("00000003 eda0ff")).string().is_err());
    assert!(Reader::new(&hex("00000002 eda0")).string().is_err());
}

#[test]
fn errors_name_value_limit_and_offset() {
    let error = |text: &str| {
        let bytes = hex(text);
        let mut reader = Reader::new(&bytes);
        reader.int().unwrap();
        reader.buffer().unwrap_err().to_string()
    };
    assert_eq!(error("00000000 00100000 61"), "decode jute: length 1048576 exceeds 1 at offset 4");
    assert_eq!(error("00000000 fffffffe"), "decode jute: negative length -2 at offset 4");
    assert_eq!(error("00000000 ffff"), "decode jute: 4 bytes wanted, 2 left at offset 4");
    // Two strings take at least eight bytes: the count alone gives it away.
    let bytes = hex("00000002 00000000 61");
    assert_eq!(Reader::new(&bytes).strings().unwrap_err().to_string(), "decode jute: length 2 exceeds 1 at offset 0");
}
