//! Faults of the network.

use crate::{Pair, arrives, connect, ms, pair, send};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;
use synod_sim::{LinkConfig, run_seed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn a_partition_blocks_and_what_was_sent_arrives_after_it() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.partition(&[a], &[b], Some(ms(3_000)));
        send(&mut client, b"late").await;
        assert!(arrives(&world, &mut server, ms(2_900)).await.is_none());
        assert_eq!(world.faults_effective()["partition"], 1);
        // Pauses of 200, 400, 800, 1600 ms: the fourth copy comes at 3 s.
        assert_eq!(arrives(&world, &mut server, ms(400)).await.expect("arrives").expect("read"), b"late");
        send(&mut server, b"at once").await;
        assert_eq!(arrives(&world, &mut client, ms(2)).await.expect("arrives").expect("read"), b"at once");
    });
}

#[test]
fn an_unused_partition_has_no_effect() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, client: _client, server: _server, .. } = pair(world).await;
        world.partition(&[a], &[b], Some(ms(100)));
        world.sleep(ms(200)).await;
        assert_eq!(world.faults_effective().get("partition"), None);
    });
}

#[test]
fn a_one_way_block_leaves_the_other_way() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        let block = world.block(&[b], &[a], None);
        send(&mut client, b"there").await;
        assert_eq!(arrives(&world, &mut server, ms(2)).await.expect("arrives").expect("read"), b"there");
        send(&mut server, b"back").await;
        assert!(arrives(&world, &mut client, ms(1_000)).await.is_none());
        world.unblock(block);
        assert_eq!(arrives(&world, &mut client, ms(1_000)).await.expect("arrives").expect("read"), b"back");
    });
}

#[test]
fn a_partial_partition_leaves_a_third_host() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, env_a, env_b, mut client, mut server } = pair(world).await;
        let c = world.host();
        let env_c = world.env(c);
        let (mut ac, mut ca) = connect(&env_a, &env_c, c, 1).await;
        let (mut bc, mut cb) = connect(&env_b, &env_c, c, 2).await;
        world.partition(&[a], &[b], None);
        for stream in [&mut client, &mut ac, &mut bc] {
            send(stream, b"x").await;
        }
        assert!(arrives(&world, &mut ca, ms(2)).await.is_some());
        assert!(arrives(&world, &mut cb, ms(2)).await.is_some());
        assert!(arrives(&world, &mut server, ms(100)).await.is_none());
    });
}

#[test]
fn refused_at_once_but_silence_takes_the_syn_timeout() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, env_a, .. } = pair(world).await;
        let asked = world.now();
        let refused = env_a.network.connect(b.addr(81)).await.map(drop).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(world.now().since(asked) < ms(5));

        for silent in [b.addr(80), "10.9.9.9:80".parse().expect("address")] {
            world.partition(&[a], &[b], None);
            let asked = world.now();
            let error = env_a.network.connect(silent).await.map(drop).expect_err("nobody answers");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert_eq!(world.now().since(asked).as_secs(), 63, "2^6 - 1 seconds to the last of 7 sends");
        }
    });
}

#[test]
fn a_writer_gives_up_and_a_reader_notices_nothing() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.partition(&[a], &[b], None);
        send(&mut client, b"x").await;
        let error = arrives(&world, &mut client, Duration::from_secs(60)).await.expect("gives up");
        assert_eq!(error.expect_err("gives up").kind(), ErrorKind::TimedOut);
        assert_eq!(client.write(b"y").await.expect_err("dead").kind(), ErrorKind::TimedOut);
        assert!(arrives(&world, &mut server, Duration::from_secs(3_600)).await.is_none());
    });
}

#[test]
fn half_open_connections_swallow_everything_and_new_ones_work() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, env_a, env_b, mut client, server } = pair(world).await;
        world.half_open(a, b);
        drop(server);
        assert!(arrives(&world, &mut client, Duration::from_secs(600)).await.is_none(), "the FIN did not vanish");
        let (mut again, mut accepted) = connect(&env_a, &env_b, b, 81).await;
        send(&mut again, b"x").await;
        assert!(arrives(&world, &mut accepted, ms(2)).await.is_some());
        send(&mut client, b"x").await;
        let error = arrives(&world, &mut client, Duration::from_secs(60)).await.expect("gives up");
        assert_eq!(error.expect_err("gives up").kind(), ErrorKind::TimedOut);
        assert_eq!(world.faults_effective()["half-open"], 1);
    });
}

#[test]
fn resets_reach_both_ends() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.reset_connections(b, a);
        for stream in [&mut client, &mut server] {
            let error = arrives(&world, stream, ms(1)).await.expect("reset").expect_err("reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(world.faults_effective()["reset"], 1);
    });
}

