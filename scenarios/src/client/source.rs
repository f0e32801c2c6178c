//! What a client does next: chosen by the plan's weights, or read from its script.

use crate::plan::{Mix, Operation, Part, Step, Workload};
use std::collections::VecDeque;
use synod_sim::Dice;

/// More than the log's small segments echo; few enough that a snapshot in small chunks goes over in a second.
const LARGE_BYTES_MAX: u64 = 9_000;

/// Where a client's operations come from.
pub(super) enum Source {
    Weights { dice: Box<Dice>, mix: Box<Mix>, workload: Workload },
    Script(VecDeque<Step>),
}

impl Source {
    pub fn new(client: u32, dice: Dice, workload: &Workload) -> Source {
        if let Some(script) = &workload.script {
            return Source::Script(script.iter().filter(|step| step.client == client).cloned().collect());
        }
        let mut mix = workload.mix.clone();
        if client <= workload.readers {
            mix = Mix {
                sync_get: 2 + mix.get + mix.exists,
                get: mix.get,
                exists: mix.exists,
                reconnect: 1,
                ..Mix::default()
            };
        }
        Source::Weights { dice: Box::new(dice), mix: Box::new(mix), workload: workload.clone() }
    }

    /// When the next operation is due, microseconds: `last_us` is when the last one was chosen.
    pub fn due_us(&mut self, last_us: u64) -> u64 {
        match self {
            Source::Weights { dice, workload, .. } => {
                let gap_us = workload.horizon_ms * 1000 * u64::from(workload.clients) / workload.operations.max(1);
                last_us + 1 + dice.below(2 * gap_us.max(1))
            }
            Source::Script(steps) => steps.front().map_or(u64::MAX, |step| step.at_us),
        }
    }

    /// The next operation.
    pub fn next(&mut self) -> Option<Operation> {
        match self {
            Source::Weights { dice, mix, workload } => Some(chosen(dice, mix, workload)),
            Source::Script(steps) => steps.pop_front().map(|step| step.operation),
        }
    }
}

fn chosen(dice: &mut Dice, mix: &Mix, workload: &Workload) -> Operation {
    let key = dice.below(workload.keys.into());
    let path = format!("/k{key}");
    match pick(mix, dice) {
        "set" => Operation::Set { path, conditional: dice.chance(0.4) },
        "create" => Operation::Create { path: itself_or_child(dice, path) },
        "delete" => Operation::Delete { path: itself_or_child(dice, path), conditional: dice.chance(0.4) },
        "ephemeral" => Operation::Ephemeral { path: format!("/e{key}") },
        "sequential" => Operation::Sequential { ephemeral: dice.chance(0.3) },
        "multi" => Operation::Multi { parts: multi(dice, &path) },
        "get" => Operation::Get { path: any_node(dice, path, key), watch: dice.chance(0.4) },
        "exists" => Operation::Exists { path: any_node(dice, path, key), watch: dice.chance(0.5) },
        "children" => {
            let watch = dice.chance(0.4);
            Operation::Children { path: if dice.chance(0.5) { "/q".into() } else { path }, watch }
        }
        "sync_get" => Operation::SyncGet { path },
        "set_get" => Operation::SetGet { path, conditional: dice.chance(0.4) },
        "reopen" => Operation::Reopen,
        "reconnect" => Operation::Reconnect,
        "intrude" => Operation::Intrude,
        "large" => {
            Operation::Large { path: format!("/k{}", key % 2), bytes: 3_000 + dice.below(LARGE_BYTES_MAX) as u32 }
        }
        "refused" => match dice.below(4) {
            0 => Operation::Create { path: format!("/e{key}/c") },
            1 => Operation::ReadOnly { path: format!("/r{key}") },
            2 => Operation::Delete { path: format!("/r{key}"), conditional: false },
            _ => Operation::Set { path: format!("/r{key}"), conditional: dice.chance(0.4) },
        },
        _ => {
            let timeout = u64::from(workload.session_timeout_ms);
            Operation::Silence { for_ms: timeout / 2 + dice.below(3 * timeout) }
        }
    }
}

fn itself_or_child(dice: &mut Dice, path: String) -> String {
    if dice.chance(0.3) { format!("{path}/c{}", dice.below(4)) } else { path }
}

fn any_node(dice: &mut Dice, path: String, key: u64) -> String {
    match dice.below(6) {
        0 => format!("/e{key}"),
        1 => format!("{path}/c{}", dice.below(4)),
        _ => path,
    }
}

fn multi(dice: &mut Dice, path: &str) -> Vec<Part> {
    let count = 2 + dice.below(3);
    let part = |_| {
        let path = if dice.chance(0.5) { path.to_string() } else { format!("{path}/c{}", dice.below(4)) };
        let conditional = dice.chance(0.4);
        match dice.below(5) {
            0 => Part::Create { path },
            1 => Part::Sequential,
            2 => Part::Delete { path, conditional },
            3 => Part::Check { path, conditional },
            _ => Part::Set { path, conditional },
        }
    };
    (0..count).map(part).collect()
}

fn pick(mix: &Mix, dice: &mut Dice) -> &'static str {
    let weights = [
        ("set", mix.set),
        ("create", mix.create),
        ("delete", mix.delete),
        ("ephemeral", mix.ephemeral),
        ("sequential", mix.sequential),
        ("multi", mix.multi),
        ("get", mix.get),
        ("exists", mix.exists),
        ("children", mix.children),
        ("sync_get", mix.sync_get),
        ("set_get", mix.set_get),
        ("reopen", mix.reopen),
        ("reconnect", mix.reconnect),
        ("intrude", mix.intrude),
        ("silence", mix.silence),
        ("refused", mix.refused),
        ("large", mix.large),
    ];
    let total: u64 = weights.iter().map(|(_, w)| u64::from(*w)).sum();
    let mut at = dice.below(total);
    for (name, weight) in weights {
        match at.checked_sub(weight.into()) {
            Some(rest) => at = rest,
            None => return name,
        }
    }
    "set"
}
