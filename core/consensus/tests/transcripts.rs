//! Transcripts: `testdata/*.txt` holds what is done, a line each, and below `----` what comes of it. `UPDATE_EXPECT=1`
//! writes what comes of it anew; read the difference before it is kept.
//!
//! ```text
//! cluster COUNT                     ordinary voters with empty logs
//! disk ID TERM INDEX:TERM …         (before anything else happens to it) a member with this log
//! timer ID election|sticky|heartbeat|quorum
//! propose ID TEXT…                  read ID CONTEXT                  transfer ID TO
//! flush ID                          deliver FROM TO                  settle
//! cut A B                           heal A B
//! restart ID                        wipe ID
//! compact ID INDEX KEEP             chunk ID TEXT [done]             answers the chunk that a member wants to read
//! restored ID                       the snapshot that a member received is loaded
//! state                             a line a member
//! ```

mod cluster;

use bytes::Bytes;
use cluster::{Cluster, Outputs, Text, boot, entry, n};
use expect_test::expect_file;
use std::fmt::Write;
use synod_consensus::{Input, Output, TimerKind};
use synod_types::raft::{Body, Entry, HardState, Message, SnapshotMeta};
use synod_types::{Index, NodeId, Term};

struct Table {
    cluster: Cluster,
    /// What the members asked for last that a later line answers.
    fetch: Option<(NodeId, Outputs)>,
    stored: Option<SnapshotMeta>,
}

impl Table {
    fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        let id = |at: usize| n(number(at) as u8);
        let cluster = &mut self.cluster;
        let out = match words[0] {
            "cluster" => {
                *cluster = Cluster::new(number(1) as u8);
                return String::new();
            }
            "disk" => {
                let entries = words[3..].iter().map(|word| {
                    let (index, term) = word.split_once(':').expect("index:term");
                    entry(index.parse().expect("an index"), term.parse().expect("a term"), "old")
                });
                let count = cluster.members.len() as u8;
                let boot = boot(number(2), entries.collect());
                cluster.replace(id(1), count, boot);
                return String::new();
            }
            "timer" => {
                let kind = match words[2] {
                    "election" => TimerKind::Election,
                    "sticky" => TimerKind::Sticky,
                    "heartbeat" => TimerKind::Heartbeat,
                    "quorum" => TimerKind::Quorum,
                    other => panic!("no timer {other}"),
                };
                cluster.step(id(1), Input::Timer(kind))
            }
            "propose" => {
                let payloads = words[2..].iter().map(|word| Text(word.to_string())).collect();
                cluster.step(id(1), Input::Propose { payloads })
            }
            "read" => cluster.step(id(1), Input::ReadIndex { context: number(2) }),
            "transfer" => cluster.step(id(1), Input::Transfer { to: id(2) }),
            "flush" => cluster.flush(id(1)),
            "deliver" => cluster.deliver(id(1), id(2)),
            "settle" => {
                cluster.settle();
                return String::new();
            }
            "cut" => cluster.cut(id(1), id(2)),
            "heal" => cluster.heal(id(1), id(2)),
            "restart" => cluster.restart(id(1)),
            "wipe" => {
                let count = cluster.members.len() as u8;
                let empty = synod_consensus::Boot { empty: true, ..boot(0, Vec::new()) };
                cluster.replace(id(1), count, empty)
            }
            "compact" => {
                let index = Index(number(2));
                let term = cluster.members[&id(1)].raft.term_at(index).expect("an index of the log");
                let meta = SnapshotMeta { index, term, size_bytes: 6, checksum: 0 };
                cluster.members.get_mut(&id(1)).expect("a member").snapshot = Some(meta);
                cluster.step(id(1), Input::Compact { meta, keep: number(3) })
            }
            "chunk" => {
                let (member, asked) = self.fetch.take().expect("a chunk that is wanted");
                assert_eq!(member, id(1));
                let text: &'static str = Box::leak(words[2].to_string().into_boxed_str());
                cluster.fetched(member, &asked, text.as_bytes(), words.get(3) == Some(&"done"))
            }
            "restored" => {
                let meta = self.stored.take().expect("a snapshot that was stored");
                cluster.step(id(1), Input::Restored { meta })
            }
            "state" => return self.state(),
            other => panic!("no verb {other}"),
        };
        for output in &out {
            match output {
                Output::Fetch { .. } => self.fetch = Some((id(if words[0] == "deliver" { 2 } else { 1 }), out.clone())),
                Output::Store { meta, done: true, .. } => self.stored = Some(*meta),
                _ => {}
            }
        }
        out.iter().map(|output| format!("  {}\n", show(output))).collect()
    }

    fn state(&self) -> String {
        let mut text = String::new();
        for (id, member) in &self.cluster.members {
            let raft = &member.raft;
            let standing = if raft.is_recovering() { " recovering" } else { "" };
            let leader = raft.leader().map_or("-".to_string(), |leader| leader.to_string());
            let log: Vec<String> =
                self.cluster.log(id.0).iter().map(|(index, term)| format!("{index}:{term}")).collect();
            let _ = writeln!(
                text,
                "  {id} {:?}{standing} term {} leader {leader} commit {} durable {} log [{}]",
                raft.role(),
                raft.term().0,
                raft.commit().0,
                raft.durable_index().0,
                log.join(" ")
            );
        }
        text
    }
}

