// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is told of connections to hosts.

use std::net::SocketAddr;

use rustls::RootCertStore;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::server::{Answer, Server, Then, answer, silence, tls};
use super::{brisk, get, options};
use crate::accelerator::upstream::{HttpProxy, Retries, Upstream, UpstreamOptions, Via};
use crate::kernel::events::{AttemptFailure, AttemptStep, Event, EventKind, OwnHello};

/// A client that tries once at `address`, and what it tells.
fn told(roots: RootCertStore) -> (Upstream, mpsc::Receiver<Event>) {
    told_in(64, roots)
}

/// The same with that much room.
fn told_in(room: usize, roots: RootCertStore) -> (Upstream, mpsc::Receiver<Event>) {
    let (sender, receiver) = mpsc::channel(room);
    let upstream = Upstream::new(UpstreamOptions {
        deadlines: brisk(),
        attempts: Some(sender),
        retries: Retries {
            attempts: 1,
            ..Retries::default()
        },
        ..options(&["127.0.0.1"], roots)
    });
    (upstream.unwrap(), receiver)
}

/// All that was told, each with its host and address checked.
fn steps(receiver: &mut mpsc::Receiver<Event>, address: SocketAddr) -> Vec<AttemptStep> {
    let mut steps = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        let EventKind::Attempt(attempt) = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!(
            (attempt.host.as_str(), attempt.remote),
            ("mod.test", address)
        );
        steps.push(attempt.step);
    }
    steps
}

#[track_caller]
fn is_small(hello: Option<&OwnHello>) {
    let hello = hello.unwrap();
    assert!((150..1400).contains(&hello.bytes), "{hello:?}");
    assert_eq!(hello.alpn, ["http/1.1"]);
}

/// A server that accepts, reads the hello and does that.
async fn server(close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello).await;
            if !close {
                open.push(stream);
            }
        }
    });
    address
}

#[tokio::test]
async fn a_connection_is_told_from_its_begin_to_where_it_can_be_used() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"ok")
    })
    .await;
    let (upstream, mut receiver) = told(roots);
    for _ in 0..2 {
        super::fetch(&upstream, &server.url("https", "/")).await;
    }
    let steps = steps(&mut receiver, server.address);
    let [
        AttemptStep::Began,
        AttemptStep::Connected,
        AttemptStep::Open { client_hello },
    ] = steps.as_slice()
    else {
        panic!("{steps:?}")
    };
    is_small(client_hello.as_ref());
}

#[tokio::test]
async fn a_refused_certificate_is_told_with_its_issuer() {
    let (_, acceptor) = tls(&["mod.test"]);
    let (others, _) = tls(&["mod.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"")
    })
    .await;
    for roots in [others, RootCertStore::empty()] {
        let (upstream, mut receiver) = told(roots);
        let error = upstream
            .fetch(get(&server.url("https", "/")))
            .await
            .unwrap_err();
        let steps = steps(&mut receiver, server.address);
        let Some(AttemptStep::Failed {
            client_hello,
            failure:
                AttemptFailure::Untrusted {
                    issuer,
                    unknown_authority: true,
                    ..
                },
        }) = steps.last()
        else {
            panic!("{steps:?}")
        };
        is_small(client_hello.as_ref());
        assert_eq!(issuer, "CN=rcgen self signed cert");
        assert!(error.story.contains(issuer), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_of_a_known_authority() {
    let (roots, acceptor) = tls(&["other.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"")
    })
    .await;
    let (upstream, mut receiver) = told(roots);
    upstream
        .fetch(get(&server.url("https", "/")))
        .await
        .unwrap_err();
    let steps = steps(&mut receiver, server.address);
    assert!(
        matches!(
            steps.last(),
            Some(AttemptStep::Failed {
                failure: AttemptFailure::Untrusted {
                    unknown_authority: false,
                    ..
                },
                ..
            })
        ),
        "{steps:?}"
    );
}

#[tokio::test]
async fn silence_and_an_end_after_the_hello_are_told_as_such() {
    for (close, expected) in [
        (false, AttemptFailure::Silent),
        (true, AttemptFailure::Closed),
    ] {
        let address = server(close).await;
        let (upstream, mut receiver) = told(RootCertStore::empty());
        let url = format!("https://mod.test:{}/", address.port());
        upstream.fetch(get(&url)).await.unwrap_err();
        let steps = steps(&mut receiver, address);
        let Some(AttemptStep::Failed {
            client_hello,
            failure,
        }) = steps.last()
        else {
            panic!("{steps:?}")
        };
        assert_eq!(*failure, expected);
        is_small(client_hello.as_ref());
    }
}

#[tokio::test]
async fn a_refused_connection_has_no_hello() {
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let (upstream, mut receiver) = told(RootCertStore::empty());
    let url = format!("https://mod.test:{}/", address.port());
    upstream.fetch(get(&url)).await.unwrap_err();
    let expected = [
        AttemptStep::Began,
        AttemptStep::Failed {
            client_hello: None,
            failure: AttemptFailure::Refused,
        },
    ];
    assert_eq!(steps(&mut receiver, address), expected);
}

/// What is told of one fetch of `https://mod.test:PORT/` through that proxy.
async fn told_through(proxy: &Server, roots: RootCertStore, port: u16) -> Vec<AttemptStep> {
    let (upstream, mut receiver) = told(roots);
    let via = Via::proxy(HttpProxy::parse(&format!("http://me:pw@{}", proxy.address)).unwrap());
    let request = get(&format!("https://mod.test:{port}/")).via(via);
    let _ = upstream.fetch(request).await;
    let mut steps = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        let EventKind::Attempt(attempt) = event.kind else {
            panic!("{event:?}")
        };
        assert_eq!(
            (attempt.host.as_str(), attempt.remote),
            ("mod.test", proxy.address)
        );
        assert_eq!(attempt.proxy.as_deref(), Some("127.0.0.1"));
        steps.push(attempt.step);
    }
    steps
}

#[tokio::test]
async fn a_tunnel_is_told_from_connect_to_its_answer() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let host = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"through")
    })
    .await;
    let to = host.address;
    let proxy = Server::plain(move |_| Answer {
        bytes: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        then: Then::Tunnel(to),
    })
    .await;
    let steps = told_through(&proxy, roots, to.port()).await;
    let [
        AttemptStep::Began,
        AttemptStep::Connected,
        AttemptStep::TunnelAsked,
        AttemptStep::TunnelOpen,
        AttemptStep::Open { client_hello },
    ] = steps.as_slice()
    else {
        panic!("{steps:?}")
    };
    is_small(client_hello.as_ref());
}

