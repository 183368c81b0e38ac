// SPDX-License-Identifier: MIT OR Apache-2.0
//! One question to one nameserver, as `go` asks it (`net/dnsclient_unix.go`): recursion desired, EDNS0.

use std::{io, net::SocketAddr, time::Duration};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
    time::{Instant, timeout, timeout_at},
};

use super::{
    super::task::{Ending, Failure, Route},
    Trace, broken,
    dial::dial,
};
use crate::wire::{
    Parsed,
    dns::{self, Response},
};

/// After this long a datagram is sent once more: one that was lost by chance is no refusal to answer.
const AGAIN: Duration = Duration::from_millis(1_500);
/// What is told in place of NOERROR where that is an empty referral, which `go` takes for a failure of the server.
const LAME: &str = "NOERROR, a referral";
/// What `go` says it can take in a datagram.
const DATAGRAM: u16 = 1232;

pub(super) async fn ask(
    server: SocketAddr,
    tcp: bool,
    name: &str,
    v6: bool,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let id = fastrand::u16(..);
    let question = question(id, name, v6)?;
    let began = Instant::now();
    let mut answered = if tcp {
        Ok(stream(server, &question, id, limit, trace).await?)
    } else {
        timeout(limit, datagram(server, &question, id, trace)).await
    };
    if let Ok(Ok(Some(response))) = &answered
        && response.truncated
        && !tcp
    {
        // As `go` does it, and with its time anew.
        answered = Ok(stream(server, &question, id, limit, trace).await?);
    }
    trace.took = began.elapsed();
    match answered {
        Err(_) => Err(Failure::Timeout),
        Ok(Ok(Some(response))) => Ok(Ending::Resolved {
            rcode: if response.lame {
                LAME.to_owned()
            } else {
                response.rcode
            },
            addresses: response.answers,
        }),
        Ok(Ok(None)) => Err(Failure::System {
            what: format!("{server} answered with something that is no DNS message"),
        }),
        Ok(Err(error)) => match error.raw_os_error() {
            Some(
                errno @ (libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EACCES
                | libc::EPERM),
            ) => Err(Failure::DnsUnreachable { errno }),
            _ => Err(broken(&error)),
        },
    }
}

/// By TCP, with a connection for this question alone.
async fn stream(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    limit: Duration,
    trace: &mut Trace,
) -> Result<io::Result<Option<Response>>, Failure> {
    let route = Route {
        address: server,
        connect: None,
    };
    let mut stream = match dial(&route, limit, trace).await {
        Ok(stream) => stream,
        Err(Failure::ConnectTimeout) => return Err(Failure::Timeout),
        Err(Failure::ConnectRefused) => {
            return Err(Failure::DnsUnreachable {
                errno: libc::ECONNREFUSED,
            });
        }
        Err(Failure::Unreachable { errno, .. }) => {
            return Err(Failure::DnsUnreachable { errno });
        }
        Err(other) => return Err(other),
    };
    let exchange = async {
        stream.write_u16(question.len() as u16).await?;
        stream.write_all(question).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(read(&answer, id))
    };
    timeout(limit, exchange)
        .await
        .map_err(|_elapsed| Failure::Timeout)
}

async fn datagram(
    server: SocketAddr,
    question: &[u8],
    id: u16,
    trace: &mut Trace,
) -> io::Result<Option<Response>> {
    let any: SocketAddr = if server.is_ipv6() {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    trace.cookie = rustix::net::sockopt::socket_cookie(&socket).ok();
    // Connected, as `go` does it: an ICMP error then comes back.
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = [0; 4096];
    let mut again = Some(Instant::now() + AGAIN);
    loop {
        let received = match again {
            Some(at) => timeout_at(at, socket.recv(&mut buffer)).await,
            None => Ok(socket.recv(&mut buffer).await),
        };
        let Ok(received) = received else {
            again = None;
            socket.send(question).await?;
            continue;
        };
        let length = received?;
        // An answer to nobody's question is passed over, as `go` does.
        if let Some(response) = read(&buffer[..length], id) {
            return Ok(Some(response));
        }
    }
}

fn question(id: u16, name: &str, v6: bool) -> Result<Vec<u8>, Failure> {
    let system = |what: String| Failure::System { what };
    let name = Name::from_ascii(format!("{name}.")).map_err(|error| system(error.to_string()))?;
    let kind = if v6 { RecordType::AAAA } else { RecordType::A };
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM);
    message.edns = Some(edns);
    message.to_vec().map_err(|error| system(error.to_string()))
}

fn read(bytes: &[u8], id: u16) -> Option<Response> {
    match dns::Message::parse(bytes) {
        Ok(Parsed::Complete {
            value: dns::Message::Response(response),
            ..
        }) if response.id == id => Some(response),
        _ => None,
    }
}
