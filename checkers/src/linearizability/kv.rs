//! A map of strings with get, put and append; absent keys hold the empty string. Keys are independent.

use super::Spec;
use std::sync::Arc;

/// The map. A state is the value of one key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kv;

/// An operation on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// Saw this value.
    Get { key: Arc<str>, value: Arc<str> },
    /// Set the value.
    Put { key: Arc<str>, value: Arc<str> },
    /// Added to the end of the value.
    Append { key: Arc<str>, value: Arc<str> },
}

impl Spec for Kv {
    type Op = KvOp;
    type State = Arc<str>;
    type Partition = Arc<str>;

    fn partition(&self, op: &KvOp) -> Arc<str> {
        let (KvOp::Get { key, .. } | KvOp::Put { key, .. } | KvOp::Append { key, .. }) = op;
        key.clone()
    }

    fn initial(&self) -> Arc<str> {
        Arc::from("")
    }

    fn step(&self, state: &Arc<str>, op: &KvOp) -> Option<Arc<str>> {
        match op {
            KvOp::Get { value, .. } => (state == value).then(|| state.clone()),
            KvOp::Put { value, .. } => Some(value.clone()),
            KvOp::Append { value, .. } => Some(format!("{state}{value}").into()),
        }
    }

    fn reads(&self, op: &KvOp) -> bool {
        match op {
            KvOp::Get { .. } => true,
            KvOp::Put { .. } => false,
            KvOp::Append { value, .. } => value.is_empty(),
        }
    }

    fn overwrites(&self, op: &KvOp) -> bool {
        matches!(op, KvOp::Put { .. })
    }

    const NARROWS: bool = true;

    /// Appending never changes what is there.
    fn reaches(&self, state: &Arc<str>, read: &KvOp) -> bool {
        match read {
            KvOp::Get { value, .. } => value.starts_with(&**state),
            KvOp::Put { .. } | KvOp::Append { .. } => true,
        }
    }
}
