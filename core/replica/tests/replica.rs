//! One member, stepped by hand: what it answers to clients and peers, without network, disk or time of its own.

use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use synod_replica::{
    Boot, Config, ConnectionId, Input, Limits, Now, Output, Query, Replica, Reply, Request, Role, TimerKind,
};
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, HardState, Message};
use synod_types::session::SessionGranted;
use synod_types::znode::{CreateMode, EventKind, perms};
use synod_types::{
    Acl, Command, ErrorCode, Identity, Instant, Mutants, NodeId, Origin, SessionId, Term, WriteOp, Zxid,
};

const E: Duration = Duration::from_millis(1_000);
const TIMEOUT_MS: u32 = 4_000;

/// A member with a clock and a disk that is done at once.
struct Bench {
    replica: Replica,
    now_ms: u64,
    /// What it said and nobody has looked at yet.
    said: Vec<Output>,
}

impl Bench {
    fn new(voters: u8) -> Bench {
        let config = Config {
            id: NodeId(1),
            voters: (1..=voters).map(NodeId).collect::<BTreeSet<_>>(),
            incarnation: 7,
            election_timeout: E,
            snapshot_entries: 1_000,
            snapshot_bytes: 1 << 20,
            log_keep: 10,
            limits: Limits { append_entries_max: 100, ..Limits::default() },
            outstanding_max: 3,
            reap_every: E,
            cluster_version: synod_types::version::CLUSTER_VERSION,
            trace: false,
            mutants: Mutants::NONE,
        };
        let boot = Boot {
            hard_state: HardState { term: Term(1), ..HardState::default() },
            snapshot: None,
            entries: Vec::new(),
            empty: false,
            damaged: false,
            nonce: 1,
        };
        let mut said = Vec::new();
        let now = Now { instant: Instant(0), wall_ms: 0 };
        let replica = Replica::new(now, config, boot, &mut said);
        let mut bench = Bench { replica, now_ms: 0, said };
        bench.write();
        bench
    }

    /// A member of three that was elected by the second.
    fn leader() -> Bench {
        let mut bench = Bench::new(3);
        for peer in [2, 3] {
            bench.step(Input::Link { peer: NodeId(peer), up: true });
        }
        bench.step(Input::Timer(TimerKind::Election));
        let term = Term(bench.replica.consensus().term().0 + 1);
        bench.hear(2, term, Body::PreVoteReply { granted: true });
        bench.hear(2, term, Body::VoteReply { granted: true });
        assert_eq!(bench.replica.consensus().role(), Role::Leader);
        bench.said.clear();
        bench
    }

    fn step(&mut self, input: Input) {
        let now = Now { instant: Instant(self.now_ms * 1_000_000), wall_ms: self.now_ms as i64 };
        self.replica.step(now, input, &mut self.said);
        if self.replica.wants_flush() {
            self.replica.step(now, Input::Flush, &mut self.said);
        }
        self.write();
    }

    /// Whatever it gave to the disk is durable.
    fn write(&mut self) {
        loop {
            let written = self.said.iter().filter_map(|output| match output {
                Output::Append { sequence, .. } => Some(*sequence),
                _ => None,
            });
            let Some(sequence) = written.max() else { return };
            self.said.retain(|output| !matches!(output, Output::Append { .. }));
            let now = Now { instant: Instant(self.now_ms * 1_000_000), wall_ms: self.now_ms as i64 };
            self.replica.step(now, Input::Appended { sequence }, &mut self.said);
        }
    }

    fn hear(&mut self, from: u8, term: Term, body: Body<Arc<synod_types::Proposal>>) {
        let message = PeerMessage::Raft(Message { term, body });
        self.step(Input::Peer { from: NodeId(from), message });
    }

    /// Member 2 has all that this leader has.
    fn ack(&mut self) {
        let (term, matched) = (self.replica.consensus().term(), self.replica.consensus().last_index());
        self.hear(2, term, Body::AppendReply { matched, round: 0, recovering: false });
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 50 {
            self.now_ms += 50;
            self.step(Input::Tick);
        }
    }

