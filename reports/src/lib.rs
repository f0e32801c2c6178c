//! What people and their scripts read: a campaign's summary, a kill table, one run; as text, JSON and pages.
//!
//! The JSON is an interface with a version of its own, [`SCHEMA`]: fields are added without a new version; a version
//! means that one went away or changed its meaning. Each struct is the schema of its file, its fields' comments are the
//! documentation. Not here: who runs seeds and judges them (`scenarios`, `checkers`).

mod campaign;
mod growth;
mod histogram;
mod junit;
mod kill_table;
mod merge;
mod page;
pub mod run;

pub use campaign::{Acknowledged, Campaign, Failure, Resident, Shard};
pub use growth::{Growth, Sketch};
pub use histogram::Histogram;
pub use junit::junit;
pub use kill_table::{Ablation, KillTable, Row, Smallest};
pub use merge::MergeError;
pub use page::{campaign_page, run_page};
pub use run::RunReport;

use serde::Serialize;

/// Version of the JSON files.
pub const SCHEMA: u32 = 1;

/// A report as a JSON file's text.
pub fn json(report: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("reports have string keys and no foreign types");
    text.push('\n');
    text
}

/// The beginning of a text, in one line, with an ellipsis where it was cut.
pub fn shortened(text: &str, chars_max: usize) -> String {
    let mut short: String = text.chars().take(chars_max).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(chars_max).is_some() {
        short.push('…');
    }
    short
}
