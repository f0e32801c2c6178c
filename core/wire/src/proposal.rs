//! Proposals as bytes: the payload of log records and of the entries in peer frames.
//!
//! A proposal starts with the version of its encoding (1), then the origin, the time and the command; every part is
//! self-delimiting. Decoding copies paths and identities and slices data buffers out of the input. A member that meets
//! a version it does not know refuses the record instead of guessing.

use crate::Error;
use crate::compact::{Reader, put_optional_data, put_string, put_varint};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use synod_types::raft::Entry;
use synod_types::session::Owner;
use synod_types::znode::CreateMode;
use synod_types::{Acl, Command, ErrorCode, Identity, Index, NodeId, Origin, Proposal, SessionId, Term, WriteOp};

/// Version of the encoding.
pub const VERSION: u8 = 1;

const CODEC: &str = "proposal";

/// The tag of a multi.
const MULTI: u8 = 7;

/// Appends a proposal.
pub fn put_proposal(out: &mut BytesMut, proposal: &Proposal) {
    out.reserve(128 + proposal.command.size_bytes());
    // The parts of fixed length are gathered on the stack: one append instead of many.
    let mut head = [VERSION; 26];
    head[1..18].copy_from_slice(&three(proposal.origin.node, proposal.origin.incarnation, proposal.origin.request));
    head[18..].copy_from_slice(&proposal.time_ms.to_le_bytes());
    out.put_slice(&head);
    put_command(out, &proposal.command);
}

/// Decodes bytes that are one proposal and nothing else.
///
/// # Errors
/// Bytes that `put_proposal` of this version did not write.
pub fn decode_proposal(bytes: &Bytes) -> Result<Proposal, Error> {
    let mut reader = Reader::new(CODEC, bytes);
    let proposal = proposal(&mut reader)?;
    reader.finish()?;
    Ok(proposal)
}

/// Appends a log entry with its term and index.
pub fn put_entry(out: &mut BytesMut, entry: &Entry<Arc<Proposal>>) {
    out.put_u64_le(entry.term.0);
    out.put_u64_le(entry.index.0);
    match &entry.payload {
        Some(proposal) => put_proposal(out, proposal),
        None => out.put_u8(0),
    }
}

/// Decodes bytes that are one log entry and nothing else.
///
/// # Errors
/// Bytes that `put_entry` of this version did not write.
pub fn decode_entry(bytes: &Bytes) -> Result<Entry<Arc<Proposal>>, Error> {
    let mut reader = Reader::new("entry", bytes);
    let entry = entry(&mut reader)?;
    reader.finish()?;
    Ok(entry)
}

/// The fewest bytes of an entry.
pub(crate) const ENTRY_BYTES_MIN: usize = 17;
/// The fewest bytes of an operation in a multi.
const OP_BYTES_MIN: usize = 5;
/// The fewest bytes of an origin and a command.
pub(crate) const FORWARD_BYTES_MIN: usize = 19;

pub(crate) fn entry(reader: &mut Reader<'_>) -> Result<Entry<Arc<Proposal>>, Error> {
    let term = Term(reader.u64()?);
    let index = Index(reader.u64()?);
    let payload = match reader.u8()? {
        0 => None,
        VERSION => Some(Arc::new(proposal_body(reader)?)),
        version => return Err(reader.unknown("version", version as i64)),
    };
    Ok(Entry { term, index, payload })
}

fn proposal(reader: &mut Reader<'_>) -> Result<Proposal, Error> {
    match reader.u8()? {
        VERSION => proposal_body(reader),
        version => Err(reader.unknown("version", version as i64)),
    }
}

fn proposal_body(reader: &mut Reader<'_>) -> Result<Proposal, Error> {
    Ok(Proposal { origin: origin(reader)?, time_ms: reader.i64()?, command: command(reader)? })
}

/// The bytes of an origin or an owner.
fn three(node: NodeId, incarnation: u64, number: u64) -> [u8; 17] {
    let mut bytes = [node.0; 17];
    bytes[1..9].copy_from_slice(&incarnation.to_le_bytes());
    bytes[9..].copy_from_slice(&number.to_le_bytes());
    bytes
}

pub(crate) fn put_origin(out: &mut BytesMut, origin: &Origin) {
    out.put_slice(&three(origin.node, origin.incarnation, origin.request));
}

pub(crate) fn origin(reader: &mut Reader<'_>) -> Result<Origin, Error> {
    Ok(Origin { node: NodeId(reader.u8()?), incarnation: reader.u64()?, request: reader.u64()? })
}