fn show(output: &Output<Text>) -> String {
    match output {
        Output::Append { sequence, hard_state, truncate, entries } => {
            let truncate = truncate.map_or(String::new(), |from| format!(" truncate {}", from.0));
            let hard_state = hard_state.map_or(String::new(), |state| format!(" {}", show_hard_state(state)));
            format!("append #{sequence}{truncate}{}{hard_state}", show_entries(entries))
        }
        Output::Send { to, message } => format!("to {to}: {}", show_message(message)),
        Output::Commit { entries } => format!("commit{}", show_entries(entries)),
        Output::RoleChanged { role, term, leader } => {
            format!("{role:?} term {} leader {}", term.0, leader.map_or("-".to_string(), |leader| leader.to_string()))
        }
        Output::SetTimer(kind) => format!("set {kind:?}"),
        Output::CancelTimer(kind) => format!("cancel {kind:?}"),
        Output::Fetch { peer, meta, offset } => format!("fetch for {peer} snapshot {} at {offset}", meta.index.0),
        Output::Store { meta, offset, data, done } => {
            format!("store snapshot {} at {offset} {data:?}{}", meta.index.0, if *done { " done" } else { "" })
        }
        Output::ResetLog { sequence, meta, .. } => format!("reset log #{sequence} to {}:{}", meta.index.0, meta.term.0),
        other => format!("{other:?}"),
    }
}

fn show_hard_state(state: HardState) -> String {
    let vote = state.vote.map_or(String::new(), |vote| format!(" vote {vote}"));
    format!("(term {}{vote}{})", state.term.0, if state.recovering { " recovering" } else { "" })
}

fn show_entries(entries: &[Entry<Text>]) -> String {
    let mut text = String::new();
    for entry in entries {
        let payload = entry.payload.as_ref().map_or("-", |payload| &payload.0);
        let _ = write!(text, " {}:{}={payload}", entry.index.0, entry.term.0);
    }
    text
}

fn show_message(message: &Message<Text>) -> String {
    let body = match &message.body {
        Body::Append { prev_index, prev_term, entries, commit, round } => format!(
            "append after {}:{}{} commit {} round {round}",
            prev_index.0,
            prev_term.0,
            show_entries(entries),
            commit.0
        ),
        other => format!("{other:?}"),
    };
    format!("[t{}] {body}", message.term.0)
}

/// Does what a transcript says, and returns it with what came of it.
fn play(text: &str) -> String {
    let mut table = Table { cluster: Cluster::new(3), fetch: None, stored: None };
    let mut played = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let done: Vec<&str> = block.lines().take_while(|line| *line != "----").collect();
        let came: String = done.iter().filter(|line| !line.starts_with('#')).map(|line| table.line(line)).collect();
        let rule = if came.is_empty() { "" } else { "----\n" };
        let _ = write!(played, "{}\n{rule}{came}\n", done.join("\n"));
    }
    played.truncate(played.trim_end().len());
    played.push('\n');
    played
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let played = play(include_str!(concat!("../testdata/", stringify!($name), ".txt")));
            expect_file![concat!("../testdata/", stringify!($name), ".txt")].assert_eq(&played);
        })*
    };
}

