//! A guest: asks, one thing at a time, what hardly any client asks, and knows every answer beforehand. Source of the
//! answers: ZooKeeper 3.9, `PrepRequestProcessor` and `FinalRequestProcessor`.

use super::bytes::{SUPER_USER, USERS};
use super::lists::entry;
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use synod_env::{Env, Stream};
use synod_types::znode::perms;
use synod_types::{Acl, Stat};
use synod_wire::zookeeper as wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wire::{Request, Response};

/// An answer comes within so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than the engine hands over in one piece anywhere.
const LARGE: usize = 70_000;
/// An operation that the protocol does not have.
const UNKNOWN: i32 = 77;
/// The longest time to live is one less, in milliseconds.
const TTL_END: i64 = 1 << 40;
/// What sessions get at least and at most, milliseconds.
const TIMEOUT_MS: (i32, i32) = (4_000, 40_000);

/// What a visit came to.
pub struct Visit {
    /// What was asked last.
    pub at: String,
    /// Nothing, or what was wrong, or what went wrong with the connection.
    pub end: Result<Option<String>, io::Error>,
}

/// Visits a member, and then another one that has to show the same. `root` is a node that nobody has, `from` the address
/// that the members see.
pub async fn visits(env: Env, members: [SocketAddr; 2], root: String, from: String) -> Visit {
    let mut guest = Guest { env, who: format!("ip:{from}"), at: String::new(), wrong: None, zxid_seen: 0 };
    let end = match guest.visit(members, &root).await {
        _ if guest.wrong.is_some() => Ok(guest.wrong),
        Ok(()) => Ok(None),
        Err(error) => Err(error),
    };
    Visit { at: guest.at, end }
}

struct Guest {
    env: Env,
    /// Who it is, without a proof.
    who: String,
    at: String,
    wrong: Option<String>,
    zxid_seen: i64,
}

struct Talk {
    stream: Box<dyn Stream>,
    input: BytesMut,
    xid: i32,
}

/// A session as a handshake asked for it.
struct Held {
    session: i64,
    password: Option<Bytes>,
}

impl Guest {
    async fn visit(&mut self, members: [SocketAddr; 2], root: &str) -> io::Result<()> {
        let none = Held { session: 0, password: None };
        let (mut talk, held) = self.arrive(members[0], none, None, (-1, TIMEOUT_MS.0)).await?;
        let who = self.who.clone();
        for (request, expected) in plain(root, &who) {
            self.asks(&mut talk, request, &expected).await?;
        }
        self.asks_what_cannot_be_read(&mut talk, root).await?;
        self.asks(&mut talk, Request::Unknown { opcode: UNKNOWN }, "error -6").await?;
        self.ends(&mut talk).await?;

        let (mut talk, held) = self.arrive(members[0], held, Some(true), (i32::MAX, TIMEOUT_MS.1)).await?;
        let mut proven = who.clone();
        for (identity, proof) in USERS {
            self.asks(&mut talk, auth("digest", proof.as_bytes()), "done").await?;
            proven += &format!(", {}", user_of(identity));
            self.asks(&mut talk, Request::WhoAmI, &proven).await?;
        }
        for (request, expected) in as_users(root) {
            self.asks(&mut talk, request, &expected).await?;
        }
        self.asks(&mut talk, auth("digest", SUPER_USER.1.as_bytes()), "done").await?;
        for (request, expected) in as_super_user(root) {
            self.asks(&mut talk, request, &expected).await?;
        }
        self.asks(&mut talk, auth("nonsense", b"ann:one"), "error -115").await?;
        self.ends(&mut talk).await?;

        let (mut talk, _) = self.arrive(members[0], held, Some(false), (5_000, 5_000)).await?;
        for (request, expected) in as_nobody(root, &who) {
            self.asks(&mut talk, request, &expected).await?;
        }
        self.asks(&mut talk, Request::CloseSession, "done").await?;
        self.ends(&mut talk).await?;

        let none = Held { session: 0, password: None };
        let (mut talk, _) = self.arrive(members[1], none, Some(false), (0, TIMEOUT_MS.0)).await?;
        for (request, expected) in elsewhere(root) {
            self.asks(&mut talk, request, &expected).await?;
        }
        self.asks(&mut talk, Request::CloseSession, "done").await?;
        self.ends(&mut talk).await
    }

