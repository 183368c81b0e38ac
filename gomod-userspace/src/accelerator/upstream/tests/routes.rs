// SPDX-License-Identifier: MIT OR Apache-2.0
//! Redirects and proxies, and who gets to see credentials.

use std::collections::HashMap;

use http::HeaderMap;
use rustls::RootCertStore;

use super::server::{Server, Then, answer, tls};
use super::{fetch, get, options, patient, read};
use crate::accelerator::upstream::{FailureKind, HttpProxy, Upstream, Via};

fn credentials() -> HeaderMap {
    HashMap::from([
        ("authorization", "Bearer secret"),
        ("cookie", "id=secret"),
        ("x-other", "kept"),
    ])
    .into_iter()
    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
    .collect()
}

#[tokio::test]
async fn redirects_are_followed_inside() {
    let server = Server::plain(|seen| match seen.line.as_str() {
        "GET /a HTTP/1.1" => answer("302 Found", &[("location", "/b")], b"moved"),
        "GET /b HTTP/1.1" => answer("307 Temporary Redirect", &[("location", "deep/c?x=1")], b""),
        "GET /deep/c?x=1 HTTP/1.1" => answer("200 OK", &[], b"here"),
        other => panic!("{other}"),
    })
    .await;
    let mut response = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/a")).headers(credentials()))
        .await
        .unwrap();
    assert_eq!(read(&mut response).await.unwrap(), "here");
    assert_eq!(response.url.path(), "/deep/c");
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.header("authorization") == Some("Bearer secret")),
        "the same host all along"
    );
}

#[tokio::test]
async fn another_host_is_not_told_the_credentials() {
    let other = Server::plain(|_| answer("200 OK", &[], b"there")).await;
    let target = format!("http://other.test:{}/x", other.address.port());
    let first = Server::plain(move |_| answer("302 Found", &[("location", &target)], b"")).await;
    let request = get(&first.url("http", "/")).headers(credentials());
    let mut response = patient(&["127.0.0.1"]).fetch(request).await.unwrap();
    assert_eq!(read(&mut response).await.unwrap(), "there");
    assert_eq!(
        first.seen()[0].header("authorization"),
        Some("Bearer secret")
    );
    let seen = other.seen();
    assert_eq!(
        (seen[0].header("authorization"), seen[0].header("cookie")),
        (None, None)
    );
    assert_eq!(seen[0].header("x-other"), Some("kept"));
}

#[tokio::test]
async fn credentials_do_not_come_back_with_a_second_redirect() {
    let bounce = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let back = std::sync::Arc::clone(&bounce);
    let other =
        Server::plain(move |_| answer("302 Found", &[("location", back.get().unwrap())], b""))
            .await;
    let target = format!("http://other.test:{}/x", other.address.port());
    let first = Server::plain(move |seen| match seen.number {
        0 => answer("302 Found", &[("location", &target)], b""),
        _ => answer("200 OK", &[], b"back"),
    })
    .await;
    bounce.set(first.url("http", "/back")).unwrap();
    let request = get(&first.url("http", "/")).headers(credentials());
    patient(&["127.0.0.1"]).fetch(request).await.unwrap();
    assert_eq!(first.seen()[1].header("authorization"), None);
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let clear = Server::plain(|_| answer("200 OK", &[], b"")).await;
    let target = clear.url("http", "/");
    let script = move |_: &_| answer("302 Found", &[("location", &target)], b"");
    let server = Server::at("127.0.0.1:0", Some(acceptor), script).await;
    let upstream = Upstream::new(options(&["127.0.0.1"], roots)).unwrap();
    let error = upstream
        .fetch(get(&server.url("https", "/")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, clear.accepted()),
        (FailureKind::Redirect, 0),
        "{error}"
    );
}

#[tokio::test]
async fn endless_redirects_end_after_ten() {
    let server = Server::plain(|seen| {
        answer(
            "302 Found",
            &[("location", &format!("/{}", seen.number + 1))],
            b"",
        )
    })
    .await;
    let error = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/0")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, server.seen().len()),
        (FailureKind::Redirect, 11),
        "{error}"
    );
}

