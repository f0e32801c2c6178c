//! Who the clients are: by the address of their machine, and by what each proved on its connection. What the members
//! write into the log, and what they answer who asks, must say the same.
//!
//! Rules: `author` (the log), `told` (the answer).

use crate::finding::{Finding, seconds};
use crate::history::{Applied, History, Operation, Request};
use std::collections::{BTreeMap, BTreeSet};
use synod_types::command::Command;
use synod_types::{Identity, Zxid};

const ORACLE: &str = "identities";

/// Who called each operation.
pub(crate) struct Who {
    /// Of each operation, in their order; empty if nothing is known.
    of: Vec<Vec<Identity>>,
}

impl Who {
    pub fn of(history: &History) -> Who {
        let Some(address) = &history.header.address else { return Who { of: Vec::new() } };
        let by_address = Identity { scheme: "ip".into(), id: address.clone() };
        let mut known: BTreeMap<u64, Vec<Identity>> = BTreeMap::new();
        let mut of = Vec::with_capacity(history.operations.len());
        for operation in &history.operations {
            let who = known.entry(operation.connection).or_insert_with(|| vec![by_address.clone()]);
            of.push(who.clone());
            if let Request::Auth { id } = &operation.request {
                let identity = Identity { scheme: "digest".into(), id: id.clone() };
                if !who.contains(&identity) {
                    who.push(identity);
                }
            }
        }
        Who { of }
    }

    /// Who called an operation, if that is known. A proof counts from the next request of its connection on.
    pub fn at(&self, operation: usize) -> Option<&[Identity]> {
        self.of.get(operation).map(Vec::as_slice)
    }
}

/// Whether the log and the answers name the clients as they are.
pub(super) fn check(history: &History, who: &Who) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, operation) in history.operations.iter().enumerate() {
        if let (Request::WhoAmI, Some(told), Some(who)) =
            (&operation.request, operation.reply().and_then(|r| r.who.as_ref()), who.at(i))
        {
            let name = |id: &str| id.split(':').next().unwrap_or_default().to_string();
            let expected: Vec<_> = who.iter().map(|w| (w.scheme.clone(), name(&w.id))).collect();
            if *told != expected {
                let sentence = format!(
                    "client {} asked at {} who it is and was told {told:?}, expected {expected:?}",
                    operation.client,
                    seconds(operation.call_ns)
                );
                findings.push(Finding::safety(ORACLE, "told", "session", sentence).operations([i]));
            }
        }
    }
    let writes: BTreeMap<i64, usize> = history
        .operations
        .iter()
        .enumerate()
        .filter(|(_, o)| o.request.writes() && o.acknowledged())
        .map(|(i, o)| (o.zxid, i))
        .collect();
    for applied in history.truth.iter().flatten() {
        let Some(&i) = writes.get(&applied.zxid.0) else { continue };
        findings.extend(author(applied, &history.operations[i], who.at(i)).map(|finding| finding.operations([i])));
    }
    findings
}

fn author(applied: &Applied, operation: &Operation, who: Option<&[Identity]>) -> Option<Finding> {
    let (Command::Write { session, identities, .. }, Some(who)) = (&applied.command, who) else { return None };
    let (logged, known): (BTreeSet<_>, BTreeSet<_>) = (identities.iter().collect(), who.iter().collect());
    (session.0 == operation.session && logged != known).then(|| {
        let sentence = format!(
            "the {} of client {} at index {} zxid {} is by {logged:?}, the client is {known:?}",
            operation.request.name(),
            operation.client,
            applied.index.0,
            Zxid(operation.zxid)
        );
        Finding::safety(ORACLE, "author", operation.request.path(), sentence)
    })
}