pub(crate) fn put_owner(out: &mut BytesMut, owner: &Owner) {
    out.put_slice(&three(owner.node, owner.incarnation, owner.connection));
}

pub(crate) fn owner(reader: &mut Reader<'_>) -> Result<Owner, Error> {
    Ok(Owner { node: NodeId(reader.u8()?), incarnation: reader.u64()?, connection: reader.u64()? })
}

pub(crate) fn put_command(out: &mut BytesMut, command: &Command) {
    match command {
        Command::OpenSession { session, password, timeout_ms, owner } => {
            out.put_u8(1);
            out.put_i64_le(session.0);
            out.put_slice(password);
            out.put_u32_le(*timeout_ms);
            put_owner(out, owner);
        }
        Command::AttachSession { session, password, timeout_ms, owner } => {
            out.put_u8(2);
            out.put_i64_le(session.0);
            out.put_slice(password);
            out.put_u32_le(*timeout_ms);
            put_owner(out, owner);
        }
        Command::CloseSession { session, owner } => {
            out.put_u8(3);
            out.put_i64_le(session.0);
            put_owner(out, owner);
        }
        Command::ExpireSession { session, owner } => {
            out.put_u8(4);
            out.put_i64_le(session.0);
            put_owner(out, owner);
        }
        Command::Write { session, owner, identities, op } => {
            let mut head = [5; 26];
            head[1..9].copy_from_slice(&session.0.to_le_bytes());
            head[9..].copy_from_slice(&three(owner.node, owner.incarnation, owner.connection));
            out.put_slice(&head);
            put_varint(out, identities.len() as u64);
            for identity in identities.iter() {
                put_identity(out, identity);
            }
            put_op(out, op);
        }
        Command::Reap { path } => {
            out.put_u8(6);
            put_string(out, path);
        }
        Command::RaiseVersion { to } => {
            out.put_u8(7);
            out.put_u32_le(*to);
        }
    }
}

pub(crate) fn command(reader: &mut Reader<'_>) -> Result<Command, Error> {
    Ok(match reader.u8()? {
        1 => Command::OpenSession {
            session: SessionId(reader.i64()?),
            password: reader.bytes16()?,
            timeout_ms: reader.u32()?,
            owner: owner(reader)?,
        },
        2 => Command::AttachSession {
            session: SessionId(reader.i64()?),
            password: reader.bytes16()?,
            timeout_ms: reader.u32()?,
            owner: owner(reader)?,
        },
        3 => Command::CloseSession { session: SessionId(reader.i64()?), owner: owner(reader)? },
        4 => Command::ExpireSession { session: SessionId(reader.i64()?), owner: owner(reader)? },
        5 => Command::Write {
            session: SessionId(reader.i64()?),
            owner: owner(reader)?,
            identities: identities(reader)?,
            op: op(reader)?,
        },
        6 => Command::Reap { path: reader.string()? },
        7 => Command::RaiseVersion { to: reader.u32()? },
        tag => return Err(reader.unknown("command", tag as i64)),
    })
}

fn put_identity(out: &mut BytesMut, identity: &Identity) {
    put_string(out, &identity.scheme);
    put_string(out, &identity.id);
}

fn identity(reader: &mut Reader<'_>) -> Result<Identity, Error> {
    Ok(Identity { scheme: reader.string()?, id: reader.string()? })
}

fn identities(reader: &mut Reader<'_>) -> Result<Arc<[Identity]>, Error> {
    // Entries of one batch mostly come from clients of the same identities. The encoding tells its own length, so bytes
    // that begin like the previous ones mean the same.
    if let Some(known) = reader.repeated_identities() {
        return Ok(known);
    }
    let start = reader.at();
    let list: Arc<[Identity]> = match reader.count(2)? {
        // An array becomes a slice without a second allocation.
        1 => Arc::new([identity(reader)?]),
        count => {
            let mut list = Vec::with_capacity(count);
            for _ in 0..count {
                list.push(identity(reader)?);
            }
            list.into()
        }
    };
    reader.remember_identities(start, &list);
    Ok(list)
}

pub(crate) fn put_acl(out: &mut BytesMut, acl: &[Acl]) {
    for entry in acl {
        out.put_u32_le(entry.perms);
        put_identity(out, &entry.identity);
    }
}

/// The fewest bytes of an ACL entry.
pub(crate) const ACL_BYTES_MIN: usize = 6;

