// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client's query: what it asks, byte for byte, and under which key its answer may be kept.

use std::ops::Range;

use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::wire::dns::{name_text, type_text};

/// Bytes of a DNS header (RFC 1035 section 4.1.1).
pub(super) const HEADER_LEN: usize = 12;
/// The longest name (RFC 1035 section 2.3.4).
const MAX_NAME_LEN: usize = 255;
/// The longest label.
const MAX_LABEL_LEN: usize = 63;
/// Bytes of an OPT record without options (RFC 6891 section 6.1.2).
const OPT_LEN: usize = 11;
/// What a client without EDNS takes by UDP (RFC 1035 section 4.2.1).
const PLAIN_UDP_LEN: u16 = 512;
/// The payload that we announce ourselves, as Go and the current DNS servers do: it is never fragmented.
const OWN_UDP_LEN: u16 = 1232;

const TYPE_OPT: u16 = 41;
const CLASS_IN: u16 = 1;

/// In the second byte of the flags' first, respectively second half.
const FLAG_RD: u8 = 0x01;
const FLAG_AD: u8 = 0x20;
const FLAG_CD: u8 = 0x10;
/// In the OPT record's flags.
const FLAG_DO: u16 = 0x8000;

/// What a datagram or a TCP message from a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A plain query with one question, of the Internet class.
    Question(Question),
    /// Anything else: for the server asked, as it is.
    Foreign {
        /// Whether several messages may come back (a zone transfer).
        many: bool,
    },
}

/// A plain query with one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The message as the client sent it.
    wire: Vec<u8>,
    /// Where the name ends in it.
    name_end: usize,
    edns: bool,
    udp_len: u16,
    key: Option<Key>,
}

/// What two queries must have in common to have the same answer: name (in any case), type, the bits RD, AD, CD and DO,
/// and whether the client speaks EDNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The name in wire form, lower case, and the type.
    name_and_type: Box<[u8]>,
    /// RD, AD, CD, as in the header, and the two below.
    flags: u8,
}

/// Flags of a [`Key`] beside the header's.
const KEY_DO: u8 = 0x02;
const KEY_EDNS: u8 = 0x04;

impl Asked {
    /// Looks at a message.
    pub fn read(message: &[u8]) -> Self {
        match Question::read(message) {
            Ok(question) => Self::Question(question),
            Err(many) => Self::Foreign { many },
        }
    }
}

impl Question {
    /// The error is [`Asked::Foreign`]'s `many`.
    fn read(wire: &[u8]) -> Result<Self, bool> {
        let name_end = name_end(wire).ok_or(false)?;
        let question_end = name_end + 4;
        if wire.len() < question_end {
            return Err(false);
        }
        let qtype = u16_at(wire, name_end);
        // IXFR and AXFR.
        let many = matches!(qtype, 251 | 252);
        let [first, second] = [wire[2], wire[3]];
        // A query, of the opcode QUERY, with no bit that only answers have; one question, no answers, no authorities.
        let plain = first & !FLAG_RD == 0
            && second & !(FLAG_AD | FLAG_CD) == 0
            && wire[4..10] == [0, 1, 0, 0, 0, 0]
            && u16_at(wire, name_end + 2) == CLASS_IN
            && !matches!(qtype, 0 | TYPE_OPT | 249..=252);
        if !plain {
            return Err(many);
        }
        let opt = &wire[question_end..];
        let (edns, udp_len, dnssec_ok, ordinary) = match u16_at(wire, 10) {
            0 if opt.is_empty() => (false, PLAIN_UDP_LEN, false, true),
            1 if is_opt(opt) => {
                let flags = u16_at(opt, 7);
                // No options, version 0, no flag that nobody has given a meaning yet.
                let ordinary = opt.len() == OPT_LEN && opt[5..7] == [0, 0] && flags & !FLAG_DO == 0;
                let udp_len = u16_at(opt, 3).max(PLAIN_UDP_LEN);
                (true, udp_len, flags & FLAG_DO != 0, ordinary)
            }
            _ => return Err(many),
        };
        // Types from 128 on are no types of data, ANY for example: what they mean differs with each server.
        let key = (ordinary && !(128..256).contains(&qtype)).then(|| {
            let mut flags = (first & FLAG_RD) | (second & (FLAG_AD | FLAG_CD));
            if dnssec_ok {
                flags |= KEY_DO;
            }
            if edns {
                flags |= KEY_EDNS;
            }
            let mut name_and_type = Box::<[u8]>::from(&wire[HEADER_LEN..name_end + 2]);
            let name_len = name_end - HEADER_LEN;
            // Lengths of labels lie below the letters.
            name_and_type[..name_len].make_ascii_lowercase();
            Key {
                name_and_type,
                flags,
            }
        });
        Ok(Self {
            wire: wire.to_vec(),
            name_end,
            edns,
            udp_len,
            key,
        })
    }