    fn connect(&mut self, connection: u64, resume: Option<SessionGranted>) -> Option<SessionGranted> {
        self.connect_for(connection, resume, TIMEOUT_MS)
    }

    fn connect_for(
        &mut self,
        connection: u64,
        resume: Option<SessionGranted>,
        timeout_ms: u32,
    ) -> Option<SessionGranted> {
        self.step(Input::Connect {
            connection: ConnectionId(connection),
            resume: resume.map(|granted| (granted.session, granted.password)),
            timeout_ms,
            zxid_seen: Zxid(0),
            identities: Arc::from([who("ip", "10.0.0.9")]),
            entropy: [connection, 2, 3],
        });
        let of = |output: &Output| match output {
            Output::Connected { connection: c, granted } if c.0 == connection => Some(*granted),
            _ => None,
        };
        self.said.iter().find_map(of).flatten()
    }

    fn ask(&mut self, connection: u64, tag: u64, request: Request) {
        self.step(Input::Request { connection: ConnectionId(connection), tag, request });
    }

    /// Tags of the replies on a connection since the last look, with their results.
    fn replies(&mut self, connection: u64) -> Vec<(u64, Result<Reply, ErrorCode>)> {
        let mut replies = Vec::new();
        self.said.retain(|output| match output {
            Output::Reply { connection: c, tag, result, .. } if c.0 == connection => {
                replies.push((*tag, result.clone()));
                false
            }
            _ => true,
        });
        replies
    }

    /// Watch events on a connection since the last look.
    fn events(&mut self, connection: u64) -> Vec<(EventKind, String)> {
        let mut events = Vec::new();
        self.said.retain(|output| match output {
            Output::Event { connection: c, kind, path, .. } if c.0 == connection => {
                events.push((*kind, path.clone()));
                false
            }
            _ => true,
        });
        events
    }

    fn closed(&self, connection: u64) -> Option<&'static str> {
        self.said.iter().find_map(|output| match output {
            Output::Close { connection: c, why } if c.0 == connection => Some(*why),
            _ => None,
        })
    }
}

fn who(scheme: &str, id: &str) -> Identity {
    Identity { scheme: scheme.into(), id: id.into() }
}

fn create_as(path: &str, mode: CreateMode, identity: Identity) -> Request {
    let acl = Some(vec![Acl { perms: perms::ALL, identity }]);
    Request::Write(WriteOp::Create { path: path.into(), data: Some(Bytes::from_static(b"1")), acl, mode })
}

fn create(path: &str) -> Request {
    create_as(path, CreateMode::Persistent, who("world", "anyone"))
}

fn set(path: &str) -> Request {
    Request::Write(WriteOp::SetData { path: path.into(), data: Some(Bytes::from_static(b"2")), version: -1 })
}

fn read(path: &str, watch: bool) -> Request {
    Request::Read { query: Query::GetData { path: path.into() }, watch }
}

#[test]
fn replies_leave_in_the_order_of_the_requests() {
    let mut bench = Bench::leader();
    bench.ack();
    assert_eq!(bench.connect(1, None), None);
    bench.ack();
    bench.ask(1, 10, create("/a"));
    bench.ask(1, 11, read("/a", false));
    assert_eq!(bench.replies(1), [], "the read waits for the write, which no majority has yet");
    bench.ack();
    let replies = bench.replies(1);
    assert_eq!(replies.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [10, 11]);
    assert!(replies.iter().all(|(_, result)| result.is_ok()), "{replies:?}");
}

#[test]
fn a_session_lives_on_its_newest_connection_and_asks_for_its_password() {
    let mut bench = Bench::new(1);
    let granted = bench.connect(1, None).unwrap();
    assert_eq!(bench.connect(2, Some(SessionGranted { password: [9; 16], ..granted })), None);
    assert_eq!(bench.closed(2), Some("the session is gone"));
    assert_eq!(bench.closed(1), None);
    assert_eq!(bench.connect(3, Some(granted)).map(|g| g.session), Some(granted.session));
    assert_eq!(bench.closed(1), Some("the session moved"));
    bench.ask(1, 10, set("/"));
    bench.ask(3, 11, read("/", false));
    assert_eq!(bench.replies(1), []);
    assert_eq!(bench.replies(3).len(), 1);
}

