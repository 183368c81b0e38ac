// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a connection opens with: read, kept, and replayed to whoever serves it.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::Why;
use super::proxy_connect::{self, ConnectRequest};
use crate::wire::Parsed;
use crate::wire::tls::{ClientHello, ContentType, HEADER_LEN, records};

/// The longest opening that is waited for. A post-quantum `ClientHello` of `go` has 1.6 KB.
pub const MAX_OPENING_LEN: usize = 32 * 1024;

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A whole `ClientHello`.
    Hello(Box<ClientHello>),
    /// A whole request to a proxy; its head took so many bytes.
    Connect(ConnectRequest, usize),
    /// Something that can't be intercepted.
    Other(Why),
    /// A beginning; at least so many bytes in all are needed to tell more.
    Incomplete(usize),
}

/// Looks at the beginning of a stream. A `CONNECT` counts only on the way to a proxy.
pub fn opening(bytes: &[u8], to_proxy: bool) -> Opening {
    let next = Opening::Incomplete(bytes.len() + 1);
    let Some(first) = bytes.first() else {
        return next;
    };
    if to_proxy && *first == proxy_connect::METHOD[0] {
        let known = bytes.len().min(proxy_connect::METHOD.len());
        if bytes[..known] != proxy_connect::METHOD[..known] {
            return Opening::Other(Why::NotTls);
        }
        return match ConnectRequest::parse(bytes) {
            Ok(Parsed::Complete { value, consumed }) => Opening::Connect(value, consumed),
            Ok(Parsed::Incomplete { .. }) if bytes.len() >= proxy_connect::MAX_HEAD_LEN => {
                Opening::Other(Why::TooLarge)
            }
            Ok(Parsed::Incomplete { .. }) => next,
            Err(_) => Opening::Other(Why::NotTls),
        };
    }
    match ClientHello::parse(bytes) {
        Ok(Parsed::Complete { value, .. }) => Opening::Hello(Box::new(value)),
        Ok(Parsed::Incomplete { .. }) if bytes.len() >= MAX_OPENING_LEN => {
            Opening::Other(Why::TooLarge)
        }
        Ok(Parsed::Incomplete { needed }) if starts_like_hello(bytes) => {
            Opening::Incomplete((bytes.len() + needed.unwrap_or(1)).min(MAX_OPENING_LEN))
        }
        Ok(Parsed::Incomplete { .. }) | Err(_) => Opening::Other(Why::NotTls),
    }
}

/// The record layer knows four types of record; only one can be first.
fn starts_like_hello(bytes: &[u8]) -> bool {
    if bytes.len() < HEADER_LEN {
        return bytes[0] == 22;
    }
    matches!(records(bytes).next(), Some(Ok(record)) if record.content_type == ContentType::Handshake)
}

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For its first byte.
    pub(super) first_byte: Duration,
    /// For the rest, from the first byte on.
    pub(super) rest: Duration,
}

/// Reads until the opening is known or can't be; all that was read is in `bytes`, which may hold a beginning.
pub(super) async fn read(
    client: &mut TcpStream,
    bytes: &mut BytesMut,
    to_proxy: bool,
    patience: Patience,
) -> Opening {
    let mut deadline = None;
    let first_byte_by = Instant::now() + patience.first_byte;
    loop {
        let wanted = match opening(bytes, to_proxy) {
            Opening::Incomplete(wanted) => wanted,
            known => return known,
        };
        if !bytes.is_empty() {
            deadline.get_or_insert_with(|| Instant::now() + patience.rest);
        }
        while bytes.len() < wanted {
            bytes.reserve(2048);
            match timeout_at(deadline.unwrap_or(first_byte_by), client.read_buf(bytes)).await {
                Ok(Ok(0)) => return Opening::Other(Why::EndedEarly),
                Ok(Ok(_)) => {
                    deadline.get_or_insert_with(|| Instant::now() + patience.rest);
                }
                Ok(Err(_)) => return Opening::Other(Why::ClientGone),
                Err(_) if bytes.is_empty() => return Opening::Other(Why::Silent),
                Err(_) => return Opening::Other(Why::Slow),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELLO: &[u8] = include_bytes!("../wire/testdata/client_hello_go1.27.3.bin");

    #[test]
    fn a_hello_is_known_when_it_is_whole_and_not_before() {
        for cut in 0..HELLO.len() {
            match opening(&HELLO[..cut], false) {
                Opening::Incomplete(wanted) => assert!(wanted > cut && wanted <= HELLO.len()),
                other => panic!("{cut}: {other:?}"),
            }
        }
        assert!(matches!(opening(HELLO, true), Opening::Hello(_)));
    }

    #[test]
    fn a_connect_counts_on_the_way_to_a_proxy_only() {
        let head = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n";
        assert!(matches!(opening(head, true), Opening::Connect(_, used) if used == head.len()));
        assert_eq!(opening(head, false), Opening::Other(Why::NotTls));
        assert_eq!(opening(b"CONT", true), Opening::Other(Why::NotTls));
    }

    #[test]
    fn other_protocols_are_known_by_their_first_byte() {
        for bytes in [
            &b"G"[..],
            b"SSH-2.0",
            b"\0\0\0",
            b"\x15\x03\x01\0\x02",
            b"\x16\x02",
        ] {
            assert_eq!(opening(bytes, true), Opening::Other(Why::NotTls));
        }
    }

    #[test]
    fn a_head_without_end_is_too_large() {
        let mut head = b"CONNECT a.example:443 HTTP/1.1\r\nX: ".to_vec();
        head.resize(proxy_connect::MAX_HEAD_LEN, b'x');
        assert_eq!(opening(&head, true), Opening::Other(Why::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_always_more_than_there_is_and_bounded(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            start in 0usize..3,
            to_proxy: bool,
        ) {
            let mut stream = [&b""[..], b"\x16\x03\x01", b"CONNECT "][start].to_vec();
            stream.extend(bytes);
            if let Opening::Incomplete(wanted) = opening(&stream, to_proxy) {
                prop_assert!(wanted > stream.len() && wanted <= MAX_OPENING_LEN);
            }
        }
    }
}
