//! For each rule a history that keeps it and one that breaks it; and a long honest one, for false alarms and time.

use super::world::*;
use super::{Options, check};
use crate::finding::Severity;
use crate::history::*;
use synod_types::Zxid;
use synod_types::command::{Command, WriteOp};
use synod_types::znode::perms;

fn rules(history: &History) -> Vec<String> {
    let mut rules: Vec<String> =
        check(history, Options::default()).iter().map(|f| format!("{}/{}", f.oracle, f.rule)).collect();
    rules.dedup();
    rules
}

/// A good history, and what the rules say once it is changed.
#[track_caller]
fn broken(world: &World, change: impl FnOnce(&mut History)) -> Vec<String> {
    assert_eq!(check(&world.history, Options::default()), []);
    let mut history = world.history.clone();
    change(&mut history);
    rules(&history)
}

#[track_caller]
fn has(rules: Vec<String>, rule: &str) {
    assert!(rules.iter().any(|r| r == rule), "{rule} is not among {rules:?}");
}

fn reply(history: &mut History, i: usize) -> &mut Reply {
    match &mut history.operations[i].response {
        Some(Response::Ok(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

/// A long honest run with every kind of request, some of unknown outcome.
fn long(operations: usize) -> World {
    let mut world = World::new(8);
    for name in ["/a", "/q", "/e"] {
        world.call(0, create(name, &format!("start {name}")));
    }
    let mut random = 88172645463325252u64;
    for n in 0..operations {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let client = (random >> 20) as usize % 8;
        let path = format!("/a/{}", random >> 30 & 15);
        let (value, watch) = (format!("v{n}"), random >> 50 & 1 == 1);
        let multi = vec![
            MultiOp::Check { path: "/a".into(), version: 0 },
            MultiOp::SetData { path: path.clone(), data: value.as_str().into(), version: -1 },
            MultiOp::Create(Create {
                path: "/q/m-".into(),
                data: format!("m{n}").as_str().into(),
                ephemeral: false,
                sequential: true,
                ..Create::default()
            }),
        ];
        let request = match random >> 40 & 15 {
            0 => create(&path, &value),
            1 => delete(&path),
            2 => sequential("/q/n-", &value),
            3..=5 => set(&path, &value),
            6 => exists(&path, watch),
            7..=9 => get(&path, watch),
            10 => children("/a", watch),
            11 => Request::Sync { path: "/".into() },
            12 => Request::Multi { ops: multi },
            13 => ephemeral(&format!("/e/{client}-{n}")),
            14 => Request::SetData { path, data: value.as_str().into(), version: 3 },
            _ => Request::Ping,
        };
        // A lost answer to a read that watches would end the connection.
        let watches = matches!(
            request,
            Request::Exists { watch: true, .. }
                | Request::GetData { watch: true, .. }
                | Request::GetChildren { watch: true, .. }
        );
        match random >> 56 {
            0..=4 if !watches => world.lose(client, request),
            _ => world.call(client, request),
        };
    }
    world.call(7, Request::CloseSession);
    world
}

#[test]
fn an_honest_run_holds() {
    let world = long(2000);
    assert_eq!(check(&world.history, Options::default()), []);
    let start = std::time::Instant::now();
    check(&world.history, Options::default());
    eprintln!("2000 operations checked in {:?}", start.elapsed());
    // Without the log some of it cannot be decided, but nothing is wrong.
    let mut blind = world.history.clone();
    blind.truth = None;
    assert!(check(&blind, Options::default()).iter().all(|f| f.severity == Severity::Unknown));
}

#[test]
fn reads_show_the_tree_at_their_zxid() {
    let mut world = World::new(2);
    world.call(0, create("/a", "1"));
    let read = world.call(1, get("/a", false));
    let list = world.call(1, children("/", false));
    has(broken(&world, |h| reply(h, read).data = Some("2".into())), "zookeeper_versions/read_result");
    has(broken(&world, |h| reply(h, list).children = Some(vec![])), "zookeeper_versions/read_result");
    let stale = |h: &mut History| reply(h, read).stat.as_mut().unwrap().pzxid = Zxid(3);
    has(broken(&world, stale), "zookeeper_versions/read_result");
    let without_log = |h: &mut History| {
        h.truth = None;
        stale(h);
    };
    has(broken(&world, without_log), "zookeeper_versions/read_result");
    has(
        broken(&world, |h| h.operations[read].response = Some(Response::Error(-101))),
        "zookeeper_versions/read_result",
    );
}

#[test]
fn writes_answer_what_the_log_and_the_tree_say() {
    let mut world = World::new(2);
    let made = world.call(0, sequential("/n-", "1"));
    let failed = world.call(0, delete("/none"));
    has(broken(&world, |h| reply(h, made).path = Some("/n-0000000001".into())), "zookeeper_versions/reply");
    has(broken(&world, |h| h.operations[failed].response = Some(Response::Error(-103))), "zookeeper_versions/reply");
    let both = |h: &mut History| {
        h.truth = None;
        h.operations[failed].response = Some(Response::Ok(Reply::default()));
    };
    has(broken(&world, both), "zookeeper_versions/write_result");
    let log_lies = |h: &mut History| {
        let applied = h.truth.as_mut().unwrap().last_mut().unwrap();
        applied.outcome.result = Err(synod_types::ErrorCode::BadVersion);
    };
    has(broken(&world, log_lies), "zookeeper_versions/write_result");
    let zxid = |h: &mut History| h.truth.as_mut().unwrap()[2].outcome.zxid = Zxid(1);
    has(broken(&world, zxid), "zookeeper_versions/outcome");
    let order = |h: &mut History| h.truth.as_mut().unwrap()[2].zxid = Zxid(1);
    has(broken(&world, order), "zookeeper_versions/zxid_order");
}

#[test]
fn every_request_is_answered_in_its_place() {
    let mut world = World::new(2);
    world.call(0, create("/a", "1"));
    world.call(1, get("/a", true));
    let asked = world.call(0, Request::Sync { path: "/a".into() });
    let changed = world.call(0, set("/a", "2"));
    let read = world.call(1, get("/a", false));
    world.wait_ms(5_000);
    world.call(0, Request::Ping);
    let unanswered = |h: &mut History| {
        let o = &mut h.operations[asked];
        (o.return_ns, o.response, o.position, o.zxid) = (None, None, None, 0);
    };
    has(broken(&world, unanswered), "answers/unanswered");
    // Nobody is owed an answer on a connection that ended, or while faults go on.
    let excused = |change: &dyn Fn(&mut History)| {
        let mut history = world.history.clone();
        unanswered(&mut history);
        change(&mut history);
        assert!(!rules(&history).iter().any(|r| r == "answers/unanswered"));
    };
    excused(&|h| h.header.quiescent = false);
    excused(&|h| {
        let (client, connection, time_ns) = (0, 0, h.operations[asked].call_ns + 1);
        h.connections.push(ConnectionEvent { client, connection, time_ns, change: Change::Disconnected });
    });
    let before = world.history.operations[changed].zxid - 1;
    has(broken(&world, |h| h.operations[read].zxid = before), "answers/behind_event");
    let stray = Stray { client: 0, connection: 0, time_ns: 1, due: Some(4), came: 5 };
    has(broken(&world, |h| h.strays.push(stray)), "answers/stray");
}

#[test]
fn pings_are_answered_when_all_is_quiet() {
    let mut world = World::new(1);
    world.call(0, Request::Ping);
    let last = world.call(0, Request::Ping);
    let asked_ns = world.history.operations[last].call_ns;
    world.history.header.end_ns = asked_ns + 3_000_000_000;
    let late = |h: &mut History| h.operations[last].return_ns = Some(asked_ns + 1_600_000_000);
    has(broken(&world, late), "answers/ping");
    let unanswered = |h: &mut History| {
        let o = &mut h.operations[last];
        (o.return_ns, o.response, o.position, o.zxid) = (None, None, None, 0);
    };
    has(broken(&world, unanswered), "answers/ping");
    let excused = |change: &dyn Fn(&mut History)| {
        let mut history = world.history.clone();
        unanswered(&mut history);
        change(&mut history);
        assert!(!rules(&history).iter().any(|r| r == "answers/ping"));
    };
    excused(&|h| h.header.quiescent = false);
    // All may not have been quiet when it was asked, or its answer may be on its way.
    excused(&|h| h.header.end_ns = asked_ns + 9_000_000_000);
    excused(&|h| h.header.end_ns = asked_ns + 1_000_000_000);
    excused(&|h| {
        let time_ns = asked_ns + 1_000_000_000;
        h.connections.push(ConnectionEvent { client: 0, connection: 0, time_ns, change: Change::Disconnected });
    });
}

#[test]
fn who_may_not_write_does_not() {
    let mut world = World::new(1);
    world.history.header.address = Some("10.0.0.9".into());
    world.call(0, create("/a", "1"));
    world.call(0, set("/a", "2"));
    world.call(0, get("/a", false));
    let list = |h: &mut History, perms| {
        let identity = synod_types::Identity { scheme: "world".into(), id: "anyone".into() };
        let list = vec![synod_types::Acl { perms, identity }];
        for applied in h.truth.as_mut().unwrap() {
            if let Command::Write { op: WriteOp::Create { acl, .. }, .. } = &mut applied.command {
                *acl = Some(list.clone());
            }
        }
        for operation in &mut h.operations {
            if let Request::Create(create) = &mut operation.request {
                create.acl = Some(list.clone());
            }
        }
    };
    assert_eq!(broken(&world, |h| list(h, perms::ALL)), Vec::<String>::new());
    has(broken(&world, |h| list(h, perms::ALL & !perms::WRITE)), "zookeeper_versions/write_result");
    has(broken(&world, |h| list(h, perms::ALL & !perms::READ)), "zookeeper_versions/read_result");
    let refused = |h: &mut History| {
        h.truth.as_mut().unwrap().last_mut().unwrap().outcome.result = Err(synod_types::ErrorCode::NoAuth);
    };
    has(broken(&world, refused), "zookeeper_versions/write_result");
    let as_another = |h: &mut History| {
        for applied in h.truth.as_mut().unwrap() {
            if let Command::Write { identities, .. } = &mut applied.command {
                *identities = Default::default();
            }
        }
    };
    has(broken(&world, as_another), "identities/author");
}

#[test]
fn real_time_and_sessions_go_forward() {
    let mut world = World::new(2);
    let first = world.call(0, create("/a", "1"));
    let second = world.call(1, set("/a", "2"));
    let sync = world.call(0, Request::Sync { path: "/a".into() });
    world.call(0, get("/a", false));
    let swap = |h: &mut History| {
        let (a, b) = (h.operations[first].zxid, h.operations[second].zxid);
        (h.operations[first].zxid, h.operations[second].zxid) = (b, a);
    };
    has(broken(&world, swap), "zookeeper_versions/write_floor");
    let stale = |h: &mut History| h.operations[sync].zxid -= 1;
    has(broken(&world, stale), "zookeeper_versions/sync_floor");
    let back = |h: &mut History| h.operations[sync].zxid += 5;
    has(broken(&world, back), "zookeeper_versions/session_order");
    let early = |h: &mut History| h.operations[sync].position = Some(0);
    has(broken(&world, early), "zookeeper_versions/reply_order");
    let same = |h: &mut History| {
        h.truth = None;
        h.operations[second].zxid = h.operations[first].zxid;
    };
    has(broken(&world, same), "zookeeper_versions/zxid_unique");
}

#[test]
fn the_log_holds_each_command_once_and_in_order() {
    let mut world = World::new(2);
    let first = world.call(0, create("/a", "1"));
    world.lose(0, set("/a", "2"));
    let third = world.call(0, set("/a", "3"));
    has(broken(&world, |h| h.operations[first].zxid = 1), "zookeeper_versions/not_in_log");
    let mixed = |h: &mut History| h.operations[third].zxid = h.operations[first].zxid;
    has(broken(&world, mixed), "zookeeper_versions/other_in_log");
    let twice = |h: &mut History| {
        let again = h.operations[first].clone();
        h.operations.insert(first + 1, again);
    };
    has(broken(&world, twice), "zookeeper_versions/twice");
    let order = |h: &mut History| {
        let truth = h.truth.as_mut().unwrap();
        let (a, b) = (truth[3].command.clone(), truth[4].command.clone());
        (truth[3].command, truth[4].command) = (b, a);
        h.operations[third].zxid -= 1;
    };
    has(broken(&world, order), "zookeeper_versions/phantom");
    let fifo = |h: &mut History| {
        let truth = h.truth.as_mut().unwrap();
        let (a, b) = (truth[2].command.clone(), truth[4].command.clone());
        (truth[2].command, truth[4].command) = (b, a);
        (h.operations[first].zxid, h.operations[third].zxid) = (h.operations[third].zxid, h.operations[first].zxid);
    };
    has(broken(&world, fifo), "zookeeper_versions/session_fifo");
    // A retry that took effect twice.
    let again = |h: &mut History| {
        let truth = h.truth.as_mut().unwrap();
        let mut copy = truth[3].clone();
        copy.zxid = Zxid(truth[4].zxid.0 + 1);
        truth.push(copy);
    };
    has(broken(&world, again), "zookeeper_versions/phantom");
}

#[test]
fn sessions_are_needed_to_write_and_attach() {
    let mut world = World::new(1);
    world.call(0, create("/a", "1"));
    let moved = |h: &mut History| {
        for applied in h.truth.as_mut().unwrap() {
            if let Command::Write { owner, .. } = &mut applied.command {
                owner.connection += 1;
            }
        }
    };
    has(broken(&world, moved), "zookeeper_versions/write_result");
    let gone = |h: &mut History| h.truth.as_mut().unwrap().swap(0, 1);
    has(broken(&world, gone), "zookeeper_versions/write_result");
    let attach = |h: &mut History| {
        let truth = h.truth.as_mut().unwrap();
        let mut applied = truth[0].clone();
        if let Command::OpenSession { session, timeout_ms, owner, .. } = applied.command {
            applied.command = Command::AttachSession { session, password: [9; 16], timeout_ms, owner };
        }
        (applied.zxid, applied.outcome.zxid) = (Zxid(i64::MAX), Zxid(i64::MAX));
        truth.push(applied);
    };
    has(broken(&world, attach), "zookeeper_versions/attach");
}

fn attach(world: &World, password: Data, session_granted: i64) -> Operation {
    let last = world.history.operations.last().unwrap();
    let granted = Granted { session: session_granted, password: password.clone(), timeout_ms: TIMEOUT_MS };
    Operation {
        session: session(0),
        connection: 99,
        call_ns: last.return_ns.unwrap(),
        return_ns: Some(last.return_ns.unwrap() + 1),
        request: Request::AttachSession { session: session(0), password, timeout_ms: TIMEOUT_MS, last_zxid_seen: 0 },
        response: Some(Response::Ok(Reply { session: Some(granted), ..Reply::default() })),
        zxid: 0,
        position: Some(0),
        ..last.clone()
    }
}

#[test]
fn sessions_live_as_long_as_they_must_and_no_longer() {
    let mut world = World::new(2);
    world.call(0, ephemeral("/e"));
    let seen = world.call(1, get("/e", false));
    let stat = reply(&mut world.history, seen).stat;
    world.wait_ms(u64::from(TIMEOUT_MS) + 1);
    world.end(0, false);
    world.call(1, create("/later", "1"));
    let gone = world.call(1, get("/e", false));
    let early = |h: &mut History| {
        let at = h.operations[seen].return_ns;
        for applied in h.truth.as_mut().unwrap() {
            if matches!(applied.command, Command::ExpireSession { .. }) {
                applied.applied_ns = at;
            }
        }
    };
    has(broken(&world, early), "sessions/early_expiry");
    let throttled = |h: &mut History| {
        let at = h.operations[gone].call_ns - 1_000_000_000;
        let response = Some(Response::Error(crate::tree::code::THROTTLED));
        let write = Operation { call_ns: at, return_ns: Some(at + 1), response, zxid: 0, ..h.operations[0].clone() };
        h.operations.push(write);
    };
    let findings = broken(&world, throttled);
    assert!(
        findings.iter().all(|rule| rule != "sessions/early_expiry"),
        "its server refused that by itself: {findings:?}"
    );
    let leak = |h: &mut History| {
        let reply = Reply { stat, data: Some("/e".into()), ..Reply::default() };
        h.operations[gone].response = Some(Response::Ok(reply));
    };
    has(broken(&world, leak), "sessions/ephemeral_outlives");
    let used = |h: &mut History| {
        h.operations[gone].session = session(0);
        h.operations[gone].response = Some(Response::Ok(Reply::default()));
    };
    has(broken(&world, used), "sessions/used_after_end");
    let alive = |h: &mut History| {
        let time_ns = h.header.end_ns;
        let change = Change::Expired { session: session(1) };
        h.connections.push(ConnectionEvent { client: 1, connection: 1, time_ns, change });
    };
    has(broken(&world, alive), "sessions/expired_alive");
}

#[test]
fn sessions_are_resumed_by_their_owner_under_their_id() {
    let mut world = World::new(1);
    world.call(0, create("/a", "1"));
    let with = |password: [u8; 16], id: i64| {
        let attach = attach(&world, password[..].into(), id);
        broken(&world, |h| h.operations.push(attach))
    };
    assert_eq!(with([0; 16], session(0)), Vec::<String>::new());
    has(with([1; 16], session(0)), "sessions/wrong_password");
    has(with([0; 16], session(5)), "sessions/attached_id");
}

/// Client 1 watches, client 0 changes, client 1 reads.
fn watched() -> (World, usize) {
    let mut world = World::new(2);
    world.call(0, create("/a", "1"));
    world.call(1, get("/a", true));
    world.call(1, exists("/b", true));
    world.call(1, children("/a", true));
    world.call(0, set("/a", "2"));
    world.call(0, create("/b", "3"));
    world.call(0, create("/a/c", "4"));
    world.call(0, set("/a", "5"));
    let read = world.call(1, get("/a", false));
    assert_eq!(world.history.watches.len(), 3);
    (world, read)
}

#[test]
fn watches_fire_once_at_the_first_change() {
    let (world, _) = watched();
    has(broken(&world, |h| drop(h.watches.remove(0))), "watches/lost");
    let twice = |h: &mut History| {
        let mut again = h.watches[0].clone();
        (again.position, again.zxid) = (50, again.zxid + 3);
        h.watches.push(again);
    };
    has(broken(&world, twice), "watches/unregistered");
    has(broken(&world, |h| h.watches[0].kind = WatchKind::Deleted), "watches/wrong_change");
    has(broken(&world, |h| h.watches[0].zxid += 3), "watches/wrong_change");
    has(broken(&world, |h| h.watches[0].position = 60), "watches/after_reply");
    let order = |h: &mut History| {
        let (a, b) = (h.watches[0].position, h.watches[1].position);
        (h.watches[0].position, h.watches[1].position) = (b, a);
    };
    has(broken(&world, order), "watches/zxid_order");
    // Nobody asked afterwards: it is lost only if the connection lived on.
    let (world, read) = watched();
    let unseen = |h: &mut History, quiescent: bool| {
        h.operations.truncate(read);
        h.watches.truncate(2);
        h.header.quiescent = quiescent;
    };
    has(broken(&world, |h| unseen(h, true)), "watches/lost");
    assert_eq!(broken(&world, |h| unseen(h, false)), Vec::<String>::new());
}

#[test]
fn set_watches_makes_up_for_what_was_missed() {
    let (mut world, read) = watched();
    let last = world.history.operations[read].clone();
    let operation = |position: u64, request: Request, zxid: i64| Operation {
        connection: 77,
        position: Some(position),
        call_ns: last.return_ns.unwrap() + position,
        return_ns: Some(last.return_ns.unwrap() + position + 1),
        request,
        response: Some(Response::Ok(Reply::default())),
        zxid,
        ..last.clone()
    };
    let set_watches = Request::SetWatches {
        relative_zxid: last.zxid - 1,
        data: vec!["/a".into()],
        exist: vec!["/none".into()],
        child: vec!["/a".into()],
        persistent: Vec::new(),
        recursive: Vec::new(),
    };
    let connected = operation(1, set_watches, last.zxid);
    let pings = [operation(2, Request::Ping, last.zxid), operation(3, Request::Ping, last.zxid)];
    world.history.operations.push(connected);
    world.history.operations.extend(pings);
    world.history.watches.push(WatchEvent {
        client: 1,
        connection: 77,
        position: 0,
        time_ns: last.return_ns.unwrap(),
        kind: WatchKind::DataChanged,
        path: "/a".into(),
        zxid: -1,
    });
    has(broken(&world, |h| drop(h.watches.pop())), "watches/lost");
    has(broken(&world, |h| h.watches.last_mut().unwrap().path = "/none".into()), "watches/unregistered");
}

#[test]
fn zxids_that_lie_consistently_are_seen_without_them() {
    let mut world = World::new(2);
    world.call(0, create("/a", "1"));
    let first = world.call(0, set("/a", "2"));
    world.call(1, Request::Sync { path: "/a".into() });
    let read = world.call(1, get("/a", false));
    let lie = |h: &mut History| {
        let stat = reply(h, read).stat.as_mut().unwrap();
        stat.version = 0;
        reply(h, read).data = Some("1".into());
    };
    has(broken(&world, lie), "blind/not_linearizable");
    has(broken(&world, |h| reply(h, first).stat.as_mut().unwrap().version = 2), "blind/not_linearizable");
}

#[test]
fn a_search_that_takes_too_long_asks_about_less_and_says_so() {
    // One version has two data, which is out of reach where too many writes of unknown outcome may have come before.
    let looked = |writes: i32| {
        let mut world = World::new(1);
        world.call(0, create("/a", "1"));
        for n in 0..writes {
            world.lose(0, set("/a", &format!("{n}")));
        }
        for data in ["0", "1"] {
            world.call(0, Request::Sync { path: "/a".into() });
            let read = world.call(0, get("/a", false));
            let reply = reply(&mut world.history, read);
            reply.data = Some(data.into());
            reply.stat.as_mut().unwrap().version = writes / 2;
        }
        super::blind::check(&world.history, Options { blind_configurations_max: 1000, ..Options::default() })
    };
    let few = looked(6);
    assert_eq!((few.halvings, few.findings.len()), (0, 1));
    let many = looked(18);
    assert!(many.halvings > 0 && many.findings.is_empty(), "{many:?}");
}

#[test]
fn what_is_sent_in_order_is_done_in_order_or_not_at_all() {
    let mut world = World::new(1);
    world.call(0, create("/a", "1"));
    let lost = world.lose(0, set("/a", "2"));
    let done = world.lose(0, set("/a", "3"));
    let skipped = |h: &mut History| {
        let truth = h.truth.as_mut().unwrap();
        let skipped = truth.len() - 2;
        truth.remove(skipped);
    };
    let rules = broken(&world, skipped);
    has(rules, "zookeeper_versions/session_gap");
    assert!(lost < done);
}

#[test]
fn a_session_that_moved_is_not_served_where_it_was() {
    let mut world = World::new(1);
    world.call(0, create("/a", "1"));
    let moved = world.history.truth.as_ref().unwrap().last().unwrap().zxid;
    world.call(0, set("/a", "2"));
    world.call(0, get("/a", false));
    let moves = |h: &mut History| {
        let granted = h.truth.as_ref().unwrap()[0].clone();
        let Command::OpenSession { session, password, timeout_ms, mut owner } = granted.command else { panic!() };
        owner.connection = 99;
        let applied = h.truth.as_mut().unwrap().iter_mut().find(|a| a.zxid == moved).unwrap();
        applied.command = Command::AttachSession { session, password, timeout_ms, owner };
        applied.outcome.result = granted.outcome.result;
    };
    has(broken(&world, moves), "sessions/served_after_move");
}

#[test]
fn sessions_that_nobody_uses_end_and_have_the_timeout_that_is_due() {
    let mut world = World::new(2);
    world.history.header.timeouts_ms = Some((TIMEOUT_MS, 2 * TIMEOUT_MS));
    world.call(0, create("/a", "1"));
    world.call(0, Request::CloseSession);
    world.call(1, set("/a", "2"));
    let at = world.history.operations.last().unwrap().return_ns.unwrap();
    let long = |ms: u64| move |h: &mut History| h.header.end_ns = at + ms * 1_000_000;
    assert_eq!(broken(&world, long(10_000)), Vec::<String>::new());
    has(broken(&world, long(20_000)), "sessions/never_expired");
    let more = |h: &mut History| reply(h, 0).session.as_mut().unwrap().timeout_ms += 1;
    has(broken(&world, more), "sessions/timeout");
}

#[test]
fn containers_and_ttl_nodes_go_in_their_time() {
    let mut world = World::new(1);
    let of = |path: &str, container, ttl_ms| {
        Request::Create(Create { path: path.into(), container, ttl_ms, ..Create::default() })
    };
    world.call(0, of("/c", true, None));
    world.call(0, create("/c/x", "1"));
    world.call(0, of("/t", false, Some(50)));
    world.call(0, delete("/c/x"));
    let reaps = |h: &mut History, path: &str, after_ms: i64| {
        let truth = h.truth.as_mut().unwrap();
        let mut last = truth.last().unwrap().clone();
        last.index = last.index.next();
        (last.zxid.0, last.outcome.zxid.0, last.time_ms) = (last.zxid.0 + 1, last.zxid.0 + 1, last.time_ms + after_ms);
        last.applied_ns = last.applied_ns.map(|at| at + after_ms as u64 * 1_000_000);
        last.command = Command::Reap { path: path.into() };
        last.outcome.result = Ok(synod_types::command::Applied::Done);
        h.header.end_ns = last.applied_ns.unwrap() + 5_000_000_000;
        truth.push(last);
    };
    assert_eq!(
        broken(&world, |h| {
            reaps(h, "/c", 10);
            reaps(h, "/t", 100);
        }),
        Vec::<String>::new()
    );
    has(broken(&world, |h| reaps(h, "/none", 100)), "reaping/left_behind");
}

#[test]
fn watches_that_stay_hear_of_everything_and_what_may_not_be_read_is_not_heard_of() {
    let mut world = World::new(2);
    world.call(0, create("/a", "1"));
    let add = world.call(1, Request::AddWatch { path: "/a".into(), recursive: true });
    let changed = world.call(0, set("/a", "2"));
    world.call(0, create("/a/b", "3"));
    world.call(1, get("/a", false));
    let zxid = |world: &World, i: usize| world.history.operations[i].zxid;
    let (first, second) = (zxid(&world, changed), zxid(&world, changed) + 1);
    let told = move |h: &mut History, events: &[(WatchKind, &str, i64)]| {
        let after = h.operations[add].position.unwrap() + 1;
        for (position, (kind, path, zxid)) in (after..).zip(events) {
            let (path, kind, time_ns) = (path.to_string(), *kind, h.operations[changed].call_ns);
            h.watches.push(WatchEvent { client: 1, connection: 1, position, time_ns, kind, path, zxid: *zxid });
        }
        for operation in h.operations[add + 1..].iter_mut().filter(|o| o.connection == 1) {
            operation.position = operation.position.map(|p| p + events.len() as u64);
        }
    };
    let run = |events: &[(WatchKind, &str, i64)]| {
        let mut history = world.history.clone();
        told(&mut history, events);
        rules(&history)
    };
    use WatchKind::*;
    let all = [(DataChanged, "/a", first), (Created, "/a/b", second)];
    assert_eq!(run(&all), Vec::<String>::new());
    has(run(&all[..1]), "watches/lost");
    has(run(&[]), "watches/lost");
    has(run(&[all[0], all[1], (ChildrenChanged, "/a", second)]), "watches/unregistered");
    let none = |h: &mut History| {
        told(h, &all);
        let mut asks = h.operations[add].clone();
        asks.request = Request::Watching { path: "/a".into(), kind: 4, remove: false };
        asks.position = asks.position.map(|p| p + 9);
        h.operations.push(asks);
    };
    let mut history = world.history.clone();
    none(&mut history);
    has(rules(&history), "watches/registered");
}
