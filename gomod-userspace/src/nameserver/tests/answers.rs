// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which answer a client gets, and who is asked for it.

use std::time::Duration;

use super::server::FakeServer;
use super::{Running, answer_wire, ask, ask_by_tcp, query, read};
use crate::nameserver::answer::Worth;
use crate::nameserver::told::{AnswerSource, ExchangeOutcome, UpstreamTransport};

const A: u16 = 1;

#[tokio::test]
async fn an_answer_is_asked_for_once_and_then_known() {
    let server = FakeServer::fine(300).await;
    let mut stub = Running::before(&[&server]);
    let first = query("Proxy.Example", A, 0x1234, true);
    let answer = stub.ask(&first).await;
    assert_eq!(answer, answer_wire(&first, 0, 300, 2), "byte for byte");
    let told = stub.answered().await;
    assert_eq!(told.source, AnswerSource::Network);
    assert_eq!(
        (told.name.as_str(), told.qtype.as_str()),
        ("proxy.example", "A")
    );
    assert_eq!(
        (told.id, told.server, told.rcode.as_str()),
        (0x1234, server.address, "NOERROR")
    );
    assert_eq!(told.answers.len(), 2);
    assert!(told.received_at <= told.answered_at);
    let second = query("pROXY.example", A, 0x4321, false);
    let answer = stub.ask(&second).await;
    assert_eq!(
        answer[..second.len()][12..],
        second[12..],
        "the client's own way to write it"
    );
    let answer = read(&second, answer);
    assert_eq!(answer.addresses().len(), 2);
    assert_eq!(stub.source().await, AnswerSource::Cache);
    assert_eq!(server.queries().len(), 1);
    let statistics = stub.serving.names().statistics();
    assert_eq!((statistics.hits, statistics.misses), (1, 1));
    assert!(statistics.cached_bytes > 0);
}

#[tokio::test]
async fn the_query_goes_out_as_it_came_but_for_its_number() {
    let server = FakeServer::new(|received| {
        vec![answer_wire(
            &received.query[..received.query.len() - 8],
            0,
            60,
            1,
        )]
    })
    .await;
    let stub = Running::before(&[&server]);
    let mut asked = query("WeIrD.example", 65_432, 0x5555, true);
    // CD and AD, DO, and an option that nobody knows.
    asked[3] |= 0x30;
    let opt = asked.len() - 11;
    asked[opt + 7] |= 0x80;
    asked[opt + 10] = 8;
    asked.extend([0xfd, 0xe9, 0, 4, 1, 2, 3, 4]);
    for _ in 0..2 {
        assert!(ask(stub.stub(), &asked).await.is_some());
    }
    let received = server.queries();
    assert_eq!(
        received.len(),
        2,
        "an option may change the answer: it isn't kept"
    );
    for query in &received {
        assert_eq!(query[2..], asked[2..]);
    }
    assert!(
        received.iter().any(|query| query[..2] != asked[..2]),
        "numbers of our own"
    );
}

#[tokio::test]
async fn questions_in_flight_are_asked_once() {
    let server = FakeServer::slow(Duration::from_millis(60), |received| {
        vec![answer_wire(received.query, 0, 0, 1)]
    })
    .await;
    let stub = Running::before(&[&server]);
    let clients = (0..50_u16).map(|id| {
        let asked = query("proxy.example", A, id, true);
        let stub = stub.stub();
        async move {
            let answer = ask(stub, &asked).await.unwrap();
            assert_eq!(answer, answer_wire(&asked, 0, 0, 1));
        }
    });
    futures_util::future::join_all(clients).await;
    assert_eq!(server.queries().len(), 1);
}

#[tokio::test]
async fn that_there_is_none_is_known_as_long_as_the_soa_says() {
    let server = FakeServer::new(|received| {
        let mut answer = answer_wire(received.query, 3, 60, 0);
        let opt = answer.split_off(answer.len() - 11);
        answer[9] = 1;
        answer.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 1, 0, 0, 22, 0, 0]);
        answer.extend([0; 16]);
        answer.extend([0, 0, 0, 60]);
        answer.extend(opt);
        vec![answer]
    })
    .await;
    let mut stub = Running::before(&[&server]);
    let asked = query("none.example", A, 1, true);
    for source in [AnswerSource::Network, AnswerSource::Cache] {
        let answer = read(&asked, stub.ask(&asked).await);
        assert_eq!(answer.rcode(), "NXDOMAIN");
        assert_eq!(answer.lifetime(), Some(Duration::from_secs(60)));
        assert_eq!(stub.source().await, source);
    }
    assert_eq!(server.queries().len(), 1);
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_by_tcp_and_given_in_a_form_that_fits() {
    let server = FakeServer::new(|received| {
        if received.by_tcp {
            return vec![answer_wire(received.query, 0, 60, 90)];
        }
        let mut cut = answer_wire(received.query, 0, 60, 1);
        cut[2] |= 2;
        vec![cut]
    })
    .await;
    let mut stub = Running::before(&[&server]);
    // 90 addresses need more than 1232 bytes.
    let asked = query("large.example", A, 7, true);
    let short = read(&asked, stub.ask(&asked).await);
    assert!(short.truncated() && short.addresses().is_empty());
    assert_eq!(stub.exchanged().await.transport, UpstreamTransport::Udp);
    assert_eq!(stub.exchanged().await.transport, UpstreamTransport::Tcp);
    let whole = ask_by_tcp(stub.stub(), std::slice::from_ref(&asked))
        .await
        .remove(0);
    let whole = read(&asked, whole);
    assert!(!whole.truncated());
    assert_eq!(whole.addresses().len(), 90);
    assert_eq!(server.queries().len(), 1);
    // A client that takes large datagrams gets it in one.
    let mut large = asked.clone();
    let opt = large.len() - 11;
    large[opt + 3..opt + 5].copy_from_slice(&4096_u16.to_be_bytes());
    assert_eq!(read(&large, stub.ask(&large).await).addresses().len(), 90);
}

