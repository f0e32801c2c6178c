//! Faults of machines: crashes, power failures, pauses, clocks.

use crate::{Pair, arrives, connect, ms, pair, send};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use synod_sim::{World, run_seed};

#[test]
fn a_crash_ends_the_stream_after_what_was_sent() {
    run_seed(1, |world| async move {
        let Pair { world, b, env_a, mut client, mut server, .. } = pair(world).await;
        send(&mut server, b"last words").await;
        world.crash(b);
        assert_eq!(arrives(&world, &mut client, ms(2)).await.expect("arrives").expect("read"), b"last words");
        assert_eq!(arrives(&world, &mut client, ms(2)).await.expect("arrives").expect("read"), b"");
        let refused = env_a.network.connect(b.addr(80)).await.map(drop).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(!world.is_running(b));
    });
}

#[test]
fn a_crash_with_unread_bytes_resets() {
    run_seed(1, |world| async move {
        let Pair { world, b, mut client, server: _server, .. } = pair(world).await;
        send(&mut client, b"unread").await;
        world.sleep(ms(2)).await;
        world.crash(b);
        let error = arrives(&world, &mut client, ms(2)).await.expect("reset").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_crash_behind_a_partition_is_not_heard_of() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, server: _server, .. } = pair(world).await;
        world.partition(&[a], &[b], Some(ms(2_000)));
        world.crash(b);
        assert!(arrives(&world, &mut client, ms(1_990)).await.is_none());
        assert_eq!(arrives(&world, &mut client, ms(4_000)).await.expect("arrives").expect("read"), b"");
    });
}

#[test]
fn after_a_power_failure_the_peer_hears_nothing_until_it_sends_to_the_restarted_host() {
    run_seed(1, |world| async move {
        let Pair { world, b, mut client, server: _server, .. } = pair(world).await;
        world.power_fail(b);
        assert!(arrives(&world, &mut client, Duration::from_secs(60)).await.is_none());
        send(&mut client, b"anyone?").await;
        assert!(arrives(&world, &mut client, ms(500)).await.is_none());
        let _env = world.env(b);
        let error = arrives(&world, &mut client, ms(1_000)).await.expect("reset").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(world.faults_effective()["half-open"], 1);
    });
}

#[test]
fn a_process_ends_with_its_main_and_with_a_panic() {
    run_seed(1, |world| async move {
        let host = world.host();
        let ticks = Arc::new(AtomicU64::new(0));
        let run = |world: &World, panics: bool| {
            let ticks = ticks.clone();
            world.start(host, move |env| async move {
                let ticker = env.clone();
                env.spawn("tick", async move {
                    loop {
                        ticker.sleep(ms(10)).await;
                        ticks.fetch_add(1, Ordering::Relaxed);
                    }
                });
                env.sleep(ms(95)).await;
                assert!(!panics, "on purpose");
            });
        };
        run(&world, false);
        world.sleep(ms(1_000)).await;
        assert_eq!(ticks.load(Ordering::Relaxed), 9);
        assert!(!world.is_running(host) && world.panics().is_empty());
        run(&world, true);
        world.sleep(ms(1_000)).await;
        assert_eq!(ticks.load(Ordering::Relaxed), 18);
        assert_eq!(world.panics(), [(host, "on purpose".to_owned())]);
        assert!(!world.is_running(host));
    });
}

#[test]
fn a_paused_process_stands_still_while_its_clock_goes_on() {
    run_seed(1, |world| async move {
        let host = world.host();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        world.start(host, move |env| async move {
            loop {
                env.sleep(ms(100)).await;
                sink.lock().expect("lock").push(env.now());
            }
        });
        world.sleep(ms(250)).await;
        world.pause(host);
        world.sleep(ms(5_000)).await;
        assert_eq!(seen.lock().expect("lock").len(), 2);
        world.resume(host);
        world.sleep(ms(10)).await;
        let seen = seen.lock().expect("lock").clone();
        assert_eq!(seen.len(), 3);
        assert!(seen[2].since(seen[1]) > ms(5_000), "the clock stood still");
    });
}

