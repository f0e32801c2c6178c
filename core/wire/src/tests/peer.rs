//! Frames between members.

use super::shapes::{greeting, peer_message};
use super::written;
use crate::Error;
use crate::peer::{BODY_BYTES_MAX, Frame, HEADER_BYTES, next_frame, put_greeting, put_message};
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use synod_types::Index;
use synod_types::peer::PeerMessage;

#[test]
fn a_body_longer_than_the_limit_is_refused_before_it_arrives() {
    let bytes =
        written(|out| put_message(out, &PeerMessage::TouchReply { sequence: 1, commit: Index(2), ending: Vec::new() }));
    let mut buffer = BytesMut::from(&bytes[..HEADER_BYTES]);
    let error = Error::TooLong { codec: "peer frame", length: 18, limit: 17, offset: 4 };
    assert_eq!(next_frame(&mut buffer, 17), Err(error));
    assert_eq!(next_frame(&mut buffer, 18), Ok(None));
}

#[test]
fn another_protocol_is_refused() {
    let error = next_frame(&mut BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]), BODY_BYTES_MAX).unwrap_err();
    assert_eq!(error.to_string(), "decode peer frame: unknown magic 17735 at offset 0");
}

proptest! {
    #[test]
    fn a_stream_comes_back(greeting in greeting(), messages in vec(peer_message(), 0..6), cut in 1..200usize) {
        let bytes = written(|out| {
            put_greeting(out, &greeting);
            for message in &messages {
                put_message(out, message);
            }
        });
        let mut buffer = BytesMut::new();
        let mut frames = Vec::new();
        for piece in bytes.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = next_frame(&mut buffer, BODY_BYTES_MAX).unwrap() {
                frames.push(frame);
            }
        }
        prop_assert!(buffer.is_empty());
        let mut expected = vec![Frame::Greeting(greeting)];
        expected.extend(messages.into_iter().map(Frame::Message));
        prop_assert_eq!(frames, expected);
    }

    /// One flipped bit is found, wherever it is. A frame that never ends because its length grew would stop the link
    /// without anybody being told.
    #[test]
    fn a_flipped_bit_is_found(message in peer_message(), bit in any::<prop::sample::Index>()) {
        let mut bytes = written(|out| put_message(out, &message)).to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let result = next_frame(&mut BytesMut::from(&bytes[..]), BODY_BYTES_MAX);
        prop_assert!(result.is_err(), "{result:?}");
    }
}
