// SPDX-License-Identifier: MIT OR Apache-2.0
//! Servers that do not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use super::server::{FakeServer, Received};
use super::{Running, answer_wire, ask_for, query, read};
use crate::nameserver::answer::Worth;
use crate::nameserver::told::{AnswerSource, ExchangeOutcome};

const A: u16 = 1;

#[tokio::test]
async fn a_dead_first_server_is_passed_over_and_then_asked_no_more() {
    let (dead, good) = (FakeServer::silent().await, FakeServer::fine(60).await);
    let mut stub = Running::before(&[&dead, &good]);
    let asked = query("one.example", A, 1, true);
    assert_eq!(read(&asked, stub.ask(&asked).await).addresses().len(), 2);
    assert_eq!(dead.queries().len(), 1);
    let (told, also) = (stub.exchanged().await, stub.exchanged().await);
    assert!(
        [&told, &also]
            .into_iter()
            .any(|told| told.server == dead.address.to_string()
                && matches!(
                    told.outcome,
                    ExchangeOutcome::Silent {
                        given_up: false,
                        ..
                    }
                )),
        "{told:?} {also:?}"
    );
    // Each takes the patience with a server that nothing is known of, until it is known to be dead.
    let mut passed_over = 0;
    for number in 0..20 {
        let before = dead.queries().len();
        stub.ask(&query(&format!("n{number}.example"), A, 1, true))
            .await;
        passed_over += u32::from(dead.queries().len() == before);
    }
    assert!(passed_over > 5, "{passed_over}");
    // A busy machine may have one asked twice.
    assert!(good.queries().len() >= 21);
}

#[tokio::test]
async fn lost_datagrams_are_sent_again() {
    let server = FakeServer::new(|received| {
        if received.before < 4 {
            return Vec::new();
        }
        vec![answer_wire(received.query, 0, 60, 1)]
    })
    .await;
    let stub = Running::before(&[&server]);
    let asked = query("proxy.example", A, 1, true);
    assert_eq!(read(&asked, stub.ask(&asked).await).addresses().len(), 1);
    let numbers = server
        .queries()
        .iter()
        .map(|query| [query[0], query[1]])
        .collect::<std::collections::HashSet<_>>();
    assert!(numbers.len() > 1, "each with a number of its own");
}

#[tokio::test]
async fn an_answer_that_nobody_gave_is_not_given() {
    let server = FakeServer::silent().await;
    let stub = Running::before(&[&server]);
    let asked = query("proxy.example", A, 1, true);
    let nothing = ask_for(stub.stub(), &asked, Duration::from_millis(1500)).await;
    assert_eq!(nothing, None);
    assert!(
        (3..=32).contains(&server.queries().len()),
        "{}",
        server.queries().len()
    );
}

/// A server that says this as long as the flag is not set.
async fn until_silenced(
    says: impl Fn(&Received<'_>) -> Vec<u8> + Send + Sync + 'static,
) -> (FakeServer, Arc<AtomicBool>) {
    let silent = Arc::new(AtomicBool::new(false));
    let heeded = Arc::clone(&silent);
    let server = FakeServer::new(move |received| {
        if heeded.load(Ordering::Relaxed) {
            Vec::new()
        } else {
            vec![says(received)]
        }
    })
    .await;
    (server, silent)
}

#[tokio::test]
async fn while_all_are_silent_an_expired_answer_is_given_and_then_renewed() {
    let (server, silent) = until_silenced(|received| {
        let addresses = 1 + u8::from(received.before > 0);
        answer_wire(received.query, 0, 1, addresses)
    })
    .await;
    let mut stub = Running::before(&[&server]);
    let asked = query("proxy.example", A, 1, true);
    stub.ask(&asked).await;
    assert_eq!(stub.source().await, AnswerSource::Network);
    silent.store(true, Ordering::Relaxed);
    sleep(Duration::from_millis(1100)).await;
    let answer = read(&asked, stub.ask(&asked).await);
    assert_eq!(stub.source().await, AnswerSource::Stale);
    assert_eq!(answer.addresses().len(), 1);
    assert_eq!(answer.lifetime(), Some(Duration::from_secs(1)));
    assert!(server.queries().len() > 1, "it was asked nevertheless");
    silent.store(false, Ordering::Relaxed);
    for _ in 0..50 {
        if read(&asked, stub.ask(&asked).await).addresses().len() == 2 {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the answer was never renewed");
}

/// The second of two servers does not know what the first one does, and the first falls silent.
#[tokio::test]
async fn an_expired_answer_is_better_than_that_there_is_none_by_a_lower_server() {
    let (first, silent) = until_silenced(|received| answer_wire(received.query, 0, 1, 1)).await;
    let second = FakeServer::new(|received| vec![answer_wire(received.query, 3, 60, 0)]).await;
    let mut stub = Running::before(&[&first, &second]);
    let asked = query("module.corp.example", A, 1, true);
    stub.ask(&asked).await;
    assert_eq!(stub.source().await, AnswerSource::Network);
    silent.store(true, Ordering::Relaxed);
    sleep(Duration::from_millis(1100)).await;
    let answer = read(&asked, stub.ask(&asked).await);
    assert_eq!(stub.source().await, AnswerSource::Stale);
    assert_eq!(answer.addresses().len(), 1);
    assert!(!second.queries().is_empty());
    // By now the first one is known to be dead, and the second one's word counts almost at once.
    stub.ask(&query("another.corp.example", A, 1, true)).await;
    stub.source().await;
    let answer = read(&asked, stub.ask(&asked).await);
    assert_eq!(stub.source().await, AnswerSource::Stale);
    assert_eq!(answer.addresses().len(), 1);
}

#[tokio::test]
async fn an_expired_answer_is_not_given_against_a_servers_word() {
    let server = FakeServer::new(|received| {
        let rcode = if received.before == 0 { 0 } else { 2 };
        vec![answer_wire(received.query, rcode, 1, 1 - rcode / 2)]
    })
    .await;
    let mut stub = Running::before(&[&server]);
    let asked = query("proxy.example", A, 1, true);
    stub.ask(&asked).await;
    assert_eq!(stub.source().await, AnswerSource::Network);
    sleep(Duration::from_millis(1100)).await;
    let answer = read(&asked, stub.ask(&asked).await);
    assert_eq!(
        (answer.worth(), stub.source().await),
        (Worth::Failed, AnswerSource::Network)
    );
}

#[tokio::test]
async fn a_server_whose_port_is_closed_costs_no_wait() {
    let gone = FakeServer::silent().await;
    let good = FakeServer::fine(60).await;
    let mut stub = Running::before(&[&gone, &good]);
    drop(gone);
    // Its task ends with it.
    sleep(Duration::from_millis(50)).await;
    let asked = query("proxy.example", A, 1, true);
    assert_eq!(read(&asked, stub.ask(&asked).await).addresses().len(), 2);
    let told = stub.exchanged().await;
    assert!(
        matches!(told.outcome, ExchangeOutcome::Failed { .. }),
        "{told:?}"
    );
}
