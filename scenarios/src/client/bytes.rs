//! Requests and replies of the history as ZooKeeper's bytes, and back.

use bytes::Bytes;
use synod_checkers::history::{Create, Data, MultiOp, MultiResult, Reply, Request, Response};
use synod_types::znode::perms;
use synod_types::{Acl, Identity};
use synod_wire::zookeeper as wire;

pub(super) fn to_wire(request: &Request) -> wire::Request {
    match request.clone() {
        Request::Create(create) => wire::Request::Create2(wire_create(create)),
        Request::Delete { path, version } => wire::Request::Delete { path, version },
        Request::SetData { path, data, version } => {
            wire::Request::SetData { path, data: Some(Bytes::from(data.0)), version }
        }
        Request::Exists { path, watch } => wire::Request::Exists { path, watch },
        Request::GetData { path, watch } => wire::Request::GetData { path, watch },
        Request::GetChildren { path, watch } => wire::Request::GetChildren2 { path, watch },
        Request::Sync { path } => wire::Request::Sync { path },
        Request::Multi { ops } => wire::Request::Multi(
            ops.into_iter()
                .map(|op| match op {
                    MultiOp::Create(create) => wire::Request::Create2(wire_create(create)),
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
        Request::SetWatches { relative_zxid, data, exist, child } => {
            wire::Request::SetWatches { relative_zxid, data, exist, child }
        }
        Request::OpenSession { .. } | Request::AttachSession { .. } => wire::Request::Ping,
    }
}

fn wire_create(create: Create) -> wire::Create {
    let perms = if create.read_only { perms::ALL & !perms::WRITE } else { perms::ALL };
    let anyone = Acl { perms, identity: Identity { scheme: "world".into(), id: "anyone".into() } };
    wire::Create {
        path: create.path,
        data: Some(Bytes::from(create.data.0)),
        acl: Some(vec![anyone]),
        flags: i32::from(create.ephemeral) + 2 * i32::from(create.sequential),
    }
}

pub(super) fn from_wire(result: Result<wire::Response, i32>) -> Response {
    let data = |data: Option<Bytes>| Data(data.map(|d| d.to_vec()).unwrap_or_default());
    let reply = match result {
        Err(code) => return Response::Error(code),
        Ok(wire::Response::Create { path }) => Reply { path: Some(path), ..Reply::default() },
        Ok(wire::Response::Create2 { path, stat }) => Reply { path: Some(path), stat: Some(stat), ..Reply::default() },
        Ok(wire::Response::Stat(stat)) => Reply { stat: Some(stat), ..Reply::default() },
        Ok(wire::Response::Data { data: d, stat }) => {
            Reply { data: Some(data(d)), stat: Some(stat), ..Reply::default() }
        }
        Ok(wire::Response::Children2 { children, stat }) => {
            Reply { children: Some(children), stat: Some(stat), ..Reply::default() }
        }
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
