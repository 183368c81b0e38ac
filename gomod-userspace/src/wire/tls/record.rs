// SPDX-License-Identifier: MIT OR Apache-2.0
//! The record layer (RFC 8446 section 5.1): five bytes of header, then the body.

use super::TlsError;

/// Bytes of a record header: type, version, length.
pub const HEADER_LEN: usize = 5;

/// The longest body of a record: 2^14 and 2048 of expansion (RFC 5246 section 6.2.3).
pub const MAX_BODY_LEN: usize = (1 << 14) + 2048;

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// 20
    ChangeCipherSpec,
    /// 21
    Alert,
    /// 22
    Handshake,
    /// 23: also all encrypted records of TLS 1.3
    ApplicationData,
}

impl ContentType {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            20 => Self::ChangeCipherSpec,
            21 => Self::Alert,
            22 => Self::Handshake,
            23 => Self::ApplicationData,
            _ => return None,
        })
    }
}

/// One record, its body perhaps cut by the end of the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where its header starts, in bytes from the start of the stream.
    pub offset: usize,
    /// What it carries.
    pub content_type: ContentType,
    /// The version of the record layer, `0x0301` or `0x0303` whatever is negotiated.
    pub version: u16,
    /// How many bytes of body its header claims.
    pub length: usize,
    /// As much of the body as there is.
    pub body: &'a [u8],
}

impl Record<'_> {
    /// Whether the whole body is there.
    pub fn is_whole(&self) -> bool {
        self.body.len() == self.length
    }

    /// How many bytes of the body are missing.
    pub fn missing(&self) -> usize {
        self.length - self.body.len()
    }
}

/// The records of a stream. The last one may be cut; after an error, or a cut record or header, it ends.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    stream: &'a [u8],
    offset: usize,
    ended: bool,
}

/// Walks the records of `stream`, which starts at a record's first byte.
pub fn records(stream: &[u8]) -> RecordIter<'_> {
    RecordIter {
        stream,
        offset: 0,
        ended: false,
    }
}

impl RecordIter<'_> {
    /// Where the next record starts; the end of the stream or of the last whole record.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, TlsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let rest = self.stream.get(self.offset..).unwrap_or_default();
        let first = *rest.first()?;
        let not_tls = |first| {
            Some(Err(TlsError::NotTls {
                offset: self.offset,
                first,
            }))
        };
        let Some(content_type) = ContentType::from_byte(first) else {
            self.ended = true;
            return not_tls(first);
        };
        if rest.get(1).is_some_and(|major| *major != 3) {
            self.ended = true;
            return not_tls(rest[1]);
        }
        let Some((header, body)) = rest.split_at_checked(HEADER_LEN) else {
            self.ended = true;
            return None;
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length > MAX_BODY_LEN {
            self.ended = true;
            return Some(Err(TlsError::RecordTooLong {
                offset: self.offset,
                length,
            }));
        }
        let record = Record {
            offset: self.offset,
            content_type,
            version: u16::from_be_bytes([header[1], header[2]]),
            length,
            body: &body[..length.min(body.len())],
        };
        if record.is_whole() {
            self.offset += HEADER_LEN + length;
        } else {
            self.ended = true;
        }
        Some(Ok(record))
    }
}
