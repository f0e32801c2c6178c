//! `synod zookeeper`: a member from ZooKeeper's own configuration, so that an operator replaces the program and nothing
//! else. Source: ZooKeeper 3.9, `QuorumPeerConfig`, `ServerConfig`.
//!
//! Not in it: observers, hierarchical quorums, TLS, the admin server of ZooKeeper; what is not used is named.

use crate::cli::ZookeeperFlags;
use crate::failure::Failure;
use crate::properties;
use crate::settings::{ID_MAX, LOG_LEVEL, Plan, resolve, within};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use synod_node::Config;
use synod_types::NodeId;

/// What ZooKeeper takes where the file says nothing.
const TICK_MS: u32 = 3_000;
const CONNECTIONS_PER_ADDRESS_MAX: usize = 60;
const WORDS: &str = "srvr";

/// Half of tickTime, within these: followers of ZooKeeper give up after syncLimit ticks, but only because a closed
/// stream tells them earlier; here the timeout alone tells, so it has to be short. Less than the lower bound would
/// take a slow disk for a dead leader.
const ELECTION_TIMEOUT_MS: (u32, u32) = (500, 2_000);

/// The folder within ZooKeeper's own.
const FOLDER: &str = "synod";

/// Keys and their values, each taken once; what is left over is not used.
struct Keys {
    /// From the file and the files that it names.
    file: BTreeMap<String, String>,
    /// From `-D`.
    defined: BTreeMap<String, String>,
}

/// What the file and the properties ask for, and a line for each key that is not used.
///
/// # Errors
/// Something is missing, unreadable or out of its bounds.
pub fn plan(flags: &ZookeeperFlags) -> Result<(Plan, Vec<String>), Failure> {
    let mut keys = Keys { file: BTreeMap::new(), defined: BTreeMap::new() };
    for pair in &flags.define {
        let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
        keys.defined.insert(key.into(), value.into());
    }
    let mut name = "arguments".to_string();
    match &flags.arguments[..] {
        [file] => {
            name = Path::new(file).file_name().map_or_else(|| file.clone(), |n| n.to_string_lossy().into_owned());
            keys.read(Path::new(file))?;
            if let Some(dynamic) = keys.file.remove("dynamicConfigFile") {
                // As ZooKeeper does: relative to where the program runs.
                keys.read(Path::new(&dynamic))?;
                keys.file.remove("version");
            }
        }
        arguments => {
            for (key, value) in ["clientPort", "dataDir", "tickTime", "maxClientCnxns"].iter().zip(arguments) {
                keys.file.insert((*key).into(), value.clone());
            }
        }
    }
    let config = keys.config()?;
    let admin = flags.admin.as_ref().map(|a| resolve("admin", a)).transpose()?;
    let mut unused = Vec::new();
    unused.extend(keys.file.keys().map(|key| format!("{name}: key {key} is not used")));
    unused.extend(keys.defined.keys().map(|key| format!("-D: property {key} is not used")));
    unused.extend(flags.machine.iter().map(|option| format!("option -X{option} is not used")));
    let log_format = flags.logs.log_format.unwrap_or_default();
    let log_level = flags.logs.log_level.clone().unwrap_or_else(|| LOG_LEVEL.into());
    Ok((Plan { config, admin, temporary: None, log_format, log_level }, unused))
}

