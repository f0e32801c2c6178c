//! The vocabulary that the rooms of the house share: names for log positions, eras, counters, sessions, commands,
//! outcomes and events, and the messages members exchange. Data only: what the data *means* lives in `consensus`
//! (log), `state` (commands), `replica` (requests); how it looks as bytes lives in `wire`.

pub mod command;
pub mod ids;
pub mod mutants;
pub mod peer;
pub mod raft;
pub mod record;
pub mod session;
pub mod time;
pub mod version;
pub mod znode;

pub use command::{Command, Origin, Proposal, WriteOp};
pub use ids::{Index, NodeId, SessionId, Term, Zxid};
pub use mutants::{Mutant, Mutants};
pub use time::Instant;
pub use znode::{Acl, ErrorCode, Identity, Stat};
