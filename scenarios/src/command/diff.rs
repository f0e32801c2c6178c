//! `synod-sim diff`

use super::{Failed, Knobs, of_text, print};
use synod_scenarios::audit::{events, first_difference};
use synod_scenarios::exit::Exit;

/// Names the first event in which two runs differ
///
/// Exit 0 if they are the same run, 1 if not.
#[derive(clap::Args)]
#[command(after_help = "Example: synod-sim diff shrunk.json edited.json\n         synod-sim diff 42 43")]
pub struct Arguments {
    /// A seed, or the file of a plan
    #[arg(value_name = "SEED|PLAN.json")]
    one: String,
    /// Another
    #[arg(value_name = "SEED|PLAN.json")]
    other: String,
    #[command(flatten)]
    knobs: Knobs,
}

/// Events that are shown before the first that differs.
const CONTEXT: usize = 5;

pub fn diff(arguments: &Arguments) -> Result<Exit, Failed> {
    let (one, _) = of_text(&arguments.one, &arguments.knobs)?;
    let (other, _) = of_text(&arguments.other, &arguments.knobs)?;
    let (one, other) = (events(&one), events(&other));
    let Some(at) = first_difference(&one, &other) else {
        print(&format!("the same run: {} events\n", one.len()))?;
        return Ok(Exit::Held);
    };
    let mut text = format!("the first event that differs is number {}:\n", at + 1);
    for line in &one[at.saturating_sub(CONTEXT)..at] {
        text += &format!("  both     {line}\n");
    }
    let shown = |event: Option<&String>| event.cloned().unwrap_or_else(|| "the run had ended".into());
    text += &format!("  one      {}\n  another  {}\n", shown(one.get(at)), shown(other.get(at)));
    print(&text)?;
    Ok(Exit::Safety)
}