transcripts! { election replication conflict reads snapshot recovery transfer }

/// Source: bug corpus, RAFT-STALE-ACK. A leader is deposed, loses entries, and is elected again; an acknowledgement of
/// its first term arrives only then.
#[test]
fn an_acknowledgement_of_an_older_term_does_not_count() {
    let decided = |mutants| {
        let mut cluster = Cluster::new(5);
        cluster.plant(mutants);
        cluster.elect(1);
        // Entries of term 1 that only members 1 and 2 have; the acknowledgement of 2 stays on its way.
        for peer in [3, 4, 5] {
            cluster.cut(n(1), n(peer));
        }
        for text in ["a", "b", "c"] {
            cluster.propose(1, text);
            cluster.flush(n(1));
            cluster.deliver(n(1), n(2));
            cluster.flush(n(2));
        }
        let late = cluster.network[&(n(2), n(1))].iter().cloned().collect::<Vec<_>>();
        assert!(late.iter().any(|m| matches!(m.body, Body::AppendReply { matched: Index(4), .. })), "{late:?}");
        cluster.isolate(2);
        // Member 1 is overruled and elected again; member 2 has nothing of its third term.
        cluster.say(
            3,
            1,
            2,
            Body::Append {
                prev_index: Index(1),
                prev_term: Term(1),
                entries: vec![Entry { term: Term(2), index: Index(2), payload: None }],
                commit: Index(1),
                round: 1,
            },
        );
        cluster.flush(n(1));
        cluster.step(n(1), Input::Timer(TimerKind::Sticky));
        for peer in [3, 4, 5] {
            cluster.heal(n(1), n(peer));
        }
        cluster.elect(1);
        cluster.cut(n(1), n(4));
        cluster.cut(n(1), n(5));
        cluster.propose(1, "d");
        cluster.settle();
        let before = cluster.raft(1).commit();
        for message in late {
            cluster.step(n(1), Input::Message { from: n(2), message });
        }
        (before, cluster.raft(1).commit())
    };
    let (before, after) = decided(synod_types::Mutants::NONE);
    assert_eq!(before, after);
    #[cfg(feature = "mutants")]
    {
        let (before, after) = decided(synod_types::Mutants::only(synod_types::Mutant::RaftStaleAppendAck));
        assert!(after > before, "the planted bug does nothing: {before:?} {after:?}");
    }
}

/// Source: bug corpus, RAFT-SNAP-MIX. A leader changes, or has a newer snapshot, in the middle of a transfer: what is
/// held of one snapshot is no beginning of another, not even of one that ends at the same index.
#[test]
fn chunks_of_two_snapshots_are_not_joined() {
    let mut cluster = Cluster::new(3);
    let meta = |index, checksum| SnapshotMeta { index: Index(index), term: Term(1), size_bytes: 9, checksum };
    let chunk = |meta, offset| Body::Snapshot { meta, offset, data: Bytes::from_static(b"abc"), done: false };
    let stored = |out: &Outputs| {
        let offsets = out.iter().filter_map(|output| match output {
            Output::Store { meta, offset, .. } => Some((*meta, *offset)),
            _ => None,
        });
        offsets.collect::<Vec<_>>()
    };
    let first = meta(10, 1);
    assert_eq!(stored(&cluster.say(1, 3, 1, chunk(first, 0))), [(first, 0)]);
    for other in [meta(20, 2), meta(10, 3)] {
        assert_eq!(stored(&cluster.say(2, 3, 2, chunk(other, 3))), []);
    }
    cluster.settle();
    assert_eq!(stored(&cluster.say(2, 3, 2, chunk(first, 3))), [(first, 3)], "what was held goes on");
    assert_eq!(stored(&cluster.say(2, 3, 2, chunk(meta(20, 2), 0))), [(meta(20, 2), 0)], "or another begins");
}
