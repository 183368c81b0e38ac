// SPDX-License-Identifier: MIT OR Apache-2.0
//! An answer written out for one client: its number, its way to write the name, what is left of the TTLs, no more than
//! it takes.

use super::super::question::{HEADER_LEN, Question, u16_at};
use super::{Answer, FLAG_TC};

/// The TTL of an answer that has expired: not zero (RFC 8767 section 4), and no longer than need be.
const STALE_TTL: u32 = 1;

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

impl Answer {
    /// Whether a client that does not speak EDNS can be given it: the OPT record can only be taken from the end, else
    /// names that point behind it would point elsewhere.
    pub(in super::super) fn fits_without_edns(&self) -> bool {
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
