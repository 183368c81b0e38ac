// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes behind an HTTP proxy: its CONNECT is answered for module hosts and relayed for all others.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const AUTHORIZATION: &str = "Basic dXNlcjpwYXNz";

fn behind(proxy: SocketAddr) -> Policy {
    Policy {
        module_hosts: BTreeSet::from([(HOST.to_owned(), 443)]),
        http_proxies: vec![ProxyEndpoint {
            host: "proxy.example".to_owned(),
            port: proxy.port(),
        }],
        ..Policy::default()
    }
}

fn connect_to(host: &str) -> String {
    format!(
        "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nProxy-Authorization: {AUTHORIZATION}\r\n\r\n"
    )
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("a head"));
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test]
async fn a_module_host_is_intercepted_inside_and_the_proxy_is_not_asked() {
    let (_listener, proxy) = destination().await;
    let mut bench = bench(Some(behind(proxy)), Limits::default());
    let mut stream = bench.dial(proxy).await;
    stream
        .write_all(connect_to(HOST).as_bytes())
        .await
        .expect("sent");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let mut tls = bench.hands(stream, &["http/1.1"]).await.expect("hands");
    let head = format!("GET /a HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    tls.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    soon(tls.read_to_end(&mut answer)).await.expect("an answer");
    let expected = format!("/a {HOST}:443\n");
    assert!(answer.ends_with(expected.as_bytes()));
    let host = Some(HOST.to_owned());
    assert_eq!(
        bench.decision().await,
        (Way::Accelerated, Why::ModuleHost, host)
    );
}

#[tokio::test]
async fn another_host_reaches_the_proxy_byte_for_byte() {
    let (listener, proxy) = destination().await;
    let mut bench = bench(Some(behind(proxy)), Limits::default());
    let mut stream = bench.dial(proxy).await;
    let asked = connect_to("other.example");
    stream.write_all(asked.as_bytes()).await.expect("sent");
    let mut server = accepted(&listener).await;
    assert_eq!(read_head(&mut server).await, asked);
    let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nX: y\r\n\r\n";
    server.write_all(answer.as_bytes()).await.expect("sent");
    assert_eq!(read_head(&mut stream).await, answer);
    let host = Some("other.example".to_owned());
    assert_eq!(
        bench.decision().await,
        (Way::Spliced, Why::NotModuleHost, host)
    );
}

#[tokio::test]
async fn a_tunnel_that_turns_out_not_to_be_ours_is_opened_at_the_proxy_after_all() {
    let (listener, proxy) = destination().await;
    let mut bench = bench(Some(behind(proxy)), Limits::default());
    let mut stream = bench.dial(proxy).await;
    let asked = connect_to(HOST);
    stream.write_all(asked.as_bytes()).await.expect("sent");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    stream.write_all(b"not TLS").await.expect("sent");
    let mut server = accepted(&listener).await;
    assert_eq!(read_head(&mut server).await, asked);
    server
        .write_all(b"HTTP/1.1 200 Yes\r\nVia: x\r\n\r\nfirst words")
        .await
        .expect("sent");
    let mut inside = [0; 7];
    soon(server.read_exact(&mut inside)).await.expect("relayed");
    assert_eq!(&inside, b"not TLS");
    let mut words = [0; 11];
    soon(stream.read_exact(&mut words)).await.expect("relayed");
    assert_eq!(&words, b"first words");
    let host = Some(HOST.to_owned());
    assert_eq!(bench.decision().await, (Way::Spliced, Why::NotTls, host));
}

#[tokio::test]
async fn a_proxy_that_refuses_the_late_tunnel_resets_the_client() {
    let (listener, proxy) = destination().await;
    let mut bench = bench(Some(behind(proxy)), Limits::default());
    let mut stream = bench.dial(proxy).await;
    let asked = connect_to(HOST) + "not TLS";
    stream.write_all(asked.as_bytes()).await.expect("sent");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let mut server = accepted(&listener).await;
    read_head(&mut server).await;
    server
        .write_all(b"HTTP/1.1 403 No\r\n\r\n")
        .await
        .expect("sent");
    let error = soon(stream.read_u8()).await.expect_err("reset");
    assert!(is_reset(&error), "{error}");
    let (_, _, error) = bench.ended().await;
    let error = error.expect("told");
    assert!(
        error.contains("answered CONNECT with status 403"),
        "{error}"
    );
    assert!(!error.contains(AUTHORIZATION), "{error}");
}

#[tokio::test]
async fn a_connect_to_somebody_who_is_no_proxy_is_spliced() {
    let (listener, destination) = destination().await;
    let mut bench = bench(Some(policy(destination)), Limits::default());
    let mut stream = bench.dial(destination).await;
    stream
        .write_all(connect_to(HOST).as_bytes())
        .await
        .expect("sent");
    let mut server = accepted(&listener).await;
    assert_eq!(read_head(&mut server).await, connect_to(HOST));
    assert_eq!(bench.decision().await, (Way::Spliced, Why::NotTls, None));
}
