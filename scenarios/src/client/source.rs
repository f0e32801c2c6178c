//! What a client does next: chosen by the plan's weights, or read from its script.

use super::bytes::USERS;
use crate::plan::{List, Mix, Operation, Part, Step, Workload};
use std::collections::VecDeque;
use synod_sim::Dice;

/// More than the log's small segments echo; few enough that a snapshot in small chunks goes over in a second.
const LARGE_BYTES_MAX: u64 = 9_000;

/// Longer than the engine keeps in place.
const LONG_NAME: usize = 170;

/// Longer than containers are looked for.
const REFILLED_AFTER_US_MAX: u64 = 250_000;

/// Until after a leader that died is replaced.
const IMPATIENCE_US_MAX: u64 = 2_000_000;

/// Where a client's operations come from.
pub(super) enum Source {
    /// `begins`: nothing was chosen yet. `to_follow`: what belongs to the last choice, each after so long, microseconds.
    Weights {
        dice: Box<Dice>,
        mix: Box<Mix>,
        workload: Workload,
        begins: bool,
        to_follow: VecDeque<(u64, Operation)>,
    },
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
                // A sync waits for the latest, and what comes after it; who never asks for one sees what there is.
                sync_get: if client.is_multiple_of(2) { 0 } else { 2 + mix.get + mix.exists },
                get: 1 + mix.get,
                exists: mix.exists,
                reconnect: 1,
                ..Mix::default()
            };
        }
        Source::Weights {
            dice: Box::new(dice),
            mix: Box::new(mix),
            workload: workload.clone(),
            begins: client > workload.readers,
            to_follow: VecDeque::new(),
        }
    }

    /// When the next operation is due, microseconds: `last_us` is when the last one was chosen.
    pub fn due_us(&mut self, last_us: u64) -> u64 {
        match self {
            Source::Weights { to_follow, .. } if !to_follow.is_empty() => last_us + to_follow[0].0,
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
            // Without its parent no sequential node would ever be.
            Source::Weights { begins, .. } if *begins => {
                *begins = false;
                Some(Operation::Create { path: "/q".into() })
            }
            Source::Weights { to_follow, .. } if !to_follow.is_empty() => to_follow.pop_front().map(|(_, next)| next),
            Source::Weights { dice, mix, workload, to_follow, .. } => Some(chosen(dice, mix, workload, to_follow)),
            Source::Script(steps) => steps.pop_front().map(|step| step.operation),
        }
    }
}

fn chosen(dice: &mut Dice, mix: &Mix, workload: &Workload, to_follow: &mut VecDeque<(u64, Operation)>) -> Operation {
    let key = dice.below(workload.keys.into());
    let path = format!("/k{key}");
    match pick(mix, dice) {
        "set" => Operation::Set { path, conditional: dice.chance(0.4) },
        "create" => Operation::Create { path: itself_or_child(dice, path) },
        "delete" => Operation::Delete { path: itself_or_child(dice, path), conditional: dice.chance(0.4) },
        "ephemeral" => Operation::Ephemeral { path: format!("/e{key}") },
        "sequential" => Operation::Sequential { ephemeral: dice.chance(0.3) },
        "multi" if dice.chance(0.5) => Operation::Multi { parts: queued(dice, &path) },
        "multi" => Operation::Multi { parts: multi(dice, &path) },
        "get" => Operation::Get { path: any_node(dice, path, key), watch: dice.chance(0.4) },
        "exists" => Operation::Exists { path: any_node(dice, path, key), watch: dice.chance(0.5) },
        "children" => {
            let watch = dice.chance(0.4);
            Operation::Children { path: if dice.chance(0.5) { "/q".into() } else { path }, watch }
        }
        "sync_get" => Operation::SyncGet { path },
        "set_get" => Operation::SetGet { path, conditional: dice.chance(0.4) },
        "reopen" if dice.chance(0.4) => Operation::Vanish,
        "reopen" => Operation::Reopen,
        "reconnect" if dice.chance(0.3) => {
            to_follow.extend(impatient(dice, key, workload));
            Operation::Set { path, conditional: false }
        }
        "reconnect" => Operation::Reconnect,
        "intrude" => Operation::Intrude,
        "large" => {
            Operation::Large { path: format!("/k{}", key % 2), bytes: 3_000 + dice.below(LARGE_BYTES_MAX) as u32 }
        }
        "refused" if dice.chance(0.4) => strange(dice),
        "refused" => match dice.below(4) {
            0 => Operation::Create { path: format!("/e{key}/c") },
            1 => Operation::ReadOnly { path: format!("/r{key}") },
            2 => Operation::Delete { path: format!("/r{key}"), conditional: false },
            _ => Operation::Set { path: format!("/r{key}"), conditional: dice.chance(0.4) },
        },
        "access" => access(dice, key),
        "reaped" if dice.chance(0.1) => {
            to_follow.extend(refilled(dice, key));
            Operation::Container { path: format!("/c{}", key % 3) }
        }
        "reaped" => reaped(dice, key),
        "standing" => {
            let path = match dice.below(6) {
                0 => "/".into(),
                1 => "/q".into(),
                2 => format!("/a{}", key % 3),
                _ => any_node(dice, path, key),
            };
            match dice.below(4) {
                0 => Operation::Watching { path, kind: 1 + dice.below(5) as i32, remove: dice.chance(0.6) },
                _ => Operation::AddWatch { path, recursive: dice.chance(0.5) },
            }
        }
        "rare" => rare(dice, path, key),
        "overlap" => Operation::Overlap { for_ms: 200 + dice.below(3_000) },
        _ => {
            let timeout = u64::from(workload.session_timeout_ms);
            match dice.chance(0.4) {
                // Until the session's end is on its way.
                true => Operation::Silence { for_ms: (timeout + timeout / 100).saturating_sub(300) + dice.below(600) },
                false => Operation::Silence { for_ms: timeout / 2 + dice.below(3 * timeout) },
            }
        }
    }
}

