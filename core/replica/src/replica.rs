//! The struct, its construction, and the dispatch of inputs and of consensus' outputs.

use crate::connections::Connection;
use crate::io::{ConnectionId, Input, Now, Output};
use crate::promises::promising;
use crate::sessions::Sessions;
use crate::versions::Versions;
use crate::watches::Watches;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use synod_consensus::{Input as RaftInput, Limits, Output as RaftOutput, Raft, Role};
use synod_state::State;
use synod_types::peer::{PeerMessage, Promise};
use synod_types::raft::{Entry, HardState, SnapshotMeta};
use synod_types::session::Owner;
use synod_types::{Command, Index, Mutants, NodeId, Origin, Proposal, Term};

/// What a member is told about itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub id: NodeId,
    /// All members, itself included.
    pub voters: BTreeSet<NodeId>,
    /// Random, new at each start.
    pub incarnation: u64,
    /// E: a follower that hears of no leader for E..2E campaigns.
    pub election_timeout: Duration,
    /// A snapshot is due after this many applied entries …
    pub snapshot_entries: u64,
    /// … or this many bytes of them, whichever comes first.
    pub snapshot_bytes: u64,
    /// Entries kept behind a snapshot for followers that lag a little.
    pub log_keep: u64,
    /// Bounds of what is in flight to one peer.
    pub limits: Limits,
    /// Requests that may wait at this member; more are refused with `ThrottledOp`.
    pub outstanding_max: usize,
    /// How often containers and TTL nodes are looked for.
    pub reap_every: Duration,
    /// The newest cluster version that this member supports; see [`synod_types::version`].
    pub cluster_version: u32,
    /// Whether each applied entry is an output.
    pub trace: bool,
    /// Planted bugs.
    pub mutants: Mutants,
}

/// What a member finds on its disk at its start.
pub struct Boot {
    /// Term and vote.
    pub hard_state: HardState,
    /// The newest snapshot and what it holds.
    pub snapshot: Option<(SnapshotMeta, State)>,
    /// The log behind it.
    pub entries: Vec<Entry<Arc<Proposal>>>,
    /// The folder was empty.
    pub empty: bool,
    /// The acknowledged tail of the log is damaged.
    pub damaged: bool,
    /// Random: tells this start from earlier ones.
    pub nonce: u64,
}

/// Figures for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who.
    pub id: NodeId,
    /// What it is at present.
    pub role: Role,
    /// Whom it follows.
    pub leader: Option<NodeId>,
    /// Era.
    pub term: Term,
    /// Highest index known to be decided.
    pub commit: Index,
    /// Highest index executed.
    pub applied: Index,
    /// Of the state at `applied`.
    pub digest: u128,
    /// Whether it may serve clients: it leads, or its leader confirmed it lately.
    pub serving: bool,
    /// Whether it lost its disk and waits for a leader to restore its vote.
    pub recovering: bool,
    /// Connections with a session.
    pub connections: usize,
    /// Requests that wait.
    pub outstanding: usize,
    /// Registered watches.
    pub watches: usize,
    /// What the members have agreed to do, and what this one could do.
    pub cluster_version: u32,
    /// The newest cluster version that this member supports.
    pub cluster_version_supported: u32,
}

/// A committed entry's place in the continuous comparison of replicas.
pub(crate) const DIGEST_EVERY: u64 = 256;
pub(crate) const DIGESTS_KEPT: usize = 64;

/// One member.
pub struct Replica {
    pub(crate) config: Config,
    pub(crate) raft: Raft<Arc<Proposal>>,
    pub(crate) state: State,
    pub(crate) leader: Option<NodeId>,
    pub(crate) role: Role,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    /// Requests in the log's hands: number → connection. Numbers grow.
    pub(crate) waiting: BTreeMap<u64, ConnectionId>,
    /// Members that can be sent to.
    pub(crate) links_up: BTreeSet<NodeId>,
    /// Leader: how often it did not take what a follower had forwarded, in this term. Follower: how often of them it has
    /// heard.
    pub(crate) refusals: BTreeMap<NodeId, u64>,
    pub(crate) refusals_heard: u64,
    pub(crate) requests: u64,
    /// Commands of this turn, not yet proposed or forwarded. They stay here while no leader is known.
    pub(crate) unsent: VecDeque<(Origin, Command)>,
    /// Commands of other members for this turn.
    pub(crate) forwarded: Vec<(Origin, Command)>,
    pub(crate) sessions: Sessions,
    pub(crate) watches: Watches,
    pub(crate) digests: VecDeque<(Index, u128)>,
    pub(crate) peer_digests: BTreeMap<(Index, NodeId), u128>,
    pub(crate) snapshot_running: bool,
    /// Something was applied since the start.
    pub(crate) applied_any: bool,
    pub(crate) entries_since_snapshot: u64,
    pub(crate) bytes_since_snapshot: u64,
    pub(crate) transfer_asked: bool,
    pub(crate) versions: Versions,
    /// The latest promise of each of the others.
    pub(crate) promises: BTreeMap<NodeId, Promise>,
    pub(crate) halted: bool,
    events: Vec<synod_types::command::Event>,
    scratch: Vec<RaftOutput<Arc<Proposal>>>,
}

