// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS messages (RFC 1035) as an onlooker needs them, also from a capture that ends inside of one.

use std::net::IpAddr;

use hickory_proto::op::{Header, MessageType, Query as Question, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use serde::Serialize;

use super::Parsed;

/// Bytes of a DNS header (RFC 1035 section 4.1.1).
const HEADER_LEN: usize = 12;

/// The shortest possible record: root name, type, class, TTL, length.
const MIN_RECORD_LEN: usize = 11;

/// The longest possible question: a name of 255 bytes, type, class.
const MAX_QUESTION_LEN: usize = 255 + 4;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// The transaction's number.
    pub id: u16,
    /// The name asked for, lower case, without the dot at its end; the root is `.`.
    pub name: String,
    /// The type asked for, such as `AAAA`; `TYPEn` if unknown (RFC 3597).
    pub qtype: String,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The transaction's number.
    pub id: u16,
    /// The name asked for, as in [`Query::name`]; empty if the server left the question out.
    pub name: String,
    /// The type asked for, as in [`Query::qtype`]; empty if the server left the question out.
    pub qtype: String,
    /// The header's response code by its IANA name (`NOERROR`, `NXDOMAIN`, …); `RCODEn` if unassigned.
    /// The upper bits that EDNS adds are not looked at: no code above 15 answers a plain query but `BADVERS`.
    pub rcode: String,
    /// The addresses of all A and AAAA answers.
    pub answers: Vec<IpAddr>,
    /// The targets of all CNAME answers.
    pub cnames: Vec<String>,
    /// The TC bit: the client is to ask again by TCP.
    pub truncated: bool,
    /// No error, no answer, and neither authority nor recursion: a referral, from which a stub resolver learns nothing. It
    /// asks the next server (Go: `errLameReferral`, golang/go 15434).
    pub lame: bool,
    /// Whether the capture ended (or became unreadable) before the last answer.
    pub partial: bool,
}

/// A DNS message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// From a client.
    Query(Query),
    /// From a server.
    Response(Response),
}

/// Why bytes are not a DNS message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// A query with no question.
    #[error("DNS query {id:#06x} asks nothing")]
    NoQuestion {
        /// The transaction's number.
        id: u16,
    },
    /// The question's name is malformed.
    #[error("DNS message {id:#06x} has a malformed question: {reason}")]
    Question {
        /// The transaction's number.
        id: u16,
        /// What the decoder found.
        reason: String,
    },
    /// Header fields that RFC 1035 does not know.
    #[error("no DNS message: {reason}")]
    Header {
        /// What the decoder found.
        reason: String,
    },
}

impl Message {
    /// Reads one datagram. `Incomplete` if the header and the question are not all there; a capture that ends
    /// later gives what it can, see [`Response::partial`].
    pub fn parse(datagram: &[u8]) -> Result<Parsed<Self>, DnsError> {
        if datagram.len() < HEADER_LEN {
            return Ok(Parsed::Incomplete {
                needed: Some(HEADER_LEN - datagram.len()),
            });
        }
        let mut decoder = BinDecoder::new(datagram);
        let header = Header::read(&mut decoder).map_err(|error| DnsError::Header {
            reason: error.to_string(),
        })?;
        let id = header.metadata.id;
        let response = header.metadata.message_type == MessageType::Response;
        let mut question = None;
        for _ in 0..header.counts.queries {
            match Question::read(&mut decoder) {
                Ok(read) => question = question.or(Some(read)),
                // The decoder does not tell "too short" from "wrong"; only a short capture can be the former.
                Err(_) if question.is_none() && datagram.len() < HEADER_LEN + MAX_QUESTION_LEN => {
                    if question_is_cut(&datagram[HEADER_LEN..]) {
                        return Ok(Parsed::Incomplete { needed: None });
                    }
                    let reason = "its name is malformed".to_owned();
                    return Err(DnsError::Question { id, reason });
                }
                Err(error) => {
                    return Err(DnsError::Question {
                        id,
                        reason: error.to_string(),
                    });
                }
            }
        }
        let (name, qtype) = match &question {
            Some(question) => (name_text(question.name()), type_text(question.query_type())),
            None if response => (String::new(), String::new()),
            None => return Err(DnsError::NoQuestion { id }),
        };
        let value = if response {
            let mut response = Response {
                id,
                name,
                qtype,
                rcode: rcode_text(header.metadata.response_code),
                answers: Vec::new(),
                cnames: Vec::new(),
                truncated: header.metadata.truncation,
                lame: header.metadata.response_code == ResponseCode::NoError
                    && header.counts.answers == 0
                    && !header.metadata.authoritative
                    && !header.metadata.recursion_available,
                partial: false,
            };
            response.read_answers(&mut decoder, header.counts.answers);
            Self::Response(response)
        } else {
            Self::Query(Query { id, name, qtype })
        };
        Ok(Parsed::Complete {
            value,
            consumed: datagram.len(),
        })
    }

    /// Reads the first message of a TCP stream: two bytes of length, then the message (RFC 1035 section 4.2.2).
    /// `Incomplete` until it is whole; `consumed` counts the length too, so that the next one starts there.
    pub fn parse_tcp(stream: &[u8]) -> Result<Parsed<Self>, DnsError> {
        let Some((length, rest)) = stream.split_first_chunk::<2>() else {
            return Ok(Parsed::Incomplete {
                needed: Some(2 - stream.len()),
            });
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let Some(message) = rest.get(..length) else {
            return Ok(Parsed::Incomplete {
                needed: Some(length - rest.len()),
            });
        };
        match Self::parse(message)? {
            Parsed::Complete { value, .. } => Ok(Parsed::Complete {
                value,
                consumed: 2 + length,
            }),
            Parsed::Incomplete { .. } => Err(DnsError::Header {
                reason: format!("a TCP message of {length} bytes holds no whole question"),
            }),
        }
    }
}

impl Response {
    fn read_answers(&mut self, decoder: &mut BinDecoder<'_>, count: u16) {
        for _ in 0..count {
            if decoder.len() < MIN_RECORD_LEN {
                self.partial = true;
                return;
            }
            let Ok(record) = <Record>::read(decoder) else {
                self.partial = true;
                return;
            };
            if record.dns_class != DNSClass::IN {
                continue;
            }
            match record.data {
                RData::A(address) => self.answers.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => self.answers.push(IpAddr::V6(address.0)),
                RData::CNAME(target) => self.cnames.push(name_text(&target.0)),
                _ => {}
            }
        }
    }
}

/// Whether plain labels run beyond the end, or the four bytes after the name are not all there.
fn question_is_cut(mut rest: &[u8]) -> bool {
    loop {
        match rest.first() {
            None => return true,
            Some(0) => return rest.len() < 1 + 4,
            Some(length) if *length < 64 => match rest.get(1 + usize::from(*length)..) {
                Some(after) => rest = after,
                None => return true,
            },
            Some(_) => return rest.len() < 2,
        }
    }
}

pub(crate) fn name_text(name: &Name) -> String {
    let mut text = name.to_lowercase().to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

pub(crate) fn type_text(record_type: RecordType) -> String {
    match record_type {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// Names as in IANA's table "DNS RCODEs".
pub(crate) fn rcode_text(code: ResponseCode) -> String {
    let name = match code.low() {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        11 => "DSOTYPENI",
        other => return format!("RCODE{other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests;