/// Paths that no node may have, or that nobody may change, and lifetimes that none can have.
fn strange(dice: &mut Dice) -> Operation {
    const PATHS: [&str; 22] = [
        "",
        "k0",
        "/k0/",
        "//k0",
        "/k0//c0",
        "/.",
        "/k0/.",
        "/..",
        "/k0/../k1",
        "/k\u{0}",
        "/k\u{1f}",
        "/k\u{7f}",
        "/k\u{9f}",
        "/k\u{e000}",
        "/k\u{f8ff}",
        "/k\u{fff0}",
        "/k\u{10000}",
        "/k\u{1f511}",
        "/zookeeper/config",
        "/zookeeper",
        "/",
        "/zookeeper/quota",
    ];
    let path = PATHS[dice.below(PATHS.len() as u64) as usize].to_string();
    match dice.below(8) {
        0..=2 => Operation::Create { path },
        3 => Operation::Ephemeral { path },
        4 => Operation::Delete { path, conditional: false },
        5 => {
            Operation::Multi { parts: vec![Part::Set { path: "/q".into(), conditional: false }, Part::Create { path }] }
        }
        6 => Operation::Container { path },
        _ => {
            let ttl_ms = [0, 1 << 40, (1 << 40) - 1][dice.below(3) as usize];
            // The name of a sequential node may be its counter alone.
            let (path, sequential) = [("/t9", false), ("/t9", true), ("/q/", true)][dice.below(3) as usize];
            Operation::Timed { path: path.into(), ttl_ms, sequential }
        }
    }
}

/// Few nodes, so that their lists are asked again and again.
fn access(dice: &mut Dice, key: u64) -> Operation {
    let node = format!("/a{}", key % 3);
    let path = if dice.chance(0.25) { format!("{node}/c") } else { node };
    let list = match dice.chance(0.2) {
        true => List::Auth,
        false => List::ALL[dice.below(List::ALL.len() as u64) as usize],
    };
    match dice.below(12) {
        0..=2 => Operation::Guarded { path, list },
        3 => Operation::SetAcl { path, list, conditional: dice.chance(0.3) },
        4 => Operation::GetAcl { path },
        5 => Operation::Set { path, conditional: false },
        6 => Operation::Get { path, watch: dice.chance(0.5) },
        7 => Operation::Delete { path, conditional: dice.chance(0.3) },
        8 => Operation::Children { path, watch: dice.chance(0.3) },
        9 => Operation::Exists { path, watch: dice.chance(0.5) },
        10 => Operation::Multi {
            parts: vec![Part::Check { path: path.clone(), conditional: false }, Part::Set { path, conditional: false }],
        },
        _ if dice.chance(0.8) => Operation::Login { user: dice.below(1 + USERS.len() as u64) as usize },
        _ => Operation::WhoAmI,
    }
}

fn reaped(dice: &mut Dice, key: u64) -> Operation {
    let container = format!("/c{}", key % 3);
    let timed = format!("/t{}", key % 3);
    match dice.below(13) {
        12 => Operation::Multi { parts: spared(dice, key) },
        0 | 1 => Operation::Container { path: container },
        2 | 3 => Operation::Create { path: format!("{container}/x") },
        4 => Operation::Delete { path: format!("{container}/x"), conditional: false },
        5 | 6 => Operation::Timed { path: timed, ttl_ms: 100 + dice.below(3_000), sequential: false },
        7 => Operation::Timed { path: "/q/t-".into(), ttl_ms: 100 + dice.below(1_000), sequential: true },
        8 => Operation::Set { path: timed, conditional: false },
        9 => Operation::Create { path: format!("{timed}/x") },
        10 => Operation::Delete { path: format!("{timed}/x"), conditional: false },
        _ => Operation::Exists { path: if dice.chance(0.5) { container } else { timed }, watch: dice.chance(0.3) },
    }
}

