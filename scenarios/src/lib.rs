//! Scenarios: a workload, faults and checks over a simulated cluster, from a seed or from a plan.
//!
//! | file | what |
//! |---|---|
//! | `plan` | a run as data; a seed becomes one |
//! | `run` | one plan, from the first boot to the verdict |
//! | `client` | simulated ZooKeeper clients: real bytes, pipelined |
//! | `recorder` | the history they make |
//! | `watcher` | what the members do, seen from inside |
//! | `campaign`, `coverage` | many seeds, and what they ought to reach |
//! | `checkpoint` | a campaign between two processes |
//! | `plans` | failures of the past, run before the seeds |
//! | `timeline`, `run_report`, `messages` | one run as a person reads it: text, and a page |
//! | `shrink`, `explain` | the smallest plan that fails, and why it does |
//! | `record` | how a kept plan went, and whether it still goes that way |
//! | `leaks` | what no seed decides, planted for `audit` |
//! | `audit` | whether a seed is always the same run |
//! | `kill_table` | which planted bugs are found |
//! | `pool`, `progress`, `exit` | all cores, how far, how it ended |

pub mod audit;
pub mod campaign;
pub mod checkpoint;
pub mod client;
pub mod coverage;
pub mod exit;
pub mod explain;
pub mod kill_table;
pub mod leaks;
pub mod messages;
pub mod own;
pub mod plan;
pub mod plans;
pub mod pool;
pub mod progress;
pub mod record;
pub mod recorder;
pub mod run;
pub mod run_report;
pub mod shrink;

pub mod timeline;
pub mod watcher;
