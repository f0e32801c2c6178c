//! Histories of ZooKeeper clients as JSON lines.
//!
//! The first line is `{"schema":"synod-history","version":1,"source":…,"quiescent":…,"end_ns":…}`. Each line after
//! it is one record: `{"op":{…}}` a call (`history::Operation`), `{"watch":{…}}` a delivered watch event
//! (`history::WatchEvent`), `{"connection":{…}}` a connection's fate (`history::ConnectionEvent`). The last line is
//! `{"end":N}` with the number of records, so a file that was cut is told from a short one. Operations stand in the
//! order of their call times. A stat is the list of its eleven fields in the order of the wire: czxid, mzxid, ctime,
//! mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid. Data that is not text is
//! `"hex:…"`. A call of unknown outcome has neither `return_ns` nor `response`.
//!
//! A reader refuses versions it does not know; new optional fields do not raise the version.

use super::{FormatError, error, lines};
use crate::history::{ConnectionEvent, Header, History, Operation, WatchEvent};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// The version written.
pub const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct FirstLine {
    schema: String,
    version: u32,
    #[serde(flatten)]
    header: Header,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Op(Box<Operation>),
    Watch(WatchEvent),
    Connection(ConnectionEvent),
    End(usize),
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Op(&'a Operation),
    Watch(&'a WatchEvent),
    Connection(&'a ConnectionEvent),
    End(usize),
}

/// Writes a history, without its ground truth.
///
/// # Errors
/// Those of the writer.
pub fn write(history: &History, into: &mut impl Write) -> io::Result<()> {
    let first = FirstLine { schema: "synod-history".into(), version: VERSION, header: history.header.clone() };
    line(into, &first)?;
    for operation in &history.operations {
        line(into, &Line::Op(operation))?;
    }
    for watch in &history.watches {
        line(into, &Line::Watch(watch))?;
    }
    for connection in &history.connections {
        line(into, &Line::Connection(connection))?;
    }
    line(into, &Line::End(history.operations.len() + history.watches.len() + history.connections.len()))
}

/// Writes one line.
fn line(into: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *into, value)?;
    into.write_all(b"\n")
}

/// Reads a history.
///
/// # Errors
/// The first line that does not fit; a file without its end.
pub fn parse(text: &[u8]) -> Result<History, FormatError> {
    let mut lines = lines(text)?;
    let first: FirstLine = match lines.next() {
        Some((line, content)) => record(line, content)?,
        None => return error(1, "no first line with the schema"),
    };
    if first.schema != "synod-history" || first.version != VERSION {
        return error(
            1,
            format!("schema {} version {}, expected synod-history {VERSION}", first.schema, first.version),
        );
    }
    let mut history = History { header: first.header, ..History::default() };
    let mut last = 1;
    while let Some((line, content)) = lines.next() {
        last = line;
        match record(line, content)? {
            Record::Op(operation) => {
                if operation.return_ns.is_some() != operation.response.is_some() {
                    return error(line, "a call has both return_ns and response, or neither");
                }
                if operation.return_ns.is_some_and(|r| r < operation.call_ns) {
                    return error(line, "a call returns before it is made");
                }
                if history.operations.last().is_some_and(|o| o.call_ns > operation.call_ns) {
                    return error(line, "a call stands after a later one");
                }
                history.operations.push(*operation);
            }
            Record::Watch(watch) => history.watches.push(watch),
            Record::Connection(connection) => history.connections.push(connection),
            Record::End(records) => {
                let read = history.operations.len() + history.watches.len() + history.connections.len();
                if records != read {
                    return error(line, format!("{records} records expected, {read} read"));
                }
                return match lines.next() {
                    Some((line, _)) => error(line, "a line after the end"),
                    None => Ok(history),
                };
            }
        }
    }
    error(last, "the file is cut: no end after this line")
}

fn record<'a, T: Deserialize<'a>>(line: usize, content: &'a str) -> Result<T, FormatError> {
    serde_json::from_str(content).map_err(|e| FormatError { line, what: format!("column {}: {e}", e.column()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Change, Create, Reply, Request, Response, WatchKind};
    use synod_types::{Stat, Zxid};

    fn history() -> History {
        let stat = Stat { czxid: Zxid(1 << 32 | 7), version: 3, pzxid: Zxid(9), ..Stat::default() };
        let request = Request::Create(Create {
            path: "/a".into(),
            data: [0xff, 0x00][..].into(),
            ephemeral: true,
            sequential: false,
            ..Create::default()
        });
        let reply = Reply { path: Some("/a".into()), stat: Some(stat), ..Reply::default() };
        let call = Operation {
            client: 1,
            session: 0x1_0000,
            node: 2,
            connection: 3,
            call_ns: 10,
            return_ns: Some(20),
            request,
            response: Some(Response::Ok(reply)),
            zxid: 7,
            position: Some(0),
        };
        let lost = Operation {
            call_ns: 30,
            return_ns: None,
            response: None,
            position: None,
            request: Request::Ping,
            ..call.clone()
        };
        History {
            header: Header { source: "seed 7".into(), quiescent: true, end_ns: 99, ..Header::default() },
            operations: vec![call, lost],
            watches: vec![WatchEvent {
                client: 1,
                connection: 3,
                position: 1,
                time_ns: 25,
                kind: WatchKind::Deleted,
                path: "/a".into(),
                zxid: 8,
            }],
            connections: vec![ConnectionEvent {
                client: 1,
                connection: 3,
                time_ns: 40,
                change: Change::Expired { session: 5 },
            }],
            strays: Vec::new(),
            status: Vec::new(),
            truth: None,
        }
    }

    fn text() -> Vec<u8> {
        let mut text = Vec::new();
        write(&history(), &mut text).unwrap();
        text
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&text()).unwrap(), history());
    }

    #[test]
    fn every_cut_is_an_error_and_bad_lines_are_named() {
        let text = text();
        for end in 0..text.len() {
            assert!(parse(&text[..end]).is_err(), "{end}");
        }
        let text = String::from_utf8(text).unwrap();
        let change = |from: &str, to: &str| {
            let bad = text.replace(from, to);
            assert_ne!(bad, text);
            parse(bad.as_bytes()).unwrap_err()
        };
        assert_eq!(change("\"version\":1,", "\"version\":2,").line, 1);
        assert_eq!(change("hex:ff00", "hex:ff0").line, 2);
        assert_eq!(change("\"deleted\"", "\"sleeted\"").line, 4);
        assert_eq!(change("\"end\":4", "\"end\":5").line, 6);
        assert_eq!(change("\"call_ns\":30", "\"call_ns\":3").line, 3);
    }
}