#[test]
fn loss_delays_and_keeps_the_order() {
    run_seed(1, |world| async move {
        world.set_links(LinkConfig { loss: 0.3, ..LinkConfig::default() });
        let Pair { world, mut client, mut server, .. } = pair(world).await;
        let began = world.now();
        for n in 0..50_u8 {
            send(&mut client, &[n]).await;
            world.sleep(ms(1)).await;
        }
        for n in 0..50_u8 {
            assert_eq!(server.read_u8().await.expect("read"), n);
        }
        assert!(world.now().since(began) > ms(200));
        assert!(world.faults_effective()["loss"] > 5);
    });
}

#[test]
fn delays_follow_their_distribution() {
    run_seed(1, |world| async move {
        let tail = LinkConfig { tail_chance: 0.1, tail: ms(300), ..LinkConfig::default() };
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.set_link(a, b, tail);
        let mut spans = Vec::new();
        for _ in 0..300 {
            let sent = world.now();
            send(&mut client, b"x").await;
            server.read_u8().await.expect("read");
            spans.push(world.now().since(sent));
        }
        spans.sort();
        assert!(spans[0] >= Duration::from_micros(100) && spans[200] <= ms(2), "{:?} {:?}", spans[0], spans[200]);
        assert!(spans[299] > ms(150) && spans[299] < ms(310), "{:?}", spans[299]);
        assert_eq!(world.faults_effective()["delay"], spans.iter().filter(|span| **span > ms(1)).count() as u64);
    });
}

#[test]
fn bandwidth_limits_a_transfer() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.set_link(a, b, LinkConfig { bandwidth: Some(1_000_000), ..LinkConfig::default() });
        let began = world.now();
        let sent = async {
            client.write_all(&vec![1; 2_000_000]).await.expect("write");
            client.shutdown().await.expect("shutdown");
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(sent, server.read_to_end(&mut received));
        assert_eq!(read.expect("read"), 2_000_000);
        assert_eq!(world.now().since(began).as_secs(), 2);
    });
}

#[test]
fn a_paused_reader_fills_the_window_and_stops_the_writer() {
    run_seed(1, |world| async move {
        let (a, b) = (world.host(), world.host());
        let env = world.env(a);
        world.start(b, |env| async move {
            let listener = env.network.listen("0.0.0.0:80".parse().expect("address")).await.expect("listen");
            loop {
                let mut stream = listener.accept().await.expect("accept");
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.expect("read");
                stream.write_u64(all.len() as u64).await.expect("write");
            }
        });
        world.sleep(ms(1)).await;
        world.pause(b);
        // The kernel of a paused host answers: connecting works.
        let connect = world.timeout(ms(5), env.network.connect(b.addr(80))).await;
        let mut client = connect.expect("connect in time").expect("connect");
        let data = vec![7; 1 << 20];
        let mut written = 0;
        while let Some(n) = world.timeout(ms(1_000), client.write(&data)).await {
            written += n.expect("write");
        }
        assert_eq!(written, LinkConfig::default().window);
        world.resume(b);
        client.write_all(&data).await.expect("write");
        client.shutdown().await.expect("shutdown");
        assert_eq!(client.read_u64().await.expect("read"), (written + data.len()) as u64);
    });
}

#[test]
fn a_forgotten_attempt_leaves_no_connection() {
    run_seed(1, |world| async move {
        let Pair { world, b, env_a, env_b, .. } = pair(world).await;
        let listener = env_b.network.listen(b.addr(81)).await.expect("listen");
        // Longer than the SYN takes, shorter than its answer.
        let slow = LinkConfig { latency: (ms(10), ms(10)), ..LinkConfig::default() };
        world.set_links(slow);
        assert!(world.timeout(ms(15), env_a.network.connect(b.addr(81))).await.is_none());
        let mut accepted = listener.accept().await.expect("accept");
        let error = arrives(&world, &mut accepted, ms(100)).await.expect("reset").expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn connecting_without_an_answer_takes_the_syn_timeout_while_connections_go_on() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, env_a, env_b, mut client, mut server } = pair(world).await;
        let _listener = env_b.network.listen(b.addr(81)).await.expect("listen");
        world.drop_syns(&[a], &[b], Some(ms(100_000)));
        let asked = world.now();
        let error = env_a.network.connect(b.addr(81)).await.map(drop).expect_err("nobody answers");
        assert_eq!((error.kind(), world.now().since(asked).as_secs()), (ErrorKind::TimedOut, 63));
        send(&mut client, b"x").await;
        assert!(arrives(&world, &mut server, ms(2)).await.is_some(), "a connection that there is goes on");
        // The block has 37 seconds left: of the SYNs at 0, 1, 3, 7, 15, 31 and 63 seconds only the last comes after it.
        let asked = world.now();
        env_a.network.connect(b.addr(81)).await.expect("connect");
        assert_eq!(world.now().since(asked).as_secs(), 63);
        assert_eq!(world.faults_effective(), [("syn timeout", 2)].into());
    });
}

