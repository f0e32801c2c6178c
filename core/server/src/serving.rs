//! A member from its start to its end: logs, limits, listeners, signals.

use crate::admin;
use crate::cli::LogFormat;
use crate::failure::Failure;
use crate::settings::Plan;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use synod_node::env::Env;
use synod_node::{Error, Member, storage};
use tracing_subscriber::EnvFilter;

/// How often a starting member is asked whether it serves.
const POLL: Duration = Duration::from_millis(5);

/// Runs a member until it is asked to stop.
///
/// # Errors
/// It cannot start, or stopped by itself.
pub fn serve(mut plan: Plan) -> Result<(), Failure> {
    // Removed when this returns, after the last task is gone.
    let _temporary = plan.temporary.take();
    start_logs(&plan)?;
    raise_descriptor_limit();
    // A broken invariant must not leave half a member behind: whatever task panics, the process ends.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(crate::failure::INTERNAL.into());
    }));
    synod_real::run(|env| run(env, plan))
}

async fn run(env: Env, plan: Plan) -> Result<(), Failure> {
    let terminated = synod_real::terminated();
    tokio::pin!(terminated);
    let admin = match plan.admin {
        Some(address) => Some(env.network.listen(address).await.map_err(|why| listen_failed("admin", address, &why))?),
        None => None,
    };
    let (id, folder) = (plan.config.id, plan.config.folder.clone());
    tracing::info!(member = id.0, folder = %folder.display(), members = plan.config.members.len(), "starting");
    let members = plan.config.members.clone();
    let member = Member::start(env.clone(), plan.config, None).await.map_err(start_failed)?;
    if let Some(listener) = admin {
        let address = listener.local_addr();
        env.spawn("admin", admin::accept(env.clone(), listener, admin::Pages::new(member.clone(), members)));
        say(&format!("ready admin {address}"));
    }
    let serving = async {
        while !member.status().serving {
            env.sleep(POLL).await;
        }
        if let Some(address) = member.zookeeper_address() {
            say(&format!("ready zookeeper {address}"));
        }
        std::future::pending::<()>().await
    };
    let stopped = tokio::select! {
        biased;
        why = member.stopped() => why,
        signal = &mut terminated => {
            signal.map_err(|e| Failure::Internal(format!("wait for signals: {e}")))?;
            tracing::info!(member = id.0, "asked to stop");
            member.stop().await;
            return Ok(());
        }
        () = serving => unreachable!("the future never completes"),
    };
    Err(Failure::Internal(format!("member {} of {} stopped: {stopped}", id.0, folder.display())))
}

/// One line on standard output, for whoever waits for it. Nobody listening is no reason to stop.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn listen_failed(whom: &str, address: std::net::SocketAddr, why: &std::io::Error) -> Failure {
    Failure::Usage(format!("listen on {address} for {whom}: {why}"))
}

/// A folder or an address that another one has is for the operator to put right; the rest is not.
fn start_failed(error: Error) -> Failure {
    use storage::Error as S;
    match &error {
        Error::Storage(S::Foreign { .. } | S::Newer { .. } | S::Locked { .. })
        | Error::Listen { .. }
        | Error::NotAMember(_) => Failure::Usage(format!("start: {error}")),
        _ => Failure::Internal(format!("start: {error}")),
    }
}

fn start_logs(plan: &Plan) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&plan.log_level)
        .map_err(|e| Failure::Usage(format!("log_level `{}`: {e}", plan.log_level)))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match plan.log_format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

/// A connection is a descriptor, and the usual soft limit of 1024 is for programs that use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files stays");
    }
}