#[test]
fn a_session_ends_when_nothing_was_heard_of_it_and_takes_its_nodes_along() {
    let mut bench = Bench::new(1);
    bench.connect(1, None).unwrap();
    bench.connect(2, None).unwrap();
    bench.ask(1, 10, create_as("/e", CreateMode::Ephemeral, who("world", "anyone")));
    for tag in 0..9 {
        bench.pass(1_000);
        bench.ask(2, tag, Request::Ping);
    }
    assert_eq!(bench.replies(2).len(), 9, "a leader answers pings at once");
    assert_eq!((bench.closed(1), bench.closed(2)), (Some("the session ended"), None));
    bench.ask(2, 20, read("/e", false));
    assert_eq!(bench.replies(2), [(20, Err(ErrorCode::NoNode))]);
}

#[test]
fn a_session_that_is_resumed_with_a_shorter_timeout_ends_sooner() {
    let mut bench = Bench::new(1);
    let granted = bench.connect(1, None).unwrap();
    bench.pass(100);
    let resumed = bench.connect_for(2, Some(granted), TIMEOUT_MS / 4).unwrap();
    assert_eq!((resumed.session, resumed.timeout_ms), (granted.session, TIMEOUT_MS / 4));
    bench.pass(u64::from(TIMEOUT_MS) / 4 - 100);
    assert!(bench.replica.state().session(granted.session).is_some());
    bench.pass(200);
    assert_eq!(bench.replica.state().session(granted.session), None);
}

#[test]
fn a_sign_of_life_that_comes_too_late_is_not_confirmed() {
    let mut bench = Bench::leader();
    let term = bench.replica.consensus().term();
    // A follower reports whom it heard from, and this leader asks a majority whether it still leads.
    let report = |bench: &mut Bench, sequence, sessions: &[SessionId]| {
        bench.said.clear();
        let message = PeerMessage::Touch { sequence, sessions: sessions.to_vec() };
        bench.step(Input::Peer { from: NodeId(2), message });
        bench.pass(200);
        let rounds = bench.said.iter().filter_map(|output| match output {
            Output::Send { message: PeerMessage::Raft(Message { body: Body::Append { round, .. }, .. }), .. } => {
                Some(*round)
            }
            _ => None,
        });
        let round = rounds.max().unwrap();
        let matched = bench.replica.consensus().commit();
        bench.hear(2, term, Body::AppendReply { matched, round, recovering: false });
        bench.said.iter().find_map(|output| match output {
            Output::Send { message: PeerMessage::TouchReply { sequence: of, ending, .. }, .. } if *of == sequence => {
                Some(ending.clone())
            }
            _ => None,
        })
    };
    bench.ack();
    bench.connect(1, None);
    bench.connect(2, None);
    bench.ack();
    let sessions: Vec<SessionId> = bench.replica.state().sessions().map(|(id, _)| id).collect();
    assert_eq!(sessions.len(), 2);
    for sequence in 1..=9 {
        assert_eq!(report(&mut bench, sequence, &sessions[..1]), Some(Vec::new()));
        bench.pass(500);
    }
    let entries = bench.replica.consensus().last_index();
    assert!(bench.replica.consensus().commit() < entries, "the second session's end is proposed");
    assert_eq!(report(&mut bench, 10, &sessions), Some(vec![sessions[1]]));
    bench.ack();
    assert_eq!(report(&mut bench, 11, &sessions), Some(vec![sessions[1]]), "it has ended");
}

