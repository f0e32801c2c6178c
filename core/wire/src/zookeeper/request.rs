//! Requests of clients.

use super::record::{MultiHeader, acl, put_acl};
use super::{opcode, put_frame};
use crate::Error;
use crate::jute::{Reader, put_bool, put_buffer, put_optional_string, put_string, put_strings};
use bytes::{BufMut, Bytes, BytesMut};
use synod_types::Acl;

/// What every request but the handshake begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The client's number of the request, or one of [`super::xid`].
    pub xid: i32,
    /// The operation, one of [`super::opcode`].
    pub opcode: i32,
}

impl RequestHeader {
    /// Decodes a frame's header. The second part is the request's body.
    ///
    /// # Errors
    /// Fewer than 8 bytes.
    pub fn decode(frame: &Bytes) -> Result<(RequestHeader, Bytes), Error> {
        let mut reader = Reader::new(frame);
        let header = RequestHeader { xid: reader.int()?, opcode: reader.int()? };
        Ok((header, reader.rest()))
    }
}

/// The arguments of the create operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The path, before a counter is appended.
    pub path: String,
    /// The data; null and empty are different.
    pub data: Option<Bytes>,
    /// Who may do what; null and empty are both refused later.
    pub acl: Option<Vec<Acl>>,
    /// The number of the create mode.
    pub flags: i32,
}

/// A request. Arguments are as the client sent them; nothing but their shape has been checked. Null strings and null
/// vectors of strings are read as empty ones, where both mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Request {
    Create(Create),
    Create2(Create),
    CreateContainer(Create),
    CreateTtl {
        create: Create,
        ttl_ms: i64,
    },
    Delete {
        path: String,
        version: i32,
    },
    Exists {
        path: String,
        watch: bool,
    },
    GetData {
        path: String,
        watch: bool,
    },
    SetData {
        path: String,
        data: Option<Bytes>,
        version: i32,
    },
    GetAcl {
        path: String,
    },
    SetAcl {
        path: String,
        acl: Option<Vec<Acl>>,
        version: i32,
    },
    GetChildren {
        path: String,
        watch: bool,
    },
    GetChildren2 {
        path: String,
        watch: bool,
    },
    Sync {
        path: String,
    },
    Ping,
    /// Only in a multi; by itself it decodes as `Unknown`.
    Check {
        path: String,
        version: i32,
    },
    /// Creates, deletes, `SetData` and `Check`.
    Multi(Vec<Request>),
    /// `GetData` and `GetChildren`.
    MultiRead(Vec<Request>),
    /// `kind` is 0.
    Auth {
        kind: i32,
        scheme: String,
        auth: Option<Bytes>,
    },
    SetWatches {
        relative_zxid: i64,
        data: Vec<String>,
        exist: Vec<String>,
        child: Vec<String>,
    },
    SetWatches2 {
        relative_zxid: i64,
        data: Vec<String>,
        exist: Vec<String>,
        child: Vec<String>,
        persistent: Vec<String>,
        recursive: Vec<String>,
    },
    /// `mode` 0: persistent, 1: persistent and recursive.
    AddWatch {
        path: String,
        mode: i32,
    },
    /// `kind` 1: children, 2: data, 3: any, 4: persistent, 5: recursive.
    CheckWatches {
        path: String,
        kind: i32,
    },
    /// `kind` as in `CheckWatches`.
    RemoveWatches {
        path: String,
        kind: i32,
    },
    GetEphemerals {
        prefix: String,
    },
    GetAllChildrenNumber {
        path: String,
    },
    WhoAmI,
    CloseSession,
    Reconfig {
        joining: Option<String>,
        leaving: Option<String>,
        members: Option<String>,
        config_id: i64,
    },
    Sasl {
        token: Option<Bytes>,
    },
    /// An operation that no client may ask for: answered with `Unimplemented`.
    Unknown {
        opcode: i32,
    },
}

impl Request {
    /// Decodes the body of a request. Bytes after it are ignored, as ZooKeeper does.
    ///
    /// # Errors
    /// Bytes that are not what the operation takes; a multi with operations that do not belong there.
    pub fn decode(opcode: i32, body: &Bytes) -> Result<Request, Error> {
        let mut reader = Reader::new(body);
        match opcode {
            opcode::MULTI | opcode::MULTI_READ => multi(opcode, &mut reader),
            opcode::CHECK => Ok(Request::Unknown { opcode }),
            _ => single(opcode, &mut reader),
        }
    }

