//! `synod serve`: the TOML file and the flags that override it.

use crate::cli::{LogFormat, ServeFlags};
use crate::failure::Failure;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use synod_node::Config;
use synod_types::NodeId;

/// A member that is ready to be started, whatever configuration it came from.
#[derive(Debug)]
pub struct Plan {
    /// The member.
    pub config: Config,
    /// Where the admin pages are.
    pub admin: Option<SocketAddr>,
    /// Removed at the end.
    pub temporary: Option<tempfile::TempDir>,
    /// How logs look.
    pub log_format: LogFormat,
    /// Which logs are written.
    pub log_level: String,
}

/// Filter of logs unless told otherwise.
pub const LOG_LEVEL: &str = "info";

/// The highest id: ZooKeeper's session ids carry it in their first byte, and 255 there means something else.
pub const ID_MAX: u8 = 254;

/// The keys of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Option<u8>,
    data: Option<PathBuf>,
    cluster: Option<Cluster>,
    cluster_name: Option<String>,
    zookeeper: Option<String>,
    admin: Option<String>,
    log_format: Option<LogFormat>,
    log_level: Option<String>,
    election_timeout_ms: Option<u64>,
    tick_ms: Option<u32>,
    session_timeout_min_ms: Option<u32>,
    session_timeout_max_ms: Option<u32>,
    snapshot_entries: Option<u64>,
    snapshot_bytes: Option<u64>,
    log_keep_entries: Option<u64>,
    segment_bytes: Option<u64>,
    connections_max: Option<usize>,
    connections_per_address_max: Option<usize>,
    outstanding_max: Option<usize>,
    frame_bytes_max: Option<usize>,
    four_letter_words: Option<Vec<String>>,
    super_digest: Option<String>,
    extended_types: Option<bool>,
    reap_every_ms: Option<u64>,
}

/// Members as the flag's text, or as a table.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cluster {
    Text(String),
    Table(BTreeMap<String, String>),
}

/// What the flags ask for.
///
/// # Errors
/// Something is missing, unknown, out of its bounds, or contradicts something else.
pub fn plan(flags: ServeFlags) -> Result<Plan, Failure> {
    let file = match &flags.config {
        Some(path) => parse_file(path)?,
        None => File::default(),
    };
    let zookeeper = flags.zookeeper.or(file.zookeeper.clone());
    let admin = flags.admin.or(file.admin.clone());
    let (mut config, zookeeper, admin, temporary) = if flags.dev {
        let folder = tempfile::Builder::new().prefix("synod-dev-").tempdir();
        let folder = folder.map_err(|e| Failure::Internal(format!("create temporary folder: {e}")))?;
        let own = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config::new(NodeId(1), [(NodeId(1), own)].into(), folder.path().to_owned());
        config.segment_bytes = 8 << 20;
        let zookeeper = zookeeper.unwrap_or_else(|| "127.0.0.1:2181".into());
        (config, Some(zookeeper), Some(admin.unwrap_or_else(|| "127.0.0.1:7101".into())), Some(folder))
    } else {
        let id = flags.id.or(file.id).ok_or_else(|| missing("id"))?;
        if !(1..=ID_MAX).contains(&id) {
            return Err(Failure::Usage(format!("id {id} is not within 1..={ID_MAX}")));
        }
        let members = match (&flags.cluster, &file.cluster) {
            (Some(text), _) | (None, Some(Cluster::Text(text))) => members_of_text(text)?,
            (None, Some(Cluster::Table(table))) => members(table.iter().map(|(k, v)| (k.as_str(), v.as_str())))?,
            (None, None) => return Err(missing("cluster")),
        };
        if !members.contains_key(&NodeId(id)) {
            return Err(Failure::Usage(format!("cluster: member {id}, which this is, is not among the members")));
        }
        let folder = flags.data.or(file.data.clone()).ok_or_else(|| missing("data"))?;
        (Config::new(NodeId(id), members, folder), zookeeper, admin, None)
    };
    config.zookeeper_listen = zookeeper.map(|a| resolve("zookeeper", &a)).transpose()?;
    let admin = admin.map(|a| resolve("admin", &a)).transpose()?;
    tune(&mut config, &file)?;
    Ok(Plan {
        config,
        admin,
        temporary,
        log_format: flags.logs.log_format.or(file.log_format).unwrap_or_default(),
        log_level: flags.logs.log_level.or(file.log_level).unwrap_or_else(|| LOG_LEVEL.into()),
    })
}

