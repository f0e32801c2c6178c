//! The text of `/metrics`, in Prometheus' format. Names begin with `synod_`; times are in seconds.

use crate::admin::role;
use std::fmt::{Display, Write};
use synod_node::Figures;
use synod_node::replica::Status;

/// Keys of `mntr` that are numbers and no count of events of their own below.
const GAUGES: [(&str, &str); 5] = [
    ("num_alive_connections", "connections of clients"),
    ("znode_count", "znodes"),
    ("ephemerals_count", "ephemeral znodes"),
    ("approximate_data_size", "bytes of paths and data"),
    ("global_sessions", "live sessions"),
];

/// All of it.
pub fn text(status: &Status, figures: &Figures, monitor: &[(&'static str, String)]) -> String {
    let mut page = Page(String::with_capacity(4 << 10));
    for known in ["follower", "candidate", "leader", "recovering"] {
        page.sample(
            "role",
            "gauge",
            "what the member is",
            &format!("{{role=\"{known}\"}}"),
            u8::from(role(status) == known),
        );
    }
    page.gauge("serving", "whether clients are served", u8::from(status.serving));
    page.gauge("leader_id", "the leader that is known, 0 for none", status.leader.map_or(0, |id| id.0));
    page.gauge("term", "era of the leader", status.term.0);
    page.gauge("commit_index", "highest index known to be decided", status.commit.0);
    page.gauge("applied_index", "highest index executed", status.applied.0);
    page.gauge("sessions_connected", "connections with a session", status.connections);
    page.gauge("requests_outstanding", "requests that wait", status.outstanding);
    page.gauge("watches", "registered watches", status.watches);
    page.gauge("cluster_version", "what the members have agreed to do", status.cluster_version);
    let supported = status.cluster_version_supported;
    page.gauge("cluster_version_supported", "the newest cluster version that this member could run", supported);
    for (key, meaning) in GAUGES {
        if let Some(value) = monitor.iter().find(|(k, _)| *k == key).and_then(|(_, v)| v.parse::<f64>().ok()) {
            page.gauge(key, meaning, value);
        }
    }
    page.counter("packets_received_total", "packets of clients", figures.received);
    page.counter("packets_sent_total", "packets to clients", figures.sent);
    page.sample(
        "request_seconds_sum",
        "counter",
        "time from a request to its reply",
        "",
        seconds(figures.latency_sum_ns),
    );
    page.sample("request_seconds_count", "counter", "requests that were answered", "", figures.latency_count);
    page.gauge("request_seconds_max", "the longest time from a request to its reply", seconds(figures.latency_max_ns));
    page.counter("log_flushes_total", "flushes of the log", figures.flushes);
    page.counter("log_bytes_total", "bytes written to the log", figures.log_bytes);
    page.counter("log_flush_seconds_total", "time spent in flushes", seconds(figures.flush_ns));
    page.gauge("log_flush_seconds_max", "the longest flush", seconds(figures.flush_max_ns));
    page.counter("log_entries_total", "entries appended to the log", figures.proposals);
    page.counter("connections_accepted_total", "connections of clients", figures.connections_accepted);
    page.counter("connections_refused_total", "connections refused by a limit", figures.connections_refused);
    page.counter("malformed_total", "packets that were no valid request", figures.malformed);
    page.counter("snapshots_total", "snapshots written", figures.snapshots);
    page.0
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, meaning: &str, value: impl Display) {
        self.sample(name, "gauge", meaning, "", value);
    }

    fn counter(&mut self, name: &str, meaning: &str, value: impl Display) {
        self.sample(name, "counter", meaning, "", value);
    }

    fn sample(&mut self, name: &str, kind: &str, meaning: &str, labels: &str, value: impl Display) {
        // Help and type come once a name, before its first sample.
        if !self.0.contains(&format!("# TYPE synod_{name} ")) {
            let _ = writeln!(self.0, "# HELP synod_{name} {meaning}\n# TYPE synod_{name} {kind}");
        }
        let _ = writeln!(self.0, "synod_{name}{labels} {value}");
    }
}