impl Replica {
    /// A member from what is on its disk.
    pub fn new(now: Now, config: Config, boot: Boot, out: &mut Vec<Output>) -> Replica {
        let mut raft_out = Vec::new();
        let (meta, mut state) = match boot.snapshot {
            Some((meta, state)) => (Some(meta), state),
            None => (None, State::new(config.mutants, bytes::Bytes::new())),
        };
        state.set_member(config.id.0, config.cluster_version);
        let raft = Raft::new(
            synod_consensus::Config {
                id: config.id,
                voters: config.voters.clone(),
                mutants: config.mutants,
                limits: config.limits,
            },
            synod_consensus::Boot {
                hard_state: boot.hard_state,
                snapshot: meta,
                entries: boot.entries,
                empty: boot.empty,
                damaged: boot.damaged,
                nonce: boot.nonce,
            },
            &mut raft_out,
        );
        // Members that started together would all write their snapshots at the same moment.
        let place = config.voters.iter().position(|v| *v == config.id).unwrap_or_default() as u64;
        let stagger = config.snapshot_entries / config.voters.len().max(1) as u64 * place;
        let mut replica = Replica {
            sessions: Sessions::new(now.instant, config.incarnation),
            config,
            raft,
            state,
            leader: None,
            role: Role::Follower,
            connections: BTreeMap::new(),
            waiting: BTreeMap::new(),
            links_up: BTreeSet::new(),
            refusals: BTreeMap::new(),
            refusals_heard: 0,
            requests: 0,
            unsent: VecDeque::new(),
            forwarded: Vec::new(),
            watches: Watches::default(),
            digests: VecDeque::new(),
            peer_digests: BTreeMap::new(),
            snapshot_running: false,
            applied_any: false,
            entries_since_snapshot: stagger,
            bytes_since_snapshot: 0,
            transfer_asked: false,
            versions: Versions::default(),
            promises: BTreeMap::new(),
            halted: false,
            events: Vec::new(),
            scratch: Vec::new(),
        };
        replica.raft_outputs(now, raft_out, out);
        replica
    }

