//! Re-checks an order that the search found, so that a mistake of the search cannot pass for a good history. It uses
//! the specification's plain states and none of the search's tables.

use super::{Operation, Spec};
use std::collections::BTreeMap;

/// Whether `order` explains the history: every operation that returned is in it once, no operation stands after one
/// that was called after its return, and the object gives each the result its client saw.
///
/// # Errors
/// A sentence about the first place where it does not.
pub fn verify<S: Spec>(spec: &S, history: &[Operation<S::Op>], order: &[usize]) -> Result<(), String> {
    let mut placed = vec![false; history.len()];
    let mut states: BTreeMap<S::Partition, S::State> = BTreeMap::new();
    let mut latest_call = 0;
    for &i in order {
        let Some(operation) = history.get(i) else {
            return Err(format!("operation {i} of {} does not exist", history.len()));
        };
        if std::mem::replace(&mut placed[i], true) {
            return Err(format!("operation {i} is placed twice"));
        }
        latest_call = latest_call.max(operation.call);
        if operation.return_.is_some_and(|r| r < latest_call) {
            return Err(format!("operation {i} stands after one that was called after its return"));
        }
        let state = states.entry(spec.partition(&operation.op)).or_insert_with(|| spec.initial());
        match spec.step(state, &operation.op) {
            Some(next) => *state = next,
            None => return Err(format!("operation {i} has a result that its state forbids")),
        }
    }
    match placed.iter().zip(history).position(|(placed, operation)| !placed && operation.return_.is_some()) {
        Some(i) => Err(format!("operation {i} returned but is not placed")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Register, RegisterOp};

    fn history() -> Vec<Operation<RegisterOp>> {
        vec![
            Operation { client: 0, call: 0, return_: Some(1), op: RegisterOp::Write { value: 1 } },
            Operation { client: 1, call: 2, return_: Some(3), op: RegisterOp::Read { value: Some(1) } },
        ]
    }

    #[test]
    fn accepts_the_only_order() {
        assert_eq!(verify(&Register, &history(), &[0, 1]), Ok(()));
    }

    #[test]
    fn refuses_orders_that_miss_repeat_swap_or_lie() {
        let h = history();
        assert!(verify(&Register, &h, &[0]).unwrap_err().contains("not placed"));
        assert!(verify(&Register, &h, &[0, 0]).unwrap_err().contains("twice"));
        assert!(verify(&Register, &h, &[1, 0]).is_err());
        assert!(verify(&Register, &h, &[7]).unwrap_err().contains("exist"));
        let mut lie = h.clone();
        lie[1].op = RegisterOp::Read { value: Some(2) };
        assert!(verify(&Register, &lie, &[0, 1]).unwrap_err().contains("forbids"));
        let mut swapped = h;
        swapped[1].op = RegisterOp::Read { value: None };
        assert!(verify(&Register, &swapped, &[1, 0]).unwrap_err().contains("after its return"));
    }
}
