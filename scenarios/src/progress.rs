//! How far a long command is: a bar on a terminal, a plain line every few seconds elsewhere. On standard error.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// A long command's progress.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: &'static str,
    total: Option<u64>,
    done: u64,
    began: Instant,
    last_line: Instant,
    silent: bool,
}

impl Progress {
    /// Of so many steps, or of nobody knows how many.
    pub fn new(what: &'static str, total: Option<u64>) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = match total {
                Some(_) => "{elapsed_precise} {bar:30} {pos}/{len} {prefix} {per_sec:.0} eta {eta} {msg}",
                None => "{elapsed_precise} {spinner} {pos} {prefix} {per_sec:.0} {msg}",
            };
            bar.set_style(ProgressStyle::with_template(template).expect("the template is well formed"));
            bar.set_prefix(what);
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let began = Instant::now();
        Progress { bar, what, total, done: 0, began, last_line: began, silent: false }
    }

    /// Nobody looks.
    pub fn silent() -> Progress {
        let began = Instant::now();
        Progress { bar: None, what: "", total: None, done: 0, began, last_line: began, silent: true }
    }

    /// One more is done; `remark` says how things stand.
    pub fn step(&mut self, remark: impl FnOnce() -> String) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.set_message(remark());
                bar.inc(1);
            }
            None if !self.silent && self.last_line.elapsed() >= BETWEEN_LINES => {
                self.last_line = Instant::now();
                let of = self.total.map_or(String::new(), |total| format!("/{total}"));
                eprintln!(
                    "{:>5.0} s  {}{of} {}  {}",
                    self.began.elapsed().as_secs_f64(),
                    self.done,
                    self.what,
                    remark()
                );
            }
            None => {}
        }
    }

    /// So many are done already.
    pub fn skip(&mut self, done: u64) {
        self.done += done;
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.reset_eta();
        }
    }

    /// What goes on before the first step.
    pub fn note(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
    }

    /// A line that stays.
    pub fn line(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.silent => eprintln!("{text}"),
            None => {}
        }
    }

    /// The end.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
