//! `synod-sim replay`

use super::{Failed, Subject, print, save};
use std::path::PathBuf;
use synod_checkers::formats::synod;
use synod_reports::run_page;
use synod_scenarios::campaign::{exit_of, run_guarded};
use synod_scenarios::exit::Exit;
use synod_scenarios::run_report::report;
use synod_scenarios::timeline::Timeline;

/// Runs one seed, or a plan from a file, again and prints its timeline
///
/// One line an event, one column a member; faults are banners; then the clients' operations and the findings.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim replay 42 --plan-out plan.json\n         synod-sim replay plan.json --verbose"
)]
pub struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Writes the plan, to be edited and replayed
    #[arg(long, value_name = "FILE")]
    plan_out: Option<PathBuf>,
    /// Writes the clients' history, for `synod-sim check --format synod`
    #[arg(long, value_name = "FILE")]
    history_out: Option<PathBuf>,
    /// Writes the run as a page: what happened on and between the members
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Shows every event of network, disks and timers
    #[arg(long)]
    verbose: bool,
    /// Ends with 125 where the plan cannot be judged, as `git bisect run` wants it
    #[arg(long)]
    bisect: bool,
}

pub fn replay(arguments: &Arguments) -> Result<Exit, Failed> {
    let judged = run(arguments);
    match (&judged, arguments.bisect) {
        (Ok(Exit::Unknown | Exit::Internal), true) => Ok(Exit::Skip),
        (Err(_), true) => judged.map_err(|failed| Failed { exit: Exit::Skip, ..failed }),
        _ => judged,
    }
}

fn run(arguments: &Arguments) -> Result<Exit, Failed> {
    let (plan, words) = arguments.subject.plan()?;
    let line = format!("cargo sim replay {words}");
    let title = if words.starts_with(|c: char| c.is_ascii_digit()) { format!("seed {words}") } else { words };
    if let Some(path) = &arguments.plan_out {
        save(path, synod_reports::json(&plan).as_bytes())?;
    }
    let timeline = Timeline::new(&plan, arguments.verbose);
    let outcome = run_guarded(&plan, timeline.options());
    print(&timeline.finish(&plan, &outcome, &line))?;
    if let Some(recorded) = &plan.recorded {
        print(&format!("replay: {}\n", recorded.compare(&outcome)))?;
    }
    if let (Some(path), Some(history)) = (&arguments.history_out, &outcome.history) {
        let mut bytes = Vec::new();
        synod::write(history, &mut bytes).map_err(|e| format!("write {}: {e}", path.display()))?;
        save(path, &bytes)?;
    }
    if let Some(path) = &arguments.html {
        // Watched in another way, it is the same run.
        save(path, run_page(&report(&plan, &title, &line)).as_bytes())?;
    }
    Ok(exit_of(outcome.findings.iter()))
}
