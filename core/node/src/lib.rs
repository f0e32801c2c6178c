//! The async half of a member: runs a [`synod_replica::Replica`] over an [`synod_env::Env`].
//!
//! The replica sits behind one mutex that is never held across an await. Whoever has an input (a connection with
//! bytes, a link with a message, the log with a completion, a timer) locks, steps, and passes the outputs on: replies
//! into the buffers of their connections, messages into those of the links, log writes into the next batch. Each buffer
//! has one task that empties it, so what piles up meanwhile leaves in one write.
//!
//! | file | what |
//! |---|---|
//! | `member` | assembly: opens the folder, starts the tasks, stops them |
//! | `core` | the locked part: replica and buffers; where outputs go |
//! | `log` | the task that writes the log: one flush in flight, what arrives meanwhile goes into the next |
//! | `roll_call` | before all: whether the disk is older than what the others remember |
//! | `links` | streams to and from the other members |
//! | `timers` | the timers of consensus, and the tick |
//! | `snapshots` | written, sent, received away from the core thread |
//! | `clients` | listeners and connections of the client protocols |
//! | `words` | ZooKeeper's four-letter words |
//! | `figures` | counters for operators |

mod clients;
mod core;
mod fault_points;
mod figures;
mod links;
mod log;
mod member;
mod observer;
mod roll_call;
mod snapshots;
mod timers;
mod words;

pub use fault_points::FAULT_POINTS;
pub use figures::Figures;
pub use links::PROTOCOL;
pub use member::{Config, Error, Member, Stopped};
pub use observer::Observer;
pub use synod_env as env;
pub use synod_replica as replica;
pub use synod_replica::Role;
pub use synod_storage as storage;
