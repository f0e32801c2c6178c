//! A register with read, write and compare-and-set.

use super::Spec;

/// One register, at first absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register;

/// An operation on the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// Saw this value, `None` if the register was absent.
    Read { value: Option<i64> },
    /// Set the value.
    Write { value: i64 },
    /// Set `new` if the value was `expected`. `swapped` is whether it was; `true` if the outcome is unknown, as one
    /// that failed has no effect to place.
    Cas { expected: i64, new: i64, swapped: bool },
}

impl Spec for Register {
    type Op = RegisterOp;
    type State = Option<i64>;
    type Partition = ();

    fn partition(&self, _: &RegisterOp) {}

    fn initial(&self) -> Option<i64> {
        None
    }

    fn step(&self, state: &Option<i64>, op: &RegisterOp) -> Option<Option<i64>> {
        match *op {
            RegisterOp::Read { value } => (*state == value).then_some(*state),
            RegisterOp::Write { value } => Some(Some(value)),
            RegisterOp::Cas { expected, new, swapped: true } => (*state == Some(expected)).then_some(Some(new)),
            RegisterOp::Cas { expected, swapped: false, .. } => (*state != Some(expected)).then_some(*state),
        }
    }

    fn reads(&self, op: &RegisterOp) -> bool {
        match *op {
            RegisterOp::Read { .. } | RegisterOp::Cas { swapped: false, .. } => true,
            RegisterOp::Write { .. } => false,
            RegisterOp::Cas { expected, new, .. } => expected == new,
        }
    }

    fn overwrites(&self, op: &RegisterOp) -> bool {
        matches!(op, RegisterOp::Write { .. })
    }
}
