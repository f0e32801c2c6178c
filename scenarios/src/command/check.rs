//! `synod-sim check`

use super::{Failed, print};
use std::path::{Path, PathBuf};
use synod_checkers::{Format, Word, check_file};
use synod_scenarios::exit::Exit;

/// Checks histories from files: one line a file with verdict, operations and milliseconds
///
/// The time is that of the check on one thread, without reading and parsing.
#[derive(clap::Args)]
#[command(
    after_help = "Example: synod-sim check --format jepsen-register logs/*.log\n         synod-sim check history.jsonl"
)]
pub struct Arguments {
    /// jepsen-register, kv or synod [default: by the first characters of each file]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// How a file is written, by its beginning.
fn guess(path: &Path) -> Result<Format, Failed> {
    use std::io::Read;
    let mut start = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(64).read_to_end(&mut start));
    read.map_err(|e| format!("read {}: {e}", path.display()))?;
    Ok(match start.as_slice() {
        start if start.starts_with(b"INFO") => Format::JepsenRegister,
        start if start.starts_with(b"{:") => Format::Kv,
        _ => Format::Synod,
    })
}

pub fn check(arguments: &Arguments) -> Result<Exit, Failed> {
    let mut worst = Word::Linearizable;
    let mut micros = 0;
    for path in &arguments.files {
        let format = arguments.format.map_or_else(|| guess(path), Ok)?;
        let checked = check_file(path, format)?;
        worst = worst.max(checked.verdict);
        micros += checked.micros;
        let ms = checked.micros as f64 / 1e3;
        let mut text =
            format!("{}: {}, {} operations, {ms:.3} ms\n", path.display(), checked.verdict, checked.operations);
        for finding in &checked.findings {
            text += &format!("  {finding}\n");
        }
        if checked.halvings > 0 {
            text += &format!("  the version-blind search gave up {} halves of a znode's calls\n", checked.halvings);
        }
        print(&text)?;
    }
    if arguments.files.len() > 1 {
        print(&format!("{} files: {worst}, {:.3} ms\n", arguments.files.len(), micros as f64 / 1e3))?;
    }
    Ok(match worst {
        Word::Linearizable => Exit::Held,
        Word::Unknown => Exit::Unknown,
        Word::Violation => Exit::Safety,
    })
}
