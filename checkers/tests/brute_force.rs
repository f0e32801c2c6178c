//! The search gives the same verdict as trying every order, on small random histories. `CHECKERS_HISTORIES` sets how
//! many of each kind.

use std::collections::BTreeMap;
use synod_checkers::linearizability::{
    Kv, KvOp, Limits, Operation, Register, RegisterOp, Spec, Verdict, check, verify,
};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// Every order that real time allows, with and without each operation of unknown outcome.
fn brute<S: Spec>(
    spec: &S,
    history: &[Operation<S::Op>],
    placed: &mut Vec<bool>,
    states: &mut BTreeMap<S::Partition, S::State>,
) -> bool {
    if history.iter().zip(placed.iter()).all(|(o, placed)| *placed || o.return_.is_none()) {
        return true;
    }
    for i in 0..history.len() {
        let late = (0..history.len()).any(|j| !placed[j] && history[j].return_.is_some_and(|r| r < history[i].call));
        if placed[i] || late {
            continue;
        }
        let partition = spec.partition(&history[i].op);
        let before = states.get(&partition).cloned().unwrap_or_else(|| spec.initial());
        if let Some(next) = spec.step(&before, &history[i].op) {
            states.insert(partition.clone(), next);
            placed[i] = true;
            if brute(spec, history, placed, states) {
                return true;
            }
            placed[i] = false;
            states.insert(partition, before);
        }
    }
    false
}

fn times(random: &mut Random, size: u64) -> (u64, Option<u64>) {
    let call = random.below(2 * size);
    let return_ = call + random.below(size + 2);
    (call, if random.below(5) == 0 { None } else { Some(return_) })
}

fn compare<S: Spec>(spec: &S, mut op: impl FnMut(&mut Random, bool) -> S::Op, seed: u64, histories: usize) {
    let mut random = Random(seed);
    let mut good = 0;
    for _ in 0..histories {
        let size = 1 + random.below(7);
        let history: Vec<Operation<S::Op>> = (0..size)
            .map(|client| {
                let (call, return_) = times(&mut random, size);
                Operation { client, call, return_, op: op(&mut random, return_.is_some()) }
            })
            .collect();
        let expected = brute(spec, &history, &mut vec![false; history.len()], &mut BTreeMap::new());
        match check(spec, &history, Limits::default()) {
            Verdict::Linearizable { order } => {
                assert!(expected, "{history:#?}");
                verify(spec, &history, &order).unwrap();
                good += 1;
            }
            Verdict::Violation { blocked } => {
                assert!(!expected, "{history:#?}");
                // What the verdict says holds: the part up to the blocked return has no order either.
                let end = history[blocked].return_.unwrap();
                let prefix: Vec<Operation<S::Op>> = history
                    .iter()
                    .filter(|o| o.call <= end)
                    .map(|o| Operation { return_: o.return_.filter(|r| *r <= end), ..o.clone() })
                    .filter(|o| o.return_.is_some() || !spec.reads(&o.op))
                    .collect();
                assert!(!brute(spec, &prefix, &mut vec![false; prefix.len()], &mut BTreeMap::new()));
            }
            Verdict::Unknown { why } => panic!("{why}"),
        }
    }
    assert!(good * 10 > histories && good * 10 < histories * 9, "{good} of {histories} are linearizable");
}

fn histories() -> usize {
    std::env::var("CHECKERS_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

#[test]
fn register_equals_brute_force() {
    let op = |random: &mut Random, returned: bool| {
        let (a, b) = (random.below(3) as i64, random.below(3) as i64);
        match random.below(6) {
            0..=1 => RegisterOp::Read { value: (a > 0).then_some(a) },
            2..=3 => RegisterOp::Write { value: 1 + a % 2 },
            _ => RegisterOp::Cas { expected: a, new: b, swapped: !returned || random.below(2) == 0 },
        }
    };
    compare(&Register, op, 1, histories());
}

#[test]
fn map_equals_brute_force() {
    let op = |random: &mut Random, _| {
        let key = if random.below(4) == 0 { "b" } else { "a" }.into();
        match random.below(5) {
            0..=1 => KvOp::Get { key, value: ["", "x", "y", "xy", "xx"][random.below(5) as usize].into() },
            2 => KvOp::Put { key, value: ["x", "y", ""][random.below(3) as usize].into() },
            _ => KvOp::Append { key, value: ["x", "y", ""][random.below(3) as usize].into() },
        }
    };
    compare(&Kv, op, 2, histories());
}
