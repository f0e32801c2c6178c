//! What a client asks for: the requests of each operation.

use super::bytes::{USERS, to_wire};
use super::connection::{Connection, Pending};
use super::{Client, Left, lists};
use crate::plan::{List, Operation, Part};
use crate::recorder::Call;
use std::collections::BTreeSet;
use std::time::Duration;
use synod_checkers::history::{self, Create, Data, MultiOp, Request};
use synod_wire::zookeeper as wire;

impl Client {
    pub(super) fn call(&self, c: &Connection, request: Request) -> Call {
        let session = self.session.as_ref().map_or(0, |s| s.session);
        self.recorder.call(self.id, session, c.node, c.id, request)
    }

    pub(super) fn send(&mut self, c: &mut Connection, request: Request) {
        c.xid += 1;
        to_wire(&request).put(&mut c.output, c.xid);
        let call = self.call(c, request.clone());
        c.pending.push_back(Pending { xid: c.xid, call, request });
    }

    pub(super) fn send_set_watches(&mut self, c: &mut Connection) {
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        let (data, exist, child) = (list(&self.watches.data), list(&self.watches.exist), list(&self.watches.child));
        let relative_zxid = self.zxid_seen;
        let (persistent, recursive) = (list(&self.watches.persistent), list(&self.watches.recursive));
        let request = Request::SetWatches { relative_zxid, data, exist, child, persistent, recursive };
        to_wire(&request).put(&mut c.output, wire::xid::SET_WATCHES);
        c.set_watches = Some(self.call(c, request));
    }

    /// Does one operation.
    pub(super) async fn operate(&mut self, c: &mut Connection, operation: Operation) -> Option<Left> {
        match operation {
            Operation::Set { path, conditional } => {
                let request = self.set(path, conditional);
                self.send(c, request);
            }
            Operation::Large { path, bytes } => {
                let mut data = self.value();
                data.0.resize(bytes as usize, b'.');
                self.send(c, Request::SetData { path, data, version: -1 });
            }
            Operation::Create { path } => {
                let create = self.create(path, false, false);
                self.send(c, Request::Create(create));
            }
            Operation::Delete { path, conditional } => {
                let version = self.version(&path, conditional);
                self.send(c, Request::Delete { path, version });
            }
            Operation::Ephemeral { path } => {
                let create = self.create(path, true, false);
                self.send(c, Request::Create(create));
            }
            Operation::ReadOnly { path } => {
                let create = self.guarded(path, List::ReadOnly);
                self.send(c, Request::Create(create));
            }
            Operation::Guarded { path, list } => {
                let create = self.guarded(path, list);
                self.send(c, Request::Create(create));
            }
            Operation::SetAcl { path, list, conditional } => {
                let version = self.aversions.get(&path).copied().filter(|_| conditional).unwrap_or(-1);
                let acl = lists::entries(list, &self.recorder.address());
                self.send(c, Request::SetAcl { path, acl, version });
            }
            Operation::GetAcl { path } => self.send(c, Request::GetAcl { path }),
            Operation::Login { user } => {
                match user < USERS.len() {
                    true => drop(self.users.insert(user)),
                    false => self.users.extend(0..USERS.len()),
                }
                return Some(Left::Move);
            }
            Operation::WhoAmI => self.send(c, Request::WhoAmI),
            Operation::Container { path } => {
                let create = self.create(path, false, false);
                self.send(c, Request::Create(Create { container: true, ..create }));
            }
            Operation::Timed { path, ttl_ms, sequential } => {
                let create = self.create(path, false, sequential);
                self.send(c, Request::Create(Create { ttl_ms: Some(ttl_ms), ..create }));
            }
            Operation::CreateOld { path } => {
                let create = self.create(path, false, false);
                self.send(c, Request::Create(Create { old: true, ..create }));
            }
            Operation::Ephemerals { prefix } => self.send(c, Request::Ephemerals { prefix }),
            Operation::CountBelow { path } => self.send(c, Request::CountBelow { path }),
            Operation::ReadMany { data, children } => {
                let data = data.into_iter().map(|path| history::Part::Data { path });
                let children = children.into_iter().map(|path| history::Part::Children { path });
                self.send(c, Request::ReadMany { reads: data.chain(children).collect() });
            }
            Operation::AddWatch { path, recursive } => self.send(c, Request::AddWatch { path, recursive }),
            Operation::Watching { path, kind, remove } => self.send(c, Request::Watching { path, kind, remove }),
            Operation::Overlap { for_ms } => return Some(Left::Beside { for_ms }),
            Operation::Sequential { ephemeral } => {
                let create = self.create("/q/n-".into(), ephemeral, true);
                self.send(c, Request::Create(create));
            }
            Operation::Multi { parts } => {
                let ops = parts.into_iter().map(|part| self.part(part)).collect();
                self.send(c, Request::Multi { ops });
            }
            Operation::Get { path, watch } => self.send(c, Request::GetData { path, watch }),
            Operation::Exists { path, watch } => self.send(c, Request::Exists { path, watch }),
            Operation::Children { path, watch } => self.send(c, Request::GetChildren { path, watch }),
            Operation::SyncGet { path } => {
                self.send(c, Request::Sync { path: path.clone() });
                self.send(c, Request::GetData { path, watch: false });
            }
            Operation::SetGet { path, conditional } => {
                let request = self.set(path.clone(), conditional);
                self.send(c, request);
                self.send(c, Request::GetData { path, watch: false });
            }
            Operation::Reopen => {
                self.send(c, Request::CloseSession);
                return Some(Left::Closed);
            }
            Operation::Vanish => {
                self.forget_session();
                return Some(Left::Move);
            }
            Operation::Reconnect => return Some(Left::Move),
            Operation::Intrude => self.intrude().await,
            Operation::Silence { for_ms } => {
                self.silent_until = self.env.now() + Duration::from_millis(for_ms);
            }
        }
        None
    }

