// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plaintext alerts (RFC 8446 section 6, RFC 5246 section 7.2).

use serde::Serialize;

use super::{ContentType, TlsError, records};
use crate::wire::Parsed;

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertLevel {
    /// 1
    Warning,
    /// 2: the connection is over
    Fatal,
    /// Any other byte
    Unknown,
}

/// A plaintext alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// How bad it is; TLS 1.3 peers ignore it.
    pub level: AlertLevel,
    /// The number of the description.
    pub code: u8,
    /// Its name at IANA, `alert N` if it has none.
    pub description: String,
}

impl Alert {
    /// The alert that `stream` starts with. `stream` must start at a record.
    pub fn parse(stream: &[u8]) -> Result<Parsed<Self>, TlsError> {
        let mut records = records(stream);
        let Some(record) = records.next() else {
            return Ok(Parsed::Incomplete {
                needed: Some(7 - stream.len().min(6)),
            });
        };
        let record = record?;
        if record.content_type != ContentType::Alert {
            return Err(TlsError::UnexpectedRecord {
                expected: "alert",
                offset: record.offset,
                found: record.content_type,
            });
        }
        if record.length != 2 {
            return Err(TlsError::Malformed {
                message: "plaintext alert",
                field: "length (an encrypted one?)",
            });
        }
        let [level, code] = *record.body else {
            return Ok(Parsed::Incomplete {
                needed: Some(record.missing()),
            });
        };
        Ok(Parsed::Complete {
            value: Self::new(level, code),
            consumed: records.offset(),
        })
    }

    fn new(level: u8, code: u8) -> Self {
        let level = match level {
            1 => AlertLevel::Warning,
            2 => AlertLevel::Fatal,
            _ => AlertLevel::Unknown,
        };
        Self {
            level,
            code,
            description: alert_name(code),
        }
    }
}

/// The name of an alert's description at IANA, `alert N` if it has none.
pub fn alert_name(code: u8) -> String {
    let name = match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        other => return format!("alert {other}"),
    };
    name.to_owned()
}
