//! Faults of disks.

use crate::ms;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use synod_env::{Env, File, OpenMode};
use synod_sim::{Host, World, run_seed};

fn path() -> &'static Path {
    Path::new("data/file")
}

/// A host whose disk durably holds an empty file.
async fn host(world: &World) -> (Host, Env, Box<dyn File>) {
    let host = world.host();
    let env = world.env(host);
    env.disk.create_dir_all(Path::new("data")).await.expect("create folder");
    env.disk.sync_dir(Path::new("")).await.expect("sync folder");
    let file = env.disk.open(path(), OpenMode::CreateNew).await.expect("create");
    env.disk.sync_dir(Path::new("data")).await.expect("sync folder");
    (host, env, file)
}

async fn reopened(world: &World, host: Host) -> Box<dyn File> {
    let env = world.env(host);
    env.disk.open(path(), OpenMode::Write).await.expect("open")
}

async fn read_all(file: &dyn File) -> Bytes {
    file.read_at(0, 1 << 20).await.expect("read")
}

#[test]
fn a_crash_keeps_what_was_written_and_not_synced() {
    run_seed(1, |world| async move {
        let (host, _env, file) = host(&world).await;
        file.write_at(0, Bytes::from_static(b"unsynced")).await.expect("write");
        world.crash(host);
        assert_eq!(read_all(&*reopened(&world, host).await).await[..], b"unsynced"[..]);
    });
}

#[test]
fn power_failures_lose_tear_and_keep_unsynced_writes_and_never_synced_ones() {
    let mut fates = BTreeSet::new();
    for seed in 0..60 {
        let fate = run_seed(seed, |world| async move {
            let (host, _env, file) = host(&world).await;
            file.write_sync(vec![(0, Bytes::from(vec![1; 5_000]))]).await.expect("write and sync");
            file.write_at(5_000, Bytes::from(vec![2; 5_000])).await.expect("write");
            file.write_at(100, Bytes::from(vec![3; 50])).await.expect("write");
            world.power_fail(host);
            assert!(!world.is_running(host));
            let data = read_all(&*reopened(&world, host).await).await;
            assert!(data[..100].iter().all(|&b| b == 1) && data[150..5_000].iter().all(|&b| b == 1));
            let tail: Vec<u8> = data[5_000..].to_vec();
            let first = match (tail.len(), tail.iter().filter(|&&b| b == 2).count()) {
                (5_000, 5_000) => "kept",
                (0, 0) => "lost",
                (len, twos) if len == twos => "cut",
                _ => "holes",
            };
            let damaged = first != "kept" || data[100..150] != [3; 50];
            assert_eq!(world.faults_effective().contains_key("power failure"), damaged);
            (first, data[149] == 3)
        });
        fates.insert(fate);
    }
    let expected = ["kept", "lost", "cut", "holes"];
    let missing = expected.iter().flat_map(|first| [(*first, true), (*first, false)]).filter(|f| !fates.contains(f));
    assert_eq!(missing.collect::<Vec<_>>(), [], "a later write can survive without an earlier one, and the reverse");
}

#[test]
fn a_write_and_sync_that_power_interrupts_may_be_torn() {
    let mut lens = BTreeSet::new();
    for seed in 0..40 {
        lens.insert(run_seed(seed, |world| async move {
            let (host, _env, file) = host(&world).await;
            let write = file.write_sync(vec![(0, Bytes::from(vec![1; 5_000]))]);
            assert!(world.timeout(ms(0), write).await.is_none());
            world.power_fail(host);
            read_all(&*reopened(&world, host).await).await.len()
        }));
    }
    assert!(lens.contains(&0) && lens.contains(&5_000) && lens.len() > 5, "{lens:?}");
}

#[test]
fn names_are_durable_after_their_directory_is_synced_only() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        seen.insert(run_seed(seed, |world| async move {
            let (host, env, file) = host(&world).await;
            file.write_sync(vec![(0, Bytes::from_static(b"old"))]).await.expect("write");
            let temporary = Path::new("data/file.tmp");
            let new = env.disk.open(temporary, OpenMode::CreateNew).await.expect("create");
            new.write_sync(vec![(0, Bytes::from_static(b"new"))]).await.expect("write");
            env.disk.rename(temporary, path()).await.expect("rename");
            if seed % 2 == 0 {
                env.disk.sync_dir(Path::new("data")).await.expect("sync folder");
            }
            world.power_fail(host);
            let data = read_all(&*reopened(&world, host).await).await;
            assert!(seed % 2 == 1 || data == "new", "a rename was lost after sync_dir");
            (data, world.files(host).len())
        }));
    }
    let of = |text: &'static str, files| (Bytes::from_static(text.as_bytes()), files);
    assert_eq!(seen, [of("new", 1), of("old", 1), of("old", 2)].into());
}

