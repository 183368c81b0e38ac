// SPDX-License-Identifier: MIT OR Apache-2.0
//! Datagrams that are wrong, forged, or nothing at all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::sleep;

use super::server::FakeServer;
use super::{Answer, Asked, Running, answer_wire, ask, query, read};
use crate::nameserver::answer::Age;

const A: u16 = 1;

#[tokio::test]
async fn answers_with_a_wrong_number_or_question_are_ignored() {
    let server = FakeServer::new(|received| {
        let good = answer_wire(received.query, 0, 60, 2);
        let spoilt = |at: usize| {
            let mut wrong = answer_wire(received.query, 0, 60, 1);
            wrong[at] ^= 0x01;
            wrong
        };
        let mut query = answer_wire(received.query, 0, 60, 1);
        query[2] &= 0x7f;
        // The number, the name, a question too many, no answer at all.
        vec![
            spoilt(0),
            spoilt(1),
            spoilt(13),
            spoilt(5),
            query,
            vec![0; 5],
            Vec::new(),
            good,
        ]
    })
    .await;
    let stub = Running::before(&[&server]);
    let asked = query("proxy.example", A, 9, true);
    assert_eq!(read(&asked, stub.ask(&asked).await).addresses().len(), 2);
}

#[tokio::test]
async fn an_answer_from_another_source_is_ignored() {
    let seen = Arc::new(Mutex::new(None::<(SocketAddr, Vec<u8>)>));
    let real = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = real.local_addr().unwrap();
    let stranger = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut buffer = vec![0; 1500];
        let (len, client) = real.recv_from(&mut buffer).await.unwrap();
        *noted.lock().unwrap() = Some((client, buffer[..len].to_vec()));
        for _ in 0..3 {
            let forged = answer_wire(&buffer[..len], 0, 60, 1);
            // The kernel may tell the stranger that nobody listens to it.
            let _ = stranger.send_to(&forged, client).await;
        }
        sleep(Duration::from_millis(30)).await;
        real.send_to(&answer_wire(&buffer[..len], 0, 60, 2), client)
            .await
            .unwrap();
    });
    let (serving, _told) = super::Stub::bind(&[address], super::StubOptions::default())
        .unwrap()
        .serve()
        .unwrap();
    let asked = query("proxy.example", A, 9, true);
    let answer = ask(serving.endpoints()[0].stub, &asked).await.unwrap();
    assert_eq!(read(&asked, answer).addresses().len(), 2);
    assert!(seen.lock().unwrap().is_some());
}

/// Some of pure noise, some of queries with a few bytes changed, cut or added to.
#[tokio::test]
async fn ten_thousand_malformed_packets_harm_nothing() {
    let server = FakeServer::new(|received| match Asked::read(received.query) {
        Asked::Question(question) if question.key().is_some() => {
            vec![answer_wire(received.query, 0, 60, 2)]
        }
        _ => vec![received.query.to_vec()],
    })
    .await;
    let stub = Running::before(&[&server]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(stub.stub()).await.unwrap();
    let mut random = fastrand::Rng::with_seed(20_240_117);
    for number in 0..10_000_u32 {
        let mut packet = if random.bool() {
            let len = random.usize(0..600);
            let mut noise = vec![0; len];
            random.fill(&mut noise);
            noise
        } else {
            query(
                &format!("n{}.example", random.u8(..)),
                random.u16(..),
                random.u16(..),
                random.bool(),
            )
        };
        for _ in 0..random.usize(0..4) {
            if packet.is_empty() {
                break;
            }
            let at = random.usize(..packet.len());
            match random.u8(0..3) {
                0 => packet[at] = random.u8(..),
                1 => packet.truncate(at),
                _ => packet.insert(at, random.u8(..)),
            }
        }
        socket.send(&packet).await.unwrap();
        // What is answered is taken away, so that the stub can send more.
        let mut buffer = [0; 2048];
        while socket.try_recv(&mut buffer).is_ok() {}
        if number % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let asked = query("after.example", A, 9, true);
    let mut answer = None;
    // The first may find the queue full still.
    for _ in 0..5 {
        answer = answer.or(super::ask_for(stub.stub(), &asked, Duration::from_secs(2)).await);
    }
    assert_eq!(
        read(&asked, answer.expect("no answer")).addresses().len(),
        2
    );
    let statistics = stub.serving.names().statistics();
    assert!(
        statistics.passed > 0 && statistics.misses > 0,
        "{statistics:?}"
    );
    assert!(stub.serving.quiet_for() < Duration::from_secs(2));
}

/// The same by TCP: lengths that promise more than comes, and less.
#[tokio::test]
async fn malformed_streams_harm_nothing() {
    use tokio::io::AsyncWriteExt as _;

    let server = FakeServer::fine(60).await;
    let stub = Running::before(&[&server]);
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..100 {
        let mut stream = tokio::net::TcpStream::connect(stub.stub()).await.unwrap();
        let mut noise = vec![0; random.usize(0..300)];
        random.fill(&mut noise);
        if let Some(first) = noise.first_mut() {
            *first = random.u8(0..2);
        }
        // It may be closed before all is written.
        let _ = stream.write_all(&noise).await;
    }
    let asked = query("after.example", A, 9, true);
    let answers = super::ask_by_tcp(stub.stub(), std::slice::from_ref(&asked)).await;
    assert_eq!(read(&asked, answers[0].clone()).addresses().len(), 2);
}

/// Answers with a few bytes changed: whatever is believed of them, what a client gets is an answer to its question, and
/// no longer than it takes.
#[test]
fn spoilt_answers_never_become_something_else() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut read, mut good) = (0, 0);
    for _ in 0..20_000 {
        let asked = super::question(&format!("n{}.example", random.u8(..)), random.bool());
        let mut wire = answer_wire(
            &asked.wire(9),
            random.u8(0..4),
            random.u32(..),
            random.u8(..),
        );
        for _ in 0..random.usize(0..3) {
            let at = random.usize(2..wire.len());
            match random.u8(0..3) {
                0 => wire[at] = random.u8(..),
                1 => wire.truncate(at),
                _ => wire.insert(at, random.u8(..)),
            }
            if wire.len() < 13 {
                break;
            }
        }
        let len = wire.len();
        let Ok(answer) = Answer::read(wire, &asked, 9) else {
            continue;
        };
        read += 1;
        good += u32::from(answer.worth().is_answer());
        let mut out = Vec::new();
        for age in [Age::New, Age::Seconds(7), Age::Stale] {
            answer.write(&asked, age, asked.udp_len(), &mut out);
            assert!(out.len() <= asked.udp_len().min(len));
            let again = Answer::read(out.clone(), &asked, asked.id()).unwrap();
            if answer.worth().is_answer() && !again.truncated() {
                assert_eq!(again.addresses(), answer.addresses());
                assert_eq!(again.rcode(), answer.rcode());
            }
        }
    }
    assert!(read > good && good > 500, "{good} of {read}");
}