impl Keys {
    fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| Failure::Usage(format!("read {shown}: {e}")))?;
        let pairs = properties::parse(&text).map_err(|e| Failure::Usage(format!("{shown}: {e}")))?;
        self.file.extend(pairs.into_iter().map(|(key, value)| (key, value.trim().to_string())));
        Ok(())
    }

    /// The value of a key: the file's, else the property's. A key that ZooKeeper reads as a property may be given
    /// with and without the prefix that it puts before unknown keys of its file.
    fn take(&mut self, key: &str) -> Option<String> {
        let prefixed = format!("zookeeper.{key}");
        let defined = [self.defined.remove(&prefixed), self.defined.remove(key)];
        let file = [self.file.remove(key), self.file.remove(&prefixed)];
        file.into_iter().chain(defined).flatten().next()
    }

    fn number<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.take(key) else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::Usage(format!("{key}: `{text}` is not a number in its range"))),
        }
    }

    fn config(&mut self) -> Result<Config, Failure> {
        let data = self.take("dataDir").ok_or_else(|| Failure::Usage("dataDir is not set".into()))?;
        let data = PathBuf::from(data);
        let folder = self.take("dataLogDir").map_or_else(|| data.clone(), PathBuf::from).join(FOLDER);
        let servers = self.servers()?;
        let id = id(&data, servers.is_empty())?;
        let members = match servers.is_empty() {
            // Standalone: nobody to listen for.
            true => [(id, SocketAddr::from(([127, 0, 0, 1], 0)))].into(),
            false => servers.iter().map(|(id, server)| (*id, server.peer)).collect(),
        };
        let own = servers.get(&id);
        if own.is_none() && !servers.is_empty() {
            let known: Vec<_> = servers.keys().map(|id| format!("server.{}", id.0)).collect();
            return Err(Failure::Usage(format!("myid {} is not among {}", id.0, known.join(", "))));
        }
        let mut config = Config::new(id, members, folder);
        config.zookeeper_listen = Some(self.client_address(own)?);
        self.tune(&mut config)?;
        Ok(config)
    }

    fn servers(&mut self) -> Result<BTreeMap<NodeId, Server>, Failure> {
        let mut servers = BTreeMap::new();
        let keys: Vec<_> = self.file.keys().filter(|key| key.starts_with("server.")).cloned().collect();
        for key in keys {
            let value = self.file.remove(&key).unwrap_or_default();
            let id = key["server.".len()..].parse().ok().filter(|id| (1..=ID_MAX).contains(id));
            let id = id.ok_or_else(|| Failure::Usage(format!("{key}: the id is not within 1..={ID_MAX}")))?;
            let server = server(&value).map_err(|e| Failure::Usage(format!("{key}={value}: {e}")))?;
            servers.insert(NodeId(id), server);
        }
        Ok(servers)
    }

    /// Where clients connect: the server line's address, or clientPort and clientPortAddress.
    fn client_address(&mut self, own: Option<&Server>) -> Result<SocketAddr, Failure> {
        let host = self.take("clientPortAddress");
        let port: Option<u16> = self.number("clientPort")?;
        let (line_host, line_port) = own.and_then(|s| s.client.clone()).unzip();
        let port = port.or(line_port).ok_or_else(|| Failure::Usage("clientPort is not set".into()))?;
        let host = host.or(line_host.flatten()).unwrap_or_else(|| "0.0.0.0".into());
        resolve("clientPortAddress", &joined(&host, port))
    }

    fn tune(&mut self, config: &mut Config) -> Result<(), Failure> {
        let tick = within("tickTime", self.number("tickTime")?.unwrap_or(u64::from(TICK_MS)), 1, 1 << 20)? as u32;
        config.tick_ms = tick;
        let (least, most) = ELECTION_TIMEOUT_MS;
        config.election_timeout = Duration::from_millis((tick / 2).clamp(least, most).into());
        // -1 and 0 say "the default" in ZooKeeper.
        let least = self.number::<i32>("minSessionTimeout")?.filter(|ms| *ms > 0).map_or(2 * tick, |ms| ms as u32);
        let most = self.number::<i32>("maxSessionTimeout")?.filter(|ms| *ms > 0).map_or(20 * tick, |ms| ms as u32);
        within("maxSessionTimeout", most.into(), least.into(), u64::MAX)?;
        config.connections_per_address_max = self.number("maxClientCnxns")?.unwrap_or(CONNECTIONS_PER_ADDRESS_MAX);
        config.connections_max = self.number("maxCnxns")?.unwrap_or(0);
        let words = self.take("4lw.commands.whitelist").unwrap_or_else(|| WORDS.into());
        let words: Vec<String> = words.split(',').map(|w| w.trim().to_string()).filter(|w| !w.is_empty()).collect();
        config.words = if words.iter().any(|w| w == "*") { None } else { Some(words) };
        config.snapshot_entries =
            within("snapCount", self.number("snapCount")?.unwrap_or(config.snapshot_entries), 2, u64::MAX)?;
        if let Some(ms) = self.number("znode.container.checkIntervalMs")? {
            config.reap_every = Duration::from_millis(within("znode.container.checkIntervalMs", ms, 1, u64::MAX)?);
        }
        let options = Arc::make_mut(&mut config.zookeeper);
        options.session_timeout_min_ms = least;
        options.session_timeout_max_ms = most;
        if let Some(bytes) = self.take("jute.maxbuffer") {
            options.frame_bytes_max = within("jute.maxbuffer", integer(&bytes)?, 1 << 10, 1 << 30)? as usize;
        }
        options.super_digest = self.take("DigestAuthenticationProvider.superDigest");
        options.extended_types = self.take("extendedTypesEnabled").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        Ok(())
    }
}

