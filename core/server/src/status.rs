//! `synod status` and `synod members`: ask members over their admin addresses, print a table.

use crate::failure::Failure;
use std::net::SocketAddr;
use std::time::Duration;
use synod_node::env::Env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long a member may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

const COLUMNS: [&str; 9] = ["ID", "ADMIN", "ROLE", "LEADER", "TERM", "COMMIT", "APPLIED", "CONNECTIONS", "DIGEST"];

/// One line a member; a member that does not answer has a line too.
///
/// # Errors
/// No member answered.
pub fn print_status(addresses: &[SocketAddr]) -> Result<(), Failure> {
    let answers = synod_real::run(async |env| ask_all(&env, addresses).await);
    let mut rows = vec![COLUMNS.map(String::from)];
    for (address, answer) in addresses.iter().zip(&answers) {
        let address = address.to_string();
        rows.push(match answer {
            Ok(json) => {
                let cell = |key: &str| match &json[key] {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Null => "-".into(),
                    other => other.to_string(),
                };
                let digest = cell("digest").chars().take(8).collect();
                let (commit, applied) = (cell("commit"), cell("applied"));
                [
                    cell("id"),
                    address,
                    cell("role"),
                    cell("leader"),
                    cell("term"),
                    commit,
                    applied,
                    cell("connections"),
                    digest,
                ]
            }
            Err(_) => ["-", &address, "unreachable", "-", "-", "-", "-", "-", "-"].map(String::from),
        });
    }
    print!("{}", table(&rows));
    match answers.into_iter().find_map(Result::err) {
        Some(why) => Err(Failure::Internal(why)),
        None => Ok(()),
    }
}

/// The members that the first answering member knows.
///
/// # Errors
/// No member answered.
pub fn print_members(addresses: &[SocketAddr]) -> Result<(), Failure> {
    let mut answers = synod_real::run(async |env| ask_all(&env, addresses).await);
    let Some(first) = answers.iter().position(Result::is_ok) else {
        return Err(Failure::Internal(answers.swap_remove(0).err().unwrap_or_default()));
    };
    let mut rows = vec![["ID", "PEERS", ""].map(String::from)];
    if let Ok(json) = &answers[first] {
        let leader = json["leader"].to_string();
        for (id, address) in json["members"].as_object().into_iter().flatten() {
            let mark = if *id == leader { "leader" } else { "" };
            rows.push([id.clone(), address.as_str().unwrap_or_default().into(), mark.into()]);
        }
    }
    print!("{}", table(&rows));
    Ok(())
}

async fn ask_all(env: &Env, addresses: &[SocketAddr]) -> Vec<Result<serde_json::Value, String>> {
    let mut answers = Vec::new();
    for address in addresses {
        let answer = env.timeout(PATIENCE, ask(env, *address)).await.and_then(|answer| answer);
        answers.push(answer.map_err(|e| format!("ask http://{address}/status: {e}")));
    }
    answers
}

async fn ask(env: &Env, address: SocketAddr) -> std::io::Result<serde_json::Value> {
    let mut stream = env.network.connect(address).await?;
    let request = format!("GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").map(|at| &answer[at + 4..]);
    let bad = |why: String| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let body = body.filter(|_| answer.starts_with(b"HTTP/1.1 200 "));
    let body = body.ok_or_else(|| bad("the answer is not a member's status".into()))?;
    serde_json::from_slice(body).map_err(|e| bad(format!("the answer is not JSON: {e}")))
}

/// Columns as wide as their widest cell, two blanks apart.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|i| rows.iter().map(|r| r[i].len()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let line: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [["ID", "ROLE"], ["1", "leader"], ["12", ""]].map(|r| r.map(String::from));
        assert_eq!(super::table(&rows), "ID  ROLE\n1   leader\n12\n");
    }
}
