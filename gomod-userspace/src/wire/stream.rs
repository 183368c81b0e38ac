// SPDX-License-Identifier: MIT OR Apache-2.0
//! One direction of a TCP stream, put together from captured segments.

use std::collections::BTreeMap;

/// How many bytes of a stream are kept unless told otherwise: a `ClientHello` or a server's first flight fits.
pub const DEFAULT_CAPACITY: usize = 16 * 1024;

/// How many separate runs of bytes are kept beyond the first gap: a bound on bookkeeping, not on a real flow.
const MAX_RUNS: usize = 64;

/// What became of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It carried at least one byte that was not seen before.
    New,
    /// All its bytes were seen before: a retransmission.
    Retransmission,
    /// It carried no byte at all.
    Empty,
    /// It lies (or its new part lies) beyond what is kept; whether it was seen before is not known.
    BeyondCapacity,
}

/// Collects segments by offset; tolerates retransmission, overlap, reordering and gaps.
///
/// Offsets count from the first byte of the stream (TCP: sequence number minus the initial one, minus 1).
/// The first copy of a byte is the one that is kept, as receivers commonly do.
#[derive(Debug, Clone)]
pub struct Reassembly {
    capacity: usize,
    contiguous: Vec<u8>,
    /// Runs beyond the first gap: disjoint, not adjacent, by offset.
    later: BTreeMap<usize, Vec<u8>>,
    segments: u32,
    retransmissions: u32,
}

