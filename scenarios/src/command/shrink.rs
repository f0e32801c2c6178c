//! `synod-sim shrink`

use super::{Failed, Jobs, Subject, hush_panics, print, save};
use std::path::PathBuf;
use std::time::Duration;
use synod_reports::run_page;
use synod_scenarios::campaign::{exit_of, run_guarded};
use synod_scenarios::exit::Exit;
use synod_scenarios::explain::explain;
use synod_scenarios::progress::Progress;
use synod_scenarios::record::Recorded;
use synod_scenarios::run::Options;
use synod_scenarios::run_report::{self, report};
use synod_scenarios::shrink::{Request, shrink as search, told};

/// Finds the smallest plan that fails as a seed or a plan does, and says why it fails
///
/// Exit code: that of the failure; 64 if there is none.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim shrink 42 --out small.json\n         synod-sim shrink 7 --mutant raft.vote_twice"
)]
pub struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Which failure, as oracle/rule/object [default: the worst]
    #[arg(long, value_name = "FINGERPRINT")]
    failure: Option<String>,
    /// Where to write the smallest plan
    #[arg(long, value_name = "FILE", default_value = "shrunk.json")]
    out: PathBuf,
    /// Begins no attempt after so long: 90s, 10m
    #[arg(long = "for", value_name = "TIME", value_parser = super::run::span, default_value = "2m")]
    time: Duration,
    /// Writes the run as a page, with what mattered and what did not
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    jobs: Jobs,
}

pub fn shrink(arguments: &Arguments) -> Result<Exit, Failed> {
    let (plan, _) = arguments.subject.plan()?;
    hush_panics();
    let mut progress = Progress::new("runs", None);
    let jobs = arguments.jobs.count();
    let request = Request { plan: plan.clone(), fingerprint: arguments.failure.clone(), time: arguments.time, jobs };
    let shrunk = search(&request, &mut progress)?;
    let explained = explain(&shrunk.plan, Some(&shrunk.finding.fingerprint()), jobs, &mut progress)?;
    progress.finish();
    let outcomes: Vec<_> = (0..3).map(|_| run_guarded(&shrunk.plan, Options::default())).collect();
    let fails = outcomes.iter().filter(|o| !o.findings.is_empty()).count();
    let mut smallest = shrunk.plan.clone();
    smallest.recorded = Some(Recorded::of(&outcomes[0]));
    save(&arguments.out, synod_reports::json(&smallest).as_bytes())?;
    let line = format!("cargo sim replay {}", arguments.out.display());
    if let Some(path) = &arguments.html {
        let mut page = report(&smallest, &arguments.out.display().to_string(), &line);
        run_report::explain(&mut page, &explained);
        save(path, run_page(&page).as_bytes())?;
    }
    print(&format!(
        "{explained}\nfrom {}\nto   {}\n{} runs in {:.1} s; the smallest fails {fails} times of 3\n{line}\n",
        told(&plan),
        told(&shrunk.plan),
        shrunk.runs,
        shrunk.took.as_secs_f64(),
    ))?;
    Ok(exit_of([shrunk.finding].iter()))
}
