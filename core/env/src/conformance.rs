//! What every implementation of [`crate::Env`] must do. Each function is one promise of the contracts; it panics with
//! what was broken. `real` and `sim` call [`all`] from their tests.
//!
//! Not here: what happens under faults, which only `sim` can cause.

use crate::{Env, File, Listener, OpenMode, Stream};
use bytes::Bytes;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// Far longer than anything here takes on a healthy machine: a promise that waits longer is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// More than the buffers of any implementation hold, so that writers must wait for readers.
const LARGE: usize = 24 << 20;

/// Runs the whole suite in an empty folder, with the ports of `host` free.
pub async fn all(env: Env, folder: &Path, host: IpAddr) {
    clock(&env).await;
    tasks(&env).await;
    refused_and_reused_ports(&env, host).await;
    echo(&env, host).await;
    partial_reads(&env, host).await;
    end_of_stream_and_half_close(&env, host).await;
    dropped_stream_fails_writes(&env, host).await;
    back_pressure_and_large_transfer(&env, host).await;
    many_streams(&env, host).await;
    datagrams(&env, host).await;

    env.disk.create_dir_all(&folder.join("a/b")).await.expect("create folders");
    env.disk.create_dir_all(&folder.join("a/b")).await.expect("creating folders that exist is no error");
    for dir in [folder.to_path_buf(), folder.join("a")] {
        env.disk.sync_dir(&dir).await.expect("sync folder");
    }
    let folder = folder.join("a/b");
    open_modes(&env, &folder).await;
    read_and_write(&env, &folder).await;
    lengths(&env, &folder).await;
    operations_of_a_file_keep_their_order(&env, &folder).await;
    names(&env, &folder).await;
    open_file_outlives_its_name(&env, &folder).await;
    lock(&env, &folder).await;
}

async fn within<T>(env: &Env, what: &str, future: impl Future<Output = T>) -> T {
    env.timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not done after {PATIENCE:?}"))
}

/// The monotonic clock never goes back and sleeping moves it; the wall clock is of this century.
pub async fn clock(env: &Env) {
    let mut last = env.now();
    for _ in 0..1000 {
        let now = env.now();
        assert!(now >= last, "the monotonic clock went back from {last:?} to {now:?}");
        last = now;
    }
    let (start, wall) = (env.now(), env.wall_ms());
    assert!(wall > 1_600_000_000_000, "the wall clock says {wall} ms since 1970");
    env.sleep(Duration::from_millis(20)).await;
    let slept = env.now().since(start);
    assert!(slept >= Duration::from_millis(20), "a sleep of 20 ms took {slept:?}");
    assert!(slept < Duration::from_secs(5), "a sleep of 20 ms took {slept:?}");
    assert!(env.wall_ms() >= wall + 15, "the wall clock stood still during a sleep");

    within(&env.clone(), "sleep until the past", env.sleep_until(start)).await;
    within(&env.clone(), "sleep for no time", env.sleep(Duration::ZERO)).await;

    let never = std::future::pending::<()>();
    let error = env.timeout(Duration::from_millis(5), never).await.expect_err("a timeout of a future that never ends");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(env.timeout(Duration::from_millis(5), async { 7 }).await.expect("timeout of a ready future"), 7);

    // Sleeps end in the order of their deadlines, whatever the order in which they began.
    let (late, early) = (env.sleep(Duration::from_millis(60)), env.sleep(Duration::from_millis(10)));
    tokio::select! {
        biased;
        () = late => panic!("a sleep of 60 ms ended before one of 10 ms"),
        () = early => {}
    }
}

/// Tasks run, offloaded work brings its result, random numbers differ.
pub async fn tasks(env: &Env) {
    let (tx, rx) = oneshot::channel();
    let inner = env.clone();
    env.spawn("outer", async move {
        let spawner = inner.clone();
        spawner.spawn("inner", async move {
            inner.sleep(Duration::from_millis(1)).await;
            tx.send(41).expect("the receiver waits");
        });
    });
    assert_eq!(within(env, "spawned task", rx).await.expect("the task sends"), 41);

    let sum = env.offload(Duration::from_millis(1), || (1..=1000_u64).sum::<u64>());
    assert_eq!(within(env, "offload", sum).await.expect("offload"), 500_500);

    assert_ne!(env.random_u64(), env.random_u64(), "two random numbers are the same");
    env.sometimes("conformance");
}

