// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `ClientHello` (RFC 8446 section 4.1.2): what the client shows before anything is encrypted.

use serde::Serialize;

use super::cursor::Cursor;
use super::handshake::first_message;
use super::{TlsError, extension, group_name, is_grease, version_name};
use crate::wire::Parsed;

const MESSAGE: &str = "ClientHello";

/// What a client offers. GREASE numbers (RFC 8701) are left out of every list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClientHello {
    /// Bytes on the wire, record headers included.
    pub bytes: usize,
    /// The server name, lower case; what is no host name is shown with its odd bytes escaped.
    #[serde(rename = "sni")]
    pub server_name: Option<String>,
    /// Application protocols, by preference.
    pub alpn: Vec<String>,
    /// Versions as people write them (`1.3`), by preference; the legacy version if the extension is absent.
    pub versions: Vec<String>,
    /// Key-exchange groups by their IANA names, by preference.
    pub groups: Vec<String>,
    /// Bytes of all entries of the `key_share` extension: about 1.2 KB with a post-quantum share.
    pub key_share_bytes: usize,
    /// The version field of the message itself, `0x0303` since TLS 1.2.
    #[serde(skip)]
    pub legacy_version: u16,
    /// Cipher suite numbers, by preference.
    #[serde(skip)]
    pub cipher_suites: Vec<u16>,
    /// How many signature schemes are offered.
    #[serde(skip)]
    pub signature_schemes: usize,
    /// Extension numbers, in their order.
    #[serde(skip)]
    pub extensions: Vec<u16>,
    /// Whether any GREASE number was seen (`go` never sends one; browsers do).
    #[serde(skip)]
    pub grease: bool,
}

impl ClientHello {
    /// The `ClientHello` that `stream` starts with, perhaps spread over several records.
    pub fn parse(stream: &[u8]) -> Result<Parsed<Self>, TlsError> {
        let Some(message) = first_message(stream, MESSAGE, 1)? else {
            return Ok(Parsed::Incomplete { needed: None });
        };
        if message.missing > 0 {
            return Ok(Parsed::Incomplete {
                needed: Some(message.missing),
            });
        }
        let mut hello = Self {
            bytes: message.consumed,
            ..Self::default()
        };
        hello.read(Cursor(&message.body))?;
        Ok(Parsed::Complete {
            value: hello,
            consumed: message.consumed,
        })
    }

    fn read(&mut self, mut body: Cursor<'_>) -> Result<(), TlsError> {
        self.legacy_version = body.u16().ok_or(malformed("legacy_version"))?;
        body.take(32).ok_or(malformed("random"))?;
        body.vec8().ok_or(malformed("session_id"))?;
        let suites = body
            .vec16()
            .and_then(Cursor::u16s)
            .ok_or(malformed("cipher_suites"))?;
        self.cipher_suites = without_grease(suites, &mut self.grease);
        body.vec8().ok_or(malformed("compression_methods"))?;
        if !body.is_empty() {
            let mut extensions = body.vec16().ok_or(malformed("extensions"))?;
            while !extensions.is_empty() {
                let number = extensions.u16().ok_or(malformed("extension type"))?;
                let data = extensions.vec16().ok_or(malformed("extension data"))?;
                if is_grease(number) {
                    self.grease = true;
                    continue;
                }
                self.extensions.push(number);
                self.read_extension(number, data)?;
            }
        }
        if self.versions.is_empty() {
            self.versions.push(version_name(self.legacy_version));
        }
        Ok(())
    }

    fn read_extension(&mut self, number: u16, mut data: Cursor<'_>) -> Result<(), TlsError> {
        match number {
            extension::SERVER_NAME => {
                let mut names = data.vec16().ok_or(malformed("server_name"))?;
                while !names.is_empty() {
                    let kind = names.u8().ok_or(malformed("server_name"))?;
                    let name = names.vec16().ok_or(malformed("server_name"))?;
                    if kind == 0 && self.server_name.is_none() {
                        self.server_name = Some(host_name(name.0));
                    }
                }
            }
            extension::ALPN => {
                let mut protocols = data.vec16().ok_or(malformed("ALPN"))?;
                while !protocols.is_empty() {
                    let protocol = protocols.vec8().ok_or(malformed("ALPN"))?;
                    if let [high, low] = *protocol.0
                        && is_grease(u16::from_be_bytes([high, low]))
                    {
                        self.grease = true;
                        continue;
                    }
                    self.alpn.push(protocol.0.escape_ascii().to_string());
                }
            }
            extension::SUPPORTED_VERSIONS => {
                let versions = data
                    .vec8()
                    .and_then(Cursor::u16s)
                    .ok_or(malformed("supported_versions"))?;
                let versions = without_grease(versions, &mut self.grease);
                self.versions = versions.into_iter().map(version_name).collect();
            }
            extension::SUPPORTED_GROUPS => {
                let groups = data
                    .vec16()
                    .and_then(Cursor::u16s)
                    .ok_or(malformed("supported_groups"))?;
                let groups = without_grease(groups, &mut self.grease);
                self.groups = groups.into_iter().map(group_name).collect();
            }
            extension::SIGNATURE_ALGORITHMS => {
                let schemes = data
                    .vec16()
                    .and_then(Cursor::u16s)
                    .ok_or(malformed("signature_algorithms"))?;
                self.signature_schemes = without_grease(schemes, &mut self.grease).len();
            }
            extension::KEY_SHARE => {
                self.key_share_bytes = data.vec16().ok_or(malformed("key_share"))?.0.len();
            }
            _ => {}
        }
        Ok(())
    }
}

fn malformed(field: &'static str) -> TlsError {
    TlsError::Malformed {
        message: MESSAGE,
        field,
    }
}

fn without_grease(numbers: impl Iterator<Item = u16>, seen: &mut bool) -> Vec<u16> {
    numbers
        .filter(|number| {
            let grease = is_grease(*number);
            *seen |= grease;
            !grease
        })
        .collect()
}

/// A host name in lower case; anything else escaped, so that a terminal shows what was sent and no more.
fn host_name(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !bytes.is_empty() && bytes.len() <= 253 && bytes.iter().all(plain) {
        bytes.escape_ascii().to_string().to_ascii_lowercase()
    } else {
        bytes.escape_ascii().to_string()
    }
}
