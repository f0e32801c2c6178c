//! What goes wrong, and what clients want meanwhile.

use super::*;

impl World {
    pub(super) fn fault(&mut self) -> Verdict {
        let (a, b) = (self.pick(), self.pick());
        let kind = self.draw(0, FAULT_KINDS);
        if self.fault_kinds >> kind & 1 == 0 {
            return Ok(());
        }
        match kind {
            0..3 if a != b => {
                let blocked = if self.chance(50) { self.draw(1, 800) } else { 0 };
                self.cut(a, b, blocked);
            }
            3 => {
                let blocked = self.draw(50, 1000);
                let peers: Vec<NodeId> = self.members.keys().copied().filter(|peer| *peer != a).collect();
                for peer in peers {
                    self.cut(a, peer, blocked);
                }
            }
            4 | 5 => {
                let stay_down = self.chance(40);
                self.crash(a, stay_down)?;
            }
            6 => {
                // Everyone at once: only what was durable counts.
                let nodes: Vec<NodeId> = self.members.keys().copied().collect();
                for node in nodes {
                    if self.chance(70) {
                        self.crash(node, false)?;
                    }
                }
            }
            7 => {
                let until = self.now + self.draw(20, 400);
                self.member(a).paused_until = until;
            }
            8 | 9 if a != b => {
                let until = self.now + self.draw(50, 600);
                if let Some(link) = self.links.get_mut(&(a.min(b), a.max(b))) {
                    link.slow_until = until;
                }
            }
            10 => self.lose_disk(a)?,
            11 => {
                // The leader is cut off: the interesting one.
                let leader = self.leading().last().copied();
                if let Some(leader) = leader {
                    let blocked = self.draw(50, 600);
                    let peers: Vec<NodeId> = self.members.keys().copied().filter(|peer| *peer != leader).collect();
                    for peer in peers {
                        self.cut(leader, peer, blocked);
                    }
                }
            }
            12..14 => {
                // Clocks drift: one is impatient, the others have forgotten their leader.
                let nodes: Vec<NodeId> = self.members.keys().copied().collect();
                for node in nodes {
                    if self.members[&node].paused_until <= self.now {
                        self.step(node, Input::Timer(TimerKind::Sticky))?;
                    }
                }
                if self.members[&a].paused_until <= self.now {
                    self.step(a, Input::Timer(TimerKind::Election))?;
                }
            }
            14 => {
                // Two campaign at once.
                for node in [a, b] {
                    if self.members[&node].paused_until <= self.now {
                        self.step(node, Input::Timer(TimerKind::Election))?;
                    }
                }
            }
            15 => {
                // Everything a member says takes long.
                let until = self.now + self.draw(50, 600);
                for (_, link) in self.links.iter_mut().filter(|((one, other), _)| *one == a || *other == a) {
                    link.slow_until = until;
                }
            }
            16 => {
                // All links of a member break, and are there again soon.
                let peers: Vec<NodeId> = self.members.keys().copied().filter(|peer| *peer != a).collect();
                for peer in peers {
                    self.cut(a, peer, 0);
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn heal(&mut self) {
        self.calm = true;
        let now = self.now;
        for member in self.members.values_mut() {
            member.paused_until = 0;
        }
        for link in self.links.values_mut() {
            link.blocked_until = now;
            link.slow_until = now;
        }
    }

    pub(super) fn work(&mut self) -> Verdict {
        match self.draw(0, 20) {
            0..8 => {
                let leading = self.leading();
                let node = if leading.is_empty() || self.chance(10) {
                    self.pick()
                } else {
                    leading[self.draw(0, leading.len() as u64) as usize]
                };
                self.propose(node)
            }
            8..14 => {
                let node = self.pick();
                self.read(node)
            }
            14..19 => {
                let node = self.pick();
                self.take_snapshot(node)
            }
            _ => {
                let to = self.pick();
                match self.leading().last().copied() {
                    Some(leader) if self.chance(30) => self.step(leader, Input::Transfer { to }),
                    _ => Ok(()),
                }
            }
        }
    }

    pub(super) fn propose(&mut self, node: NodeId) -> Verdict {
        let count = self.draw(1, 4);
        let payloads = (0..count).map(|offset| Number(self.next_number + offset)).collect();
        self.next_number += count;
        self.step(node, Input::Propose { payloads })
    }

    pub(super) fn read(&mut self, node: NodeId) -> Verdict {
        let floor = self.oracle.decided.keys().next_back().copied().unwrap_or_default();
        let context = self.random.next_u64();
        if self.members[&node].raft.is_none() || self.members[&node].paused_until > self.now {
            return Ok(());
        }
        self.member(node).reads.insert(context, floor);
        self.step(node, Input::ReadIndex { context })
    }
}
