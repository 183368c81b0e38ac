// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names kept warm, and looked up for our own connections.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::server::FakeServer;
use super::{Running, answer_wire, query, read};
use crate::nameserver::names::LookupError;
use crate::nameserver::resolv_conf::ResolvConf;
use crate::nameserver::told::AnswerSource;

/// A query's type.
fn kind(query: &[u8]) -> u8 {
    query[query.len() - 11 - 3]
}

#[tokio::test]
async fn a_warm_name_is_answered_before_anybody_is_asked() {
    let server = FakeServer::fine(300).await;
    let mut stub = Running::before(&[&server]);
    let names = stub.serving.names();
    names.prewarm([
        "Proxy.example",
        "127.0.0.1",
        "::1",
        "no..name",
        "proxy.example",
    ]);
    while server.queries().len() < 2 || names.statistics().cached_bytes < 500 {
        sleep(Duration::from_millis(5)).await;
    }
    for qtype in [1, 28] {
        let asked = query("proxy.example", qtype, 3, true);
        assert_eq!(read(&asked, stub.ask(&asked).await).addresses().len(), 2);
        assert_eq!(stub.source().await, AnswerSource::Prewarmed);
    }
    // Without EDNS, as glibc asks.
    stub.ask(&query("proxy.example", 1, 3, false)).await;
    assert_eq!(stub.source().await, AnswerSource::Prewarmed);
    assert_eq!(server.queries().len(), 2);
}

#[tokio::test]
async fn a_warm_name_is_asked_for_again_before_its_answer_ends() {
    const HOLDS: u32 = 6;
    let server = FakeServer::fine(HOLDS).await;
    let mut stub = Running::before(&[&server]);
    let began = Instant::now();
    stub.serving.names().prewarm(["proxy.example"]);
    while server.queries().len() < 4 {
        assert!(began.elapsed() < Duration::from_secs(HOLDS.into()));
        sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(1), "at its leisure");
    sleep(Duration::from_secs(HOLDS.into()).saturating_sub(began.elapsed())).await;
    stub.ask(&query("proxy.example", 1, 3, true)).await;
    assert_eq!(
        stub.source().await,
        AnswerSource::Prewarmed,
        "the first answer has ended"
    );
}

#[tokio::test]
async fn both_families_are_found_and_each_asked_for_once() {
    let server = FakeServer::fine(300).await;
    let stub = Running::before(&[&server]);
    let names = stub.serving.names();
    for _ in 0..2 {
        let found = names.lookup("proxy.example").await.unwrap();
        assert_eq!(found.iter().filter(|address| address.is_ipv4()).count(), 2);
        assert_eq!(found.iter().filter(|address| address.is_ipv6()).count(), 2);
    }
    assert_eq!(server.queries().len(), 2);
    let literal: IpAddr = "2001:2::1".parse().unwrap();
    assert_eq!(names.lookup("[2001:2::1]").await, Ok(vec![literal]));
    assert!(
        names
            .lookup("localhost")
            .await
            .unwrap()
            .iter()
            .all(IpAddr::is_loopback)
    );
    assert_eq!(server.queries().len(), 2);
}

#[tokio::test]
async fn a_family_that_is_never_answered_holds_nobody_up() {
    let server = FakeServer::new(|received| {
        if kind(received.query) == 28 {
            return Vec::new();
        }
        vec![answer_wire(received.query, 0, 60, 2)]
    })
    .await;
    let stub = Running::before(&[&server]);
    let found = stub.serving.names().lookup("proxy.example").await.unwrap();
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn why_there_is_no_address_is_said() {
    let server = FakeServer::new(|received| {
        let rcode = match received.query[13] {
            b'n' => 3,
            b'f' => 2,
            _ => 0,
        };
        vec![answer_wire(received.query, rcode, 60, 0)]
    })
    .await;
    let stub = Running::before(&[&server]);
    let names = stub.serving.names();
    let no_such_host = |host: &str, rcode: &str| LookupError::NoSuchHost {
        host: host.to_owned(),
        rcode: rcode.to_owned(),
    };
    assert_eq!(
        names.lookup("none.example").await,
        Err(no_such_host("none.example", "NXDOMAIN"))
    );
    assert_eq!(
        names.lookup("empty.example").await,
        Err(no_such_host("empty.example", "NOERROR"))
    );
    assert!(matches!(
        names.lookup("failing.example").await,
        Err(LookupError::Failed { .. })
    ));
    assert!(matches!(
        names.lookup("no..name").await,
        Err(LookupError::Invalid { .. })
    ));
    assert!(matches!(
        names.lookup("").await,
        Err(LookupError::Invalid { .. } | LookupError::NoSuchHost { .. })
    ));
}

#[tokio::test]
async fn short_names_are_completed_as_resolv_conf_says() {
    let server = FakeServer::new(|received| {
        let whole = received.query[12..].starts_with(b"\x05proxy\x04corp\x07example\x00");
        let rcode = if whole { 0 } else { 3 };
        vec![answer_wire(received.query, rcode, 60, u8::from(whole))]
    })
    .await;
    let stub = Running::before(&[&server]);
    let names = stub.serving.names();
    names.complete_as(&ResolvConf::parse(b"search lab.example corp.example\n"));
    assert_eq!(names.lookup("proxy").await.unwrap().len(), 2);
    assert!(names.lookup("proxy.").await.is_err());
}

#[tokio::test]
async fn nothing_is_kept_warm_once_serving_has_ended() {
    let server = FakeServer::fine(300).await;
    let stub = Running::before(&[&server]);
    let names = stub.serving.names();
    drop(stub);
    names.prewarm(["proxy.example"]);
    // Lookups still work.
    assert_eq!(names.lookup("other.example").await.unwrap().len(), 4);
    assert_eq!(server.queries().len(), 2);
}
