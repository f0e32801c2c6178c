//! Planted bugs. Each switch is a deliberate mistake in the engine that a checker of the harness must find; a switch
//! is thrown by the handle of a run, never by a global. Without the feature `mutants` the handle is empty, `on` is a
//! constant `false`, and the compiler removes the mistakes.

/// Declares the switches with their names.
macro_rules! mutants {
    ($($variant:ident = $name:literal : $doc:literal,)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Mutant { $(#[doc = $doc] $variant,)* }

        impl Mutant {
            /// All of them, in order of declaration.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$variant,)*];

            /// The name on the command line and in the kill table.
            pub fn name(self) -> &'static str {
                match self { $(Mutant::$variant => $name,)* }
            }

            /// What is wrong, in a sentence.
            pub fn sentence(self) -> &'static str {
                match self { $(Mutant::$variant => $doc,)* }
            }
        }
    };
}

mutants! {
    RaftCountDuplicateVotes = "raft.count_duplicate_votes": "votes are counted by message, not by sender",
    RaftVoteTwice = "raft.vote_twice": "a member votes again in a term in which it has voted",
    RaftVoteStaleLog = "raft.vote_stale_log": "a vote or pre-vote is granted to a candidate whose log is behind",
    RaftVoteBeforeDurable = "raft.vote_before_durable": "a vote is sent before it is durable",
    RaftCommitOldTermByCount = "raft.commit_old_term_by_count": "an entry of an older term is committed by counting replicas",
    RaftCommitWithoutQuorum = "raft.commit_without_quorum": "an entry is committed one acknowledgement short of a majority",
    RaftAckBeforeDurable = "raft.ack_before_durable": "a follower acknowledges entries before they are durable",
    RaftTruncateOnMatch = "raft.truncate_on_match": "an old append truncates a longer matching log",
    RaftSkipPrevCheck = "raft.skip_prev_check": "a follower appends without comparing the previous entry",
    RaftStaleAppendAck = "raft.accept_stale_append_ack": "append replies of an older term raise the match index, those of an earlier reign too",
    RaftReadIndexReuse = "raft.readindex_reuse_ctx": "a read is confirmed by acknowledgements of an earlier round",
    RaftReadWithoutQuorum = "raft.read_without_quorum": "the leader answers a read index without asking a majority",
    RaftReadBeforeTermCommit = "raft.read_before_term_commit": "the leader answers a read index before it committed in its own term",
    RaftSnapMix = "raft.mix_snapshot_chunks": "chunks of two snapshots are joined by offset, and nobody compares the checksum of the whole",
    RaftRejoinVoter = "raft.empty_disk_votes": "a member that lost its disk votes at once",
    StoreSkipFsync = "store.skip_fsync": "the log reports entries durable without syncing",
    StoreForgetVote = "store.forget_vote": "the vote is not written to the log",
    StoreNoRecordCrc = "store.no_record_crc": "recovery accepts a record whose checksum is wrong",
    StoreRollBeforeSync = "store.roll_before_sync": "a new segment is used before the old one is synced",
    StoreTruncateDamaged = "store.truncate_damage": "recovery cuts the log at damage in its middle as if it were a torn tail",
    StoreAcceptPartialSnapshot = "store.accept_partial_snapshot": "a half-written snapshot is accepted at recovery",
    StoreNoDirSync = "store.no_dir_sync": "a new file's directory entry is not synced",
    StateLocalClock = "sm.local_clock_in_apply": "apply stamps a node with a number that differs between members",
    StateEphemeralLeak = "sm.ephemeral_outlives_session": "closing a session leaves one of its ephemeral nodes behind",
    StateCreateAfterClose = "sm.create_after_close": "a write of a closed session is applied",
    StateSequenceReuse = "sm.sequence_from_children": "the counter of sequential nodes is the number of children",
    StateCversionOnDelete = "sm.pzxid_not_on_delete": "deleting a child leaves the parent's pzxid as it was",
    StateVersionIgnored = "sm.version_ignored": "a conditional set ignores the version",
    StateMultiNotAtomic = "sm.multi_not_atomic": "a failing multi keeps the operations before the failure",
    StateSnapshotDropsSession = "sm.snapshot_drops_session": "a snapshot lacks the newest session",
    StateDoubleApply = "sm.double_apply": "the first entry after a restart is applied twice",
    SessionMoveIgnored = "session.moved_write_accepted": "a write over a session's older connection is accepted",
    SessionExpireEarly = "session.expire_early": "a session is expired at half of its timeout",
    SessionPingWithoutLeader = "session.ping_without_leader": "a follower answers pings that its leader never heard of",
    SessionWrongPassword = "session.any_password": "a session is resumed with any password",
    ReplicaReadOvertakesWrite = "replica.read_overtakes_write": "a read does not wait for the session's earlier writes",
    ReplicaSyncLocal = "replica.sync_local": "sync answers from the local state at once",
    ReplicaReplyBeforeCommit = "replica.reply_before_commit": "a write is answered when it is proposed",
    ReplicaAcceptOlder = "replica.connect_behind_client": "a member accepts a client that has seen a later zxid",
    WatchLost = "watch.lost_on_set": "a data watch is dropped when another client sets the same watch",
    WatchTwice = "watch.fires_twice": "a one-shot watch stays registered after it fired",
    WatchAfterReply = "watch.event_after_reply": "an event is delivered after a reply that shows the change",
    WatchSetWatchesZxid = "zk.setwatches_wrong_zxid": "setWatches ignores what changed while the client was away",
    ControlDigestOff = "control.digest_check_off": "no bug: the comparison of digests is off; must survive",
}

/// The switches of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mutants {
    #[cfg(feature = "mutants")]
    bits: u64,
}

impl Mutants {
    /// No bug planted.
    pub const NONE: Mutants = Mutants {
        #[cfg(feature = "mutants")]
        bits: 0,
    };

    /// Plants one bug.
    #[cfg(feature = "mutants")]
    pub fn only(mutant: Mutant) -> Mutants {
        Mutants { bits: 1 << (mutant as u64) }
    }

    /// Whether a bug is planted.
    #[inline(always)]
    pub fn on(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.bits & (1 << (mutant as u64)) != 0;
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}
