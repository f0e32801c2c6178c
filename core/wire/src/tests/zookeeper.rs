//! ZooKeeper's records: golden bytes, and round trips of arbitrary ones.

use super::shapes::{acl, data, stat, text};
use super::{hex, written};
use crate::zookeeper::*;
use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use synod_types::znode::{CreateMode, EventKind};
use synod_types::{Acl, ErrorCode, Identity, Stat, WriteOp, Zxid};

const STAT: &str = "0000000000000001 0000000000000002 0000000000000003 0000000000000004 00000005 00000006 00000007
                    0000000000000008 00000009 0000000a 000000000000000b";

fn a_stat() -> Stat {
    Stat {
        czxid: Zxid(1),
        mzxid: Zxid(2),
        ctime: 3,
        mtime: 4,
        version: 5,
        cversion: 6,
        aversion: 7,
        ephemeral_owner: 8,
        data_length: 9,
        num_children: 10,
        pzxid: Zxid(11),
    }
}

fn world(perms: u32) -> Vec<Acl> {
    vec![Acl { perms, identity: Identity { scheme: "world".into(), id: "anyone".into() } }]
}

fn a_create(flags: i32) -> Create {
    Create { path: "/a".into(), data: Some(Bytes::from_static(b"hi")), acl: Some(world(31)), flags }
}

/// A request's frame has these bytes, and they decode to it.
#[track_caller]
fn golden_request(request: Request, xid: i32, bytes: &str) {
    let bytes = hex(bytes);
    assert_eq!(written(|out| request.put(out, xid)), bytes, "{request:?}");
    let mut buffer = BytesMut::from(&bytes[..]);
    let frame = frame(&mut buffer, FRAME_BYTES_MAX).unwrap().unwrap();
    assert!(buffer.is_empty());
    let (header, body) = RequestHeader::decode(&frame).unwrap();
    assert_eq!(header, RequestHeader { xid, opcode: request.opcode() });
    assert_eq!(Request::decode(header.opcode, &body), Ok(request));
}

/// A reply's frame has these bytes, and they decode to it.
#[track_caller]
fn golden_reply(opcode: i32, xid: i32, zxid: i64, result: Result<Response, i32>, bytes: &str) {
    let bytes = hex(bytes);
    assert_eq!(written(|out| put_reply(out, xid, zxid, result.as_ref().map_err(|code| *code))), bytes);
    let frame = frame(&mut BytesMut::from(&bytes[..]), FRAME_BYTES_MAX).unwrap().unwrap();
    assert_eq!(Reply::decode(&frame, |_| Some(opcode)), Ok(Reply { xid, zxid, result }));
}

