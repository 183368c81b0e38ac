// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a connection opens with: a `CONNECT` takes no more than there is, no prefix of it is whole, and what is
//! waited for is bounded.
#![no_main]

use gomod_trace::accelerator::peek::{MAX_OPENING_LEN, Opening, opening};

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    let _ = opening(stream, false);
    match opening(stream, true) {
        Opening::Connect(_, head_len) => {
            assert!(head_len <= stream.len());
            let shorter = opening(&stream[..head_len - 1], true);
            assert!(matches!(
                shorter,
                Opening::Incomplete(_) | Opening::Other(_)
            ));
        }
        Opening::Incomplete(wanted) => {
            assert!(wanted > stream.len() && wanted <= MAX_OPENING_LEN);
        }
        Opening::Hello(_) | Opening::Other(_) => {}
    }
});
