//! Asks a member with four-letter words how it is, as those who operate it do.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use synod_checkers::history::Status;
use synod_env::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a member answers, put together from several words.
pub async fn status(env: &Env, address: SocketAddr, node: u8) -> io::Result<Status> {
    let alive = ask(env, address, "ruok").await?;
    let serves = ask(env, address, "isro").await?;
    match (&*alive, &*serves) {
        ("imok", "rw") => {}
        // That it does not serve for ever is seen elsewhere.
        ("imok", "null") => return Err(io::ErrorKind::NotConnected.into()),
        ("imok", _) => return Err(told("isro", &serves)),
        _ => return Err(told("ruok", &alive)),
    }
    let mut status = Status { node, ..Status::default() };
    let server = ask(env, address, "srvr").await?;
    let line = |key: &str| server.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let known = || {
        let zxid = i64::from_str_radix(line("Zxid:")?.strip_prefix("0x")?, 16).ok()?;
        Some((zxid, line("Node count:")?.parse().ok()?, line("Mode:")?))
    };
    let (zxid, nodes, mode) = known().ok_or_else(|| told("srvr", &server))?;
    (status.zxid, status.nodes, status.leads) = (zxid, nodes, mode != "follower");
    let monitor = ask(env, address, "mntr").await?;
    let value = |key: &str| {
        let line = monitor.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
        line.and_then(|value| value.parse::<u64>().ok()).ok_or_else(|| told("mntr", &monitor))
    };
    status.ephemerals = value("zk_ephemerals_count")?;
    status.data_bytes = value("zk_approximate_data_size")?;
    status.connections = value("zk_num_alive_connections")?;
    status.watches = value("zk_watch_count")?;
    let connections = ask(env, address, "cons").await?;
    status.waiting =
        value("zk_outstanding_requests")? + queued(&connections).ok_or_else(|| told("cons", &connections))?;
    let dump = ask(env, address, "dump").await?;
    (status.sessions, status.owned) = dumped(&dump).ok_or_else(|| told("dump", &dump))?;
    let alike = value("zk_znode_count")? == nodes && value("zk_global_sessions")? == status.sessions.len() as u64;
    if alike { Ok(status) } else { Err(told("mntr", &monitor)) }
}

fn told(word: &str, answer: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{word} is answered with {answer:?}"))
}

async fn ask(env: &Env, address: SocketAddr, word: &str) -> io::Result<String> {
    let mut stream = env.network.connect(address).await?;
    stream.write_all(word.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Requests that wait on all connections, as `cons` lists them.
fn queued(text: &str) -> Option<u64> {
    let of = |line: &str| line.split_once("(queued=")?.1.split_once(',')?.0.parse::<u64>().ok();
    text.lines().filter(|line| !line.is_empty()).map(of).sum()
}

/// Timeouts of sessions, and their ephemeral nodes.
type Dumped = (BTreeMap<i64, u32>, BTreeMap<i64, BTreeSet<String>>);

/// The sessions and the ephemeral nodes of each, as `dump` lists them.
fn dumped(text: &str) -> Option<Dumped> {
    let id = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok().map(u64::cast_signed);
    let mut sections = text.split("Global Sessions").nth(1)?.split("ephemeral nodes dump:\n");
    let (sessions, rest) = (sections.next()?, sections.next()?);
    let owned = rest.split("Connections dump:").next()?;
    let session = |line: &str| {
        let mut fields = line.split('\t');
        Some((id(fields.next()?)?, fields.next()?.strip_suffix("ms")?.parse().ok()?))
    };
    let sessions = sessions.lines().skip(1).map(session).collect::<Option<_>>()?;
    let mut nodes: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    let mut owner = None;
    for line in owned.lines().skip(1) {
        match line.strip_prefix('\t') {
            Some(path) => nodes.entry(owner?).or_default().insert(path.to_string()),
            None => {
                owner = Some(id(line.strip_suffix(':')?)?);
                continue;
            }
        };
    }
    Some((sessions, nodes))
}

#[cfg(test)]
mod tests {
    use super::{dumped, queued};

    #[test]
    fn requests_that_wait_are_added_up() {
        let text = " /10.0.0.1:9[1](queued=2,recved=4,sent=3)\n /10.0.0.1:8[0](queued=1,recved=1,sent=0)\n\n";
        assert_eq!(queued(text), Some(3));
        assert_eq!(queued("\n"), Some(0));
        assert_eq!(queued(" /10.0.0.1:9[1](recved=4)\n"), None);
    }

    #[test]
    fn a_dump_is_taken_apart() {
        let text = "SessionTracker dump:\nGlobal Sessions:\n0x1\t4000ms\topened 17\n0xa0\t300ms\nephemeral nodes dump:\n\
                    Sessions with Ephemerals (1):\n0xa0:\n\t/e0\n\t/e1\nConnections dump:\n /10.0.0.1:9[1](queued=0)\n\n";
        let (sessions, owned) = dumped(text).expect("is well formed");
        assert_eq!(sessions, [(1, 4000), (0xa0, 300)].into());
        assert_eq!(owned, [(0xa0, ["/e0".to_string(), "/e1".to_string()].into())].into());
        let wrong = ["", "Global Sessions", "Global Sessions:\n1\t4ms\nephemeral nodes dump:\nConnections dump:"];
        for text in wrong {
            assert_eq!(dumped(text), None, "{text:?}");
        }
    }
}
