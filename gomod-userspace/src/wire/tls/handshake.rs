// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first handshake message of a stream, put together from the records it is spread over.

use super::{ContentType, HEADER_LEN, TlsError, records};

/// The longest handshake message that is taken: no hello comes near it, and it bounds what is copied.
pub const MAX_HANDSHAKE_LEN: usize = 64 * 1024;

/// The first handshake message, as far as it is there.
pub(super) struct HandshakeMessage {
    /// The body without its four bytes of header, up to where the capture ends.
    pub(super) body: Vec<u8>,
    /// Bytes of body that are missing.
    pub(super) missing: usize,
    /// Bytes of the stream that the message took, record headers included; meaningful if nothing is missing.
    pub(super) consumed: usize,
}

/// Finds the first message and checks its type. `Ok(None)`: its header is not whole yet.
pub(super) fn first_message(
    stream: &[u8],
    expected: &'static str,
    message_type: u8,
) -> Result<Option<HandshakeMessage>, TlsError> {
    let mut message = Vec::new();
    let mut length = None;
    let mut consumed = 0;
    for record in records(stream) {
        let record = record?;
        if record.content_type != ContentType::Handshake {
            return Err(TlsError::UnexpectedRecord {
                expected,
                offset: record.offset,
                found: record.content_type,
            });
        }
        let before = message.len();
        let wanted = length.map_or(usize::MAX, |length| length - before);
        message.extend_from_slice(&record.body[..record.body.len().min(wanted)]);
        if let Some(found) = message
            .first()
            .copied()
            .filter(|found| *found != message_type)
        {
            return Err(TlsError::UnexpectedMessage { expected, found });
        }
        if length.is_none() && message.len() >= 4 {
            let claimed = usize::from(message[1]) << 16
                | usize::from(message[2]) << 8
                | usize::from(message[3]);
            if claimed > MAX_HANDSHAKE_LEN {
                return Err(TlsError::MessageTooLong { length: claimed });
            }
            length = Some(4 + claimed);
            message.truncate(4 + claimed);
        }
        consumed = record.offset + HEADER_LEN + (message.len() - before);
        if length.is_some_and(|length| message.len() >= length) {
            break;
        }
    }
    let Some(length) = length else {
        return Ok(None);
    };
    let missing = length - message.len();
    message.drain(..4);
    Ok(Some(HandshakeMessage {
        body: message,
        missing,
        consumed,
    }))
}
