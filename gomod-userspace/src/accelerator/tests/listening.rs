// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is served, how long, and how many.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

#[tokio::test]
async fn a_connection_that_nobody_redirected_is_reset_without_a_byte() {
    let bench = bench(None, Limits::default());
    let mut stranger = TcpStream::connect(bench.address).await.expect("accepted");
    let mut buffer = [0; 16];
    let read = soon(stranger.read(&mut buffer)).await;
    assert!(is_reset(&read.expect_err("no byte, no end")));
    assert_eq!((bench.serving.refused(), bench.serving.open()), (1, 0));
}

#[tokio::test]
async fn an_origin_serves_one_connection_only() {
    let (listener, destination) = destination().await;
    let bench = bench(None, Limits::default());
    let client = bench.dial(destination).await;
    let server = accepted(&listener).await;
    let peer = client.local_addr().expect("an address");
    assert!(bench.table.take(peer, bench.address).is_none());
    drop((client, server));
}

#[tokio::test]
async fn a_client_that_waits_for_the_server_is_spliced() {
    let (listener, destination) = destination().await;
    let limits = Limits {
        first_byte: Duration::from_millis(20),
        ..Limits::default()
    };
    let mut bench = bench(Some(policy(destination)), limits);
    let mut client = bench.dial(destination).await;
    let mut server = accepted(&listener).await;
    server.write_all(b"220 hello").await.expect("sent");
    let mut greeting = [0; 9];
    soon(client.read_exact(&mut greeting))
        .await
        .expect("greeted");
    assert_eq!(&greeting, b"220 hello");
    assert_eq!(bench.decision().await, (Way::Spliced, Why::Silent, None));
}

#[tokio::test]
async fn a_hello_that_drips_is_spliced_with_what_came_of_it() {
    let (listener, destination) = destination().await;
    let limits = Limits {
        opening: Duration::from_millis(20),
        ..Limits::default()
    };
    let mut bench = bench(Some(policy(destination)), limits);
    let mut client = bench.dial(destination).await;
    client.write_all(b"\x16\x03\x01\x02").await.expect("sent");
    let mut server = accepted(&listener).await;
    client.write_all(b"rest").await.expect("sent");
    let mut arrived = [0; 8];
    soon(server.read_exact(&mut arrived))
        .await
        .expect("spliced");
    assert_eq!(&arrived, b"\x16\x03\x01\x02rest");
    assert_eq!(bench.decision().await, (Way::Spliced, Why::Slow, None));
}

#[tokio::test]
async fn past_the_limit_nobody_is_accepted_and_the_beat_stops_until_one_ends() {
    let (listener, destination) = destination().await;
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let bench = bench(None, limits);
    let first = bench.dial(destination).await;
    let _server = accepted(&listener).await;
    let mut second = bench.dial(destination).await;
    second.write_all(b"x").await.expect("in the backlog");
    soon(async {
        while bench.serving.quiet_for() < 4 * Duration::from_millis(250) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(bench.serving.open(), 1);
    first.set_zero_linger().expect("set");
    drop(first);
    let mut server = accepted(&listener).await;
    assert_eq!(soon(server.read_u8()).await.expect("a byte"), b'x');
}

#[tokio::test(start_paused = true)]
async fn an_idle_listener_keeps_its_beat() {
    let bench = bench(None, Limits::default());
    for _ in 0..20 {
        // Time that is paused advances only when every task waits: no machine is too slow for this.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(bench.serving.quiet_for() <= Duration::from_millis(500));
    }
}

#[tokio::test]
async fn shutdown_resets_what_does_not_end() {
    let (listener, destination) = destination().await;
    let bench = bench(None, Limits::default());
    let mut client = bench.dial(destination).await;
    let mut server = accepted(&listener).await;
    let address = bench.address;
    soon(bench.serving.shutdown(Duration::from_millis(10))).await;
    let mut buffer = [0; 1];
    assert!(is_reset(
        &soon(client.read(&mut buffer)).await.expect_err("reset")
    ));
    assert!(is_reset(
        &soon(server.read(&mut buffer)).await.expect_err("reset")
    ));
    assert!(TcpStream::connect(address).await.is_err());
}
