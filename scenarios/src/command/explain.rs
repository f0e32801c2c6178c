//! `synod-sim explain`

use super::{Failed, Jobs, Subject, hush_panics, print};
use synod_scenarios::campaign::exit_of;
use synod_scenarios::exit::Exit;
use synod_scenarios::explain::explain as take_out;
use synod_scenarios::progress::Progress;

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
    #[command(flatten)]
    jobs: Jobs,
}

pub fn explain(arguments: &Arguments) -> Result<Exit, Failed> {
    let (plan, words) = arguments.subject.plan()?;
    hush_panics();
    let mut progress = Progress::new("runs", None);
    let explained = take_out(&plan, arguments.failure.as_deref(), arguments.jobs.count(), &mut progress)?;
    progress.finish();
    print(&format!("{explained}cargo sim replay {words}\n"))?;
    Ok(exit_of([explained.finding].iter()))
}
