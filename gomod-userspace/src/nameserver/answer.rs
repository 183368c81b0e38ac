// SPDX-License-Identifier: MIT OR Apache-2.0
//! A nameserver's answer: kept byte for byte, and written out for each client that it is good for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::question::{HEADER_LEN, Question, u16_at};
use crate::wire::dns::rcode_text;

const TYPE_A: u16 = 1;
const TYPE_NS: u16 = 2;
const TYPE_SOA: u16 = 6;
const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;

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

/// The longest that an answer is kept, whatever its TTL says.
const MAX_LIFETIME: u32 = 24 * 60 * 60;
/// The longest that "there is none" is kept (RFC 2308 section 5 finds one to three hours sensible).
const MAX_NEGATIVE_LIFETIME: u32 = 60 * 60;
/// The TTL of an answer that has expired: not zero (RFC 8767 section 4), and no longer than need be.
const STALE_TTL: u32 = 1;

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
    /// It says what there is, or that there is nothing.
    Good,
    /// The server could not find out just now.
    Failed,
    /// The server does not know, does not want to, or said something that nobody understands: another may be better.
    Poor,
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
        if let Ok(found) = Found::read(&answer.wire, question) {
            answer.worth = match rcode {
                _ if found.extended => Worth::Poor,
                NOERROR if found.is_referral(&answer.wire) => Worth::Poor,
                NOERROR | NXDOMAIN => Worth::Good,
                SERVFAIL => Worth::Failed,
                _ => Worth::Poor,
            };
            if answer.worth == Worth::Good && !answer.truncated() {
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

    /// Whether a client that does not speak EDNS can be given it: the OPT record can only be taken from the end, else
    /// names that point behind it would point elsewhere.
    pub(super) fn fits_without_edns(&self) -> bool {
        self.opt
            .as_ref()
            .is_none_or(|opt| opt.end == self.wire.len())
    }

    /// Writes it to `out` for the client that asked `question`, `age` after it came; with the client's number and the
    /// client's way to write the name. What is longer than `limit` becomes an empty one with the TC bit, so that the
    /// client asks again by TCP.
    pub fn write(&self, question: &Question, age: Age, limit: usize, out: &mut Vec<u8>) {
        out.clear();
        out.extend(&self.wire);
        out[..2].copy_from_slice(&question.id().to_be_bytes());
        if u16_at(out, 4) == 1 {
            out[HEADER_LEN..question.end()].copy_from_slice(question.section());
        }
        for (at, ttl) in &self.ttls {
            let left = match age {
                Age::New => continue,
                Age::Seconds(age) => ttl.saturating_sub(age),
                Age::Stale => STALE_TTL.min(*ttl),
            };
            out[*at..at + 4].copy_from_slice(&left.to_be_bytes());
        }
        if let Some(opt) = &self.opt
            && !question.edns()
            && self.fits_without_edns()
        {
            out.truncate(opt.start);
            let additionals = u16_at(out, 10).saturating_sub(1);
            out[10..12].copy_from_slice(&additionals.to_be_bytes());
        }
        if out.len() > limit {
            self.shorten(question, out);
        }
    }

    fn shorten(&self, question: &Question, out: &mut Vec<u8>) {
        let end = if u16_at(out, 4) == 1 {
            question.end()
        } else {
            HEADER_LEN
        };
        out.truncate(end);
        out[2] |= FLAG_TC;
        out[6..12].fill(0);
        if let Some(opt) = &self.opt
            && question.edns()
        {
            // The client may want to see that the server speaks EDNS; options can wait.
            out.extend(&self.wire[opt.start..opt.start + 9]);
            out.extend([0, 0]);
            out[11] = 1;
        }
    }
}

/// How old an answer is when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It came just now: as it is.
    New,
    /// This many seconds; its TTLs are shorter by them.
    Seconds(u32),
    /// It has expired.
    Stale,
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

/// What is in the sections behind the question.
#[derive(Debug, Default)]
struct Found {
    ttls: Vec<(usize, u32)>,
    opt: Option<Range<usize>>,
    addresses: Vec<IpAddr>,
    /// Records in the answer section.
    answers: usize,
    /// Whether one of them is of the type asked for.
    answered: bool,
    /// Whether an NS record is among the authorities.
    delegated: bool,
    /// The TTL of "there is none" (RFC 2308 section 5).
    negative: Option<u32>,
    /// Whether the OPT record has more of the response code: no such code is an answer.
    extended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

impl Found {
    fn read(wire: &[u8], question: &Question) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        let mut decoder = BinDecoder::new(wire);
        decoder.read_slice(question.end())?.unverified(/* compared with the question */);
        let sections = [
            (Section::Answer, 6),
            (Section::Authority, 8),
            (Section::Additional, 10),
        ];
        for (section, count_at) in sections {
            for _ in 0..u16_at(wire, count_at) {
                found.record(&mut decoder, section, question)?;
            }
        }
        if decoder.is_empty() {
            Ok(found)
        } else {
            Err(DecodeError::InsufficientBytes)
        }
    }

    fn record(
        &mut self,
        decoder: &mut BinDecoder<'_>,
        section: Section,
        question: &Question,
    ) -> Result<(), DecodeError> {
        let start = decoder.index();
        Name::read(decoder)?;
        let kind = decoder.read_u16()?.unverified(/* any type may be */);
        let class = decoder.read_u16()?.unverified(/* any class may be */);
        let ttl_at = decoder.index();
        let ttl = decoder.read_u32()?.unverified(/* bounded below */);
        let len = decoder.read_u16()?.unverified(/* read_slice checks it */);
        let data = decoder.read_slice(usize::from(len))?.unverified(/* bytes */);
        if kind == TYPE_OPT {
            self.opt = Some(start..decoder.index());
            self.extended |= ttl >> 24 != 0;
            return Ok(());
        }
        // RFC 2181 section 8: with the highest bit it means zero.
        let mut ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        match section {
            Section::Answer => {
                self.answers += 1;
                self.answered |= kind == question.qtype();
                if class == 1 {
                    self.addresses.extend(address(kind, data));
                }
            }
            Section::Authority if kind == TYPE_SOA => {
                if let Some(minimum) = data.last_chunk::<4>() {
                    ttl = ttl.min(u32::from_be_bytes(*minimum));
                    self.negative = Some(ttl);
                }
            }
            Section::Authority => self.delegated |= kind == TYPE_NS,
            Section::Additional => {}
        }
        self.ttls.push((ttl_at, ttl));
        Ok(())
    }

    /// A server that is not responsible and does not ask for us: no answer, no SOA, and it points elsewhere or says that
    /// it does no recursion.
    fn is_referral(&self, wire: &[u8]) -> bool {
        self.answers == 0
            && self.negative.is_none()
            && wire[2] & FLAG_AA == 0
            && (self.delegated || wire[3] & FLAG_RA == 0)
    }

    fn lifetime(&self, rcode: u8) -> Option<Duration> {
        let shortest = self.ttls.iter().map(|(_, ttl)| *ttl).min();
        let seconds = if rcode == NOERROR && self.answered {
            shortest?.min(MAX_LIFETIME)
        } else {
            self.negative?;
            shortest?.min(MAX_NEGATIVE_LIFETIME)
        };
        Some(Duration::from_secs(seconds.into()))
    }
}

fn address(kind: u16, data: &[u8]) -> Option<IpAddr> {
    match kind {
        TYPE_A => <[u8; 4]>::try_from(data)
            .ok()
            .map(|bytes| Ipv4Addr::from(bytes).into()),
        TYPE_AAAA => <[u8; 16]>::try_from(data)
            .ok()
            .map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::question::Asked;
    use super::*;

    const NAME: &[u8] = b"\x05Proxy\x06golang\x03org\x00";

    fn query(edns: bool) -> Question {
        let mut wire = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
        wire.extend(NAME);
        wire.extend([0, 1, 0, 1]);
        if edns {
            wire.extend(OPT);
        }
        match Asked::read(&wire) {
            Asked::Question(question) => question,
            Asked::Foreign { .. } => panic!("foreign"),
        }
    }

    const OPT: [u8; 11] = [0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0];

    /// An answer to `query` with the number 9, the name in lower case, and these sections.
    fn answer(rcode: u8, sections: [&[Vec<u8>]; 3]) -> Vec<u8> {
        let mut wire = vec![0, 9, 0x81, 0x80 | rcode, 0, 1];
        for section in sections {
            wire.extend((section.len() as u16).to_be_bytes());
        }
        wire.extend(NAME.to_ascii_lowercase());
        wire.extend([0, 1, 0, 1]);
        wire.extend(sections.concat().concat());
        wire
    }

    fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0xc0, 12];
        record.extend(kind.to_be_bytes());
        record.extend([0, 1]);
        record.extend(ttl.to_be_bytes());
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        record
    }

    fn soa(ttl: u32, minimum: u32) -> Vec<u8> {
        let mut data = vec![0, 0];
        data.extend([0; 16]);
        data.extend(minimum.to_be_bytes());
        record(TYPE_SOA, ttl, &data)
    }

    fn read(wire: Vec<u8>) -> Answer {
        Answer::read(wire, &query(true), 9).unwrap()
    }

    fn written(answer: &Answer, question: &Question, age: Age, limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        answer.write(question, age, limit, &mut out);
        out
    }

    fn seconds(answer: &Answer) -> Option<u64> {
        answer.lifetime().map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn the_shortest_ttl_counts_and_counts_down() {
        let addresses = [
            record(1, 300, &[192, 0, 2, 1]),
            record(1, 60, &[192, 0, 2, 2]),
        ];
        let answer = read(answer(0, [&addresses, &[], &[OPT.to_vec()]]));
        assert_eq!((answer.worth(), seconds(&answer)), (Worth::Good, Some(60)));
        assert_eq!(answer.addresses().len(), 2);
        let later = Answer::read(
            written(&answer, &query(true), Age::Seconds(59), 512),
            &query(true),
            7,
        );
        assert_eq!(seconds(&later.unwrap()), Some(1));
        let stale = Answer::read(
            written(&answer, &query(true), Age::Stale, 512),
            &query(true),
            7,
        );
        assert_eq!(seconds(&stale.unwrap()), Some(1));
    }

    #[test]
    fn number_and_case_are_the_clients() {
        let answer = read(answer(0, [&[record(1, 60, &[192, 0, 2, 1])], &[], &[]]));
        let out = written(&answer, &query(true), Age::New, 512);
        assert_eq!(out[..2], [0, 7]);
        assert_eq!(&out[12..12 + NAME.len()], NAME);
    }

    #[test]
    fn nothing_is_kept_as_long_as_the_soa_says_and_not_at_all_without() {
        for rcode in [NOERROR, NXDOMAIN] {
            let known = read(answer(rcode, [&[], &[soa(900, 30)], &[]]));
            assert_eq!((known.worth(), seconds(&known)), (Worth::Good, Some(30)));
            let short = read(answer(rcode, [&[], &[soa(5, 30)], &[]]));
            assert_eq!(seconds(&short), Some(5));
            assert_eq!(seconds(&read(answer(rcode, [&[], &[], &[]]))), None);
        }
        let alias = record(5, 10, &[0xc0, 12]);
        let chain = read(answer(
            0,
            [std::slice::from_ref(&alias), &[soa(900, 30)], &[]],
        ));
        assert_eq!(seconds(&chain), Some(10));
        assert_eq!(seconds(&read(answer(0, [&[alias], &[], &[]]))), None);
    }

    #[test]
    fn ttls_beyond_reason_are_zero_and_zero_is_not_kept() {
        for ttl in [0, 0x8000_0000, u32::MAX] {
            let answer = read(answer(0, [&[record(1, ttl, &[192, 0, 2, 1])], &[], &[]]));
            assert_eq!(answer.lifetime(), None);
        }
        let long = read(answer(
            0,
            [&[record(1, 0x7fff_ffff, &[192, 0, 2, 1])], &[], &[]],
        ));
        assert_eq!(seconds(&long), Some(86400));
    }

    #[test]
    fn failures_and_servers_that_point_elsewhere_are_told_from_answers() {
        let worth = |wire| read(wire).worth();
        assert_eq!(worth(answer(2, [&[], &[], &[]])), Worth::Failed);
        assert_eq!(worth(answer(5, [&[], &[], &[]])), Worth::Poor);
        let elsewhere = [record(TYPE_NS, 60, &[0])];
        assert_eq!(worth(answer(0, [&[], &elsewhere, &[]])), Worth::Poor);
        assert_eq!(worth(answer(0, [&[], &[], &[]])), Worth::Good);
        let mut badvers = OPT;
        badvers[5] = 1;
        assert_eq!(
            worth(answer(0, [&[], &[], &[badvers.to_vec()]])),
            Worth::Poor
        );
        let mut cut = answer(0, [&[record(1, 60, &[192, 0, 2, 1])], &[], &[]]);
        cut.pop();
        let cut = read(cut);
        assert_eq!((cut.worth(), cut.lifetime()), (Worth::Poor, None));
    }

    #[test]
    fn what_answers_something_else_is_not_the_answer() {
        let good = answer(0, [&[], &[], &[]]);
        let refused = |spoil: fn(&mut Vec<u8>)| {
            let mut wire = good.clone();
            spoil(&mut wire);
            Answer::read(wire, &query(true), 9).unwrap_err()
        };
        assert_eq!(refused(|wire| wire[1] = 8), NotTheAnswer::WrongId);
        assert_eq!(refused(|wire| wire[13] = b'x'), NotTheAnswer::WrongQuestion);
        assert_eq!(refused(|wire| wire[5] = 0), NotTheAnswer::WrongQuestion);
        assert_eq!(refused(|wire| wire[2] = 1), NotTheAnswer::NoResponse);
        assert_eq!(refused(|wire| wire.truncate(4)), NotTheAnswer::NoResponse);
        // The type differs from A (1) only as upper from lower case would.
        assert_eq!(
            refused(|wire| wire[12 + NAME.len() + 1] |= 0x20),
            NotTheAnswer::WrongQuestion
        );
        let unread = vec![0, 9, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let unread = Answer::read(unread, &query(true), 9).unwrap();
        assert_eq!(
            (unread.worth(), unread.rcode().as_str()),
            (Worth::Poor, "FORMERR")
        );
    }

    #[test]
    fn a_client_without_edns_sees_no_opt_record() {
        let address = [record(1, 60, &[192, 0, 2, 1])];
        let answer = read(answer(0, [&address, &[], &[OPT.to_vec()]]));
        assert!(answer.fits_without_edns());
        let out = written(&answer, &query(false), Age::New, 512);
        assert_eq!(u16_at(&out, 10), 0);
        assert_eq!(out.len(), answer.wire.len() - OPT.len());
        let out = written(&answer, &query(true), Age::New, 512);
        assert_eq!(u16_at(&out, 10), 1);
    }

    #[test]
    fn what_is_too_long_says_that_there_is_more() {
        let many = vec![record(1, 60, &[192, 0, 2, 1]); 40];
        let answer = read(answer(0, [&many, &[], &[OPT.to_vec()]]));
        for edns in [false, true] {
            let question = query(edns);
            let out = written(&answer, &question, Age::New, 512);
            let short = Answer::read(out, &question, 7).unwrap();
            assert!(short.truncated());
            assert_eq!((short.addresses().len(), short.lifetime()), (0, None));
            assert_eq!(short.opt.is_some(), edns);
            let whole = written(&answer, &question, Age::New, usize::MAX);
            assert_eq!(
                Answer::read(whole, &question, 7).unwrap().addresses().len(),
                40
            );
        }
    }
}
