//! `synod-sim audit`, and the hidden commands that its other process runs

use super::{Failed, Jobs, Knobs, hush_panics, print, seeds};
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use synod_scenarios::audit::{self, Divergence, Request};
use synod_scenarios::exit::Exit;
use synod_scenarios::leaks;
use synod_scenarios::plan::Plan;
use synod_scenarios::pool::in_order;
use synod_scenarios::progress::Progress;

/// Checks that a seed is always the same run: twice in this process, once in another
///
/// Compares the 128-bit hash over every event, and names the first event that differs.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim audit --seeds 100\n         synod-sim audit --seeds 20 --binary target/debug/synod-sim"
)]
pub struct Arguments {
    /// Seeds 0 to N, or A to B (B apart)
    #[arg(long, value_name = "N|A..B", value_parser = seeds, default_value = "20")]
    seeds: Range<u64>,
    /// Another build of this program to compare with [default: this one]
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    knobs: Knobs,
    #[command(flatten)]
    jobs: Jobs,
}

/// The hashes of seeds, one line each
#[derive(clap::Args)]
pub struct HashesArguments {
    #[arg(long, value_parser = seeds)]
    seeds: Range<u64>,
    #[command(flatten)]
    knobs: Knobs,
    #[command(flatten)]
    jobs: Jobs,
}

/// The events of a seed, one line each
#[derive(clap::Args)]
pub struct EventsArguments {
    seed: u64,
    #[command(flatten)]
    knobs: Knobs,
}

pub fn audit(arguments: &Arguments) -> Result<Exit, Failed> {
    let overrides = arguments.knobs.overrides()?;
    let binary = match &arguments.binary {
        Some(path) => path.clone(),
        None => std::env::current_exe().map_err(|e| format!("find this program: {e}"))?,
    };
    let request = Request { seeds: arguments.seeds.clone(), jobs: arguments.jobs.count(), binary, overrides };
    hush_panics();
    let seeds = request.seeds.end - request.seeds.start;
    let mut progress = Progress::new("seeds", Some(2 * seeds));
    let outcome = audit::audit(&request, &mut progress);
    progress.finish();
    match outcome? {
        None => {
            print(&format!("{seeds} seeds, each the same run twice in this process and once in another\n"))?;
            Ok(Exit::Held)
        }
        Some(divergence) => {
            let (from, other) = (divergence.seed, arguments.binary.as_ref());
            let binary = other.map_or(String::new(), |path| format!(" --binary {}", path.display()));
            let flags: String = request.overrides.flags().iter().map(|word| format!(" {word}")).collect();
            print(&format!("{divergence}\ncargo sim audit --seeds {from}..{}{flags}{binary}\n", from + 1))?;
            Ok(Divergence::EXIT)
        }
    }
}

pub fn hashes(arguments: &HashesArguments) -> Result<Exit, Failed> {
    let overrides = arguments.knobs.overrides()?;
    leaks::prepare(overrides.leak);
    hush_panics();
    let mut printed = Ok(());
    in_order(
        arguments.jobs.count(),
        arguments.seeds.clone(),
        |seed| audit::hash(seed, &overrides),
        |_, hash| {
            printed = print(&format!("{hash:032x}\n"));
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        },
    );
    printed.map(|()| Exit::Held)
}

pub fn events(arguments: &EventsArguments) -> Result<Exit, Failed> {
    let overrides = arguments.knobs.overrides()?;
    leaks::prepare(overrides.leak);
    hush_panics();
    let mut text = audit::events(&Plan::of_seed(arguments.seed, &overrides)).join("\n");
    text.push('\n');
    print(&text)?;
    Ok(Exit::Held)
}
