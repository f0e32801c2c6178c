//! Counters for operators: `srvr`, `mntr`, `/metrics`.

/// Since the start, or since `srst`.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Packets of clients.
    pub received: u64,
    /// Packets to clients.
    pub sent: u64,
    /// Latency of requests in nanoseconds: least, sum, most, and their number.
    pub latency_min_ns: u64,
    /// See `latency_min_ns`.
    pub latency_sum_ns: u64,
    /// See `latency_min_ns`.
    pub latency_max_ns: u64,
    /// See `latency_min_ns`.
    pub latency_count: u64,
    /// Flushes of the log.
    pub flushes: u64,
    /// Bytes written to the log.
    pub log_bytes: u64,
    /// Time spent in flushes, nanoseconds.
    pub flush_ns: u64,
    /// The longest flush, nanoseconds.
    pub flush_max_ns: u64,
    /// Connections accepted.
    pub connections_accepted: u64,
    /// Connections refused by a limit.
    pub connections_refused: u64,
    /// Bytes that were no valid request.
    pub malformed: u64,
    /// Log records appended.
    pub proposals: u64,
    /// Snapshots written.
    pub snapshots: u64,
}

impl Figures {
    /// One request was answered.
    pub(crate) fn answered(&mut self, latency_ns: u64) {
        self.latency_min_ns = if self.latency_count == 0 { latency_ns } else { self.latency_min_ns.min(latency_ns) };
        self.latency_max_ns = self.latency_max_ns.max(latency_ns);
        self.latency_sum_ns += latency_ns;
        self.latency_count += 1;
    }
}
