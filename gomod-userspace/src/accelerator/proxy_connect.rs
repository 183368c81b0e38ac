// SPDX-License-Identifier: MIT OR Apache-2.0
//! `CONNECT` of an HTTP proxy (RFC 9110 section 9.3.6): what a client asks of it, and asking it ourselves.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::Parsed;

/// What a `CONNECT` starts with.
pub const METHOD: &[u8] = b"CONNECT ";

/// The longest head of a request or response that is read, in bytes.
pub const MAX_HEAD_LEN: usize = 16 * 1024;

const MAX_HEADERS: usize = 64;

/// The answer that lets the client begin.
pub(super) const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A client's wish to be connected to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The host, lower case, without a final dot or brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What the client shows the proxy; its `Debug` output hides it.
    pub authorization: Option<HeaderValue>,
}

/// Why bytes are no `CONNECT` that can be answered; the proxy itself is to judge them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No HTTP/1 request head.
    #[error("malformed request head: {0}")]
    Head(#[from] httparse::Error),
    /// Another method.
    #[error("the method is not CONNECT")]
    Method,
    /// The target is not `host:port`.
    #[error("the target of CONNECT is not host:port")]
    Target,
    /// A request body is announced: RFC 9110 gives it no meaning here.
    #[error("a CONNECT with a body")]
    Body,
}

impl ConnectRequest {
    /// The request that `bytes` start with; its head, the empty line included, is what it took.
    pub fn parse(bytes: &[u8]) -> Result<Parsed<Self>, ConnectError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(consumed) = request.parse(bytes)? else {
            return Ok(Parsed::Incomplete { needed: None });
        };
        if request.method != Some("CONNECT") {
            return Err(ConnectError::Method);
        }
        let (host, port) = request
            .path
            .and_then(host_and_port)
            .ok_or(ConnectError::Target)?;
        let mut authorization = None;
        for header in &*request.headers {
            let named = |name: &str| header.name.eq_ignore_ascii_case(name);
            if named("content-length") || named("transfer-encoding") {
                return Err(ConnectError::Body);
            }
            if named("proxy-authorization")
                && let Ok(mut value) = HeaderValue::from_bytes(header.value)
            {
                value.set_sensitive(true);
                authorization = Some(value);
            }
        }
        Ok(Parsed::Complete {
            value: Self {
                host,
                port,
                authorization,
            },
            consumed,
        })
    }
}

fn host_and_port(target: &str) -> Option<(String, u16)> {
    let (host, port) = target.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let host = host.trim_end_matches('.');
    if host.is_empty() || host.contains(['/', '@', '[', ']']) || !port.bytes().all(is_digit) {
        return None;
    }
    Some((host.to_ascii_lowercase(), port.parse().ok()?))
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Sends the client's own `head` to the proxy after all. Gives the connection and what the proxy sent behind its
/// answer. Any answer but success is an error: the client was told already that it is connected.
pub(super) async fn ask(
    proxy: SocketAddr,
    stream: &mut TcpStream,
    head: &[u8],
) -> io::Result<Bytes> {
    stream.write_all(head).await?;
    let mut answer = BytesMut::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the HTTP proxy {proxy} closed without answering CONNECT"),
            ));
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&answer) {
            Ok(httparse::Status::Complete(consumed)) => {
                let code = response.code.unwrap_or_default();
                if !(200..300).contains(&code) {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionRefused,
                        format!("the HTTP proxy {proxy} answered CONNECT with status {code}"),
                    ));
                }
                return Ok(answer.split_off(consumed).freeze());
            }
            Ok(httparse::Status::Partial) if answer.len() < MAX_HEAD_LEN => {}
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "the HTTP proxy {proxy} answered CONNECT with something else than HTTP"
                    ),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(head: &str) -> (ConnectRequest, usize) {
        match ConnectRequest::parse(head.as_bytes()) {
            Ok(Parsed::Complete { value, consumed }) => (value, consumed),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connect_is_read_up_to_its_empty_line() {
        let head = "CONNECT Proxy.Example.:443 HTTP/1.1\r\nHost: proxy.example:443\r\n\
            Proxy-Authorization: Basic c2VjcmV0\r\n\r\n";
        let (request, consumed) = whole(&format!("{head}\x16\x03\x01"));
        assert_eq!((&*request.host, request.port), ("proxy.example", 443));
        assert_eq!(consumed, head.len());
        let shown = format!("{request:?}");
        assert!(!shown.contains("c2VjcmV0"), "{shown}");
        for cut in 0..head.len() {
            let parsed = ConnectRequest::parse(&head.as_bytes()[..cut]);
            assert_eq!(parsed, Ok(Parsed::Incomplete { needed: None }), "{cut}");
        }
    }

    #[test]
    fn addresses_lose_their_brackets() {
        let (request, _) = whole("CONNECT [::1]:8443 HTTP/1.1\r\n\r\n");
        assert_eq!((&*request.host, request.port), ("::1", 8443));
    }

    #[test]
    fn what_is_no_plain_connect_is_left_to_the_proxy() {
        for (head, error) in [
            ("GET / HTTP/1.1\r\n\r\n", ConnectError::Method),
            ("CONNECT nowhere HTTP/1.1\r\n\r\n", ConnectError::Target),
            ("CONNECT :443 HTTP/1.1\r\n\r\n", ConnectError::Target),
            ("CONNECT a:+443 HTTP/1.1\r\n\r\n", ConnectError::Target),
            ("CONNECT a:65536 HTTP/1.1\r\n\r\n", ConnectError::Target),
            ("CONNECT ::1:443 HTTP/1.1\r\n\r\n", ConnectError::Target),
            ("CONNECT u@a:443 HTTP/1.1\r\n\r\n", ConnectError::Target),
            (
                "CONNECT a:443 HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
                ConnectError::Body,
            ),
        ] {
            assert_eq!(
                ConnectRequest::parse(head.as_bytes()),
                Err(error),
                "{head:?}"
            );
        }
    }
}
