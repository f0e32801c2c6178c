//! The ground truth in the terms of the naive tree: what a command of the log changes, and what its outcome says.

use crate::access;
use crate::history::{Applied, Create, MultiOp, MultiResult, Operation, Request};
use crate::tree::{Brought, Change, Life, code, lifetime};
use synod_types::command::{self, Command, WriteOp, Written};
use synod_types::znode::{CreateMode, ErrorCode};

/// The changes of a write operation; a multi has several.
pub(super) fn changes<'a>(session: i64, op: &'a WriteOp) -> Vec<Change<'a>> {
    match op {
        WriteOp::Multi { ops } => ops.iter().map(|op| change(session, op)).collect(),
        op => vec![change(session, op)],
    }
}

fn change(session: i64, op: &WriteOp) -> Change<'_> {
    match op {
        WriteOp::Create { path, data, mode, acl } => Change::Create {
            path,
            data: data.as_deref().unwrap_or_default(),
            owner: mode.ephemeral().then_some(session),
            sequential: mode.sequential(),
            life: match mode {
                CreateMode::Container => Life::Container,
                CreateMode::PersistentTtl { ttl_ms } | CreateMode::PersistentSequentialTtl { ttl_ms } => {
                    Life::Ttl(*ttl_ms)
                }
                _ => Life::Ordinary,
            },
            acl: Some(acl.as_deref().unwrap_or_default()),
        },
        WriteOp::Refused { error } => Change::Refused { code: error.code() },
        WriteOp::Delete { path, version } => Change::Delete { path, version: *version },
        WriteOp::SetData { path, data, version } => {
            Change::Set { path, data: data.as_deref().unwrap_or_default(), version: *version }
        }
        WriteOp::SetAcl { path, acl, version } => {
            Change::SetAcl { path, acl: acl.as_deref().unwrap_or_default(), version: *version }
        }
        WriteOp::Check { path, version } => Change::Check { path, version: *version },
        WriteOp::Multi { .. } => Change::Refused { code: ErrorCode::MarshallingError.code() },
    }
}

/// The changes a client asked for.
pub(super) fn requested(session: i64, request: &Request) -> Vec<Change<'_>> {
    match request {
        Request::Create(c) => vec![created(session, c)],
        Request::SetAcl { path, acl, version } => vec![Change::SetAcl { path, acl, version: *version }],
        Request::Delete { path, version } => vec![Change::Delete { path, version: *version }],
        Request::SetData { path, data, version } => vec![Change::Set { path, data: &data.0, version: *version }],
        Request::Multi { ops } => ops
            .iter()
            .map(|op| match op {
                MultiOp::Create(c) => created(session, c),
                MultiOp::Delete { path, version } => Change::Delete { path, version: *version },
                MultiOp::SetData { path, data, version } => Change::Set { path, data: &data.0, version: *version },
                MultiOp::Check { path, version } => Change::Check { path, version: *version },
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn created(session: i64, c: &Create) -> Change<'_> {
    Change::Create {
        path: &c.path,
        data: &c.data.0,
        owner: c.ephemeral.then_some(session),
        sequential: c.sequential,
        life: match c.ttl_ms {
            Some(ttl_ms) => Life::Ttl(ttl_ms),
            None if c.container => Life::Container,
            None => Life::Ordinary,
        },
        acl: c.acl.as_deref(),
    }
}

/// Whether a command of the log is what a client asked for in a session.
pub(super) fn same(applied: &Applied, operation: &Operation) -> bool {
    match (&applied.command, &operation.request) {
        (Command::Write { session, op, .. }, request) if request.writes() => {
            let multi = matches!(op, WriteOp::Multi { .. }) == matches!(request, Request::Multi { .. });
            session.0 == operation.session && multi && {
                let (a, b) = (changes(session.0, op), requested(operation.session, request));
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| equal(a, b))
            }
        }
        (Command::CloseSession { session, .. }, Request::CloseSession) => session.0 == operation.session,
        _ => false,
    }
}

fn equal(a: &Change<'_>, b: &Change<'_>) -> bool {
    match (a, b) {
        (
            Change::Create { path: p, data: d, owner: o, sequential: s, life: l, acl: a },
            Change::Create { path, data, owner, sequential, life, acl },
        ) => {
            let same_list = match acl {
                Some(acl) => *a == Some(acl),
                None => a.is_some_and(|a| a == access::open()),
            };
            p == path && d == data && o == owner && s == sequential && l == life && same_list
        }
        (Change::SetAcl { path: p, acl: a, version: v }, Change::SetAcl { path, acl, version }) => {
            p == path && a == acl && v == version
        }
        (Change::Delete { path: p, version: v }, Change::Delete { path, version })
        | (Change::Check { path: p, version: v }, Change::Check { path, version }) => p == path && v == version,
        (Change::Set { path: p, data: d, version: v }, Change::Set { path, data, version }) => {
            p == path && d == data && v == version
        }
        // What the server refused to decode is not compared: only lifetimes that no node can have are among what clients
        // ask for.
        (Change::Refused { .. }, Change::Create { life: Life::Ttl(ttl_ms), .. }) => !lifetime(*ttl_ms),
        _ => false,
    }
}

/// The result of a write in one form, wherever it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WriteResult {
    Single(Result<Brought, i32>),
    Multi(Vec<Result<Brought, i32>>),
    Done,
}

