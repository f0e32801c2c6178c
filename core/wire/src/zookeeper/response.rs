//! Replies and watch events of servers.

use super::record::{ClientInfo, MultiHeader, acl, put_acl, put_stat, stat};
use super::{STATE_CONNECTED, opcode, put_frame, xid};
use crate::Error;
use crate::jute::{Reader, put_buffer, put_string, put_strings, put_vector};
use bytes::{BufMut, Bytes, BytesMut};
use synod_types::znode::EventKind;
use synod_types::{Acl, Stat};

/// The body of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Header only: delete, check, ping, auth, setWatches, checkWatches, removeWatches, closeSession.
    Empty,
    /// create.
    Create {
        /// The path, counter included.
        path: String,
    },
    /// create2, createContainer, createTTL.
    Create2 {
        /// The path, counter included.
        path: String,
        /// The new node's.
        stat: Stat,
    },
    /// exists, setData, setACL.
    Stat(Stat),
    /// getData, reconfig.
    Data {
        /// The data; null and empty are different.
        data: Option<Bytes>,
        /// The node's.
        stat: Stat,
    },
    /// getACL.
    Acl {
        /// The list.
        acl: Vec<Acl>,
        /// The node's.
        stat: Stat,
    },
    /// getChildren.
    Children {
        /// Names, not paths.
        children: Vec<String>,
    },
    /// getChildren2.
    Children2 {
        /// Names, not paths.
        children: Vec<String>,
        /// The node's.
        stat: Stat,
    },
    /// sync.
    Sync {
        /// As in the request.
        path: String,
    },
    /// multi, multiRead: one result each in order, error codes for those that failed. In a multi of which one part
    /// failed, the parts before it are `Err(0)`.
    Multi(Vec<Result<Part, i32>>),
    /// sasl.
    Sasl {
        /// The server's next word; null once done.
        token: Option<Bytes>,
    },
    /// addWatch (an error code of 0 in the body).
    AddWatch,
    /// getEphemerals.
    Ephemerals {
        /// Paths.
        paths: Vec<String>,
    },
    /// getAllChildrenNumber.
    Count(i32),
    /// whoAmI.
    WhoAmI(Vec<ClientInfo>),
    /// A notification.
    Event(WatcherEvent),
}

/// The success of one part of a multi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// create.
    Create {
        /// The path, counter included.
        path: String,
    },
    /// create2, createContainer, createTTL.
    Create2 {
        /// The path, counter included.
        path: String,
        /// The new node's.
        stat: Stat,
    },
    /// delete.
    Deleted,
    /// setData.
    Set {
        /// The node's.
        stat: Stat,
    },
    /// check.
    Checked,
    /// getData.
    Data {
        /// The data; null and empty are different.
        data: Option<Bytes>,
        /// The node's.
        stat: Stat,
    },
    /// getChildren.
    Children {
        /// Names, not paths.
        children: Vec<String>,
    },
}

/// A watch event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatcherEvent {
    /// The number of an [`EventKind`].
    pub kind: i32,
    /// [`STATE_CONNECTED`].
    pub state: i32,
    /// The node.
    pub path: String,
}

/// A reply or an event, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's number, or one of [`super::xid`].
    pub xid: i32,
    /// Of a write its transaction, of a read the server's latest, of an event what caused it.
    pub zxid: i64,
    /// The body or the error's number.
    pub result: Result<Response, i32>,
}

/// Appends the frame of a reply, length included.
pub fn put_reply(out: &mut BytesMut, xid: i32, zxid: i64, result: Result<&Response, i32>) {
    put_frame(out, |out| {
        out.put_i32(xid);
        out.put_i64(zxid);
        match result {
            Ok(response) => {
                out.put_i32(0);
                response.encode(out);
            }
            Err(code) => out.put_i32(code),
        }
    });
}