#[tokio::test]
async fn a_body_behind_a_redirect_is_continued_through_it() {
    let server = Server::plain(|seen| match (seen.line.contains("/file"), seen.range()) {
        (false, _) => answer("302 Found", &[("location", "/file")], b""),
        (true, None) => answer("200 OK", &[("etag", "\"1\"")], b"0123456789").cut(4, Then::Close),
        (true, Some(from)) => {
            let range = format!("bytes {from}-9/10");
            answer(
                "206 Partial Content",
                &[("content-range", &range)],
                &b"0123456789"[from..],
            )
        }
    })
    .await;
    let (response, body) = fetch(&patient(&["127.0.0.1"]), &server.url("http", "/")).await;
    assert_eq!(
        (body.as_ref(), response.account.resumed_bytes()),
        (b"0123456789".as_ref(), 4)
    );
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_sees_only_its_own_credentials() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let host = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"through")
    })
    .await;
    let to = host.address;
    let proxy = Server::plain(move |_| super::server::Answer {
        bytes: b"HTTP/1.1 200 Connection established\r\n\r\n".to_vec(),
        then: Then::Tunnel(to),
    })
    .await;
    let upstream = Upstream::new(options(&["127.0.0.9"], roots)).unwrap();
    let via = Via::proxy(HttpProxy::parse(&format!("http://me:pw@{}", proxy.address)).unwrap());
    for _ in 0..2 {
        let request = get(&host.url("https", "/m"))
            .headers(credentials())
            .via(via.clone());
        let mut response = upstream.fetch(request).await.unwrap();
        assert_eq!(read(&mut response).await.unwrap(), "through");
        assert_eq!(response.remote, proxy.address);
        tokio::task::yield_now().await;
    }
    let asked = &proxy.seen()[0];
    assert_eq!(
        asked.line,
        format!("CONNECT mod.test:{} HTTP/1.1", to.port())
    );
    assert_eq!(asked.header("proxy-authorization"), Some("Basic bWU6cHc="));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        host.seen()[0].header("authorization"),
        Some("Bearer secret")
    );
    assert_eq!(host.seen()[0].header("proxy-authorization"), None);
}

#[tokio::test]
async fn a_proxy_over_tls_is_asked_for_a_tunnel_too() {
    let (roots, acceptor) = tls(&["mod.test", "proxy.test"]);
    let host = Server::at("127.0.0.1:0", Some(acceptor.clone()), |_| {
        answer("200 OK", &[], b"through")
    })
    .await;
    let to = host.address;
    let proxy = Server::at("127.0.0.1:0", Some(acceptor), move |_| {
        super::server::Answer {
            bytes: b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            then: Then::Tunnel(to),
        }
    })
    .await;
    let upstream = Upstream::new(options(&["127.0.0.1"], roots)).unwrap();
    let via = Via::proxy(
        HttpProxy::parse(&format!("https://proxy.test:{}", proxy.address.port())).unwrap(),
    );
    let mut response = upstream
        .fetch(get(&host.url("https", "/m")).via(via))
        .await
        .unwrap();
    assert_eq!(read(&mut response).await.unwrap(), "through");
}

#[tokio::test]
async fn a_proxy_that_asks_for_a_password_is_named_and_not_asked_again() {
    let proxy = Server::plain(|_| {
        answer(
            "407 Proxy Authentication Required",
            &[("proxy-authenticate", "Basic realm=x")],
            b"",
        )
    })
    .await;
    let via = Via::proxy(HttpProxy::parse(&format!("http://me:pw@{}", proxy.address)).unwrap());
    let error = patient(&["127.0.0.9"])
        .fetch(get("https://mod.test/").via(via))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, proxy.seen().len()),
        (FailureKind::Proxy, 1),
        "{error}"
    );
    assert!(
        error.story.contains("407")
            && error.story.contains("HTTPS_PROXY")
            && !error.story.contains("pw"),
        "{error}"
    );
}

#[tokio::test]
async fn a_clear_text_url_is_asked_for_at_the_proxy_itself() {
    let proxy = Server::plain(|_| answer("200 OK", &[], b"fetched")).await;
    let via = Via::proxy(HttpProxy::parse(&format!("http://me:pw@{}", proxy.address)).unwrap());
    let upstream = Upstream::new(options(&["127.0.0.9"], RootCertStore::empty())).unwrap();
    let mut response = upstream
        .fetch(get("http://mod.test/a?b").via(via))
        .await
        .unwrap();
    assert_eq!(read(&mut response).await.unwrap(), "fetched");
    let seen = proxy.seen();
    assert_eq!(seen[0].line, "GET http://mod.test/a?b HTTP/1.1");
    assert_eq!(seen[0].header("host"), Some("mod.test"));
    assert_eq!(
        seen[0].header("proxy-authorization"),
        Some("Basic bWU6cHc=")
    );
}

#[tokio::test]
async fn the_proxy_is_chosen_anew_for_a_redirect() {
    let exempt = Server::plain(|_| answer("200 OK", &[], b"direct")).await;
    let target = format!("http://exempt.test:{}/", exempt.address.port());
    let proxy = Server::plain(move |_| answer("302 Found", &[("location", &target)], b"")).await;
    let through = HttpProxy::parse(&proxy.address.to_string()).unwrap();
    let via =
        Via::chosen_by(move |url| (url.host_str() != Some("exempt.test")).then(|| through.clone()));
    let mut response = patient(&["127.0.0.1"])
        .fetch(get("http://mod.test/").via(via))
        .await
        .unwrap();
    assert_eq!(read(&mut response).await.unwrap(), "direct");
    assert_eq!(exempt.seen()[0].line, "GET / HTTP/1.1");
}
