//! One connection: handshake, frames, and the end.

use crate::auth;
use crate::requests;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use synod_replica::{Reply, Request};
use synod_types::session::{Password, SessionGranted};
use synod_types::znode::EventKind;
use synod_types::{ErrorCode, Identity, SessionId, Zxid};
use synod_wire::zookeeper as wire;
use wire::{ConnectRequest, ConnectResponse, RequestHeader, Response, Word, opcode, xid};

/// What an operator configures of the protocol.
#[derive(Clone, Debug)]
pub struct Options {
    /// Least timeout a session gets, milliseconds.
    pub session_timeout_min_ms: u32,
    /// Most.
    pub session_timeout_max_ms: u32,
    /// Longest frame taken (`jute.maxbuffer`).
    pub frame_bytes_max: usize,
    /// `user:base64(sha1(user:password))` of the super user.
    pub super_digest: Option<String>,
    /// Whether nodes with a time to live may be created.
    pub extended_types: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            session_timeout_min_ms: 4_000,
            session_timeout_max_ms: 40_000,
            frame_bytes_max: wire::FRAME_BYTES_MAX,
            super_digest: None,
            extended_types: false,
        }
    }
}

/// What a client's bytes ask for.
#[derive(Debug)]
pub enum Action {
    /// A session: a new one, or the one it had.
    Connect { resume: Option<(SessionId, Password)>, timeout_ms: u32, zxid_seen: Zxid },
    /// Something of the replica; `tag` belongs to [`Protocol::reply`].
    Request { tag: u64, request: Request },
    /// The client is now known as these.
    Identify(Arc<[Identity]>),
    /// A four-letter word instead of a session; the connection ends with its answer.
    Word(Word),
    /// The connection must end.
    Close(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    /// Asked for a session; what the client sends meanwhile waits in the buffer.
    Connecting,
    Ready,
    Closing,
}

/// What a reply repeats of its request.
#[derive(Debug)]
pub(crate) enum Echo {
    /// The path.
    Sync(String),
    /// The operations: only the oldest create answers without the stat.
    Multi(Vec<i32>),
}

/// One connection's state.
#[derive(Debug)]
pub struct Protocol {
    options: Arc<Options>,
    phase: Phase,
    identities: Arc<[Identity]>,
    /// Whether the handshake had the byte that says so; the answer then has one too.
    read_only_byte: bool,
    /// What replies under way repeat of their requests, in order.
    echoes: VecDeque<Echo>,
    /// For `cons`: the session, once there is one.
    session: Option<SessionGranted>,
}

impl Protocol {
    /// A connection from an address.
    pub fn new(options: Arc<Options>, address: SocketAddr) -> Protocol {
        Protocol {
            options,
            phase: Phase::Handshake,
            identities: Arc::from([auth::by_address(address)]),
            read_only_byte: false,
            echoes: VecDeque::new(),
            session: None,
        }
    }

    /// Who the client is, by now.
    pub fn identities(&self) -> Arc<[Identity]> {
        self.identities.clone()
    }

    /// The session, once there is one.
    pub fn session(&self) -> Option<SessionGranted> {
        self.session
    }

    /// Whether the client still has not asked for a session.
    pub fn in_handshake(&self) -> bool {
        self.phase == Phase::Handshake
    }