/// Appends the frame of a watch event, length included.
pub fn put_event(out: &mut BytesMut, zxid: i64, kind: EventKind, path: &str) {
    put_frame(out, |out| {
        out.put_i32(xid::NOTIFICATION);
        out.put_i64(zxid);
        out.put_i32(0);
        out.put_i32(kind as i32);
        out.put_i32(STATE_CONNECTED);
        put_string(out, path);
    });
}

impl Reply {
    /// Decodes a frame. `opcode_of` tells the operation of the request with a given xid (asked for counted requests
    /// only); `None` if there was none.
    ///
    /// # Errors
    /// Bytes that are no reply; an xid that nobody asked for.
    pub fn decode(frame: &Bytes, opcode_of: impl FnOnce(i32) -> Option<i32>) -> Result<Reply, Error> {
        let mut reader = Reader::new(frame);
        let (xid, zxid, error) = (reader.int()?, reader.long()?, reader.int()?);
        if error != 0 {
            return Ok(Reply { xid, zxid, result: Err(error) });
        }
        let opcode = match xid {
            xid::NOTIFICATION => opcode::NOTIFICATION,
            xid::PING => opcode::PING,
            xid::AUTH => opcode::AUTH,
            xid::SET_WATCHES => opcode::SET_WATCHES,
            _ => match opcode_of(xid) {
                Some(opcode) => opcode,
                None => return Err(Error::Unknown { codec: "reply", what: "xid", value: xid as i64, offset: 0 }),
            },
        };
        Ok(Reply { xid, zxid, result: Ok(response(opcode, &mut reader)?) })
    }
}

impl Response {
    /// Decodes the body of a reply to an operation. Bytes after it are ignored.
    ///
    /// # Errors
    /// Bytes that are not what the operation answers; an unknown operation.
    pub fn decode(opcode: i32, body: &Bytes) -> Result<Response, Error> {
        response(opcode, &mut Reader::new(body))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Response::Empty => {}
            Response::Create { path } | Response::Sync { path } => put_string(out, path),
            Response::Create2 { path, stat } => {
                put_string(out, path);
                put_stat(out, stat);
            }
            Response::Stat(stat) => put_stat(out, stat),
            Response::Data { data, stat } => {
                put_buffer(out, data.as_deref());
                put_stat(out, stat);
            }
            Response::Acl { acl, stat } => {
                put_acl(out, Some(acl));
                put_stat(out, stat);
            }
            Response::Children { children } => put_strings(out, children),
            Response::Children2 { children, stat } => {
                put_strings(out, children);
                put_stat(out, stat);
            }
            Response::Multi(results) => {
                for result in results {
                    put_part(out, result);
                }
                MultiHeader::END.put(out);
            }
            Response::Sasl { token } => put_buffer(out, token.as_deref()),
            Response::AddWatch => out.put_i32(0),
            Response::Ephemerals { paths } => put_strings(out, paths),
            Response::Count(count) => out.put_i32(*count),
            Response::WhoAmI(infos) => put_vector(out, infos, |out, info| {
                put_string(out, &info.scheme);
                put_string(out, &info.user);
            }),
            Response::Event(event) => {
                out.put_i32(event.kind);
                out.put_i32(event.state);
                put_string(out, &event.path);
            }
        }
    }
}

fn put_part(out: &mut BytesMut, result: &Result<Part, i32>) {
    let header = |opcode| MultiHeader { opcode, done: false, error: 0 };
    match result {
        Ok(Part::Create { path }) => {
            header(opcode::CREATE).put(out);
            put_string(out, path);
        }
        Ok(Part::Create2 { path, stat }) => {
            header(opcode::CREATE2).put(out);
            put_string(out, path);
            put_stat(out, stat);
        }
        Ok(Part::Deleted) => header(opcode::DELETE).put(out),
        Ok(Part::Set { stat }) => {
            header(opcode::SET_DATA).put(out);
            put_stat(out, stat);
        }
        Ok(Part::Checked) => header(opcode::CHECK).put(out),
        Ok(Part::Data { data, stat }) => {
            header(opcode::GET_DATA).put(out);
            put_buffer(out, data.as_deref());
            put_stat(out, stat);
        }
        Ok(Part::Children { children }) => {
            header(opcode::GET_CHILDREN).put(out);
            put_strings(out, children);
        }
        Err(code) => {
            MultiHeader { opcode: opcode::ERROR, done: false, error: *code }.put(out);
            out.put_i32(*code);
        }
    }
}

