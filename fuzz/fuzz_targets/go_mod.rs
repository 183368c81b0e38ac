// SPDX-License-Identifier: MIT OR Apache-2.0
//! go.mod and go.work: a count never exceeds the requirements.
#![no_main]

use gomod_trace::golang::{GoMod, GoWork};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = GoMod::parse(bytes);
    assert!(file.downloads().len() <= file.requires.len());
    let _ = GoWork::parse(bytes);
});
