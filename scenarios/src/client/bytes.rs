//! Requests and replies of the history as ZooKeeper's bytes, and back.

use bytes::Bytes;
use synod_checkers::history::{Create, Data, MultiOp, MultiResult, Part, Reply, Request, Response};
use synod_types::znode::perms;
use synod_types::{Acl, Identity};
use synod_wire::zookeeper as wire;

pub(super) fn to_wire(request: &Request) -> wire::Request {
    match request.clone() {
        Request::Create(create) => wire_create(create),
        Request::Delete { path, version } => wire::Request::Delete { path, version },
        Request::SetData { path, data, version } => {
            wire::Request::SetData { path, data: Some(Bytes::from(data.0)), version }
        }
        Request::Exists { path, watch } => wire::Request::Exists { path, watch },
        Request::GetData { path, watch } => wire::Request::GetData { path, watch },
        // Some ask in the older way, which brings no stat.
        Request::GetChildren { path, watch } if path.len().is_multiple_of(2) => {
            wire::Request::GetChildren { path, watch }
        }
        Request::GetChildren { path, watch } => wire::Request::GetChildren2 { path, watch },
        Request::Sync { path } => wire::Request::Sync { path },
        Request::Multi { ops } => wire::Request::Multi(
            ops.into_iter()
                .map(|op| match op {
                    MultiOp::Create(create) => wire_create(create),
                    MultiOp::Delete { path, version } => wire::Request::Delete { path, version },
                    MultiOp::SetData { path, data, version } => {
                        wire::Request::SetData { path, data: Some(Bytes::from(data.0)), version }
                    }
                    MultiOp::Check { path, version } => wire::Request::Check { path, version },
                })
                .collect(),
        ),
        Request::CloseSession => wire::Request::CloseSession,
        Request::Ping => wire::Request::Ping,
        Request::SetWatches { relative_zxid, data, exist, child, persistent, recursive } => {
            match persistent.is_empty() && recursive.is_empty() {
                true => wire::Request::SetWatches { relative_zxid, data, exist, child },
                false => wire::Request::SetWatches2 { relative_zxid, data, exist, child, persistent, recursive },
            }
        }
        Request::GetAcl { path } => wire::Request::GetAcl { path },
        Request::SetAcl { path, acl, version } => wire::Request::SetAcl { path, acl: Some(acl), version },
        Request::Ephemerals { prefix } => wire::Request::GetEphemerals { prefix },
        Request::CountBelow { path } => wire::Request::GetAllChildrenNumber { path },
        Request::ReadMany { reads } => wire::Request::MultiRead(
            reads
                .into_iter()
                .map(|read| match read {
                    Part::Data { path } => wire::Request::GetData { path, watch: false },
                    Part::Children { path } => wire::Request::GetChildren { path, watch: false },
                })
                .collect(),
        ),
        Request::WhoAmI => wire::Request::WhoAmI,
        Request::Auth { id } => wire::Request::Auth {
            kind: 0,
            scheme: "digest".into(),
            auth: USERS.iter().find(|(known, _)| *known == id).map(|(_, proof)| Bytes::from_static(proof.as_bytes())),
        },
        Request::AddWatch { path, recursive } => wire::Request::AddWatch { path, mode: i32::from(recursive) },
        Request::Watching { path, kind, remove: false } => wire::Request::CheckWatches { path, kind },
        Request::Watching { path, kind, remove: true } => wire::Request::RemoveWatches { path, kind },
        Request::OpenSession { .. } | Request::AttachSession { .. } => wire::Request::Ping,
    }
}

/// Users by the identity of the scheme `digest` (base64 of SHA-1), with their proof.
pub(super) const USERS: [(&str, &str); 2] =
    [("ann:grDcJ7OS1jCu/cG2TyJHw/I9L8o=", "ann:one"), ("bob:yqVrLFrvoaI9z9fohteaNPJvRu8=", "bob:two")];

/// The super user, in the same way.
pub const SUPER_USER: (&str, &str) = ("super:rnMsXtyy6ei2umbKmDPs6UrBMQ4=", "super:three");