#[test]
fn unsynced_directories_take_their_files_along() {
    let mut seen = BTreeSet::new();
    for seed in 0..20 {
        seen.insert(run_seed(seed, |world| async move {
            let host = world.host();
            let env = world.env(host);
            env.disk.create_dir_all(Path::new("data/deep")).await.expect("create folder");
            let file = env.disk.open(Path::new("data/deep/file"), OpenMode::CreateNew).await.expect("create");
            file.sync().await.expect("sync");
            env.disk.sync_dir(Path::new("data/deep")).await.expect("sync folder");
            world.power_fail(host);
            world.files(host).len()
        }));
    }
    assert_eq!(seen, [0, 1].into());
}

#[test]
fn a_failed_sync_loses_with_the_power_what_later_syncs_claim_to_have() {
    run_seed(3, |world| async move {
        let (host, _env, file) = host(&world).await;
        file.write_sync(vec![(0, Bytes::from(vec![1; 9_000]))]).await.expect("write and sync");
        world.fail_syncs(host, 1);
        file.write_sync(vec![(0, Bytes::from(vec![2; 100]))]).await.expect_err("the sync fails");
        assert_eq!(world.faults_effective()["failed sync"], 1);
        file.write_at(5_000, Bytes::from(vec![3; 100])).await.expect("write");
        file.sync().await.expect("later syncs succeed");
        assert_eq!(read_all(&*file).await[0], 2);
        world.power_fail(host);
        let data = read_all(&*reopened(&world, host).await).await;
        assert_eq!(data[..100], [1; 100], "what the failed sync did not write came back");
        assert_eq!(data[5_000..5_100], [3; 100]);
    });
}

#[test]
fn a_full_disk_refuses_growth_only() {
    run_seed(1, |world| async move {
        let (host, env, file) = host(&world).await;
        file.write_at(0, Bytes::from(vec![0; 8_192])).await.expect("write");
        world.fill_disk(host, true);
        file.write_at(100, Bytes::from_static(b"inside")).await.expect("overwrite");
        let full = file.write_at(8_190, Bytes::from_static(b"over the end")).await.expect_err("full");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let full = env.disk.open(Path::new("data/new"), OpenMode::CreateNew).await.map(drop).expect_err("full");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        world.fill_disk(host, false);
        file.write_at(8_190, Bytes::from_static(b"over the end")).await.expect("write");
        assert_eq!(world.faults_effective()["disk full"], 2);
    });
}

#[test]
fn rot_flips_one_durable_bit_and_bad_pages_fail_until_written() {
    run_seed(1, |world| async move {
        let (host, _env, file) = host(&world).await;
        file.write_sync(vec![(0, Bytes::from(vec![0; 10_000]))]).await.expect("write");
        let at = world.rot(host, path(), 500..600).expect("something durable is there") as usize;
        assert!((500..600).contains(&at));
        let data = read_all(&*file).await;
        assert_eq!(data[at].count_ones(), 1);
        assert_eq!(data.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
        assert_eq!(world.rot(host, path(), 20_000..30_000), None);
        assert_eq!(world.rot(host, Path::new("data/none"), 0..1), None);

        assert!(world.spoil(host, path(), 4_096..4_097));
        file.read_at(0, 4_096).await.expect("the page before");
        file.read_at(4_000, 200).await.expect_err("a bad page");
        assert_eq!(world.faults_effective()["read error"], 1);
        file.write_at(4_096, Bytes::from(vec![1; 4_096])).await.expect("write");
        assert_eq!(file.read_at(4_096, 1).await.expect("read")[0], 1);
        assert_eq!(world.faults_effective()["rot"], 1);
    });
}

#[test]
fn a_misdirected_write_lands_elsewhere() {
    run_seed(1, |world| async move {
        let (host, _env, file) = host(&world).await;
        file.write_at(0, Bytes::from(vec![1; 16_384])).await.expect("write");
        world.misdirect_writes(host, 1);
        file.write_at(4_096, Bytes::from(vec![2; 10])).await.expect("it claims to go well");
        assert_eq!(file.read_at(4_096, 1).await.expect("read")[0], 1);
        assert_eq!(read_all(&*file).await.iter().filter(|&&b| b == 2).count(), 10);
        assert_eq!(world.faults_effective()["misdirected write"], 1);
    });
}

#[test]
fn slow_and_stuck_disks_delay() {
    run_seed(1, |world| async move {
        let (host, _env, file) = host(&world).await;
        let timed = async |data: &'static [u8]| {
            let began = world.now();
            file.write_sync(vec![(0, Bytes::from_static(data))]).await.expect("write and sync");
            world.now().since(began)
        };
        assert!(timed(b"x").await < ms(1));
        world.slow_disk(host, 100, Some(ms(1_000)));
        let slow = timed(b"x").await;
        assert!(slow >= ms(10) && slow <= ms(50), "{slow:?}");
        world.sleep(ms(1_000)).await;
        assert!(timed(b"x").await < ms(1));
        world.stick_disk(host, ms(2_000));
        assert!(timed(b"x").await >= ms(2_000));
        assert!(world.faults_effective()["slow disk"] > 0 && world.faults_effective()["stuck disk"] > 0);
    });
}

