// SPDX-License-Identifier: MIT OR Apache-2.0
//! One question to one nameserver, as `go` asks it: does it answer, and how soon?

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use rustls::RootCertStore;
use tokio::time::{Instant, timeout};

use super::{
    DnsServer,
    exchange::{by_udp, random_id},
    server::Server,
};
use crate::wire::{
    Parsed,
    dns::{self, Response},
};

/// What `go` says it can take in a datagram.
const DATAGRAM: u16 = 1232;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answered {
        /// Its code by its IANA name, `NOERROR`.
        rcode: String,
        /// The IPv4 addresses in it.
        addresses: Vec<IpAddr>,
        /// A referral, from which a resolver learns nothing.
        lame: bool,
        /// The time from the question.
        took: Duration,
    },
    /// None within the patience.
    Silent,
    /// The question could not be sent, or was turned down by the network or the machine.
    Unreachable {
        /// Why.
        reason: String,
    },
}

/// Asks for the IPv4 addresses of `name` by UDP. Half-way through the patience it is asked once more: a datagram that
/// got lost by chance is no silence.
pub async fn ask(server: SocketAddr, name: &str, patience: Duration) -> Reply {
    let twice = async {
        let mut first = std::pin::pin!(once(server, name));
        if let Ok(answer) = timeout(patience / 2, &mut first).await {
            return answer;
        }
        tokio::select! {
            answer = &mut first => answer,
            answer = once(server, name) => answer,
        }
    };
    match timeout(patience, twice).await {
        Err(_) => Reply::Silent,
        Ok(Err(error)) => Reply::Unreachable {
            reason: error.to_string(),
        },
        Ok(Ok((response, took))) => Reply::Answered {
            rcode: response.rcode,
            addresses: response.answers,
            lame: response.lame,
            took,
        },
    }
}

/// Asks for the addresses of one family of `name`, by TLS or HTTPS, on a connection of its own.
pub async fn ask_encrypted(
    server: &DnsServer,
    name: &str,
    v6: bool,
    roots: RootCertStore,
    patience: Duration,
) -> io::Result<Response> {
    let id = random_id()?;
    let question = address_question(id, name, v6)?;
    let server = Server::new(server.clone(), roots);
    let answer = timeout(patience, server.pass(&question, true))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    answer_to(id, &answer).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{server:?} answered with something that does not answer the question"),
        )
    })
}

async fn once(server: SocketAddr, name: &str) -> io::Result<(Response, Duration)> {
    let id = random_id()?;
    let question = address_question(id, name, false)?;
    let began = Instant::now();
    let response = by_udp(server, &question, |bytes| answer_to(id, bytes)).await?;
    Ok((response, began.elapsed()))
}

/// The answer to the question with this number; `None` for anything else.
pub fn answer_to(id: u16, bytes: &[u8]) -> Option<Response> {
    match dns::Message::parse(bytes) {
        Ok(Parsed::Complete {
            value: dns::Message::Response(response),
            ..
        }) if response.id == id => Some(response),
        _ => None,
    }
}

/// A question for the addresses of one family of `name`, as `go` asks it: recursion desired, EDNS0.
pub fn address_question(id: u16, name: &str, v6: bool) -> io::Result<Vec<u8>> {
    let kind = if v6 { RecordType::AAAA } else { RecordType::A };
    let name = Name::from_ascii(format!("{name}.")).map_err(io::Error::other)?;
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM);
    message.edns = Some(edns);
    message.to_vec().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    #[tokio::test]
    async fn silence_refusal_and_a_late_answer_are_told_apart() {
        let patience = Duration::from_millis(400);
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        assert_eq!(ask(address, "a.example", patience).await, Reply::Silent);
        // Asked twice by then; the next question is the third.
        let answering = async {
            let mut buffer = [0; 512];
            for number in 0.. {
                let (length, client) = server.recv_from(&mut buffer).await.unwrap();
                buffer[2] |= 0x80;
                if number > 2 {
                    server.send_to(&buffer[..length], client).await.unwrap();
                }
            }
        };
        let asked = tokio::select! {
            () = answering => unreachable!(),
            asked = ask(address, "a.example", Duration::from_secs(4)) => asked,
        };
        drop(server);
        let Reply::Answered {
            rcode, addresses, ..
        } = asked
        else {
            panic!("{asked:?}");
        };
        assert_eq!((rcode.as_str(), addresses.len()), ("NOERROR", 0));
        assert!(matches!(
            ask(address, "a.example", Duration::from_secs(60)).await,
            Reply::Unreachable { .. }
        ));
        assert!(matches!(
            ask(address, "not a name .. at all", patience).await,
            Reply::Unreachable { .. }
        ));
    }
}