    /// A question of our own, as Go asks it: recursion desired, EDNS, no DNSSEC. `None` if `host` is no name.
    pub fn new(host: &str, kind: RecordType) -> Option<Self> {
        let name = Name::from_ascii(host).ok()?;
        let mut wire = vec![0, 0, FLAG_RD, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in &name {
            wire.push(u8::try_from(label.len()).ok()?);
            wire.extend(label);
        }
        wire.push(0);
        wire.extend(u16::from(kind).to_be_bytes());
        wire.extend(CLASS_IN.to_be_bytes());
        let [high, low] = OWN_UDP_LEN.to_be_bytes();
        wire.extend([0, 0, TYPE_OPT as u8, high, low, 0, 0, 0, 0, 0, 0]);
        Self::read(&wire).ok()
    }

    /// The message, under this transaction number.
    pub fn wire(&self, id: u16) -> Vec<u8> {
        let mut wire = self.wire.clone();
        wire[..2].copy_from_slice(&id.to_be_bytes());
        wire
    }

    /// The client's transaction number.
    pub fn id(&self) -> u16 {
        u16_at(&self.wire, 0)
    }

    /// The key of its answer; `None` if that is good for this client only: EDNS options, types that are none.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Whether the client speaks EDNS.
    pub fn edns(&self) -> bool {
        self.edns
    }

    /// The longest datagram that the client takes.
    pub fn udp_len(&self) -> usize {
        usize::from(self.udp_len)
    }

    /// The question section, as the client wrote it.
    pub(super) fn section(&self) -> &[u8] {
        &self.wire[HEADER_LEN..self.name_end + 4]
    }

    /// Where the question section ends.
    pub(super) fn end(&self) -> usize {
        self.name_end + 4
    }

    /// The type asked for.
    pub(super) fn qtype(&self) -> u16 {
        u16_at(&self.wire, self.name_end)
    }

    /// Whether `message`, an answer, repeats the question. Some servers write the name in lower case.
    pub(super) fn is_repeated_in(&self, message: &[u8]) -> bool {
        let name = HEADER_LEN..self.name_end;
        let kind = self.name_end..self.name_end + 4;
        let same = |range: Range<usize>| message.get(range.clone()).zip(self.wire.get(range));
        same(name).is_some_and(|(theirs, ours)| theirs.eq_ignore_ascii_case(ours))
            && same(kind).is_some_and(|(theirs, ours)| theirs == ours)
    }

    /// The name for people, lower case, without the dot at its end.
    pub fn name(&self) -> String {
        let mut decoder = BinDecoder::new(&self.wire[HEADER_LEN..]);
        Name::read(&mut decoder).map_or_else(|_| String::new(), |name| name_text(&name))
    }

    /// The type for people.
    pub fn type_name(&self) -> String {
        type_text(RecordType::from(self.qtype()))
    }
}

impl Key {
    /// The key of the same question from a client that speaks EDNS, if this one doesn't: its answer is the same once
    /// the OPT record is taken out.
    pub(super) fn with_edns(&self) -> Option<Self> {
        (self.flags & KEY_EDNS == 0).then(|| Self {
            name_and_type: self.name_and_type.clone(),
            flags: self.flags | KEY_EDNS,
        })
    }

    /// Bytes of memory.
    pub(super) fn len(&self) -> usize {
        self.name_and_type.len()
    }
}

/// Where the question's name ends; `None` if there is none in full. Nothing precedes it that it could point to.
fn name_end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER_LEN;
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1 + len;
        if len > MAX_LABEL_LEN || at - HEADER_LEN > MAX_NAME_LEN {
            return None;
        }
        if len == 0 {
            return Some(at);
        }
    }
}

/// Whether these bytes are one OPT record and no more.
fn is_opt(bytes: &[u8]) -> bool {
    bytes.len() >= OPT_LEN
        && bytes[0] == 0
        && u16_at(bytes, 1) == TYPE_OPT
        && OPT_LEN + usize::from(u16_at(bytes, 9)) == bytes.len()
}