#[test]
fn watches_fire_once_or_always_and_only_for_who_may_read() {
    let mut bench = Bench::new(1);
    for connection in 1..=3 {
        bench.connect(connection, None).unwrap();
    }
    bench.ask(1, 1, create("/a"));
    bench.ask(2, 1, read("/a", true));
    bench.ask(3, 1, Request::AddWatch { path: "/a".into(), recursive: true });
    bench.ask(1, 2, set("/a"));
    bench.ask(1, 3, set("/a"));
    bench.ask(1, 4, create("/a/b"));
    bench.ask(1, 5, create_as("/a/secret", CreateMode::Persistent, who("digest", "somebody:else")));
    let changed = || (EventKind::DataChanged, "/a".to_string());
    assert_eq!(bench.events(2), [changed()]);
    assert_eq!(bench.events(3), [changed(), changed(), (EventKind::Created, "/a/b".into())]);
    let watching = |remove| Request::Watching { path: "/a".into(), mode: synod_replica::WatchMode::Any, remove };
    bench.ask(3, 2, watching(true));
    bench.ask(3, 3, watching(false));
    bench.ask(1, 6, set("/a"));
    assert_eq!(bench.events(3), []);
    let replies = bench.replies(3);
    assert_eq!(replies[1..], [(2, Ok(Reply::Nothing)), (3, Err(ErrorCode::NoWatcher))]);
}

#[test]
fn who_comes_back_with_watches_is_told_what_was_missed() {
    let mut bench = Bench::new(1);
    bench.connect(1, None).unwrap();
    for path in ["/same", "/changed"] {
        bench.ask(1, 1, create(path));
    }
    let relative = bench.replica.state().zxid();
    bench.ask(1, 2, set("/changed"));
    bench.connect(2, None).unwrap();
    let paths = |list: &[&str]| list.iter().map(|p| p.to_string()).collect::<Vec<_>>();
    bench.ask(
        2,
        1,
        Request::SetWatches {
            relative,
            data: paths(&["/same", "/changed", "/gone"]),
            exist: paths(&["/same", "/none"]),
            child: Vec::new(),
            persistent: Vec::new(),
            recursive: Vec::new(),
        },
    );
    let told = |kind, path: &str| (kind, path.to_string());
    assert_eq!(
        bench.events(2),
        [
            told(EventKind::DataChanged, "/changed"),
            told(EventKind::Deleted, "/gone"),
            told(EventKind::Created, "/same")
        ]
    );
    bench.ask(1, 3, create("/none"));
    assert_eq!(bench.events(2), [told(EventKind::Created, "/none")]);
}

#[test]
fn containers_and_ttl_nodes_are_removed_when_they_are_due() {
    let mut bench = Bench::new(1);
    bench.connect(1, None).unwrap();
    let anyone = || who("world", "anyone");
    bench.ask(1, 1, create_as("/c", CreateMode::Container, anyone()));
    bench.ask(1, 2, create("/c/x"));
    bench.ask(1, 3, create_as("/t", CreateMode::PersistentTtl { ttl_ms: 2_500 }, anyone()));
    let there = |bench: &Bench| ["/c", "/t"].map(|path| bench.replica.state().stat(path).is_some());
    bench.pass(2_000);
    assert_eq!(there(&bench), [true, true]);
    bench.ask(1, 4, Request::Write(WriteOp::Delete { path: "/c/x".into(), version: -1 }));
    bench.ask(1, 5, set("/t"));
    bench.pass(2_000);
    assert_eq!(there(&bench), [false, true]);
    bench.pass(2_000);
    assert_eq!(there(&bench), [false, false]);
}

#[test]
fn more_than_may_wait_is_refused_in_its_place() {
    let mut bench = Bench::leader();
    let term = bench.replica.consensus().term();
    bench.connect(1, None);
    let matched = bench.replica.consensus().last_index();
    bench.hear(2, term, Body::AppendReply { matched, round: 0, recovering: false });
    for tag in 0..4 {
        bench.ask(1, tag, create(&format!("/n{tag}")));
    }
    assert_eq!(bench.replies(1), []);
    let matched = bench.replica.consensus().last_index();
    bench.hear(2, term, Body::AppendReply { matched, round: 0, recovering: false });
    let replies = bench.replies(1);
    assert_eq!(replies.iter().filter(|(_, result)| result.is_ok()).count(), 3);
    assert_eq!(replies[3], (3, Err(ErrorCode::ThrottledOp)));
    assert!(bench.replica.state().stat("/n3").is_none());
}

