// SPDX-License-Identifier: MIT OR Apache-2.0
//! A nameserver's answer: kept byte for byte, and written out for each client that it is good for.

mod sections;
mod write;

pub use write::Age;

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use hickory_proto::op::ResponseCode;

use self::sections::Sections;
use super::question::{HEADER_LEN, Question, u16_at};
use crate::wire::dns::rcode_text;

const FLAG_QR: u8 = 0x80;
const OPCODE: u8 = 0x78;
const FLAG_AA: u8 = 0x04;
const FLAG_TC: u8 = 0x02;
/// In the second byte of flags: the server asks others.
const FLAG_RA: u8 = 0x80;
const RCODE: u8 = 0x0f;

const NOERROR: u8 = 0;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// An answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    wire: Vec<u8>,
    /// Where the TTLs are, and what they say; none of the OPT record's.
    ttls: Vec<(usize, u32)>,
    /// The OPT record.
    opt: Option<Range<usize>>,
    rcode: u8,
    worth: Worth,
    lifetime: Option<Duration>,
    addresses: Vec<IpAddr>,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It says what there is, or that there is more by TCP.
    Positive,
    /// It says that there is no such name (NXDOMAIN), or nothing of this type (NODATA, RFC 2308 section 2).
    Negative,
    /// The server could not find out just now.
    Failed,
    /// The server does not know, does not want to, or said something that nobody understands: another may be better.
    Poor,
}

impl Worth {
    /// Whether the server knew.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Positive | Self::Negative)
    }
}

/// Why a datagram is not the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTheAnswer {
    /// No answer to anything.
    #[error("no DNS response")]
    NoResponse,
    /// It belongs to another transaction.
    #[error("wrong transaction number")]
    WrongId,
    /// It answers something else.
    #[error("wrong question")]
    WrongQuestion,
}

impl Answer {
    /// Reads what came back for `question`, asked under the number `id`.
    pub fn read(wire: Vec<u8>, question: &Question, id: u16) -> Result<Self, NotTheAnswer> {
        if wire.len() < HEADER_LEN || wire[2] & FLAG_QR == 0 || wire[2] & OPCODE != 0 {
            return Err(NotTheAnswer::NoResponse);
        }
        if u16_at(&wire, 0) != id {
            return Err(NotTheAnswer::WrongId);
        }
        let rcode = wire[3] & RCODE;
        let mut answer = Self {
            wire,
            ttls: Vec::new(),
            opt: None,
            rcode,
            worth: Worth::Poor,
            lifetime: None,
            addresses: Vec::new(),
        };
        match u16_at(&answer.wire, 4) {
            1 if question.is_repeated_in(&answer.wire) => {}
            // A server that can't even read the query says so without repeating it.
            0 if !matches!(rcode, NOERROR | NXDOMAIN) && answer.wire[6..10] == [0; 4] => {
                if rcode == SERVFAIL {
                    answer.worth = Worth::Failed;
                }
                return Ok(answer);
            }
            _ => return Err(NotTheAnswer::WrongQuestion),
        }
        if let Ok(found) = Sections::read(&answer.wire, question) {
            answer.worth = match rcode {
                _ if found.extended => Worth::Poor,
                NOERROR if found.is_referral(&answer.wire) => Worth::Poor,
                NOERROR if found.is_answered() || answer.truncated() => Worth::Positive,
                NOERROR | NXDOMAIN => Worth::Negative,
                SERVFAIL => Worth::Failed,
                _ => Worth::Poor,
            };
            if answer.worth.is_answer() && !answer.truncated() {
                answer.lifetime = found.lifetime(rcode).filter(|lifetime| !lifetime.is_zero());
            }
            answer.ttls = found.ttls;
            answer.opt = found.opt;
            answer.addresses = found.addresses;
        }
        Ok(answer)
    }

    /// What it is worth.
    pub fn worth(&self) -> Worth {
        self.worth
    }

    /// How long it holds; `None` if it must not be kept.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The TC bit: there is more by TCP.
    pub fn truncated(&self) -> bool {
        self.wire[2] & FLAG_TC != 0
    }

    /// The addresses in it.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether it says that something is, rather than that nothing is.
    pub fn is_no_error(&self) -> bool {
        self.rcode == NOERROR
    }

    /// The response code by its IANA name.
    pub fn rcode(&self) -> String {
        rcode_name(self.rcode)
    }

    /// Bytes of memory.
    pub(super) fn len(&self) -> usize {
        self.wire.len()
            + self.ttls.len() * size_of::<(usize, u32)>()
            + self.addresses.len() * size_of::<IpAddr>()
    }
}

/// The response code of an answer that was not looked into, by its IANA name; empty if there is none.
pub(super) fn rcode_of(message: &[u8]) -> String {
    message
        .get(3)
        .map_or_else(String::new, |flags| rcode_name(flags & RCODE))
}

fn rcode_name(rcode: u8) -> String {
    rcode_text(ResponseCode::from_low(rcode))
}

#[cfg(test)]
mod tests;
