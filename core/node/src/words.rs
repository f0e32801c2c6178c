//! ZooKeeper's four-letter words. Source: ZooKeeper 3.9, `server.command`.

use crate::core::{Core, Shared};
use std::fmt::Write;
use std::sync::Arc;
use synod_replica::Now;
use synod_replica::Role;
use synod_zookeeper::Word;

/// The version of ZooKeeper whose behaviour is offered; clients parse it.
const VERSION: &str = concat!("3.9.3-synod-", env!("CARGO_PKG_VERSION"), ", built on 2026-01-01 00:00 UTC");

/// The text that answers a word.
pub(crate) fn answer(shared: &Arc<Shared>, core: &mut Core, now: Now, word: Word) -> String {
    let name = word.name();
    let allowed = match &shared.config.words {
        None => true,
        Some(words) => words.iter().any(|w| w == name || w == "*"),
    };
    if !allowed {
        return format!("{name} is not executed because it is not in the whitelist.\n");
    }
    let serving = core.replica.status(now).serving;
    let idle = "This ZooKeeper instance is not currently serving requests\n".to_string();
    match name {
        "ruok" => "imok".into(),
        "conf" => configuration(shared),
        "envi" => environment(shared),
        "isro" if serving => "rw".into(),
        "isro" => "null".into(),
        _ if !serving => idle,
        "srvr" => format!("Zookeeper version: {VERSION}\n{}", server(core, now)),
        "stat" => {
            format!("Zookeeper version: {VERSION}\nClients:\n{}\n{}", connections(core, false), server(core, now))
        }
        "cons" => connections(core, true) + "\n",
        "mntr" => monitor(shared, core, now).into_iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "zk_{key}\t{value}");
            text
        }),
        "srst" => {
            core.figures = crate::Figures::default();
            "Server stats reset.\n".into()
        }
        "crst" => {
            for client in core.clients.values_mut() {
                (client.received, client.sent) = (0, 0);
            }
            "Connection stats reset.\n".into()
        }
        "wchs" => {
            let (connections, paths) = core.replica.watch_spread();
            let total = core.replica.status(now).watches;
            format!("{connections} connections watching {paths} paths\nTotal watches:{total}\n")
        }
        "dump" => dump(core),
        _ => format!("{name} is not executed because it is not in the whitelist.\n"),
    }
}

fn mode(core: &Core, now: Now) -> &'static str {
    let status = core.replica.status(now);
    match status.role {
        _ if core.links.is_empty() => "standalone",
        Role::Leader => "leader",
        _ => "follower",
    }
}

fn server(core: &Core, now: Now) -> String {
    let figures = &core.figures;
    let average = figures.latency_sum_ns as f64 / figures.latency_count.max(1) as f64 / 1e6;
    let status = core.replica.status(now);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "Latency min/avg/max: {}/{average:.4}/{}",
        figures.latency_min_ns / 1_000_000,
        figures.latency_max_ns / 1_000_000
    );
    let _ = writeln!(text, "Received: {}\nSent: {}", figures.received, figures.sent);
    let _ = writeln!(text, "Connections: {}\nOutstanding: {}", core.clients.len(), status.outstanding);
    let _ = writeln!(text, "Zxid: {}\nMode: {}", core.replica.state().zxid(), mode(core, now));
    if status.role == Role::Leader && !core.links.is_empty() {
        let _ = writeln!(text, "Proposal sizes last/min/max: -1/-1/-1");
    }
    let _ = writeln!(text, "Node count: {}", core.replica.state().node_count());
    text
}

fn connections(core: &Core, long: bool) -> String {
    core.clients.values().fold(String::new(), |mut text, c| {
        let _ = write!(
            text,
            " /{}[{}](queued={},recved={},sent={}",
            c.address,
            u8::from(c.protocol.session().is_some()),
            c.since.len(),
            c.received,
            c.sent
        );
        if let Some(session) = c.protocol.session().filter(|_| long) {
            let _ = write!(text, ",sid={},to={}", session.session, session.timeout_ms);
        }
        text.push_str(")\n");
        text
    })
}

