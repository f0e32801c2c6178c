//! Histories of a map of strings: `{:process P, :type :invoke|:ok, :f :get|:put|:append, :key "K", :value "V"|nil}`,
//! one event a line, in real-time order. Every call returns; a file where one does not was cut.

use super::{FormatError, Open, error, lines};
use crate::linearizability::{KvOp, Operation};
use std::sync::Arc;

/// The operations of a file, in the order of their calls. Times are line numbers.
///
/// # Errors
/// The first line that is no event, a return that does not fit its call, a call that never returns.
pub fn parse(text: &[u8]) -> Result<Vec<Operation<KvOp>>, FormatError> {
    let mut open = Open::new();
    for (line, content) in lines(text)? {
        if content.trim().is_empty() {
            continue;
        }
        let Some(event) = event(content) else {
            return error(line, format!("not an event of a map: {content:?}"));
        };
        let (key, value) = (Arc::from(event.key), Arc::from(event.value.unwrap_or_default()));
        let op = match event.f {
            "get" => KvOp::Get { key, value },
            "put" if event.value.is_some() => KvOp::Put { key, value },
            "append" if event.value.is_some() => KvOp::Append { key, value },
            f => return error(line, format!("no function {f:?}, or one without its value")),
        };
        if event.invoke {
            open.call(line, event.process, op)?;
            continue;
        }
        let operation = open.end(line, event.process)?;
        match (&mut operation.op, op) {
            (KvOp::Get { key: called, value }, KvOp::Get { key, value: seen }) if *called == key => *value = seen,
            (called, returned) if *called == returned => {}
            _ => return error(line, format!("process {} returns from what it did not call", event.process)),
        }
        operation.return_ = Some(line as u64);
    }
    match open.open.values().next() {
        Some(&i) => {
            let Operation { client, call, .. } = open.operations[i];
            error(call as usize, format!("the call of process {client} never returns: the file is cut"))
        }
        None => Ok(open.operations),
    }
}

struct Event<'a> {
    process: u64,
    invoke: bool,
    f: &'a str,
    key: &'a str,
    value: Option<&'a str>,
}

fn event(content: &str) -> Option<Event<'_>> {
    let rest = content.trim().strip_prefix("{:process ")?;
    let (process, rest) = rest.split_once(", :type :")?;
    let (kind, rest) = rest.split_once(", :f :")?;
    let (f, rest) = rest.split_once(", :key \"")?;
    let (key, rest) = rest.split_once("\", :value ")?;
    let value = match rest.strip_suffix('}')? {
        "nil" => None,
        quoted => Some(quoted.strip_prefix('"')?.strip_suffix('"')?),
    };
    // No escapes: a value that has them would be compared wrongly.
    if key.contains(['"', '\\']) || value.is_some_and(|v| v.contains(['"', '\\'])) {
        return None;
    }
    let invoke = match kind {
        "invoke" => true,
        "ok" => false,
        _ => return None,
    };
    Some(Event { process: process.parse().ok()?, invoke, f, key, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Kv, Limits, Verdict, check};

    const GOOD: &str = r#"{:process 0, :type :invoke, :f :put, :key "a", :value "x"}
{:process 1, :type :invoke, :f :append, :key "a", :value "y"}
{:process 1, :type :ok, :f :append, :key "a", :value "y"}
{:process 0, :type :ok, :f :put, :key "a", :value "x"}
{:process 1, :type :invoke, :f :get, :key "a", :value nil}
{:process 1, :type :ok, :f :get, :key "a", :value "xy"}
"#;

    #[test]
    fn reads_a_file() {
        let history = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(history.len(), 3);
        assert_eq!(check(&Kv, &history, Limits::default()), Verdict::Linearizable { order: vec![0, 1, 2] });
        let bad = parse(GOOD.replace("\"xy\"", "\"yx\"").as_bytes()).unwrap();
        assert_eq!(check(&Kv, &bad, Limits::default()), Verdict::Violation { blocked: 2 });
    }

    #[test]
    fn names_the_line_that_does_not_fit() {
        for (from, to, line) in [
            (":type :ok, :f :put", ":type :no, :f :put", 4),
            (":ok, :f :append, :key \"a\"", ":ok, :f :append, :key \"b\"", 3),
            (":value nil", ":value nil, :more 1", 5),
            (":put, :key \"a\", :value \"x\"}\n{:process 1", ":put, :key \"a\", :value \"x\\\"\"}\n{:process 1", 1),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD);
            assert_eq!(parse(bad.as_bytes()).unwrap_err().line, line, "{to}");
        }
    }

    #[test]
    fn every_cut_that_loses_an_answer_is_an_error() {
        for end in 1..GOOD.len() {
            let complete = GOOD[..end].ends_with("\"x\"}\n") && GOOD[..end].lines().count() == 4;
            assert_eq!(parse(&GOOD.as_bytes()[..end]).is_ok(), complete, "{end}");
        }
    }
}