#[test]
fn golden_handshake() {
    let mut request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0x1_0000_0002,
        timeout_ms: 10_000,
        session: 0,
        password: Some(Bytes::from_static(&[0; 16])),
        read_only: Some(true),
    };
    let bytes = hex("0000002d 00000000 0000000100000002 00002710 0000000000000000
                     00000010 00000000000000000000000000000000 01");
    assert_eq!(written(|out| request.put(out)), bytes);
    assert_eq!(ConnectRequest::decode(&bytes.slice(4..)), Ok(request.clone()));
    // A client older than 3.4.
    request.read_only = None;
    assert_eq!(written(|out| request.put(out))[..4], hex("0000002c")[..]);
    assert_eq!(ConnectRequest::decode(&bytes.slice(4..48)), Ok(request));

    let response = ConnectResponse {
        protocol_version: 0,
        timeout_ms: 10_000,
        session: 0x0100_0000_0000_0001,
        password: Some(Bytes::from_static(b"0123456789abcdef")),
        read_only: Some(false),
    };
    let bytes = hex("00000025 00000000 00002710 0100000000000001
                     00000010 30313233343536373839616263646566 00");
    assert_eq!(written(|out| response.put(out)), bytes);
    assert_eq!(ConnectResponse::decode(&bytes.slice(4..)), Ok(response));
}

#[test]
fn golden_creates() {
    let args = "00000002 2f61 00000002 6869 00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65";
    golden_request(Request::Create(a_create(3)), 1, &format!("00000033 00000001 00000001 {args} 00000003"));
    golden_request(Request::Create2(a_create(0)), 1, &format!("00000033 00000001 0000000f {args} 00000000"));
    golden_request(Request::CreateContainer(a_create(4)), 1, &format!("00000033 00000001 00000013 {args} 00000004"));
    golden_request(
        Request::CreateTtl { create: a_create(5), ttl_ms: 1000 },
        1,
        &format!("0000003b 00000001 00000015 {args} 00000005 00000000000003e8"),
    );
    golden_request(
        Request::Create(Create { path: "/a".into(), data: None, acl: None, flags: 0 }),
        1,
        "0000001a 00000001 00000001 00000002 2f61 ffffffff ffffffff 00000000",
    );
}

#[test]
fn golden_requests() {
    let path = || "/a".to_string();
    golden_request(
        Request::Delete { path: path(), version: -1 },
        2,
        "00000012 00000002 00000002 00000002 2f61 ffffffff",
    );
    golden_request(Request::Exists { path: path(), watch: true }, 3, "0000000f 00000003 00000003 00000002 2f61 01");
    golden_request(Request::GetData { path: path(), watch: false }, 3, "0000000f 00000003 00000004 00000002 2f61 00");
    golden_request(
        Request::SetData { path: path(), data: Some(Bytes::new()), version: 7 },
        4,
        "00000016 00000004 00000005 00000002 2f61 00000000 00000007",
    );
    golden_request(Request::GetAcl { path: path() }, 5, "0000000e 00000005 00000006 00000002 2f61");
    golden_request(
        Request::SetAcl { path: path(), acl: Some(world(1)), version: 0 },
        6,
        "0000002d 00000006 00000007 00000002 2f61 00000001 00000001 00000005 776f726c64 00000006 616e796f6e65 00000000",
    );
    golden_request(
        Request::GetChildren { path: path(), watch: true },
        7,
        "0000000f 00000007 00000008 00000002 2f61 01",
    );
    golden_request(Request::Sync { path: path() }, 8, "0000000e 00000008 00000009 00000002 2f61");
    golden_request(Request::Ping, xid::PING, "00000008 fffffffe 0000000b");
    golden_request(
        Request::GetChildren2 { path: path(), watch: false },
        9,
        "0000000f 00000009 0000000c 00000002 2f61 00",
    );
    golden_request(
        Request::Reconfig { joining: Some("s".into()), leaving: None, members: Some(String::new()), config_id: -1 },
        10,
        "0000001d 0000000a 00000010 00000001 73 ffffffff 00000000 ffffffffffffffff",
    );
    golden_request(
        Request::CheckWatches { path: path(), kind: 3 },
        11,
        "00000012 0000000b 00000011 00000002 2f61 00000003",
    );
    golden_request(
        Request::RemoveWatches { path: path(), kind: 1 },
        12,
        "00000012 0000000c 00000012 00000002 2f61 00000001",
    );
    golden_request(
        Request::Auth { kind: 0, scheme: "digest".into(), auth: Some(Bytes::from_static(b"u:p")) },
        xid::AUTH,
        "0000001d fffffffc 00000064 00000000 00000006 646967657374 00000003 753a70",
    );
    golden_request(
        Request::SetWatches { relative_zxid: 5, data: vec![path()], exist: vec![], child: vec!["/b".into()] },
        xid::SET_WATCHES,
        "00000028 fffffff8 00000065 0000000000000005 00000001 00000002 2f61 00000000 00000001 00000002 2f62",
    );
    golden_request(
        Request::Sasl { token: Some(Bytes::from_static(b"t")) },
        13,
        "0000000d 0000000d 00000066 00000001 74",
    );
    golden_request(Request::GetEphemerals { prefix: "/".into() }, 14, "0000000d 0000000e 00000067 00000001 2f");
    golden_request(Request::GetAllChildrenNumber { path: path() }, 15, "0000000e 0000000f 00000068 00000002 2f61");
    golden_request(
        Request::SetWatches2 {
            relative_zxid: 5,
            data: vec![],
            exist: vec![],
            child: vec![],
            persistent: vec![path()],
            recursive: vec![],
        },
        xid::SET_WATCHES,
        "0000002a fffffff8 00000069 0000000000000005 00000000 00000000 00000000 00000001 00000002 2f61 00000000",
    );
    golden_request(
        Request::AddWatch { path: path(), mode: 1 },
        16,
        "00000012 00000010 0000006a 00000002 2f61 00000001",
    );
    golden_request(Request::WhoAmI, 17, "00000008 00000011 0000006b");
    golden_request(Request::CloseSession, 18, "00000008 00000012 fffffff5");
    golden_request(Request::Unknown { opcode: 99 }, 19, "00000008 00000013 00000063");
}

#[test]
fn golden_multi() {
    golden_request(
        Request::Multi(vec![
            Request::Delete { path: "/a".into(), version: -1 },
            Request::Check { path: "/b".into(), version: 2 },
        ]),
        1,
        "00000037 00000001 0000000e
         00000002 00 ffffffff 00000002 2f61 ffffffff
         0000000d 00 ffffffff 00000002 2f62 00000002
         ffffffff 01 ffffffff",
    );
    golden_request(Request::Multi(vec![]), 1, "00000011 00000001 0000000e ffffffff 01 ffffffff");
    golden_request(
        Request::MultiRead(vec![
            Request::GetData { path: "/a".into(), watch: false },
            Request::GetChildren { path: "/b".into(), watch: false },
        ]),
        1,
        "00000031 00000001 00000016
         00000004 00 ffffffff 00000002 2f61 00
         00000008 00 ffffffff 00000002 2f62 00
         ffffffff 01 ffffffff",
    );
    golden_reply(
        opcode::MULTI,
        1,
        9,
        Ok(Response::Multi(vec![
            Ok(Part::Create { path: "/a".into() }),
            Ok(Part::Deleted),
            Ok(Part::Checked),
            Ok(Part::Set { stat: a_stat() }),
        ])),
        &format!(
            "00000087 00000001 0000000000000009 00000000
             00000001 00 00000000 00000002 2f61
             00000002 00 00000000
             0000000d 00 00000000
             00000005 00 00000000 {STAT}
             ffffffff 01 ffffffff"
        ),
    );
    // The second part failed: the one before it has code 0, the one after it -2.
    golden_reply(
        opcode::MULTI,
        1,
        9,
        Ok(Response::Multi(vec![Err(0), Err(-103), Err(-2)])),
        "00000040 00000001 0000000000000009 00000000
         ffffffff 00 00000000 00000000
         ffffffff 00 ffffff99 ffffff99
         ffffffff 00 fffffffe fffffffe
         ffffffff 01 ffffffff",
    );
    golden_reply(
        opcode::MULTI_READ,
        1,
        9,
        Ok(Response::Multi(vec![Ok(Part::Children { children: vec!["x".into()] }), Err(-101)])),
        "00000038 00000001 0000000000000009 00000000
         00000008 00 00000000 00000001 00000001 78
         ffffffff 00 ffffff9b ffffff9b
         ffffffff 01 ffffffff",
    );
}

#[test]
fn golden_replies() {
    let reply = |body: &str, opcode: i32, response: Response| {
        let length = hex(body).len() + 16;
        let bytes = format!("{length:08x} 00000002 0000000100000003 00000000 {body}");
        golden_reply(opcode, 2, 0x1_0000_0003, Ok(response), &bytes);
    };
    let stat = a_stat();
    golden_reply(
        opcode::GET_DATA,
        2,
        0x1_0000_0003,
        Ok(Response::Data { data: Some(Bytes::from_static(b"hi")), stat }),
        &format!("0000005a 00000002 0000000100000003 00000000 00000002 6869 {STAT}"),
    );
    golden_reply(opcode::GET_DATA, 2, 3, Err(-101), "00000010 00000002 0000000000000003 ffffff9b");
    reply("", opcode::DELETE, Response::Empty);
    reply("00000002 2f61", opcode::CREATE, Response::Create { path: "/a".into() });
    reply(&format!("00000002 2f61 {STAT}"), opcode::CREATE_TTL, Response::Create2 { path: "/a".into(), stat });
    reply(STAT, opcode::EXISTS, Response::Stat(stat));
    reply(&format!("ffffffff {STAT}"), opcode::GET_DATA, Response::Data { data: None, stat });
    reply(
        &format!("00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 {STAT}"),
        opcode::GET_ACL,
        Response::Acl { acl: world(31), stat },
    );
    reply("00000001 00000001 78", opcode::GET_CHILDREN, Response::Children { children: vec!["x".into()] });
    reply(
        &format!("00000001 00000001 78 {STAT}"),
        opcode::GET_CHILDREN2,
        Response::Children2 { children: vec!["x".into()], stat },
    );
    reply("00000002 2f61", opcode::SYNC, Response::Sync { path: "/a".into() });
    reply("ffffffff", opcode::SASL, Response::Sasl { token: None });
    reply("00000000", opcode::ADD_WATCH, Response::AddWatch);
    reply("00000001 00000002 2f65", opcode::GET_EPHEMERALS, Response::Ephemerals { paths: vec!["/e".into()] });
    reply("00000007", opcode::GET_ALL_CHILDREN_NUMBER, Response::Count(7));
    reply(
        "00000001 00000002 6970 00000003 3a3a31",
        opcode::WHO_AM_I,
        Response::WhoAmI(vec![ClientInfo { scheme: "ip".into(), user: "::1".into() }]),
    );
}

#[test]
fn golden_event() {
    let bytes = hex("0000001e ffffffff 0000000100000003 00000000 00000003 00000003 00000002 2f61");
    assert_eq!(written(|out| put_event(out, 0x1_0000_0003, EventKind::DataChanged, "/a")), bytes);
    let event = WatcherEvent { kind: 3, state: STATE_CONNECTED, path: "/a".into() };
    let reply = Reply::decode(&bytes.slice(4..), |_| None).unwrap();
    assert_eq!(reply, Reply { xid: -1, zxid: 0x1_0000_0003, result: Ok(Response::Event(event)) });
}

#[test]
fn special_replies_need_no_request() {
    let empty = |xid| Ok(Reply { xid, zxid: 5, result: Ok(Response::Empty) });
    for xid in [xid::PING, xid::AUTH, xid::SET_WATCHES] {
        let frame = written(|out| put_reply(out, xid, 5, Ok(&Response::Empty))).slice(4..);
        assert_eq!(Reply::decode(&frame, |_| None), empty(xid));
    }
    let frame = written(|out| put_reply(out, 8, 5, Ok(&Response::Empty))).slice(4..);
    assert_eq!(Reply::decode(&frame, |_| None).unwrap_err().to_string(), "decode reply: unknown xid 8 at offset 0");
}

#[test]
fn frames_arrive_in_pieces() {
    let bytes = hex("00000002 6162 00000000 00000001 63");
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for byte in &bytes {
        buffer.extend_from_slice(&[*byte]);
        while let Some(frame) = frame(&mut buffer, 2).unwrap() {
            frames.push(frame);
        }
    }
    assert_eq!(frames, [&b"ab"[..], b"", b"c"]);
    let error = |bytes: &str| frame(&mut BytesMut::from(&hex(bytes)[..]), FRAME_BYTES_MAX).unwrap_err().to_string();
    assert_eq!(error("ffffffff"), "decode frame: negative length -1 at offset 0");
    assert_eq!(error("00100000"), "decode frame: length 1048576 exceeds 1048575 at offset 0");
}

#[test]
fn reads_and_writes_do_not_mix() {
    let mixed = |opcode, part: Request| {
        let body = written(|out| Request::Multi(vec![part]).encode(out));
        Request::decode(opcode, &body).unwrap_err().to_string()
    };
    let read = Request::GetData { path: "/a".into(), watch: false };
    let write = Request::Delete { path: "/a".into(), version: 0 };
    assert_eq!(mixed(opcode::MULTI, read), "decode multi: operation 4 does not belong there at offset 0");
    assert_eq!(mixed(opcode::MULTI_READ, write), "decode multi: operation 2 does not belong there at offset 0");
    assert!(mixed(opcode::MULTI, Request::Multi(vec![])).contains("operation 14"));
    // By itself a check is no operation.
    let check = written(|out| Request::Check { path: "/a".into(), version: 0 }.encode(out));
    assert_eq!(Request::decode(opcode::CHECK, &check), Ok(Request::Unknown { opcode: 13 }));
}

#[test]
fn words() {
    assert_eq!(four_letter_word(*b"ruok"), Some(Word::Ruok));
    assert_eq!(four_letter_word(*b"RUOK"), None);
    assert_eq!(four_letter_word([0, 0, 0, 45]), None);
    assert_eq!(Word::ALL.len(), 18);
    for word in Word::ALL {
        let name: [u8; 4] = word.name().as_bytes().try_into().unwrap();
        assert_eq!(four_letter_word(name), Some(*word));
    }
}

#[test]
fn create_modes() {
    let mode = |request: Request, extended_types| match write_op(request, extended_types) {
        Some(WriteOp::Create { mode, .. }) => Ok(mode),
        Some(WriteOp::Refused { error }) => Err(error),
        other => panic!("{other:?}"),
    };
    let ttl = |flags, ttl_ms| Request::CreateTtl { create: a_create(flags), ttl_ms };
    assert_eq!(mode(Request::Create(a_create(0)), false), Ok(CreateMode::Persistent));
    assert_eq!(mode(Request::Create2(a_create(1)), false), Ok(CreateMode::Ephemeral));
    assert_eq!(mode(Request::Create(a_create(2)), false), Ok(CreateMode::PersistentSequential));
    assert_eq!(mode(Request::Create(a_create(3)), false), Ok(CreateMode::EphemeralSequential));
    assert_eq!(mode(Request::CreateContainer(a_create(4)), false), Ok(CreateMode::Container));
    assert_eq!(mode(ttl(5, 1), true), Ok(CreateMode::PersistentTtl { ttl_ms: 1 }));
    assert_eq!(mode(ttl(6, (1 << 40) - 1), true), Ok(CreateMode::PersistentSequentialTtl { ttl_ms: (1 << 40) - 1 }));
    assert_eq!(mode(Request::Create(a_create(7)), true), Err(ErrorCode::BadArguments));
    assert_eq!(mode(Request::Create(a_create(-1)), true), Err(ErrorCode::BadArguments));
    assert_eq!(mode(Request::Create(a_create(5)), true), Err(ErrorCode::BadArguments));
    assert_eq!(mode(Request::Create(a_create(5)), false), Err(ErrorCode::Unimplemented));
    assert_eq!(mode(ttl(5, 0), true), Err(ErrorCode::BadArguments));
    assert_eq!(mode(ttl(5, 1 << 40), true), Err(ErrorCode::BadArguments));
    assert_eq!(mode(ttl(5, -1), false), Err(ErrorCode::Unimplemented));
    assert_eq!(mode(ttl(0, 1), true), Err(ErrorCode::BadArguments));
    assert_eq!(write_op(Request::Ping, true), None);
    assert_eq!(write_op(Request::MultiRead(vec![]), true), None);
}

#[test]
fn a_multi_keeps_every_part() {
    let parts = vec![Request::Create(a_create(9)), Request::Check { path: "/b".into(), version: 1 }];
    let ops =
        vec![WriteOp::Refused { error: ErrorCode::BadArguments }, WriteOp::Check { path: "/b".into(), version: 1 }];
    assert_eq!(write_op(Request::Multi(parts), false), Some(WriteOp::Multi { ops }));
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn creation() -> impl Strategy<Value = Create> {
    (text(), option::of(data()), option::of(acl()), any::<i32>()).prop_map(|(path, data, acl, flags)| Create {
        path,
        data,
        acl,
        flags,
    })
}

fn write_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        creation().prop_map(Request::Create),
        creation().prop_map(Request::Create2),
        creation().prop_map(Request::CreateContainer),
        (creation(), any::<i64>()).prop_map(|(create, ttl_ms)| Request::CreateTtl { create, ttl_ms }),
        (text(), any::<i32>()).prop_map(|(path, version)| Request::Delete { path, version }),
        (text(), option::of(data()), any::<i32>()).prop_map(|(path, data, version)| Request::SetData {
            path,
            data,
            version
        }),
    ]
}

