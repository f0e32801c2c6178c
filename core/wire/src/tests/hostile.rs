//! Bytes that mean harm: noise, valid bytes cut short or changed, and lengths that lie. No decoder panics, and none
//! allocates more than a multiple of what it was given.

use super::allocation::allocated_by;
use super::shapes::{greeting, peer_message, proposal, record};
use super::written;
use super::zookeeper::{request, response};
use crate::fuzz_bodies;
use crate::log::{Place, put_entry};
use crate::peer::{HEADER_BYTES, put_greeting, put_message};
use crate::proposal::put_proposal;
use crate::record::SnapshotEncoder;
use crate::zookeeper::put_reply;
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;
use synod_types::raft::Entry;
use synod_types::{Index, Term};

/// Every body with every input, and what it may allocate: decoding, encoding again, and decoding that. The largest
/// things for their bytes are lists of empty strings: 24 bytes in memory for 1 on the wire, twice while the list grows.
fn run_all(data: &[u8]) {
    for (name, body) in fuzz_bodies::ALL {
        let allocated = allocated_by(|| body(data));
        let limit = 8192 + 200 * data.len();
        assert!(allocated <= limit, "{name}: {} bytes made it allocate {allocated}", data.len());
    }
}

/// xorshift64*: the same noise every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

#[test]
fn noise() {
    let mut noise = Noise(0x5eed);
    for _ in 0..4000 {
        let length = noise.below(200);
        // Small numbers make tags and lengths that pass; the rest makes those that lie.
        let small = !noise.next().is_multiple_of(4);
        let data: Vec<u8> = (0..length)
            .map(|_| {
                let byte = noise.next() as u8;
                if small { byte % 9 } else { byte }
            })
            .collect();
        run_all(&data);
    }
}

#[test]
fn lengths_that_lie() {
    for fill in [0x7f, 0xff, 0x80, 0x01, 0x00] {
        for length in 0..64 {
            for first in 0..=255u8 {
                let mut data = vec![fill; length];
                if let Some(byte) = data.first_mut() {
                    *byte = first;
                }
                run_all(&data);
            }
        }
    }
}

/// A valid input of some body.
fn valid() -> impl Strategy<Value = Bytes> {
    let place = Place { generation: 0, offset: 0 };
    prop_oneof![
        request().prop_map(|request| written(|out| {
            out.extend_from_slice(&[request.opcode() as u8]);
            request.encode(out);
        })),
        request().prop_map(|request| written(|out| request.put(out, 1))),
        response().prop_map(|(opcode, response)| written(|out| {
            out.extend_from_slice(&[opcode as u8]);
            response.encode(out);
        })),
        response().prop_map(|(opcode, response)| written(|out| put_reply(out, opcode, 1, Ok(&response)))),
        proposal().prop_map(|proposal| written(|out| put_proposal(out, &proposal))),
        proposal().prop_map(move |proposal| written(|out| {
            put_entry(out, place, &Entry { term: Term(1), index: Index(1), payload: Some(Arc::new(proposal)) });
        })),
        greeting().prop_map(|greeting| written(|out| put_greeting(out, &greeting))),
        peer_message().prop_map(|message| written(|out| put_message(out, &message))),
        peer_message().prop_map(|message| written(|out| put_message(out, &message)).split_off(HEADER_BYTES)),
        record().prop_map(|record| written(|out| SnapshotEncoder::new(out).push(&record, out)).split_off(16)),
        (any::<u8>(), record()).prop_map(|(cut, record)| written(|out| {
            out.extend_from_slice(&[cut]);
            let mut encoder = SnapshotEncoder::new(out);
            encoder.push(&record, out);
            encoder.finish(out);
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn valid_bytes_cut_or_changed(
        bytes in valid(),
        cut in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        run_all(&bytes);
        run_all(&bytes[..cut.index(bytes.len() + 1)]);
        if !bytes.is_empty() {
            let mut changed = bytes.to_vec();
            for (at, byte) in changes {
                let at = at.index(changed.len());
                changed[at] = byte;
            }
            run_all(&changed);
        }
    }
}
