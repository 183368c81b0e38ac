// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clients by TCP, and messages that are passed on as they are.

use std::time::Duration;

use super::server::FakeServer;
use super::{ClientTransport, Running, SOON, answer_wire, ask_by_tcp, query};
use crate::nameserver::told::AnswerSource;

const A: u16 = 1;

#[tokio::test]
async fn questions_on_one_connection_are_answered_as_the_answers_come() {
    let server = FakeServer::slow(Duration::from_millis(20), |received| {
        vec![answer_wire(received.query, 0, 60, 1)]
    })
    .await;
    let mut stub = Running::before(&[&server]);
    let queries = (0..40_u16)
        .map(|id| query(&format!("n{id}.example"), A, id, true))
        .collect::<Vec<_>>();
    let mut answers = ask_by_tcp(stub.stub(), &queries).await;
    answers.sort();
    let expected = queries
        .iter()
        .map(|query| answer_wire(query, 0, 60, 1))
        .collect::<Vec<_>>();
    assert_eq!(answers, expected);
    assert_eq!(stub.answered().await.transport, ClientTransport::Tcp);
}

#[tokio::test]
async fn what_is_no_plain_question_goes_to_the_server_asked_as_it_is() {
    let (first, second) = (
        FakeServer::fine(60).await,
        FakeServer::new(|received| {
            let mut answer = received.query.to_vec();
            answer.extend(b"seen");
            vec![answer]
        })
        .await,
    );
    let mut stub = Running::before(&[&first, &second]);
    let endpoint = stub.serving.endpoints()[1];
    assert_eq!(endpoint.server, second.address);
    let mut chaos = query("version.bind", 16, 77, false);
    let at = chaos.len() - 1;
    chaos[at] = 3;
    let mut update = query("zone.example", 6, 78, false);
    update[2] = 0x28;
    let mut two = query("zone.example", 6, 79, false);
    two[5] = 2;
    for message in [chaos, update, two, vec![0xff; 40], vec![1, 2, 3]] {
        let answer = super::ask(endpoint.stub, &message).await.unwrap();
        assert_eq!(answer, [&message[..], b"seen"].concat());
        let told = stub.answered().await;
        assert_eq!(
            (told.server, told.source),
            (second.address, AnswerSource::Network)
        );
        let answers = ask_by_tcp(endpoint.stub, std::slice::from_ref(&message)).await;
        assert_eq!(answers, [[&message[..], b"seen"].concat()]);
        stub.answered().await;
    }
    assert_eq!(second.queries().len(), 5);
    assert!(first.queries().is_empty());
    assert_eq!(stub.serving.names().statistics().passed, 10);
}

#[tokio::test]
async fn a_zone_transfer_has_as_many_messages_as_the_server_sends() {
    let server = FakeServer::new(|received| {
        (0..5)
            .map(|_| answer_wire(received.query, 0, 60, 3))
            .collect()
    })
    .await;
    let stub = Running::before(&[&server]);
    let transfer = query("zone.example", 252, 5, false);
    let mut stream = tokio::net::TcpStream::connect(stub.stub()).await.unwrap();
    crate::nameserver::exchange::write_message(&mut stream, &transfer)
        .await
        .unwrap();
    for _ in 0..5 {
        let message =
            tokio::time::timeout(SOON, crate::nameserver::exchange::read_message(&mut stream));
        let message = message.await.unwrap().unwrap().unwrap();
        assert_eq!(message, answer_wire(&transfer, 0, 60, 3));
    }
}

#[tokio::test]
async fn a_stub_that_ends_gives_its_ports_back() {
    let server = FakeServer::fine(60).await;
    let stub = Running::before(&[&server]);
    let address = stub.stub();
    stub.ask(&query("proxy.example", A, 1, true)).await;
    let is_free = || {
        std::net::UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok()
    };
    assert!(!is_free());
    drop(stub);
    tokio::time::timeout(SOON, async {
        while !is_free() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}