#[tokio::test]
async fn where_tcp_is_shut_the_truncated_answer_is_passed_on_and_not_kept() {
    let server = FakeServer::new(|received| {
        let mut cut = answer_wire(received.query, 0, 60, 1);
        cut[2] |= 2;
        if received.by_tcp {
            Vec::new()
        } else {
            vec![cut]
        }
    })
    .await;
    let stub = Running::before(&[&server]);
    let asked = query("large.example", A, 7, true);
    for _ in 0..2 {
        let answer = read(&asked, stub.ask(&asked).await);
        assert!(answer.truncated());
        assert_eq!(answer.addresses().len(), 1);
    }
    assert_eq!(server.queries().len(), 2);
}

#[tokio::test]
async fn another_server_is_asked_if_one_fails_refuses_or_points_elsewhere() {
    for rcode in [2, 5, 0] {
        let bad = FakeServer::new(move |received| {
            let mut answer = answer_wire(&received.query[..received.query.len() - 11], rcode, 0, 0);
            answer[11] = 0;
            if rcode == 0 {
                // NS of the root: whoever asks here is sent away.
                answer[9] = 1;
                answer.extend([0, 0, 2, 0, 1, 0, 0, 0, 60, 0, 1, 0]);
            }
            vec![answer]
        })
        .await;
        let good = FakeServer::fine(60).await;
        let stub = Running::before(&[&bad, &good]);
        let asked = query("proxy.example", A, 9, true);
        let answer = read(&asked, stub.ask(&asked).await);
        assert_eq!(
            (answer.worth(), answer.addresses().len()),
            (Worth::Positive, 2)
        );
        assert!(!bad.queries().is_empty());
    }
}

#[tokio::test]
async fn what_all_servers_say_is_said_and_not_kept() {
    for (rcode, name, least) in [(2, "SERVFAIL", 2), (5, "REFUSED", 1)] {
        let say = move |received: &super::server::Received<'_>| {
            vec![answer_wire(received.query, rcode, 0, 0)]
        };
        let (one, other) = (FakeServer::new(say).await, FakeServer::new(say).await);
        let mut stub = Running::before(&[&one, &other]);
        let asked = query("proxy.example", A, 9, true);
        for round in 1..=2 {
            assert_eq!(read(&asked, stub.ask(&asked).await).rcode(), name);
            assert_eq!(stub.source().await, AnswerSource::Network);
            // More if the machine was so busy that an answer seemed lost.
            for server in [&one, &other] {
                assert!(server.queries().len() >= round * least);
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_fails_for_a_moment_is_asked_once_more() {
    let server = FakeServer::new(|received| {
        let rcode = if received.before == 0 { 2 } else { 0 };
        vec![answer_wire(received.query, rcode, 60, 1)]
    })
    .await;
    let mut stub = Running::before(&[&server]);
    let asked = query("proxy.example", A, 9, true);
    assert_eq!(read(&asked, stub.ask(&asked).await).rcode(), "NOERROR");
    for (attempt, rcode) in [(1, "SERVFAIL"), (2, "NOERROR")] {
        let told = stub.exchanged().await;
        assert_eq!(told.attempt, attempt);
        assert!(
            matches!(&told.outcome, ExchangeOutcome::Answered { rcode: told, .. } if told == rcode),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn another_list_of_servers_has_answers_of_its_own() {
    let (old, new) = (FakeServer::fine(300).await, FakeServer::fine(300).await);
    let mut stub = Running::before(&[&old]);
    let asked = query("proxy.example", A, 9, true);
    stub.ask(&asked).await;
    let added = stub.serving.add_servers(&[new.address]).unwrap();
    assert_eq!(added.len(), 1);
    assert_eq!(added[0].server, new.address);
    assert!(ask(added[0].stub, &asked).await.is_some());
    assert_eq!(
        new.queries().len(),
        1,
        "what the old one said may not hold here"
    );
    stub.ask(&asked).await;
    assert_eq!((old.queries().len(), new.queries().len()), (1, 1));
    assert_eq!(stub.serving.endpoints().len(), 2);
    assert!(stub.serving.add_servers(&[old.address]).unwrap().is_empty());
}
