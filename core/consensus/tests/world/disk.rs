//! Disks: what was not flushed is lost, what was may be damaged, and snapshots.

use super::*;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) hard_state: HardState,
    pub(super) entries: Vec<Entry<Number>>,
    pub(super) snapshot: Option<(SnapshotMeta, Vec<u8>)>,
    pub(super) touched: bool,
    /// Wiped or damaged and not recovered since.
    pub(super) lost: bool,
    pub(super) damaged: bool,
}

pub(super) fn checksum(data: &[u8]) -> u32 {
    data.iter().fold(17u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)))
}

pub(super) fn encode(applied: &BTreeMap<Index, (Term, Option<Number>)>) -> Vec<u8> {
    let mut data = Vec::new();
    for (index, (term, number)) in applied {
        for part in [index.0, term.0, number.map_or(0, |n| n.0)] {
            data.extend_from_slice(&(part as u32).to_le_bytes());
        }
    }
    data
}

pub(super) fn decode(data: &[u8]) -> BTreeMap<Index, (Term, Option<Number>)> {
    let part = |at: &[u8]| u64::from(u32::from_le_bytes([at[0], at[1], at[2], at[3]]));
    data.chunks_exact(12)
        .map(|at| {
            let number = Some(part(&at[8..])).filter(|n| *n > 0).map(Number);
            (Index(part(at)), (Term(part(&at[4..])), number))
        })
        .collect()
}

impl World {
    /// Makes writes up to `sequence` durable.
    pub(super) fn flush(&mut self, node: NodeId, sequence: u64) {
        let member = self.member(node);
        while let Some(write) = member.unflushed.front() {
            match write {
                Output::Append { sequence: at, hard_state, truncate, entries } if *at <= sequence => {
                    if let Some(from) = truncate {
                        member.disk.entries.retain(|entry| entry.index < *from);
                    }
                    member.disk.entries.extend(entries.iter().cloned());
                    member.disk.hard_state = hard_state.unwrap_or(member.disk.hard_state);
                }
                Output::ResetLog { sequence: at, hard_state, .. } if *at <= sequence => {
                    member.disk.entries.clear();
                    member.disk.hard_state = *hard_state;
                }
                _ => break,
            }
            member.disk.touched = true;
            // Damage is reported until it is durable that the member recovers from it.
            member.disk.damaged &= !member.disk.hard_state.recovering;
            member.unflushed.pop_front();
        }
        // What a log cannot hold after a lost suffix was rewritten: only continuous logs exist on disks.
        debug_assert!(member.disk.entries.windows(2).all(|pair| pair[1].index == pair[0].index.next()));
    }

    pub(super) fn begin_flush(&mut self, node: NodeId) {
        let member = self.member(node);
        if member.flushing {
            return;
        }
        let Some(Output::Append { sequence, .. } | Output::ResetLog { sequence, .. }) = member.unflushed.back() else {
            return;
        };
        let (sequence, incarnation) = (*sequence, member.incarnation);
        member.flushing = true;
        let delay = if self.chance(5) && !self.calm { self.draw(20, 200) } else { self.draw(1, 10) };
        self.at(delay, Event::Flushed { node, incarnation, sequence });
    }

    pub(super) fn restore(&mut self, node: NodeId, incarnation: u64, meta: SnapshotMeta) -> Verdict {
        if self.members[&node].incarnation != incarnation {
            return Ok(());
        }
        if self.chance(5) && !self.calm {
            return self.step(node, Input::RestoreFailed { meta });
        }
        let member = self.member(node);
        // The checksum is not looked at here: a mixture of two snapshots must show.
        let data = std::mem::take(&mut member.incoming);
        member.applied = decode(&data);
        member.disk.snapshot = Some((meta, data));
        member.disk.touched = true;
        let applied = member.applied.clone();
        self.saw("snapshot installed");
        if applied.keys().next_back() != Some(&meta.index) || applied.len() as u64 != meta.index.0 {
            return Err(format!("node {node} loaded a snapshot that is not that of {meta:?}"));
        }
        for (index, (term, number)) in applied {
            self.oracle.check_decided(node, index, term, number)?;
        }
        if self.chance(10) && !self.calm {
            return self.crash(node, false);
        }
        self.step(node, Input::Restored { meta })
    }

    pub(super) fn take_snapshot(&mut self, node: NodeId) -> Verdict {
        let keep = self.draw(0, 4);
        let member = self.member(node);
        let Some((index, (term, _))) = member.applied.last_key_value() else { return Ok(()) };
        let held = member.disk.snapshot.as_ref().map_or(Index(0), |(meta, _)| meta.index);
        let is_loading = !member.incoming.is_empty();
        if member.raft.is_none() || index.0 < held.0 + 8 || is_loading {
            return Ok(());
        }
        let data = encode(&member.applied);
        let meta =
            SnapshotMeta { index: *index, term: *term, size_bytes: data.len() as u64, checksum: checksum(&data) };
        member.disk.snapshot = Some((meta, data));
        member.disk.entries.retain(|entry| entry.index.0 + keep > meta.index.0);
        self.step(node, Input::Compact { meta, keep })
    }

    /// A crash with the loss of a disk, as long as the intact members remain a majority, and not while the cluster is
    /// being founded.
    pub(super) fn lose_disk(&mut self, node: NodeId) -> Verdict {
        let is_lost = |disk: &Disk| disk.lost || disk.hard_state.recovering || !disk.touched;
        let lost = self.members.values().filter(|member| is_lost(&member.disk)).count();
        let founded = self.members.values().all(|member| {
            let disk = &member.disk;
            !disk.entries.is_empty() || disk.snapshot.is_some() || disk.lost
        });
        let bound = (self.members.len() - 1) / 2;
        if !founded || lost >= bound || self.members[&node].disk.lost || self.members[&node].raft.is_none() {
            return Ok(());
        }
        self.crash(node, false)?;
        let damaged = self.chance(40);
        let keep = self.draw(0, 100);
        let member = self.member(node);
        if damaged {
            self.saw("disk damaged");
            let member = self.member(node);
            let kept = member.disk.entries.len() * keep as usize / 100;
            member.disk.entries.truncate(kept);
            if keep < 50 {
                member.disk.hard_state = HardState::default();
            }
            member.disk.damaged = true;
            member.disk.lost = true;
        } else {
            member.disk = Disk { lost: true, ..Disk::default() };
            self.saw("disk wiped");
        }
        Ok(())
    }
}
