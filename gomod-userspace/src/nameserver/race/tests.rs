// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two servers that do not know the same names: whose word counts, and who is asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::server::{Asker, Group, Server};
use super::super::telling::Teller;
use super::super::tests::server::{FakeServer, Received};
use super::super::tests::{answer_wire, question};
use super::runner::HELD_FOR;
use super::{Outcome, Standing, race};

const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// A server that says the same to every question; two addresses if that is [`NOERROR`].
fn saying(rcode: u8) -> impl Fn(&Received<'_>) -> Vec<Vec<u8>> + Send + Sync {
    move |received| {
        let addresses = if rcode == NOERROR { 2 } else { 0 };
        vec![answer_wire(received.query, rcode, 60, addresses)]
    }
}

/// That the name is there, but has no address.
fn no_data(received: &Received<'_>) -> Vec<Vec<u8>> {
    vec![answer_wire(received.query, NOERROR, 60, 0)]
}

/// The servers as a client lists them.
fn listed(servers: &[&FakeServer]) -> Group {
    Group {
        generation: 1,
        servers: servers
            .iter()
            .map(|server| Arc::new(Server::plain(server.address)))
            .collect(),
    }
}

/// What is said about a name. Fails if it takes longer than any resolver would wait for one server.
async fn asked(group: &Group) -> Outcome {
    let question = question("module.corp.example", true);
    let (teller, _account) = Teller::new(64);
    let asker = Arc::new(Asker::new(teller, &question));
    let race = race(group, &question, &asker, || ());
    timeout(Duration::from_secs(5), race)
        .await
        .expect("in time")
        .expect("an answer")
}

/// It is waited for almost as long as any server is.
fn is_far(server: &Server) {
    server.health.answered(Duration::from_millis(300));
}

/// It has not answered for some time.
async fn dies(server: &Server) {
    for _ in 0..5 {
        server.health.silent();
    }
    sleep(Duration::from_millis(500)).await;
    server.health.silent();
    assert!(server.health.is_dead());
}

fn says(outcome: &Outcome) -> (String, usize, Standing) {
    let answer = &outcome.answer;
    (answer.rcode(), answer.addresses().len(), outcome.standing)
}

fn found() -> (String, usize, Standing) {
    ("NOERROR".to_owned(), 2, Standing::Final)
}

fn none(standing: Standing) -> (String, usize, Standing) {
    ("NXDOMAIN".to_owned(), 0, standing)
}

#[tokio::test]
async fn a_quicker_server_is_not_asked_before_the_first() {
    let first = FakeServer::slow(Duration::from_millis(50), saying(NOERROR)).await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    is_far(&group.servers[0]);
    group.servers[1].health.answered(Duration::from_micros(50));
    for _ in 0..3 {
        assert_eq!(says(&asked(&group).await), found());
    }
    assert!(second.queries().is_empty());
}

#[tokio::test]
async fn what_the_first_says_is_final_also_that_there_is_nothing() {
    let second = FakeServer::new(saying(NOERROR)).await;
    for (first, rcode) in [
        (FakeServer::new(saying(NXDOMAIN)).await, "NXDOMAIN"),
        (FakeServer::new(no_data).await, "NOERROR"),
    ] {
        let group = listed(&[&first, &second]);
        is_far(&group.servers[0]);
        let expected = (rcode.to_owned(), 0, Standing::Final);
        assert_eq!(says(&asked(&group).await), expected);
    }
    assert!(second.queries().is_empty());
}

#[tokio::test]
async fn the_first_is_asked_again_before_it_is_believed_that_there_is_nothing() {
    for second in [
        FakeServer::new(saying(NXDOMAIN)).await,
        FakeServer::new(no_data).await,
    ] {
        let first = FakeServer::new(|received| {
            if received.before < 3 {
                return Vec::new();
            }
            saying(NOERROR)(received)
        })
        .await;
        let group = listed(&[&first, &second]);
        assert_eq!(says(&asked(&group).await), found());
        assert_eq!(second.queries().len(), 1);
    }
}

#[tokio::test]
async fn a_slow_first_server_has_the_last_word_and_is_waited_for_from_then_on() {
    // Slower than one that nothing is known of is waited for.
    let first = FakeServer::slow(Duration::from_millis(250), saying(NOERROR)).await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    assert_eq!(says(&asked(&group).await), found());
    assert!(group.servers[0].patience() > Duration::from_millis(250));
    let before = second.queries().len();
    assert_eq!(says(&asked(&group).await), found());
    assert_eq!(second.queries().len(), before);
}