fn parts(reader: &mut Reader<'_>) -> Result<Vec<Result<Part, i32>>, Error> {
    let mut parts = Vec::new();
    loop {
        let offset = reader.offset();
        let header = MultiHeader::decode(reader)?;
        if header.done {
            return Ok(parts);
        }
        parts.push(match header.opcode {
            opcode::ERROR => Err(reader.int()?),
            opcode::CREATE => Ok(Part::Create { path: reader.string()? }),
            opcode::CREATE2 => Ok(Part::Create2 { path: reader.string()?, stat: stat(reader)? }),
            opcode::DELETE => Ok(Part::Deleted),
            opcode::SET_DATA => Ok(Part::Set { stat: stat(reader)? }),
            opcode::CHECK => Ok(Part::Checked),
            opcode::GET_DATA => Ok(Part::Data { data: reader.buffer()?, stat: stat(reader)? }),
            opcode::GET_CHILDREN => Ok(Part::Children { children: reader.strings()? }),
            opcode => return Err(Error::Mixed { opcode, offset }),
        });
    }
}

fn response(opcode: i32, reader: &mut Reader<'_>) -> Result<Response, Error> {
    Ok(match opcode {
        opcode::NOTIFICATION => {
            Response::Event(WatcherEvent { kind: reader.int()?, state: reader.int()?, path: reader.string()? })
        }
        opcode::CREATE => Response::Create { path: reader.string()? },
        opcode::CREATE2 | opcode::CREATE_CONTAINER | opcode::CREATE_TTL => {
            Response::Create2 { path: reader.string()?, stat: stat(reader)? }
        }
        opcode::EXISTS | opcode::SET_DATA | opcode::SET_ACL => Response::Stat(stat(reader)?),
        opcode::GET_DATA | opcode::RECONFIG => Response::Data { data: reader.buffer()?, stat: stat(reader)? },
        opcode::GET_ACL => Response::Acl { acl: acl(reader)?.unwrap_or_default(), stat: stat(reader)? },
        opcode::GET_CHILDREN => Response::Children { children: reader.strings()? },
        opcode::GET_CHILDREN2 => Response::Children2 { children: reader.strings()?, stat: stat(reader)? },
        opcode::SYNC => Response::Sync { path: reader.string()? },
        opcode::MULTI | opcode::MULTI_READ => Response::Multi(parts(reader)?),
        opcode::SASL => Response::Sasl { token: reader.buffer()? },
        opcode::GET_EPHEMERALS => Response::Ephemerals { paths: reader.strings()? },
        opcode::GET_ALL_CHILDREN_NUMBER => Response::Count(reader.int()?),
        opcode::ADD_WATCH => {
            reader.int()?;
            Response::AddWatch
        }
        opcode::WHO_AM_I => Response::WhoAmI(
            reader
                .vector(8, |reader| Ok(ClientInfo { scheme: reader.string()?, user: reader.string()? }))?
                .unwrap_or_default(),
        ),
        opcode::DELETE
        | opcode::PING
        | opcode::AUTH
        | opcode::SET_WATCHES
        | opcode::SET_WATCHES2
        | opcode::CHECK_WATCHES
        | opcode::REMOVE_WATCHES
        | opcode::CLOSE_SESSION => Response::Empty,
        _ => {
            let offset = reader.offset();
            return Err(Error::Unknown { codec: "reply", what: "operation", value: opcode as i64, offset });
        }
    })
}
