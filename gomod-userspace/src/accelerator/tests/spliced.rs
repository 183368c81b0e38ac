// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is spliced arrives as it was sent, and ends as it ended.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Bytes without a pattern (xorshift), so that a swapped or lost piece shows.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(length)
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_arrive_byte_for_byte_and_each_ends_by_itself() {
    let (listener, destination) = destination().await;
    let mut bench = bench(Some(policy(destination)), Limits::default());
    let (up, down) = (noise(1, 3_000_000), noise(2, 5_000_001));
    let mut client = bench.dial(destination).await;
    client.write_all(&up[..1]).await.expect("sent");
    let mut server = accepted(&listener).await;
    let (of_client, of_server) = (up.clone(), down.clone());
    let client = tokio::spawn(async move {
        let (mut read, mut write) = client.split();
        let sending = async {
            write.write_all(&of_client[1..]).await.expect("sent");
            write.shutdown().await.expect("half closed");
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(sending, read.read_to_end(&mut got));
        read.expect("an end in order");
        got
    });
    // The server speaks only after the client's end: the other half must still be open.
    let mut got = Vec::new();
    soon(server.read_to_end(&mut got)).await.expect("an end");
    assert!(got == up, "what the server got differs");
    soon(server.write_all(&of_server)).await.expect("sent");
    drop(server);
    assert!(
        soon(client).await.expect("joined") == down,
        "what the client got differs"
    );
    assert_eq!(bench.decision().await, (Way::Spliced, Why::NotTls, None));
    let (requests, totals, error) = bench.ended().await;
    assert_eq!((requests, error), (0, None));
    assert_eq!(totals, (up.len() as u64, down.len() as u64));
}

#[tokio::test]
async fn two_hundred_connections_at_once_keep_apart() {
    let (listener, destination) = destination().await;
    let bench = bench(None, Limits::default());
    let echo = tokio::spawn(async move {
        for _ in 0..200 {
            let mut server = accepted(&listener).await;
            tokio::spawn(async move {
                let (mut read, mut write) = server.split();
                tokio::io::copy(&mut read, &mut write)
                    .await
                    .expect("echoed");
                write.shutdown().await.expect("ended");
            });
        }
    });
    let clients = (0..200).map(|number| async move { noise(number + 1, 20_000) });
    let mut tasks = Vec::new();
    for sent in clients {
        let sent = sent.await;
        let mut client = bench.dial(destination).await;
        tasks.push(tokio::spawn(async move {
            let (mut read, mut write) = client.split();
            let mut got = Vec::new();
            let sending = async {
                write.write_all(&sent).await.expect("sent");
                write.shutdown().await.expect("ended");
            };
            let ((), read) = tokio::join!(sending, read.read_to_end(&mut got));
            read.expect("an end");
            assert!(got == sent);
        }));
    }
    for task in tasks {
        soon(task).await.expect("joined");
    }
    soon(echo).await.expect("joined");
    soon(async {
        while bench.serving.open() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_of_the_destination_reaches_the_client() {
    let (listener, destination) = destination().await;
    let mut bench = bench(None, Limits::default());
    let mut client = bench.dial(destination).await;
    let mut server = accepted(&listener).await;
    server.write_all(b"x").await.expect("sent");
    assert_eq!(soon(client.read_u8()).await.expect("spliced"), b'x');
    server.set_zero_linger().expect("set");
    drop(server);
    let error = soon(client.read_u8()).await.expect_err("reset");
    assert!(is_reset(&error), "{error}");
    let (_, _, error) = bench.ended().await;
    let error = error.expect("told");
    assert!(error.starts_with(&destination.to_string()), "{error}");
}

#[tokio::test]
async fn a_reset_of_the_client_reaches_the_destination() {
    let (listener, destination) = destination().await;
    let bench = bench(None, Limits::default());
    let client = bench.dial(destination).await;
    let mut server = accepted(&listener).await;
    client.set_zero_linger().expect("set");
    drop(client);
    let error = soon(server.read_u8()).await.expect_err("reset");
    assert!(is_reset(&error), "{error}");
}

#[tokio::test]
async fn a_reset_reaches_a_destination_that_takes_no_more() {
    let (listener, destination) = destination().await;
    let bench = bench(None, Limits::default());
    let mut client = bench.dial(destination).await;
    let mut server = accepted(&listener).await;
    // Until every buffer on the way is full.
    let piece = vec![0; 64 * 1024];
    while tokio::time::timeout(Duration::from_millis(200), client.write_all(&piece))
        .await
        .is_ok()
    {}
    client.set_zero_linger().expect("set");
    drop(client);
    let mut rest = Vec::new();
    let error = soon(server.read_to_end(&mut rest))
        .await
        .expect_err("reset");
    assert!(is_reset(&error), "{error}");
}

#[tokio::test]
async fn a_reset_after_the_end_of_a_direction_reaches_the_other_side() {
    let (listener, destination) = destination().await;
    let bench = bench(None, Limits::default());
    let mut client = bench.dial(destination).await;
    let mut server = accepted(&listener).await;
    client.shutdown().await.expect("half closed");
    assert_eq!(soon(server.read(&mut [0])).await.expect("an end"), 0);
    client.set_zero_linger().expect("set");
    drop(client);
    soon(server.ready(tokio::io::Interest::ERROR))
        .await
        .expect("broken");
}

#[tokio::test]
async fn a_destination_that_refuses_resets_the_client() {
    let (listener, destination) = destination().await;
    drop(listener);
    let mut bench = bench(None, Limits::default());
    let mut client = bench.dial(destination).await;
    let error = soon(client.read_u8()).await.expect_err("reset");
    assert!(is_reset(&error), "{error}");
    let (_, _, error) = bench.ended().await;
    let error = error.expect("told");
    assert!(error.contains("Connection refused"), "{error}");
}
