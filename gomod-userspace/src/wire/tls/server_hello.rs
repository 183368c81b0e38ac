// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `ServerHello` (RFC 8446 section 4.1.3), also from a capture that ends inside of it.

use serde::Serialize;

use super::cursor::Cursor;
use super::handshake::first_message;
use super::{TlsError, cipher_suite_name, extension, version_name};
use crate::wire::Parsed;

const MESSAGE: &str = "ServerHello";

/// SHA-256 of "HelloRetryRequest": the random that marks one (RFC 8446 section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What the server chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerHello {
    /// The negotiated version (`1.3`); `None` if the capture ends before it is certain.
    pub version: Option<String>,
    /// The cipher suite's IANA name.
    pub cipher: String,
    /// Whether it asks the client for another `ClientHello` (with another key share).
    #[serde(skip)]
    pub hello_retry_request: bool,
    /// The application protocol, which only TLS 1.2 and older show here.
    #[serde(skip)]
    pub alpn: Option<String>,
    /// Whether the whole message was there.
    #[serde(skip)]
    pub whole: bool,
}

impl ServerHello {
    /// The `ServerHello` that `stream` starts with.
    ///
    /// `Complete` as soon as the cipher suite is there: a capture that ends later gives what it can
    /// (see [`Self::whole`]). `consumed` then counts what was there of the message.
    pub fn parse(stream: &[u8]) -> Result<Parsed<Self>, TlsError> {
        let Some(message) = first_message(stream, MESSAGE, 2)? else {
            return Ok(Parsed::Incomplete { needed: None });
        };
        let whole = message.missing == 0;
        match read(Cursor(&message.body), whole) {
            Ok(value) => Ok(Parsed::Complete {
                value,
                consumed: message.consumed,
            }),
            Err(None) if !whole => Ok(Parsed::Incomplete { needed: None }),
            Err(field) => Err(TlsError::Malformed {
                message: MESSAGE,
                field: field.unwrap_or("fixed part"),
            }),
        }
    }
}

/// `Err(None)`: ends before the cipher suite.
fn read(mut body: Cursor<'_>, whole: bool) -> Result<ServerHello, Option<&'static str>> {
    let legacy_version = body.u16().ok_or(None)?;
    let random = body.take(32).ok_or(None)?;
    body.vec8().ok_or(None)?;
    let cipher = body.u16().ok_or(None)?;
    let mut hello = ServerHello {
        version: None,
        cipher: cipher_suite_name(cipher),
        hello_retry_request: random == RETRY_RANDOM,
        alpn: None,
        whole,
    };
    if read_extensions(body, &mut hello).is_none() && whole {
        return Err(Some("extensions"));
    }
    if hello.version.is_none() {
        // A TLS 1.3 suite is proof enough; the legacy field is one only if no extension can contradict it any more.
        if cipher >> 8 == 0x13 {
            hello.version = Some(version_name(0x0304));
        } else if whole {
            hello.version = Some(version_name(legacy_version));
        }
    }
    Ok(hello)
}

/// `None`: the message ends inside an extension.
fn read_extensions(mut body: Cursor<'_>, hello: &mut ServerHello) -> Option<()> {
    body.u8()?;
    if body.is_empty() {
        return Some(());
    }
    let length = usize::from(body.u16()?);
    let mut extensions = Cursor(&body.0[..length.min(body.0.len())]);
    let cut = extensions.0.len() < length;
    while !extensions.is_empty() {
        let number = extensions.u16()?;
        let mut data = extensions.vec16()?;
        match number {
            extension::SUPPORTED_VERSIONS => hello.version = Some(version_name(data.u16()?)),
            extension::ALPN => {
                let protocol = data.vec16()?.vec8()?;
                hello.alpn = Some(protocol.0.escape_ascii().to_string());
            }
            _ => {}
        }
    }
    (!cut).then_some(())
}
