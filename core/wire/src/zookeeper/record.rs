//! Records that requests and responses share: ACLs, stats, the headers inside a multi.

use super::opcode;
use crate::Error;
use crate::jute::{Reader, put_bool, put_string, put_vector};
use bytes::{BufMut, BytesMut};
use synod_types::{Acl, Identity, Stat, Zxid};

/// One authenticated identity of a connection, as `whoAmI` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The scheme.
    pub scheme: String,
    /// The user's name.
    pub user: String,
}

pub(super) fn acl(reader: &mut Reader<'_>) -> Result<Option<Vec<Acl>>, Error> {
    reader.vector(12, |reader| {
        Ok(Acl { perms: reader.int()? as u32, identity: Identity { scheme: reader.string()?, id: reader.string()? } })
    })
}

pub(super) fn put_acl(out: &mut BytesMut, acl: Option<&[Acl]>) {
    let Some(acl) = acl else { return out.put_i32(-1) };
    put_vector(out, acl, |out, entry| {
        out.put_u32(entry.perms);
        put_string(out, &entry.identity.scheme);
        put_string(out, &entry.identity.id);
    });
}

pub(super) fn stat(reader: &mut Reader<'_>) -> Result<Stat, Error> {
    Ok(Stat {
        czxid: Zxid(reader.long()?),
        mzxid: Zxid(reader.long()?),
        ctime: reader.long()?,
        mtime: reader.long()?,
        version: reader.int()?,
        cversion: reader.int()?,
        aversion: reader.int()?,
        ephemeral_owner: reader.long()?,
        data_length: reader.int()?,
        num_children: reader.int()?,
        pzxid: Zxid(reader.long()?),
    })
}

pub(super) fn put_stat(out: &mut BytesMut, stat: &Stat) {
    // One copy of 68 bytes instead of eleven small ones: every read and write answers with a stat.
    let mut bytes = [0; 68];
    bytes[0..8].copy_from_slice(&stat.czxid.0.to_be_bytes());
    bytes[8..16].copy_from_slice(&stat.mzxid.0.to_be_bytes());
    bytes[16..24].copy_from_slice(&stat.ctime.to_be_bytes());
    bytes[24..32].copy_from_slice(&stat.mtime.to_be_bytes());
    bytes[32..36].copy_from_slice(&stat.version.to_be_bytes());
    bytes[36..40].copy_from_slice(&stat.cversion.to_be_bytes());
    bytes[40..44].copy_from_slice(&stat.aversion.to_be_bytes());
    bytes[44..52].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    bytes[52..56].copy_from_slice(&stat.data_length.to_be_bytes());
    bytes[56..60].copy_from_slice(&stat.num_children.to_be_bytes());
    bytes[60..68].copy_from_slice(&stat.pzxid.0.to_be_bytes());
    out.put_slice(&bytes);
}

/// The header of one part of a multi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MultiHeader {
    pub(super) opcode: i32,
    pub(super) done: bool,
    pub(super) error: i32,
}

impl MultiHeader {
    /// What stands after the last part.
    pub(super) const END: MultiHeader = MultiHeader { opcode: opcode::ERROR, done: true, error: -1 };

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<MultiHeader, Error> {
        Ok(MultiHeader { opcode: reader.int()?, done: reader.bool()?, error: reader.int()? })
    }

    pub(super) fn put(self, out: &mut BytesMut) {
        out.put_i32(self.opcode);
        put_bool(out, self.done);
        out.put_i32(self.error);
    }
}
