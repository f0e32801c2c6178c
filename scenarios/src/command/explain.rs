//! `synod-sim explain`

use super::{Failed, Jobs, Subject, hush_panics, print, save};
use std::path::PathBuf;
use synod_reports::run_page;
use synod_scenarios::campaign::exit_of;
use synod_scenarios::exit::Exit;
use synod_scenarios::explain::explain as take_out;
use synod_scenarios::progress::Progress;
use synod_scenarios::run_report::{self, report};

/// Says why a seed or a plan fails: which decisions are necessary, which are not, what contradicts each other
///
/// Of a plan that was shrunk first it says most. Exit code: that of the failure; 64 if there is none.
#[derive(clap::Args)]
#[command(after_help = "Example: synod-sim explain shrunk.json")]
pub struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Which failure, as oracle/rule/object [default: the worst]
    #[arg(long, value_name = "FINGERPRINT")]
    failure: Option<String>,
    /// Writes the run as a page, with what mattered and what did not
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    jobs: Jobs,
}

pub fn explain(arguments: &Arguments) -> Result<Exit, Failed> {
    let (plan, words) = arguments.subject.plan()?;
    hush_panics();
    let mut progress = Progress::new("runs", None);
    let explained = take_out(&plan, arguments.failure.as_deref(), arguments.jobs.count(), &mut progress)?;
    progress.finish();
    if let Some(path) = &arguments.html {
        let mut page = report(&plan, &words, &format!("cargo sim replay {words}"));
        run_report::explain(&mut page, &explained);
        save(path, run_page(&page).as_bytes())?;
    }
    print(&format!("{explained}cargo sim replay {words}\n"))?;
    Ok(exit_of([explained.finding].iter()))
}
