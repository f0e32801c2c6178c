//! `synod-sim mutants`

use super::{Failed, Jobs, hush_panics, mutant, planted_bugs_are_compiled_in, print, save};
use std::path::PathBuf;
use std::time::Duration;
use synod_scenarios::exit::Exit;
use synod_scenarios::kill_table::{Request, kill_table};
use synod_scenarios::plan::Overrides;
use synod_scenarios::progress::Progress;
use synod_types::Mutant;

/// Plants each known bug in the engine and counts the seeds until a checker finds it
///
/// Controls are no bugs and must survive. Exit 0 if every other is found, 1 if one survives or a control does not.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim mutants --seeds 500 --json kills.json\n         synod-sim mutants --shrink 2m --ablate 200 --markdown kills.md\n         synod-sim mutants --only watch.fires_twice"
)]
pub struct Arguments {
    /// Only this planted bug
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Seeds that each is given
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    #[command(flatten)]
    jobs: Jobs,
    /// Shrinks the plan that finds each, for so long at most: 90s, 2m
    #[arg(long, value_name = "TIME", value_parser = super::run::span)]
    shrink: Option<Duration>,
    /// Seeds without each kind of fault that is left in the smallest plan: which are needed
    #[arg(long, value_name = "N", default_value_t = 0, requires = "shrink")]
    ablate: u64,
    /// Writes the table as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the table as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub fn mutants(arguments: &Arguments) -> Result<Exit, Failed> {
    planted_bugs_are_compiled_in()?;
    let mutants = match &arguments.only {
        Some(name) => vec![mutant(name)?],
        None => Mutant::ALL.to_vec(),
    };
    for path in [&arguments.json, &arguments.markdown].into_iter().flatten() {
        save(path, b"")?;
    }
    hush_panics();
    let request = Request {
        mutants,
        seeds_max: arguments.seeds,
        jobs: arguments.jobs.count(),
        overrides: Overrides::default(),
        shrink: arguments.shrink,
        ablate: arguments.ablate,
    };
    let mut progress = Progress::new("seeds", None);
    let table = kill_table(&request, &mut progress);
    progress.finish();
    if let Some(path) = &arguments.json {
        save(path, synod_reports::json(&table).as_bytes())?;
    }
    if let Some(path) = &arguments.markdown {
        save(path, table.markdown().as_bytes())?;
    }
    print(&format!("{table}\n"))?;
    if table.holds() {
        return Ok(Exit::Held);
    }
    for row in table.mutants.iter().filter(|row| !row.as_it_must_be()) {
        print(&format!("cargo sim mutants --only {} --seeds {}\n", row.name, arguments.seeds))?;
    }
    Ok(Exit::Safety)
}
