//! How long the codecs of the hot path take: a setData of 256 bytes as a log entry, and the reply of a getData.

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, Entry, Message};
use synod_types::session::Owner;
use synod_types::{Command, Identity, Index, Mutants, NodeId, Origin, Proposal, SessionId, Stat, Term, WriteOp};
use synod_wire::zookeeper::{Request, Response, opcode};
use synod_wire::{log, peer, proposal, zookeeper};

fn set_data() -> Proposal {
    Proposal {
        origin: Origin { node: NodeId(1), incarnation: 0x1234_5678_9abc_def0, request: 42 },
        time_ms: 1_700_000_000_000,
        command: Command::Write {
            session: SessionId(0x0100_0000_0000_0001),
            owner: Owner { node: NodeId(1), incarnation: 0x1234_5678_9abc_def0, connection: 7 },
            identities: [Identity { scheme: "ip".into(), id: "127.0.0.1".into() }].into(),
            op: WriteOp::SetData {
                path: "/load/key-0000123456".into(),
                data: Some(Bytes::from(vec![b'x'; 256])),
                version: -1,
            },
        },
    }
}

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codecs");
    group.throughput(Throughput::Elements(1));
    let mut out = BytesMut::with_capacity(1 << 20);
    let written = set_data();
    group.bench_function("proposal/encode", |b| {
        b.iter(|| {
            out.clear();
            proposal::put_proposal(&mut out, black_box(&written));
        });
    });

    out.clear();
    proposal::put_proposal(&mut out, &written);
    let bytes = out.split().freeze();
    group.bench_function("proposal/decode", |b| {
        b.iter_batched(|| (), |()| proposal::decode_proposal(black_box(&bytes)), BatchSize::SmallInput);
    });

    let entry = Entry { term: Term(3), index: Index(4), payload: Some(Arc::new(set_data())) };
    let place = log::Place { generation: 1, offset: 4096 };
    group.bench_function("log record/encode", |b| {
        b.iter(|| {
            out.clear();
            log::put_entry(&mut out, place, black_box(&entry))
        });
    });
    out.clear();
    log::put_entry(&mut out, place, &entry);
    let bytes = out.split().freeze();
    group.bench_function("log record/decode", |b| {
        b.iter(|| match log::next_record(black_box(&bytes), 4096, place, Mutants::NONE) {
            log::Next::Record { record, .. } => log::entry(&record),
            other => panic!("{other:?}"),
        });
    });

    let request =
        Request::SetData { path: "/load/key-0000123456".into(), data: Some(Bytes::from(vec![b'x'; 256])), version: -1 };
    out.clear();
    request.encode(&mut out);
    let bytes = out.split().freeze();
    group.bench_function("setData request/decode", |b| {
        b.iter(|| Request::decode(opcode::SET_DATA, black_box(&bytes)));
    });

    let response = Response::Data { data: Some(Bytes::from(vec![b'x'; 256])), stat: Stat::default() };
    group.bench_function("getData reply/encode", |b| {
        b.iter(|| {
            out.clear();
            zookeeper::put_reply(&mut out, 1, 2, Ok(black_box(&response)));
        });
    });

    let entries: Vec<_> = (0..64).map(|_| entry.clone()).collect();
    let (prev_index, prev_term, commit) = (Index(3), Term(3), Index(3));
    let body = Body::Append { prev_index, prev_term, entries, commit, round: 9 };
    let message = PeerMessage::Raft(Message { term: Term(3), body });
    group.throughput(Throughput::Elements(64));
    group.bench_function("append of 64/encode", |b| {
        b.iter(|| {
            out.clear();
            peer::put_message(&mut out, black_box(&message));
        });
    });
    out.clear();
    peer::put_message(&mut out, &message);
    let frame = out.split();
    group.bench_function("append of 64/decode", |b| {
        b.iter_batched(
            || BytesMut::from(&frame[..]),
            |mut buffer| peer::next_frame(&mut buffer, peer::BODY_BYTES_MAX),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, codecs);
criterion_main!(benches);
