//! Who may write a node's data, where the log says what its access control list is: nobody if no entry of the list
//! grants it, everybody if one grants it to `world:anyone`. What lies between depends on identities and is not judged.
//! Needs ground truth.
//!
//! Rules: `written`, `refused`.

use crate::finding::Finding;
use crate::history::{Applied, History};
use std::collections::BTreeMap;
use synod_types::command::{self, Command, WriteOp, Written};
use synod_types::znode::{ErrorCode, perms};
use synod_types::{Acl, Identity};

const ORACLE: &str = "permissions";

/// Who may write.
#[derive(Clone, Copy, PartialEq)]
enum Writers {
    Nobody,
    Some,
    Everybody,
}

/// Checks a history.
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Of nodes that exist or existed: a create replaces what is known.
    let mut writers: BTreeMap<String, Writers> = BTreeMap::new();
    for applied in history.truth.iter().flatten() {
        let Command::Write { identities, op, .. } = &applied.command else { continue };
        match (op, &applied.outcome.result) {
            (WriteOp::Multi { ops }, Ok(command::Applied::Multi(results))) => {
                for (op, result) in ops.iter().zip(results) {
                    if let Ok(written) = result {
                        done(applied, op, written, identities, &mut writers, &mut findings);
                    }
                }
            }
            (op, Ok(command::Applied::Write(written))) => {
                done(applied, op, written, identities, &mut writers, &mut findings);
            }
            (WriteOp::SetData { path, .. }, Err(ErrorCode::NoAuth))
                if writers.get(path) == Some(&Writers::Everybody) =>
            {
                findings.push(told(applied, "refused", path, "was refused, its list lets everybody"));
            }
            _ => {}
        }
    }
    findings
}

/// One write that succeeded.
fn done(
    applied: &Applied,
    op: &WriteOp,
    written: &Written,
    identities: &[Identity],
    writers: &mut BTreeMap<String, Writers>,
    findings: &mut Vec<Finding>,
) {
    match (op, written) {
        (WriteOp::Create { acl, .. }, Written::Created { path, .. }) => {
            writers.insert(path.clone(), of(acl.as_deref()));
        }
        (WriteOp::SetAcl { path, acl, .. }, _) => drop(writers.insert(path.clone(), of(acl.as_deref()))),
        (WriteOp::SetData { path, .. }, _)
            if writers.get(path) == Some(&Writers::Nobody) && !identities.iter().any(|i| i.scheme == "super") =>
        {
            findings.push(told(applied, "written", path, "succeeded, its list lets nobody"));
        }
        _ => {}
    }
}

fn of(acl: Option<&[Acl]>) -> Writers {
    // A null list is refused: who has it anyway is not judged.
    let Some(acl) = acl else { return Writers::Some };
    let mut granting =
        acl.iter().filter(|entry| entry.perms & perms::WRITE != 0).map(|entry| &entry.identity).peekable();
    if granting.peek().is_none() {
        return Writers::Nobody;
    }
    match granting.any(|identity| identity.scheme == "world" && identity.id == "anyone") {
        true => Writers::Everybody,
        false => Writers::Some,
    }
}

fn told(applied: &Applied, rule: &str, path: &str, what: &str) -> Finding {
    let sentence = format!("a set of {path} at index {} zxid {} {what}", applied.index.0, applied.zxid);
    Finding::safety(ORACLE, rule, path, sentence)
}
