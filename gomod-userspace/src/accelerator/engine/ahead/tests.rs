// SPDX-License-Identifier: MIT OR Apache-2.0
//! Against a server in this process, on 127.0.0.1.

use super::*;
use crate::accelerator::upstream::tests::{
    patient,
    server::{Answer, Seen, Server, Then, answer},
};

/// Names its own path, so that files can't be mistaken for one another.
fn files(seen: &Seen) -> Answer {
    answer("200 OK", &[], path(seen).as_bytes())
}

fn path(seen: &Seen) -> &str {
    seen.line.split(' ').nth(1).unwrap()
}

fn ahead(limits: AheadLimits) -> Arc<Ahead> {
    Ahead::new(patient(&["127.0.0.1"]), limits, None)
}

fn url(server: &Server, path: &str) -> Url {
    Url::parse(&server.url("http", path)).unwrap()
}

fn fetch(ahead: &Arc<Ahead>, server: &Server, paths: &[&str]) {
    let urls = paths.iter().map(|path| url(server, path));
    ahead.fetch(urls.collect::<Vec<_>>(), &Via::direct());
}

/// Waits for a fact; a test that waits for ever is ended by its runner.
async fn until(fact: impl Fn() -> bool) {
    while !fact() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn read(fetched: &Fetched) -> Result<Vec<u8>, BodyError> {
    let body = fetched.body().collect().await?;
    Ok(body.to_bytes().to_vec())
}

#[test]
fn the_farther_the_host_the_more_at_once_within_bounds() {
    let limits = AheadLimits::default();
    let at = |ms| at_once(Duration::from_millis(ms), limits);
    assert_eq!([at(0), at(20), at(50), at(3_000)], [8, 8, 20, 28]);
    let one = AheadLimits {
        at_once: 0,
        at_once_near: 0,
        ..limits
    };
    assert_eq!(at_once(Duration::from_secs(1), one), 1);
}

#[tokio::test]
async fn a_file_is_fetched_once_and_given_once() {
    let server = Server::plain(files).await;
    let ahead = ahead(AheadLimits::default());
    fetch(&ahead, &server, &["/a", "/b"]);
    fetch(&ahead, &server, &["/a"]);
    until(|| ahead.so_far().unused == 2).await;
    let so_far = ahead.so_far();
    assert_eq!((so_far.files, so_far.bytes, so_far.used), (2, 4, 0));
    assert_eq!(so_far.unused_bytes, 4);

    let a = url(&server, "/a");
    let (fetched, source) = ahead.claim(&a).unwrap();
    assert_eq!(source, Source::Prefetch);
    assert_eq!(fetched.head().await.unwrap().status, StatusCode::OK);
    assert_eq!(read(&fetched).await.unwrap(), b"/a");
    assert!(ahead.claim(&a).is_none(), "go keeps it itself by now");
    let so_far = ahead.so_far();
    assert_eq!((so_far.used, so_far.unused), (1, 1));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_request_joins_what_is_on_its_way() {
    let server = Server::plain(|seen| {
        let whole = files(seen);
        whole.cut(1, Then::Silence)
    })
    .await;
    let ahead = ahead(AheadLimits::default());
    fetch(&ahead, &server, &["/slow"]);
    until(|| ahead.so_far().bytes == 1).await;
    let (fetched, source) = ahead.claim(&url(&server, "/slow")).unwrap();
    assert_eq!(source, Source::Joined);
    assert_eq!(fetched.head().await.unwrap().status, StatusCode::OK);
    let first = fetched.body().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "/");
}

#[tokio::test]
async fn what_waits_for_its_turn_is_left_to_the_request() {
    let server = Server::plain(|seen| files(seen).cut(1, Then::Silence)).await;
    let ahead = ahead(AheadLimits {
        at_once: 1,
        at_once_near: 1,
        ..AheadLimits::default()
    });
    fetch(&ahead, &server, &["/first", "/second"]);
    until(|| ahead.so_far().bytes == 1).await;
    assert!(ahead.claim(&url(&server, "/second")).is_none());
    assert!(ahead.claim(&url(&server, "/first")).is_some());
    let seen = server.seen();
    assert_eq!(seen.iter().map(path).collect::<Vec<_>>(), ["/first"]);
}

#[tokio::test]
async fn a_no_is_not_kept_for_the_request() {
    let server = Server::plain(|_| answer("404 Not Found", &[], b"no")).await;
    let ahead = ahead(AheadLimits::default());
    fetch(&ahead, &server, &["/a"]);
    let a = url(&server, "/a");
    until(|| !server.seen().is_empty() && !ahead.files.lock().unwrap().contains_key(&a)).await;
    assert!(ahead.claim(&a).is_none());
    let so_far = ahead.so_far();
    assert_eq!((so_far.files, so_far.unused), (1, 0));
}

#[tokio::test]
async fn who_joined_a_fetch_that_fails_asks_anew() {
    let server = Server::plain(|_| answer("410 Gone", &[], b"no")).await;
    let ahead = ahead(AheadLimits::default());
    fetch(&ahead, &server, &["/a"]);
    let a = url(&server, "/a");
    let fetched = Arc::clone(&ahead.files.lock().unwrap()[&a]);
    assert!(fetched.head().await.is_none());
}

#[tokio::test]
async fn past_the_limit_nothing_more_is_begun() {
    let server = Server::plain(files).await;
    let ahead = ahead(AheadLimits {
        bytes: 2,
        at_once: 1,
        at_once_near: 1,
    });
    fetch(&ahead, &server, &["/a", "/b", "/c"]);
    let c = url(&server, "/c");
    until(|| !ahead.files.lock().unwrap().contains_key(&c)).await;
    assert_eq!(ahead.so_far().files, 1);
    assert_eq!(server.seen().len(), 1);
}
