//! Writes of unknown outcome where nobody knows the log: what they explain, and what they do not.

use super::world::*;
use super::{Options, check};
use crate::finding::Severity;
use crate::history::*;
use synod_types::Zxid;

/// What the rules say where nobody knows the log; the writes and what they say must be all there is.
fn found(history: &History) -> Vec<String> {
    let history = History { truth: None, ..history.clone() };
    let findings = check(&history, Options::default());
    findings.iter().map(|f| format!("{}/{}", f.oracle, f.rule)).collect()
}

#[track_caller]
fn holds(history: &History) {
    let history = History { truth: None, ..history.clone() };
    assert_eq!(check(&history, Options::default()), []);
}

#[track_caller]
fn has(history: &History, rule: &str) {
    let found = found(history);
    assert!(found.iter().any(|r| r == rule), "{rule} is not among {found:?}");
}

fn reply(history: &mut History, i: usize) -> &mut Reply {
    match &mut history.operations[i].response {
        Some(Response::Ok(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

fn stat(history: &mut History, i: usize) -> &mut synod_types::Stat {
    reply(history, i).stat.as_mut().unwrap()
}

/// The operation as if it had been called before everything else.
fn early(history: &mut History, i: usize) {
    history.operations[i].call_ns = 0;
}

const READ: &str = "zookeeper_versions/read_result";
const WRITE: &str = "zookeeper_versions/write_result";

#[test]
fn a_write_that_took_effect_late_is_seen_late() {
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    world.call(1, get("/a", false));
    let lost = world.lose(2, set("/a", "2"));
    world.call(1, exists("/a", false));
    world.call(0, get("/a", false));
    let mut history = world.history.clone();
    early(&mut history, lost);
    holds(&history);
    // It never took effect: its zxid is nobody's.
    let mut never = World::new(3);
    never.call(0, create("/a", "1"));
    let lost = never.lose(2, delete("/none"));
    never.history.operations[lost].request = set("/a", "2");
    never.call(0, set("/a", "3"));
    let last = never.call(1, get("/a", false));
    holds(&never.history);
    // It is not both.
    let mut both = never.history.clone();
    stat(&mut both, last).version = 2;
    has(&both, READ);
}

#[test]
fn nothing_takes_effect_before_its_call() {
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    let lost = world.lose(2, set("/a", "2"));
    let shown = world.call(1, exists("/a", false));
    let read = world.call(1, get("/a", false));
    let after = world.call(0, get("/a", false));
    holds(&world.history);
    // As if it had been called after the reads: their data names it, or only a stat shows it.
    for shows in [read, shown] {
        let mut history = world.history.clone();
        let call = history.operations[after].call_ns + 1;
        history.operations[lost].call_ns = call;
        history.operations.retain(|o| !matches!(o.request, Request::GetData { .. }) || shows == read);
        has(&history, if shows == read { "zookeeper_versions/write_floor" } else { READ });
    }
    // After a later write of its session.
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    world.call(2, create("/b", "1"));
    let lost = world.lose(0, set("/a", "2"));
    world.call(1, get("/a", false));
    let mut history = world.history.clone();
    early(&mut history, lost);
    holds(&history);
    let operation = history.operations.remove(lost);
    history.operations.insert(3, operation);
    history.operations[3].session = session(2);
    has(&history, "zookeeper_versions/session_fifo");
}

#[test]
fn nothing_takes_effect_where_a_read_saw_that_it_did_not() {
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    let old = world.call(1, exists("/a", false));
    world.lose(2, set("/a", "2"));
    world.call(0, create("/b", "1"));
    let first = world.call(1, exists("/a", false));
    let second = world.call(0, exists("/a", false));
    holds(&world.history);
    let mut history = world.history.clone();
    history.operations[first].response = history.operations[old].response.clone();
    has(&history, READ);
    // Later it may, but not after the read that shows it.
    history.operations[second].zxid += 5;
    stat(&mut history, second).mzxid.0 += 5;
    holds(&history);
    stat(&mut history, second).mzxid.0 += 2;
    has(&history, READ);
}

#[test]
fn an_effect_that_was_seen_does_not_vanish() {
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    let old = world.call(1, get("/a", false));
    world.lose(2, set("/a", "2"));
    world.call(1, get("/a", false));
    let last = world.call(0, get("/a", false));
    holds(&world.history);
    let mut history = world.history.clone();
    history.operations[last].response = history.operations[old].response.clone();
    has(&history, READ);
    // The same where only a stat tells.
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    let old = world.call(1, exists("/a", false));
    world.lose(2, set("/a", "2"));
    world.call(1, exists("/a", false));
    let last = world.call(0, exists("/a", false));
    holds(&world.history);
    let mut history = world.history.clone();
    history.operations[last].response = history.operations[old].response.clone();
    has(&history, READ);
    // And for a node that a list shows.
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    let old = world.call(1, children("/a", false));
    world.lose(2, create("/a/b", "2"));
    let seen = world.call(1, children("/a", false));
    let last = world.call(0, children("/a", false));
    holds(&world.history);
    let mut history = world.history.clone();
    history.operations[last].response = history.operations[old].response.clone();
    has(&history, READ);
    for i in [seen, last] {
        let mut history = world.history.clone();
        reply(&mut history, i).stat = None;
        holds(&history);
        reply(&mut history, i).children = Some(vec!["b".into(), "c".into()]);
        has(&history, READ);
    }
}

#[test]
fn an_acknowledged_write_is_not_lost_next_to_an_unknown_one() {
    let mut world = World::new(3);
    world.call(0, create("/a", "1"));
    let old = world.call(1, get("/a", false));
    world.lose(2, set("/a", "2"));
    let second = world.call(0, set("/a", "3"));
    let last = world.call(1, get("/a", false));
    holds(&world.history);
    let mut lost = world.history.clone();
    lost.operations[last].response = lost.operations[old].response.clone();
    has(&lost, READ);
    // The unknown write is in the version of the next, once at most, and stays there.
    let mut never = world.history.clone();
    stat(&mut never, second).version = 1;
    has(&never, READ);
    stat(&mut never, last).version = 1;
    holds(&never);
    stat(&mut never, second).version = 3;
    stat(&mut never, last).version = 3;
    has(&never, WRITE);
    // There is no zxid left between the writes of the others.
    let mut tight = world.history.clone();
    let zxid = tight.operations[second].zxid - 1;
    tight.operations[second].zxid = zxid;
    for i in [second, last] {
        stat(&mut tight, i).mzxid = Zxid(zxid);
    }
    has(&tight, WRITE);
}

#[test]
fn an_unknown_end_of_a_session_takes_a_node_once() {
    let mut world = World::new(2);
    world.call(0, ephemeral("/e"));
    let there = world.call(1, get("/e", false));
    let list = world.call(1, children("/", false));
    world.lose(0, Request::CloseSession);
    let gone = world.call(1, get("/e", false));
    let last = world.call(1, children("/", false));
    holds(&world.history);
    let mut history = world.history.clone();
    history.operations[gone].response = history.operations[there].response.clone();
    history.operations[last].response = history.operations[list].response.clone();
    holds(&history);
    let mut back = world.history.clone();
    back.operations[last].response = back.operations[list].response.clone();
    has(&back, READ);
}

#[test]
fn an_unknown_counter_is_known_from_the_next_name() {
    let mut world = World::new(2);
    world.call(0, create("/q", "1"));
    world.lose(0, create("/q/x", "2"));
    let next = world.call(1, sequential("/q/n-", "3"));
    let stats = world.call(1, exists("/q", false));
    let list = world.call(1, children("/q", false));
    holds(&world.history);
    let mut wrong = world.history.clone();
    reply(&mut wrong, next).path = Some("/q/n-0000000002".into());
    has(&wrong, WRITE);
    let mut wrong = world.history.clone();
    stat(&mut wrong, stats).cversion += 2;
    has(&wrong, READ);
    let mut wrong = world.history.clone();
    reply(&mut wrong, list).children = Some(vec!["x".into()]);
    has(&wrong, READ);
    // The counter counts each create once.
    let mut world = World::new(2);
    world.call(0, create("/q", "1"));
    world.lose(0, create("/q/x", "2"));
    world.call(1, sequential("/q/n-", "3"));
    let next = world.call(1, sequential("/q/n-", "4"));
    holds(&world.history);
    reply(&mut world.history, next).path = Some("/q/n-0000000003".into());
    has(&world.history, WRITE);
}

#[test]
fn what_an_unknown_counter_named_is_not_decided() {
    let mut world = World::new(2);
    world.call(0, create("/q", "1"));
    let before = world.call(1, get("/q", false));
    world.lose(0, sequential("/q/n-", "2"));
    world.call(1, children("/q", false));
    // The refusal leaves the node where it is.
    world.call(1, delete("/q"));
    world.call(1, children("/", false));
    let history = History { truth: None, ..world.history.clone() };
    let found = check(&history, Options::default());
    assert_eq!(found.iter().map(|f| (f.severity, f.operations.len())).collect::<Vec<_>>(), [(Severity::Unknown, 2)]);
    // What came before it is decided.
    let mut history = world.history.clone();
    reply(&mut history, before).data = Some("3".into());
    has(&history, READ);
}

/// Many short runs of few nodes with many lost answers: what holds in the log must not be called wrong without it, and
/// a reply from another time must be: always if all answers came, and mostly if a fifth of the writes has none.
#[test]
fn what_holds_in_the_log_is_never_called_wrong_without_it() {
    let (mut caught, mut missed) = (0, 0);
    for seed in 1..120u64 {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 20) % below
        };
        let mut world = World::new(4);
        let (with_counters, lossy) = (seed % 4 == 0, seed % 3 > 0);
        for n in 0..60 {
            let path = ["/a", "/b", "/a/x", "/a/y", "/b/x"][next(5) as usize];
            let value = format!("v{n}");
            let version = [-1, 0, 1][next(3) as usize];
            let request = match next(13) {
                0 | 1 => create(path, &value),
                2 => Request::Create(Create {
                    path: path.into(),
                    data: value.as_str().into(),
                    ephemeral: true,
                    sequential: false,
                    ..Create::default()
                }),
                3 => Request::Delete { path: path.into(), version },
                4 | 5 => Request::SetData { path: path.into(), data: value.as_str().into(), version },
                6 => get(path, false),
                7 => exists(path, false),
                8 => children(path, false),
                9 => children("/", false),
                10 => sequential("/a/n-", &value),
                11 => Request::Multi {
                    ops: vec![
                        MultiOp::SetData { path: path.into(), data: value.as_str().into(), version: -1 },
                        MultiOp::Create(Create {
                            path: format!("/b/m{}", next(3)),
                            data: format!("m{n}").as_str().into(),
                            ephemeral: false,
                            sequential: false,
                            ..Create::default()
                        }),
                    ],
                },
                _ => Request::Sync { path: "/".into() },
            };
            let counted = matches!(&request, Request::Create(c) if c.sequential);
            if lossy && next(5) == 0 && request.writes() && (with_counters || !counted) {
                let client = next(4) as usize;
                if next(2) == 0 {
                    world.lose(client, request);
                } else {
                    // It never gets there.
                    let i = world.lose(client, Request::Sync { path: "/".into() });
                    world.history.operations[i].request = request;
                }
            } else {
                world.call(next(4) as usize, request);
            }
        }
        for client in 0..4 {
            if !lossy || next(2) == 0 {
                world.call(client, Request::CloseSession);
            }
        }
        let mut history = History { truth: None, ..world.history.clone() };
        for operation in &mut history.operations {
            // Some replies show less.
            if let Some(Response::Ok(reply)) = &mut operation.response
                && lossy
                && next(4) == 0
            {
                reply.stat = None;
            }
        }
        let findings = check(&history, Options::default());
        assert!(
            findings.iter().all(|f| with_counters && f.severity == Severity::Unknown),
            "seed {seed}: {findings:#?} {:#?}",
            history.operations.iter().enumerate().map(|(i, o)| format!("{i} {o:?}")).collect::<Vec<_>>()
        );
        // A read answers as another read of the node did, which saw something else.
        let reads: Vec<usize> =
            (0..history.operations.len()).filter(|&i| history.operations[i].request.reads()).collect();
        for &i in &reads {
            let other = reads.iter().find(|&&j| {
                let (a, b) = (&history.operations[i], &history.operations[j]);
                a.request == b.request && a.response != b.response
            });
            let Some(&other) = other else { continue };
            let mut stale = history.clone();
            stale.operations[i].response = history.operations[other].response.clone();
            match check(&stale, Options::default()).iter().any(|f| f.severity == Severity::Safety) {
                true => caught += 1,
                false if lossy => missed += 1,
                false => panic!("seed {seed}: operation {i} answers like {other}, and nobody minds"),
            }
        }
    }
    assert!(caught > 3 * missed, "{caught} stale reads caught, {missed} missed");
}