    fn part(&mut self, part: Part) -> MultiOp {
        match part {
            Part::Create { path } => {
                let create = self.create(path, false, false);
                MultiOp::Create(Create { old: self.written.is_multiple_of(2), ..create })
            }
            Part::Ephemeral { path } => MultiOp::Create(self.create(path, true, false)),
            Part::Container { path } => MultiOp::Create(Create { container: true, ..self.create(path, false, false) }),
            Part::Guarded { path, list } => MultiOp::Create(self.guarded(path, list)),
            Part::Sequential => MultiOp::Create(self.create("/q/m-".into(), false, true)),
            Part::Delete { path, conditional } => {
                let version = self.version(&path, conditional);
                MultiOp::Delete { path, version }
            }
            Part::Check { path, conditional } => {
                let version = self.version(&path, conditional);
                MultiOp::Check { path, version }
            }
            Part::Set { path, conditional } => {
                let version = self.version(&path, conditional);
                MultiOp::SetData { path, data: self.value(), version }
            }
        }
    }

    fn value(&mut self) -> Data {
        self.written += 1;
        Data::from(format!("v{}-{}", self.id, self.written).as_str())
    }

    fn version(&self, path: &str, conditional: bool) -> i32 {
        self.versions.get(path).copied().filter(|_| conditional).unwrap_or(-1)
    }

    fn set(&mut self, path: String, conditional: bool) -> Request {
        let version = self.version(&path, conditional);
        Request::SetData { path, data: self.value(), version }
    }

    pub(super) fn create(&mut self, path: String, ephemeral: bool, sequential: bool) -> Create {
        Create { path, data: self.value(), ephemeral, sequential, ..Create::default() }
    }

    fn guarded(&mut self, path: String, list: List) -> Create {
        let acl = Some(lists::entries(list, &self.recorder.address()));
        Create { acl, ..self.create(path, false, false) }
    }
}
