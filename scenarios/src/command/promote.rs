//! `synod-sim promote`

use super::{Failed, Subject, print, save};
use std::path::PathBuf;
use synod_scenarios::campaign::run_guarded;
use synod_scenarios::exit::Exit;
use synod_scenarios::record::Recorded;
use synod_scenarios::run::Options;

/// Keeps a plan as a regression test of its own name
///
/// What is kept is run first in every campaign and in `cargo test`. A plan of the engine as it ships must hold; one
/// with a planted bug must fail as it did.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim promote shrunk.json --name lost-write-after-torn-tail --about 'issue 12'\n         synod-sim promote shrunk.json --fixed --name vote-before-sync --about 'a vote that was not durable'"
)]
pub struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Its name: lower case, digits, hyphens
    #[arg(long, value_parser = name)]
    name: String,
    /// What it is for, in a sentence
    #[arg(long)]
    about: String,
    /// The planted bug is one of the past: without it the plan must hold, with it it must fail
    #[arg(long)]
    fixed: bool,
    /// The folder of kept plans
    #[arg(long, value_name = "FOLDER", default_value = "scenarios/plans")]
    folder: PathBuf,
}

fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match !text.is_empty() && text.len() <= 80 && text.chars().all(good) {
        true => Ok(text.to_string()),
        false => Err("expected at most 80 lower case letters, digits and hyphens".into()),
    }
}

pub fn promote(arguments: &Arguments) -> Result<Exit, Failed> {
    let (mut plan, _) = arguments.subject.plan()?;
    let path = arguments.folder.join(format!("{}.json", arguments.name));
    if path.exists() {
        return Err(Failed::from(format!("promote: {} exists already", path.display())));
    }
    if arguments.fixed {
        plan.guards = plan.mutant.take();
        if plan.guards.is_none() {
            return Err(Failed::from("promote: the plan has no planted bug that could be one of the past".to_string()));
        }
    }
    let outcome = run_guarded(&plan, Options::default());
    plan.about = Some(arguments.about.clone());
    plan.recorded = Some(Recorded::of(&outcome));
    save(&path, synod_reports::json(&plan).as_bytes())?;
    let now = match outcome.findings.first() {
        None => "it holds".to_string(),
        Some(finding) => format!("it fails now: {}", finding.fingerprint()),
    };
    print(&format!("{}: {now}\n", path.display()))?;
    Ok(Exit::Held)
}