#[test]
fn flipped_bits_arrive_and_nothing_else_changes() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.set_link(a, b, LinkConfig { corrupt: 0.1, ..LinkConfig::default() });
        let mut wrong = 0;
        for n in 0..500_u32 {
            client.write_u32(n).await.expect("write");
            wrong += u64::from((server.read_u32().await.expect("read") ^ n).count_ones());
            server.write_u32(n).await.expect("write");
            assert_eq!(client.read_u32().await.expect("read"), n, "the other direction is healthy");
        }
        assert!((25..100).contains(&wrong), "{wrong}");
        assert_eq!(world.faults_effective(), [("corruption", wrong)].into());
    });
}

#[test]
fn bytes_of_a_closed_connection_arrive_after_those_of_the_next() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, env_a, env_b, mut client, mut server } = pair(world).await;
        world.set_link(a, b, LinkConfig { latency: (ms(500), ms(500)), ..LinkConfig::default() });
        send(&mut client, b"old").await;
        drop(client);
        world.set_link(a, b, LinkConfig::default());
        let (mut next, mut accepted) = connect(&env_a, &env_b, b, 81).await;
        send(&mut next, b"new").await;
        assert_eq!(arrives(&world, &mut accepted, ms(2)).await.expect("arrives").expect("read"), b"new");
        assert!(arrives(&world, &mut server, ms(400)).await.is_none());
        assert_eq!(arrives(&world, &mut server, ms(100)).await.expect("arrives").expect("read"), b"old");
        assert_eq!(arrives(&world, &mut server, ms(2)).await.expect("arrives").expect("read"), b"");
        assert_eq!(world.faults_effective(), [("late delivery", 1)].into());
    });
}

#[test]
fn what_has_left_a_host_arrives_after_its_power_has_failed() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        send(&mut client, b"last words").await;
        world.power_fail(a);
        assert_eq!(arrives(&world, &mut server, ms(2)).await.expect("arrives").expect("read"), b"last words");
        assert!(arrives(&world, &mut server, ms(60_000)).await.is_none(), "nobody closes the connection");
        drop((client, b));
    });
    // What is lost on the way is not sent again.
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.set_link(a, b, LinkConfig { loss: 1.0, ..LinkConfig::default() });
        send(&mut client, b"lost").await;
        world.power_fail(a);
        assert!(arrives(&world, &mut server, ms(60_000)).await.is_none());
    });
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        send(&mut client, b"blocked").await;
        world.power_fail(a);
        world.partition(&[a], &[b], Some(ms(10)));
        assert!(arrives(&world, &mut server, ms(60_000)).await.is_none());
    });
}

#[test]
fn a_slow_link_is_slow_one_way() {
    run_seed(1, |world| async move {
        let Pair { world, a, b, mut client, mut server, .. } = pair(world).await;
        world.set_link(a, b, LinkConfig { latency: (ms(300), ms(310)), ..LinkConfig::default() });
        let began = world.now();
        send(&mut client, b"x").await;
        server.read_u8().await.expect("read");
        let there = world.now();
        send(&mut server, b"x").await;
        client.read_u8().await.expect("read");
        assert!(there.since(began) >= ms(300) && world.now().since(there) <= ms(1));
    });
}

#[test]
fn datagrams_are_lost_come_twice_and_overtake_each_other() {
    run_seed(1, |world| async move {
        let (a, b) = (world.host(), world.host());
        let (env_a, env_b) = (world.env(a), world.env(b));
        let client = env_a.network.bind("0.0.0.0:0".parse().expect("address")).await.expect("bind");
        let server = env_b.network.bind(b.addr(53)).await.expect("bind");
        world.set_link(a, b, LinkConfig { loss: 0.1, duplicate: 0.1, reorder: 0.2, ..LinkConfig::default() });
        for n in 0..200_u8 {
            client.send_to(Bytes::from(vec![n; 3]), b.addr(53)).await.expect("send");
            world.sleep(ms(1)).await;
        }
        let mut order = Vec::new();
        while let Some(received) = world.timeout(ms(100), server.recv_from()).await {
            let (data, from) = received.expect("receive");
            assert!(data.len() == 3 && from == a.addr(client.local_addr().port()));
            order.push(data[0]);
        }
        let mut times = BTreeMap::new();
        order.iter().for_each(|n| *times.entry(*n).or_insert(0) += 1);
        let (lost, twice) = (200 - times.len() as u64, times.values().filter(|times| **times == 2).count() as u64);
        let effects = world.faults_effective();
        assert_eq!((effects["loss"], effects["duplication"]), (lost, twice));
        assert!((8..40).contains(&lost) && (8..40).contains(&twice), "{lost} lost, {twice} twice");
        assert!(order.windows(2).any(|pair| pair[1] < pair[0]) && effects["reordering"] > 10, "{order:?}");

        // Nobody sends one again after a partition, and a dead process's port is free.
        world.set_link(a, b, LinkConfig::default());
        world.partition(&[a], &[b], Some(ms(10)));
        client.send_to(Bytes::from_static(b"lost"), b.addr(53)).await.expect("send");
        assert!(world.timeout(ms(1_000), server.recv_from()).await.is_none());
        world.crash(b);
        server.recv_from().await.expect_err("a dead process has no network");
        world.env(b).network.bind(b.addr(53)).await.expect("the port is free");
    });
}
