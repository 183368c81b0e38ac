// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an answer says behind its question: how long it holds, which addresses are in it, whether it is one at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use hickory_proto::rr::Name;
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::super::question::{Question, u16_at};
use super::{FLAG_AA, FLAG_RA, NOERROR};

const TYPE_A: u16 = 1;
pub(super) const TYPE_NS: u16 = 2;
pub(super) const TYPE_SOA: u16 = 6;
const TYPE_AAAA: u16 = 28;
const TYPE_OPT: u16 = 41;
/// Of questions only: whatever there is.
const TYPE_ANY: u16 = 255;

/// The longest that an answer is kept, whatever its TTL says.
const MAX_LIFETIME: u32 = 24 * 60 * 60;
/// The longest that "there is none" is kept (RFC 2308 section 5 finds one to three hours sensible).
const MAX_NEGATIVE_LIFETIME: u32 = 60 * 60;

/// What is in the sections behind the question.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// As in [`super::Answer`], and so are the next two.
    pub(super) ttls: Vec<(usize, u32)>,
    pub(super) opt: Option<Range<usize>>,
    pub(super) addresses: Vec<IpAddr>,
    /// Records in the answer section.
    answers: usize,
    /// Whether one of them is of the type asked for.
    answered: bool,
    /// Whether an NS record is among the authorities.
    delegated: bool,
    /// The TTL of "there is none" (RFC 2308 section 5).
    negative: Option<u32>,
    /// Whether the OPT record has more of the response code: no such code is an answer.
    pub(super) extended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

impl Sections {
    pub(super) fn read(wire: &[u8], question: &Question) -> Result<Self, DecodeError> {
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
                self.answered |= [kind, TYPE_ANY].contains(&question.qtype());
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
    pub(super) fn is_referral(&self, wire: &[u8]) -> bool {
        self.answers == 0
            && self.negative.is_none()
            && wire[2] & FLAG_AA == 0
            && (self.delegated || wire[3] & FLAG_RA == 0)
    }

    /// Whether there is something of the type asked for.
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }

    /// How long it holds; `None` if that was not said.
    pub(super) fn lifetime(&self, rcode: u8) -> Option<Duration> {
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
