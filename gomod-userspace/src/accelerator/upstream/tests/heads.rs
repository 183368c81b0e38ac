// SPDX-License-Identifier: MIT OR Apache-2.0
//! Until the head of the response: addresses, silence, refusals, errors.

use std::time::Duration;

use http::{Method, StatusCode};
use rustls::RootCertStore;

use super::server::{Answer, Server, Then, answer, silence, tls};
use super::{brisk, fetch, get, impatient, options, patient, read};
use crate::accelerator::upstream::{
    Deadlines, FailureKind, Upstream, UpstreamOptions, UpstreamRequest,
};

#[tokio::test]
async fn a_file_is_fetched_over_tls_with_the_headers_that_matter() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let script = |_: &_| {
        answer(
            "200 OK",
            &[
                ("ETag", "\"1\""),
                ("Content-Encoding", "gzip"),
                ("Alt-Svc", "h3"),
            ],
            b"zipped",
        )
    };
    let server = Server::at("127.0.0.1:0", Some(acceptor), script).await;
    let upstream = Upstream::new(options(&["127.0.0.1"], roots)).unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("accept-encoding", "gzip".parse().unwrap());
    headers.insert("user-agent", "Go-http-client/1.1".parse().unwrap());
    headers.insert("disable-module-fetch", "true".parse().unwrap());
    let request =
        get(&server.url("https", "/example.com/!a/@v/v1.0.0.mod?go-get=1")).headers(headers);
    let mut response = upstream.fetch(request).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers["content-encoding"], "gzip");
    assert_eq!(response.headers["content-length"], "6");
    assert!(!response.headers.contains_key("alt-svc"));
    assert!(response.set_up.hello.is_some());
    assert_eq!(response.remote, server.address);
    assert_eq!(read(&mut response).await.unwrap(), "zipped");

    let seen = server.seen();
    assert_eq!(
        seen[0].line,
        "GET /example.com/!a/@v/v1.0.0.mod?go-get=1 HTTP/1.1"
    );
    assert_eq!(
        seen[0].header("host"),
        Some(format!("mod.test:{}", server.address.port()).as_str())
    );
    assert_eq!(seen[0].header("disable-module-fetch"), Some("true"));
    assert_eq!(seen[0].header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn an_untrusted_certificate_is_an_error_at_once() {
    let (_, acceptor) = tls(&["mod.test"]);
    let (others, _) = tls(&["mod.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"")
    })
    .await;
    let upstream = Upstream::new(options(&["127.0.0.1"], others)).unwrap();
    let error = upstream
        .fetch(get(&server.url("https", "/")))
        .await
        .unwrap_err();
    assert_eq!(error.kind, FailureKind::Certificate, "{error}");
    assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    assert!(
        error.story.contains("mod.test") && error.story.contains("SSL_CERT_FILE"),
        "{error}"
    );
    assert_eq!(server.accepted(), 1);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_an_error() {
    let (roots, acceptor) = tls(&["other.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"")
    })
    .await;
    let upstream = Upstream::new(options(&["127.0.0.1"], roots)).unwrap();
    let error = upstream
        .fetch(get(&server.url("https", "/")))
        .await
        .unwrap_err();
    assert_eq!(error.kind, FailureKind::Certificate, "{error}");
}

#[tokio::test]
async fn a_dead_first_address_is_passed_over_and_remembered() {
    let server = Server::plain(|_| answer("200 OK", &[], b"ok").then(Then::Close)).await;
    let upstream = patient(&["::1", "127.0.0.9", "127.0.0.1"]);
    for _ in 0..3 {
        let (response, body) = fetch(&upstream, &server.url("http", "/")).await;
        assert_eq!(
            (body.as_ref(), response.account.attempts()),
            (b"ok".as_ref(), 1)
        );
        assert_eq!(response.remote, server.address);
    }
    assert_eq!(server.accepted(), 3);
}

#[tokio::test]
async fn an_address_that_never_shakes_hands_is_left_for_the_next() {
    let (roots, acceptor) = tls(&["mod.test"]);
    let good = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"ok")
    })
    .await;
    let mute = Server::at(&format!("127.0.0.2:{}", good.address.port()), None, |_| {
        silence()
    })
    .await;
    let upstream = Upstream::new(UpstreamOptions {
        deadlines: brisk(),
        ..options(&["127.0.0.2", "127.0.0.1"], roots)
    })
    .unwrap();
    let (response, body) = fetch(&upstream, &good.url("https", "/")).await;
    assert_eq!(
        (body.as_ref(), response.remote),
        (b"ok".as_ref(), good.address)
    );
    assert!(response.account.attempts() > 1 && mute.accepted() >= 1);
}

