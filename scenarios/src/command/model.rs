//! `synod-sim model`

use super::{Failed, Jobs, mutant, print};
use synod_models::Report;
use synod_scenarios::exit::Exit;
use synod_types::Mutants;

/// Explores a model exhaustively within its bounds; without a name, lists the models
#[derive(clap::Args)]
#[command(after_help = "Example: synod-sim model\n         synod-sim model NAME --mutant raft.vote_twice")]
pub struct Arguments {
    /// The model
    name: Option<String>,
    /// Plants a bug in the code that the model runs
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    #[command(flatten)]
    jobs: Jobs,
}

pub fn model(arguments: &Arguments) -> Result<Exit, Failed> {
    let mutants = match &arguments.mutant {
        Some(name) => planted(name)?,
        None => Mutants::NONE,
    };
    let names = synod_models::names();
    let Some(name) = &arguments.name else {
        let lines: Vec<String> = names.iter().map(|(name, about)| format!("{name:<28} {about}\n")).collect();
        print(&lines.concat())?;
        return Ok(Exit::Held);
    };
    let report = synod_models::run(name, mutants, arguments.jobs.count()).ok_or_else(|| {
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        format!("model {name:?}: unknown; known are {}", known.join(", "))
    })?;
    print(&format!("{report}\n"))?;
    let exit = exit_of(&report);
    if exit != Exit::Held {
        let planted = arguments.mutant.as_ref().map_or(String::new(), |mutant| format!(" --mutant {mutant}"));
        print(&format!("cargo sim model {name}{planted}\n"))?;
    }
    Ok(exit)
}

#[cfg(feature = "mutants")]
fn planted(name: &str) -> Result<Mutants, Failed> {
    Ok(Mutants::only(mutant(name)?))
}

#[cfg(not(feature = "mutants"))]
fn planted(name: &str) -> Result<Mutants, Failed> {
    mutant(name).map(|_| Mutants::NONE)
}

/// An exploration that did not end, or missed what it had to reach, proves nothing.
fn exit_of(report: &Report) -> Exit {
    match report.violations.is_empty() {
        false => Exit::Safety,
        true if report.holds() => Exit::Held,
        true => Exit::Unknown,
    }
}
