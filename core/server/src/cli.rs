//! Commands and flags.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A coordination engine that ZooKeeper's clients speak to.
#[derive(Debug, Parser)]
#[command(name = "synod", version, after_help = "Example:\n  synod serve --dev")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a member of a cluster
    #[command(after_help = "Examples:
  synod serve --dev
  synod serve --id 1 --data /var/lib/synod \\
      --cluster 1=10.0.0.1:7001,2=10.0.0.2:7001,3=10.0.0.3:7001 \\
      --zookeeper 10.0.0.1:2181 --admin 127.0.0.1:7101
  synod serve --config synod.toml

Flags override the file, whose keys are the flags' names with underscores, and more:
  id data cluster zookeeper admin log_format log_level
  cluster_name election_timeout_ms tick_ms session_timeout_min_ms session_timeout_max_ms
  snapshot_entries snapshot_bytes log_keep_entries segment_bytes
  connections_max connections_per_address_max outstanding_max frame_bytes_max
  four_letter_words super_digest extended_types reap_every_ms

Standard output gets one line `ready <api> <address>` for each listener when it serves; logs go to standard error.
SIGTERM and SIGINT end it cleanly.")]
    Serve(ServeFlags),

    /// Run a member from ZooKeeper's own configuration, in place of its server program
    #[command(after_help = "Examples:
  synod zookeeper /etc/zookeeper/conf/zoo.cfg
  synod zookeeper -Dzookeeper.DigestAuthenticationProvider.superDigest=super:… zoo.cfg
  synod zookeeper 2181 /var/lib/zookeeper        # as ZooKeeper's server without a file: port, data [, tickTime [, maxClientCnxns]]

Each key that is not used is named on standard error. The election timeout is half of tickTime, within 500..2000 ms.
Data goes to the folder `synod` within dataLogDir, or dataDir where that is not set; ZooKeeper's own files are not touched.")]
    Zookeeper(ZookeeperFlags),

    /// Ask members what they are doing: one line each
    #[command(after_help = "Example:\n  synod status --admin 127.0.0.1:7101 --admin 127.0.0.1:7102")]
    Status(Asked),

    /// List the members of a cluster and the addresses at which they listen for each other
    #[command(after_help = "Example:\n  synod members --admin 127.0.0.1:7101")]
    Members(Asked),

    /// Look into a member's folder
    #[command(subcommand, after_help = "Example:\n  synod log inspect /var/lib/synod")]
    Log(LogCommand),
}

#[derive(Debug, Default, Args)]
pub struct ServeFlags {
    /// One member on 127.0.0.1 in a temporary folder that is removed at the end
    #[arg(long, conflicts_with_all = ["id", "data", "cluster", "config"])]
    pub dev: bool,
    /// Which member of the cluster this is, 1..=254
    #[arg(long, value_name = "N")]
    pub id: Option<u8>,
    /// Folder of the log and the snapshots
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where each member listens for the others, its own address included: 1=HOST:PORT,2=HOST:PORT,…
    #[arg(long, value_name = "MEMBERS")]
    pub cluster: Option<String>,
    /// Listen for ZooKeeper's clients [default with --dev: 127.0.0.1:2181]
    #[arg(long, value_name = "ADDRESS")]
    pub zookeeper: Option<String>,
    /// Listen for /health, /ready, /metrics, /status over HTTP [default with --dev: 127.0.0.1:7101]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    /// TOML file with the same keys and more
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub logs: LogFlags,
}

#[derive(Debug, Args)]
pub struct ZookeeperFlags {
    /// ZooKeeper's system properties
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub define: Vec<String>,
    /// Options of the Java machine; accepted for the sake of existing scripts, not used
    #[arg(short = 'X', value_name = "OPTION", hide = true)]
    pub machine: Vec<String>,
    /// Listen for /health, /ready, /metrics, /status over HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<String>,
    #[command(flatten)]
    pub logs: LogFlags,
    /// zoo.cfg, or port and data folder
    #[arg(required = true, num_args = 1..=4, value_name = "zoo.cfg")]
    pub arguments: Vec<String>,
}

#[derive(Clone, Debug, Default, Args)]
pub struct LogFlags {
    /// How logs look on standard error [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Which logs are written: a level, or a filter such as `info,synod_node=debug` [default: info]
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
}

/// How logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub struct Asked {
    /// Admin address of a member; may be given several times
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7101")]
    pub admin: Vec<SocketAddr>,
}

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print what a folder holds: identity, segments, records, snapshots, damage
    #[command(after_help = "Example:\n  synod log inspect /var/lib/synod")]
    Inspect {
        /// The folder that --data named
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}