/// Java's `Integer.getInteger` takes hexadecimal too, and `jute.maxbuffer=0xfffff` is what its manual shows.
fn integer(text: &str) -> Result<u64, Failure> {
    let hexadecimal = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let number = match hexadecimal {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| Failure::Usage(format!("jute.maxbuffer: `{text}` is not a number")))
}

/// Who this is: `myid` beside the data. A single server needs none.
fn id(data: &Path, alone: bool) -> Result<NodeId, Failure> {
    let path = data.join("myid");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if alone && e.kind() == std::io::ErrorKind::NotFound => return Ok(NodeId(1)),
        Err(e) => return Err(Failure::Usage(format!("read {}: {e}", path.display()))),
    };
    let id = text.trim().parse().ok().filter(|id| (1..=ID_MAX).contains(id)).map(NodeId);
    id.ok_or_else(|| Failure::Usage(format!("{}: `{}` is not within 1..={ID_MAX}", path.display(), text.trim())))
}

/// One `server.N`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    peer: SocketAddr,
    /// Host, if named, and port.
    client: Option<(Option<String>, u16)>,
}

/// `host:peer:election[:role][;[client host:]client port]`, or several such addresses before the `;`, parted by `|`,
/// of which the first is used.
fn server(value: &str) -> Result<Server, String> {
    let (peers, client) = value.split_once(';').map_or((value, None), |(p, c)| (p, Some(c)));
    let first = peers.split('|').next().unwrap_or(peers);
    let (host, rest) = host(first)?;
    let mut parts = rest.split(':');
    let peer = port(parts.next().unwrap_or(""))?;
    port(parts.next().ok_or("expected host:port:port")?)?;
    let role = peers.rsplit(':').next().unwrap_or("");
    match role.to_ascii_lowercase().as_str() {
        "observer" => return Err("observers do not exist here".into()),
        "participant" => {}
        other if other.parse::<u16>().is_ok() => {}
        other => return Err(format!("role `{other}` is neither participant nor observer")),
    }
    let client = match client.map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(match text.contains(':') {
            true => {
                let (host, rest) = self::host(text)?;
                (Some(host.to_string()), port(rest)?)
            }
            false => (None, port(text)?),
        }),
    };
    let peer = resolve("address", &joined(host, peer)).map_err(|e| e.to_string())?;
    Ok(Server { peer, client })
}

/// The host at the beginning, and what comes after its colon. An IPv6 address is in brackets.
fn host(text: &str) -> Result<(&str, &str), String> {
    let parts = match text.trim().strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.trim().split_once(':'),
    };
    parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| format!("`{text}` is not of the form host:port"))
}

fn port(text: &str) -> Result<u16, String> {
    text.trim().parse().map_err(|_| format!("port `{text}` is not within 0..=65535"))
}