#[test]
fn a_leader_that_hands_over_tells_followers_what_it_does_not_take() {
    let mut bench = Bench::leader();
    let term = bench.replica.consensus().term();
    let granted = {
        bench.connect(1, None);
        let matched = bench.replica.consensus().last_index();
        bench.hear(2, term, Body::AppendReply { matched, round: 0, recovering: false });
        bench.said.iter().find_map(|output| match output {
            Output::Connected { granted, .. } => *granted,
            _ => None,
        })
    };
    let session = granted.unwrap().session;
    bench.step(Input::Transfer { to: NodeId(3) });
    bench.said.clear();
    let origin = Origin { node: NodeId(2), incarnation: 5, request: 77 };
    let command = Command::CloseSession {
        session,
        owner: synod_types::session::Owner { node: NodeId(2), incarnation: 5, connection: 1 },
    };
    let message = PeerMessage::Forward { term, refusals: 0, proposals: vec![(origin, command)] };
    bench.step(Input::Peer { from: NodeId(2), message });
    let refused = bench.said.iter().any(|output| {
        matches!(output, Output::Send { to: NodeId(2), message: PeerMessage::ForwardRefused { requests, .. } } if *requests == [77])
    });
    assert!(refused, "{:?}", bench.said);
    assert_eq!(bench.closed(1), None);
}

#[test]
fn what_was_forwarded_before_a_refusal_was_heard_is_refused_too() {
    let mut bench = Bench::leader();
    let term = bench.replica.consensus().term();
    let matched = bench.replica.consensus().last_index();
    bench.hear(2, term, Body::AppendReply { matched, round: 0, recovering: false });
    // Requests refused by the leader since the last look, with its count.
    let refused = |bench: &mut Bench| {
        let told = bench.said.iter().filter_map(|output| match output {
            Output::Send { to: NodeId(2), message: PeerMessage::ForwardRefused { refusals, requests, .. } } => {
                Some((*refusals, requests.clone()))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        bench.said.clear();
        told
    };
    let forward = |bench: &mut Bench, request, refusals| {
        let origin = Origin { node: NodeId(2), incarnation: 5, request };
        let owner = synod_types::session::Owner { node: NodeId(2), incarnation: 5, connection: 1 };
        let command = Command::CloseSession { session: SessionId(9), owner };
        let message = PeerMessage::Forward { term, refusals, proposals: vec![(origin, command)] };
        bench.step(Input::Peer { from: NodeId(2), message });
    };
    bench.step(Input::Transfer { to: NodeId(3) });
    forward(&mut bench, 1, 0);
    assert_eq!(refused(&mut bench), [(1, vec![1])]);
    // The successor was not heard of: the quorum timer ends the handover, and this member goes on.
    bench.hear(2, term, Body::AppendReply { matched, round: 0, recovering: false });
    bench.step(Input::Timer(TimerKind::Quorum));
    assert_eq!(bench.replica.consensus().role(), Role::Leader);
    bench.said.clear();
    forward(&mut bench, 2, 0);
    assert_eq!(refused(&mut bench), [(1, vec![2])], "sent before the refusal was heard");
    // The refusal may have been lost with a link.
    for up in [false, true] {
        bench.step(Input::Link { peer: NodeId(2), up });
    }
    assert_eq!(refused(&mut bench), [(1, Vec::new())]);
    forward(&mut bench, 3, 1);
    assert_eq!(refused(&mut bench), []);
}

#[test]
fn a_follower_whose_leader_is_silent_ends_its_clients_connections() {
    let mut bench = Bench::new(3);
    for peer in [2, 3] {
        bench.step(Input::Link { peer: NodeId(peer), up: true });
    }
    let empty = |commit| Body::Append {
        prev_index: synod_types::Index(0),
        prev_term: Term(0),
        entries: Vec::new(),
        commit: synod_types::Index(commit),
        round: 1,
    };
    bench.hear(2, Term(2), empty(0));
    bench.connect(1, None);
    bench.pass(2_500);
    assert_eq!(bench.closed(1), None);
    bench.pass(1_000);
    assert_eq!(bench.closed(1), Some("not serving: no leader"));
}