fn wire_create(create: Create) -> wire::Request {
    let anyone = Acl { perms: perms::ALL, identity: Identity { scheme: "world".into(), id: "anyone".into() } };
    let plain = i32::from(create.ephemeral) + 2 * i32::from(create.sequential);
    let flags = match (create.container, create.ttl_ms) {
        (true, _) => 4,
        (false, Some(_)) => 5 + i32::from(create.sequential),
        (false, None) => plain,
    };
    let Create { path, data, acl, .. } = create;
    let made = wire::Create { path, data: Some(Bytes::from(data.0)), acl: Some(acl.unwrap_or(vec![anyone])), flags };
    match (create.container, create.ttl_ms) {
        (true, _) => wire::Request::CreateContainer(made),
        (false, Some(ttl_ms)) => wire::Request::CreateTtl { create: made, ttl_ms: ttl_ms as i64 },
        (false, None) if create.old => wire::Request::Create(made),
        (false, None) => wire::Request::Create2(made),
    }
}

/// `reads`: of several reads.
pub(super) fn from_wire(result: Result<wire::Response, i32>, reads: bool) -> Response {
    let data = |data: Option<Bytes>| Data(data.map(|d| d.to_vec()).unwrap_or_default());
    let reply = match result {
        Err(code) => return Response::Error(code),
        Ok(wire::Response::Create { path }) => Reply { path: Some(path), ..Reply::default() },
        Ok(wire::Response::Create2 { path, stat }) => Reply { path: Some(path), stat: Some(stat), ..Reply::default() },
        Ok(wire::Response::Stat(stat)) => Reply { stat: Some(stat), ..Reply::default() },
        Ok(wire::Response::Data { data: d, stat }) => {
            Reply { data: Some(data(d)), stat: Some(stat), ..Reply::default() }
        }
        Ok(wire::Response::Children { children }) => Reply { children: Some(children), ..Reply::default() },
        Ok(wire::Response::Children2 { children, stat }) => {
            Reply { children: Some(children), stat: Some(stat), ..Reply::default() }
        }
        Ok(wire::Response::Acl { acl, stat }) => Reply { acl: Some(acl), stat: Some(stat), ..Reply::default() },
        Ok(wire::Response::Ephemerals { paths }) => Reply { paths: Some(paths), ..Reply::default() },
        Ok(wire::Response::Count(count)) => Reply { count: Some(count), ..Reply::default() },
        Ok(wire::Response::WhoAmI(who)) => {
            Reply { who: Some(who.into_iter().map(|one| (one.scheme, one.user)).collect()), ..Reply::default() }
        }
        Ok(wire::Response::Multi(parts)) if reads => Reply {
            many: parts
                .into_iter()
                .map(|part| match part {
                    Ok(wire::Part::Data { data: d, stat }) => {
                        Response::Ok(Reply { data: Some(data(d)), stat: Some(stat), ..Reply::default() })
                    }
                    Ok(wire::Part::Children { children }) => {
                        Response::Ok(Reply { children: Some(children), ..Reply::default() })
                    }
                    Ok(_) => Response::Ok(Reply::default()),
                    Err(code) => Response::Error(code),
                })
                .collect(),
            ..Reply::default()
        },
        Ok(wire::Response::Multi(parts)) => Reply {
            multi: parts
                .into_iter()
                .map(|part| match part {
                    Ok(wire::Part::Create { path }) => MultiResult::Created { path, stat: None },
                    Ok(wire::Part::Create2 { path, stat }) => MultiResult::Created { path, stat: Some(stat) },
                    Ok(wire::Part::Set { stat }) => MultiResult::Set { stat: Some(stat) },
                    Ok(wire::Part::Deleted) => MultiResult::Deleted,
                    Ok(_) => MultiResult::Checked,
                    Err(code) => MultiResult::Error(code),
                })
                .collect(),
            ..Reply::default()
        },
        Ok(_) => Reply::default(),
    };
    Response::Ok(reply)
}
