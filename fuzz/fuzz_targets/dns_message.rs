// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS messages in datagrams and in TCP streams; a stream always moves on.
#![no_main]

use gomod_trace::wire::Parsed;
use gomod_trace::wire::dns::Message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = Message::parse(bytes);
    let mut rest = bytes;
    while let Ok(Parsed::Complete { consumed, .. }) = Message::parse_tcp(rest) {
        assert!(consumed > 2);
        rest = &rest[consumed..];
    }
});
