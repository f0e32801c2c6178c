//! `synod-sim run`

use super::{Failed, Jobs, Knobs, Reports, hush_panics, page_beside, print, save, seeds};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use synod_reports::{Campaign, run_page};
use synod_scenarios::campaign::{Plans, Request, exit_of_campaign, go_on, reproduce};
use synod_scenarios::checkpoint;
use synod_scenarios::exit::Exit;
use synod_scenarios::leaks;
use synod_scenarios::plan::Plan;
use synod_scenarios::progress::Progress;
use synod_scenarios::run_report::report;

/// Where `--for` ends if nobody says: beyond what any machine runs, and shards of it begin at numbers that one can read.
const SEEDS_OF_TIME: u64 = 4_000_000_000;
/// How often the checkpoint is written.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(10);
/// Failures that get a page.
const PAGES_MAX: usize = 5;
/// What a shell expects of a process that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Set by the first interrupt.
static STOP: AtomicBool = AtomicBool::new(false);

/// Runs many seeds on all cores and reports what failed and what was covered
///
/// The plans that were kept run first, and one that must fail. Goes on after a failure, and ends with one line to copy
/// for each distinct one. An interrupt ends it after the seeds under way, with the report of those that ran; then the
/// exit code is 3 at best.
#[derive(clap::Args)]
#[command(after_help = "Example: synod-sim run --seeds 1000 --json campaign.json --html campaign.html
         synod-sim run --for 10m --nodes 5
         synod-sim run --seeds 100000 --shard 2/8 --resume shard-2.checkpoint --json shard-2.json")]
pub struct Arguments {
    /// Seeds 0 to N, or A to B (B apart) [default: 100, as many as there is time for with --for]
    #[arg(long, value_name = "N|A..B", value_parser = seeds)]
    seeds: Option<Range<u64>>,
    /// Only the i-th of n parts of the seeds, counted from 1
    #[arg(long, value_name = "i/n", value_parser = shard)]
    shard: Option<Shard>,
    /// Begins no seed after so long: 90s, 10m, 8h
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    time: Option<Duration>,
    #[command(flatten)]
    knobs: Knobs,
    #[command(flatten)]
    jobs: Jobs,
    /// Keeps in this file how far it is, and goes on from there if the file is there already
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    reports: Reports,
}

/// One of several equal parts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shard {
    part: u64,
    of: u64,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parsed = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    let Some((part, of)) = parsed else { return Err("expected i/n".into()) };
    match (1..=of).contains(&part) {
        true => Ok(Shard { part, of }),
        false => Err(format!("there is no part {part} of {of}; they are counted from 1")),
    }
}

impl Shard {
    /// Its part of a range; parts are disjoint, and together they are the whole.
    fn of(self, seeds: &Range<u64>) -> Range<u64> {
        let count = u128::from(seeds.end - seeds.start);
        // Not more than there are seeds, so it fits again.
        let at = |part: u64| seeds.start + (count * u128::from(part) / u128::from(self.of)) as u64;
        at(self.part - 1)..at(self.part)
    }
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
    let request = request(arguments)?;
    let Arguments { reports, resume, .. } = arguments;
    reports.try_out()?;
    stop_when_asked()?;
    let resumed = resume.as_ref().map_or(Ok(None), |path| checkpoint::read(path, &request))?;
    let keep = |fold: &_| resume.as_ref().map_or(Ok(()), |path| checkpoint::write(path, &request, fold));
    let mut fold = resumed.unwrap_or_default();
    keep(&fold)?;
    hush_panics();
    let total = request.time.is_none().then(|| request.seeds.end - request.seeds.start);
    let mut progress = Progress::new("seeds", total);
    let plans = Plans::run(request.jobs, &mut progress);
    if plans.canary.is_none() {
        progress.line("the canary was not run: this program was built without planted bugs".into());
    }
    let mut kept_at = Instant::now();
    let save_at_times = |fold: &_| match kept_at.elapsed() >= BETWEEN_CHECKPOINTS {
        true => {
            kept_at = Instant::now();
            keep(fold)
        }
        false => Ok(()),
    };
    go_on(&request, &mut fold, &STOP, save_at_times, &mut progress)?;
    keep(&fold)?;
    progress.finish();
    let mut campaign = fold.report(&request, plans);
    campaign.asked = request.time.is_none().then(|| asked(arguments));
    if let Some(path) = &reports.html {
        pages(path, &mut campaign, &request)?;
    }
    reports.save(&campaign)?;
    print(&format!("{campaign}\n"))?;
    let exit = exit_of_campaign(&campaign);
    let asked_for = request.seeds.end - request.seeds.start;
    if STOP.load(Ordering::Relaxed) && campaign.seeds < asked_for {
        eprintln!("synod-sim: interrupted after {} of {asked_for} seeds", campaign.seeds);
        return Ok(if exit == Exit::Held { Exit::Unknown } else { exit });
    }
    Ok(exit)
}