fn read_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        (text(), any::<bool>()).prop_map(|(path, watch)| Request::GetData { path, watch }),
        (text(), any::<bool>()).prop_map(|(path, watch)| Request::GetChildren { path, watch }),
    ]
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    let check = (text(), any::<i32>()).prop_map(|(path, version)| Request::Check { path, version });
    prop_oneof![
        write_request(),
        read_request(),
        vec(prop_oneof![write_request(), check], 0..5).prop_map(Request::Multi),
        vec(read_request(), 0..5).prop_map(Request::MultiRead),
        (text(), option::of(acl()), any::<i32>()).prop_map(|(path, acl, version)| Request::SetAcl {
            path,
            acl,
            version
        }),
        (any::<i32>(), text(), option::of(data())).prop_map(|(kind, scheme, auth)| Request::Auth {
            kind,
            scheme,
            auth
        }),
        (any::<i64>(), texts(), texts(), texts()).prop_map(|(relative_zxid, data, exist, child)| {
            Request::SetWatches { relative_zxid, data, exist, child }
        }),
        (any::<i64>(), texts(), texts(), texts(), texts(), texts()).prop_map(
            |(relative_zxid, data, exist, child, persistent, recursive)| Request::SetWatches2 {
                relative_zxid,
                data,
                exist,
                child,
                persistent,
                recursive
            }
        ),
        (option::of(text()), option::of(text()), option::of(text()), any::<i64>()).prop_map(
            |(joining, leaving, members, config_id)| Request::Reconfig { joining, leaving, members, config_id }
        ),
        option::of(data()).prop_map(|token| Request::Sasl { token }),
        (text(), any::<i32>()).prop_map(|(path, mode)| Request::AddWatch { path, mode }),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        text().prop_map(|path| Part::Create { path }),
        (text(), stat()).prop_map(|(path, stat)| Part::Create2 { path, stat }),
        Just(Part::Deleted),
        stat().prop_map(|stat| Part::Set { stat }),
        Just(Part::Checked),
        (option::of(data()), stat()).prop_map(|(data, stat)| Part::Data { data, stat }),
        texts().prop_map(|children| Part::Children { children }),
    ]
}