    /// The number of the operation.
    pub fn opcode(&self) -> i32 {
        match self {
            Request::Create(_) => opcode::CREATE,
            Request::Create2(_) => opcode::CREATE2,
            Request::CreateContainer(_) => opcode::CREATE_CONTAINER,
            Request::CreateTtl { .. } => opcode::CREATE_TTL,
            Request::Delete { .. } => opcode::DELETE,
            Request::Exists { .. } => opcode::EXISTS,
            Request::GetData { .. } => opcode::GET_DATA,
            Request::SetData { .. } => opcode::SET_DATA,
            Request::GetAcl { .. } => opcode::GET_ACL,
            Request::SetAcl { .. } => opcode::SET_ACL,
            Request::GetChildren { .. } => opcode::GET_CHILDREN,
            Request::GetChildren2 { .. } => opcode::GET_CHILDREN2,
            Request::Sync { .. } => opcode::SYNC,
            Request::Ping => opcode::PING,
            Request::Check { .. } => opcode::CHECK,
            Request::Multi(_) => opcode::MULTI,
            Request::MultiRead(_) => opcode::MULTI_READ,
            Request::Auth { .. } => opcode::AUTH,
            Request::SetWatches { .. } => opcode::SET_WATCHES,
            Request::SetWatches2 { .. } => opcode::SET_WATCHES2,
            Request::AddWatch { .. } => opcode::ADD_WATCH,
            Request::CheckWatches { .. } => opcode::CHECK_WATCHES,
            Request::RemoveWatches { .. } => opcode::REMOVE_WATCHES,
            Request::GetEphemerals { .. } => opcode::GET_EPHEMERALS,
            Request::GetAllChildrenNumber { .. } => opcode::GET_ALL_CHILDREN_NUMBER,
            Request::WhoAmI => opcode::WHO_AM_I,
            Request::CloseSession => opcode::CLOSE_SESSION,
            Request::Reconfig { .. } => opcode::RECONFIG,
            Request::Sasl { .. } => opcode::SASL,
            Request::Unknown { opcode } => *opcode,
        }
    }

    /// Appends the frame of this request: length, header, body.
    pub fn put(&self, out: &mut BytesMut, xid: i32) {
        put_frame(out, |out| {
            out.put_i32(xid);
            out.put_i32(self.opcode());
            self.encode(out);
        });
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Request::Create(create) | Request::Create2(create) | Request::CreateContainer(create) => {
                put_create(out, create);
            }
            Request::CreateTtl { create, ttl_ms } => {
                put_create(out, create);
                out.put_i64(*ttl_ms);
            }
            Request::Delete { path, version } | Request::Check { path, version } => {
                put_string(out, path);
                out.put_i32(*version);
            }
            Request::Exists { path, watch }
            | Request::GetData { path, watch }
            | Request::GetChildren { path, watch }
            | Request::GetChildren2 { path, watch } => {
                put_string(out, path);
                put_bool(out, *watch);
            }
            Request::SetData { path, data, version } => {
                put_string(out, path);
                put_buffer(out, data.as_deref());
                out.put_i32(*version);
            }
            Request::GetAcl { path } | Request::Sync { path } | Request::GetAllChildrenNumber { path } => {
                put_string(out, path);
            }
            Request::SetAcl { path, acl, version } => {
                put_string(out, path);
                put_acl(out, acl.as_deref());
                out.put_i32(*version);
            }
            Request::Multi(parts) | Request::MultiRead(parts) => {
                for part in parts {
                    MultiHeader { opcode: part.opcode(), done: false, error: -1 }.put(out);
                    part.encode(out);
                }
                MultiHeader::END.put(out);
            }
            Request::Auth { kind, scheme, auth } => {
                out.put_i32(*kind);
                put_string(out, scheme);
                put_buffer(out, auth.as_deref());
            }
            Request::SetWatches { relative_zxid, data, exist, child } => {
                out.put_i64(*relative_zxid);
                put_strings(out, data);
                put_strings(out, exist);
                put_strings(out, child);
            }
            Request::SetWatches2 { relative_zxid, data, exist, child, persistent, recursive } => {
                out.put_i64(*relative_zxid);
                put_strings(out, data);
                put_strings(out, exist);
                put_strings(out, child);
                put_strings(out, persistent);
                put_strings(out, recursive);
            }
            Request::AddWatch { path, mode: number }
            | Request::CheckWatches { path, kind: number }
            | Request::RemoveWatches { path, kind: number } => {
                put_string(out, path);
                out.put_i32(*number);
            }
            Request::GetEphemerals { prefix } => put_string(out, prefix),
            Request::Reconfig { joining, leaving, members, config_id } => {
                put_optional_string(out, joining.as_deref());
                put_optional_string(out, leaving.as_deref());
                put_optional_string(out, members.as_deref());
                out.put_i64(*config_id);
            }
            Request::Sasl { token } => put_buffer(out, token.as_deref()),
            Request::Ping | Request::WhoAmI | Request::CloseSession | Request::Unknown { .. } => {}
        }
    }
}