/// Keys of `mntr` without their prefix.
pub(crate) fn monitor(shared: &Shared, core: &Core, now: Now) -> Vec<(&'static str, String)> {
    let figures = &core.figures;
    let status = core.replica.status(now);
    let state = core.replica.state();
    let average = figures.latency_sum_ns as f64 / figures.latency_count.max(1) as f64 / 1e6;
    let mut lines = vec![
        ("version", VERSION.to_string()),
        ("server_state", mode(core, now).to_string()),
        ("avg_latency", format!("{average:.4}")),
        ("min_latency", (figures.latency_min_ns / 1_000_000).to_string()),
        ("max_latency", (figures.latency_max_ns / 1_000_000).to_string()),
        ("packets_received", figures.received.to_string()),
        ("packets_sent", figures.sent.to_string()),
        ("num_alive_connections", core.clients.len().to_string()),
        ("outstanding_requests", status.outstanding.to_string()),
        ("znode_count", state.node_count().to_string()),
        ("watch_count", status.watches.to_string()),
        ("ephemerals_count", state.ephemeral_count().to_string()),
        ("approximate_data_size", state.approximate_data_size().to_string()),
        ("global_sessions", state.sessions().count().to_string()),
        ("quorum_size", shared.config.members.len().to_string()),
        ("fsync_count", figures.flushes.to_string()),
        ("fsync_avg_us", (figures.flush_ns / figures.flushes.max(1) / 1000).to_string()),
        ("fsync_max_us", (figures.flush_max_ns / 1000).to_string()),
        ("log_bytes", figures.log_bytes.to_string()),
        ("proposal_count", figures.proposals.to_string()),
        ("snapshot_count", figures.snapshots.to_string()),
        ("connection_request_count", figures.connections_accepted.to_string()),
        ("connection_rejected", figures.connections_refused.to_string()),
        ("malformed_requests", figures.malformed.to_string()),
        ("cluster_version", status.cluster_version.to_string()),
        ("cluster_version_supported", status.cluster_version_supported.to_string()),
    ];
    if status.role == Role::Leader {
        let up = core.links.values().filter(|l| l.up).count();
        lines.push(("learners", core.links.len().to_string()));
        lines.push(("synced_followers", up.to_string()));
    }
    lines
}

fn configuration(shared: &Shared) -> String {
    let config = &shared.config;
    let mut text = String::new();
    let port = config.zookeeper_listen.map_or(0, |a| a.port());
    let _ = writeln!(text, "clientPort={port}\nsecureClientPort=-1");
    let folder = config.folder.display();
    let _ = writeln!(text, "dataDir={folder}\ndataLogDir={folder}");
    let _ = writeln!(text, "tickTime={}\nmaxClientCnxns={}", config.tick_ms, config.connections_per_address_max);
    let _ = writeln!(text, "minSessionTimeout={}", config.zookeeper.session_timeout_min_ms);
    let _ = writeln!(text, "maxSessionTimeout={}", config.zookeeper.session_timeout_max_ms);
    let _ = writeln!(text, "clientPortListenBacklog=-1\nserverId={}", config.id);
    if config.members.len() > 1 {
        let _ = writeln!(text, "initLimit=10\nsyncLimit=5\nelectionAlg=3\npeerType=0\nmembership: ");
        for (id, address) in &config.members {
            let _ = writeln!(text, "server.{id}={}:{}:{}:participant", address.ip(), address.port(), address.port());
        }
    }
    text
}

fn environment(shared: &Shared) -> String {
    format!(
        "Environment:\nzookeeper.version={VERSION}\nhost.name={}\nos.name={}\nos.arch={}\n",
        shared.config.members[&shared.config.id].ip(),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

fn dump(core: &Core) -> String {
    let state = core.replica.state();
    let mut text = String::from("SessionTracker dump:\nGlobal Sessions:\n");
    let mut owners = String::new();
    let mut count = 0;
    for (id, session) in state.sessions() {
        let _ = match session.opened_ms {
            0 => writeln!(text, "{id}\t{}ms", session.timeout_ms),
            opened_ms => writeln!(text, "{id}\t{}ms\topened {opened_ms}", session.timeout_ms),
        };
        let mut paths = state.ephemerals(id).peekable();
        if paths.peek().is_some() {
            count += 1;
            let _ = writeln!(owners, "{id}:");
            for path in paths {
                let _ = writeln!(owners, "\t{path}");
            }
        }
    }
    let _ = write!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({count}):\n{owners}");
    text.push_str("Connections dump:\n");
    text + &connections(core, true)
}
