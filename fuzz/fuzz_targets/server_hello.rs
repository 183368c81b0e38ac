// SPDX-License-Identifier: MIT OR Apache-2.0
//! A `ServerHello` takes no more than it was given; alerts and records are read along.
#![no_main]

use gomod_trace::wire::Parsed;
use gomod_trace::wire::tls::{Alert, ServerHello, records};

libfuzzer_sys::fuzz_target!(|stream: &[u8]| {
    let _ = Alert::parse(stream);
    let bodies: usize = records(stream)
        .flatten()
        .map(|record| record.body.len())
        .sum();
    assert!(bodies <= stream.len());
    if let Ok(Parsed::Complete { consumed, .. }) = ServerHello::parse(stream) {
        assert!(consumed <= stream.len());
    }
});
