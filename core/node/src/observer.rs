//! Where the harness looks in.

use synod_replica::{Output, Replica};

/// Sees the replica after each step, before its outputs take effect. Production has none.
pub trait Observer: Send + Sync {
    /// `appended` is the sequence of log writes that became durable, if that was the input.
    fn stepped(&self, replica: &Replica, appended: Option<u64>, outputs: &[Output]);
}