    /// One input.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        if self.halted {
            return;
        }
        match input {
            Input::Connect { connection, resume, timeout_ms, zxid_seen, identities, entropy } => {
                self.connect(now, connection, resume, timeout_ms, zxid_seen, identities, entropy, out)
            }
            Input::Request { connection, tag, request } => self.request(now, connection, tag, request, out),
            Input::Identify { connection, identities } => self.identify(connection, identities),
            Input::Disconnect { connection } => self.disconnect(connection),
            Input::Flush => self.flush(now, out),
            Input::Tick => self.tick(now, out),
            Input::Peer { from, message } => self.peer(now, from, message, out),
            Input::Greeted { peer, cluster_version } => drop(self.versions.supported.insert(peer, cluster_version)),
            Input::Link { peer, up } => self.link(now, peer, up, out),
            Input::Appended { sequence } => self.raft(now, RaftInput::Appended { sequence }, out),
            Input::Timer(kind) => self.raft(now, RaftInput::Timer(kind), out),
            Input::Fetched { peer, meta, offset, data, done } => {
                self.raft(now, RaftInput::Fetched { peer, meta, offset, data, done }, out)
            }
            Input::FetchFailed { peer, meta } => self.raft(now, RaftInput::FetchFailed { peer, meta }, out),
            Input::Restored { meta, state } => self.restored(now, meta, *state, out),
            Input::RestoreFailed { meta } => self.raft(now, RaftInput::RestoreFailed { meta }, out),
            Input::SnapshotWritten { meta } => self.snapshot_written(now, meta, out),
            Input::SnapshotFailed => self.snapshot_running = false,
            Input::Transfer { to } => self.raft(now, RaftInput::Transfer { to }, out),
        }
    }

    fn peer(&mut self, now: Now, from: NodeId, message: PeerMessage, out: &mut Vec<Output>) {
        match message {
            PeerMessage::Raft(message) => {
                let promise = promising(&message);
                self.raft(now, RaftInput::Message { from, message }, out);
                if let Some((term, voted)) = promise {
                    self.note_promise(from, term, voted);
                }
            }
            PeerMessage::Forward { term, refusals, proposals } => {
                self.forwarded(now, from, (term, refusals), proposals, out);
            }
            PeerMessage::ForwardRefused { term, refusals, requests } => {
                let news = refusals != self.refusals_heard;
                if Some(from) == self.leader && term == self.raft.term() && news {
                    self.refusals_heard = refusals;
                    self.forwards_lost("the leader does not take writes", out);
                }
                self.forward_refused(requests, out);
            }
            PeerMessage::Touch { sequence, sessions } => self.touched(now, from, sequence, sessions, out),
            PeerMessage::TouchReply { sequence, commit, ending } => {
                self.touch_confirmed(now, from, (sequence, commit, ending), out)
            }
            PeerMessage::Digest { index, digest } => self.compare_digest(from, Index(index), digest, out),
        }
    }

    fn link(&mut self, now: Now, peer: NodeId, up: bool, out: &mut Vec<Output>) {
        match up {
            true => self.links_up.insert(peer),
            false => self.links_up.remove(&peer),
        };
        if !up && self.leader == Some(peer) {
            self.forwards_lost("the link to the leader broke", out);
        }
        match (up, self.refusals.get(&peer).copied()) {
            // It may have been lost with the link, and somebody waits for it.
            (true, Some(refusals)) => self.send_refusal(peer, refusals, Vec::new(), out),
            (true, None) => {}
            (false, _) => self.report_lost(peer),
        }
        self.raft(now, RaftInput::Link { peer, up }, out);
        if self.wants_flush() {
            self.flush(now, out);
        }
    }

    /// Steps consensus and does what it says.
    pub(crate) fn raft(&mut self, now: Now, input: RaftInput<Arc<Proposal>>, out: &mut Vec<Output>) {
        let mut raft_out = std::mem::take(&mut self.scratch);
        self.raft.step(input, &mut raft_out);
        self.raft_outputs(now, raft_out, out);
    }

    fn raft_outputs(&mut self, now: Now, mut raft_out: Vec<RaftOutput<Arc<Proposal>>>, out: &mut Vec<Output>) {
        for output in raft_out.drain(..) {
            match output {
                RaftOutput::Append { sequence, hard_state, truncate, entries } => {
                    out.push(Output::Append { sequence, hard_state, truncate, entries })
                }
                RaftOutput::ResetLog { sequence, meta, hard_state } => {
                    out.push(Output::ResetLog { sequence, meta, hard_state })
                }
                RaftOutput::Send { to, message } => out.push(Output::Send { to, message: PeerMessage::Raft(message) }),
                RaftOutput::Commit { entries } => {
                    for entry in entries {
                        let mut events = std::mem::take(&mut self.events);
                        self.apply(now, entry, &mut events, out);
                        events.clear();
                        self.events = events;
                    }
                }
                RaftOutput::Fetch { peer, meta, offset } => out.push(Output::Fetch { peer, meta, offset }),
                RaftOutput::Store { meta, offset, data, done } => out.push(Output::Store { meta, offset, data, done }),
                RaftOutput::SetTimer(kind) => out.push(Output::SetTimer(kind)),
                RaftOutput::CancelTimer(kind) => out.push(Output::CancelTimer(kind)),
                RaftOutput::ReadReady { context, index } => {
                    if !self.leads_still(now, context, index, out) {
                        self.sync_ready(context, index, out);
                    }
                }
                RaftOutput::ReadRefused { context } => self.sync_refused(context),
                RaftOutput::Refused { payloads } => self.refused(now, payloads, out),
                RaftOutput::RoleChanged { role, term, leader } => self.role_changed(now, role, term, leader, out),
            }
        }
        self.scratch = raft_out;
    }

    /// Figures for an operator.
    pub fn status(&self, now: Now) -> Status {
        Status {
            id: self.config.id,
            role: self.role,
            leader: self.leader,
            term: self.raft.term(),
            commit: self.raft.commit(),
            applied: self.state.applied().0,
            digest: self.state.digest(),
            serving: self.serving(now),
            recovering: self.raft.is_recovering(),
            connections: self.connections.len(),
            outstanding: self.waiting.len(),
            watches: self.watches.len(),
            cluster_version: self.state.version(),
            cluster_version_supported: self.config.cluster_version,
        }
    }

    /// The applied state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The consensus module, to look at.
    pub fn consensus(&self) -> &Raft<Arc<Proposal>> {
        &self.raft
    }

    /// What this member was told about itself.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn owner(&self, connection: ConnectionId) -> Owner {
        Owner { node: self.config.id, incarnation: self.config.incarnation, connection: connection.0 }
    }
}
