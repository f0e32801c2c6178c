//! What can be done to a world. Each fault counts in [`World::faults_effective`] when it changes something: at once for
//! what happens at once, with the first segment, operation or damaged change it touches for the rest.
//!
//! | name | counted |
//! |---|---|
//! | `crash`, `pause`, `suspend`, `clock jump`, `clock drift`, `reset`, `rot`, `wipe`, `older disk`, `foreign disk` | when done to something that runs or exists |
//! | `power failure` | when at least one unsynced change was lost or torn |
//! | `crash at a sync`, `crash after a sync`, `crash at a write`, `crash at a point` | when the chosen place is reached; the fall counts besides |
//! | `fault point` | each time that one fires |
//! | `partition` | once a block, with the first segment that it stops |
//! | `syn timeout` | each attempt to connect that gets no answer |
//! | `failed accept` | each attempt to take a connection that waits |
//! | `half-open` | when an end hears of it: by a reset of the restarted peer, or by giving up |
//! | `late delivery` | each arrival of bytes over a connection that its sender has closed, when there is a newer one |
//! | `reordering`, `duplication` | each datagram that comes after a later one, or twice |
//! | `loss`, `delay`, `corruption`, `bandwidth`, `partial read`, `partial write` | each segment or call (`bandwidth`: delayed over 1 s) |
//! | `failed sync`, `disk full`, `misdirected read`, `misdirected write`, `read error`, `slow disk`, `stuck disk` | each operation |
//! | `unplugged disk` | with the operation that it interrupts |

use crate::disk::{DiskConfig, Plug};
use crate::events::EventKind;
use crate::image::DiskImage;
use crate::kernel::Kernel;
use crate::links::{Block, BlockId, LinkConfig};
use crate::world::{Host, World};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Machines.
impl World {
    /// The processes of a host make no progress. Its sockets stay open and fill, its clocks go on.
    pub fn pause(&self, host: Host) {
        self.shared.with(|kernel| {
            let state = kernel.host(host.0);
            state.paused = true;
            state.processes.values().for_each(|tasks| tasks.pause());
            let any = !state.processes.is_empty();
            kernel.did(host, "pause", any);
        });
    }

    /// Ends [`World::pause`] and [`World::suspend`].
    pub fn resume(&self, host: Host) {
        self.shared.with(|kernel| {
            let now = kernel.now;
            let state = kernel.host(host.0);
            state.paused = false;
            state.processes.values().for_each(|tasks| tasks.resume());
            state.clock.rebase(now);
            state.clock.suspended = false;
            kernel.set_host_alarm(host.0);
            kernel.record(EventKind::Host { host: host.0, what: "resume" });
        });
    }

    /// As [`World::pause`], and the monotonic clock stands still until [`World::resume`]; the wall clock goes on.
    pub fn suspend(&self, host: Host) {
        self.pause(host);
        self.shared.with(|kernel| {
            let now = kernel.now;
            let clock = &mut kernel.host(host.0).clock;
            clock.rebase(now);
            clock.suspended = true;
            kernel.did(host, "suspend", true);
        });
    }

    /// Lets both clocks of a host run fast by so many millionths (slow if negative).
    pub fn set_clock_drift(&self, host: Host, drift_ppm: i64) {
        self.shared.with(|kernel| {
            let now = kernel.now;
            let clock = &mut kernel.host(host.0).clock;
            clock.rebase(now);
            // A clock that stands or goes back is no clock.
            clock.drift_ppm = drift_ppm.max(-999_999);
            kernel.set_host_alarm(host.0);
            kernel.did(host, "clock drift", drift_ppm != 0);
        });
    }

    /// Moves a host's wall clock.
    pub fn jump_wall_clock(&self, host: Host, by_ms: i64) {
        self.shared.with(|kernel| {
            kernel.host(host.0).clock.jump_wall(by_ms.saturating_mul(1_000_000));
            kernel.did(host, "clock jump", by_ms != 0);
        });
    }
}

/// The network.
impl World {
    /// How every direction between two hosts behaves that was not set on its own.
    pub fn set_links(&self, config: LinkConfig) {
        self.shared.with(|kernel| {
            for link in kernel.net.links.values_mut().filter(|link| !link.own) {
                link.config = config.clone();
            }
            kernel.net.link_config = config;
        });
    }

    /// How one direction behaves.
    pub fn set_link(&self, from: Host, to: Host, config: LinkConfig) {
        self.shared.with(|kernel| {
            let link = kernel.link(from.0, to.0);
            (link.config, link.own) = (config, true);
        });
    }

    /// Segments from some hosts to others vanish, for a span or until lifted.
    pub fn block(&self, from: &[Host], to: &[Host], span: Option<Duration>) -> BlockId {
        self.add_block(from, to, span, false)
    }

    /// Connection attempts from some hosts to others get no answer, for a span or until lifted: they end by the system's
    /// timeout, after 63 seconds, or when whoever asked loses patience. Connections that there are go on.
    pub fn drop_syns(&self, from: &[Host], to: &[Host], span: Option<Duration>) -> BlockId {
        self.add_block(from, to, span, true)
    }

