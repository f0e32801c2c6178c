//! Requests that are writes, in the words of the replicated state.

use super::{Create, Request};
use synod_types::znode::CreateMode;
use synod_types::{ErrorCode, WriteOp};

/// The longest time to live is one less, in milliseconds.
const TTL_END: i64 = 1 << 40;

/// What a request writes; `None` if it is no write. `extended_types` says whether TTL nodes are on.
pub fn write_op(request: Request, extended_types: bool) -> Option<WriteOp> {
    Some(match request {
        Request::Create(args) | Request::Create2(args) | Request::CreateContainer(args) => {
            create(args, -1, extended_types)
        }
        Request::CreateTtl { create: args, ttl_ms } => create(args, ttl_ms, extended_types),
        Request::Delete { path, version } => WriteOp::Delete { path, version },
        Request::SetData { path, data, version } => WriteOp::SetData { path, data, version },
        Request::SetAcl { path, acl, version } => WriteOp::SetAcl { path, acl, version },
        Request::Check { path, version } => WriteOp::Check { path, version },
        Request::Multi(parts) => {
            WriteOp::Multi { ops: parts.into_iter().filter_map(|part| write_op(part, extended_types)).collect() }
        }
        _ => return None,
    })
}

/// Errors in ZooKeeper's order: no mode at all, a TTL mode while those are off, a time to live that does not fit the
/// mode. Source: ZooKeeper 3.9, `PrepRequestProcessor`, `EphemeralType`.
fn create(args: Create, ttl_ms: i64, extended_types: bool) -> WriteOp {
    let refused = |error| WriteOp::Refused { error };
    let timed = matches!(args.flags, 5 | 6);
    if timed && !extended_types {
        return refused(ErrorCode::Unimplemented);
    }
    if (timed && !(1..TTL_END).contains(&ttl_ms)) || (!timed && ttl_ms >= 0) {
        return refused(ErrorCode::BadArguments);
    }
    let mode = match args.flags {
        0 => CreateMode::Persistent,
        1 => CreateMode::Ephemeral,
        2 => CreateMode::PersistentSequential,
        3 => CreateMode::EphemeralSequential,
        4 => CreateMode::Container,
        5 => CreateMode::PersistentTtl { ttl_ms: ttl_ms as u64 },
        6 => CreateMode::PersistentSequentialTtl { ttl_ms: ttl_ms as u64 },
        _ => return refused(ErrorCode::BadArguments),
    };
    WriteOp::Create { path: args.path, data: args.data, acl: args.acl, mode }
}
