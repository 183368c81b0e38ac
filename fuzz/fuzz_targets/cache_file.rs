// SPDX-License-Identifier: MIT OR Apache-2.0
//! A path that is read as a module's file is written the same way again.
#![no_main]

use gomod_trace::golang::module_path::{escape_path, escape_version};
use gomod_trace::golang::{CacheEntry, CacheFile};

libfuzzer_sys::fuzz_target!(|tail: &[u8]| {
    let _ = CacheFile::parse(tail);
    let path = [b"/m/cache/download/", tail].concat();
    let Some(CacheFile {
        what: CacheEntry::Module { module, .. },
        ..
    }) = CacheFile::parse(&path)
    else {
        return;
    };
    let path = String::from_utf8(path).expect("only text is read");
    let escaped = escape_path(&module.path).expect("what was read is valid");
    let version = escape_version(&module.version).expect("what was read is valid");
    assert!(path.contains(&format!("/cache/download/{escaped}/@v/{version}.")));
});
