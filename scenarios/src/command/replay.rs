//! `synod-sim replay`

use super::{Failed, Knobs, mutant, print, save};
use std::path::PathBuf;
use synod_checkers::formats::synod;
use synod_scenarios::campaign::{exit_of, reproduce, run_guarded};
use synod_scenarios::exit::Exit;
use synod_scenarios::plan::{Overrides, Plan};
use synod_scenarios::timeline::Timeline;

/// Runs one seed, or a plan from a file, again and prints its timeline
///
/// One line an event, one column a member; faults are banners; then the clients' operations and the findings.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim replay 42 --plan-out plan.json\n         synod-sim replay plan.json --verbose"
)]
pub struct Arguments {
    /// A seed, or the file of a plan
    #[arg(value_name = "SEED|PLAN.json")]
    what: String,
    #[command(flatten)]
    knobs: Knobs,
    /// Writes the plan, to be edited and replayed
    #[arg(long, value_name = "FILE")]
    plan_out: Option<PathBuf>,
    /// Writes the clients' history, for `synod-sim check --format synod`
    #[arg(long, value_name = "FILE")]
    history_out: Option<PathBuf>,
    /// Shows every event of network, disks and timers
    #[arg(long)]
    verbose: bool,
}

/// The plan, and the command that runs it again.
fn plan(arguments: &Arguments) -> Result<(Plan, String), Failed> {
    let overrides = arguments.knobs.overrides()?;
    if let Ok(seed) = arguments.what.parse() {
        return Ok((Plan::of_seed(seed, &overrides), reproduce(seed, &overrides)));
    }
    let path = &arguments.what;
    let text = std::fs::read_to_string(path).map_err(|e| format!("read {path}: {e}; expected a seed or a plan"))?;
    let mut plan = Plan::parse(&text).map_err(|e| format!("{path}: {e}"))?;
    if (Overrides { mutant: overrides.mutant.clone(), ..Overrides::default() }) != overrides {
        return Err(Failed::from(format!("{path}: a plan says itself how many nodes, seconds and operations, and all else")));
    }
    let mut line = format!("cargo sim replay {path}");
    if let Some(name) = overrides.mutant {
        line += &format!(" --mutant {name}");
        plan.mutant = Some(name);
    } else if let Some(name) = &plan.mutant {
        mutant(name).map_err(|e| format!("{path}: {}", e.what))?;
    }
    Ok((plan, line))
}

pub fn replay(arguments: &Arguments) -> Result<Exit, Failed> {
    let (plan, line) = plan(arguments)?;
    if let Some(path) = &arguments.plan_out {
        save(path, synod_reports::json(&plan).as_bytes())?;
    }
    let timeline = Timeline::new(&plan, arguments.verbose);
    let outcome = run_guarded(&plan, timeline.options());
    print(&timeline.finish(&plan, &outcome, &line))?;
    if let (Some(path), Some(history)) = (&arguments.history_out, &outcome.history) {
        let mut bytes = Vec::new();
        synod::write(history, &mut bytes).map_err(|e| format!("write {}: {e}", path.display()))?;
        save(path, &bytes)?;
    }
    Ok(exit_of(outcome.findings.iter()))
}