async fn listen(env: &Env, host: IpAddr) -> Box<dyn Listener> {
    let listener = env.network.listen(SocketAddr::new(host, 0)).await.expect("listen on any port");
    assert_eq!(listener.local_addr().ip(), host);
    assert_ne!(listener.local_addr().port(), 0, "a listener on port 0 is given a port");
    listener
}

async fn connect(env: &Env, addr: SocketAddr) -> Box<dyn Stream> {
    within(env, "connect", env.network.connect(addr)).await.unwrap_or_else(|error| panic!("connect {addr}: {error}"))
}

/// The two ends of a new stream: who connected, who accepted.
async fn pair(env: &Env, host: IpAddr) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = listen(env, host).await;
    let addr = listener.local_addr();
    let client = connect(env, addr).await;
    let server = within(env, "accept", listener.accept()).await.expect("accept");
    assert_eq!(client.peer_addr(), addr);
    assert_eq!(server.peer_addr().ip(), host);
    (client, server)
}

/// A port without a listener refuses; a taken port cannot be taken again, a dropped one can, at once.
pub async fn refused_and_reused_ports(env: &Env, host: IpAddr) {
    let listener = listen(env, host).await;
    let addr = listener.local_addr();
    let again = env.network.listen(addr).await.map(drop).expect_err("listening twice on one port");
    assert_eq!(again.kind(), ErrorKind::AddrInUse);

    let client = connect(env, addr).await;
    let server = within(env, "accept", listener.accept()).await.expect("accept");
    drop(listener);
    let refused = within(env, "connect", env.network.connect(addr)).await.map(drop);
    assert_eq!(refused.expect_err("connecting to a port that nobody listens on").kind(), ErrorKind::ConnectionRefused);

    // Neither an open stream of the old listener nor a closed one keeps the port.
    let listener = env.network.listen(addr).await.expect("listen beside an open stream of the old listener");
    drop(listener);
    drop((server, client));
    let listener = env.network.listen(addr).await.expect("listen again");
    let _client = connect(env, addr).await;
    within(env, "accept", listener.accept()).await.expect("accept");
}

/// Bytes arrive as they were sent, both ways.
pub async fn echo(env: &Env, host: IpAddr) {
    let (mut client, mut server) = pair(env, host).await;
    env.spawn("echo", async move {
        let mut buffer = [0; 64];
        loop {
            let n = server.read(&mut buffer).await.expect("read");
            if n == 0 {
                return;
            }
            server.write_all(&buffer[..n]).await.expect("write");
            server.flush().await.expect("flush");
        }
    });
    for round in 0..50_u8 {
        let sent: Vec<u8> = (0..=round).collect();
        client.write_all(&sent).await.expect("write");
        client.flush().await.expect("flush");
        let mut received = vec![0; sent.len()];
        within(env, "echo", client.read_exact(&mut received)).await.expect("read");
        assert_eq!(received, sent);
    }
}

/// A read takes what fits and leaves the rest.
pub async fn partial_reads(env: &Env, host: IpAddr) {
    let (mut client, mut server) = pair(env, host).await;
    client.write_all(b"abcdefghij").await.expect("write");
    client.flush().await.expect("flush");
    let mut received = Vec::new();
    while received.len() < 10 {
        let mut buffer = [0; 3];
        let n = within(env, "read", server.read(&mut buffer)).await.expect("read");
        assert!((1..=3).contains(&n), "a read into 3 bytes gave {n}");
        received.extend_from_slice(&buffer[..n]);
    }
    assert_eq!(received, b"abcdefghij");
}

/// Shutting down one direction ends the other side's reads after the last byte and leaves the other direction open.
pub async fn end_of_stream_and_half_close(env: &Env, host: IpAddr) {
    let (mut client, mut server) = pair(env, host).await;
    client.write_all(b"question").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut received = Vec::new();
    within(env, "read to the end", server.read_to_end(&mut received)).await.expect("read to the end");
    assert_eq!(received, b"question");
    assert_eq!(server.read(&mut [0; 8]).await.expect("read after the end"), 0);

    server.write_all(b"answer").await.expect("write to a half closed stream");
    server.flush().await.expect("flush");
    let mut answer = [0; 6];
    within(env, "read of the open half", client.read_exact(&mut answer)).await.expect("read of the open half");
    assert_eq!(&answer, b"answer");
    let late = client.write_all(b"late").await.expect_err("writing after shutdown");
    assert_eq!(late.kind(), ErrorKind::BrokenPipe);

    // Dropping closes the rest.
    drop(server);
    assert_eq!(within(env, "read", client.read(&mut [0; 8])).await.expect("read after the peer is gone"), 0);
}