#[test]
fn a_paused_process_can_be_crashed_and_a_process_of_a_paused_host_waits() {
    run_seed(1, |world| async move {
        let host = world.host();
        let ticks = Arc::new(AtomicU64::new(0));
        let run = |world: &World| {
            let ticks = ticks.clone();
            world.start(host, move |env| async move {
                loop {
                    env.sleep(ms(10)).await;
                    ticks.fetch_add(1, Ordering::Relaxed);
                }
            });
        };
        run(&world);
        world.sleep(ms(15)).await;
        world.pause(host);
        world.sleep(ms(100)).await;
        world.crash(host);
        run(&world);
        world.sleep(ms(100)).await;
        assert_eq!(ticks.load(Ordering::Relaxed), 1);
        world.resume(host);
        world.sleep(ms(15)).await;
        assert_eq!(ticks.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn clocks_drift_jump_and_are_unrelated() {
    run_seed(1, |world| async move {
        let (a, b) = (world.host(), world.host());
        let env = world.env(a);
        let (a_began, b_began) = (world.clocks(a), world.clocks(b));
        assert_ne!(a_began.0, b_began.0, "monotonic clocks of two hosts start at one moment");
        assert_eq!(a_began.1, b_began.1);
        world.set_clock_drift(a, 100_000);
        world.jump_wall_clock(b, -5_000);
        let began = world.now();
        env.sleep(Duration::from_secs(11)).await;
        let took = world.now().since(began);
        assert!(took > ms(9_999) && took < ms(10_001), "11 s of a clock that runs a tenth fast took {took:?}");
        let (a_ended, b_ended) = (world.clocks(a), world.clocks(b));
        assert_eq!(a_ended.0.since(a_began.0).as_secs(), 11);
        assert_eq!(b_ended.0.since(b_began.0).as_millis() / 10, 1_000, "a wall clock's jump moved the monotonic one");
        assert!((a_ended.1 - a_began.1 - 11_000).abs() <= 1);
        assert!((b_ended.1 - b_began.1 - 5_000).abs() <= 1);
    });
}

#[test]
fn a_drift_that_begins_during_a_sleep_counts() {
    run_seed(1, |world| async move {
        let host = world.host();
        let env = world.env(host);
        let began = world.now();
        let sleep = env.sleep(Duration::from_secs(10));
        let drift = async {
            world.sleep(Duration::from_secs(5)).await;
            world.set_clock_drift(host, -500_000);
        };
        tokio::join!(sleep, drift);
        assert_eq!(world.now().since(began).as_millis() / 10, 1_500);
    });
}

#[test]
fn a_suspended_machine_keeps_wall_time_only() {
    run_seed(1, |world| async move {
        let host = world.host();
        let env = world.env(host);
        let began = (world.now(), world.clocks(host));
        let sleep = env.sleep(ms(1_000));
        let suspend = async {
            world.sleep(ms(500)).await;
            world.suspend(host);
            world.sleep(ms(10_000)).await;
            let (monotonic, wall) = world.clocks(host);
            assert_eq!(monotonic.since(began.1.0).as_millis(), 500);
            assert!((wall - began.1.1 - 10_500).abs() <= 1);
            world.resume(host);
        };
        tokio::join!(sleep, suspend);
        assert_eq!(world.now().since(began.0).as_millis() / 10, 1_100);
    });
}

#[test]
fn processes_find_their_disk_and_their_randomness_goes_on() {
    run_seed(1, |world| async move {
        let host = world.host();
        let env = world.env(host);
        let first = env.random_u64();
        let _lock = env.disk.lock(Path::new("lock")).await.expect("lock");
        world.crash(host);
        env.disk.lock(Path::new("other")).await.map(drop).expect_err("a dead process has no disk");
        let env_b = world.env(host);
        env_b.disk.lock(Path::new("lock")).await.expect("the lock ended with its process");
        assert_ne!(env_b.random_u64(), first);
        let (mut client, mut server) = connect(&env_b, &env_b, host, 80).await;
        send(&mut client, b"to myself").await;
        assert!(arrives(&world, &mut server, ms(1)).await.is_some());
    });
}

#[test]
fn a_wall_clock_jumps_both_ways_and_sleeps_do_not_notice() {
    run_seed(1, |world| async move {
        let host = world.host();
        let env = world.env(host);
        for by_ms in [3_600_000, -7_200_000] {
            let (began, wall) = (env.now(), env.wall_ms());
            let sleep = env.sleep(ms(1_000));
            let jump = async {
                world.sleep(ms(500)).await;
                world.jump_wall_clock(host, by_ms);
            };
            tokio::join!(sleep, jump);
            assert_eq!(env.now().since(began).as_millis(), 1_000);
            assert!((env.wall_ms() - wall - 1_000 - by_ms).abs() <= 1);
        }
        assert_eq!(world.faults_effective()["clock jump"], 2);
    });
}
