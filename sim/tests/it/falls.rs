//! Falls at chosen places, and fault points.

use crate::{arrives, ms};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use synod_env::{Env, OpenMode};
use synod_sim::{EventKind, Fall, Host, Trigger, World, run_seed};
use tokio::io::AsyncWriteExt;

/// Writes numbers, each with a sync of its own, and counts those that it knows to be durable.
async fn writer(env: Env, acknowledged: Arc<AtomicU64>) {
    let file = env.disk.open(Path::new("file"), OpenMode::CreateNew).await.expect("create");
    env.disk.sync_dir(Path::new("")).await.expect("sync folder");
    for n in 0_u64.. {
        let bytes = Bytes::from(vec![(n as u8).wrapping_add(1); 8]);
        file.write_sync(vec![(n * 16, bytes.clone()), (n * 16 + 8, bytes)]).await.expect("write and sync");
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Starts a writer, lets it fall, and gives what it knew and what its disk holds.
async fn fallen_writer(world: &World, trigger: Trigger, fall: Fall) -> (u64, Bytes) {
    let host = world.host();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let counter = acknowledged.clone();
    world.crash_at(host, trigger, fall);
    world.start(host, move |env| writer(env, counter));
    world.timeout(ms(100), world.ended(host)).await.expect("it falls");
    assert!(!world.is_running(host) && world.panics().is_empty());
    assert!(!world.disarm(host), "it falls once");
    (acknowledged.load(Ordering::Relaxed), world.file(host, Path::new("file")).expect("the file is there"))
}

#[test]
fn a_fall_at_a_sync_comes_before_anything_is_durable() {
    let mut kept = Vec::new();
    for seed in 0..30 {
        run_seed(seed, |world| async move {
            // The first sync is that of the folder.
            let (acknowledged, data) = fallen_writer(&world, Trigger::Sync(3), Fall::Crash).await;
            assert_eq!((acknowledged, data.len()), (1, 32), "a crash keeps what was written");
            assert_eq!(world.faults_effective(), [("crash", 1), ("crash at a sync", 1)].into());
        });
        kept.push(run_seed(seed, |world| async move {
            let (acknowledged, data) = fallen_writer(&world, Trigger::Sync(3), Fall::Power).await;
            assert_eq!((acknowledged, &data[..16]), (1, &[1; 16][..]), "what was acknowledged is gone");
            data.len()
        }));
    }
    assert!(
        kept.contains(&16) && kept.contains(&32),
        "the sync that was interrupted is as any unsynced write: {kept:?}"
    );
}

#[test]
fn a_fall_after_a_sync_leaves_it_durable_and_unknown() {
    for seed in 0..30 {
        run_seed(seed, |world| async move {
            let (acknowledged, data) = fallen_writer(&world, Trigger::AfterSync(3), Fall::Power).await;
            assert_eq!((acknowledged, &data[..]), (1, &[[1_u8; 16], [2; 16]].concat()[..]));
            assert_eq!(world.faults_effective(), [("crash after a sync", 1)].into());
        });
    }
}

#[test]
fn a_fall_at_a_write_leaves_its_followers_undone() {
    run_seed(1, |world| async move {
        let (acknowledged, data) = fallen_writer(&world, Trigger::Write(5), Fall::Crash).await;
        assert_eq!((acknowledged, data.len()), (2, 40), "the first part of the third is there, and no other");
        assert_eq!(world.faults_effective()["crash at a write"], 1);
    });
}

#[test]
fn a_fall_at_a_point_lets_its_task_take_no_further_step() {
    for fall in [Fall::Crash, Fall::Power] {
        run_seed(1, |world| async move {
            let (a, b) = (world.host(), world.host());
            let listener = world.env(a).network.listen(a.addr(80)).await.expect("listen");
            let steps = Arc::new(Mutex::new(Vec::new()));
            let seen = steps.clone();
            world.crash_at(b, Trigger::Point("here".to_owned(), 3), fall);
            world.start(b, move |env| async move {
                let mut stream = env.network.connect(a.addr(80)).await.expect("connect");
                for n in 0_u8.. {
                    env.sometimes("elsewhere");
                    seen.lock().expect("lock").push(n);
                    env.sometimes("here");
                    seen.lock().expect("lock").push(100 + n);
                    stream.write_all(&[n]).await.expect("write");
                    env.sleep(ms(10)).await;
                }
            });
            let mut stream = listener.accept().await.expect("accept");
            world.ended(b).await;
            assert_eq!(*steps.lock().expect("lock"), [0, 100, 1, 101, 2]);
            assert_eq!((world.panics(), world.sometimes()["here"]), (vec![], 3));
            world.sleep(ms(10)).await;
            let got = arrives(&world, &mut stream, ms(1)).await.expect("arrives").expect("read");
            assert_eq!(got, [0, 1], "what came before the point has left, nothing else");
            assert_eq!(arrives(&world, &mut stream, ms(100)).await.is_some(), fall == Fall::Crash);
            assert_eq!(world.faults_effective()["crash at a point"], 1);
        });
    }
}

#[test]
fn a_fall_can_be_taken_back() {
    run_seed(1, |world| async move {
        let host = world.host();
        world.crash_at(host, Trigger::Sync(40), Fall::Crash);
        world.start(host, |env| writer(env, Arc::default()));
        world.sleep(ms(2)).await;
        assert!(world.disarm(host));
        world.sleep(ms(100)).await;
        assert!(world.is_running(host) && world.faults_effective().is_empty());
    });
}

/// Which of a thousand visits to two points fire.
fn fires(seed: u64, probabilities: &[(&str, f64)]) -> [Vec<u64>; 2] {
    let probabilities: BTreeMap<String, f64> = probabilities.iter().map(|(name, p)| ((*name).to_owned(), *p)).collect();
    run_seed(seed, |world| async move {
        let host: Host = world.host();
        world.set_fault_points(host, probabilities);
        let events = Arc::new(AtomicU64::new(0));
        let counter = events.clone();
        world.on_event(move |event| {
            counter.fetch_add(u64::from(matches!(event.kind, EventKind::FaultPoint { .. })), Ordering::Relaxed);
        });
        let env = world.env(host);
        let mut fired = [Vec::new(), Vec::new()];
        for visit in 0..1_000 {
            fired[0].extend(env.buggify("one").then_some(visit));
            fired[1].extend(env.buggify_below("other", 7).map(|n| visit * 10 + n));
        }
        let counted = fired.each_ref().map(|fired| fired.len() as u64);
        assert_eq!(world.fault_points(), [("one", counted[0]), ("other", counted[1])].into());
        assert_eq!(world.faults_effective().get("fault point").copied().unwrap_or(0), counted[0] + counted[1]);
        assert_eq!(events.load(Ordering::Relaxed), counted[0] + counted[1]);
        fired
    })
}

#[test]
fn fault_points_fire_by_their_own_dice() {
    let [one, other] = fires(1, &[("one", 0.1), ("other", 0.5)]);
    assert!((50..150).contains(&one.len()) && (400..600).contains(&other.len()));
    assert!((0..7).all(|n| other.iter().any(|visit| visit % 10 == n)));
    assert_eq!(fires(1, &[("one", 0.1)]), [one.clone(), vec![]], "a point that is taken out disturbs another");
    assert_ne!(fires(2, &[("one", 0.1)])[0], one);
    assert_eq!(fires(1, &[]), [Vec::<u64>::new(), Vec::new()]);
}

#[test]
fn a_pausing_fault_point_pauses() {
    run_seed(1, |world| async move {
        let host = world.host();
        let env = world.env(host);
        let timed = async || {
            let began = world.now();
            env.buggify_pause("rest", ms(50)).await;
            world.now().since(began)
        };
        assert_eq!(timed().await, ms(0));
        world.set_fault_points(host, [("rest".to_owned(), 1.0)].into());
        let (one, other) = (timed().await, timed().await);
        assert!(one != other && one.max(other) < ms(51), "{one:?} {other:?}");
    });
}
