// SPDX-License-Identifier: MIT OR Apache-2.0
//! Executables' build info.
#![no_main]

use gomod_trace::golang::BuildInfo;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(info) = BuildInfo::parse(bytes) {
        assert!(info.go_version.len() <= bytes.len());
    }
});