/// The seeds of all shards together.
fn asked(arguments: &Arguments) -> Range<u64> {
    let default = if arguments.time.is_some() { 0..SEEDS_OF_TIME } else { 0..100 };
    arguments.seeds.clone().unwrap_or(default)
}

fn request(arguments: &Arguments) -> Result<Request, Failed> {
    let all = asked(arguments);
    let seeds = arguments.shard.map_or(all.clone(), |shard| shard.of(&all));
    if let (Some(Shard { part, of }), true) = (arguments.shard, seeds.is_empty()) {
        return Err(Failed::from(format!("part {part}/{of} of the seeds {}..{} is empty", all.start, all.end)));
    }
    let overrides = arguments.knobs.overrides()?;
    leaks::prepare(overrides.leak);
    Ok(Request { seeds, time: arguments.time, jobs: arguments.jobs.count(), overrides })
}

/// The first interrupt, or request to end, ends the campaign; the second one the process.
fn stop_when_asked() -> Result<(), Failed> {
    let asked = || {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    };
    ctrlc::set_handler(asked).map_err(|e| Failed { exit: Exit::Internal, what: format!("listen for interrupts: {e}") })
}

/// Runs the first failing seeds again and writes a page of each.
fn pages(path: &Path, campaign: &mut Campaign, request: &Request) -> Result<(), Failed> {
    let of_seed = |seed: u64| reproduce(seed, &request.overrides);
    let failing = campaign.failures.iter().filter(|f| f.reproduce == of_seed(f.seed)).map(|f| f.seed);
    let seeds: BTreeSet<u64> = failing.collect();
    for seed in seeds.into_iter().take(PAGES_MAX) {
        let plan = Plan::of_seed(seed, &request.overrides);
        let page = run_page(&report(&plan, &format!("seed {seed}"), &of_seed(seed)));
        let beside = page_beside(path, seed);
        save(&beside, page.as_bytes())?;
        let name = beside.file_name().map(|name| name.to_string_lossy().into_owned());
        for failure in campaign.failures.iter_mut().filter(|f| f.reproduce == of_seed(seed)) {
            failure.page.clone_from(&name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_the_whole_and_share_nothing() {
        for (all, of) in [(0..100, 7), (5..9, 4), (3..1_000_003, 64), (0..u64::MAX, 3), (0..SEEDS_OF_TIME, 20)] {
            let parts: Vec<_> = (1..=of).map(|part| Shard { part, of }.of(&all)).collect();
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (all.start, all.end));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].start), "{parts:?}");
            let sizes: BTreeSet<u64> = parts.iter().map(|part| part.end - part.start).collect();
            assert!(sizes.last().unwrap() - sizes.first().unwrap() <= 1, "{sizes:?}");
        }
        assert_eq!(Shard { part: 2, of: 4 }.of(&(0..SEEDS_OF_TIME)).start, 1_000_000_000);
        assert!(Shard { part: 1, of: 3 }.of(&(0..2)).is_empty());
        assert_eq!(shard("2/8"), Ok(Shard { part: 2, of: 8 }));
        for bad in ["0/3", "4/3", "1/0", "1", "/", "a/b", "-1/2", "1/2/3"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("10m"), Ok(Duration::from_secs(600)));
        for bad in ["", "10", "m", "0s", "1d", "-1s", "99999999999999999999h"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