/// The number at `at`, which the caller knows to be there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for `www.Example.org`, A, with RD.
    fn plain() -> Vec<u8> {
        let mut wire = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        wire.extend(b"\x03www\x07Example\x03org\x00\x00\x01\x00\x01");
        wire
    }

    fn with_opt(options: &[u8], version: u8, flags: u16) -> Vec<u8> {
        let mut wire = plain();
        wire[11] = 1;
        wire.extend([0, 0, 41, 0x04, 0xd0, 0, version]);
        wire.extend(flags.to_be_bytes());
        wire.extend((options.len() as u16).to_be_bytes());
        wire.extend(options);
        wire
    }

    fn question(wire: &[u8]) -> Question {
        match Asked::read(wire) {
            Asked::Question(question) => question,
            Asked::Foreign { .. } => panic!("foreign: {wire:x?}"),
        }
    }

    #[test]
    fn a_plain_query_is_read_and_kept_as_it_is() {
        let question = question(&plain());
        assert_eq!(
            (question.name().as_str(), question.type_name().as_str()),
            ("www.example.org", "A")
        );
        assert_eq!((question.id(), question.udp_len()), (0xabcd, 512));
        assert_eq!(question.wire(0xabcd), plain());
    }

    #[test]
    fn the_key_has_no_case_and_tells_bits_and_edns() {
        let key = |wire: &[u8]| question(wire).key().cloned().unwrap();
        let mut lower = plain();
        lower.make_ascii_lowercase();
        assert_eq!(key(&plain()), key(&lower));
        let mut keys = vec![
            key(&plain()),
            key(&with_opt(&[], 0, 0)),
            key(&with_opt(&[], 0, 0x8000)),
        ];
        for (byte, bit) in [(2, 1), (3, 0x10), (3, 0x20)] {
            let mut wire = plain();
            wire[byte] ^= bit;
            keys.push(key(&wire));
        }
        let mut wire = plain();
        let at = wire.len() - 3;
        wire[at] = 28;
        keys.push(key(&wire));
        for (index, one) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(one), "{one:?}");
        }
        assert_eq!(keys[0].with_edns().as_ref(), Some(&keys[1]));
        assert_eq!(keys[1].with_edns(), None);
    }

    #[test]
    fn options_and_types_that_are_none_have_no_key() {
        let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(question(&with_opt(&cookie, 0, 0)).key(), None);
        assert_eq!(question(&with_opt(&[], 1, 0)).key(), None);
        assert_eq!(question(&with_opt(&[], 0, 1)).key(), None);
        let mut any = plain();
        let at = any.len() - 3;
        any[at] = 255;
        assert_eq!(question(&any).key(), None);
        let mut unknown = plain();
        unknown[at - 1] = 0xff;
        assert_eq!(question(&unknown).type_name(), "TYPE65281");
        assert!(question(&unknown).key().is_some());
    }

    #[test]
    fn everything_else_is_foreign() {
        let spoilt = |spoil: fn(&mut Vec<u8>)| {
            let mut wire = plain();
            spoil(&mut wire);
            wire
        };
        let cases = [
            spoilt(Vec::clear),
            spoilt(|wire| wire.truncate(11)),
            spoilt(|wire| wire.truncate(20)),
            spoilt(|wire| wire.truncate(31)),
            spoilt(|wire| wire.push(0)),
            spoilt(|wire| wire[2] |= 0x80),
            spoilt(|wire| wire[2] |= 0x28),
            spoilt(|wire| wire[3] |= 0x40),
            spoilt(|wire| wire[5] = 2),
            spoilt(|wire| wire[5] = 0),
            spoilt(|wire| wire[7] = 1),
            spoilt(|wire| wire[11] = 1),
            spoilt(|wire| wire[12] = 0xc0),
            spoilt(|wire| *wire.last_mut().unwrap() = 3),
        ];
        for wire in cases {
            assert_eq!(
                Asked::read(&wire),
                Asked::Foreign { many: false },
                "{wire:x?}"
            );
        }
        let transfer = spoilt(|wire| {
            let at = wire.len() - 3;
            wire[at] = 252;
        });
        assert_eq!(Asked::read(&transfer), Asked::Foreign { many: true });
    }

    #[test]
    fn our_own_question_is_what_go_asks() {
        let question = Question::new("proxy.golang.org", RecordType::AAAA).unwrap();
        assert_eq!(
            (question.name().as_str(), question.type_name().as_str()),
            ("proxy.golang.org", "AAAA")
        );
        assert!(question.edns() && question.udp_len() == 1232);
        assert!(question.key().is_some());
        assert_eq!(Question::new(&"x".repeat(64), RecordType::A), None);
        assert_eq!(Question::new("a..b", RecordType::A), None);
    }
}
