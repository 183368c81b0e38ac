// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes of go.sum: `h1:` of golang.org/x/mod/sumdb/dirhash.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The `h1:` hash of files: names with the SHA-256 of their contents, in the order of names.
pub(crate) fn hash1<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut lines = files
        .into_iter()
        .map(|(name, content)| (name, Sha256::digest(content)))
        .collect::<Vec<_>>();
    lines.sort_by_key(|(name, _)| *name);
    let mut summary = String::new();
    for (name, digest) in lines {
        for byte in digest {
            // Writing to a String does not fail.
            let _ = write!(summary, "{byte:02x}");
        }
        let _ = writeln!(summary, "  {name}");
    }
    format!("h1:{}", STANDARD.encode(Sha256::digest(summary.as_bytes())))
}

/// The `/go.mod` line's hash: that of the one file `go.mod`.
pub(crate) fn hash_go_mod(content: &[u8]) -> String {
    hash1([("go.mod", content)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_agree_with_published_ones() {
        // From the public checksum database: github.com/pkg/errors v0.9.1's go.mod.
        assert_eq!(
            hash_go_mod(b"module github.com/pkg/errors\n"),
            "h1:bwawxfHBFNV+L2hUp1rHADufV3IMtnDRdf1r5NINEl0="
        );
    }

    #[test]
    fn order_of_files_does_not_matter() {
        let one: (&str, &[u8]) = ("a", b"1");
        let two: (&str, &[u8]) = ("b", b"2");
        assert_eq!(hash1([one, two]), hash1([two, one]));
        assert_ne!(hash1([one, two]), hash1([one]));
    }
}
