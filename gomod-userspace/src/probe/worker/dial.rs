// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TCP connection, directly or by CONNECT, and the ICMP error where there is none.

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    os::fd::AsFd as _,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt,
    sockopt::{Ipv4RecvErr, Ipv6RecvErr},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use super::{
    super::task::{Connect, Failure, Icmp, Route},
    Trace, broken,
};

/// Longest answer to CONNECT that is read.
const PROXY_ANSWER: usize = 16 * 1024;

/// Connects within `limit`; through a proxy, its answer gets as long again.
pub(super) async fn dial(
    route: &Route,
    limit: Duration,
    trace: &mut Trace,
) -> Result<TcpStream, Failure> {
    let began = Instant::now();
    let socket = match route.address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(system)?;
    trace.cookie = rustix::net::sockopt::socket_cookie(&socket).ok();
    // Each hello in a segment of its own, as `go` sends it.
    let _ = socket.set_nodelay(true);
    // Without it, an ICMP error is only a number without its sender.
    let _ = match route.address {
        SocketAddr::V4(_) => setsockopt(&socket, Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, Ipv6RecvErr, &true),
    };
    let second = socket.as_fd().try_clone_to_owned().map_err(system)?;
    let connected = timeout(limit, socket.connect(route.address)).await;
    trace.took = began.elapsed();
    let mut stream = match connected {
        Err(_) => return Err(Failure::ConnectTimeout),
        Ok(Err(error)) => return Err(refused(&error, &second)),
        Ok(Ok(stream)) => stream,
    };
    drop(second);
    trace.connect = Some(began.elapsed());
    if let Some(connect) = &route.connect {
        match timeout(limit, ask_proxy(&mut stream, connect)).await {
            Ok(answered) => answered?,
            Err(_) => return Err(Failure::Timeout),
        }
    }
    Ok(stream)
}

fn refused(error: &io::Error, socket: &OwnedFd) -> Failure {
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED | libc::ECONNRESET) => Failure::ConnectRefused,
        Some(libc::ETIMEDOUT) => Failure::ConnectTimeout,
        Some(
            errno @ (libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EACCES
            | libc::EPERM
            | libc::ENETDOWN
            | libc::EHOSTDOWN
            | libc::EADDRNOTAVAIL
            | libc::EPROTO),
        ) => Failure::Unreachable {
            errno,
            icmp: icmp_behind(socket),
        },
        _ => system_ref(error),
    }
}

/// The ICMP message that the kernel kept on the socket (ip(7), `IP_RECVERR`).
fn icmp_behind(socket: &OwnedFd) -> Option<Icmp> {
    /// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6` of <linux/errqueue.h>.
    const ORIGINS: [u8; 2] = [2, 3];
    let mut payload = [0; 512];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let mut vector = [IoSliceMut::new(&mut payload)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut vector,
        Some(&mut control),
        MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
    )
    .ok()?;
    message.cmsgs().ok()?.find_map(|control| {
        let (error, from) = match control {
            ControlMessageOwned::Ipv4RecvErr(error, from) => (
                error,
                from.map(|from| IpAddr::from(u32::from_be(from.sin_addr.s_addr).to_be_bytes())),
            ),
            ControlMessageOwned::Ipv6RecvErr(error, from) => {
                (error, from.map(|from| IpAddr::from(from.sin6_addr.s6_addr)))
            }
            _ => return None,
        };
        ORIGINS.contains(&error.ee_origin).then_some(Icmp {
            kind: error.ee_type,
            code: error.ee_code,
            from: from.filter(|from| !from.is_unspecified()),
        })
    })
}

async fn ask_proxy(stream: &mut TcpStream, connect: &Connect) -> Result<(), Failure> {
    let authority = &connect.authority;
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(authorization) = &connect.authorization {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| broken(&error))?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head belongs to the tunnel.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err(Failure::ProxyRefused { status: 0 });
        }
        let byte = stream.read_u8().await.map_err(|error| broken(&error))?;
        answer.push(byte);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let status = response.parse(&answer).ok().and(response.code).unwrap_or(0);
    if (200..300).contains(&status) {
        Ok(())
    } else {
        Err(Failure::ProxyRefused { status })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn system(error: io::Error) -> Failure {
    system_ref(&error)
}

fn system_ref(error: &io::Error) -> Failure {
    Failure::System {
        what: error.to_string(),
    }
}
