//! One member of the cluster, sans-IO: consensus, the replicated state, and everything between a client's request and
//! its answer: the pipeline of writes, session order, local reads, `sync`, watches, the expiry of sessions.
//!
//! A [`Replica`] is stepped with an [`Input`] and pushes [`Output`]s. It reads no clock (`Now` comes in as an
//! argument), opens no file and no socket. Bytes are somebody else's: requests come in decoded, replies go out as
//! values.
//!
//! | file | what |
//! |---|---|
//! | `io` | inputs, outputs, requests, replies |
//! | `replica` | the struct; `step` dispatches |
//! | `connections` | clients' connections, each a queue: replies leave in the order of the requests |
//! | `route` | the way of a command to the leader's log: proposed here, forwarded, or waiting for a leader |
//! | `apply` | committed entries: outcome to the waiting client, events to watches, digest |
//! | `sessions` | deadlines at the leader, reports of followers, expiry |
//! | `watches` | who waits for which change |
//! | `snapshots` | when to write one, how one is loaded |
//! | `promises` | what other members promised, for those that come back with an older disk |
//! | `versions` | when the cluster version is raised |

mod apply;
mod connections;
pub mod io;
mod promises;
mod replica;
mod route;
mod sessions;
mod snapshots;
mod versions;
mod watches;

pub use io::{AppliedEntry, ConnectionId, Input, Now, Output, Reply, Request, WatchMode};
pub use promises::keeps;
pub use replica::{Boot, Config, Replica, Status};
pub use sessions::CLOCK_DRIFT_PPM_MAX;
pub use synod_consensus::{Limits, Role, TimerKind};
pub use synod_state::{Answer, Query, State};
