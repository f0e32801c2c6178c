//! One run, as its page shows it: the verdict, what explains it, and everything that happened, in order of time.
//!
//! All times are nanoseconds of simulated time since the world began. Members are numbered from 1; 0 is the clients'
//! machine. Numbers stay below 2^53, because browsers read them; what may be larger (sessions, digests) is text. Lists
//! need not be sorted, but `operations` keeps its order: findings and facts point into it. Not here: how it is drawn.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The JSON file of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// What ran: `seed 42`, or the name of a plan.
    pub title: String,
    /// The seed of the plan. The page shows `title`.
    pub seed: u64,
    /// How it ended: the worst of the findings.
    pub verdict: Verdict,
    /// The one sentence: what contradicts what, with times; or what held.
    pub sentence: String,
    /// The command that shows it again, ready to copy.
    pub reproduce: String,
    /// `exact`, or `drifted at step k: why`; none when nothing was replayed.
    pub replay: Option<String>,
    /// The swarm's profile: `calm`, `stormy`, `hostile`, or empty for a plan written by hand.
    pub profile: String,
    /// Members of the cluster, at the most; their ids are 1 to this.
    pub nodes: u8,
    /// Clients.
    pub clients: u32,
    /// When the world ended.
    pub end_ns: u64,
    /// What was done to the cluster.
    pub faults: Vec<FaultBand>,
    /// What members and clients sent.
    pub messages: Vec<Message>,
    /// What each member was, from then on.
    pub states: Vec<StateChange>,
    /// What else happened.
    pub events: Vec<Event>,
    /// What clients asked, and what they were told: the history that the oracles judged.
    pub operations: Vec<Operation>,
    /// What the oracles found.
    pub findings: Vec<FindingRow>,
    /// Why it happened, where that was asked.
    pub explanation: Option<Explanation>,
}

/// How a run ended, and how grave a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No promise was broken. Of a finding: never.
    Held,
    /// An oracle could not tell.
    #[default]
    Unknown,
    /// It did not go on in time.
    Liveness,
    /// It did what it must never do.
    Safety,
}

/// One fault of the plan, for as long as it lasted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultBand {
    /// Its number in the plan.
    pub id: u32,
    /// The kind's name in the plan: `pause`, `partition` and so on. The page filters by it.
    pub kind: String,
    /// The fault in words: `pause node 2 for 1.9 s`.
    pub text: String,
    /// Whom it befell; 0 is the clients' machine, none is the whole cluster.
    pub nodes: Vec<u8>,
    /// When it began.
    pub from_ns: u64,
    /// When it was over; the same as `from_ns` for what has no length.
    pub to_ns: u64,
    /// Whether anything was different for it: a partition that nobody sent anything over had no effect.
    pub took_effect: bool,
    /// Whether the verdict needs it; none when that was not analysed.
    pub mattered: Option<bool>,
}

/// What one machine sent to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who sent it.
    pub from: u8,
    /// To whom.
    pub to: u8,
    /// When it was sent.
    pub sent_ns: u64,
    /// When it was received; none when it was lost.
    pub received_ns: Option<u64>,
    /// `append`, `vote`, `request` and so on. The page filters by it.
    pub kind: String,
    /// Its content, in a line.
    pub text: String,
}

/// What a member is from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// Since when.
    pub at_ns: u64,
    /// Which member.
    pub node: u8,
    /// Its part.
    pub role: MemberRole,
    /// Its term.
    pub term: u64,
    /// The last index that it knows to be committed.
    pub commit: u64,
    /// The last index that it applied.
    pub applied: u64,
    /// Digest of its state, abbreviated; may be empty.
    pub digest: String,
}

/// What a member does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberRole {
    /// Leads its term.
    Leader,
    /// Follows.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Asks whether it may ask for votes.
    PreCandidate,
    /// Runs, but may not vote yet.
    Recovering,
    /// Its process stands still.
    Paused,
    /// There is no process.
    #[default]
    Down,
}

/// Something that happened on a machine: a remark, a rare state reached, a disk's or a timer's event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_ns: u64,
    /// Where; 0 is the clients' machine, or nowhere in particular.
    pub node: u8,
    /// `remark`, `sometimes`, `disk`, `timer` and so on. The page filters by it.
    pub kind: String,
    /// What, in a line.
    pub text: String,
}

/// One operation of the history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Who asked.
    pub client: u32,
    /// In which session, as clients write it (hexadecimal).
    pub session: String,
    /// The member that was asked.
    pub node: u8,
    /// When it was asked.
    pub call_ns: u64,
    /// When the answer came; none when it never did.
    pub return_ns: Option<u64>,
    /// The request, in a line.
    pub request: String,
    /// The answer, in a line; empty when none came.
    pub answer: String,
    /// What came of it.
    pub outcome: Outcome,
    /// One of those that contradict each other.
    pub conflict: bool,
}

/// What a client knows of its operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was refused.
    Error,
    /// It may have been done, now or later.
    #[default]
    Unknown,
}

/// What an oracle found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FindingRow {
    /// Who found it.
    pub oracle: String,
    /// Which of its rules.
    pub rule: String,
    /// About what: a path, a member, a session.
    pub object: String,
    /// How grave it is.
    pub severity: Verdict,
    /// What happened.
    pub sentence: String,
    /// The operations that show it: positions in [`RunReport::operations`].
    pub operations: Vec<usize>,
}

/// Why the run ended as it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Without any one of these it does not happen.
    pub necessary: Vec<String>,
    /// Without all of these it happens as well.
    pub irrelevant: Vec<String>,
    /// What contradicts each other, in order of time.
    pub facts: Vec<Fact>,
}

/// Half of a contradiction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// When.
    pub at_ns: u64,
    /// What was so.
    pub text: String,
    /// The operation that shows it: a position in [`RunReport::operations`].
    pub operation: Option<usize>,
}

impl Verdict {
    /// The word in the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::Unknown => "unknown",
            Verdict::Liveness => "liveness",
            Verdict::Safety => "safety",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_as_documented() {
        let word = |value: serde_json::Value| value.as_str().unwrap().to_string();
        for verdict in [Verdict::Held, Verdict::Unknown, Verdict::Liveness, Verdict::Safety] {
            assert_eq!(word(serde_json::to_value(verdict).unwrap()), verdict.word());
        }
        assert_eq!(word(serde_json::to_value(MemberRole::PreCandidate).unwrap()), "pre-candidate");
        assert_eq!(word(serde_json::to_value(Outcome::Ok).unwrap()), "ok");
        assert!(Verdict::Safety > Verdict::Liveness && Verdict::Unknown > Verdict::Held);
    }

    #[test]
    fn a_report_is_the_same_after_json() {
        let report = RunReport {
            verdict: Verdict::Safety,
            faults: vec![FaultBand { mattered: Some(false), ..FaultBand::default() }],
            messages: vec![Message::default()],
            states: vec![StateChange::default()],
            operations: vec![Operation::default()],
            explanation: Some(Explanation { facts: vec![Fact::default()], ..Explanation::default() }),
            ..RunReport::default()
        };
        assert_eq!(serde_json::from_str::<RunReport>(&crate::json(&report)).unwrap(), report);
    }
}
