//! Is there one order of the operations that the clients could not tell from what they saw? Search after Wing, Gong
//! and Lowe, with one search for each partition (key) of the object.
//!
//! `Spec` says what the object does; `search` looks for an order within one partition; `verify` re-checks an order
//! that was found, with the plain states of the specification and none of the search's bookkeeping.
//! Not here: order that versions give away (`oracles::zookeeper_versions`) and objects that are not linearizable.
//!
//! Source: Wing and Gong, "Testing and Verifying Concurrent Objects"; Lowe, "Testing for linearizability"; Horn and
//! Kroening, "Faster linearizability checking via P-compositionality".

mod kv;
mod register;
mod search;
mod steps;
mod verify;
mod visited;

pub use kv::{Kv, KvOp};
pub use register::{Register, RegisterOp};
pub use verify::verify;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential object.
pub trait Spec {
    /// An operation with the result its client saw; one of unknown outcome with the result it has if it took effect.
    type Op: Clone + Debug + Eq + Hash;
    /// The state of one partition.
    type State: Clone + Debug + Eq + Hash;
    /// What divides the object into independent parts.
    type Partition: Clone + Debug + Ord;

    /// The part an operation belongs to.
    fn partition(&self, op: &Self::Op) -> Self::Partition;

    /// The state of a part before any operation.
    fn initial(&self) -> Self::State;

    /// The state after the operation, `None` if its result contradicts `state`.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// Whether the operation, with the result it has, leaves every state as it is.
    fn reads(&self, op: &Self::Op) -> bool;

    /// Whether the operation succeeds in every state and leaves one that does not depend on it.
    fn overwrites(&self, op: &Self::Op) -> bool;

    /// Whether `reaches` ever says no. If so, what neither reads nor overwrites must succeed in every state.
    const NARROWS: bool = false;

    /// Whether operations that do not overwrite can lead from `state` to one that gives `read` its result. "Yes" is
    /// always safe; "no" lets the search turn back early.
    fn reaches(&self, _state: &Self::State, _read: &Self::Op) -> bool {
        true
    }
}

/// One operation of a history. Times are positions in any common order (event numbers, nanoseconds): one operation
/// precedes another if it returned strictly before the other was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O> {
    /// Who called.
    pub client: u64,
    /// When it was called.
    pub call: u64,
    /// When it returned; `None` if its outcome is unknown: it may take effect at any later time, or never.
    pub return_: Option<u64>,
    /// What was asked and answered.
    pub op: O,
}

/// The answer of a check. Operations are named by their position in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In this order the object gives every answer the clients saw. Operations of unknown outcome that are missing
    /// had no effect.
    Linearizable { order: Vec<usize> },
    /// The operations up to and with the return of `blocked` have no order.
    Violation { blocked: usize },
    /// Not decided.
    Unknown { why: String },
}

/// How much work a check may do before it answers `Unknown`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Distinct configurations (set of placed operations, state) per partition.
    pub configurations_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { configurations_max: 8_000_000 }
    }
}

/// Checks a history. Every partition is searched; one violation is enough for the verdict, which names the earliest.
pub fn check<S: Spec>(spec: &S, history: &[Operation<S::Op>], limits: Limits) -> Verdict {
    let mut parts: BTreeMap<S::Partition, Vec<usize>> = BTreeMap::new();
    for (i, operation) in history.iter().enumerate() {
        parts.entry(spec.partition(&operation.op)).or_default().push(i);
    }
    // The point at which an operation takes effect, for the common order of all partitions.
    let mut points: Vec<(u64, usize)> = Vec::with_capacity(history.len());
    let mut blocked: Option<usize> = None;
    let mut unknown: Option<String> = None;
    for (partition, members) in &parts {
        match search::search(spec, history, members, limits) {
            Verdict::Linearizable { order } => {
                // Within a partition, the latest call so far is a moment at which each operation may take effect.
                // The sort below is stable, so equal moments keep the partition's order.
                let mut point = 0;
                for i in order {
                    point = point.max(history[i].call);
                    points.push((point, i));
                }
            }
            Verdict::Violation { blocked: found } => {
                if blocked.is_none_or(|b| history[found].return_ < history[b].return_) {
                    blocked = Some(found);
                }
            }
            Verdict::Unknown { why } => unknown = unknown.or(Some(format!("partition {partition:?}: {why}"))),
        }
    }
    if let Some(blocked) = blocked {
        return Verdict::Violation { blocked };
    }
    if let Some(why) = unknown {
        return Verdict::Unknown { why };
    }
    points.sort_by_key(|(point, _)| *point);
    let order: Vec<usize> = points.into_iter().map(|(_, i)| i).collect();
    match verify(spec, history, &order) {
        Ok(()) => Verdict::Linearizable { order },
        Err(why) => Verdict::Unknown { why: format!("the order found does not hold: {why}") },
    }
}
