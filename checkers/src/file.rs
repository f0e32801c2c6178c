//! One file, one verdict: what `synod-sim check` prints a line of.

use crate::finding::{Finding, Severity};
use crate::formats::{jepsen_register, kv, synod};
use crate::linearizability::{self, Kv, Limits, Register, Verdict};
use crate::oracles::{self, Options};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `formats::jepsen_register`
    JepsenRegister,
    /// `formats::kv`
    Kv,
    /// `formats::synod`
    Synod,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match name {
            "jepsen-register" => Ok(Format::JepsenRegister),
            "kv" => Ok(Format::Kv),
            "synod" => Ok(Format::Synod),
            _ => Err(format!("format {name:?}: expected jepsen-register, kv or synod")),
        }
    }
}

/// The verdict on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// Everything holds.
    Linearizable,
    /// Not decided.
    Unknown,
    /// Something does not.
    Violation,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Word::Linearizable => "linearizable",
            Word::Unknown => "unknown",
            Word::Violation => "violation",
        })
    }
}

/// What there is to say of a file.
#[derive(Clone, Debug)]
pub struct FileVerdict {
    /// In a word.
    pub verdict: Word,
    /// Operations in it.
    pub operations: usize,
    /// Time of the check, without reading and parsing.
    pub micros: u64,
    /// What was found, if not everything holds.
    pub findings: Vec<Finding>,
    /// How often the version-blind search has halved the calls of a znode, because the whole took too long.
    pub halvings: usize,
}

/// Reads and checks a file.
///
/// # Errors
/// It cannot be read, or is not of the format; with its path and the line.
pub fn check_file(path: &Path, format: Format) -> Result<FileVerdict, String> {
    let text = std::fs::read(path).map_err(|e| format!("read {}: {e}", path.display()))?;
    let at = |e: crate::formats::FormatError| format!("{}:{}: {}", path.display(), e.line, e.what);
    match format {
        Format::JepsenRegister => {
            let history = jepsen_register::parse(&text).map_err(at)?;
            Ok(timed(history.len(), || {
                searched(linearizability::check(&Register, &history, Limits::default()), "register", |i| {
                    format!("{:?}", history[i])
                })
            }))
        }
        Format::Kv => {
            let history = kv::parse(&text).map_err(at)?;
            Ok(timed(history.len(), || {
                searched(linearizability::check(&Kv, &history, Limits::default()), "kv", |i| {
                    format!("{:?}", history[i])
                })
            }))
        }
        Format::Synod => {
            let history = synod::parse(&text).map_err(at)?;
            let mut halvings = 0;
            let verdict = timed(history.operations.len(), || {
                let looked = oracles::look(&history, Options::default());
                halvings = looked.halvings;
                looked.findings
            });
            Ok(FileVerdict { halvings, ..verdict })
        }
    }
}

fn timed(operations: usize, check: impl FnOnce() -> Vec<Finding>) -> FileVerdict {
    let start = Instant::now();
    let findings = check();
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    let verdict = match findings.iter().map(|f| f.severity).max() {
        None => Word::Linearizable,
        Some(Severity::Unknown) => Word::Unknown,
        Some(Severity::Liveness | Severity::Safety) => Word::Violation,
    };
    FileVerdict { verdict, operations, micros, findings, halvings: 0 }
}

fn searched(verdict: Verdict, object: &str, show: impl Fn(usize) -> String) -> Vec<Finding> {
    let finding = |rule: &str, sentence: String| Finding::safety("linearizability", rule, object, sentence);
    match verdict {
        Verdict::Linearizable { .. } => Vec::new(),
        Verdict::Violation { blocked } => {
            let sentence = format!("no order of what was called before its return explains {}", show(blocked));
            vec![finding("not_linearizable", sentence).operations([blocked])]
        }
        Verdict::Unknown { why } => vec![finding("undecided", why).severity(Severity::Unknown)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_a_verdict_or_an_error_with_its_place() {
        let path = std::env::temp_dir().join(format!("synod-check-file-{}", std::process::id()));
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            check_file(&path, Format::Kv)
        };
        let call =
            |kind: &str, value: &str| format!("{{:process 0, :type :{kind}, :f :get, :key \"k\", :value {value}}}\n");
        let good = check(&(call("invoke", "nil") + &call("ok", "\"\""))).unwrap();
        assert_eq!((good.verdict, good.operations), (Word::Linearizable, 1));
        let bad = check(&(call("invoke", "nil") + &call("ok", "\"x\""))).unwrap();
        assert_eq!((bad.verdict, bad.findings.len()), (Word::Violation, 1));
        let cut = check(&call("invoke", "nil")).unwrap_err();
        assert!(cut.starts_with(&format!("{}:1: ", path.display())), "{cut}");
        std::fs::remove_file(&path).unwrap();
        assert!(check_file(&path, Format::Synod).unwrap_err().starts_with("read "));
        assert!("text".parse::<Format>().is_err());
    }
}
