// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the client thought of the server's flight, from record headers alone.
//!
//! TLS 1.3 (RFC 8446 appendix D.4): after the server's flight the client sends a `ChangeCipherSpec` of one byte and
//! then either its `Finished` or an alert, both encrypted in records of type `application_data`. What is inside
//! shows in the length, as Go adds no padding: content, one byte of inner type, 16 bytes of AEAD tag (RFC 8446
//! section 5.2). `Finished` is 4 bytes of handshake header and one hash; an alert is 2 bytes.
//!
//! TLS 1.2: a client that refuses the certificate sends a plaintext alert where its `ClientKeyExchange` would come.

use super::{Alert, ContentType, Record, records};
use crate::wire::Parsed;

/// Inner content type and AEAD tag.
const TLS13_OVERHEAD: usize = 1 + 16;
const HANDSHAKE_HEADER: usize = 4;
const SHA256_LEN: usize = 32;
const SHA384_LEN: usize = 48;
const ALERT_LEN: usize = 2;

/// Whether a TLS 1.3 record with `length` bytes of body (header not counted) can be a client's `Finished`:
/// 53 bytes with a SHA-256 suite, 69 with a SHA-384 suite.
pub fn is_client_finished_sized(length: usize) -> bool {
    [SHA256_LEN, SHA384_LEN]
        .iter()
        .any(|hash| length == HANDSHAKE_HEADER + hash + TLS13_OVERHEAD)
}

/// Whether a TLS 1.3 record with `length` bytes of body (header not counted) can be an encrypted alert: 19 bytes.
pub fn is_encrypted_alert_sized(length: usize) -> bool {
    length == ALERT_LEN + TLS13_OVERHEAD
}

/// What the client did after the server's flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientReaction {
    /// It went on with the handshake.
    Continues,
    /// It gave up: in practice, it does not accept the certificate.
    Alert {
        /// The alert, if it was sent in plaintext.
        description: Option<String>,
    },
}

/// What the client did next, given its bytes after its (last) `ClientHello`. `None`: not known yet, or not TLS.
///
/// A second `ClientHello` (after a `HelloRetryRequest`) at the start is skipped.
pub fn client_reaction(stream_after_client_hello: &[u8]) -> Option<ClientReaction> {
    let mut retried_hello = 0;
    for record in records(stream_after_client_hello) {
        let record = record.ok()?;
        match record.content_type {
            ContentType::ChangeCipherSpec => {}
            ContentType::Alert => return alert(&record, stream_after_client_hello),
            ContentType::Handshake => {
                if retried_hello > 0 {
                    retried_hello -= record.length.min(retried_hello);
                    continue;
                }
                match *record.body {
                    [1, a, b, c, ..] => {
                        let claimed = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                        retried_hello = (claimed + HANDSHAKE_HEADER).saturating_sub(record.length);
                    }
                    [] | [1, ..] => return None,
                    _ => return Some(ClientReaction::Continues),
                }
            }
            ContentType::ApplicationData if is_encrypted_alert_sized(record.length) => {
                return Some(ClientReaction::Alert { description: None });
            }
            ContentType::ApplicationData => return Some(ClientReaction::Continues),
        }
    }
    None
}

/// An alert record: two bytes in plaintext, more if TLS 1.2 encrypts it already.
fn alert(record: &Record<'_>, stream: &[u8]) -> Option<ClientReaction> {
    if record.length != ALERT_LEN {
        return Some(ClientReaction::Alert { description: None });
    }
    match Alert::parse(&stream[record.offset..]).ok()? {
        Parsed::Complete { value, .. } => Some(ClientReaction::Alert {
            description: Some(value.description),
        }),
        Parsed::Incomplete { .. } => None,
    }
}
