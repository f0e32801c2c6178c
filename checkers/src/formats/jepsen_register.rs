//! Logs of Jepsen's test of a compare-and-set register: `INFO  jepsen.util - PROCESS  :TYPE  :F  VALUE`, one event a
//! line, in real-time order. Lines of other loggers are skipped. A call without an `:ok` or a meaningful `:fail` has
//! an unknown outcome; a file that ends early at a line's end therefore cannot be told from a run that ended early.

use super::{FormatError, Open, error, lines};
use crate::linearizability::{Operation, RegisterOp};

/// The operations of a log, in the order of their calls. Times are line numbers.
///
/// # Errors
/// The first line that is of the right logger but no event, a return without a call, a file whose last line is cut.
pub fn parse(text: &[u8]) -> Result<Vec<Operation<RegisterOp>>, FormatError> {
    let mut open = Open::new();
    for (line, content) in lines(text)? {
        let mut words = content.split_ascii_whitespace();
        if words.next() != Some("INFO") || words.next() != Some("jepsen.util") {
            continue;
        }
        event(&mut open, line, words).or_else(|what| match what {
            Bad::Format(e) => Err(e),
            Bad::Event => error(line, format!("not an event of a register: {content:?}")),
        })?;
    }
    Ok(open.operations)
}

enum Bad {
    Event,
    Format(FormatError),
}

impl From<FormatError> for Bad {
    fn from(e: FormatError) -> Bad {
        Bad::Format(e)
    }
}

fn event<'a>(open: &mut Open<RegisterOp>, line: usize, mut words: impl Iterator<Item = &'a str>) -> Result<(), Bad> {
    if words.next() != Some("-") {
        return Err(Bad::Event);
    }
    let process = number(words.next())? as u64;
    let kind = words.next().ok_or(Bad::Event)?;
    let f = words.next().ok_or(Bad::Event)?;
    let value = words.next();
    match (kind, f) {
        (":invoke", ":read") => open.call(line, process, RegisterOp::Read { value: None })?,
        (":invoke", ":write") => open.call(line, process, RegisterOp::Write { value: number(value)? })?,
        (":invoke", ":cas") => {
            let (expected, new) = pair(value, words.next())?;
            open.call(line, process, RegisterOp::Cas { expected, new, swapped: true })?;
        }
        (":ok", ":read") => {
            let seen = if value == Some("nil") { None } else { Some(number(value)?) };
            let operation = open.end(line, process)?;
            match &mut operation.op {
                RegisterOp::Read { value } => *value = seen,
                _ => return Err(Bad::Event),
            }
            operation.return_ = Some(line as u64);
        }
        (":ok", ":write") => {
            let written = RegisterOp::Write { value: number(value)? };
            let operation = open.end(line, process)?;
            if operation.op != written {
                return Err(Bad::Event);
            }
            operation.return_ = Some(line as u64);
        }
        (":ok" | ":fail", ":cas") if value != Some(":timed-out") => {
            let (a, b) = pair(value, words.next())?;
            let operation = open.end(line, process)?;
            match &mut operation.op {
                RegisterOp::Cas { expected, new, swapped } if (*expected, *new) == (a, b) => *swapped = kind == ":ok",
                _ => return Err(Bad::Event),
            }
            operation.return_ = Some(line as u64);
        }
        // A read of unknown result says nothing.
        (":fail", ":read") | (":info", ":read" | ":write" | ":cas") => {
            open.end(line, process)?;
        }
        _ => return Err(Bad::Event),
    }
    Ok(())
}

fn number(word: Option<&str>) -> Result<i64, Bad> {
    word.and_then(|w| w.parse().ok()).ok_or(Bad::Event)
}

/// `[A B]`, which whitespace has divided.
fn pair(a: Option<&str>, b: Option<&str>) -> Result<(i64, i64), Bad> {
    let a = a.and_then(|w| w.strip_prefix('['));
    let b = b.and_then(|w| w.strip_suffix(']'));
    Ok((number(a)?, number(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::{Limits, Register, Verdict, check};

    const GOOD: &str = "\
INFO  jepsen.core - set up
INFO  jepsen.util - 0\t:invoke\t:write\t3
INFO  jepsen.util - 1\t:invoke\t:read\tnil
INFO  jepsen.util - 1\t:ok\t:read\tnil
INFO  jepsen.util - 0\t:ok\t:write\t3
INFO  jepsen.util - 1\t:invoke\t:cas\t[3 4]
INFO  jepsen.util - 1\t:info\t:cas\t:timed-out
INFO  jepsen.util - 2\t:invoke\t:cas\t[0 1]
INFO  jepsen.util - 2\t:fail\t:cas\t[0 1]
INFO  jepsen.util - 3\t:invoke\t:read\tnil
INFO  jepsen.util - 3\t:fail\t:read\t:timed-out
INFO  jepsen.util - 4\t:invoke\t:read\tnil
INFO  jepsen.util - 4\t:ok\t:read\t4
";

    #[test]
    fn reads_a_log() {
        let history = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(history.len(), 6);
        assert_eq!(history[2].op, RegisterOp::Cas { expected: 3, new: 4, swapped: true });
        assert_eq!(history[2].return_, None);
        assert_eq!(history[3].op, RegisterOp::Cas { expected: 0, new: 1, swapped: false });
        assert!(matches!(check(&Register, &history, Limits::default()), Verdict::Linearizable { .. }));
    }

    #[test]
    fn names_the_line_that_does_not_fit() {
        for (from, to, line) in [
            (":ok\t:write\t3", ":ok\t:write\tx", 5),
            (":ok\t:write\t3", ":ok\t:write\t4", 5),
            ("0\t:ok", "7\t:ok", 5),
            (":ok\t:read\t4\n", ":ok\t:read\t4", 13),
            ("[3 4]", "[3 4", 6),
            ("4\t:invoke", "2\t:invoke\t:read\tnil\nINFO  jepsen.util - 2\t:invoke", 13),
        ] {
            let bad = GOOD.replace(from, to);
            assert_ne!(bad, GOOD);
            assert_eq!(parse(bad.as_bytes()).unwrap_err().line, line, "{to}");
        }
        assert_eq!(parse(b"INFO  x\nINFO \xff\n").unwrap_err().line, 2);
    }

    #[test]
    fn any_cut_is_an_error_or_a_shorter_log() {
        let whole = parse(GOOD.as_bytes()).unwrap().len();
        for end in 0..GOOD.len() {
            match parse(&GOOD.as_bytes()[..end]) {
                Ok(history) => assert!(history.len() <= whole && (end == 0 || GOOD.as_bytes()[end - 1] == b'\n')),
                Err(e) => assert_eq!(e.line, GOOD[..end].lines().count()),
            }
        }
    }
}