#[test]
fn disks_are_wiped_and_put_back() {
    run_seed(1, |world| async move {
        let (host, _env, file) = host(&world).await;
        file.write_sync(vec![(0, Bytes::from_static(b"old"))]).await.expect("write");
        let image = world.disk_image(host);
        file.write_sync(vec![(0, Bytes::from_static(b"new"))]).await.expect("write");
        world.crash(host);
        world.wipe(host);
        assert_eq!(world.files(host), []);
        world.restore_disk(host, image);
        assert_eq!(world.file(host, path()).expect("the file is back"), "old");
        let file = reopened(&world, host).await;
        assert_eq!(read_all(&*file).await, "old");
        world.power_fail(host);
        assert_eq!(world.file(host, path()).expect("the image is durable"), "old");
    });
}

#[test]
fn an_unplugged_disk_fails_everything_until_it_is_back() {
    run_seed(1, |world| async move {
        let (host, env, file) = host(&world).await;
        world.unplug_disk(host, 1);
        file.write_sync(vec![(0, Bytes::from_static(b"one"))]).await.expect("before");
        file.write_sync(vec![(0, Bytes::from_static(b"two"))]).await.expect_err("unplugged");
        env.disk.list(Path::new("data")).await.expect_err("unplugged");
        world.plug_disk(host);
        let data = read_all(&*file).await;
        assert!(data.iter().zip(b"one").zip(b"two").all(|((b, one), two)| b == one || b == two), "{data:?}");
        assert_eq!(world.faults_effective()["unplugged disk"], 1);
    });
}

#[test]
fn a_write_is_torn_within_and_between_sectors_of_the_file() {
    let mut lens = BTreeSet::new();
    let mut holes = BTreeSet::new();
    for seed in 0..80 {
        let data = run_seed(seed, |world| async move {
            let (host, _env, file) = host(&world).await;
            // Not at the beginning of a sector: those are the file's.
            file.write_sync(vec![(0, Bytes::from(vec![1; 100]))]).await.expect("write and sync");
            file.write_at(100, Bytes::from(vec![2; 3_000])).await.expect("write");
            world.power_fail(host);
            read_all(&*reopened(&world, host).await).await
        });
        lens.insert(data.len());
        let zeros = data.iter().enumerate().filter(|(_, b)| **b == 0).map(|(at, _)| at);
        holes.extend(zeros);
    }
    assert!(lens.iter().any(|len| len % 512 != 0 && *len != 100 && *len != 3_100), "none within a sector: {lens:?}");
    assert!(lens.iter().any(|len| len % 512 == 0), "none between sectors: {lens:?}");
    let edges = holes.iter().filter(|at| !holes.contains(&at.wrapping_sub(1)) || !holes.contains(&(**at + 1)));
    let inside: Vec<_> = edges.filter(|at| **at != 100 && *at % 512 != 0 && *at % 512 != 511).collect();
    assert!(!holes.is_empty() && inside.is_empty(), "holes begin and end where sectors do: {inside:?}");
}

