//! What each operation asks of the replica.

use synod_replica::Query;
use synod_replica::{Request, WatchMode};
use synod_types::{ErrorCode, SessionId, Zxid};
use synod_wire::zookeeper::{self as wire, opcode};

/// Operations that a client may ask for; the connection survives an error of theirs.
pub(crate) fn known(opcode: i32) -> bool {
    matches!(opcode, 1..=9 | 11 | 12 | 14..=19 | 21 | 22 | 100 | 101 | 103..=107 | opcode::CLOSE_SESSION)
}

/// The meaning of a request.
pub(crate) fn meaning(request: wire::Request, session: SessionId, extended_types: bool) -> Request {
    use wire::Request as R;
    match request {
        R::Exists { path, watch } => Request::Read { query: Query::Exists { path }, watch },
        R::GetData { path, watch } => Request::Read { query: Query::GetData { path }, watch },
        R::GetChildren { path, watch } | R::GetChildren2 { path, watch } => {
            Request::Read { query: Query::GetChildren { path }, watch }
        }
        R::GetAcl { path } => Request::Read { query: Query::GetAcl { path }, watch: false },
        R::GetEphemerals { prefix } => Request::Read { query: Query::Ephemerals { session, prefix }, watch: false },
        R::GetAllChildrenNumber { path } => Request::Read { query: Query::AllChildrenNumber { path }, watch: false },
        R::MultiRead(parts) => {
            let queries = parts.into_iter().filter_map(|part| match part {
                R::GetData { path, .. } => Some(Query::GetData { path }),
                R::GetChildren { path, .. } => Some(Query::GetChildren { path }),
                _ => None,
            });
            Request::ReadMany(queries.collect())
        }
        R::Sync { .. } => Request::Sync,
        R::Ping => Request::Ping,
        R::CloseSession => Request::Close,
        R::SetWatches { relative_zxid, data, exist, child } => Request::SetWatches {
            relative: Zxid(relative_zxid),
            data,
            exist,
            child,
            persistent: Vec::new(),
            recursive: Vec::new(),
        },
        R::SetWatches2 { relative_zxid, data, exist, child, persistent, recursive } => {
            Request::SetWatches { relative: Zxid(relative_zxid), data, exist, child, persistent, recursive }
        }
        R::AddWatch { path, mode } => match mode {
            0 => Request::AddWatch { path, recursive: false },
            1 => Request::AddWatch { path, recursive: true },
            _ => Request::Nothing(Err(ErrorCode::MarshallingError)),
        },
        R::CheckWatches { path, kind } => watching(path, kind, false),
        R::RemoveWatches { path, kind } => watching(path, kind, true),
        R::WhoAmI => Request::Nothing(Ok(())),
        R::Reconfig { .. } => Request::Nothing(Err(ErrorCode::ReconfigDisabled)),
        R::Sasl { .. } => Request::Nothing(Err(ErrorCode::AuthFailed)),
        R::Unknown { .. } | R::Auth { .. } | R::Check { .. } => Request::Nothing(Err(ErrorCode::Unimplemented)),
        write => match wire::write_op(write, extended_types) {
            Some(op) => Request::Write(op),
            None => Request::Nothing(Err(ErrorCode::MarshallingError)),
        },
    }
}

fn watching(path: String, kind: i32, remove: bool) -> Request {
    let mode = match kind {
        1 => WatchMode::Children,
        2 => WatchMode::Data,
        3 => WatchMode::Any,
        4 => WatchMode::Persistent,
        5 => WatchMode::Recursive,
        _ => return Request::Nothing(Err(ErrorCode::MarshallingError)),
    };
    Request::Watching { path, mode, remove }
}