fn joined(host: &str, port: u16) -> String {
    match host.trim_matches(['[', ']']) {
        v6 if v6.contains(':') => format!("[{v6}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::LogFlags;
    use std::io::Write;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Files {
            Files(tempfile::tempdir().unwrap())
        }

        /// `@` stands for the folder.
        fn put(&self, name: &str, text: &str) -> &Files {
            let mut file = std::fs::File::create_new(self.0.path().join(name)).unwrap();
            file.write_all(text.replace('@', self.0.path().to_str().unwrap()).as_bytes()).unwrap();
            self
        }

        fn plan(&self, define: &[&str]) -> Result<(Config, Vec<String>), String> {
            let flags = ZookeeperFlags {
                define: define.iter().map(|d| d.to_string()).collect(),
                machine: Vec::new(),
                admin: None,
                logs: LogFlags::default(),
                arguments: vec![self.0.path().join("zoo.cfg").to_str().unwrap().into()],
            };
            let (plan, unused) = plan(&flags).map_err(|e| e.to_string())?;
            Ok((plan.config, unused))
        }
    }

    #[test]
    fn the_sample_runs_one_server() {
        let files = Files::new();
        files.put("zoo.cfg", "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=@\nclientPort=2181\n");
        let (config, unused) = files.plan(&[]).unwrap();
        assert_eq!(config.id, NodeId(1));
        assert_eq!(config.members.len(), 1);
        assert_eq!(config.zookeeper_listen.unwrap().to_string(), "0.0.0.0:2181");
        assert_eq!(config.folder, files.0.path().join("synod"));
        assert_eq!(config.zookeeper.session_timeout_min_ms, 4_000);
        assert_eq!(config.zookeeper.session_timeout_max_ms, 40_000);
        assert_eq!(config.connections_per_address_max, 60);
        assert_eq!(config.words, Some(vec!["srvr".into()]));
        assert_eq!(config.election_timeout, Duration::from_secs(1));
        assert_eq!(unused, ["zoo.cfg: key initLimit is not used", "zoo.cfg: key syncLimit is not used"]);
    }

    #[test]
    fn an_ensemble_in_both_forms() {
        let files = Files::new();
        files.put("myid", "2\n").put(
            "zoo.cfg",
            "dataDir=@\ndataLogDir=@/log\nclientPort=2182\nclientPortAddress=localhost\n4lw.commands.whitelist=*\n\
             jute.maxbuffer=0x200000\nserver.1=localhost:2888:3888\nserver.2=127.0.0.1:2889:3889:participant\n\
             server.3=[::1]:2890:3890;[::1]:2183\nmaxClientCnxns=0\nzookeeper.extendedTypesEnabled=true\n",
        );
        let (config, unused) =
            files.plan(&["zookeeper.DigestAuthenticationProvider.superDigest=super:x=", "java.awt=1"]).unwrap();
        assert_eq!(unused, ["-D: property java.awt is not used"]);
        assert_eq!(config.id, NodeId(2));
        let members: Vec<_> = config.members.values().map(ToString::to_string).collect();
        assert_eq!(members, ["127.0.0.1:2888", "127.0.0.1:2889", "[::1]:2890"]);
        assert_eq!(config.zookeeper_listen.unwrap().to_string(), "127.0.0.1:2182");
        assert_eq!(config.folder, files.0.path().join("log/synod"));
        assert_eq!(config.zookeeper.super_digest.as_deref(), Some("super:x="));
        assert_eq!(config.zookeeper.frame_bytes_max, 0x200000);
        assert!(config.zookeeper.extended_types);
        assert_eq!(config.words, None);
    }

    #[test]
    fn members_and_client_port_of_a_dynamic_file() {
        let files = Files::new();
        files.put("myid", "1").put("zoo.cfg", "dataDir=@\ndynamicConfigFile=@/zoo.cfg.dynamic.100\n").put(
            "zoo.cfg.dynamic.100",
            "server.1=localhost:2888:3888:participant;2181\nserver.2=localhost:2889:3889;0.0.0.0:2182\nversion=100\n",
        );
        let (config, unused) = files.plan(&[]).unwrap();
        assert!(unused.is_empty(), "{unused:?}");
        assert_eq!(config.members.len(), 2);
        assert_eq!(config.zookeeper_listen.unwrap().to_string(), "0.0.0.0:2181");
    }

    #[test]
    fn the_file_comes_before_the_property() {
        let files = Files::new();
        files.put("zoo.cfg", "dataDir=@\nclientPort=1\nsnapCount=50\n");
        assert_eq!(files.plan(&["zookeeper.snapCount=60"]).unwrap().0.snapshot_entries, 50);
        assert_eq!(files.plan(&["zookeeper.snapCount=60"]).unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn mistakes_are_named() {
        #[track_caller]
        fn check(text: &str, myid: Option<&str>, expected: &str) {
            let files = Files::new();
            files.put("zoo.cfg", text);
            if let Some(id) = myid {
                files.put("myid", id);
            }
            let found = files.plan(&[]).map(drop).unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
        check("clientPort=1", None, "dataDir is not set");
        check("dataDir=@", None, "clientPort is not set");
        check("dataDir=@\nclientPort=70000", None, "clientPort: `70000` is not a number in its range");
        check("dataDir=@\nclientPort=1\ntickTime=0", None, "tickTime 0 is less than 1");
        check("dataDir=@\nclientPort=1\nserver.1=localhost:1:2", None, "myid: No such file");
        check("dataDir=@\nclientPort=1\nserver.1=localhost:1:2", Some("4"), "myid 4 is not among server.1");
        check("dataDir=@\nclientPort=1\nserver.1=localhost:1:2", Some("x"), "`x` is not within 1..=254");
        check("dataDir=@\nclientPort=1\nserver.999=localhost:1:2", Some("1"), "server.999: the id is not within");
        check("dataDir=@\nserver.1=localhost:1", Some("1"), "server.1=localhost:1: expected host:port:port");
        check("dataDir=@\nserver.1=localhost", Some("1"), "`localhost` is not of the form host:port");
        check("dataDir=@\nserver.1=localhost:1:2:observer;3", Some("1"), "observers do not exist here");
        check("dataDir=@\nserver.1=localhost:1:2:leader;3", Some("1"), "role `leader`");
        check("dataDir=@\nclientPort=1\nminSessionTimeout=9\nmaxSessionTimeout=8", None, "maxSessionTimeout 8 is less");
    }
}