#[tokio::test]
async fn silence_after_the_request_is_answered_by_a_second_request() {
    let server = Server::plain(|seen| {
        if seen.number == 0 {
            silence()
        } else {
            answer("200 OK", &[], b"second")
        }
    })
    .await;
    let (response, body) = fetch(&impatient(&["127.0.0.1"]), &server.url("http", "/")).await;
    assert_eq!(body, "second");
    assert!(response.account.attempts() >= 2);
    assert!(
        server.accepted() >= 2,
        "the second request needs a connection of its own"
    );
}

#[tokio::test]
async fn a_host_slower_than_it_usually_is_gets_a_second_request_before_the_deadline() {
    let server = Server::plain(|seen| {
        if seen.number == 20 {
            silence()
        } else {
            answer("200 OK", &[], b"ok")
        }
    })
    .await;
    // Only a raced request can be in time.
    let deadlines = Deadlines {
        first_byte: Duration::from_secs(3600),
        ..Deadlines::default()
    };
    let upstream = Upstream::new(UpstreamOptions {
        deadlines,
        ..options(&["127.0.0.1"], RootCertStore::empty())
    })
    .unwrap();
    for number in 0..21 {
        let (response, body) = fetch(&upstream, &server.url("http", "/")).await;
        assert_eq!(
            (body.as_ref(), response.account.attempts()),
            (b"ok".as_ref(), 1 + u32::from(number == 20))
        );
    }
}

#[tokio::test]
async fn silence_for_ever_is_a_timeout_after_a_bounded_number_of_requests() {
    let server = Server::plain(|_| silence()).await;
    let error = impatient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.status()),
        (FailureKind::Timeout, StatusCode::GATEWAY_TIMEOUT),
        "{error}"
    );
    assert!(
        error
            .story
            .contains("no response to the request from mod.test"),
        "{error}"
    );
    assert!(
        (2..=4).contains(&server.seen().len()),
        "{} requests",
        server.seen().len()
    );
}

#[tokio::test]
async fn a_burst_of_5xx_is_waited_out_and_a_lasting_one_passes() {
    let burst = Server::plain(|seen| match seen.number {
        0 => answer("503 Service Unavailable", &[("Retry-After", "0")], b"later"),
        1 => answer("502 Bad Gateway", &[], b"later"),
        _ => answer("200 OK", &[], b"now"),
    })
    .await;
    let (response, body) = fetch(&patient(&["127.0.0.1"]), &burst.url("http", "/")).await;
    assert_eq!(
        (body.as_ref(), response.account.attempts()),
        (b"now".as_ref(), 3)
    );

    let lasting = Server::plain(|_| {
        answer(
            "500 Internal Server Error",
            &[("X-Why", "full")],
            b"disk full",
        )
    })
    .await;
    let (response, body) = fetch(&patient(&["127.0.0.1"]), &lasting.url("http", "/")).await;
    assert_eq!(
        (response.status, body.as_ref()),
        (StatusCode::INTERNAL_SERVER_ERROR, b"disk full".as_ref())
    );
    assert_eq!(
        (response.headers["x-why"].as_bytes(), lasting.seen().len()),
        (b"full".as_ref(), 3)
    );
}

#[tokio::test]
async fn a_long_retry_after_passes_as_it_came() {
    let server =
        Server::plain(|_| answer("429 Too Many Requests", &[("Retry-After", "3600")], b"")).await;
    let (response, _) = fetch(&patient(&["127.0.0.1"]), &server.url("http", "/")).await;
    assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (
            response.headers["retry-after"].as_bytes(),
            server.seen().len()
        ),
        (b"3600".as_ref(), 1)
    );
}