fn multi(opcode: i32, reader: &mut Reader<'_>) -> Result<Request, Error> {
    let reads = opcode == opcode::MULTI_READ;
    let mut parts = Vec::new();
    loop {
        let offset = reader.offset();
        let header = MultiHeader::decode(reader)?;
        if header.done {
            break;
        }
        let belongs = match header.opcode {
            opcode::CREATE
            | opcode::CREATE2
            | opcode::CREATE_CONTAINER
            | opcode::CREATE_TTL
            | opcode::DELETE
            | opcode::SET_DATA
            | opcode::CHECK => !reads,
            opcode::GET_DATA | opcode::GET_CHILDREN => reads,
            _ => false,
        };
        if !belongs {
            return Err(Error::Mixed { opcode: header.opcode, offset });
        }
        parts.push(single(header.opcode, reader)?);
    }
    Ok(if reads { Request::MultiRead(parts) } else { Request::Multi(parts) })
}

fn single(opcode: i32, reader: &mut Reader<'_>) -> Result<Request, Error> {
    Ok(match opcode {
        opcode::CREATE => Request::Create(create(reader)?),
        opcode::CREATE2 => Request::Create2(create(reader)?),
        opcode::CREATE_CONTAINER => Request::CreateContainer(create(reader)?),
        opcode::CREATE_TTL => Request::CreateTtl { create: create(reader)?, ttl_ms: reader.long()? },
        opcode::DELETE => Request::Delete { path: reader.string()?, version: reader.int()? },
        opcode::EXISTS => Request::Exists { path: reader.string()?, watch: reader.bool()? },
        opcode::GET_DATA => Request::GetData { path: reader.string()?, watch: reader.bool()? },
        opcode::SET_DATA => Request::SetData { path: reader.string()?, data: reader.buffer()?, version: reader.int()? },
        opcode::GET_ACL => Request::GetAcl { path: reader.string()? },
        opcode::SET_ACL => Request::SetAcl { path: reader.string()?, acl: acl(reader)?, version: reader.int()? },
        opcode::GET_CHILDREN => Request::GetChildren { path: reader.string()?, watch: reader.bool()? },
        opcode::GET_CHILDREN2 => Request::GetChildren2 { path: reader.string()?, watch: reader.bool()? },
        opcode::SYNC => Request::Sync { path: reader.string()? },
        opcode::PING => Request::Ping,
        opcode::CHECK => Request::Check { path: reader.string()?, version: reader.int()? },
        opcode::AUTH => Request::Auth { kind: reader.int()?, scheme: reader.string()?, auth: reader.buffer()? },
        opcode::SET_WATCHES => Request::SetWatches {
            relative_zxid: reader.long()?,
            data: reader.strings()?,
            exist: reader.strings()?,
            child: reader.strings()?,
        },
        opcode::SET_WATCHES2 => Request::SetWatches2 {
            relative_zxid: reader.long()?,
            data: reader.strings()?,
            exist: reader.strings()?,
            child: reader.strings()?,
            persistent: reader.strings()?,
            recursive: reader.strings()?,
        },
        opcode::ADD_WATCH => Request::AddWatch { path: reader.string()?, mode: reader.int()? },
        opcode::CHECK_WATCHES => Request::CheckWatches { path: reader.string()?, kind: reader.int()? },
        opcode::REMOVE_WATCHES => Request::RemoveWatches { path: reader.string()?, kind: reader.int()? },
        opcode::GET_EPHEMERALS => Request::GetEphemerals { prefix: reader.string()? },
        opcode::GET_ALL_CHILDREN_NUMBER => Request::GetAllChildrenNumber { path: reader.string()? },
        opcode::WHO_AM_I => Request::WhoAmI,
        opcode::CLOSE_SESSION => Request::CloseSession,
        opcode::RECONFIG => Request::Reconfig {
            joining: reader.optional_string()?,
            leaving: reader.optional_string()?,
            members: reader.optional_string()?,
            config_id: reader.long()?,
        },
        opcode::SASL => Request::Sasl { token: reader.buffer()? },
        opcode => Request::Unknown { opcode },
    })
}

fn create(reader: &mut Reader<'_>) -> Result<Create, Error> {
    Ok(Create { path: reader.string()?, data: reader.buffer()?, acl: acl(reader)?, flags: reader.int()? })
}

fn put_create(out: &mut BytesMut, create: &Create) {
    put_string(out, &create.path);
    put_buffer(out, create.data.as_deref());
    put_acl(out, create.acl.as_deref());
    out.put_i32(create.flags);
}
