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