impl WriteResult {
    /// What the log says.
    pub fn of_outcome(outcome: &command::Outcome) -> WriteResult {
        match &outcome.result {
            Ok(command::Applied::Write(written)) => WriteResult::Single(Ok(brought(written))),
            Ok(command::Applied::Multi(results)) => WriteResult::Multi(
                results.iter().map(|r| r.as_ref().map(brought).map_err(|e| e.map_or(0, ErrorCode::code))).collect(),
            ),
            Ok(command::Applied::Done | command::Applied::Session(_)) => WriteResult::Done,
            Err(error) => WriteResult::Single(Err(error.code())),
        }
    }

    /// What the naive tree says of a multi.
    pub fn of_multi(count: usize, result: Result<Vec<Brought>, (usize, i32)>) -> WriteResult {
        WriteResult::Multi(match result {
            Ok(all) => all.into_iter().map(Ok).collect(),
            Err((at, error)) => (0..count)
                .map(|i| {
                    Err(match i.cmp(&at) {
                        std::cmp::Ordering::Less => 0,
                        std::cmp::Ordering::Equal => error,
                        std::cmp::Ordering::Greater => code::RUNTIME_INCONSISTENCY,
                    })
                })
                .collect(),
        })
    }

    /// The error that ended it, if one did.
    pub fn error(&self) -> Option<i32> {
        match self {
            WriteResult::Single(Err(code)) => Some(*code),
            WriteResult::Multi(results) => {
                results.iter().find_map(|r| r.as_ref().err().copied().filter(|code| *code != 0))
            }
            _ => None,
        }
    }
}

fn brought(written: &Written) -> Brought {
    match written {
        Written::Created { path, stat } => Brought::Created { path: path.clone(), stat: *stat },
        Written::Deleted => Brought::Deleted,
        Written::Set { stat } => Brought::Set { stat: *stat },
        Written::Checked => Brought::Checked,
    }
}

/// Whether a client's answer to a write agrees with `expected`. A client may see less than the log knows (a create
/// without its stat); what it sees must be equal. `times` is whether the times of stats are known.
pub(super) fn agrees(operation: &Operation, expected: &WriteResult, times: bool) -> bool {
    let one = |path: Option<&String>, stat: Option<&synod_types::Stat>, brought: &Brought| match brought {
        Brought::Created { path: made, stat: expected } => {
            path == Some(made) && stat.is_none_or(|s| super::replay::same_stat(s, expected, times))
        }
        Brought::Set { stat: expected } => stat.is_none_or(|s| super::replay::same_stat(s, expected, times)),
        Brought::Deleted | Brought::Checked => true,
    };
    match expected {
        WriteResult::Single(Err(code)) => operation.error() == Some(*code),
        WriteResult::Single(Ok(brought)) => {
            operation.reply().is_some_and(|r| one(r.path.as_ref(), r.stat.as_ref(), brought))
        }
        WriteResult::Done => operation.reply().is_some(),
        WriteResult::Multi(results) => operation.reply().is_some_and(|reply| {
            reply.multi.len() == results.len()
                && reply.multi.iter().zip(results).all(|(seen, expected)| match (seen, expected) {
                    (MultiResult::Error(code), Err(expected)) => code == expected,
                    (MultiResult::Created { path, stat }, Ok(b @ Brought::Created { .. })) => {
                        one(Some(path), stat.as_ref(), b)
                    }
                    (MultiResult::Set { stat }, Ok(b @ Brought::Set { .. })) => one(None, stat.as_ref(), b),
                    (MultiResult::Deleted, Ok(Brought::Deleted)) => true,
                    (MultiResult::Checked, Ok(Brought::Checked)) => true,
                    _ => false,
                })
        }),
    }
}
