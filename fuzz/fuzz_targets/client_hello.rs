// SPDX-License-Identifier: MIT OR Apache-2.0
//! A `ClientHello` takes no more than it was given, and no prefix of it is whole.
#![no_main]

use gomod_trace::wire::Parsed;
use gomod_trace::wire::tls::{ClientHello, client_reaction};

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    let _ = client_reaction(stream);
    if let Ok(Parsed::Complete { value, consumed }) = ClientHello::parse(stream) {
        assert!(consumed <= stream.len() && value.bytes == consumed);
        let shorter = ClientHello::parse(&stream[..consumed - 1]).expect("a prefix is no error");
        assert!(shorter.is_incomplete());
    }
});