    fn add_block(&self, from: &[Host], to: &[Host], span: Option<Duration>, syns_only: bool) -> BlockId {
        let hosts = |hosts: &[Host]| hosts.iter().map(|host| host.0).collect();
        self.shared.with(|kernel| {
            let id = BlockId(kernel.number());
            let until = World::until(kernel.now, span);
            kernel.net.blocks.retain(|block| block.until > kernel.now);
            kernel.net.blocks.push(Block { id, from: hosts(from), to: hosts(to), until, syns_only, used: false });
            for host in from {
                let what = if syns_only { "connecting blocked" } else { "blocked" };
                kernel.record(EventKind::Host { host: host.0, what });
            }
            id
        })
    }

    /// Blocks both directions between two groups of hosts. Hosts in neither group reach both: a partial partition.
    pub fn partition(&self, some: &[Host], others: &[Host], span: Option<Duration>) -> [BlockId; 2] {
        [self.block(some, others, span), self.block(others, some, span)]
    }

    /// Whether nothing passes between two hosts, or one cannot connect to the other.
    pub fn is_blocked(&self, one: Host, other: Host) -> bool {
        self.shared.with(|kernel| {
            let stops =
                |b: &Block, from: u32, to: u32| b.until > kernel.now && b.from.contains(&from) && b.to.contains(&to);
            kernel.net.blocks.iter().any(|b| stops(b, one.0, other.0) || stops(b, other.0, one.0))
        })
    }

    /// Lifts a block.
    pub fn unblock(&self, id: BlockId) {
        self.shared.with(|kernel| kernel.net.blocks.retain(|block| block.id != id));
    }

    /// Lifts all blocks.
    pub fn heal(&self) {
        self.shared.with(|kernel| kernel.net.blocks.clear());
    }

    /// Resets all connections between two hosts, at both ends.
    pub fn reset_connections(&self, one: Host, other: Host) {
        self.shared.with(|kernel| {
            let ids = kernel.connections_between(one, other);
            for &id in &ids {
                kernel.fail(id, 0, ErrorKind::ConnectionReset);
                kernel.fail(id, 1, ErrorKind::ConnectionReset);
            }
            kernel.did(one, "reset", !ids.is_empty());
        });
    }

    /// From now on nothing that either end of the present connections between two hosts sends reaches the other: no
    /// bytes, no end, no reset. New connections are not touched.
    pub fn half_open(&self, one: Host, other: Host) {
        self.shared.with(|kernel| {
            for id in kernel.connections_between(one, other) {
                if let Some(conn) = kernel.net.conns.get_mut(&id) {
                    conn.silent = true;
                }
            }
            kernel.record(EventKind::Host { host: one.0, what: "half-open connections" });
        });
    }
}

/// Disks.
impl World {
    /// How long a host's disk takes.
    pub fn set_disk(&self, host: Host, config: DiskConfig) {
        self.shared.with(|kernel| kernel.host(host.0).disk.config = config);
    }

    /// Every operation takes so many times as long, for a span or for good. A factor of 1 ends it.
    pub fn slow_disk(&self, host: Host, factor: u32, span: Option<Duration>) {
        self.shared.with(|kernel| {
            let until = if factor <= 1 { 0 } else { World::until(kernel.now, span) };
            kernel.host(host.0).disk.slow = (factor, until);
        });
    }

    /// No operation completes for a span.
    pub fn stick_disk(&self, host: Host, span: Duration) {
        self.shared.with(|kernel| {
            let until = World::until(kernel.now, Some(span));
            let disk = &mut kernel.host(host.0).disk;
            disk.stuck_until = disk.stuck_until.max(until);
        });
    }

    /// The next syncs fail, and what they should have written is lost with the power, though reads and later syncs
    /// go well.
    pub fn fail_syncs(&self, host: Host, times: u32) {
        self.shared.with(|kernel| kernel.host(host.0).disk.failing_syncs = times);
    }

    /// Whether the disk still shows something that a failed sync has not made durable, and no later one will: a power
    /// failure brings it to light.
    pub fn disk_lies(&self, host: Host) -> bool {
        self.shared.with(|kernel| kernel.host(host.0).disk.lies())
    }

    /// A host's disk is gone in the middle of an operation, after so many more: all operations fail from then on.
    pub fn unplug_disk(&self, host: Host, operations: u64) {
        self.shared.with(|kernel| kernel.host(host.0).disk.plug = Plug::InFor(operations));
    }

    /// The disk is back, without its locks and as a power failure leaves it.
    pub fn plug_disk(&self, host: Host) {
        self.shared.with(|kernel| {
            let disk = &mut kernel.host(host.0).disk;
            disk.plug = Plug::In;
            disk.lose();
            kernel.record(EventKind::Host { host: host.0, what: "disk is back" });
        });
    }

    /// The disk is back as it was, without its locks: it was the process that ended.
    pub fn replug_disk(&self, host: Host) {
        self.shared.with(|kernel| {
            let disk = &mut kernel.host(host.0).disk;
            disk.plug = Plug::In;
            disk.unlock(None);
        });
    }

