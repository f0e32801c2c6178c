//! The commands: their arguments, and what they print. The work itself is in the library.

pub mod audit;
pub mod check;
pub mod diff;
pub mod explain;
pub mod merge;
pub mod model;
pub mod mutants;
pub mod promote;
pub mod replay;
pub mod run;
pub mod shrink;

use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use synod_reports::Campaign;
use synod_scenarios::exit::Exit;
use synod_scenarios::leaks;
use synod_scenarios::plan::{Leak, Overrides, Plan, Profile};
use synod_types::Mutant;

/// Why a command did not do what was asked.
pub struct Failed {
    pub exit: Exit,
    pub what: String,
}

impl From<String> for Failed {
    fn from(what: String) -> Failed {
        Failed { exit: Exit::Usage, what }
    }
}

/// What the command line may fix of the plans that seeds become.
#[derive(clap::Args)]
pub struct Knobs {
    /// Members of the cluster: 3 or 5 [default: the seed's]
    #[arg(long, value_parser = nodes)]
    nodes: Option<u8>,
    /// Simulated seconds of load and faults [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=86_400))]
    horizon: Option<u64>,
    /// Operations that the clients try to make in a seed [default: the seed's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    operations: Option<u64>,
    /// How bad the world is [default: the seed's]
    #[arg(long)]
    profile: Option<Profile>,
    /// Plants a bug; `synod-sim mutants` lists them
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// No fault of this kind, or no firing of this fault point
    #[arg(long, value_name = "KIND|POINT")]
    without: Option<String>,
    /// Plants a leak of what no seed decides, to see `audit` find it
    #[arg(long, hide_short_help = true)]
    leak: Option<Leak>,
}

/// What is run: a seed with what the command line fixes of it, or a plan from a file.
#[derive(clap::Args)]
pub struct Subject {
    /// A seed, or the file of a plan
    #[arg(value_name = "SEED|PLAN.json")]
    what: String,
    #[command(flatten)]
    knobs: Knobs,
}

impl Subject {
    /// The plan, and the words that name it on a command line.
    pub fn plan(&self) -> Result<(Plan, String), Failed> {
        of_text(&self.what, &self.knobs)
    }
}

/// The plan that a seed or a file is, and the words that name it on a command line.
pub fn of_text(what: &str, knobs: &Knobs) -> Result<(Plan, String), Failed> {
    let overrides = knobs.overrides()?;
    leaks::prepare(overrides.leak);
    let words = |name: &str| [vec![name.to_string()], overrides.flags()].concat().join(" ");
    if let Ok(seed) = what.parse() {
        return Ok((Plan::of_seed(seed, &overrides), words(what)));
    }
    let text = std::fs::read_to_string(what).map_err(|e| format!("read {what}: {e}; expected a seed or a plan"))?;
    let mut plan = Plan::parse(&text).map_err(|e| format!("{what}: {e}"))?;
    let Overrides { mutant: planted, leak, .. } = overrides.clone();
    if (Overrides { mutant: planted.clone(), leak, ..Overrides::default() }) != overrides {
        return Err(Failed::from(format!("{what}: a plan says itself how many members, seconds and operations")));
    }
    plan.mutant = planted.or(plan.mutant);
    plan.leak = leak.or(plan.leak);
    if let Some(name) = &plan.mutant {
        mutant(name).map_err(|e| format!("{what}: {}", e.what))?;
    }
    Ok((plan, words(what)))
}

impl Knobs {
    pub fn overrides(&self) -> Result<Overrides, Failed> {
        if let Some(name) = &self.mutant {
            mutant(name)?;
        }
        if let Some(name) = self.without.as_ref().filter(|name| !exists(name)) {
            return Err(Failed::from(format!("--without {name}: no such kind of fault, and no such fault point")));
        }
        Ok(Overrides {
            nodes: self.nodes,
            horizon_s: self.horizon,
            operations: self.operations,
            profile: self.profile,
            mutant: self.mutant.clone(),
            leak: self.leak,
            without: self.without.clone(),
        })
    }
}

/// Whether plans have faults of this kind, or the engine such a fault point.
fn exists(name: &str) -> bool {
    let hostile = Overrides { profile: Some(Profile::Hostile), ..Overrides::default() };
    let has = |seed| Plan::of_seed(seed, &hostile).faults.iter().any(|fault| fault.what.kind() == name);
    synod_node::FAULT_POINTS.contains(&name) || (0..300).any(has)
}

fn nodes(text: &str) -> Result<u8, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("expected 3 or 5".into()),
    }
}

/// The planted bug of a name.
pub fn mutant(name: &str) -> Result<Mutant, Failed> {
    planted_bugs_are_compiled_in()?;
    Mutant::ALL.iter().copied().find(|m| m.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Mutant::ALL.iter().map(|m| m.name()).collect();
        Failed::from(format!("planted bug {name:?}: unknown; known are {}", known.join(", ")))
    })
}

pub fn planted_bugs_are_compiled_in() -> Result<(), Failed> {
    match cfg!(feature = "mutants") {
        true => Ok(()),
        false => Err(Failed::from("planted bugs: this program was built without the feature `mutants`".to_string())),
    }
}

/// `N` are the seeds from 0 to N, `A..B` those from A to B, B apart.
pub fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number of a seed"));
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => 0..number(text)?,
    };
    if range.is_empty() {
        return Err(format!("no seed in {}..{}", range.start, range.end));
    }
    Ok(range)
}

/// Worker threads: as asked, or one a core.
#[derive(clap::Args)]
pub struct Jobs {
    /// Worker threads [default: one a core]
    #[arg(long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

impl Jobs {
    pub fn count(&self) -> usize {
        self.jobs.map_or_else(synod_scenarios::pool::cores, usize::from)
    }
}

/// Writes a file that was asked for.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    std::fs::write(path, bytes).map_err(|e| Failed::from(format!("write {}: {e}", path.display())))
}

/// The files that a campaign's report is written to.
#[derive(clap::Args)]
pub struct Reports {
    /// Writes the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report as JUnit's XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Writes the report as a page; `run` puts one for each of the first failing seeds beside it
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Reports {
    /// Whether they can be written: hours of seeds should not end at a folder that does not exist.
    pub fn try_out(&self) -> Result<(), Failed> {
        [&self.json, &self.junit, &self.html].into_iter().flatten().try_for_each(|path| save(path, b""))
    }

    /// Writes those that were asked for.
    pub fn save(&self, campaign: &Campaign) -> Result<(), Failed> {
        let write = |path: &Option<PathBuf>, text: fn(&Campaign) -> String| {
            path.as_ref().map_or(Ok(()), |p| save(p, text(campaign).as_bytes()))
        };
        write(&self.json, synod_reports::json)?;
        write(&self.junit, synod_reports::junit)?;
        write(&self.html, synod_reports::campaign_page)
    }
}

/// The page of a seed, beside that of its campaign.
pub fn page_beside(path: &Path, seed: u64) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-seed-{seed}.html"))
}

/// Prints; a reader that has gone away, as `head` does, is no error.
pub fn print(text: &str) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Failed { exit: Exit::Internal, what: format!("write standard output: {e}") })
        }
        _ => Ok(()),
    }
}

/// Panics of simulated members are findings, with the seed that shows them; their messages would tear the progress.
pub fn hush_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!(seeds("10"), Ok(0..10));
        assert_eq!(seeds("5..7"), Ok(5..7));
        for bad in ["0", "7..7", "9..3", "x", "", "..", "1..", "-1", "99999999999999999999"] {
            assert!(seeds(bad).is_err(), "{bad}");
        }
    }
}
