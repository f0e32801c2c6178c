//! What a client is told: replies by the order of its requests, events, and what it learns of them.

use super::Client;
use super::bytes::{from_wire, to_wire};
use super::connection::Connection;
use std::io;
use synod_checkers::history::{Reply, Request, Response, WatchKind};
use synod_wire::zookeeper as wire;

impl Client {
    pub(super) fn take_replies(&mut self, c: &mut Connection) -> io::Result<()> {
        while let Some(frame) = wire::frame(&mut c.input, wire::FRAME_BYTES_MAX).map_err(io::Error::other)? {
            let expected = c.pending.front().map(|p| (p.xid, to_wire(&p.request).opcode()));
            let due = expected.map(|(xid, _)| xid);
            if let Some(came) = xid_of(&frame).filter(|xid| *xid > 0 && Some(*xid) != due) {
                self.recorder.stray(self.id, c.id, due, came);
                return Err(io::Error::other(format!("reply {came} where {due:?} was due")));
            }
            let opcode_of = |xid| expected.filter(|(x, _)| *x == xid).map(|(_, opcode)| opcode);
            let reply = wire::Reply::decode(&frame, opcode_of).map_err(io::Error::other)?;
            match (reply.xid, reply.result) {
                (wire::xid::NOTIFICATION, Ok(wire::Response::Event(event))) => {
                    let kind = match event.kind {
                        1 => WatchKind::Created,
                        2 => WatchKind::Deleted,
                        3 => WatchKind::DataChanged,
                        _ => WatchKind::ChildrenChanged,
                    };
                    self.watches.fired(kind, &event.path);
                    self.recorder.event(self.id, c.id, kind, event.path, reply.zxid);
                }
                (wire::xid::PING, _) => {
                    if let Some(call) = c.pings.pop_front() {
                        self.recorder.returned(call, Response::Ok(Reply::default()), reply.zxid);
                    }
                }
                (wire::xid::SET_WATCHES, _) => {
                    if let Some(call) = c.set_watches.take() {
                        self.recorder.returned(call, Response::Ok(Reply::default()), reply.zxid);
                    }
                }
                (wire::xid::AUTH, result) => {
                    if let Some(call) = c.auths.pop_front() {
                        self.recorder.returned(call, from_wire(result, false), 0);
                    }
                }
                (_, result) => {
                    let Some(pending) = c.pending.pop_front() else { return Err(io::ErrorKind::InvalidData.into()) };
                    self.zxid_seen = self.zxid_seen.max(reply.zxid);
                    let response = from_wire(result, matches!(pending.request, Request::ReadMany { .. }));
                    self.learn(&pending.request, &response);
                    self.recorder.returned(pending.call, response, reply.zxid);
                }
            }
        }
        Ok(())
    }

    /// Versions for conditional writes, and watches.
    fn learn(&mut self, request: &Request, response: &Response) {
        if let (Request::Exists { path, watch: true }, Response::Error(-101)) = (request, response) {
            self.watches.exist.insert(path.clone());
        }
        let Response::Ok(reply) = response else { return };
        if let Some(stat) = reply.stat {
            self.versions.insert(request.path().to_string(), stat.version);
            self.aversions.insert(request.path().to_string(), stat.aversion);
        }
        match request {
            Request::GetData { path, watch: true } | Request::Exists { path, watch: true } => {
                self.watches.data.insert(path.clone());
            }
            Request::GetChildren { path, watch: true } => drop(self.watches.child.insert(path.clone())),
            Request::AddWatch { path, recursive } => {
                self.watches.persistent.remove(path);
                self.watches.recursive.remove(path);
                let set = if *recursive { &mut self.watches.recursive } else { &mut self.watches.persistent };
                set.insert(path.clone());
            }
            Request::Watching { path, kind, remove: true } => self.watches.removed(path, *kind),
            _ => {}
        }
    }
}

/// The number of the request that a reply answers; those of the protocol's own are negative, 0 is nobody's.
fn xid_of(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|xid| i32::from_be_bytes(*xid))
}