    /// Asks for a session; `timeout_ms` is what is asked for and what must be granted.
    async fn arrive(
        &mut self,
        address: SocketAddr,
        held: Held,
        read_only: Option<bool>,
        timeout_ms: (i32, i32),
    ) -> io::Result<(Talk, Held)> {
        self.at = format!("a session of {} ms, read-only byte {read_only:?}", timeout_ms.0);
        let request = wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.zxid_seen,
            timeout_ms: timeout_ms.0,
            session: held.session,
            password: Some(held.password.clone().unwrap_or(Bytes::from_static(&[0; 16]))),
            read_only,
        };
        let mut output = BytesMut::new();
        request.put(&mut output);
        let stream = self.env.network.connect(address).await?;
        let mut talk = Talk { stream, input: BytesMut::new(), xid: 0 };
        let frame = self.exchange(&mut talk, &output).await?;
        let granted = wire::ConnectResponse::decode(&frame).map_err(io::Error::other)?;
        let same = held.session == 0 || held.session == granted.session;
        let told = format!("{} ms, read-only byte {:?}, same session: {same}", granted.timeout_ms, granted.read_only);
        self.expect(
            &told,
            &format!("{} ms, read-only byte {:?}, same session: true", timeout_ms.1, read_only.map(|_| false)),
        )?;
        Ok((talk, Held { session: granted.session, password: granted.password }))
    }

    async fn asks(&mut self, talk: &mut Talk, request: Request, expected: &str) -> io::Result<()> {
        self.at = short(&format!("{request:?}"));
        talk.xid += 1;
        let xid = if matches!(request, Request::Auth { .. }) { wire::xid::AUTH } else { talk.xid };
        let mut output = BytesMut::new();
        request.put(&mut output, xid);
        self.says(talk, &output, request.opcode(), expected).await
    }

    /// A request whose body ends too soon is refused, and what comes after it is answered.
    async fn asks_what_cannot_be_read(&mut self, talk: &mut Talk, root: &str) -> io::Result<()> {
        for request in [
            Request::GetData { path: root.into(), watch: false },
            Request::Sync { path: root.into() },
            Request::Multi(vec![Request::Check { path: root.into(), version: -1 }]),
        ] {
            self.at = format!("{request:?}, cut off");
            talk.xid += 1;
            let mut whole = BytesMut::new();
            request.put(&mut whole, talk.xid);
            let cut = whole.len() - 3;
            let mut output = BytesMut::from(&(cut as u32 - 4).to_be_bytes()[..]);
            output.extend_from_slice(&whole[4..cut]);
            self.says(talk, &output, request.opcode(), "error -5").await?;
            self.asks(talk, Request::Sync { path: "/nowhere/at all".into() }, "synced /nowhere/at all").await?;
        }
        Ok(())
    }

    async fn says(&mut self, talk: &mut Talk, output: &[u8], opcode: i32, expected: &str) -> io::Result<()> {
        let mut frame = self.exchange(talk, output).await?;
        loop {
            let reply = wire::Reply::decode(&frame, |_| Some(opcode)).map_err(io::Error::other)?;
            if reply.xid == wire::xid::NOTIFICATION {
                frame = self.exchange(talk, &[]).await?;
                continue;
            }
            self.zxid_seen = self.zxid_seen.max(reply.zxid);
            return self.expect(&told(reply.result), expected);
        }
    }

    async fn exchange(&self, talk: &mut Talk, output: &[u8]) -> io::Result<Bytes> {
        let exchanged = async {
            talk.stream.write_all(output).await?;
            talk.stream.flush().await?;
            loop {
                if let Some(frame) = wire::frame(&mut talk.input, wire::FRAME_BYTES_MAX).map_err(io::Error::other)? {
                    return Ok(frame);
                }
                if talk.stream.read_buf(&mut talk.input).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
        };
        self.env.timeout(PATIENCE, exchanged).await?
    }

    /// The member ends the connection.
    async fn ends(&mut self, talk: &mut Talk) -> io::Result<()> {
        self.at += ", then the end";
        let more = self.env.timeout(PATIENCE, talk.stream.read_buf(&mut talk.input)).await?;
        let told = if matches!(more, Ok(0) | Err(_)) { "the end" } else { "more" };
        self.expect(told, "the end")
    }

    fn expect(&mut self, told: &str, expected: &str) -> io::Result<()> {
        if told == expected {
            return Ok(());
        }
        self.wrong = Some(format!("{} is answered with {}, expected {}", self.at, short(told), short(expected)));
        Err(io::ErrorKind::Other.into())
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.into(),
    }
}