    /// The next thing that the bytes in `input` ask for; takes them off it. Answers that need nobody else go to `out`.
    pub fn next(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Option<Action> {
        match self.phase {
            Phase::Handshake => self.handshake(input),
            Phase::Connecting | Phase::Closing => None,
            Phase::Ready => loop {
                let frame = match wire::frame(input, self.options.frame_bytes_max) {
                    Ok(frame) => frame?,
                    Err(error) => return Some(self.close(error.to_string())),
                };
                if let Some(action) = self.frame(frame, out) {
                    return Some(action);
                }
            },
        }
    }

    fn close(&mut self, why: String) -> Action {
        self.phase = Phase::Closing;
        Action::Close(why)
    }

    fn handshake(&mut self, input: &mut BytesMut) -> Option<Action> {
        let first: [u8; 4] = input.first_chunk().copied()?;
        if let Some(word) = wire::four_letter_word(first) {
            self.phase = Phase::Closing;
            return Some(Action::Word(word));
        }
        let frame = match wire::frame(input, self.options.frame_bytes_max) {
            Ok(frame) => frame?,
            Err(error) => return Some(self.close(error.to_string())),
        };
        let request = match ConnectRequest::decode(&frame) {
            Ok(request) => request,
            Err(error) => return Some(self.close(error.to_string())),
        };
        self.read_only_byte = request.read_only.is_some();
        self.phase = Phase::Connecting;
        let timeout_ms = u32::try_from(request.timeout_ms)
            .unwrap_or(0)
            .clamp(self.options.session_timeout_min_ms, self.options.session_timeout_max_ms);
        let resume = (request.session != 0).then(|| {
            let mut password = Password::default();
            if let Some(given) = request.password.filter(|p| p.len() == password.len()) {
                password.copy_from_slice(&given);
            }
            (SessionId(request.session), password)
        });
        Some(Action::Connect { resume, timeout_ms, zxid_seen: Zxid(request.last_zxid_seen) })
    }

    fn frame(&mut self, frame: Bytes, out: &mut BytesMut) -> Option<Action> {
        let (header, body) = match RequestHeader::decode(&frame) {
            Ok(decoded) => decoded,
            Err(error) => return Some(self.close(error.to_string())),
        };
        let tag = tag(header);
        let request = match wire::Request::decode(header.opcode, &body) {
            Ok(request) => request,
            Err(error) if matches!(header.opcode, opcode::AUTH | opcode::SASL) => {
                return Some(self.close(error.to_string()));
            }
            Err(_) => {
                let request = Request::Nothing(Err(ErrorCode::MarshallingError));
                return Some(Action::Request { tag, request });
            }
        };
        if let wire::Request::Auth { scheme, auth, .. } = &request {
            return self.auth(scheme, auth.as_deref().unwrap_or_default(), out);
        }
        match &request {
            wire::Request::Sync { path } => self.echoes.push_back(Echo::Sync(path.clone())),
            wire::Request::Multi(parts) => {
                self.echoes.push_back(Echo::Multi(parts.iter().map(wire::Request::opcode).collect()))
            }
            _ => {}
        }
        let session = self.session.map(|s| s.session).unwrap_or_default();
        let request = requests::meaning(request, session, self.options.extended_types);
        Some(Action::Request { tag, request })
    }

    fn auth(&mut self, scheme: &str, proof: &[u8], out: &mut BytesMut) -> Option<Action> {
        match auth::by_proof(scheme, proof, self.options.super_digest.as_deref()) {
            Some(new) => {
                let mut identities = self.identities.to_vec();
                for identity in new {
                    if !identities.contains(&identity) {
                        identities.push(identity);
                    }
                }
                self.identities = identities.into();
                wire::put_reply(out, xid::AUTH, 0, Ok(&Response::Empty));
                Some(Action::Identify(self.identities.clone()))
            }
            None => {
                wire::put_reply(out, xid::AUTH, 0, Err(ErrorCode::AuthFailed.code()));
                Some(self.close(format!("auth: scheme {scheme:?} or its proof was not accepted")))
            }
        }
    }

    /// The answer to the handshake.
    pub fn connected(&mut self, granted: Option<SessionGranted>, out: &mut BytesMut) {
        self.session = granted;
        let response = match granted {
            Some(granted) => ConnectResponse {
                protocol_version: 0,
                timeout_ms: granted.timeout_ms as i32,
                session: granted.session.0,
                password: Some(Bytes::copy_from_slice(&granted.password)),
                read_only: self.read_only_byte.then_some(false),
            },
            None => ConnectResponse {
                protocol_version: 0,
                timeout_ms: 0,
                session: 0,
                password: Some(Bytes::from_static(&[0; 16])),
                read_only: self.read_only_byte.then_some(false),
            },
        };
        response.put(out);
        self.phase = if granted.is_some() { Phase::Ready } else { Phase::Closing };
    }

    /// The answer to a request. Whether the connection must end after it.
    pub fn reply(&mut self, tag: u64, zxid: Zxid, result: Result<Reply, ErrorCode>, out: &mut BytesMut) -> bool {
        let header = header(tag);
        let echo = match header.opcode {
            opcode::SYNC | opcode::MULTI if result != Err(ErrorCode::MarshallingError) => self.echoes.pop_front(),
            _ => None,
        };
        let unknown =
            matches!(result, Err(ErrorCode::Unimplemented | ErrorCode::AuthFailed)) && !requests::known(header.opcode);
        crate::replies::put(header, zxid, result, echo, &self.identities, out);
        if unknown {
            self.phase = Phase::Closing;
        }
        unknown
    }

    /// A watch fired.
    pub fn event(&mut self, zxid: Zxid, kind: EventKind, path: &str, out: &mut BytesMut) {
        wire::put_event(out, zxid.0, kind, path);
    }
}

/// A request's header as the number that comes back with its reply.
fn tag(header: RequestHeader) -> u64 {
    u64::from(header.xid as u32) << 32 | u64::from(header.opcode as u32)
}

/// Whether a tag is that of a ping: its reply may overtake others.
pub fn is_ping(tag: u64) -> bool {
    header(tag).opcode == opcode::PING
}

fn header(tag: u64) -> RequestHeader {
    RequestHeader { xid: (tag >> 32) as i32, opcode: tag as i32 }
}