/// Writing to a stream whose other end is gone fails before long, and so does reading.
pub async fn dropped_stream_fails_writes(env: &Env, host: IpAddr) {
    let (mut client, server) = pair(env, host).await;
    drop(server);
    let write = async {
        loop {
            if let Err(error) = client.write_all(b"anyone?").await {
                break error.kind();
            }
            env.sleep(Duration::from_millis(5)).await;
        }
    };
    let kind = within(env, "failing write", write).await;
    assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "write to a dropped stream: {kind:?}");

    // Unread bytes are not forgotten quietly: the sender hears of it.
    let (mut client, server) = pair(env, host).await;
    client.write_all(b"never read").await.expect("write");
    client.flush().await.expect("flush");
    env.sleep(Duration::from_millis(50)).await;
    drop(server);
    let read = within(env, "read", client.read(&mut [0; 8])).await;
    assert_eq!(read.expect_err("the peer dropped unread bytes").kind(), ErrorKind::ConnectionReset);
}

/// A writer waits for a reader that does not read, and everything arrives once it does.
pub async fn back_pressure_and_large_transfer(env: &Env, host: IpAddr) {
    let (mut client, mut server) = pair(env, host).await;
    let byte = |at: usize| (at.wrapping_mul(31) >> 3) as u8;
    let (tx, mut done) = oneshot::channel();
    env.spawn("large write", async move {
        let chunk: Vec<u8> = (0..1 << 20).map(byte).collect();
        for _ in 0..LARGE >> 20 {
            client.write_all(&chunk).await.expect("write");
        }
        client.shutdown().await.expect("shutdown");
        drop(tx.send(client));
    });
    env.sleep(Duration::from_millis(300)).await;
    assert!(done.try_recv().is_err(), "{LARGE} bytes were accepted while nobody read");

    let mut buffer = vec![0; 100_000];
    let mut total = 0;
    loop {
        let n = within(env, "read", server.read(&mut buffer)).await.expect("read");
        if n == 0 {
            break;
        }
        for (i, &b) in buffer[..n].iter().enumerate() {
            assert!(b == byte((total + i) % (1 << 20)), "byte {} of a large transfer differs", total + i);
        }
        total += n;
    }
    assert_eq!(total, LARGE);
    within(env, "end of a large write", done).await.expect("the writer ends well");
}

/// Streams do not mix.
pub async fn many_streams(env: &Env, host: IpAddr) {
    let listener = listen(env, host).await;
    let addr = listener.local_addr();
    let accepting = env.clone();
    env.spawn("accept", async move {
        for _ in 0..100 {
            let mut stream = listener.accept().await.expect("accept");
            accepting.spawn("double", async move {
                let number = stream.read_u32().await.expect("read");
                stream.write_u32(number * 2).await.expect("write");
                stream.flush().await.expect("flush");
            });
        }
    });
    let mut streams = Vec::new();
    for number in 0..100 {
        let mut stream = connect(env, addr).await;
        stream.write_u32(number).await.expect("write");
        stream.flush().await.expect("flush");
        streams.push(stream);
    }
    for (number, stream) in (0..).zip(&mut streams) {
        assert_eq!(within(env, "answer", stream.read_u32()).await.expect("read"), number * 2);
    }
}

/// Datagrams arrive whole and with their sender's address, or not at all; ports are taken and freed.
pub async fn datagrams(env: &Env, host: IpAddr) {
    let any = SocketAddr::new(host, 0);
    let server = env.network.bind(any).await.expect("bind to any port");
    let addr = server.local_addr();
    assert!(addr.ip() == host && addr.port() != 0, "a socket on port 0 is given a port");
    let again = env.network.bind(addr).await.map(drop).expect_err("binding twice to one port");
    assert_eq!(again.kind(), ErrorKind::AddrInUse);
    let beside = env.network.listen(addr).await.expect("streams have ports of their own");
    drop(beside);
    let client = env.network.bind(any).await.expect("bind to any port");

    for len in [0, 1, 512, 9_000] {
        let sent: Bytes = (0..len).map(|at| at as u8).collect();
        // A datagram may be lost anywhere.
        let exchange = async {
            loop {
                client.send_to(sent.clone(), addr).await.expect("send");
                if let Ok(received) = env.timeout(Duration::from_millis(500), server.recv_from()).await {
                    let (data, from) = received.expect("receive");
                    if data.len() == len {
                        assert!(data == sent && from == client.local_addr(), "{} bytes from {from}", data.len());
                        break;
                    }
                }
            }
        };
        within(env, "datagram", exchange).await;
    }
    let long = Bytes::from(vec![0; crate::network::DATAGRAM_BYTES_MAX + 1]);
    client.send_to(long, addr).await.expect_err("sending a datagram that is too long");
    drop(server);
    client.send_to(Bytes::from_static(b"anyone?"), addr).await.expect("sending to nobody");
    let silence = env.timeout(Duration::from_millis(20), client.recv_from()).await;
    assert!(silence.is_err(), "nobody answers");
    env.network.bind(addr).await.expect("bind again");
}

