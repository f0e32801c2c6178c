//! Histories as files. Each format has its own parser; all refuse bytes that do not fit with the line they stand in,
//! and a file that was cut with the place where it ends. Not here: what the histories mean.

pub mod jepsen_register;
pub mod kv;
pub mod synod;

use crate::linearizability::Operation;
use std::fmt;

/// Why a file is not a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for FormatError {}

fn error<T>(line: usize, what: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError { line, what: what.into() })
}

/// The numbered lines of a file. One without a newline at its end was cut, perhaps in the middle of a number.
fn lines(text: &[u8]) -> Result<impl Iterator<Item = (usize, &str)>, FormatError> {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(e) => {
            let line = text[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            return error(line, "not utf-8");
        }
    };
    if !text.is_empty() && !text.ends_with('\n') {
        return error(text.lines().count(), "the file is cut: its last line has no end");
    }
    Ok(text.lines().enumerate().map(|(i, line)| (i + 1, line)))
}

/// Calls that have not returned yet, while a file of events is read.
struct Open<O> {
    operations: Vec<Operation<O>>,
    /// By process: position in `operations`.
    open: std::collections::BTreeMap<u64, usize>,
}

impl<O> Open<O> {
    fn new() -> Open<O> {
        Open { operations: Vec::new(), open: Default::default() }
    }

    /// A process calls.
    fn call(&mut self, line: usize, client: u64, op: O) -> Result<(), FormatError> {
        if self.open.insert(client, self.operations.len()).is_some() {
            return error(line, format!("process {client} calls while its last call is open"));
        }
        self.operations.push(Operation { client, call: line as u64, return_: None, op });
        Ok(())
    }

    /// The open call of a process, which ends here.
    fn end(&mut self, line: usize, client: u64) -> Result<&mut Operation<O>, FormatError> {
        match self.open.remove(&client) {
            Some(i) => Ok(&mut self.operations[i]),
            None => error(line, format!("process {client} returns without a call")),
        }
    }
}
