//! Connections with their sessions: opened, resumed, tried with a wrong password.

use super::Client;
use crate::recorder::Call;
use ::bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use synod_checkers::history::{Change, Data, Granted, Reply, Request, Response};
use synod_env::Stream;
use synod_types::Instant;
use synod_wire::zookeeper as wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a connect and its handshake may take.
const CONNECT_PATIENCE: Duration = Duration::from_millis(2_500);

/// The driver's own clients are numbered from here on.
const PROBES: u32 = 100;

/// The number of a client's shadow: the connection with the wrong password.
const INTRUDER: u32 = 1_000;

/// A request under way.
pub(super) struct Pending {
    pub xid: i32,
    pub call: Call,
    pub request: Request,
}

/// An open connection with its session.
pub(super) struct Connection {
    pub stream: Box<dyn Stream>,
    pub id: u64,
    pub node: u8,
    pub input: BytesMut,
    pub output: BytesMut,
    pub pending: VecDeque<Pending>,
    pub pings: VecDeque<Call>,
    pub set_watches: Option<Call>,
    pub auths: VecDeque<Call>,
    pub xid: i32,
    pub heard: Instant,
    pub sent: Instant,
}

impl Client {
    /// Connects and opens or resumes the session; `None` if it is over.
    pub(super) async fn open(&mut self, node: u8) -> io::Result<Option<Connection>> {
        let session = self.session.clone();
        self.connects += 1;
        let (request, handshake) = self.handshake(session.as_ref());
        let env = self.env.clone();
        let opened = env.timeout(CONNECT_PATIENCE, self.greet(self.id, node, request, handshake)).await??;
        let (connection, granted) = opened;
        match granted {
            Some(granted) => {
                self.session = Some(granted);
                Ok(Some(connection))
            }
            None => {
                if let Some(session) = &session {
                    self.recorder.changed(self.id, connection.id, Change::Expired { session: session.session });
                }
                self.recorder.changed(self.id, connection.id, Change::Disconnected);
                self.forget_session();
                Ok(None)
            }
        }
    }

    fn handshake(&self, session: Option<&Granted>) -> (Request, wire::ConnectRequest) {
        // Now and then less than usual, also less than is granted; more would hide dead connections from the client.
        let timeout_ms = match (u64::from(self.id) + self.connects) % 8 {
            3 if self.id < PROBES => 1_000,
            5 if self.id < PROBES => 4_000,
            _ => self.workload.session_timeout_ms,
        };
        let last_zxid_seen = self.zxid_seen;
        let request = match session {
            None => Request::OpenSession { timeout_ms, last_zxid_seen },
            Some(s) => {
                let (session, password) = (s.session, s.password.clone());
                Request::AttachSession { session, password, timeout_ms, last_zxid_seen }
            }
        };
        let handshake = wire::ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            timeout_ms: timeout_ms as i32,
            session: session.map_or(0, |s| s.session),
            password: Some(session.map_or(Bytes::from_static(&[0; 16]), |s| Bytes::from(s.password.0.clone()))),
            read_only: Some(false),
        };
        (request, handshake)
    }

    async fn greet(
        &self,
        client: u32,
        node: u8,
        request: Request,
        handshake: wire::ConnectRequest,
    ) -> io::Result<(Connection, Option<Granted>)> {
        let address = self.servers[usize::from(node) - 1];
        let mut stream = self.env.network.connect(address).await?;
        let id = self.recorder.connected(client, node);
        let session = handshake.session;
        let call = self.recorder.call(client, session, node, id, request);
        let mut output = BytesMut::new();
        handshake.put(&mut output);
        let result = async {
            stream.write_all(&output).await?;
            stream.flush().await?;
            let mut input = BytesMut::new();
            loop {
                if let Some(frame) = wire::frame(&mut input, wire::FRAME_BYTES_MAX).map_err(io::Error::other)? {
                    return Ok((input, frame));
                }
                if stream.read_buf(&mut input).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
        };
        let (input, frame) = match result.await {
            Ok(read) => read,
            Err(error) => {
                self.recorder.changed(client, id, Change::Disconnected);
                return Err(error);
            }
        };
        let response = wire::ConnectResponse::decode(&frame).map_err(io::Error::other)?;
        let granted = (response.timeout_ms > 0).then(|| Granted {
            session: response.session,
            password: Data(response.password.map(|p| p.to_vec()).unwrap_or_default()),
            timeout_ms: response.timeout_ms as u32,
        });
        let answer = match &granted {
            Some(granted) => Response::Ok(Reply { session: Some(granted.clone()), ..Reply::default() }),
            None => Response::Error(synod_types::ErrorCode::SessionExpired.code()),
        };
        self.recorder.returned(call, answer, 0);
        let now = self.env.now();
        let connection = Connection {
            stream,
            id,
            node,
            input,
            output: BytesMut::new(),
            pending: VecDeque::new(),
            pings: VecDeque::new(),
            set_watches: None,
            auths: VecDeque::new(),
            xid: 0,
            heard: now,
            sent: now,
        };
        Ok((connection, granted))
    }

    /// Somebody else who knows the session's id but not its password.
    pub(super) async fn intrude(&mut self) {
        let Some(mut stolen) = self.session.clone() else { return };
        let node = 1 + self.dice.below(self.servers.len() as u64) as u8;
        // What a client sends that has no session is as wrong as any other.
        stolen.password = Data(vec![if node.is_multiple_of(2) { 0 } else { 7 }; 16]);
        let (request, handshake) = self.handshake(Some(&stolen));
        let client = self.id + INTRUDER;
        let greeted = self.env.timeout(Duration::from_millis(300), self.greet(client, node, request, handshake)).await;
        if let Ok(Ok((connection, _))) = greeted {
            self.recorder.changed(client, connection.id, Change::Disconnected);
        }
    }
}
