//! What a member owes its clients and the others beside the theorems: reads that are not old, reigns that end, heirs that
//! were asked for, snapshots in their time, a digest of all that it holds.

use super::{Seen, Watched};
use std::time::Duration;
use synod_checkers::Finding;
use synod_node::replica::{Output, Replica, Reply, Role, State};
use synod_types::peer::PeerMessage;
use synod_types::raft::{Body, Message};
use synod_types::{Instant, Term};

/// How long a leader may lead beside a later one, in election timeouts: it looks for a majority once in each, and what it
/// hears may be late.
const DEPOSED_MAX: u32 = 6;

/// What a member is asked it hears within so long, once it is awake.
const HEARD_LATE: Duration = Duration::from_secs(1);

/// How old an answer to a read may be, in halves of election timeouts.
const AGE_MAX: u32 = 7;

impl Watched {
    /// A member serves clients while it was confirmed lately, and ends their connections when it was not: what it answers
    /// to reads is so old at most. Three election timeouts of trust, and half of one until it looks at the clock. A member
    /// that has just slept is not judged.
    pub(super) fn check_age(&mut self, now: Instant, node: u8, election_timeout: Duration, outputs: &[Output]) {
        let slept = self.stepped_at.insert(node, now).is_some_and(|last| now.since(last) > election_timeout);
        if slept {
            self.woke_at.insert(node, now);
        }
        let reads =
            |output: &Output| matches!(output, Output::Reply { result: Ok(Reply::Answer(_) | Reply::Answers(_)), .. });
        if !outputs.iter().any(reads) {
            return;
        }
        let bound = election_timeout * AGE_MAX / 2;
        let Some(applied) = self.members.get(&node).map(|seen| seen.applied) else { return };
        let Some((lacks, (_, _, at))) = self.entries.range(applied.next()..).next() else { return };
        let awake = self.woke_at.get(&node).is_none_or(|woke| now.since(*woke) > bound);
        if now.since(*at) > bound && awake {
            let sentence = format!(
                "at {:.6} s member {node} answered a read at index {}, {:.3} s after another had applied index {}",
                now.0 as f64 / 1e9,
                applied.0,
                now.since(*at).as_secs_f64(),
                lacks.0
            );
            self.findings.push(Finding::safety("replica", "stale_read", format!("member {node}"), sentence));
        }
    }

    /// Counts what a member applies between snapshots; it begins none before the next is due.
    pub(super) fn count_applied(
        &mut self,
        now: Instant,
        replica: &Replica,
        before: Option<Seen>,
        seen: &Seen,
        outputs: &[Output],
    ) {
        let (node, due) = (replica.config().id.0, replica.config().snapshot_entries);
        let applied = outputs.iter().filter(|output| matches!(output, Output::Applied(_))).count() as u64;
        let in_order = before.is_some_and(|before| before.applied.0 + applied == seen.applied.0);
        let count = self.since_snapshot.entry(node).or_default();
        let begun = outputs.iter().rposition(|output| matches!(output, Output::Snapshot { .. }));
        // The first of a start comes sooner, so that not all members write theirs at once.
        let is_first = self.snapshots.get(&node).is_none_or(|(of, _)| *of != replica.config().incarnation);
        let early = begun.is_some() && in_order && !is_first && *count + applied < due;
        let had = *count + applied;
        *count = match begun {
            Some(at) => outputs[at..].iter().filter(|output| matches!(output, Output::Applied(_))).count() as u64,
            None if in_order => *count + applied,
            None => applied,
        };
        if early {
            let sentence = format!(
                "at {:.6} s member {node} began a snapshot {had} entries after the last, one is due after {due}",
                now.0 as f64 / 1e9
            );
            self.findings.push(Finding::safety("replica", "snapshot_early", format!("member {node}"), sentence));
        }
    }

    /// What is kept up to date is what all records give: the digest, the indexes, the counts. A snapshot brings it back.
    pub(super) fn check_state(&mut self, now: Instant, node: u8, replica: &Replica, outputs: &[Output]) {
        if !outputs.iter().any(|output| matches!(output, Output::Snapshot { .. } | Output::ResetLog { .. })) {
            return;
        }
        let state = replica.state();
        let mut found = |rule: &str, what: String| {
            let (at, index) = (now.0 as f64 / 1e9, state.applied().0.0);
            let sentence = format!("at {at:.6} s the state of member {node} at index {index} {what}");
            self.findings.push(Finding::safety("state", rule, format!("member {node}"), sentence));
        };
        if state.digest() != state.recompute_digest() {
            found("digest", "has a digest that is not that of its records".into());
        }
        match State::restore(state.clone().records(), replica.config().mutants) {
            Err(error) => found("restored", format!("does not come back from its records: {error}")),
            Ok(restored) => {
                if let Some(part) = state.difference(&restored) {
                    found("restored", format!("does not come back from its records as it was: another {part}"));
                }
            }
        }
    }

    /// A leader hands over to whom it was asked to since it leads.
    pub(super) fn check_heir(&mut self, now: Instant, node: u8, outputs: &[Output], leads: bool) {
        for output in outputs {
            let Output::Send { to, message: PeerMessage::Raft(Message { body: Body::TimeoutNow, .. }) } = output else {
                continue;
            };
            let chosen = self.stopping.contains(&node);
            if !chosen && !self.heirs.get(&node).is_some_and(|heirs| heirs.contains_key(&to.0)) {
                let at = now.0 as f64 / 1e9;
                let sentence =
                    format!("at {at:.6} s member {node} hands over to member {}, as nobody asked it to", to.0);
                self.findings.push(Finding::safety("replica", "other_heir", format!("member {node}"), sentence));
            }
        }
        // Who was asked while it stood still hears of it late.
        let late = |at: Instant| now.since(at) <= HEARD_LATE;
        if !leads && !self.woke_at.get(&node).is_some_and(|woke| late(*woke)) {
            let heirs = self.heirs.entry(node).or_default();
            heirs.retain(|_, asked| late(*asked));
        }
    }

    /// A leader that nobody follows any more finds out.
    pub(super) fn check_reign(&mut self, now: Instant, node: u8, seen: &Seen, election_timeout: Duration) {
        if seen.role != Role::Leader {
            return;
        }
        self.reigns.entry(seen.term).or_insert(now);
        let bound = election_timeout * DEPOSED_MAX;
        let Some((term, since)) = self.reigns.range(Term(seen.term.0 + 1)..).next() else { return };
        let awake = self.woke_at.get(&node).is_none_or(|woke| now.since(*woke) > bound);
        if now.since(*since) > bound && awake {
            let sentence = format!(
                "at {:.6} s member {node} still leads in term {}, {:.3} s after another was elected in term {}",
                now.0 as f64 / 1e9,
                seen.term.0,
                now.since(*since).as_secs_f64(),
                term.0
            );
            self.findings.push(Finding::safety("replica", "leads_on", format!("member {node}"), sentence));
        }
    }
}
