// SPDX-License-Identifier: MIT OR Apache-2.0
//! One question to one nameserver, as `go` asks it (`net/dnsclient_unix.go`): recursion desired, EDNS0.

use std::{io, net::SocketAddr, time::Duration};

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
use crate::{
    nameserver::{address_question, answer_to},
    wire::dns::Response,
};

/// After this long a datagram is sent once more: one that was lost by chance is no refusal to answer.
const AGAIN: Duration = Duration::from_millis(1_500);
/// What is told in place of NOERROR where that is an empty referral, which `go` takes for a failure of the server.
const LAME: &str = "NOERROR, a referral";

pub(super) async fn ask(
    server: SocketAddr,
    tcp: bool,
    name: &str,
    v6: bool,
    limit: Duration,
    trace: &mut Trace,
) -> Result<Ending, Failure> {
    let id = fastrand::u16(..);
    let question = address_question(id, name, v6).map_err(|error| Failure::System {
        what: error.to_string(),
    })?;
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
        Ok(Ok(Some(response))) => Ok(resolved(response)),
        Ok(Ok(None)) => Err(Failure::System {
            what: format!("{server} answered with something that is no DNS message"),
        }),
        Ok(Err(error)) => Err(unanswered(&error)),
    }
}

/// What a response says.
pub(super) fn resolved(response: Response) -> Ending {
    Ending::Resolved {
        rcode: if response.lame {
            LAME.to_owned()
        } else {
            response.rcode
        },
        addresses: response.answers,
    }
}

/// Why a question could not be asked, or got no answer.
pub(super) fn unanswered(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(
            errno @ (libc::ECONNREFUSED
            | libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EACCES
            | libc::EPERM),
        ) => Failure::DnsUnreachable { errno },
        _ => broken(error),
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
        Ok(answer_to(id, &answer))
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
        if let Some(response) = answer_to(id, &buffer[..length]) {
            return Ok(Some(response));
        }
    }
}
