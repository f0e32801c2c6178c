//! `synod-sim run`

use super::{Failed, Jobs, Knobs, hush_panics, print, save, seeds};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use synod_scenarios::campaign::{Request, campaign};
use synod_scenarios::exit::Exit;
use synod_scenarios::progress::Progress;

/// Runs many seeds on all cores and reports what failed and what was covered
///
/// Goes on after a failure, and ends with one line to copy for each distinct one.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim run --seeds 1000 --json campaign.json\n         synod-sim run --for 10m --nodes 5"
)]
pub struct Arguments {
    /// Seeds 0 to N, or A to B (B apart) [default: 100, without end with --for]
    #[arg(long, value_name = "N|A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Begins no seed after so long: 90s, 10m, 8h
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    time: Option<Duration>,
    #[command(flatten)]
    knobs: Knobs,
    #[command(flatten)]
    jobs: Jobs,
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A time with its unit.
pub fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("expected a number and s, m or h".into()),
    };
    let span = number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds)).filter(|s| *s > 0);
    span.map(Duration::from_secs).ok_or_else(|| "expected a time that is not 0 and not for ever".into())
}

pub fn run(arguments: &Arguments) -> Result<Exit, Failed> {
    let default = if arguments.time.is_some() { 0..u64::MAX } else { 0..100 };
    let request = Request {
        seeds: arguments.seeds.clone().unwrap_or(default),
        time: arguments.time,
        jobs: arguments.jobs.count(),
        overrides: arguments.knobs.overrides()?,
    };
    // Hours of seeds should not end at a folder that does not exist.
    if let Some(path) = &arguments.json {
        save(path, b"")?;
    }
    hush_panics();
    let total = request.time.is_none().then(|| request.seeds.end - request.seeds.start);
    let mut progress = Progress::new("seeds", total);
    let (report, exit) = campaign(&request, &mut progress);
    progress.finish();
    if let Some(path) = &arguments.json {
        save(path, synod_reports::json(&report).as_bytes())?;
    }
    print(&format!("{report}\n"))?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "10", "m", "0s", "1d", "-1s", "99999999999999999999h"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