fn tune(config: &mut Config, file: &File) -> Result<(), Failure> {
    if let Some(name) = &file.cluster_name {
        config.cluster = Config::cluster_of(name, config.members.keys().copied());
    }
    let set = |to: &mut u64, key, value: Option<u64>, least| -> Result<(), Failure> {
        *to = within(key, value.unwrap_or(*to), least, u64::MAX)?;
        Ok(())
    };
    set(&mut config.snapshot_entries, "snapshot_entries", file.snapshot_entries, 1)?;
    set(&mut config.snapshot_bytes, "snapshot_bytes", file.snapshot_bytes, 1 << 10)?;
    set(&mut config.log_keep, "log_keep_entries", file.log_keep_entries, 0)?;
    set(&mut config.segment_bytes, "segment_bytes", file.segment_bytes, 1 << 20)?;
    if let Some(ms) = file.election_timeout_ms {
        config.election_timeout = Duration::from_millis(within("election_timeout_ms", ms, 50, 60_000)?);
    }
    if let Some(ms) = file.reap_every_ms {
        config.reap_every = Duration::from_millis(within("reap_every_ms", ms, 1, u64::MAX)?);
    }
    if let Some(ms) = file.tick_ms {
        config.tick_ms = within("tick_ms", ms.into(), 10, 60_000)? as u32;
    }
    config.connections_max = file.connections_max.unwrap_or(config.connections_max);
    config.connections_per_address_max = file.connections_per_address_max.unwrap_or(config.connections_per_address_max);
    if let Some(most) = file.outstanding_max {
        config.outstanding_max = within("outstanding_max", most as u64, 1, u64::MAX)? as usize;
    }
    if let Some(words) = &file.four_letter_words {
        config.words = Some(words.clone());
    }
    let options = Arc::make_mut(&mut config.zookeeper);
    // As in ZooKeeper, the bounds of sessions follow the tick unless they are given.
    options.session_timeout_min_ms = file.session_timeout_min_ms.unwrap_or(2 * config.tick_ms);
    options.session_timeout_max_ms = file.session_timeout_max_ms.unwrap_or(20 * config.tick_ms);
    let least = options.session_timeout_min_ms;
    within("session_timeout_max_ms", options.session_timeout_max_ms.into(), least.into(), i32::MAX as u64)?;
    if let Some(most) = file.frame_bytes_max {
        options.frame_bytes_max = within("frame_bytes_max", most as u64, 1 << 10, 1 << 30)? as usize;
    }
    options.super_digest = file.super_digest.clone();
    options.extended_types = file.extended_types.unwrap_or(options.extended_types);
    Ok(())
}

/// A number within its bounds.
///
/// # Errors
/// It is not.
pub fn within(key: &str, value: u64, least: u64, most: u64) -> Result<u64, Failure> {
    match value {
        v if v < least => Err(Failure::Usage(format!("{key} {value} is less than {least}"))),
        v if v > most => Err(Failure::Usage(format!("{key} {value} is more than {most}"))),
        v => Ok(v),
    }
}

fn missing(key: &str) -> Failure {
    Failure::Usage(format!(
        "serve: neither --{key} nor the key `{key}` of a --config file is given (for a first try: synod serve --dev)"
    ))
}

fn parse_file(path: &Path) -> Result<File, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::Usage(format!("read configuration {}: {e}", path.display())))?;
    parse(&text).map_err(|e| Failure::Usage(format!("configuration {}: {e}", path.display())))
}

fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        match line {
            Some(line) => format!("line {line}: {}", error.message()),
            None => error.message().to_string(),
        }
    })
}

fn members_of_text(text: &str) -> Result<BTreeMap<NodeId, SocketAddr>, Failure> {
    let mut pairs = Vec::new();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let pair = part.split_once('=');
        pairs.push(pair.ok_or_else(|| Failure::Usage(format!("cluster: `{part}` is not of the form ID=HOST:PORT")))?);
    }
    members(pairs.into_iter())
}

