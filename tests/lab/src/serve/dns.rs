// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's nameservers, over UDP and TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::sleep;

use super::Internet;
use crate::addresses::{Family, Host, nobody};
use crate::fault::FaultKind;
use crate::log::Question;

pub(crate) async fn serve_udp(internet: Arc<Internet>, server: u8, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let mut buffer = [0u8; 4096];
    loop {
        // Errors here are ICMP errors of clients that are gone.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Some(reply) = answer(&internet, server, false, &buffer[..length]) else {
            continue;
        };
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            match reply.forged {
                None => {}
                Some(Forged::Here(message)) => drop(socket.send_to(&message, client).await),
                Some(Forged::Elsewhere(message)) => {
                    send_from_elsewhere(&socket, &message, client).await;
                }
            }
            sleep_if(reply.delay).await;
            let _ = socket.send_to(&reply.message, client).await;
        });
    }
}

/// From another port of the same address.
async fn send_from_elsewhere(socket: &UdpSocket, message: &[u8], client: SocketAddr) {
    let Ok(here) = socket.local_addr() else {
        return;
    };
    if let Ok(other) = UdpSocket::bind((here.ip(), 0)).await {
        let _ = other.send_to(message, client).await;
    }
}

pub(crate) async fn serve_tcp(internet: Arc<Internet>, server: u8, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let internet = Arc::clone(&internet);
        tokio::spawn(async move {
            // A client that breaks off is no concern of the server's.
            let _ = serve_stream(&internet, server, stream).await;
        });
    }
}

/// Answers questions on `stream`, one after the other, until it ends.
pub(super) async fn serve_stream(
    internet: &Internet,
    server: u8,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(reply) = answer(internet, server, true, &question) else {
            continue;
        };
        sleep_if(reply.delay).await;
        stream.write_u16(reply.message.len() as u16).await?;
        stream.write_all(&reply.message).await?;
        stream.flush().await?;
    }
}

pub(super) async fn sleep_if(delay: Duration) {
    if !delay.is_zero() {
        sleep(delay).await;
    }
}

pub(super) struct Reply {
    pub(super) message: Vec<u8>,
    pub(super) delay: Duration,
    forged: Option<Forged>,
}

/// An answer that comes before the right one.
enum Forged {
    /// From the nameserver's own socket.
    Here(Vec<u8>),
    /// From another one.
    Elsewhere(Vec<u8>),
}

/// How much sooner it comes.
const FORGED_AHEAD: Duration = Duration::from_millis(20);

/// Whether the question of this number is lost: always the same ones.
fn is_lost(number: usize, percent: u8) -> bool {
    // SplitMix64 (Steele, Lea, Flood 2014): one step scatters consecutive numbers well.
    let mut dice = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    dice = (dice ^ (dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    dice = (dice ^ (dice >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (dice ^ (dice >> 31)) % 100 < u64::from(percent)
}

/// The reply to a question; `None` if there is to be none.
pub(super) fn answer(internet: &Internet, server: u8, tcp: bool, question: &[u8]) -> Option<Reply> {
    let request = Message::from_vec(question).ok()?;
    let query = request.queries.first()?.clone();
    let name = query
        .name()
        .to_ascii()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let kind = query.query_type();
    let number = internet.log.question(Question {
        at: internet.log.now(),
        server,
        name: name.clone(),
        kind: kind.to_string(),
        tcp,
    });

    let family = if kind == RecordType::AAAA {
        Family::V6
    } else {
        Family::V4
    };
    let fault = internet.faults.happens(&format!("{name} {kind}"), |fault| {
        let here = fault.server.is_none_or(|only| only == server);
        let happens = match fault.kind {
            FaultKind::DnsLoss(percent) => !tcp && is_lost(number, percent),
            FaultKind::DnsTruncated | FaultKind::DnsWrongId | FaultKind::DnsWrongSource => !tcp,
            other => other.is_dns(),
        };
        happens && here && fault.concerns(&name, family)
    });
    if let Some(fault) = fault {
        internet.log.act(
            fault,
            name.as_str(),
            format!("question {kind} at nameserver {server}"),
        );
    }

    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata.message_type = MessageType::Response;
    reply.metadata.recursion_desired = request.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(query.clone());
    let mut delay = Duration::ZERO;
    match fault {
        Some(FaultKind::DnsDrop | FaultKind::DnsLoss(_)) => return None,
        Some(FaultKind::DnsTruncated) => reply.metadata.truncation = true,
        Some(FaultKind::DnsLame) => reply.metadata.recursion_available = false,
        Some(FaultKind::DnsNxdomain) => reply.metadata.response_code = ResponseCode::NXDomain,
        Some(FaultKind::DnsRefused) => reply.metadata.response_code = ResponseCode::Refused,
        Some(FaultKind::DnsServfail) => reply.metadata.response_code = ResponseCode::ServFail,
        other => {
            if let Some(FaultKind::DnsDelay(by)) = other {
                delay = by;
            }
            match internet
                .hosts
                .iter()
                .chain(&internet.nameservers)
                .find(|host| host.name == name)
            {
                None => reply.metadata.response_code = ResponseCode::NXDomain,
                Some(host) => {
                    let dead = (other == Some(FaultKind::DnsDeadFirst)).then(nobody);
                    let data = |host: &Host| match kind {
                        RecordType::A if internet.families.has(Family::V4) => {
                            Some(RData::A(host.v4.into()))
                        }
                        RecordType::AAAA if internet.families.has(Family::V6) => {
                            Some(RData::AAAA(host.v6.into()))
                        }
                        // The name exists, without records of this type.
                        _ => None,
                    };
                    reply
                        .answers
                        .extend(dead.iter().chain([host]).filter_map(data).map(|data| {
                            Record::from_rdata(query.name().clone(), internet.name_ttl, data)
                        }));
                }
            }
        }
    }
    let forged = match fault {
        Some(kind @ (FaultKind::DnsWrongId | FaultKind::DnsWrongSource)) => {
            delay = FORGED_AHEAD;
            Some(forge(&reply, kind)?)
        }
        _ => None,
    };
    Some(Reply {
        message: reply.to_vec().ok()?,
        delay,
        forged,
    })
}

/// The reply with an address that nobody has.
fn forge(reply: &Message, kind: FaultKind) -> Option<Forged> {
    let mut forged = reply.clone();
    for record in &mut forged.answers {
        record.data = match &record.data {
            RData::A(_) => RData::A(nobody().v4.into()),
            RData::AAAA(_) => RData::AAAA(nobody().v6.into()),
            other => other.clone(),
        };
    }
    if kind == FaultKind::DnsWrongId {
        forged.metadata.id ^= 0x5555;
        return forged.to_vec().ok().map(Forged::Here);
    }
    forged.to_vec().ok().map(Forged::Elsewhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_lost_questions_is_as_asked_for() {
        for percent in [0, 30, 60, 100] {
            let lost = (0..10_000)
                .filter(|number| is_lost(*number, percent))
                .count();
            let expected = usize::from(percent) * 100;
            assert!(
                lost.abs_diff(expected) < 200,
                "{lost} of 10,000 at {percent} %"
            );
        }
    }
}
