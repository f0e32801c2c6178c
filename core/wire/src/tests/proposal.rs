//! Proposals and entries.

use super::shapes::{entry, proposal};
use super::{hex, written};
use crate::peer::{BODY_BYTES_MAX, Frame, next_frame, put_message};
use crate::proposal::{decode_entry, decode_proposal, put_entry, put_proposal};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use std::sync::Arc;
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, Entry, Message};
use synod_types::session::Owner;
use synod_types::{Command, Identity, Index, NodeId, Origin, Proposal, SessionId, Term, WriteOp};

fn a_write() -> Proposal {
    Proposal {
        origin: Origin { node: NodeId(1), incarnation: 2, request: 3 },
        time_ms: 4,
        command: Command::Write {
            session: SessionId(5),
            owner: Owner { node: NodeId(6), incarnation: 7, connection: 8 },
            identities: [Identity { scheme: "ip".into(), id: "x".into() }].into(),
            op: WriteOp::SetData { path: "/a".into(), data: Some(Bytes::from_static(b"hi")), version: -1 },
        },
    }
}

/// Logs outlive builds: these bytes may never change their meaning.
#[test]
fn golden() {
    let bytes = hex("01 01 0200000000000000 0300000000000000 0400000000000000
                     05 0500000000000000 06 0700000000000000 0800000000000000
                     01 02 6970 01 78
                     04 02 2f61 03 6869 ffffffff");
    assert_eq!(written(|out| put_proposal(out, &a_write())), bytes);
    assert_eq!(decode_proposal(&bytes), Ok(a_write()));
}

#[test]
fn data_is_a_slice_of_the_input() {
    let bytes = written(|out| put_proposal(out, &a_write()));
    let Command::Write { op: WriteOp::SetData { data: Some(data), .. }, .. } = decode_proposal(&bytes).unwrap().command
    else {
        panic!("not the write")
    };
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn another_version_is_refused() {
    let mut bytes = written(|out| put_proposal(out, &a_write())).to_vec();
    bytes[0] = 2;
    let error = decode_proposal(&bytes.into()).unwrap_err();
    assert_eq!(error.to_string(), "decode proposal: unknown version 2 at offset 0");
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let mut bytes = written(|out| put_proposal(out, &a_write())).to_vec();
    bytes.push(0);
    let error = decode_proposal(&bytes.into()).unwrap_err();
    assert_eq!(error.to_string(), "decode proposal: 1 bytes left over at offset 69");
}

/// The clients of a batch mostly have the same identities: they are decoded once.
#[test]
fn entries_of_a_batch_share_their_identities() {
    let write = |id: &str| {
        let mut proposal = a_write();
        let Command::Write { identities, .. } = &mut proposal.command else { panic!("not the write") };
        *identities = [Identity { scheme: "ip".into(), id: id.into() }].into();
        Entry { term: Term(1), index: Index(1), payload: Some(Arc::new(proposal)) }
    };
    let entries = vec![write("a"), write("a"), write("b"), write("a"), write("ab")];
    let body = Body::Append { prev_index: Index(0), prev_term: Term(0), entries, commit: Index(0), round: 1 };
    let message = PeerMessage::Raft(Message { term: Term(1), body });
    let mut buffer = BytesMut::new();
    put_message(&mut buffer, &message);
    let found = next_frame(&mut buffer, BODY_BYTES_MAX).unwrap();
    assert_eq!(found, Some(Frame::Message(message)));
    let Some(Frame::Message(PeerMessage::Raft(Message { body: Body::Append { entries, .. }, .. }))) = found else {
        panic!("not the append")
    };
    let identities = |at: usize| match &entries[at].payload.as_ref().unwrap().command {
        Command::Write { identities, .. } => identities.clone(),
        other => panic!("{other:?}"),
    };
    assert!(Arc::ptr_eq(&identities(0), &identities(1)));
    assert!(!Arc::ptr_eq(&identities(1), &identities(2)));
}

proptest! {
    #[test]
    fn proposals_come_back(proposal in proposal()) {
        let bytes = written(|out| put_proposal(out, &proposal));
        prop_assert_eq!(decode_proposal(&bytes), Ok(proposal));
    }

    #[test]
    fn entries_come_back(entry in entry()) {
        let bytes = written(|out| put_entry(out, &entry));
        prop_assert_eq!(decode_entry(&bytes), Ok(entry));
    }
}