fn members<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<BTreeMap<NodeId, SocketAddr>, Failure> {
    let mut members = BTreeMap::new();
    for (id, address) in pairs {
        let number = id.trim().parse().ok().filter(|id| (1..=ID_MAX).contains(id));
        let number = number.ok_or_else(|| Failure::Usage(format!("cluster: id `{id}` is not within 1..={ID_MAX}")))?;
        if members.insert(NodeId(number), resolve("cluster", address.trim())?).is_some() {
            return Err(Failure::Usage(format!("cluster: member {number} is there twice")));
        }
    }
    if members.is_empty() {
        return Err(Failure::Usage("cluster: no members".into()));
    }
    Ok(members)
}

/// An address from its text, IPv4 before IPv6 where a name has both.
///
/// # Errors
/// It is no address, or the name is not known.
pub fn resolve(key: &str, text: &str) -> Result<SocketAddr, Failure> {
    let found = text.to_socket_addrs().map_err(|e| Failure::Usage(format!("{key}: address `{text}`: {e}")))?;
    let found: Vec<_> = found.collect();
    let first = found.iter().find(|a| a.is_ipv4()).or(found.first()).copied();
    first.ok_or_else(|| Failure::Usage(format!("{key}: address `{text}`: no such host")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(flags: ServeFlags) -> String {
        plan(flags).map(drop).unwrap_err().to_string()
    }

    fn flags() -> ServeFlags {
        ServeFlags {
            id: Some(2),
            data: Some("/nowhere".into()),
            cluster: Some("1=127.0.0.1:7001, 2=localhost:7002".into()),
            ..ServeFlags::default()
        }
    }

    #[test]
    fn flags_override_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("synod.toml");
        let text = "id = 1\ndata = '/elsewhere'\nzookeeper = '127.0.0.1:2181'\nadmin = '127.0.0.1:9'\n\
                    election_timeout_ms = 300\nfour_letter_words = ['ruok']\n[cluster]\n1 = '127.0.0.1:1'\n";
        std::fs::File::create_new(&path).and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes())).unwrap();
        let mut flags = flags();
        flags.config = Some(path);
        flags.admin = Some("127.0.0.1:10".into());
        let plan = plan(flags).unwrap();
        assert_eq!(plan.config.id, NodeId(2));
        assert_eq!(plan.config.folder, Path::new("/nowhere"));
        assert_eq!(plan.config.members[&NodeId(2)].to_string(), "127.0.0.1:7002");
        assert_eq!(plan.config.zookeeper_listen.unwrap().to_string(), "127.0.0.1:2181");
        assert_eq!(plan.admin.unwrap().to_string(), "127.0.0.1:10");
        assert_eq!(plan.config.election_timeout, Duration::from_millis(300));
        assert_eq!(plan.config.words, Some(vec!["ruok".into()]));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse("id = 1\nelektion = 3\n").unwrap_err().split(',').next(),
            Some("line 2: unknown field `elektion`")
        );
        assert!(parse("id = 'x'").unwrap_err().starts_with("line 1: invalid type"));
        assert!(failure(ServeFlags { id: None, ..flags() }).starts_with("serve: neither --id nor"));
        assert_eq!(failure(ServeFlags { id: Some(0), ..flags() }), "id 0 is not within 1..=254");
        assert_eq!(
            failure(ServeFlags { id: Some(3), ..flags() }),
            "cluster: member 3, which this is, is not among the members"
        );
        let cluster = |text: &str| failure(ServeFlags { cluster: Some(text.into()), ..flags() });
        assert_eq!(cluster("127.0.0.1:7001"), "cluster: `127.0.0.1:7001` is not of the form ID=HOST:PORT");
        assert_eq!(cluster("1=127.0.0.1:1,1=127.0.0.1:2"), "cluster: member 1 is there twice");
        assert!(cluster("2=127.0.0.1").starts_with("cluster: address `127.0.0.1`"));
        assert_eq!(cluster(","), "cluster: no members");
        let file = parse("session_timeout_min_ms = 500\nsession_timeout_max_ms = 400").unwrap();
        let mut config = plan(flags()).unwrap().config;
        assert_eq!(tune(&mut config, &file).unwrap_err().to_string(), "session_timeout_max_ms 400 is less than 500");
    }
}