    /// Connections that wait to be accepted cannot be: the process has as many files as it may, until the limit is lifted.
    /// They stay in the queue.
    pub fn limit_files(&self, host: Host, reached: bool) {
        self.shared.with(|kernel| kernel.host(host.0).out_of_files = reached);
    }

    /// Files cannot grow and cannot be created, until the disk is no longer full.
    pub fn fill_disk(&self, host: Host, full: bool) {
        self.shared.with(|kernel| kernel.host(host.0).disk.room = full.then_some(0));
    }

    /// The disk is full once its files have grown by so many bytes more: the write that needs more is cut short and fails.
    /// What is removed gives nothing back; [`World::fill_disk`] lifts the limit.
    pub fn limit_disk(&self, host: Host, bytes: u64) {
        self.shared.with(|kernel| kernel.host(host.0).disk.room = Some(bytes));
    }

    /// So many of the next reads come from a wrong place of their file.
    pub fn misdirect_reads(&self, host: Host, times: u32) {
        self.shared.with(|kernel| kernel.host(host.0).disk.misdirected_reads = times);
    }

    /// The next writes land in a wrong place of their file; between two of them three go right.
    pub fn misdirect_writes(&self, host: Host, times: u32) {
        self.shared.with(|kernel| kernel.host(host.0).disk.misdirected_writes = times);
    }

    /// Flips one bit of a durable byte in a range of a file. Gives its offset; none if nothing durable is there.
    pub fn rot(&self, host: Host, path: &Path, range: Range<u64>) -> Option<u64> {
        self.shared.with(|kernel| {
            let at = kernel.host(host.0).disk.content(path).and_then(|(c, dice)| c.rot(range.start, range.end, dice));
            kernel.did(host, "rot", at.is_some());
            at
        })
    }

    /// The pages of a range of a file cannot be read until they are written. Whether there are any.
    pub fn spoil(&self, host: Host, path: &Path, range: Range<u64>) -> bool {
        self.shared.with(|kernel| {
            let content = kernel.host(host.0).disk.content(path);
            content.is_some_and(|(content, _)| content.spoil(range.start, range.end))
        })
    }

    /// The files of a host with their lengths, sorted by path.
    pub fn files(&self, host: Host) -> Vec<(PathBuf, u64)> {
        self.shared.with(|kernel| kernel.host(host.0).disk.paths().map(|(path, len)| (path.to_owned(), len)).collect())
    }

    /// The bytes of a file as processes would read them; none if there is no such file.
    pub fn file(&self, host: Host, path: &Path) -> Option<bytes::Bytes> {
        self.shared.with(|kernel| {
            let (content, _) = kernel.host(host.0).disk.content(path)?;
            Some(content.read(0, usize::try_from(content.len()).unwrap_or(usize::MAX)))
        })
    }

    /// Empties a host's disk. Its processes should have ended.
    pub fn wipe(&self, host: Host) {
        self.shared.with(|kernel| {
            let held = kernel.host(host.0).disk.paths().next().is_some();
            kernel.host(host.0).disk.wipe();
            kernel.did(host, "wipe", held);
        });
    }

    /// What a host's disk holds now.
    pub fn disk_image(&self, host: Host) -> DiskImage {
        self.shared.with(|kernel| kernel.host(host.0).disk.image(host.0))
    }

    /// Number of changes on a host's disk that are not durable: writes, changes of length, changes of names.
    pub fn unsynced(&self, host: Host) -> usize {
        self.shared.with(|kernel| kernel.host(host.0).disk.unsynced())
    }

    /// Puts what a disk held once, of this host or of another, on a host's disk, all of it durable. The host's processes
    /// should have ended.
    pub fn restore_disk(&self, host: Host, image: DiskImage) {
        self.shared.with(|kernel| {
            let what = if image.host == host.0 { "older disk" } else { "foreign disk" };
            kernel.host(host.0).disk.restore(image);
            kernel.did(host, what, true);
        });
    }

    /// Exchanges the disks of two hosts. Their processes should have ended.
    pub fn swap_disks(&self, one: Host, other: Host) {
        let images = (self.disk_image(one), self.disk_image(other));
        self.restore_disk(one, images.1);
        self.restore_disk(other, images.0);
    }
}

impl Kernel {
    /// Notes what was done to a host.
    pub fn did(&mut self, host: Host, what: &'static str, effective: bool) {
        self.record(EventKind::Host { host: host.0, what });
        if effective {
            self.effect(what);
        }
    }

    fn connections_between(&self, one: Host, other: Host) -> Vec<u64> {
        let between = |hosts: [u32; 2]| hosts == [one.0, other.0] || hosts == [other.0, one.0];
        let open = self.net.conns.iter().filter(|(_, conn)| {
            between([conn.ends[0].host, conn.ends[1].host]) && conn.ends.iter().any(|end| !end.closed)
        });
        open.map(|(&id, _)| id).collect()
    }
}