#[tokio::test]
async fn a_tunnel_that_is_refused_is_told_with_its_status_or_its_end() {
    let closed = Answer {
        bytes: Vec::new(),
        then: Then::Close,
    };
    for (answered, expected) in [
        (
            answer("407 Who Are You", &[], b""),
            AttemptFailure::TunnelRefused { status: 407 },
        ),
        (
            answer("502 No Such Host", &[], b"").then(Then::Close),
            AttemptFailure::TunnelRefused { status: 502 },
        ),
        (silence(), AttemptFailure::Silent),
        (closed, AttemptFailure::Closed),
    ] {
        let proxy = Server::plain(move |_| answered.clone()).await;
        let steps = told_through(&proxy, RootCertStore::empty(), 443).await;
        let failed = AttemptStep::Failed {
            client_hello: None,
            failure: expected,
        };
        let expected = [
            AttemptStep::Began,
            AttemptStep::Connected,
            AttemptStep::TunnelAsked,
            failed,
        ];
        assert_eq!(steps, expected);
    }
}

#[tokio::test]
async fn a_proxy_that_resets_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Closed with the request unread.
            stream.peek(&mut [0]).await.unwrap();
            drop(stream);
        }
    });
    let (upstream, mut receiver) = told(RootCertStore::empty());
    let via = Via::proxy(HttpProxy::parse(&address.to_string()).unwrap());
    let _ = upstream.fetch(get("https://mod.test/").via(via)).await;
    let steps = steps(&mut receiver, address);
    assert_eq!(
        steps.last(),
        Some(&AttemptStep::Failed {
            client_hello: None,
            failure: AttemptFailure::Reset
        }),
        "{steps:?}"
    );
}

/// An attempt of which only the begin is told would wait for ever in the timeline.
#[tokio::test]
async fn an_attempt_is_told_of_from_its_begin_to_its_end_or_not_at_all() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"ok").then(Then::Close)
    })
    .await;
    // Room for one attempt, and for not quite another.
    let (upstream, mut receiver) = told_in(7, roots);
    for _ in 0..3 {
        super::fetch(&upstream, &server.url("https", "/")).await;
    }
    let told = steps(&mut receiver, server.address);
    assert!(
        matches!(
            told.as_slice(),
            [
                AttemptStep::Began,
                AttemptStep::Connected,
                AttemptStep::Open { .. }
            ]
        ),
        "{told:?}"
    );
    assert_eq!(upstream.events_lost(), 2);
    // What is told of makes room again for what follows.
    super::fetch(&upstream, &server.url("https", "/")).await;
    assert_eq!(steps(&mut receiver, server.address).len(), 3);
    assert_eq!(upstream.events_lost(), 2);
}