pub(crate) fn acl(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Acl>, Error> {
    let mut acl = Vec::with_capacity(count);
    for _ in 0..count {
        acl.push(Acl { perms: reader.u32()?, identity: identity(reader)? });
    }
    Ok(acl)
}

fn put_optional_acl(out: &mut BytesMut, acl: Option<&[Acl]>) {
    match acl {
        Some(acl) => {
            put_varint(out, acl.len() as u64 + 1);
            put_acl(out, acl);
        }
        None => out.put_u8(0),
    }
}

fn optional_acl(reader: &mut Reader<'_>) -> Result<Option<Vec<Acl>>, Error> {
    match reader.optional_count(ACL_BYTES_MIN)? {
        Some(count) => Ok(Some(acl(reader, count)?)),
        None => Ok(None),
    }
}

fn put_mode(out: &mut BytesMut, mode: CreateMode) {
    match mode {
        CreateMode::Persistent => out.put_u8(0),
        CreateMode::Ephemeral => out.put_u8(1),
        CreateMode::PersistentSequential => out.put_u8(2),
        CreateMode::EphemeralSequential => out.put_u8(3),
        CreateMode::Container => out.put_u8(4),
        CreateMode::PersistentTtl { ttl_ms } => {
            out.put_u8(5);
            put_varint(out, ttl_ms);
        }
        CreateMode::PersistentSequentialTtl { ttl_ms } => {
            out.put_u8(6);
            put_varint(out, ttl_ms);
        }
    }
}

fn mode(reader: &mut Reader<'_>) -> Result<CreateMode, Error> {
    Ok(match reader.u8()? {
        0 => CreateMode::Persistent,
        1 => CreateMode::Ephemeral,
        2 => CreateMode::PersistentSequential,
        3 => CreateMode::EphemeralSequential,
        4 => CreateMode::Container,
        5 => CreateMode::PersistentTtl { ttl_ms: reader.varint()? },
        6 => CreateMode::PersistentSequentialTtl { ttl_ms: reader.varint()? },
        tag => return Err(reader.unknown("create mode", tag as i64)),
    })
}

fn put_op(out: &mut BytesMut, op: &WriteOp) {
    match op {
        WriteOp::Create { path, data, acl, mode } => {
            out.put_u8(1);
            put_string(out, path);
            put_optional_data(out, data.as_deref());
            put_optional_acl(out, acl.as_deref());
            put_mode(out, *mode);
        }
        WriteOp::Refused { error } => {
            out.put_u8(2);
            out.put_i32_le(error.code());
        }
        WriteOp::Delete { path, version } => {
            out.put_u8(3);
            put_string(out, path);
            out.put_i32_le(*version);
        }
        WriteOp::SetData { path, data, version } => {
            out.put_u8(4);
            put_string(out, path);
            put_optional_data(out, data.as_deref());
            out.put_i32_le(*version);
        }
        WriteOp::SetAcl { path, acl, version } => {
            out.put_u8(5);
            put_string(out, path);
            put_optional_acl(out, acl.as_deref());
            out.put_i32_le(*version);
        }
        WriteOp::Check { path, version } => {
            out.put_u8(6);
            put_string(out, path);
            out.put_i32_le(*version);
        }
        WriteOp::Multi { ops } => {
            out.put_u8(MULTI);
            put_varint(out, ops.len() as u64);
            for op in ops {
                put_op(out, op);
            }
        }
    }
}

fn op(reader: &mut Reader<'_>) -> Result<WriteOp, Error> {
    match reader.u8()? {
        MULTI => {
            let count = reader.count(OP_BYTES_MIN)?;
            let mut ops = Vec::with_capacity(count);
            for _ in 0..count {
                let tag = reader.u8()?;
                ops.push(single_op(reader, tag)?);
            }
            Ok(WriteOp::Multi { ops })
        }
        tag => single_op(reader, tag),
    }
}

/// Any operation but a multi: those do not nest.
fn single_op(reader: &mut Reader<'_>, tag: u8) -> Result<WriteOp, Error> {
    Ok(match tag {
        1 => WriteOp::Create {
            path: reader.string()?,
            data: reader.optional_data()?,
            acl: optional_acl(reader)?,
            mode: mode(reader)?,
        },
        2 => {
            let code = reader.i32()?;
            match ErrorCode::from_code(code) {
                Some(error) => WriteOp::Refused { error },
                None => return Err(reader.unknown("error code", code as i64)),
            }
        }
        3 => WriteOp::Delete { path: reader.string()?, version: reader.i32()? },
        4 => WriteOp::SetData { path: reader.string()?, data: reader.optional_data()?, version: reader.i32()? },
        5 => WriteOp::SetAcl { path: reader.string()?, acl: optional_acl(reader)?, version: reader.i32()? },
        6 => WriteOp::Check { path: reader.string()?, version: reader.i32()? },
        tag => return Err(reader.unknown("operation", tag as i64)),
    })
}
