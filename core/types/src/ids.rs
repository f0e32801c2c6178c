//! Positions and identities.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A member of the cluster, 1..=254: it is the high byte of the session ids the member hands out, and 255 is taken by
/// ZooKeeper's encoding of TTL nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u8);

/// Raft's era. At most one leader a term.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term(pub u64);

/// A position in the replicated log. The first entry has index 1; 0 means "before the log".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Index(pub u64);

impl Index {
    /// The position after this one.
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The position before this one; 0 stays 0.
    pub fn prev(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

/// ZooKeeper's transaction id: epoch (the term) in the upper 32 bits, a counter of transactions in the lower 32.
/// Source: ZooKeeper 3.9, `ZxidUtils`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Zxid(pub i64);

impl Zxid {
    /// The first id of an epoch, counter 0.
    pub fn first_of(epoch: u32) -> Zxid {
        Zxid((epoch as i64) << 32)
    }

    /// The era part.
    pub fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The counter part.
    pub fn counter(self) -> u32 {
        self.0 as u32
    }
}

/// A client session. The high byte is the id of the member that opened it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub i64);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}
impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