impl Default for Reassembly {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl Reassembly {
    /// Keeps the first [`DEFAULT_CAPACITY`] bytes of the stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the first `capacity` bytes of the stream. Memory is taken only as bytes arrive.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            capacity,
            contiguous: Vec::new(),
            later: BTreeMap::new(),
            segments: 0,
            retransmissions: 0,
        }
    }

    /// Adds the captured bytes of one segment that starts at `offset`.
    pub fn insert(&mut self, offset: u64, bytes: &[u8]) -> Inserted {
        if bytes.is_empty() {
            return Inserted::Empty;
        }
        let Some(start) = usize::try_from(offset)
            .ok()
            .filter(|start| *start < self.capacity)
        else {
            return Inserted::BeyondCapacity;
        };
        let kept = &bytes[..bytes.len().min(self.capacity - start)];
        if self.covers(start, start + kept.len()) {
            if kept.len() < bytes.len() {
                return Inserted::BeyondCapacity;
            }
            self.retransmissions = self.retransmissions.saturating_add(1);
            return Inserted::Retransmission;
        }
        if start > self.contiguous.len() && self.later.len() >= MAX_RUNS {
            return Inserted::BeyondCapacity;
        }
        self.merge(start, kept);
        self.segments = self.segments.saturating_add(1);
        Inserted::New
    }

    /// The stream from its first byte up to the first gap.
    pub fn contiguous(&self) -> &[u8] {
        &self.contiguous
    }

    /// How many segments brought new bytes: what the sender cut the stream into, retransmissions apart.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// How many segments brought nothing new.
    pub fn retransmissions(&self) -> u32 {
        self.retransmissions
    }

    /// Whether bytes are known beyond a gap.
    pub fn has_gap(&self) -> bool {
        !self.later.is_empty()
    }

    /// Whether the first [`Self::with_capacity`] bytes are all there, so that nothing more will be kept.
    pub fn is_full(&self) -> bool {
        self.contiguous.len() >= self.capacity
    }

    /// Whether every byte of `start..end` is there. Runs never touch, so one of them must hold the whole range.
    fn covers(&self, start: usize, end: usize) -> bool {
        if end <= self.contiguous.len() {
            return true;
        }
        self.later
            .range(..=start)
            .next_back()
            .is_some_and(|(run_start, run)| start >= *run_start && end <= run_start + run.len())
    }

    fn merge(&mut self, start: usize, bytes: &[u8]) {
        if start <= self.contiguous.len() {
            let fresh = &bytes[self.contiguous.len() - start..];
            let base = self.contiguous.len();
            let overlay = self.overlay(base, fresh.to_vec());
            self.contiguous.extend_from_slice(&overlay);
            return;
        }
        let (run_start, run) = match self.later.range(..=start).next_back() {
            Some((before, run)) if before + run.len() >= start => {
                let before = *before;
                let mut run = self.later.remove(&before).unwrap_or_default();
                let have = before + run.len() - start;
                run.extend_from_slice(bytes.get(have..).unwrap_or_default());
                (before, run)
            }
            _ => (start, bytes.to_vec()),
        };
        let run = self.overlay(run_start, run);
        self.later.insert(run_start, run);
    }

    /// Takes all later runs that `run` (at `start`) overlaps or touches into it; bytes that were there first win.
    fn overlay(&mut self, start: usize, mut run: Vec<u8>) -> Vec<u8> {
        while let Some(next) = self
            .later
            .range(start..=start + run.len())
            .next()
            .map(|(next, _)| *next)
        {
            let earlier = self.later.remove(&next).unwrap_or_default();
            let at = next - start;
            let end = at + earlier.len();
            if run.len() < end {
                run.resize(end, 0);
            }
            run[at..end].copy_from_slice(&earlier);
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn puts_reordered_segments_together_and_counts_them() {
        let mut stream = Reassembly::new();
        assert_eq!(stream.insert(4, b"efgh"), Inserted::New);
        assert!(stream.contiguous().is_empty() && stream.has_gap());
        assert_eq!(stream.insert(4, b"ef"), Inserted::Retransmission);
        assert_eq!(stream.insert(0, b"abcd"), Inserted::New);
        assert_eq!(stream.contiguous(), b"abcdefgh");
        assert_eq!((stream.segments(), stream.retransmissions()), (2, 1));
        assert!(!stream.has_gap());
    }

    #[test]
    fn a_retransmission_that_covers_two_segments_brings_nothing_new() {
        let mut stream = Reassembly::new();
        stream.insert(0, b"abc");
        stream.insert(3, b"def");
        assert_eq!(stream.insert(1, b"bcde"), Inserted::Retransmission);
        assert_eq!(stream.insert(4, b"efg"), Inserted::New);
        assert_eq!(stream.contiguous(), b"abcdefg");
    }

    #[test]
    fn the_first_copy_of_a_byte_wins() {
        let mut stream = Reassembly::new();
        stream.insert(2, b"cd");
        stream.insert(0, b"ABXXE");
        assert_eq!(stream.contiguous(), b"ABcdE");
    }

    #[test]
    fn keeps_no_more_than_its_capacity() {
        let mut stream = Reassembly::with_capacity(4);
        assert_eq!(stream.insert(4, b"x"), Inserted::BeyondCapacity);
        assert_eq!(stream.insert(u64::MAX, b"x"), Inserted::BeyondCapacity);
        assert_eq!(stream.insert(2, b"cdefgh"), Inserted::New);
        assert_eq!(stream.insert(0, b"ab"), Inserted::New);
        assert_eq!(stream.contiguous(), b"abcd");
        assert!(stream.is_full());
    }

    proptest! {
        #[test]
        fn any_cutting_and_order_gives_the_same_stream(
            bytes in proptest::collection::vec(any::<u8>(), 1..200),
            cuts in proptest::collection::vec((0usize..200, 1usize..40), 0..60),
        ) {
            let mut stream = Reassembly::new();
            let mut seen = vec![false; bytes.len()];
            for (start, len) in cuts {
                let start = start % bytes.len();
                let end = (start + len).min(bytes.len());
                let known = seen[start..end].iter().all(|seen| *seen);
                let outcome = stream.insert(start as u64, &bytes[start..end]);
                prop_assert_eq!(outcome == Inserted::Retransmission, known);
                seen[start..end].fill(true);
            }
            let whole = seen.iter().take_while(|seen| **seen).count();
            prop_assert_eq!(stream.contiguous(), &bytes[..whole]);
        }
    }
}