#[test]
fn a_limited_disk_is_full_in_the_middle_of_a_write() {
    run_seed(1, |world| async move {
        let (host, env, file) = host(&world).await;
        file.write_at(0, Bytes::from(vec![1; 1_000])).await.expect("write");
        world.limit_disk(host, 2_500);
        file.write_at(500, Bytes::from(vec![2; 1_500])).await.expect("it grows by 1,000");
        file.write_at(0, Bytes::from(vec![3; 2_000])).await.expect("an overwrite needs no room");
        let full = file.write_at(1_900, Bytes::from(vec![4; 1_700])).await.expect_err("it grows by 1,600");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let data = read_all(&*file).await;
        assert_eq!((data.len(), &data[1_900..]), (3_500, &[4; 1_600][..]), "what there was room for is written");
        let full = file.set_len(3_501).await.expect_err("no room");
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        env.disk.open(Path::new("data/new"), OpenMode::CreateNew).await.map(drop).expect_err("no room");
        world.fill_disk(host, false);
        file.set_len(9_000).await.expect("room again");
        assert_eq!(world.faults_effective()["disk full"], 3);
    });
}

#[test]
fn a_misdirected_read_comes_from_elsewhere() {
    run_seed(1, |world| async move {
        let (host, _env, file) = host(&world).await;
        let page = |n: u8| (u64::from(n) * 4_096, Bytes::from(vec![n; 4_096]));
        file.write_sync((0..8).map(page).collect()).await.expect("write and sync");
        world.misdirect_reads(host, 1);
        let mut wrong = 0;
        for _ in 0..30 {
            let read = file.read_at(4 * 4_096, 10).await.expect("it claims to go well");
            assert!(read.iter().all(|b| *b == read[0]), "{read:?}");
            // Beyond the end there is nothing.
            wrong += usize::from(read.first() != Some(&4));
        }
        assert_eq!(wrong, 1, "one of the reads");
        assert_eq!(world.faults_effective(), [("misdirected read", 1)].into());
    });
}

#[test]
fn disks_are_exchanged() {
    run_seed(1, |world| async move {
        let (a, _env, file) = host(&world).await;
        file.write_sync(vec![(0, Bytes::from_static(b"a"))]).await.expect("write");
        let (b, _env, file) = host(&world).await;
        file.write_sync(vec![(0, Bytes::from_static(b"b"))]).await.expect("write");
        world.crash(a);
        world.crash(b);
        world.swap_disks(a, b);
        assert_eq!(read_all(&*reopened(&world, a).await).await, "b");
        assert_eq!(read_all(&*reopened(&world, b).await).await, "a");
        assert_eq!(world.faults_effective()["foreign disk"], 2);
    });
}

#[test]
fn every_state_that_a_power_failure_could_leave() {
    run_seed(1, |world| async move {
        let (host, env, file) = host(&world).await;
        file.write_sync(vec![(0, Bytes::from_static(b"----"))]).await.expect("write");
        assert_eq!(world.unsynced(host), 0);
        assert_eq!(world.disk_image(host).crash_states(8).count(), 1);
        file.write_at(0, Bytes::from_static(b"1")).await.expect("write");
        file.set_len(3).await.expect("set length");
        file.write_at(1, Bytes::from_static(b"234")).await.expect("write");
        env.disk.rename(path(), Path::new("data/new")).await.expect("rename");
        assert_eq!(world.unsynced(host), 4);
        let look = |changes_max: usize| {
            let image = world.disk_image(host);
            let states = image.crash_states(changes_max).map(|state| {
                assert_eq!(state.unsynced(), 0);
                let other = world.host();
                world.restore_disk(other, state);
                let (path, _) = world.files(other).pop().expect("one file");
                let data = world.file(other, &path).expect("its content");
                (path == Path::new("data/new"), String::from_utf8_lossy(&data).into_owned())
            });
            let states: Vec<_> = states.collect();
            let seen: BTreeSet<_> = states.iter().cloned().collect();
            // The contents of the file do not depend on its name.
            assert_eq!(seen.iter().filter(|s| s.0).count() * 2, seen.len());
            (states.len(), seen.into_iter().filter(|s| s.0).map(|s| s.1).collect::<Vec<_>>())
        };
        // Of the last write: nothing, all, one byte, and two; of the first and of the cut: nothing or all.
        let (states, seen) = look(8);
        let heads = ["-", "1"];
        let mut expected: Vec<String> = Vec::new();
        for head in heads {
            expected.extend(["---", "----", "2--", "2-", "23-", "23", "234"].map(|rest| {
                let rest = rest.strip_prefix('-').unwrap_or(rest);
                format!("{head}{rest}")
            }));
        }
        expected.sort();
        assert_eq!((states, seen), (16 + 8 * 2, expected));
        let (states, seen) = look(2);
        assert_eq!((states, seen), (4 + 2 * 2, ["1--", "12-", "123", "1234"].map(str::to_owned).to_vec()));
    });
}
