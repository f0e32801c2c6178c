//! For scenarios of your own: a cluster on simulated machines, and a session on it for the code under test. The example
//! `lock_service` shows both at work.

use bytes::{Bytes, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use synod_env::{Env, Stream};
use synod_node::{Config, Member};
use synod_sim::{Host, World};
use synod_types::{Acl, Identity, NodeId, znode::perms};
use synod_wire::zookeeper as wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A connect, and each answer, may take so long.
const PATIENCE: Duration = Duration::from_secs(2);

/// The machines of a cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// One a member, the first of which is number 1.
    pub hosts: Vec<Host>,
}

impl Cluster {
    /// Starts so many members.
    pub fn start(world: &World, nodes: u8) -> Cluster {
        let cluster = Cluster { hosts: (0..nodes).map(|_| world.host()).collect() };
        (1..=nodes).for_each(|node| cluster.start_member(world, node));
        cluster
    }

    /// Starts a member, as after a crash.
    pub fn start_member(&self, world: &World, node: u8) {
        let host = |n: u8| self.hosts[usize::from(n) - 1];
        let members = (1..=self.hosts.len() as u8).map(|n| (NodeId(n), host(n).addr(7000))).collect();
        let mut config = Config::new(NodeId(node), members, PathBuf::from("/data"));
        config.zookeeper_listen = Some(host(node).addr(2181));
        world.start(host(node), async move |env| {
            if let Ok(member) = Member::start(env, config, None).await {
                member.stopped().await;
            }
        });
    }

    /// Where clients connect to.
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.hosts.iter().map(|host| host.addr(2181)).collect()
    }
}

/// A session of ZooKeeper's protocol, one request at a time. It lives as long as requests come often enough.
pub struct Session {
    env: Env,
    stream: Box<dyn Stream>,
    input: BytesMut,
    xid: i32,
    /// Its number.
    pub id: i64,
}

impl Session {
    /// Opens a session on the first server that grants one.
    ///
    /// # Errors
    /// None does.
    pub async fn open(env: &Env, servers: &[SocketAddr], timeout_ms: u32) -> io::Result<Session> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for server in servers {
            match env.timeout(PATIENCE, Session::open_on(env, *server, timeout_ms)).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) | Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn open_on(env: &Env, server: SocketAddr, timeout_ms: u32) -> io::Result<Session> {
        let stream = env.network.connect(server).await?;
        let mut session = Session { env: env.clone(), stream, input: BytesMut::new(), xid: 0, id: 0 };
        let mut output = BytesMut::new();
        wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: timeout_ms as i32,
            session: 0,
            password: Some(Bytes::from_static(&[0; 16])),
            read_only: Some(false),
        }
        .put(&mut output);
        session.stream.write_all(&output).await?;
        let response = wire::ConnectResponse::decode(&session.frame().await?).map_err(io::Error::other)?;
        session.id = response.session;
        if response.timeout_ms > 0 { Ok(session) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
    }

    async fn frame(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = wire::frame(&mut self.input, wire::FRAME_BYTES_MAX).map_err(io::Error::other)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// One request: the answer, or ZooKeeper's error code.
    ///
    /// # Errors
    /// The connection is lost, or there is no answer in time: what came of the request is not known.
    pub async fn call(&mut self, request: &wire::Request) -> io::Result<Result<wire::Response, i32>> {
        self.xid += 1;
        let mut output = BytesMut::new();
        request.put(&mut output, self.xid);
        self.stream.write_all(&output).await?;
        let env = self.env.clone();
        let (xid, opcode) = (self.xid, request.opcode());
        loop {
            let frame = env.timeout(PATIENCE, self.frame()).await??;
            let expected = |x| (x == xid).then_some(opcode);
            let reply = wire::Reply::decode(&frame, expected).map_err(io::Error::other)?;
            if reply.xid == xid {
                return Ok(reply.result);
            }
        }
    }

    /// Creates an ephemeral node: the zxid of its creation, or ZooKeeper's error code.
    ///
    /// # Errors
    /// As of [`Session::call`].
    pub async fn create_ephemeral(&mut self, path: &str) -> io::Result<Result<i64, i32>> {
        let anyone = Acl { perms: perms::ALL, identity: Identity { scheme: "world".into(), id: "anyone".into() } };
        let create = wire::Create { path: path.into(), data: None, acl: Some(vec![anyone]), flags: 1 };
        Ok(match self.call(&wire::Request::Create2(create)).await? {
            Ok(wire::Response::Create2 { stat, .. }) => Ok(stat.czxid.0),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(code) => Err(code),
        })
    }

    /// Deletes a node, whatever its version.
    ///
    /// # Errors
    /// As of [`Session::call`].
    pub async fn delete(&mut self, path: &str) -> io::Result<Result<(), i32>> {
        Ok(self.call(&wire::Request::Delete { path: path.into(), version: -1 }).await?.map(drop))
    }
}
