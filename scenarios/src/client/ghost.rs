//! A client that goes on over a connection which its session has left: it does not know better, or it is two processes.
//! What it writes must be refused, and the member must end the connection when it hears of the move.

use super::connection::Connection;
use super::source::Source;
use super::watches::Watches;
use super::{Change, Client, Signals};
use crate::plan::{Operation, Step};
use std::sync::Arc;
use std::time::Duration;
use synod_sim::Dice;

/// Values that a ghost writes are numbered from here on: each value is written once.
const WRITTEN: u64 = 1_000_000;
/// Operations that a ghost makes.
const OPERATIONS: u64 = 10;

pub(super) struct Ghost {
    client: Client,
    life: Duration,
}

impl Ghost {
    /// The ghost of a client that has just left its connection.
    pub fn of(client: &mut Client, for_ms: u64) -> Ghost {
        client.written += OPERATIONS;
        let now = client.env.now();
        let begin_us = now.since(client.beginning).as_micros() as u64;
        let steps = (0..OPERATIONS).map(|n| Step {
            client: client.id,
            at_us: begin_us + n * for_ms * 1_000 / OPERATIONS,
            operation: match n % 4 {
                // Nor may it end the session.
                1 if n == OPERATIONS - 1 && client.connects.is_multiple_of(2) => Operation::Reopen,
                0 => Operation::SetGet { path: "/k0".into(), conditional: false },
                1 => Operation::Get { path: "/k1".into(), watch: true },
                2 => Operation::SyncGet { path: "/k0".into() },
                _ => Operation::Ephemeral { path: format!("/e{}", n % 3) },
            },
        });
        let ghost = Client {
            id: client.id,
            env: client.env.clone(),
            recorder: client.recorder.clone(),
            signals: Arc::<Signals>::clone(&client.signals),
            dice: Dice::numbered(client.connects, u64::from(client.id)),
            source: Source::Script(steps.collect()),
            workload: client.workload.clone(),
            servers: client.servers.clone(),
            session: client.session.clone(),
            zxid_seen: client.zxid_seen,
            written: client.written + WRITTEN,
            versions: Default::default(),
            aversions: Default::default(),
            watches: Watches::default(),
            users: Default::default(),
            connects: client.connects,
            is_ghost: true,
            beginning: client.beginning,
            next_operation: now,
            silent_until: now,
        };
        Ghost { client: ghost, life: Duration::from_millis(for_ms) }
    }

    /// Works until the member ends the connection, or its time is over.
    pub async fn run(mut self, mut connection: Connection) {
        let env = self.client.env.clone();
        let _ = env.timeout(self.life, self.client.work(&mut connection)).await;
        self.client.recorder.changed(self.client.id, connection.id, Change::Disconnected);
    }
}
