//! `synod-sim merge`

use super::{Failed, Reports, print};
use std::ops::Range;
use std::path::PathBuf;
use synod_reports::{Campaign, MergeError};
use synod_scenarios::campaign::exit_of_campaign;
use synod_scenarios::exit::Exit;

/// Makes one report of many: of shards that ran on other machines, or one after the other
///
/// Prints it, and ends as the worst of them did. No two may share seeds; seeds that none of them ran are told, and make
/// it no better than unknown.
#[derive(clap::Args)]
#[command(after_help = "Example: synod-sim merge shard-*.json --html campaign.html --junit campaign.xml")]
pub struct Arguments {
    /// Reports that `synod-sim run --json` or this command wrote
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reports: Reports,
}

pub fn merge(arguments: &Arguments) -> Result<Exit, Failed> {
    let mut campaigns = Vec::new();
    for path in &arguments.files {
        let text = std::fs::read_to_string(path).map_err(|e| format!("read {}: {e}", path.display()))?;
        campaigns.push(Campaign::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?);
    }
    let files: Vec<(String, Vec<Range<u64>>)> =
        arguments.files.iter().zip(&campaigns).map(|(p, c)| (p.display().to_string(), c.ranges())).collect();
    let whole = Campaign::merge(campaigns).map_err(|e| match &e {
        MergeError::Overlap { one, other } => {
            format!("{e}: {} and {}", holder(&files, one, 0), holder(&files, other, 1))
        }
        _ => e.to_string(),
    })?;
    arguments.reports.save(&whole)?;
    print(&format!("{whole}\n"))?;
    Ok(exit_of_campaign(&whole))
}

/// The file that has these seeds; the last such one if the same seeds are in two.
fn holder<'a>(files: &'a [(String, Vec<Range<u64>>)], seeds: &Range<u64>, turn: usize) -> &'a str {
    let has = |(_, ranges): &&(String, Vec<Range<u64>>)| ranges.contains(seeds);
    let mut holders = files.iter().filter(has).map(|(name, _)| name.as_str());
    let first = holders.next().unwrap_or("?");
    if turn == 0 { first } else { holders.next_back().unwrap_or(first) }
}
