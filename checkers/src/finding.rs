//! What an oracle has to say about a history.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The oracle could not decide.
    Unknown,
    /// A promise about what happens in the end is broken.
    Liveness,
    /// A promise about what never happens is broken.
    Safety,
}

/// One thing that is wrong, or could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which oracle speaks.
    pub oracle: String,
    /// Which of its rules.
    pub rule: String,
    /// The object: a path, a session, a member, an index.
    pub object: String,
    /// How bad.
    pub severity: Severity,
    /// What happened, with times.
    pub sentence: String,
    /// The operations involved, as positions in the history.
    pub operations: Vec<usize>,
}

impl Finding {
    /// A broken promise of safety.
    pub fn safety(oracle: &str, rule: &str, object: impl fmt::Display, sentence: String) -> Finding {
        Finding {
            oracle: oracle.into(),
            rule: rule.into(),
            object: object.to_string(),
            severity: Severity::Safety,
            sentence,
            operations: Vec::new(),
        }
    }

    /// The same with another severity.
    pub fn severity(mut self, severity: Severity) -> Finding {
        self.severity = severity;
        self
    }

    /// The same with the operations involved.
    pub fn operations(mut self, operations: impl IntoIterator<Item = usize>) -> Finding {
        self.operations = operations.into_iter().collect();
        self
    }

    /// What makes two findings of different seeds the same: oracle, rule and the class of the object (digits are
    /// replaced, so that `/lock-0000000007` and `/lock-0000000009` are one).
    pub fn fingerprint(&self) -> String {
        let mut class = String::with_capacity(self.object.len());
        for c in self.object.chars() {
            let c = if c.is_ascii_digit() { '#' } else { c };
            if c != '#' || !class.ends_with('#') {
                class.push(c);
            }
        }
        format!("{}/{}/{class}", self.oracle, self.rule)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}: {}", self.oracle, self.rule, self.object, self.sentence)
    }
}

/// Nanoseconds as seconds, for sentences.
pub(crate) fn seconds(ns: u64) -> String {
    format!("{:.6} s", ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_forget_numbers() {
        let a = Finding::safety("watches", "lost", "/q/n-0000000007", "at 1 s".into());
        let b = Finding::safety("watches", "lost", "/q/n-0000000019", "at 2 s".into());
        assert_eq!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.fingerprint(), "watches/lost/#".replace('#', "/q/n-#"));
    }
}
