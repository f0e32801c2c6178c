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
    RaftRejoinVoter = "raft.empty_disk_votes": "a member that lost its disk votes at once",
    RaftCommitUnverified = "raft.commit_unverified": "a follower takes the leader's commit index for its whole log, also where that was not compared yet",
    RaftSelfCount = "raft.count_self_before_durable": "the leader counts its own log before it is durable",
    RaftVoteByLength = "raft.vote_by_length": "of two logs the longer one counts as more complete, whatever its last term",
    RaftAckWholeLog = "raft.ack_whole_log": "a follower acknowledges its whole log, also what the leader has not compared",
    RaftConfirmTruncated = "raft.confirm_truncated": "a flush that is confirmed late counts entries that were dropped meanwhile as durable",
    RaftWindowOutlivesLog = "raft.window_outlives_log": "a leader waits for answers from a follower's full window though its log begins later",
    RaftReadsByMinority = "raft.reads_by_minority": "a read is confirmed one answer short of a majority",
    RaftNeverStepsDown = "raft.never_steps_down": "a leader that hears no majority goes on leading",
    RaftIgnoreLowerTerm = "raft.ignore_lower_term": "a leader of an older term is not told the newer one",
    RaftSnapshotCommit = "raft.snapshot_commit_ahead": "who installs a snapshot takes the leader's commit index for its own",
    RaftSnapshotKeepsLog = "raft.snapshot_keeps_log": "who installs a snapshot keeps a log behind it that contradicts it",
    RaftCommitWhileRestoring = "raft.commit_while_restoring": "a follower takes and decides entries while it loads a snapshot that undoes them",
    RaftTransferForEver = "raft.transfer_for_ever": "a leader whose successor does not answer waits for it without end",
    StoreSkipFsync = "store.skip_fsync": "the log reports entries durable without syncing",
    StoreForgetVote = "store.forget_vote": "the vote is not written to the log",
    StoreNoRecordCrc = "store.no_record_crc": "recovery accepts a record whose checksum is wrong",
    StoreRollBeforeSync = "store.roll_before_sync": "a new segment is used before the old one is synced",
    StoreTruncateDamaged = "store.truncate_damage": "recovery cuts the log at damage in its middle as if it were a torn tail",
    StoreAcceptPartialSnapshot = "store.accept_partial_snapshot": "a half-written snapshot is accepted at recovery",
    StoreNoDirSync = "store.no_dir_sync": "a new file's directory entry is not synced",
    StoreHardStateNotCarried = "store.hard_state_not_carried": "a new segment does not repeat term and vote, and the old one is removed",
    StoreForgetRecovering = "store.forget_recovering": "that a member lost its log is not written down",
    StoreEchoIgnored = "store.echo_ignored": "damage at the end of the log is taken for a torn write, whatever its echo proves",
    StoreTruncationForgotten = "store.truncation_forgotten": "recovery overwrites dropped entries one by one and keeps those behind",
    StoreRetireTooMuch = "store.retire_too_much": "one segment more than is covered by the snapshot is removed",
    StoreRetireEarly = "store.retire_early": "old segments are removed when a snapshot begins, not when it is durable",
    StoreSnapshotNotSynced = "store.snapshot_not_synced": "a snapshot gets its name before it is synced",
    StoreRetrySync = "store.retry_fsync": "a failed sync is tried again, and what the second one says is believed",
    StoreTrustPageCache = "store.trust_page_cache": "recovery trusts what it reads, which may never have reached the disk",
    StoreTrustNames = "store.trust_names": "recovery counts on names that may never have reached the disk",
    StoreLongEchoEarly = "store.long_echo_early": "a long flush is called complete in the same sync that writes it",
    NodeTrustsOlderDisk = "node.trusts_older_disk": "a member that starts does not ask the others whether its disk is older than what it promised them",
    NodeAcksNextBatch = "node.acks_next_batch": "a finished flush is reported for what arrived while it ran, too",
    LinkResends = "link.resends_after_reconnect": "what was on its way when a link broke is sent once more over the next one",
    StateVersionUngated = "sm.version_ungated": "apply does what is new as soon as the program knows it, not when the log says so",
    ReplicaRaiseUnasked = "replica.raise_unasked": "the leader raises the cluster version without asking whether all members support it",
    StateLocalClock = "sm.local_clock_in_apply": "apply stamps a node with a number that differs between members",
    StateEphemeralLeak = "sm.ephemeral_outlives_session": "closing a session leaves one of its ephemeral nodes behind",
    StateCreateAfterClose = "sm.create_after_close": "a write of a closed session is applied",
    StateSequenceReuse = "sm.sequence_from_children": "the counter of sequential nodes is the number of children",
    StateCversionOnDelete = "sm.pzxid_not_on_delete": "deleting a child leaves the parent's pzxid as it was",
    StateVersionIgnored = "sm.version_ignored": "a conditional set ignores the version",
    StateMultiNotAtomic = "sm.multi_not_atomic": "a failing multi keeps the operations before the failure",
    StateSnapshotDropsSession = "sm.snapshot_drops_session": "a snapshot lacks the newest session",
    StateDoubleApply = "sm.double_apply": "the first entry after a restart is applied twice",
    StateCheckIgnored = "sm.multi_check_ignored": "the check of a multi holds whatever the version",
    StateDeleteNotEmpty = "sm.delete_not_empty": "a node is deleted with its children",
    StateErrorOrder = "sm.error_order": "a delete reports children before a wrong version",
    StateSessionKept = "sm.session_outlives_its_end": "a session's nodes go with its end, the session stays",
    StateMultiSetMzxid = "sm.multi_set_keeps_mzxid": "a set inside a multi does not move the node's mzxid",
    StateMultiLeaksParent = "sm.multi_leaks_parent": "a failed multi puts nodes back but not their parents' counters",
    StateRestoreChildren = "sm.restore_miscounts_children": "a restored snapshot counts one child too few of each parent",
    StateRestoreEphemerals = "sm.restore_forgets_owners": "a restored snapshot does not know which nodes belong to which session",
    StateFailedWriteZxid = "sm.failed_write_reuses_zxid": "a write that fails leaves its zxid to the next one",
    StateSnapshotAhead = "sm.snapshot_ahead_of_state": "a snapshot is labelled with the commit index, not with what was applied",
    StateEphemeralChildren = "sm.ephemeral_children": "an ephemeral node may have children",
    StateAclIgnored = "sm.acl_ignored_on_set": "a set does not ask the access control list",
    SessionExpiryNoOwner = "session.expiry_ignores_owner": "a session that came back is expired by a proposal that was on its way",
    SessionResumeNotHeard = "session.resume_not_counted": "a session that is resumed keeps its old deadline",
    SessionOwnNotHeard = "session.own_clients_not_heard": "the leader extends what followers report, and not the sessions of its own clients",
    SessionMoveIgnored = "session.moved_write_accepted": "a write over a session's older connection is accepted",
    SessionExpireEarly = "session.expire_early": "a session is expired at half of its timeout",
    SessionConfirmBlind = "session.leader_confirms_blind": "a leader answers pings and reports without asking whether it still leads",
    SessionPingWithoutLeader = "session.ping_without_leader": "a follower answers pings that its leader never heard of",
    SessionEndingAnswered = "session.ending_answered": "a follower answers pings of sessions whose end its leader has proposed",
    SessionTrustsLagging = "session.trusts_lagging": "a follower serves reads for as long as its leader confirms its reports, however far behind it is",
    SessionWrongPassword = "session.any_password": "a session is resumed with any password",
    ReplicaReadOvertakesWrite = "replica.read_overtakes_write": "a read does not wait for the session's earlier writes",
    ReplicaSyncLocal = "replica.sync_local": "sync answers from the local state at once",
    ReplicaReplyBeforeCommit = "replica.reply_before_commit": "a write is answered when it is proposed",
    ReplicaAcceptOlder = "replica.connect_behind_client": "a member accepts a client that has seen a later zxid",
    ReplicaSyncUnapplied = "replica.sync_unapplied": "sync answers when its index is known, not when it is applied",
    ReplicaWriteOvertakesSync = "replica.write_overtakes_sync": "a write behind a sync does not wait for it",
    ReplicaOldIncarnation = "replica.outcome_of_old_incarnation": "the outcome of a request from before a restart answers the one that has its number now",
    ReplicaForwardLinkDown = "replica.forward_into_dead_link": "a follower forwards writes into a link that is down",
    ReplicaTakesAfterRefusal = "replica.takes_after_refusal": "a leader that refused a follower's write takes the next one of the same session",
    ReplicaSyncAskedOnce = "replica.sync_asked_once": "a follower's sync whose answer was lost is not asked for again",
    ReplicaLostWakeup = "replica.lost_wakeup": "a sync that waits for its index is not woken when that is applied",
    WatchCreatedLost = "watch.created_lost": "a watch on an absent node does not fire when it is created",
    WatchChildOnSet = "watch.child_fires_on_set": "a watch on children fires when data is set",
    WatchChildOnDelete = "watch.child_lost_on_delete": "a watch on children does not fire when the node itself is deleted",
    WatchFailedMulti = "watch.fires_for_failed_multi": "a failed multi's undone changes fire watches",
    WatchFailedRead = "watch.set_by_failed_read": "a read of an absent node leaves a watch",
    WatchSetWatchesCreated = "zk.setwatches_misses_created": "setWatches registers for a creation that happened already",
    ZkMultiErrors = "zk.multi_error_codes": "the operations before the one that failed a multi are told an error of their own",
    WatchLost = "watch.lost_on_set": "a data watch is dropped when another client sets the same watch",
    WatchTwice = "watch.fires_twice": "a one-shot watch stays registered after it fired",
    WatchAfterReply = "watch.event_after_reply": "an event is delivered after a reply that shows the change",
    WatchSetWatchesZxid = "zk.setwatches_wrong_zxid": "setWatches ignores what changed while the client was away",
    RaftMajorityOfEven = "raft.majority_of_even": "half of an even number of members counts as their majority",
    RaftBarrierUndecided = "raft.barrier_undecided": "a member that lost its disk has its vote back before the entry that restores it is decided",
    StateDeleteAsksNode = "sm.delete_asks_node": "a delete asks the list of the node instead of its parent's",
    StateReapUnchecked = "sm.reap_unchecked": "a container is removed as it was proposed, whatever became of it since",
    StateForgetsAversion = "sm.snapshot_forgets_aversion": "a snapshot lacks the versions of access control lists",
    StateAttachTimeout = "sm.attach_keeps_timeout": "a session that is resumed with another timeout keeps its old one",
    SessionMovedServed = "session.moved_not_closed": "a member that hears that a session moved keeps its old connection",
    SessionLeftForgotten = "session.left_forgotten": "what was heard over a connection does not count once it has ended",
    SessionHeirless = "session.new_leader_forgets": "a new leader watches only over sessions that it hears of",
    ReplicaServesForEver = "replica.serves_without_leader": "a follower whose leader is silent goes on serving",
    ReplicaUnsentKept = "replica.unsent_outlives_loss": "what a closed connection had not sent yet is sent to the next leader",
    ReplicaRefusedDropped = "replica.refused_forward_dropped": "a leader that hands over does not say what it does not take",
    ReplicaAuthLost = "replica.auth_lost_on_forward": "a forwarded write names the client by its address alone",
    WatchPersistentOnce = "watch.persistent_once": "a watch that stays goes with its first event",
    WatchUnreadable = "watch.event_unreadable": "watches tell of nodes that their client may not read",
    ZkReadManyStops = "zk.read_many_stops": "several reads in one end with the first that fails",
    RaftPreVoteDisturbs = "raft.pre_vote_disturbs": "a member that hears a leader lets another campaign all the same",
    RaftLeaderUncounted = "raft.leader_uncounted": "a leader does not count itself when it looks for a majority",
    RaftHandsOverBehind = "raft.hands_over_behind": "a leader hands over to a member that lacks the end of its log",
    StoreSnapshotsPileUp = "store.snapshots_pile_up": "older snapshots are never removed",
    NodeUnfinishedLeft = "node.unfinished_left": "a snapshot that is given up half way stays on the disk",
    ReplicaVersionStays = "replica.version_stays": "the leader never raises the cluster version",
    StateDigestBlind = "sm.digest_without_tree": "the digest leaves out the nodes",
    StateSizeKept = "sm.replaced_data_counts": "data that was replaced stays in the sum of bytes until the next start",
    RaftRecoveringForEver = "raft.recovering_for_ever": "whom a leader saw recover it does not count in this reign any more",
    RaftLargeWaits = "raft.large_entry_waits": "an entry that is larger than a message may be is not sent",
    RaftKeepsTransfer = "raft.keeps_transfer": "a hand-over that was begun is still on when the member leads again",
    RaftNeverFrees = "raft.never_frees": "entries that were dropped from the log stay in memory",
    RaftBarrierBefore = "raft.barrier_before": "the entry that restores a lost vote may be one from before the loss",
    SessionTrustsAnswer = "session.trusts_answer_time": "a follower serves on from when its leader's answer came, not from when it asked",
    SessionLeaderTrusts = "session.leader_trusts_answer_time": "a leader serves on from when a majority answered, not from when it asked",
    SessionLeftForEver = "session.left_reported_for_ever": "clients that have gone are reported again and again",
    SessionCloseNoOwner = "session.closed_from_elsewhere": "a connection that the session has left can end it",
    ReplicaSyncOutlives = "replica.sync_outlives_connection": "syncs of connections that have ended wait for ever",
    WatchOutlives = "watch.outlives_connection": "recursive watches stay when their connection ends",
    StateListOutlives = "sm.list_outlives_node": "an access control list that no node has any more is kept",
    NodePingsPileUp = "node.pings_pile_up": "pings count as requests that are not answered",
    NodeAcceptEnds = "node.accept_ends_with_error": "a member takes no more clients once it could not take one",
    NodeSilentStays = "node.silent_stranger_stays": "a client that never asks for a session keeps its connection",
    NodeLimitByOne = "node.limit_by_one": "a member takes a connection more than it may",
    StoreSecondHead = "store.second_head_unread": "of a segment's head only the first copy is read",
    StateNegativeVersions = "sm.negative_versions_are_any": "every version below zero means any, not only -1",
    StateNullIsEmpty = "sm.null_is_empty": "a node that is created without data has empty data",
    RaftRecoveryForgotten = "raft.recovery_forgotten": "a member that waits for its vote has it back with the next start",
    StoreLostHead = "store.lost_head_ignored": "a newest segment without a readable head counts as never written",
    StoreLostEchoes = "store.lost_echoes_are_clean": "a segment whose echoes are both unreadable counts as undamaged",
    ControlDigestOff = "control.digest_check_off": "no bug: the comparison of digests is off; must survive",
}

/// One bit each.
#[cfg(feature = "mutants")]
const WORDS: usize = Mutant::ALL.len().div_ceil(u64::BITS as usize);

/// The switches of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mutants {
    #[cfg(feature = "mutants")]
    bits: [u64; WORDS],
}

impl Mutants {
    /// No bug planted.
    pub const NONE: Mutants = Mutants {
        #[cfg(feature = "mutants")]
        bits: [0; WORDS],
    };

    /// Plants one bug.
    #[cfg(feature = "mutants")]
    pub fn only(mutant: Mutant) -> Mutants {
        let mut bits = [0; WORDS];
        bits[mutant as usize / 64] = 1 << (mutant as u32 % 64);
        Mutants { bits }
    }

    /// Whether a bug is planted.
    #[inline(always)]
    pub fn on(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.bits[mutant as usize / 64] & (1 << (mutant as u32 % 64)) != 0;
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}
