// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module hosts under our certificate: requests, keep-alive, bodies that end short, clients that won't have us.

use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn request_on(tls: &mut TlsStream<TcpStream>, head: &str) -> (String, String) {
    tls.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // After a refused CONNECT the connection just closes; whether the answer is whole the body shows.
    let _ = soon(tls.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn requests_follow_one_another_on_one_connection() {
    let (_listener, destination) = destination().await;
    let mut bench = bench(Some(policy(destination)), Limits::default());
    let stream = bench.dial(destination).await;
    let tls = bench
        .hands(stream, &["h2", "http/1.1"])
        .await
        .expect("hands");
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.expect("HTTP");
    let connection = tokio::spawn(connection);
    for number in 0..3 {
        let request = Request::get(format!("/m/@v/v1.0.{number}.mod?x=1"))
            .header("host", format!("{HOST}:{}", destination.port()))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = soon(sender.send_request(request)).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.expect("whole");
        let expected = format!(
            "/m/@v/v1.0.{number}.mod?x=1 {HOST}:{}\n",
            destination.port()
        );
        assert_eq!(body.to_bytes(), expected);
    }
    drop(sender);
    soon(connection).await.expect("joined").expect("in order");
    let host = Some(HOST.to_owned());
    assert_eq!(
        bench.decision().await,
        (Way::Accelerated, Why::ModuleHost, host)
    );
    assert_eq!(bench.ended().await, (3, (0, 0), None));
}

#[tokio::test]
async fn a_connection_quicker_than_what_is_told_of_its_process_waits_for_that() {
    let (_listener, destination) = destination().await;
    let mut bench = bench_of_newcomers(policy(destination), 20);
    let stream = bench.dial(destination).await;
    drop(bench.hands(stream, &["http/1.1"]).await.expect("hands"));
    assert_eq!(
        bench.decision().await,
        (Way::Accelerated, Why::ModuleHost, Some(HOST.to_owned()))
    );
}

#[tokio::test]
async fn a_connection_of_which_nothing_becomes_known_is_passed_through() {
    let (_listener, destination) = destination().await;
    let mut bench = bench_of_newcomers(policy(destination), u64::MAX);
    let _stream = bench.dial(destination).await;
    assert_eq!(
        bench.decision().await,
        (Way::Spliced, Why::SettingsUnreadable, None)
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_completed_ends_visibly_short() {
    let (_listener, destination) = destination().await;
    let mut bench = bench(Some(policy(destination)), Limits::default());
    for path in ["/cut/length", "/cut/chunked"] {
        let stream = bench.dial(destination).await;
        let tls = bench.hands(stream, &["http/1.1"]).await.expect("hands");
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.expect("HTTP");
        let connection = tokio::spawn(connection);
        let request = Request::get(path)
            .header("host", format!("{HOST}:{}", destination.port()))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = soon(sender.send_request(request)).await.expect("a head");
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let first = soon(body.frame()).await.expect("a frame").expect("data");
        assert_eq!(first.into_data().expect("data"), "a beginning");
        let rest = soon(body.frame()).await;
        assert!(matches!(rest, Some(Err(_))), "{path}: {rest:?}");
        drop(soon(connection).await.expect("joined"));
        let (_, _, error) = bench.ended().await;
        let error = error.expect("told");
        assert!(error.contains("upstream went away"), "{error}");
    }
}

#[tokio::test]
async fn a_body_to_the_end_of_the_connection_ends_short_without_close_notify() {
    let (_listener, destination) = destination().await;
    let bench = bench(Some(policy(destination)), Limits::default());
    let stream = bench.dial(destination).await;
    let mut tls = bench.hands(stream, &[]).await.expect("hands");
    let head = format!(
        "GET /cut/chunked HTTP/1.0\r\nHost: {HOST}:{}\r\n\r\n",
        destination.port()
    );
    tls.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let error = soon(tls.read_to_end(&mut answer)).await.expect_err("cut");
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(answer.ends_with(b"a beginning"));
}

#[tokio::test]
async fn absolute_requests_are_answered_and_foreign_hosts_and_tunnels_are_not() {
    let (_listener, destination) = destination().await;
    let bench = bench(Some(policy(destination)), Limits::default());
    let port = destination.port();
    for (request, status, body) in [
        (
            format!("GET https://{HOST}:{port}/a HTTP/1.1\r\nHost: other.example"),
            "200",
            format!("/a {HOST}:{port}\n"),
        ),
        (
            "GET /a HTTP/1.1\r\nHost: other.example".to_owned(),
            "421",
            format!("gomod-trace: this connection is for {HOST} only\n"),
        ),
        (
            format!("GET /a HTTP/1.1\r\nUpgrade: h2c\r\nHost: {HOST}:{port}"),
            "502",
            "gomod-trace: no tunnel and no other protocol inside a module connection\n".to_owned(),
        ),
        (
            format!("CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}:{port}"),
            "502",
            "gomod-trace: no tunnel and no other protocol inside a module connection\n".to_owned(),
        ),
    ] {
        let stream = bench.dial(destination).await;
        let mut tls = bench.hands(stream, &[]).await.expect("hands");
        let head = format!("{request}\r\nConnection: close\r\n\r\n");
        let (head, got) = request_on(&mut tls, &head).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert_eq!(got, body);
    }
}

#[tokio::test]
async fn a_client_that_rejects_our_certificate_is_spliced_from_then_on() {
    let (listener, destination) = destination().await;
    let mut bench = bench(Some(policy(destination)), Limits::default());
    let trusting_nobody = Arc::new(RootCertStore::empty());
    let stream = bench.dial(destination).await;
    let refused = hands(stream, trusting_nobody, &["http/1.1"]).await;
    assert!(refused.is_err());
    let host = Some(HOST.to_owned());
    assert_eq!(
        bench.decision().await,
        (Way::Accelerated, Why::ModuleHost, host.clone())
    );
    let (_, _, error) = bench.ended().await;
    let error = error.expect("told");
    assert!(
        error.contains("the client rejected our certificate"),
        "{error}"
    );

    let stream = bench.dial(destination).await;
    let roots = Arc::clone(&bench.roots);
    let client = tokio::spawn(async move { hands(stream, roots, &["http/1.1"]).await });
    let mut server = accepted(&listener).await;
    assert_eq!(soon(server.read_u8()).await.expect("a hello"), 22);
    assert_eq!(
        bench.decision().await,
        (Way::Spliced, Why::CertificateRejected, host)
    );
    drop(server);
    assert!(soon(client).await.expect("joined").is_err());

    bench.serving.forget(Pid(1));
    let stream = bench.dial(destination).await;
    bench.hands(stream, &[]).await.expect("intercepted again");
}

#[tokio::test]
async fn what_is_not_certain_is_spliced_and_says_why() {
    let (listener, destination) = destination().await;
    let other_port = Policy {
        module_hosts: BTreeSet::from([(HOST.to_owned(), 1)]),
        ..Policy::default()
    };
    let other_trust = Policy {
        trusts_others: true,
        ..policy(destination)
    };
    for (policy, protocols, why) in [
        (Some(other_trust), &["http/1.1"][..], Why::OtherTrust),
        (None, &["http/1.1"][..], Why::SettingsUnreadable),
        (Some(other_port), &["http/1.1"], Why::NotModuleHost),
        (Some(policy(destination)), &["h2"], Why::NoHttp1),
    ] {
        let named = policy.is_some().then(|| HOST.to_owned());
        let mut bench = bench(policy, Limits::default());
        let stream = bench.dial(destination).await;
        let roots = Arc::clone(&bench.roots);
        let client = tokio::spawn(hands(stream, roots, protocols));
        let mut server = accepted(&listener).await;
        assert_eq!(soon(server.read_u8()).await.expect("a hello"), 22);
        assert_eq!(bench.decision().await, (Way::Spliced, why, named));
        drop(server);
        assert!(soon(client).await.expect("joined").is_err());
    }
}
