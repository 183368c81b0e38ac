// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections are used again, and neither they nor memory grow without bound.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use rustls::RootCertStore;
use tokio::task::JoinSet;

use super::server::{Answer, Server, Then, answer};
use super::{fetch, get, options, patient, read};
use crate::accelerator::upstream::{PoolLimits, Upstream, UpstreamOptions, Urgency};

#[tokio::test]
async fn one_connection_carries_requests_that_follow_each_other() {
    let server = Server::plain(|_| answer("200 OK", &[], b"body")).await;
    let upstream = patient(&["127.0.0.1"]);
    let mut reused = 0;
    for _ in 0..200 {
        let (response, _) = fetch(&upstream, &server.url("http", "/")).await;
        reused += usize::from(response.reused);
    }
    assert!(reused >= 194, "{reused} of 200 on a used connection");
    assert_eq!(server.accepted() + reused, 200);
}

#[tokio::test]
async fn sixty_four_fetches_share_thirty_two_connections() {
    let server = Server::plain(|_| answer("200 OK", &[], &[1; 5_000])).await;
    let upstream = patient(&["127.0.0.1"]);
    let mut fetches = JoinSet::new();
    for _ in 0..64 {
        let (upstream, url) = (upstream.clone(), server.url("http", "/"));
        fetches.spawn(async move { fetch(&upstream, &url).await.1.len() });
    }
    let lengths: Vec<usize> = fetches.join_all().await;
    assert_eq!(lengths, [5_000; 64]);
    assert!(server.accepted() <= 32, "{} connections", server.accepted());
}

#[tokio::test]
async fn what_is_awaited_finds_a_connection_though_speculation_holds_its_share() {
    let server = Server::plain(|seen| match seen.line.as_str() {
        "GET /slow HTTP/1.1" => {
            answer("200 OK", &[("content-length", "10")], b"1").then(Then::Silence)
        }
        _ => answer("200 OK", &[], b"at once"),
    })
    .await;
    let pool = PoolLimits {
        per_host: 3,
        reserved: 1,
        ..PoolLimits::default()
    };
    let upstream = Upstream::new(UpstreamOptions {
        pool,
        ..options(&["127.0.0.1"], RootCertStore::empty())
    })
    .unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        let request = get(&server.url("http", "/slow")).urgency(Urgency::Speculative);
        held.push(upstream.fetch(request).await.unwrap());
    }
    let third = tokio::spawn({
        let (upstream, url) = (upstream.clone(), server.url("http", "/third"));
        async move {
            upstream
                .fetch(get(&url).urgency(Urgency::Speculative))
                .await
                .map(|response| response.status)
        }
    });
    let (_, body) = fetch(&upstream, &server.url("http", "/")).await;
    assert_eq!(body, "at once");
    assert!(
        !third.is_finished(),
        "the third speculative request waits for one of the first two"
    );
    held.pop();
    assert_eq!(third.await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_without_counting_as_a_retry() {
    let server = Server::plain(|seen| {
        // Says that it stays open, and closes when the next request arrives.
        if seen.number == 1 {
            Answer {
                bytes: Vec::new(),
                then: Then::Close,
            }
        } else {
            answer("200 OK", &[], b"body")
        }
    })
    .await;
    let upstream = patient(&["127.0.0.1"]);
    for _ in 0..2 {
        let (response, body) = fetch(&upstream, &server.url("http", "/")).await;
        assert_eq!(
            (body.as_ref(), response.account.attempts(), response.reused),
            (b"body".as_ref(), 1, false)
        );
        // Lets the connection be kept.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((server.seen().len(), server.accepted()), (3, 2));
}

#[tokio::test]
async fn a_large_body_passes_without_being_held() {
    const LENGTH: u64 = 200 << 20;
    // What the sockets' own buffers may hold, with a large margin.
    const AHEAD: u64 = 48 << 20;
    let script = |_: &_| Answer {
        bytes: format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").into_bytes(),
        then: Then::Stream(LENGTH),
    };
    let server = Server::plain(script).await;
    let mut response = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")))
        .await
        .unwrap();
    let mut read = 0_u64;
    let mut most_ahead = 0;
    while let Some(frame) = response.body.frame().await {
        let data: Bytes = frame.unwrap().into_data().unwrap();
        assert!(data.iter().all(|byte| *byte == 7) && data.len() <= 64 * 1024);
        if read == 0 {
            // A reader that pauses: the host must come to a halt.
            let mut before = u64::MAX;
            while before != server.streamed() {
                before = server.streamed();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        read += data.len() as u64;
        most_ahead = most_ahead.max(server.streamed() - read.min(server.streamed()));
    }
    assert_eq!((read, response.account.attempts()), (LENGTH, 1));
    assert!(
        most_ahead < AHEAD,
        "{most_ahead} bytes were ahead of the reader"
    );
}

#[tokio::test]
async fn a_body_that_is_dropped_ends_the_fetch() {
    const LENGTH: u64 = 1 << 40;
    let script = |_: &_| Answer {
        bytes: format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").into_bytes(),
        then: Then::Stream(LENGTH),
    };
    let server = Server::plain(script).await;
    let pool = PoolLimits {
        per_host: 1,
        reserved: 0,
        ..PoolLimits::default()
    };
    let upstream = Upstream::new(UpstreamOptions {
        pool,
        ..options(&["127.0.0.1"], RootCertStore::empty())
    })
    .unwrap();
    for _ in 0..3 {
        let mut response = upstream.fetch(get(&server.url("http", "/"))).await.unwrap();
        response.body.frame().await.unwrap().unwrap();
        drop(response);
    }
    assert_eq!(
        server.seen().len(),
        3,
        "each found the only place free again"
    );
}

#[tokio::test]
async fn short_bodies_that_nobody_reads_do_not_block_the_host() {
    let server = Server::plain(|_| answer("200 OK", &[], b"short")).await;
    let pool = PoolLimits {
        per_host: 1,
        reserved: 0,
        ..PoolLimits::default()
    };
    let upstream = Upstream::new(UpstreamOptions {
        pool,
        ..options(&["127.0.0.1"], RootCertStore::empty())
    })
    .unwrap();
    let mut unread = Vec::new();
    for _ in 0..3 {
        unread.push(upstream.fetch(get(&server.url("http", "/"))).await.unwrap());
    }
    for response in &mut unread {
        assert_eq!(read(response).await.unwrap(), "short");
    }
}
