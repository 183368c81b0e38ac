// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS as an onlooker sees it: records, the two hellos, alerts, and what sizes tell of the rest.
//!
//! Sources: RFC 8446 (TLS 1.3), RFC 5246 (TLS 1.2), RFC 6066 (server name), RFC 7301 (ALPN), RFC 8701 (GREASE).

mod alert;
mod certificate;
mod client_hello;
mod cursor;
mod handshake;
mod names;
mod reaction;
mod record;
mod server_hello;

#[cfg(test)]
mod tests;

pub use alert::{Alert, AlertLevel, alert_name};
pub use certificate::issuer;
pub use client_hello::ClientHello;
pub use handshake::MAX_HANDSHAKE_LEN;
pub use names::{cipher_suite_name, extension, group_name, is_grease, version_name};
pub use reaction::{
    ClientReaction, client_reaction, is_client_finished_sized, is_encrypted_alert_sized,
};
pub use record::{ContentType, HEADER_LEN, MAX_BODY_LEN, Record, RecordIter, records};
pub use server_hello::ServerHello;

/// Why bytes are not the TLS that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The first byte of a record is no content type, or the version's major byte is not 3.
    #[error(
        "byte {offset} of the stream starts no TLS record (it says {first:#04x}): the peer does not speak TLS here"
    )]
    NotTls {
        /// Where the record would start.
        offset: usize,
        /// The byte that was found.
        first: u8,
    },
    /// A record claims more than RFC 5246 allows (2^14 + 2048 bytes).
    #[error("the TLS record at byte {offset} claims {length} bytes, more than TLS allows")]
    RecordTooLong {
        /// Where the record starts.
        offset: usize,
        /// What its header claims.
        length: usize,
    },
    /// A record that may not stand where it stands.
    #[error("expected a {expected} but the record at byte {offset} is of another kind ({found:?})")]
    UnexpectedRecord {
        /// What was asked for.
        expected: &'static str,
        /// Where the record starts.
        offset: usize,
        /// What it is.
        found: ContentType,
    },
    /// A handshake message of another type.
    #[error("expected a {expected} but the handshake message has type {found}")]
    UnexpectedMessage {
        /// What was asked for.
        expected: &'static str,
        /// The type byte that was found.
        found: u8,
    },
    /// A handshake message claims more than any hello needs.
    #[error("the handshake message claims {length} bytes, more than a hello can have")]
    MessageTooLong {
        /// What its header claims.
        length: usize,
    },
    /// A length inside a message points outside of it.
    #[error("malformed {message}: its {field} does not fit")]
    Malformed {
        /// Which message.
        message: &'static str,
        /// Which field.
        field: &'static str,
    },
}
