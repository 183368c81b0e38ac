// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stub against nameservers of the tests' own, on loopback addresses.

mod answers;
mod clients;
mod encrypted;
mod hostile;
mod inside;
pub(super) mod server;
mod silence;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use self::server::FakeServer;
use super::answer::Answer;
use super::question::{Asked, Question};
use super::serving::Serving;
use super::stub::{Stub, StubOptions};
use super::telling::Account;
use super::told::{AnswerSource, Answered, ClientTransport, Exchanged, Told};

/// Long enough for everything that is to happen.
const SOON: Duration = Duration::from_secs(8);

/// A stub before some servers, and what it tells.
pub(super) struct Running {
    pub(super) serving: Serving,
    account: Account,
    /// Told and not looked at yet.
    told: VecDeque<Told>,
}

impl Running {
    pub(super) fn before(servers: &[&FakeServer]) -> Self {
        Self::with(servers, StubOptions::default())
    }

    pub(super) fn with(servers: &[&FakeServer], options: StubOptions) -> Self {
        let servers = servers
            .iter()
            .map(|server| server.address)
            .collect::<Vec<_>>();
        let (serving, account) = Stub::bind(&servers, options).unwrap().serve().unwrap();
        Self {
            serving,
            account,
            told: VecDeque::new(),
        }
    }

    /// Where the first server is answered for.
    pub(super) fn stub(&self) -> SocketAddr {
        self.serving.endpoints()[0].stub
    }

    /// Asks as a client of the first server; the answer.
    pub(super) async fn ask(&self, query: &[u8]) -> Vec<u8> {
        ask(self.stub(), query).await.expect("no answer")
    }

    /// The next thing that the stub tells.
    async fn next(&mut self) -> Told {
        while self.told.is_empty() {
            let told = timeout(SOON, self.account.next()).await.unwrap();
            assert!(!told.is_empty(), "nothing will be told any more");
            self.told.extend(told);
        }
        self.told.pop_front().unwrap()
    }

    /// The next answer that the stub tells of.
    pub(super) async fn answered(&mut self) -> Answered {
        loop {
            match self.next().await {
                Told::Answered(answered) => return answered,
                Told::Exchanged(_) => {}
            }
        }
    }

    /// The next question to a server that the stub tells of.
    pub(super) async fn exchanged(&mut self) -> Exchanged {
        loop {
            match self.next().await {
                Told::Exchanged(exchanged) => return exchanged,
                Told::Answered(_) => {}
            }
        }
    }

    pub(super) async fn source(&mut self) -> AnswerSource {
        self.answered().await.source
    }
}

/// Sends a datagram; what comes back, if anything does soon.
pub(super) async fn ask(stub: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    ask_for(stub, query, SOON).await
}

pub(super) async fn ask_for(stub: SocketAddr, query: &[u8], wait: Duration) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(stub).await.unwrap();
    socket.send(query).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let len = timeout(wait, socket.recv(&mut buffer)).await.ok()?.unwrap();
    buffer.truncate(len);
    Some(buffer)
}

/// Sends messages on one connection, at once; as many answers, in the order that they come.
pub(super) async fn ask_by_tcp(stub: SocketAddr, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut stream = TcpStream::connect(stub).await.unwrap();
    for query in queries {
        stream.write_u16(query.len() as u16).await.unwrap();
        stream.write_all(query).await.unwrap();
    }
    let mut answers = Vec::new();
    for _ in queries {
        let len = timeout(SOON, stream.read_u16()).await.unwrap().unwrap();
        let mut answer = vec![0; len.into()];
        stream.read_exact(&mut answer).await.unwrap();
        answers.push(answer);
    }
    answers
}

/// The answer as the client of `query` reads it.
pub(super) fn read(query: &[u8], wire: Vec<u8>) -> Answer {
    let Asked::Question(question) = Asked::read(query) else {
        panic!("no question")
    };
    let id = question.id();
    Answer::read(wire, &question, id).unwrap()
}

/// A query as a client sends it.
pub(super) fn query(name: &str, qtype: u16, id: u16, edns: bool) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut wire = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire.extend(qtype.to_be_bytes());
    wire.extend([0, 1]);
    if edns {
        wire.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    wire
}

pub(super) fn question(name: &str, edns: bool) -> Question {
    match Asked::read(&query(name, 1, 0, edns)) {
        Asked::Question(question) => question,
        Asked::Foreign { .. } => panic!("{name} is no question"),
    }
}

/// The answer of so many addresses, in wire form, to a query.
pub(super) fn answer_wire(query: &[u8], rcode: u8, ttl: u32, addresses: u8) -> Vec<u8> {
    let edns = query[11] == 1;
    let end = query.len() - if edns { 11 } else { 0 };
    let mut wire = query[..end].to_vec();
    wire[2] |= 0x80;
    wire[3] |= 0x80 | rcode;
    wire[7] = addresses;
    let kind = query[end - 3];
    for last in 1..=addresses {
        let data = if kind == 28 {
            [
                &[0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
                &[last],
            ]
            .concat()
        } else {
            vec![198, 18, 0, last]
        };
        wire.extend([0xc0, 12, 0, kind, 0, 1]);
        wire.extend(ttl.to_be_bytes());
        wire.extend([0, data.len() as u8]);
        wire.extend(data);
    }
    if edns {
        wire.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    }
    wire
}

pub(super) fn answer_to(question: &Question, ttl: u32, addresses: u8) -> Answer {
    let wire = answer_wire(&question.wire(7), 0, ttl, addresses);
    Answer::read(wire, question, 7).unwrap()
}
