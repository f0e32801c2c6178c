//! Snapshots as a stream.

use super::shapes::record;
use super::written;
use crate::record::{SnapshotDecoder, SnapshotEncoder, Sum};
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use synod_types::record::Record;

fn encoded(records: &[Record]) -> (Bytes, Sum) {
    let mut out = BytesMut::new();
    let mut encoder = SnapshotEncoder::new(&mut out);
    for record in records {
        encoder.push(record, &mut out);
    }
    let sum = encoder.finish(&mut out);
    (out.freeze(), sum)
}

/// All records, if the snapshot is whole.
fn decoded(bytes: &[u8], cut: usize) -> Result<Vec<Record>, crate::Error> {
    let mut decoder = SnapshotDecoder::new();
    let mut records = Vec::new();
    for piece in bytes.chunks(cut) {
        decoder.feed(piece);
        while let Some(record) = decoder.next_record()? {
            records.push(record);
        }
    }
    decoder.finish()?;
    Ok(records)
}

#[test]
fn an_empty_snapshot() {
    let (bytes, sum) = encoded(&[]);
    assert_eq!(bytes[..12], *b"synodsnp\x01\0\0\0");
    assert_eq!(bytes[12..25], *b"\x0d\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(sum.size_bytes, 29);
    assert_eq!(decoded(&bytes, 5), Ok(vec![]));
}

/// The identity of a snapshot is the checksum of the whole, trailer included: it must still depend on the content.
#[test]
fn two_snapshots_of_a_length_have_two_checksums() {
    let acl = |perms| {
        use synod_types::{Acl, Identity};
        let identity = Identity { scheme: "world".into(), id: "anyone".into() };
        encoded(&[Record::Acl([Acl { perms, identity }].into())]).1.checksum
    };
    let mut checksums: Vec<u32> = (0..100).map(acl).collect();
    checksums.sort();
    checksums.dedup();
    assert_eq!(checksums.len(), 100);
}

#[test]
fn another_file_is_refused() {
    let error = decoded(b"this is not a snapshot", 100).unwrap_err();
    assert!(error.to_string().starts_with("decode snapshot: unknown magic"), "{error}");
    let mut bytes = encoded(&[]).0.to_vec();
    bytes[8] = 9;
    assert_eq!(decoded(&bytes, 100).unwrap_err().to_string(), "decode snapshot: unknown version 9 at offset 0");
}

proptest! {
    #[test]
    fn records_come_back(records in vec(record(), 0..12), cut in 1..300usize) {
        let (bytes, sum) = encoded(&records);
        prop_assert_eq!(sum, Sum { size_bytes: bytes.len() as u64, checksum: crc32c::crc32c(&bytes) });
        prop_assert_eq!(decoded(&bytes, cut), Ok(records));
    }

    #[test]
    fn taking_the_bytes_out_between_records_changes_nothing(records in vec(record(), 0..6)) {
        let whole = encoded(&records).0;
        let pieces = written(|out| {
            let mut encoder = SnapshotEncoder::new(out);
            let mut piece = BytesMut::new();
            for record in &records {
                encoder.push(record, &mut piece);
                out.extend_from_slice(&piece.split());
            }
            encoder.finish(out);
        });
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn a_part_is_not_a_snapshot(records in vec(record(), 0..4), end in any::<prop::sample::Index>()) {
        let (bytes, _) = encoded(&records);
        prop_assert!(decoded(&bytes[..end.index(bytes.len())], 64).is_err());
        let more = [&bytes[..], b"\0"].concat();
        prop_assert!(decoded(&more, 64).is_err());
    }

    #[test]
    fn a_flipped_bit_is_found(records in vec(record(), 0..4), bit in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&records).0.to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decoded(&bytes, 64).is_err());
    }
}