fn auth(scheme: &str, proof: &[u8]) -> Request {
    Request::Auth { kind: 0, scheme: scheme.into(), auth: Some(Bytes::copy_from_slice(proof)) }
}

/// An identity as `whoAmI` tells it, without what proves it.
fn user_of(identity: &str) -> String {
    format!("digest:{}", identity.split(':').next().unwrap_or_default())
}

/// An answer in words, without times and transactions.
fn told(answer: Result<Response, i32>) -> String {
    let sorted = |mut names: Vec<String>| {
        names.sort_unstable();
        names.join(", ")
    };
    let bytes = |data: Option<Bytes>| match data {
        None => "null".to_string(),
        Some(data) => format!("{} bytes {:?}", data.len(), String::from_utf8_lossy(&data)),
    };
    match answer {
        Err(code) => format!("error {code}"),
        Ok(Response::Empty | Response::AddWatch) => "done".into(),
        Ok(Response::Create { path }) => format!("created {path}"),
        Ok(Response::Create2 { path, stat }) => format!("created {path}, {}", counts(&stat)),
        Ok(Response::Stat(stat)) => counts(&stat),
        Ok(Response::Data { data, .. }) => bytes(data),
        Ok(Response::Acl { acl, stat }) => format!("{}; {}", list_told(&acl), counts(&stat)),
        Ok(Response::Children { children } | Response::Children2 { children, .. }) => sorted(children),
        Ok(Response::Ephemerals { paths }) => sorted(paths),
        Ok(Response::Sync { path }) => format!("synced {path}"),
        Ok(Response::Count(count)) => count.to_string(),
        Ok(Response::WhoAmI(who)) => {
            who.iter().map(|one| format!("{}:{}", one.scheme, one.user)).collect::<Vec<_>>().join(", ")
        }
        Ok(Response::Multi(parts)) => {
            let parts = parts.into_iter().map(|part| match part {
                Err(code) => format!("error {code}"),
                Ok(wire::Part::Create { path }) => format!("created {path}"),
                Ok(wire::Part::Create2 { path, stat }) => format!("created {path}, {}", counts(&stat)),
                Ok(wire::Part::Deleted) => "deleted".into(),
                Ok(wire::Part::Checked) => "checked".into(),
                Ok(wire::Part::Set { stat }) => counts(&stat),
                Ok(wire::Part::Data { data, .. }) => bytes(data),
                Ok(wire::Part::Children { children }) => sorted(children),
            });
            parts.collect::<Vec<_>>().join("; ")
        }
        Ok(other) => format!("{other:?}"),
    }
}

fn counts(stat: &Stat) -> String {
    let Stat { version, aversion, data_length, num_children, .. } = stat;
    format!("version {version}, list version {aversion}, {data_length} bytes, {num_children} children")
}