#[tokio::test]
async fn answers_that_are_final_pass_at_once_and_unchanged() {
    for status in [
        "404 Not Found",
        "410 Gone",
        "403 Forbidden",
        "401 Unauthorized",
        "400 Bad Request",
        "501 Odd",
    ] {
        let server =
            Server::plain(move |_| answer(status, &[], b"not found: example.com@v1")).await;
        let (response, body) = fetch(&patient(&["127.0.0.1"]), &server.url("http", "/")).await;
        assert_eq!(response.status.as_str(), &status[..3]);
        assert_eq!(
            (body.as_ref(), server.seen().len()),
            (b"not found: example.com@v1".as_ref(), 1)
        );
    }
}

#[tokio::test]
async fn hosts_that_cannot_be_asked_are_502_in_plain_words() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let upstream = patient(&["127.0.0.1"]);
    for (url, kind, words) in [
        (
            format!("http://mod.test:{free}/"),
            FailureKind::Refused,
            "refused",
        ),
        (
            "http://nowhere.test/".to_owned(),
            FailureKind::Name,
            "no such name",
        ),
        ("ftp://mod.test/".to_owned(), FailureKind::Request, "ftp"),
    ] {
        let error = upstream.fetch(get(&url)).await.unwrap_err();
        assert_eq!(
            (error.kind, error.status()),
            (kind, StatusCode::BAD_GATEWAY),
            "{error}"
        );
        assert!(error.story.contains(words), "{error}");
    }
    let post = get("http://mod.test/").method(Method::POST);
    assert_eq!(
        upstream.fetch(post).await.unwrap_err().kind,
        FailureKind::Request
    );
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error_after_bounded_attempts() {
    let server = Server::plain(|_| Answer {
        bytes: b"SSH-2.0-x\r\n\r\n".to_vec(),
        then: Then::Close,
    })
    .await;
    let error = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, server.seen().len()),
        (FailureKind::Protocol, 4),
        "{error}"
    );
}

#[tokio::test]
async fn a_head_request_has_no_body_but_the_length() {
    let server = Server::plain(|_| Answer {
        bytes: answer("200 OK", &[("content-length", "5")], b"").bytes,
        then: Then::KeepAlive,
    })
    .await;
    let upstream = patient(&["127.0.0.1"]);
    let mut response = upstream
        .fetch(get(&server.url("http", "/")).method(Method::HEAD))
        .await
        .unwrap();
    assert_eq!(response.headers["content-length"], "5");
    assert!(read(&mut response).await.unwrap().is_empty());
}

#[tokio::test]
async fn credentials_of_the_url_become_a_header_and_are_not_printed() {
    let server = Server::plain(|_| answer("200 OK", &[], b"")).await;
    let url = format!("http://user:secret@mod.test:{}/", server.address.port());
    let request: UpstreamRequest = get(&url);
    assert!(!format!("{request:?}").contains("secret"));
    patient(&["127.0.0.1"]).fetch(request).await.unwrap();
    let seen = server.seen();
    assert_eq!(
        seen[0].header("authorization"),
        Some("Basic dXNlcjpzZWNyZXQ=")
    );
    assert_eq!(seen[0].line, "GET / HTTP/1.1");
}

#[tokio::test]
async fn no_trusted_certificate_at_all_is_an_error_not_a_panic() {
    let (_, acceptor) = tls(&["mod.test"]);
    let server = Server::at("127.0.0.1:0", Some(acceptor), |_| {
        answer("200 OK", &[], b"")
    })
    .await;
    let upstream = Upstream::new(options(&["127.0.0.1"], RootCertStore::empty())).unwrap();
    assert_eq!(
        upstream
            .fetch(get(&server.url("https", "/")))
            .await
            .unwrap_err()
            .kind,
        FailureKind::Certificate
    );
}

#[tokio::test]
async fn both_families_are_used() {
    let server = Server::at("[::1]:0", None, |_| answer("200 OK", &[], b"six")).await;
    let (response, body) = fetch(&patient(&["127.0.0.9", "::1"]), &server.url("http", "/")).await;
    assert_eq!(
        (body.as_ref(), response.remote),
        (b"six".as_ref(), server.address)
    );
    let literal = format!("http://[::1]:{}/", server.address.port());
    let (_, body) = fetch(&patient(&[]), &literal).await;
    assert_eq!(body, "six");
    assert_eq!(
        server.seen()[1].header("host"),
        Some(format!("[::1]:{}", server.address.port()).as_str())
    );
}