#[tokio::test]
async fn a_slow_first_server_is_heard_although_another_was_enough() {
    let first = FakeServer::slow(Duration::from_millis(250), saying(NOERROR)).await;
    let second = FakeServer::new(saying(NOERROR)).await;
    let group = listed(&[&first, &second]);
    assert_eq!(says(&asked(&group).await), found());
    assert_eq!(second.queries().len(), 1);
    let patience = || group.servers[0].patience();
    let heard = async {
        while patience() <= Duration::from_millis(250) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(5), heard).await.unwrap();
}

#[tokio::test]
async fn from_a_silent_first_server_a_second_one_takes_over_in_bounded_time() {
    let first = FakeServer::silent().await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    let began = Instant::now();
    assert_eq!(says(&asked(&group).await), none(Standing::Provisional));
    assert!(began.elapsed() >= HELD_FOR);
    let questions = first.queries().len();
    assert!((3..=32).contains(&questions), "{questions}");
    assert_eq!(second.queries().len(), 1, "it has spoken");
}

#[tokio::test]
async fn what_there_is_is_final_whoever_says_it() {
    let first = FakeServer::silent().await;
    let second = FakeServer::new(saying(NOERROR)).await;
    let group = listed(&[&first, &second]);
    assert_eq!(says(&asked(&group).await), found());
    assert_eq!(first.queries().len(), 1);
}

#[tokio::test]
async fn for_a_server_that_is_known_to_be_dead_nobody_waits() {
    let first = FakeServer::silent().await;
    let second = FakeServer::new(saying(NOERROR)).await;
    let group = listed(&[&first, &second]);
    is_far(&group.servers[1]);
    dies(&group.servers[0]).await;
    assert_eq!(says(&asked(&group).await), found());
    assert!(first.queries().is_empty());
}

#[tokio::test]
async fn that_there_is_none_is_put_off_a_little_for_one_that_is_known_to_be_dead() {
    let first = FakeServer::silent().await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    is_far(&group.servers[1]);
    dies(&group.servers[0]).await;
    assert_eq!(says(&asked(&group).await), none(Standing::Provisional));
    assert_eq!(first.queries().len(), 1);
}

/// A server that asks others for what it does not have is silent while it waits for them.
#[tokio::test]
async fn one_that_was_slow_for_other_names_still_has_its_say() {
    let first = FakeServer::new(saying(NOERROR)).await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    is_far(&group.servers[0]);
    is_far(&group.servers[1]);
    dies(&group.servers[0]).await;
    assert_eq!(says(&asked(&group).await), found());
}

#[tokio::test]
async fn a_first_server_that_is_back_is_asked_first_again() {
    let first = FakeServer::new(saying(NOERROR)).await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    dies(&group.servers[0]).await;
    let back = async {
        while group.servers[0].health.is_dead() {
            asked(&group).await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(8), back).await.unwrap();
    is_far(&group.servers[0]);
    let before = second.queries().len();
    assert_eq!(says(&asked(&group).await), found());
    assert_eq!(second.queries().len(), before);
}

#[tokio::test]
async fn where_all_are_silent_none_is_taken_for_dead() {
    let first = FakeServer::new(saying(NOERROR)).await;
    let second = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second]);
    for server in &group.servers {
        is_far(server);
        dies(server).await;
    }
    assert_eq!(says(&asked(&group).await), found());
    assert!(second.queries().is_empty());
}

#[tokio::test]
async fn if_the_first_cannot_tell_the_second_does() {
    let lame = |received: &Received<'_>| {
        let mut answer = answer_wire(received.query, NOERROR, 0, 0);
        // It asks nobody for us.
        answer[3] &= 0x7f;
        vec![answer]
    };
    let first = [
        FakeServer::new(saying(SERVFAIL)).await,
        FakeServer::new(saying(REFUSED)).await,
        FakeServer::new(lame).await,
    ];
    let nxdomain = FakeServer::new(saying(NXDOMAIN)).await;
    let empty = FakeServer::new(no_data).await;
    for first in &first {
        for (second, rcode) in [(&nxdomain, "NXDOMAIN"), (&empty, "NOERROR")] {
            let group = listed(&[first, second]);
            group.servers.iter().for_each(|server| is_far(server));
            let before = first.queries().len();
            let expected = (rcode.to_owned(), 0, Standing::Provisional);
            assert_eq!(says(&asked(&group).await), expected);
            assert_eq!(first.queries().len(), before + 1, "nothing was held");
        }
    }
}

#[tokio::test]
async fn of_two_that_say_that_there_is_nothing_the_one_listed_before_counts() {
    let first = FakeServer::silent().await;
    let second = FakeServer::slow(Duration::from_millis(250), no_data).await;
    let third = FakeServer::new(saying(NXDOMAIN)).await;
    let group = listed(&[&first, &second, &third]);
    let expected = ("NOERROR".to_owned(), 0, Standing::Provisional);
    assert_eq!(says(&asked(&group).await), expected);
    assert_eq!(third.queries().len(), 1);
}