fn list_told(acl: &[Acl]) -> String {
    let told = |a: &Acl| format!("{} {}:{}", a.perms, a.identity.scheme, a.identity.id);
    acl.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn open() -> Vec<Acl> {
    vec![entry(perms::ALL, "world", "anyone")]
}

fn created(path: &str, data: Option<&'static str>, acl: Option<Vec<Acl>>, flags: i32) -> wire::Create {
    wire::Create { path: path.into(), data: data.map(|d| Bytes::from_static(d.as_bytes())), acl, flags }
}

fn get(path: &str) -> Request {
    Request::GetData { path: path.into(), watch: false }
}

fn set(path: &str, data: Option<&'static str>, version: i32) -> Request {
    Request::SetData { path: path.into(), data: data.map(|d| Bytes::from_static(d.as_bytes())), version }
}

/// What anybody may ask, under a new node `root`.
fn plain(root: &str, who: &str) -> Vec<(Request, String)> {
    let at = |name: &str| format!("{root}/{name}");
    let make = |name: &str, acl: Vec<Acl>| Request::Create(created(&at(name), Some("x"), Some(acl), 0));
    let timed = |name: &str, flags: i32, ttl_ms: i64| Request::CreateTtl {
        create: created(&at(name), None, Some(open()), flags),
        ttl_ms,
    };
    let none = |acl| Request::Create2(created(&at("none"), None, acl, 0));
    let with = |perms, scheme, id| Some(vec![entry(perms, scheme, id)]);
    let check = |version| Request::Multi(vec![Request::Check { path: root.into(), version }]);
    let path = || root.to_string();
    let mut script: Vec<(Request, &str)> = vec![
        // Null is not empty.
        (
            Request::Create2(created(root, None, Some(open()), 0)),
            "created ROOT, version 0, list version 0, 0 bytes, 0 children",
        ),
        (get(root), "null"),
        (set(root, Some(""), 0), "version 1, list version 0, 0 bytes, 0 children"),
        (get(root), "0 bytes \"\""),
        (set(root, None, -1), "version 2, list version 0, 0 bytes, 0 children"),
        (get(root), "null"),
        // Of all versions only -1 means any.
        (set(root, Some("a"), -2), "error -103"),
        (set(root, Some("a"), i32::MIN), "error -103"),
        (set(root, Some("a"), i32::MAX), "error -103"),
        (Request::Delete { path: path(), version: -2 }, "error -103"),
        (check(-2), "error -103"),
        (check(2), "checked"),
        // What is there already counts as a change.
        (set(root, Some("a"), 2), "version 3, list version 0, 1 bytes, 0 children"),
        (set(root, Some("a"), 3), "version 4, list version 0, 1 bytes, 0 children"),
        // Lists: what entries of one kind allow adds up, doubles are one.
        (
            make("two", vec![entry(1, "world", "anyone"), entry(2, "world", "anyone"), entry(1, "world", "anyone")]),
            "created ROOT/two",
        ),
        (
            Request::GetAcl { path: at("two") },
            "1 world:anyone, 2 world:anyone; version 0, list version 0, 1 bytes, 0 children",
        ),
        (set(&at("two"), Some("y"), -1), "version 1, list version 0, 1 bytes, 0 children"),
        (get(&at("two")), "1 bytes \"y\""),
        (Request::SetAcl { path: at("two"), acl: Some(open()), version: -1 }, "error -102"),
        (make("two/c", open()), "error -102"),
        (make("first", vec![entry(31, "digest", USERS[0].0), entry(1, "world", "anyone")]), "created ROOT/first"),
        (make("both", vec![entry(31, "digest", USERS[0].0), entry(31, "digest", USERS[1].0)]), "created ROOT/both"),
        (
            Request::GetAcl { path: at("first") },
            "31 digest:ann:x, 1 world:anyone; version 0, list version 0, 1 bytes, 0 children",
        ),
        (Request::GetAcl { path: at("both") }, "error -102"),
        (get(&at("both")), "error -102"),
        (make("other", vec![entry(31, "x509", "CN=a")]), "created ROOT/other"),
        (get(&at("other")), "error -102"),
        (Request::Delete { path: at("other"), version: 0 }, "done"),
        (none(with(31, "x509", "")), "error -114"),
        (none(with(31, "sasl", "")), "error -114"),
        (none(with(31, "super", "")), "error -114"),
        (none(with(31, "nonsense", "a")), "error -114"),
        (none(with(31, "digest", "a")), "error -114"),
        (none(with(31, "world", "nobody")), "error -114"),
        (none(with(31, "auth", "")), "error -114"),
        (none(Some(Vec::new())), "error -114"),
        (none(None), "error -114"),
        (Request::SetAcl { path: path(), acl: with(31, "ip", "0.0.0.0/0"), version: 5 }, "error -103"),
        (Request::SetAcl { path: path(), acl: with(31, "ip", "0.0.0.0/0"), version: -2 }, "error -103"),
        (
            Request::SetAcl { path: path(), acl: Some(open()), version: 0 },
            "version 4, list version 1, 1 bytes, 3 children",
        ),
        // Watches that are none, and the end of those that are.
        (Request::AddWatch { path: path(), mode: 2 }, "error -5"),
        (Request::AddWatch { path: path(), mode: -1 }, "error -5"),
        (Request::CheckWatches { path: path(), kind: 2 }, "error -121"),
        (Request::CheckWatches { path: path(), kind: 9 }, "error -5"),
        (Request::GetData { path: path(), watch: true }, "1 bytes \"a\""),
        (Request::CheckWatches { path: path(), kind: 2 }, "done"),
        (Request::CheckWatches { path: path(), kind: 1 }, "error -121"),
        (Request::RemoveWatches { path: path(), kind: 3 }, "done"),
        (Request::RemoveWatches { path: path(), kind: 3 }, "error -121"),
        (Request::Reconfig { joining: None, leaving: Some("1".into()), members: None, config_id: -1 }, "error -123"),
        // Times to live, and modes that there are not.
        (timed("timed", 5, 0), "error -8"),
        (timed("timed", 5, -1), "error -8"),
        (timed("timed", 5, TTL_END), "error -8"),
        (timed("timed", 0, 5), "error -8"),
        (timed("timed", 5, TTL_END - 1), "created ROOT/timed, version 0, list version 0, 0 bytes, 0 children"),
        (Request::Create(created(&at("none"), None, Some(open()), 5)), "error -8"),
        (Request::Create(created(&at("none"), None, Some(open()), 7)), "error -8"),
        (Request::Create(created(&at("none"), None, Some(open()), -1)), "error -8"),
        // Several at once.
        (Request::Multi(Vec::new()), ""),
        (
            Request::Multi(vec![
                make("m", open()),
                Request::Delete { path: at("none"), version: -1 },
                make("n", open()),
            ]),
            "error 0; error -101; error -2",
        ),
        (
            Request::Multi(vec![
                make("m", open()),
                set(&at("m"), None, 0),
                Request::Delete { path: at("m"), version: 1 },
            ]),
            "created ROOT/m; version 1, list version 0, 0 bytes, 0 children; deleted",
        ),
        (
            Request::MultiRead(vec![get(root), get(&at("none")), Request::GetChildren { path: path(), watch: false }]),
            "1 bytes \"a\"; error -101; both, first, timed, two",
        ),
        (Request::Create(created(&at("e"), Some(""), Some(open()), 1)), "created ROOT/e"),
        (make("e/c", open()), "error -108"),
        (Request::GetEphemerals { prefix: path() }, "ROOT/e"),
        (Request::GetEphemerals { prefix: at("f") }, ""),
        (Request::GetChildren { path: path(), watch: false }, "both, e, first, timed, two"),
        (Request::GetChildren2 { path: path(), watch: false }, "both, e, first, timed, two"),
        (Request::GetAllChildrenNumber { path: path() }, "5"),
        (Request::Delete { path: path(), version: 4 }, "error -111"),
    ];
    script.push((Request::WhoAmI, who));
    let large = Bytes::from(vec![b'.'; LARGE]);
    let mut script: Vec<_> = script.into_iter().map(|(request, told)| (request, told.replace("ROOT", root))).collect();
    let told = format!("version 2, list version 0, {LARGE} bytes, 0 children");
    script.push((Request::SetData { path: at("two"), data: Some(large.clone()), version: 1 }, told));
    script.push((get(&at("two")), format!("{LARGE} bytes {:?}", String::from_utf8_lossy(&large))));
    script
}

/// What only those users may ask that [`USERS`] names.
fn as_users(root: &str) -> Vec<(Request, String)> {
    let at = |name: &str| format!("{root}/{name}");
    let make = |name: &str, acl: Vec<Acl>| Request::Create(created(&at(name), None, Some(acl), 0));
    let (ann, bob) = (USERS[0].0, USERS[1].0);
    let list = |perms: u32| format!("{perms} digest:{ann}, {perms} digest:{bob}");
    vec![
        (get(&at("both")), "1 bytes \"x\"".into()),
        (Request::GetAcl { path: at("both") }, format!("{}; version 0, list version 0, 1 bytes, 0 children", list(31))),
        (make("mine", vec![entry(29, "auth", "")]), format!("created {root}/mine")),
        (Request::GetAcl { path: at("mine") }, format!("{}; version 0, list version 0, 0 bytes, 0 children", list(29))),
        (set(&at("mine"), Some("z"), 0), "error -102".into()),
        (
            Request::SetAcl { path: at("mine"), acl: Some(vec![entry(3, "digest", bob)]), version: 0 },
            "version 0, list version 1, 0 bytes, 0 children".into(),
        ),
        (set(&at("mine"), Some("z"), 0), "version 1, list version 1, 1 bytes, 0 children".into()),
        (Request::SetAcl { path: at("mine"), acl: Some(open()), version: 1 }, "error -102".into()),
    ]
}

/// The super user may do what no list allows.
fn as_super_user(root: &str) -> Vec<(Request, String)> {
    let two = format!("{root}/two");
    vec![(
        Request::SetAcl { path: two, acl: Some(vec![entry(7, "world", "anyone")]), version: 0 },
        format!("version 2, list version 1, {LARGE} bytes, 0 children"),
    )]
}

/// What those users may do and nobody else.
fn as_nobody(root: &str, who: &str) -> Vec<(Request, String)> {
    let at = |name: &str| format!("{root}/{name}");
    vec![
        (Request::WhoAmI, who.into()),
        (get(&at("both")), "error -102".into()),
        (Request::GetData { path: at("mine"), watch: true }, "error -102".into()),
        (Request::Exists { path: at("mine"), watch: true }, "error -102".into()),
        (Request::GetChildren { path: at("mine"), watch: true }, "error -102".into()),
        (Request::CheckWatches { path: at("mine"), kind: 3 }, "error -121".into()),
        (set(&at("mine"), Some("w"), -1), "error -102".into()),
        (Request::GetEphemerals { prefix: String::new() }, at("e")),
        (set(&at("e"), None, 0), "version 1, list version 0, 0 bytes, 0 children".into()),
    ]
}

/// What another member must show.
fn elsewhere(root: &str) -> Vec<(Request, String)> {
    let at = |name: &str| format!("{root}/{name}");
    let exists = |name: &str| Request::Exists { path: at(name), watch: false };
    vec![
        (Request::Sync { path: root.into() }, format!("synced {root}")),
        (exists("e"), "error -101".into()),
        (exists("mine"), "error -102".into()),
        (get(root), "1 bytes \"a\"".into()),
        (exists("two"), format!("version 2, list version 1, {LARGE} bytes, 0 children")),
        (set(root, None, 4), "version 5, list version 1, 0 bytes, 5 children".into()),
        (get(root), "null".into()),
    ]
}
