// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments of a known stream, in any cut and order, give that stream and nothing else.
#![no_main]

use gomod_trace::wire::stream::{Inserted, Reassembly};

const CAPACITY: usize = 1024;

libfuzzer_sys::fuzz_target!(|segments: Vec<(u16, u8)>| {
    let original: Vec<u8> = (0..u16::MAX as usize + 256)
        .map(|at| (at % 251) as u8)
        .collect();
    let mut seen = [false; CAPACITY];
    let mut stream = Reassembly::with_capacity(CAPACITY);
    for (offset, len) in segments {
        let (start, end) = (usize::from(offset), usize::from(offset) + usize::from(len));
        let outcome = stream.insert(offset.into(), &original[start..end]);
        if end <= CAPACITY && len > 0 {
            let known = seen[start..end].iter().all(|seen| *seen);
            assert!(known == (outcome == Inserted::Retransmission));
        }
        if outcome == Inserted::New {
            seen[start..end.min(CAPACITY)].fill(true);
        }
    }
    let whole = seen.iter().take_while(|seen| **seen).count();
    assert_eq!(stream.contiguous(), &original[..whole]);
});
