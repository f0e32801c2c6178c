//! Measures the search on a folder of logs: `bench FORMAT RUNS FILE…`.
use std::time::Instant;
use synod_checkers::formats::{jepsen_register, kv};
use synod_checkers::linearizability::{Kv, Limits, Register, Verdict, check};

fn main() {
    let mut args = std::env::args().skip(1);
    let format = args.next().unwrap();
    let runs: usize = args.next().unwrap().parse().unwrap();
    let files: Vec<String> = args.collect();
    let mut total = f64::MAX;
    let mut best = vec![f64::MAX; files.len()];
    let mut verdicts = vec![String::new(); files.len()];
    for _ in 0..runs {
        let mut sum = 0.0;
        for (i, file) in files.iter().enumerate() {
            let text = std::fs::read(file).unwrap();
            let (verdict, ms) = if format == "kv" {
                let h = kv::parse(&text).unwrap();
                let t = Instant::now();
                let v = check(&Kv, &h, Limits::default());
                (v, t.elapsed().as_secs_f64() * 1e3)
            } else {
                let h = jepsen_register::parse(&text).unwrap();
                let t = Instant::now();
                let v = check(&Register, &h, Limits::default());
                (v, t.elapsed().as_secs_f64() * 1e3)
            };
            sum += ms;
            best[i] = best[i].min(ms);
            verdicts[i] = match verdict {
                Verdict::Linearizable { .. } => "true".into(),
                Verdict::Violation { .. } => "false".into(),
                Verdict::Unknown { why } => why,
            };
        }
        total = total.min(sum);
    }
    for i in 0..files.len() {
        println!("{},{},{:.4}", files[i], verdicts[i], best[i]);
    }
    println!("total {total:.3} ms");
}
