//! Measures checks: `bench FORMAT RUNS FILE…` prints verdict, operations and the best milliseconds of each file, and
//! the best total.

use std::path::Path;
use synod_checkers::{Format, check_file};

fn main() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let usage = || String::from("usage: bench FORMAT RUNS FILE…");
    let format: Format = arguments.next().ok_or_else(usage)?.parse()?;
    let runs: usize = arguments.next().and_then(|n| n.parse().ok()).ok_or_else(usage)?;
    let files: Vec<String> = arguments.collect();
    let mut best = vec![u64::MAX; files.len()];
    let mut total = u64::MAX;
    let mut lines = Vec::new();
    for _ in 0..runs {
        lines.clear();
        let mut sum = 0;
        for (file, best) in files.iter().zip(&mut best) {
            let verdict = check_file(Path::new(file), format)?;
            sum += verdict.micros;
            *best = verdict.micros.min(*best);
            lines.push(format!("{file},{},{},{:.3}", verdict.verdict, verdict.operations, *best as f64 / 1e3));
        }
        total = total.min(sum);
    }
    println!("{}", lines.join("\n"));
    println!("total {:.3} ms", total as f64 / 1e3);
    Ok(())
}
