// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bodies that break off, and how they are continued.

use std::sync::Arc;

use proptest::prelude::*;

use super::server::{Answer, Seen, Server, Then, answer, silence};
use super::{fetch, get, impatient, patient, read};
use crate::accelerator::upstream::{FailureKind, UpstreamError};

/// A file without repetition.
fn file(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// The whole file, or the part that was asked for under a matching condition.
fn serve(seen: &Seen, file: &[u8], etag: Option<&str>) -> Answer {
    let mut headers = vec![("content-type", "application/zip")];
    headers.extend(etag.map(|etag| ("etag", etag)));
    match seen.range() {
        Some(from) if seen.header("if-range") == etag && etag.is_some() => {
            let range = format!("bytes {from}-{}/{}", file.len() - 1, file.len());
            headers.push(("content-range", &range));
            answer("206 Partial Content", &headers, &file[from..])
        }
        _ => answer("200 OK", &headers, file),
    }
}

/// Fetches a file whose first body is cut after `cut` bytes.
async fn fetch_cut(
    length: usize,
    cut: usize,
    then: Then,
    etag: Option<&'static str>,
) -> (Vec<u8>, u64, u64) {
    let whole = Arc::new(file(length));
    let original = Arc::clone(&whole);
    let server = Server::plain(move |seen| {
        let whole = serve(seen, &original, etag);
        if seen.number == 0 {
            whole.cut(cut, then)
        } else {
            whole
        }
    })
    .await;
    let upstream = if then == Then::Silence {
        impatient(&["127.0.0.1"])
    } else {
        patient(&["127.0.0.1"])
    };
    let (response, body) = fetch(&upstream, &server.url("http", "/file.zip")).await;
    assert_eq!(body, *whole, "cut after {cut} of {length}");
    assert!(response.account.resumes() >= 1);
    assert_eq!(response.account.body_bytes(), length as u64);
    (
        body.to_vec(),
        response.account.resumed_bytes(),
        response.account.refetched_bytes(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_cut_anywhere_is_whole_in_the_end(length in 1_usize..200_000, part in 0.0..1.0_f64, strong: bool) {
        let cut = (length as f64 * part) as usize;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let etag = strong.then_some("\"v1\"");
        let (_, resumed, refetched) = runtime.block_on(fetch_cut(length, cut, Then::Close, etag));
        if strong {
            prop_assert_eq!((resumed, refetched), (cut as u64, 0));
        } else {
            prop_assert_eq!((resumed, refetched), (0, cut as u64));
        }
    }
}

#[tokio::test]
async fn a_body_that_stops_is_continued_from_there() {
    let (_, resumed, _) = fetch_cut(100_000, 70_000, Then::Silence, Some("\"v1\"")).await;
    assert_eq!(resumed, 70_000);
}

#[tokio::test]
async fn a_body_that_never_began_is_asked_for_again() {
    fetch_cut(100_000, 0, Then::Silence, None).await;
}

#[tokio::test]
async fn an_old_date_vouches_for_the_file_as_an_etag_does() {
    let whole = file(10_000);
    let original = whole.clone();
    let (old, new) = (
        "Tue, 01 Jan 2030 00:00:00 GMT",
        "Tue, 01 Jan 2030 12:00:00 GMT",
    );
    let server = Server::plain(move |seen| match seen.range() {
        None => answer(
            "200 OK",
            &[("last-modified", old), ("date", new)],
            &original,
        )
        .cut(4_000, Then::Close),
        Some(from) => {
            let range = format!("bytes {from}-9999/10000");
            answer(
                "206 Partial Content",
                &[("content-range", &range)],
                &original[from..],
            )
        }
    })
    .await;
    let (response, body) = fetch(&patient(&["127.0.0.1"]), &server.url("http", "/")).await;
    assert_eq!(
        (body, response.account.resumed_bytes()),
        (whole.into(), 4_000)
    );
    assert_eq!(server.seen()[1].header("if-range"), Some(old));
}

#[tokio::test]
async fn a_body_cut_many_times_is_whole_in_the_end() {
    let whole = file(100_000);
    let original = whole.clone();
    let server = Server::plain(move |seen| {
        let rest = serve(seen, &original, Some("\"v1\""));
        if seen.number < 9 {
            rest.cut(10_000, Then::Close)
        } else {
            rest
        }
    })
    .await;
    let (response, body) = fetch(&patient(&["127.0.0.1"]), &server.url("http", "/")).await;
    assert_eq!((body, response.account.resumes()), (whole.into(), 9));
}

/// Cuts the first body after 4000 of 10000 bytes, and goes on by `script`; what the reader got and why it ended.
async fn broken_off(
    headers: &'static [(&'static str, &'static str)],
    script: impl Fn(&Seen, &[u8]) -> Answer + Send + Sync + 'static,
) -> (
    Result<bytes::Bytes, (bytes::Bytes, UpstreamError)>,
    Vec<Seen>,
) {
    let original = file(10_000);
    let server = Server::plain(move |seen| {
        if seen.number == 0 {
            answer("200 OK", headers, &original).cut(4_000, Then::Close)
        } else {
            script(seen, &original)
        }
    })
    .await;
    let mut response = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")))
        .await
        .unwrap();
    let outcome = read(&mut response).await;
    (outcome, server.seen())
}

fn ends_short(outcome: Result<bytes::Bytes, (bytes::Bytes, UpstreamError)>, kind: FailureKind) {
    let (received, error) = outcome.unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert_eq!(
        received,
        file(10_000)[..4_000],
        "nothing but the file's own bytes is handed on"
    );
}

#[tokio::test]
async fn a_file_that_changed_ends_short() {
    let (outcome, seen) = broken_off(&[("etag", "\"v1\"")], |_, _| {
        answer("200 OK", &[("etag", "\"v2\"")], &[1; 10_000])
    })
    .await;
    ends_short(outcome, FailureKind::Changed);
    assert_eq!(
        (seen.len(), seen[1].header("if-range")),
        (2, Some("\"v1\""))
    );
}

#[tokio::test]
async fn a_file_of_another_length_ends_short() {
    let (outcome, _) = broken_off(&[], |_, file| answer("200 OK", &[], &file[..9_999])).await;
    ends_short(outcome, FailureKind::Changed);
}

#[tokio::test]
async fn a_file_whose_beginning_differs_ends_short() {
    let (outcome, _) = broken_off(&[], |_, file| {
        let mut other = file.to_vec();
        other[3_999] ^= 1;
        answer("200 OK", &[], &other)
    })
    .await;
    ends_short(outcome, FailureKind::Changed);
}

#[tokio::test]
async fn a_part_of_another_file_ends_short() {
    let (outcome, _) = broken_off(&[("etag", "\"v1\"")], |_, file| {
        let headers = [
            ("content-range", "bytes 4000-9999/10000"),
            ("etag", "\"v2\""),
        ];
        answer("206 Partial Content", &headers, &file[4_000..])
    })
    .await;
    ends_short(outcome, FailureKind::Changed);
}

#[tokio::test]
async fn a_wrong_part_is_not_taken_but_the_whole_is_asked_for() {
    for range in [
        "bytes 3999-9999/10000",
        "bytes 4001-9999/10000",
        "bytes 4000-10000/*",
        "nonsense",
    ] {
        let (outcome, seen) = broken_off(&[("etag", "\"v1\"")], move |seen, file| {
            match seen.range() {
                Some(_) => answer(
                    "206 Partial Content",
                    &[("content-range", range)],
                    &[0; 6_000],
                ),
                None => answer("200 OK", &[("etag", "\"v1\"")], file),
            }
        })
        .await;
        assert_eq!(outcome.unwrap(), file(10_000), "{range}");
        assert_eq!(seen.len(), 3, "{range}");
    }
}

#[tokio::test]
async fn a_host_that_ignores_ranges_is_fetched_from_the_start() {
    let (outcome, seen) = broken_off(&[("etag", "\"v1\"")], |_, file| {
        answer("200 OK", &[("etag", "\"v1\"")], file)
    })
    .await;
    assert_eq!((outcome.unwrap(), seen.len()), (file(10_000).into(), 2));
}

#[tokio::test]
async fn a_host_that_has_the_rest_no_more_ends_short_after_bounded_requests() {
    let (outcome, seen) = broken_off(&[("etag", "\"v1\"")], |_, _| {
        answer("404 Not Found", &[], b"gone")
    })
    .await;
    ends_short(outcome, FailureKind::Cut);
    assert_eq!(seen.len(), 5);
}

#[tokio::test]
async fn a_host_that_falls_silent_for_good_ends_short() {
    let server = Server::plain(|seen| match seen.number {
        0 => answer("200 OK", &[("etag", "\"v1\"")], &file(10_000)).cut(4_000, Then::Silence),
        _ => silence(),
    })
    .await;
    let mut response = impatient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")))
        .await
        .unwrap();
    ends_short(read(&mut response).await, FailureKind::Timeout);
}

#[tokio::test]
async fn chunks_are_passed_and_a_missing_last_chunk_is_a_cut() {
    let chunked = |chunks: &str| Answer {
        bytes: format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
            .into_bytes(),
        then: Then::Close,
    };
    let server = Server::plain(move |seen| match seen.number {
        0 => chunked("3\r\nabc\r\n"),
        _ => chunked("4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"),
    })
    .await;
    let (response, body) = fetch(&patient(&["127.0.0.1"]), &server.url("http", "/")).await;
    assert_eq!(
        (body.as_ref(), response.account.refetched_bytes()),
        (b"abcdef".as_ref(), 3)
    );
    assert!(!response.headers.contains_key("transfer-encoding"));
}

#[tokio::test]
async fn a_part_that_the_client_asked_for_passes_and_is_not_mended() {
    let server = Server::plain(|_| {
        answer(
            "206 Partial Content",
            &[("content-range", "bytes 5-9/10")],
            b"56789",
        )
        .cut(3, Then::Close)
    })
    .await;
    let mut headers = http::HeaderMap::new();
    headers.insert("range", "bytes=5-".parse().unwrap());
    let mut response = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")).headers(headers))
        .await
        .unwrap();
    assert_eq!(response.status.as_u16(), 206);
    let (received, error) = read(&mut response).await.unwrap_err();
    assert_eq!(
        (received.as_ref(), error.kind, server.seen().len()),
        (b"567".as_ref(), FailureKind::Cut, 1)
    );
}

#[tokio::test]
async fn the_text_of_an_error_that_breaks_off_ends_short() {
    let server =
        Server::plain(|_| answer("404 Not Found", &[], b"not found").cut(3, Then::Close)).await;
    let mut response = patient(&["127.0.0.1"])
        .fetch(get(&server.url("http", "/")))
        .await
        .unwrap();
    assert_eq!(read(&mut response).await.unwrap_err().0, "not");
}
