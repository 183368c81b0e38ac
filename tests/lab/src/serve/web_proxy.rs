// SPDX-License-Identifier: MIT OR Apache-2.0
//! A company's HTTP proxy: CONNECT to the hosts of the lab (RFC 9110 section 9.3.6), for those who know its password.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::Internet;
use super::login::WEB_PROXY_LOGIN;
use crate::addresses::{Families, Family, WEB_PROXY};
use crate::fault::FaultKind;
use crate::log::Request;

/// A longer head is none of a client that means well.
const LONGEST_HEAD: usize = 16 * 1024;

pub(crate) async fn serve(internet: Arc<Internet>, listener: TcpListener) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            continue;
        };
        let internet = Arc::clone(&internet);
        tokio::spawn(async move {
            if let Err(error) = tunnel(&internet, Family::of(&peer), stream).await {
                tracing::debug!(host = WEB_PROXY, %error, "tunnel ended");
            }
        });
    }
}

async fn tunnel(internet: &Internet, family: Family, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let head = read_head(&mut client).await?;
    let mut lines = head.lines();
    let asked = lines.next().unwrap_or_default();
    let target = asked
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    let login = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"))
        .map(|(_, value)| value.trim().to_owned());
    let address = target.and_then(|target| address_of(internet, target));
    let path = target.unwrap_or(asked);
    let fault = internet
        .faults
        .happens(&format!("{WEB_PROXY} {path}"), |fault| {
            matches!(fault.kind, FaultKind::Silence | FaultKind::Status(_))
                && fault.concerns(WEB_PROXY, family)
                && fault.path.matches(path)
        });
    if let Some(fault) = fault {
        internet
            .log
            .act(fault, WEB_PROXY, format!("CONNECT {path}"));
    }
    let (status, reason) = match (fault, &login, address) {
        (Some(FaultKind::Status(refused)), ..) => (refused.status, "The Lab Says So"),
        (Some(_), ..) => (0, "never said"),
        (None, Some(login), _) if *login != WEB_PROXY_LOGIN.basic() => (407, "Who Are You"),
        (None, None, _) => (407, "Who Are You"),
        (None, Some(_), None) => (502, "No Such Host"),
        (None, Some(_), Some(_)) => (200, "OK"),
    };
    internet.log.request(Request {
        at: internet.log.now(),
        host: WEB_PROXY.to_owned(),
        path: path.to_owned(),
        secure: false,
        http2: false,
        family,
        authorization: login,
        first_byte: None,
        status,
        body_bytes: 0,
    });
    if status == 0 {
        pending::<()>().await;
    }
    let challenge = if status == 407 {
        "Proxy-Authenticate: Basic realm=\"lab\"\r\n"
    } else {
        ""
    };
    let answer = format!("HTTP/1.1 {status} {reason}\r\n{challenge}\r\n");
    client.write_all(answer.as_bytes()).await?;
    let (200, Some(address)) = (status, address) else {
        return client.shutdown().await;
    };
    let mut server = TcpStream::connect(address).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Byte by byte, so as to leave alone what comes after the head.
async fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= LONGEST_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.push(client.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn address_of(internet: &Internet, target: &str) -> Option<(IpAddr, u16)> {
    let (name, port) = target.rsplit_once(':')?;
    let host = internet.hosts.iter().find(|host| host.name == name)?;
    // Within the internet's side both families lead there.
    let address = host
        .addresses(Families::Both)
        .find(|address| internet.families.has(crate::addresses::family_of(address)))?;
    Some((address, port.parse().ok()?))
}