async fn create(env: &Env, path: &Path) -> Box<dyn File> {
    env.disk.open(path, OpenMode::CreateNew).await.unwrap_or_else(|error| panic!("create {}: {error}", path.display()))
}

/// Every mode of opening, on files that exist and that do not.
pub async fn open_modes(env: &Env, folder: &Path) {
    let path = folder.join("modes");
    for mode in [OpenMode::Read, OpenMode::Write] {
        let missing = env.disk.open(&path, mode).await.map(drop).expect_err("opening a file that does not exist");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
    let nowhere = env.disk.open(&folder.join("missing/modes"), OpenMode::CreateNew).await.map(drop);
    assert_eq!(nowhere.expect_err("creating a file in no folder").kind(), ErrorKind::NotFound);
    let file = create(env, &path).await;
    file.write_at(0, Bytes::from_static(b"x")).await.expect("write");
    let twice = env.disk.open(&path, OpenMode::CreateNew).await.map(drop).expect_err("creating a file that exists");
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
    let reader = env.disk.open(&path, OpenMode::Read).await.expect("open for reading");
    assert_eq!(&reader.read_at(0, 8).await.expect("read")[..], b"x", "handles of one file see the same bytes");
    reader.write_at(0, Bytes::from_static(b"y")).await.expect_err("writing to a file that is open for reading");
    env.disk.remove(&path).await.expect("remove");
    assert_eq!(env.disk.remove(&path).await.expect_err("removing twice").kind(), ErrorKind::NotFound);
}

/// Bytes come back from where they were put, holes read as zeros, the end cuts a read short.
pub async fn read_and_write(env: &Env, folder: &Path) {
    let file = create(env, &folder.join("bytes")).await;
    assert_eq!(file.len().await.expect("length"), 0);
    assert!(file.read_at(0, 10).await.expect("read an empty file").is_empty());
    file.write_at(0, Bytes::from_static(b"hello")).await.expect("write");
    file.write_at(10_000, Bytes::from_static(b"world")).await.expect("write behind the end");
    file.sync().await.expect("sync");
    assert_eq!(file.len().await.expect("length"), 10_005);
    assert_eq!(&file.read_at(1, 3).await.expect("read")[..], b"ell");
    assert_eq!(&file.read_at(9_998, 5).await.expect("read")[..], b"\0\0wor");
    assert!(file.read_at(5, 9_995).await.expect("read a hole").iter().all(|&b| b == 0));
    assert_eq!(&file.read_at(10_003, 100).await.expect("read over the end")[..], b"ld");
    assert!(file.read_at(20_000, 10).await.expect("read behind the end").is_empty());
    file.write_at(3, Bytes::from_static(b"p!")).await.expect("overwrite");
    assert_eq!(&file.read_at(0, 6).await.expect("read")[..], b"help!\0");

    // Over many pages, at odd offsets.
    let data: Bytes = (0..50_000_u32).map(|i| (i % 251) as u8).collect();
    file.write_at(4_093, data.clone()).await.expect("long write");
    assert_eq!(file.read_at(4_093, data.len()).await.expect("long read"), data);
    file.write_sync(vec![]).await.expect("write and sync nothing");
}

/// Cutting removes bytes for good; extending adds zeros.
pub async fn lengths(env: &Env, folder: &Path) {
    let file = create(env, &folder.join("lengths")).await;
    file.write_at(0, Bytes::from(vec![7; 9_000])).await.expect("write");
    file.set_len(5_000).await.expect("cut");
    assert_eq!(file.len().await.expect("length"), 5_000);
    assert_eq!(file.read_at(4_990, 100).await.expect("read").len(), 10);
    file.set_len(12_000).await.expect("extend");
    assert_eq!(file.len().await.expect("length"), 12_000);
    let tail = file.read_at(4_999, 7_001).await.expect("read");
    assert_eq!(tail[0], 7);
    assert!(tail.len() == 7_001 && tail[1..].iter().all(|&b| b == 0), "what was cut off came back");
    file.sync().await.expect("sync");
}

/// Operations run in the order of the calls, even when nobody polls their futures or they are dropped.
pub async fn operations_of_a_file_keep_their_order(env: &Env, folder: &Path) {
    let file = create(env, &folder.join("order")).await;
    for round in 0..50_u8 {
        let first = file.write_at(0, Bytes::from(vec![round; 100]));
        let second = file.write_sync(vec![(50, Bytes::from(vec![round + 1; 25])), (60, Bytes::from_static(b"!"))]);
        let third = file.read_at(0, 100);
        let fourth = file.write_at(0, Bytes::from(vec![0xff; 100]));
        let fifth = file.sync();
        let read = within(env, "read", third).await.expect("read");
        if round % 2 == 0 {
            fifth.await.expect("sync");
            fourth.await.expect("write");
            second.await.expect("write and sync");
            first.await.expect("write");
        } else {
            drop((first, second, fourth, fifth));
        }
        let mut expected = [round; 100];
        expected[50..75].fill(round + 1);
        expected[60] = b'!';
        assert_eq!(read[..], expected[..], "round {round}: a read did not see the writes that were called before it");
    }
    assert_eq!(file.read_at(0, 100).await.expect("read")[..], [0xff; 100]);
}

/// Listing is sorted and has files only; a rename replaces; what is removed is gone.
pub async fn names(env: &Env, folder: &Path) {
    let folder = folder.join("names");
    assert!(env.disk.list(&folder).await.expect("list a folder that does not exist").is_empty());
    env.disk.create_dir_all(&folder.join("z-folder")).await.expect("create folder");
    for name in ["b", "c", "a", "a.tmp"] {
        let file = create(env, &folder.join(name)).await;
        file.write_at(0, Bytes::from_static(name.as_bytes())).await.expect("write");
        file.sync().await.expect("sync");
    }
    let list = || async {
        let names = env.disk.list(&folder).await.expect("list");
        names.iter().map(|name| name.to_str().expect("name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list().await, ["a", "a.tmp", "b", "c"]);
    env.disk.rename(&folder.join("a.tmp"), &folder.join("b")).await.expect("rename over a file");
    env.disk.remove(&folder.join("c")).await.expect("remove");
    env.disk.sync_dir(&folder).await.expect("sync folder");
    assert_eq!(list().await, ["a", "b"]);
    let file = env.disk.open(&folder.join("b"), OpenMode::Read).await.expect("open");
    assert_eq!(&file.read_at(0, 100).await.expect("read")[..], b"a.tmp");
    let missing = env.disk.rename(&folder.join("c"), &folder.join("d")).await;
    assert_eq!(missing.expect_err("renaming a file that does not exist").kind(), ErrorKind::NotFound);
    let nowhere = env.disk.sync_dir(&folder.join("missing")).await;
    assert_eq!(nowhere.expect_err("syncing a folder that does not exist").kind(), ErrorKind::NotFound);
}

/// A file that was removed or replaced is read and written on through a handle that was opened before.
pub async fn open_file_outlives_its_name(env: &Env, folder: &Path) {
    let path = folder.join("outlived");
    let old = create(env, &path).await;
    old.write_at(0, Bytes::from_static(b"old")).await.expect("write");
    env.disk.remove(&path).await.expect("remove");
    let new = create(env, &path).await;
    new.write_at(0, Bytes::from_static(b"new")).await.expect("write");
    old.write_at(3, Bytes::from_static(b"er")).await.expect("write to a removed file");
    assert_eq!(&old.read_at(0, 10).await.expect("read")[..], b"older");
    assert_eq!(&new.read_at(0, 10).await.expect("read")[..], b"new");
}

/// A lock excludes until it is dropped.
pub async fn lock(env: &Env, folder: &Path) {
    let path = folder.join("lock");
    let held = env.disk.lock(&path).await.expect("lock");
    let busy = env.disk.lock(&path).await.map(drop).expect_err("locking twice");
    assert_eq!(busy.kind(), ErrorKind::WouldBlock);
    drop(held);
    drop(env.disk.lock(&path).await.expect("lock again"));
}