/// A container loses its last child and has another by the time that it is looked for, or while it is removed.
fn refilled(dice: &mut Dice, key: u64) -> [(u64, Operation); 3] {
    let path = format!("/c{}/x", key % 3);
    let create = Operation::Create { path: path.clone() };
    [
        (1, create.clone()),
        (1, Operation::Delete { path, conditional: false }),
        (1 + dice.below(REFILLED_AFTER_US_MAX), create),
    ]
}

/// Another write when the first should have been answered long ago, and off to the next member without waiting.
fn impatient(dice: &mut Dice, key: u64, workload: &Workload) -> [(u64, Operation); 2] {
    let path = format!("/k{}", (key + 1) % u64::from(workload.keys));
    let again = Operation::Set { path, conditional: false };
    [(1 + dice.below(IMPATIENCE_US_MAX), again), (1 + dice.below(IMPATIENCE_US_MAX / 4), Operation::Reconnect)]
}

fn rare(dice: &mut Dice, path: String, key: u64) -> Operation {
    match dice.below(7) {
        0 => Operation::CreateOld { path: itself_or_child(dice, path) },
        1 => Operation::Ephemerals {
            prefix: [String::new(), "/".into(), "/e".into(), format!("/e{key}"), "/q".into()][dice.below(5) as usize]
                .clone(),
        },
        2 => Operation::CountBelow {
            path: match dice.below(4) {
                0 => "/".into(),
                1 => format!("/a{}", key % 3),
                _ => path,
            },
        },
        3 | 4 => Operation::ReadMany {
            data: vec![format!("/a{}", key % 3), any_node(dice, path.clone(), key), format!("/e{key}")],
            children: vec![format!("/c{}", key % 3), path],
        },
        _ => {
            let list = List::ALL[dice.below(List::ALL.len() as u64) as usize];
            let mut parts = multi(dice, &path);
            parts.insert(0, Part::Ephemeral { path: format!("/e{key}") });
            if dice.chance(0.5) {
                parts.push(Part::Container { path: format!("/c{}", key % 3) });
            }
            if dice.chance(0.5) {
                parts.push(Part::Guarded { path: format!("/a{}", key % 3), list });
            }
            if dice.chance(0.5) {
                parts.push(Part::Delete { path: format!("/e{key}"), conditional: false });
            }
            parts.push(Part::Sequential);
            Operation::Multi { parts }
        }
    }
}

fn itself_or_child(dice: &mut Dice, path: String) -> String {
    if dice.chance(0.3) { child(dice, path) } else { path }
}

/// A child, one with a long name, or a node deeper down.
fn child(dice: &mut Dice, path: String) -> String {
    match dice.below(8) {
        n @ 0..=2 => format!("{path}/c{n}"),
        n @ 3..=4 => format!("{path}/{}{n}", "x".repeat(LONG_NAME)),
        5 => format!("{path}/c0/d"),
        6 => format!("{path}/c0/d/e"),
        _ => format!("{path}/c0/d/e/f"),
    }
}

fn any_node(dice: &mut Dice, path: String, key: u64) -> String {
    match dice.below(6) {
        0 => format!("/e{key}"),
        1 => child(dice, path),
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

/// A multi that removes what would be reaped, and mostly fails at its end: then that is as it was.
fn spared(dice: &mut Dice, key: u64) -> Vec<Part> {
    let path = if dice.chance(0.7) { format!("/t{}", key % 3) } else { format!("/c{}", key % 3) };
    let mut parts = vec![Part::Delete { path, conditional: false }];
    if dice.chance(0.7) {
        parts.push(Part::Check { path: "/missing".into(), conditional: false });
    }
    parts
}

/// A multi that mostly succeeds, or fails at its end.
fn queued(dice: &mut Dice, path: &str) -> Vec<Part> {
    let queue = || Part::Set { path: "/q".into(), conditional: false };
    let mut parts: Vec<Part> =
        (0..2 + dice.below(3)).map(|_| if dice.chance(0.7) { Part::Sequential } else { queue() }).collect();
    if dice.chance(0.4) {
        parts.push(Part::Check { path: path.to_string(), conditional: true });
    }
    parts
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
        ("access", mix.access),
        ("reaped", mix.reaped),
        ("standing", mix.standing),
        ("rare", mix.rare),
        ("overlap", mix.overlap),
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
