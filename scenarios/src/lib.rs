//! Scenarios: a workload, faults and checks over a simulated cluster, from a seed or from a plan.
//!
//! | file | what |
//! |---|---|
//! | `plan` | a run as data; a seed becomes one |
//! | `run` | one plan, from the first boot to the verdict |
//! | `client` | simulated ZooKeeper clients: real bytes, pipelined |
//! | `recorder` | the history they make |
//! | `watcher` | what the members do, seen from inside |

pub mod client;
pub mod plan;
pub mod recorder;
pub mod run;
pub mod watcher;
