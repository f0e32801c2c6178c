//! Log records.

use super::shapes::{data, entry, hard_state, snapshot_meta};
use super::{hex, written};
use crate::log::{
    ALIGNMENT, Damage, HEADER_BYTES, LogRecord, Next, Place, RecordKind, find_record, next_record, put_entry,
    put_hard_state, put_record, put_reset, reset,
};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use synod_types::{Index, Mutants, Term};

const GENERATION: u64 = 0x1122_3344_5566_7788;

fn place(offset: u64) -> Place {
    Place { generation: GENERATION, offset }
}

fn next(bytes: &Bytes, base: u64, offset: u64) -> Next {
    next_record(bytes, base, place(offset), Mutants::NONE)
}

fn three() -> (Vec<LogRecord>, Bytes) {
    let record = |index, body: &'static str| LogRecord {
        kind: RecordKind::Entry,
        index: Index(index),
        term: Term(7),
        body: Bytes::from_static(body.as_bytes()),
    };
    let records = vec![record(1, "one"), record(2, ""), record(3, "fourteen bytes")];
    let bytes = written(|out| {
        for record in &records {
            put_record(out, place(4096 + out.len() as u64), record);
        }
        out.resize(out.len() + 100, 0);
    });
    (records, bytes)
}

#[test]
fn golden_header() {
    let record =
        LogRecord { kind: RecordKind::Truncate, index: Index(2), term: Term(3), body: Bytes::from_static(b"abc") };
    let bytes = written(|out| assert_eq!(put_record(out, place(4096), &record), 56));
    assert_eq!(
        bytes.slice(4..),
        hex("03000000 03 000000 8877665544332211 0010000000000000 0200000000000000 0300000000000000 00000000
             616263 0000000000")
    );
    assert_eq!(bytes[..4], crc32c::crc32c(&bytes[4..51]).to_le_bytes());
}

#[test]
fn records_then_zeros() {
    let (records, bytes) = three();
    let mut offset = 4096;
    for expected in records {
        let Next::Record { record, next } = next(&bytes, 4096, offset) else { panic!("no record at {offset}") };
        assert_eq!(record, expected);
        assert_eq!(next % ALIGNMENT as u64, 0);
        offset = next;
    }
    assert_eq!(next(&bytes, 4096, offset), Next::End);
    // Fewer zeros than a header, and none at all.
    assert_eq!(next(&bytes, 4096, 4096 + bytes.len() as u64 - 3), Next::End);
    assert_eq!(next(&bytes, 4096, 4096 + bytes.len() as u64), Next::End);
}

#[test]
fn damage_says_what_and_where() {
    let (_, bytes) = three();
    let damage = |bytes: &Bytes, at: Place| match next_record(bytes, 4096, at, Mutants::NONE) {
        Next::Damaged { why, at: found } => {
            assert_eq!(found, at.offset);
            why
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(damage(&bytes.slice(..50), place(4096)), Damage::Cut { wanted: 51, left: 50 });
    assert_eq!(damage(&bytes.slice(..20), place(4096)), Damage::Cut { wanted: 48, left: 20 });
    let other_life = Place { generation: 1, offset: 4096 };
    assert_eq!(damage(&bytes, other_life), Damage::Misplaced { generation: GENERATION, offset: 4096 });
    // The second record, written over the first.
    let misdirected = bytes.slice(56..);
    assert_eq!(damage(&misdirected, place(4096)), Damage::Misplaced { generation: GENERATION, offset: 4152 });
    let mut flipped = BytesMut::from(&bytes[..]);
    flipped[48] ^= 1;
    assert!(matches!(damage(&flipped.freeze(), place(4096)), Damage::Checksum { .. }));
    let mut long = BytesMut::from(&bytes[..]);
    long[7] = 0x7f;
    assert!(matches!(damage(&long.freeze(), place(4096)), Damage::TooLong { .. }));
    let mut kind = BytesMut::from(&bytes[..]);
    kind[8] = 99;
    let checksum = crc32c::crc32c(&kind[4..51]).to_le_bytes();
    kind[..4].copy_from_slice(&checksum);
    assert_eq!(damage(&kind.freeze(), place(4096)), Damage::Kind { kind: 99 });
}

#[test]
fn what_stands_behind_damage_is_found() {
    let (_, bytes) = three();
    let mut damaged = BytesMut::from(&bytes[..]);
    damaged[0] ^= 1;
    let bytes = damaged.freeze();
    assert_eq!(find_record(&bytes, 4096, place(4096), Mutants::NONE), Some(4152));
    assert_eq!(find_record(&bytes, 4096, place(4097), Mutants::NONE), Some(4152));
    assert_eq!(find_record(&bytes, 4096, place(4204), Mutants::NONE), None);
}

/// A client may write anything into its data, a whole record too. Without the segment's random number it is none.
#[test]
fn data_that_looks_like_a_record_is_not_found() {
    let inner = LogRecord { kind: RecordKind::Entry, index: Index(9), term: Term(9), body: Bytes::new() };
    let forged = written(|out| {
        put_record(out, Place { generation: 1, offset: 48 }, &inner);
    });
    let outer = LogRecord { body: forged, ..inner };
    let mut bytes = BytesMut::new();
    put_record(&mut bytes, place(0), &outer);
    bytes[0] ^= 1;
    assert_eq!(find_record(&bytes.freeze(), 0, place(0), Mutants::NONE), None);
}

#[cfg(feature = "mutants")]
#[test]
fn the_planted_bug_accepts_a_wrong_checksum() {
    use synod_types::Mutant;
    let (_, bytes) = three();
    let mut flipped = BytesMut::from(&bytes[..]);
    flipped[48] ^= 1;
    let next = next_record(&flipped.freeze(), 4096, place(4096), Mutants::only(Mutant::StoreNoRecordCrc));
    assert!(matches!(next, Next::Record { .. }));
}

proptest! {
    #[test]
    fn records_come_back(
        kind in proptest::sample::select(RecordKind::ALL),
        (index, term) in any::<(u64, u64)>(),
        body in data(),
        offset in (0..1u64 << 40).prop_map(|offset| offset * 8),
        before in 0..5usize,
    ) {
        let record = LogRecord { kind, index: Index(index), term: Term(term), body };
        let mut out = BytesMut::from(&[0xff; 40][..before * 8]);
        let length = put_record(&mut out, place(offset), &record);
        prop_assert_eq!(out.len(), before * 8 + length);
        let base = offset.saturating_sub(before as u64 * 8);
        prop_assume!(offset - base == before as u64 * 8);
        let expected = Next::Record { record, next: offset + length as u64 };
        prop_assert_eq!(next(&out.freeze(), base, offset), expected);
    }

    #[test]
    fn typed_bodies_come_back(entries in vec(entry(), 1..4), state in hard_state(), meta in snapshot_meta()) {
        let bytes = written(|out| {
            for entry in &entries {
                put_entry(out, place(out.len() as u64), entry);
            }
            put_hard_state(out, place(out.len() as u64), &state);
            put_reset(out, place(out.len() as u64), &meta);
        });
        let mut offset = 0;
        let mut records = Vec::new();
        while let Next::Record { record, next } = next(&bytes, 0, offset) {
            records.push(record);
            offset = next;
        }
        prop_assert_eq!(records.len(), entries.len() + 2);
        for (record, expected) in records.iter().zip(&entries) {
            let found = crate::log::entry(record);
            prop_assert_eq!(found.as_ref(), Ok(expected));
        }
        prop_assert_eq!(crate::log::hard_state(&records[entries.len()]), Ok(state));
        prop_assert_eq!(reset(&records[entries.len() + 1]), Ok(meta));
        prop_assert!(reset(&records[0]).is_err());
    }

    #[test]
    fn a_flipped_bit_is_found(entry in entry(), bit in any::<prop::sample::Index>()) {
        let mut bytes = BytesMut::new();
        put_entry(&mut bytes, place(0), &entry);
        let Next::Record { record, .. } = next(&bytes.clone().freeze(), 0, 0) else { panic!("no record") };
        let bit = bit.index((HEADER_BYTES + record.body.len()) * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let damaged = matches!(next(&bytes.freeze(), 0, 0), Next::Damaged { .. });
        prop_assert!(damaged);
    }
}
