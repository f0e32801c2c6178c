//! Where the harness looks in.

use synod_replica::{Output, Replica};
use synod_types::NodeId;
use synod_types::peer::PeerMessage;

/// Sees the replica after each step, before its outputs take effect. Production has none.
pub trait Observer: Send + Sync {
    /// `appended` is the sequence of log writes that became durable, if that was the input.
    fn stepped(&self, replica: &Replica, appended: Option<u64>, outputs: &[Output]);

    /// A message was put on the link to another member.
    fn sent(&self, _from: NodeId, _to: NodeId, _message: &PeerMessage) {}

    /// A message of another member came in, and is about to be taken.
    fn received(&self, _from: NodeId, _to: NodeId, _message: &PeerMessage) {}
}
