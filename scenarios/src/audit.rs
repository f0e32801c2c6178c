//! Whether a seed is always the same run: twice in this process, once in another, which may be another build.

use crate::exit::Exit;
use crate::leaks;
use crate::plan::{Overrides, Plan};
use crate::pool::in_order;
use crate::progress::Progress;
use crate::run::{Options, run};
use std::io::{BufRead, BufReader};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// Which seeds, and against whom.
#[derive(Clone, Debug)]
pub struct Request {
    /// The seeds.
    pub seeds: Range<u64>,
    /// Worker threads, here and there.
    pub jobs: usize,
    /// The other program; this one if none is named.
    pub binary: PathBuf,
    /// What is not the seed's to decide.
    pub overrides: Overrides,
}

/// A seed that went two ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Which.
    pub seed: u64,
    /// Where it was seen: `in one process` or `in another process`.
    pub place: &'static str,
    /// The two hashes.
    pub hashes: (u128, u128),
    /// The first event that differs, from 1, as it was here and there. None if the runs that looked for it were alike.
    pub event: Option<(usize, Option<String>, Option<String>)>,
}

/// The hash of a seed.
pub fn hash(seed: u64, overrides: &Overrides) -> u128 {
    run(&Plan::of_seed(seed, overrides), Options::default()).hash
}

/// Every event of a run, one line each.
pub fn events(plan: &Plan) -> Vec<String> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = lines.clone();
    let on_event = Box::new(move |event: &synod_sim::SimEvent| {
        keep.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(format!("{event:?}"));
    });
    run(plan, Options { on_event: Some(on_event), ..Options::default() });
    std::mem::take(&mut *lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
}

/// Calls a function with each line that the other program prints.
fn lines_of(
    binary: &Path,
    arguments: &[String],
    mut line: impl FnMut(String) -> Result<(), String>,
) -> Result<(), String> {
    let failed = |what: String| format!("run {} {}: {what}", binary.display(), arguments.join(" "));
    let mut child =
        Command::new(binary).args(arguments).stdout(Stdio::piped()).spawn().map_err(|e| failed(e.to_string()))?;
    let output = child.stdout.take().ok_or_else(|| failed("no output".into()))?;
    let mut outcome = Ok(());
    for text in BufReader::new(output).lines() {
        outcome = text.map_err(|e| failed(e.to_string())).and_then(&mut line);
        if outcome.is_err() {
            break;
        }
    }
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    outcome?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}

/// Compares; the first divergence ends it.
///
/// # Errors
/// The other program cannot be run, or does not answer as this one would.
pub fn audit(request: &Request, progress: &mut Progress) -> Result<Option<Divergence>, String> {
    leaks::prepare(request.overrides.leak);
    let mut here = Vec::new();
    let mut diverged = None;
    let twice = |seed| (hash(seed, &request.overrides), hash(seed, &request.overrides));
    in_order(request.jobs, request.seeds.clone(), twice, |seed, hashes| {
        progress.step(|| "twice in this process".into());
        here.push(hashes.0);
        if hashes.0 == hashes.1 {
            return ControlFlow::Continue(());
        }
        diverged = Some((seed, hashes));
        ControlFlow::Break(())
    });
    if let Some((seed, hashes)) = diverged {
        let plan = Plan::of_seed(seed, &request.overrides);
        let event = differing(&events(&plan), &events(&plan));
        return Ok(Some(Divergence { seed, place: "in one process", hashes, event }));
    }
    let mut arguments = vec!["hashes".to_string(), "--jobs".into(), request.jobs.to_string(), "--seeds".into()];
    arguments.push(format!("{}..{}", request.seeds.start, request.seeds.end));
    arguments.extend(request.overrides.flags());
    let mut there = Vec::new();
    lines_of(&request.binary, &arguments, |line| {
        progress.step(|| "in another process".into());
        there.push(u128::from_str_radix(line.trim(), 16).map_err(|_| format!("hash of another process: {line:?}"))?);
        Ok(())
    })?;
    if there.len() != here.len() {
        return Err(format!("another process: {} hashes of {} seeds", there.len(), here.len()));
    }
    let mut pairs = request.seeds.clone().zip(here.into_iter().zip(there));
    let Some((seed, hashes)) = pairs.find(|(_, (here, there))| here != there) else { return Ok(None) };
    let mut arguments = vec!["events".to_string(), seed.to_string()];
    arguments.extend(request.overrides.flags());
    let mut theirs = Vec::new();
    lines_of(&request.binary, &arguments, |line| {
        theirs.push(line);
        Ok(())
    })?;
    let event = differing(&events(&Plan::of_seed(seed, &request.overrides)), &theirs);
    Ok(Some(Divergence { seed, place: "in another process", hashes, event }))
}

/// Where two runs begin to differ.
pub fn first_difference(here: &[String], there: &[String]) -> Option<usize> {
    (0..here.len().max(there.len())).find(|at| here.get(*at) != there.get(*at))
}

fn differing(here: &[String], there: &[String]) -> Option<(usize, Option<String>, Option<String>)> {
    let at = first_difference(here, there)?;
    Some((at + 1, here.get(at).cloned(), there.get(at).cloned()))
}

impl Divergence {
    /// How a command ends that saw one.
    pub const EXIT: Exit = Exit::Nondeterminism;
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (here, there) = self.hashes;
        writeln!(f, "seed {} went two ways {}: trace {here:032x} and {there:032x}", self.seed, self.place)?;
        let shown = |event: &Option<String>| event.clone().unwrap_or_else(|| "the run had ended".into());
        match &self.event {
            None => write!(f, "the events of two more runs were alike"),
            Some((at, here, there)) => {
                writeln!(f, "the first event that differs is number {at}:")?;
                write!(f, "  one      {}\n  another  {}", shown(here), shown(there))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let lines = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(differing(&lines("a b c"), &lines("a b c")), None);
        let differs = differing(&lines("a b c"), &lines("a x c")).unwrap();
        assert_eq!(differs, (2, Some("b".into()), Some("x".into())));
        assert_eq!(differing(&lines("a b"), &lines("a")).unwrap(), (2, Some("b".into()), None));
    }
}