/// A response with an operation that has it.
pub(super) fn response() -> impl Strategy<Value = (i32, Response)> {
    prop_oneof![
        Just((opcode::DELETE, Response::Empty)),
        text().prop_map(|path| (opcode::CREATE, Response::Create { path })),
        (text(), stat()).prop_map(|(path, stat)| (opcode::CREATE2, Response::Create2 { path, stat })),
        stat().prop_map(|stat| (opcode::SET_DATA, Response::Stat(stat))),
        (option::of(data()), stat()).prop_map(|(data, stat)| (opcode::GET_DATA, Response::Data { data, stat })),
        (acl(), stat()).prop_map(|(acl, stat)| (opcode::GET_ACL, Response::Acl { acl, stat })),
        (texts(), stat()).prop_map(|(children, stat)| (opcode::GET_CHILDREN2, Response::Children2 { children, stat })),
        vec(prop_oneof![3 => part().prop_map(Ok), 1 => any::<i32>().prop_map(Err)], 0..6)
            .prop_map(|results| (opcode::MULTI, Response::Multi(results))),
        texts().prop_map(|paths| (opcode::GET_EPHEMERALS, Response::Ephemerals { paths })),
        vec((text(), text()).prop_map(|(scheme, user)| ClientInfo { scheme, user }), 0..4)
            .prop_map(|infos| (opcode::WHO_AM_I, Response::WhoAmI(infos))),
    ]
}

proptest! {
    #[test]
    fn requests_come_back(request in request(), xid in any::<i32>()) {
        let mut buffer = BytesMut::new();
        request.put(&mut buffer, xid);
        let frame = frame(&mut buffer, usize::MAX).unwrap().unwrap();
        prop_assert!(buffer.is_empty());
        let (header, body) = RequestHeader::decode(&frame).unwrap();
        prop_assert_eq!(header.xid, xid);
        prop_assert_eq!(Request::decode(header.opcode, &body), Ok(request));
    }

    #[test]
    fn replies_come_back(
        (opcode, response) in response(),
        xid in 1..i32::MAX,
        zxid in any::<i64>(),
        code in option::of(1..=i32::MAX),
    ) {
        let result = match code {
            Some(code) => Err(-code),
            None => Ok(response),
        };
        let mut buffer = BytesMut::new();
        put_reply(&mut buffer, xid, zxid, result.as_ref().map_err(|code| *code));
        let frame = frame(&mut buffer, usize::MAX).unwrap().unwrap();
        prop_assert_eq!(Reply::decode(&frame, |_| Some(opcode)), Ok(Reply { xid, zxid, result }));
    }
}
