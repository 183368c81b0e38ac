// SPDX-License-Identifier: MIT OR Apache-2.0
//! go.sum and go.work.sum: the hashes that modules must have.
//!
//! Rules: `readGoSum`, `haveModSumLocked` of cmd/go/internal/modfetch. A line that is not understood is left out and
//! named: what it was for is then not verified by the file.

use std::collections::BTreeMap;

use super::directives::LineError;
use super::dirhash::H1;
use super::module_path::{ModuleVersion, check_path, check_version};

/// A hash that an old Go wrote by mistake for go.mod files that exist; it is passed over.
const EMPTY_GO_MOD: &str = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=";

/// What a go.sum file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoSum {
    hashes: BTreeMap<(ModuleVersion, Hashed), Vec<H1>>,
    /// Lines that were left out.
    pub errors: Vec<LineError>,
}

/// Which file of a module has a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hashed {
    /// The `.zip`.
    Zip,
    /// The `.mod`.
    GoMod,
}

/// What go.sum says of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the right one.
    Verified,
    /// Another one is the right one: the file must not be used.
    Mismatch,
    /// go.sum does not have the file.
    Unknown,
}

impl GoSum {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut file = Self::default();
        for (index, line) in String::from_utf8_lossy(bytes).split('\n').enumerate() {
            if let Err(reason) = file.line(line) {
                file.errors.push(LineError {
                    line: index + 1,
                    reason,
                });
            }
        }
        file
    }

    /// Adds what another file says, as `go` does with the go.sum files of a workspace and go.work.sum.
    pub fn merge(&mut self, other: Self) {
        for (key, hashes) in other.hashes {
            self.hashes.entry(key).or_default().extend(hashes);
        }
        self.errors.extend(other.errors);
    }

    /// Compares a file's hash.
    pub fn verify(&self, module: &ModuleVersion, file: Hashed, hash: H1) -> Verdict {
        match self.hashes.get(&(module.clone(), file)) {
            None => Verdict::Unknown,
            // All that are listed must agree, as files that were merged may not.
            Some(hashes) if hashes.iter().all(|listed| *listed == hash) => Verdict::Verified,
            Some(_) => Verdict::Mismatch,
        }
    }

    /// Whether there is a hash of the file.
    pub fn has(&self, module: &ModuleVersion, file: Hashed) -> bool {
        self.hashes.contains_key(&(module.clone(), file))
    }

    /// All files that have a hash, sorted by module.
    pub fn files(&self) -> impl Iterator<Item = (&ModuleVersion, Hashed)> {
        self.hashes.keys().map(|(module, file)| (module, *file))
    }

    /// All hashes, sorted by module; a file that has several is there several times.
    pub fn hashes(&self) -> impl Iterator<Item = (&ModuleVersion, Hashed, H1)> {
        self.hashes.iter().flat_map(|((module, file), hashes)| {
            hashes.iter().map(move |hash| (module, *file, *hash))
        })
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (path, version, hash) = match fields.as_slice() {
            [] | [_, _, EMPTY_GO_MOD] => return Ok(()),
            [path, version, hash] => (*path, *version, *hash),
            _ => return Err("not of the form PATH VERSION HASH".to_owned()),
        };
        let (version, file) = match version.strip_suffix("/go.mod") {
            Some(version) => (version, Hashed::GoMod),
            None => (version, Hashed::Zip),
        };
        check_path(path).map_err(|error| error.to_string())?;
        check_version(version).map_err(|error| error.to_string())?;
        let hash =
            H1::parse(hash).ok_or_else(|| format!("{hash:?} is no h1: hash with 32 bytes"))?;
        let module = ModuleVersion {
            path: path.to_owned(),
            version: version.to_owned(),
        };
        self.hashes.entry((module, file)).or_default().push(hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn module(path: &str, version: &str) -> ModuleVersion {
        ModuleVersion {
            path: path.into(),
            version: version.into(),
        }
    }

    #[test]
    fn files_are_verified_by_their_own_line() {
        let [one, two] = [b"one".as_slice(), b"two"].map(H1::of_go_mod);
        let text = format!(
            "a.b/C v1.0.0 {one}\n\n a.b/C\tv1.0.0/go.mod {two}\r\na.b/d v1.0.0/go.mod {EMPTY_GO_MOD}"
        );
        let mut file = GoSum::parse(text.as_bytes());
        assert_eq!(file.errors, []);
        let c = module("a.b/C", "v1.0.0");
        assert_eq!(file.verify(&c, Hashed::Zip, one), Verdict::Verified);
        assert_eq!(file.verify(&c, Hashed::GoMod, two), Verdict::Verified);
        assert_eq!(file.verify(&c, Hashed::GoMod, one), Verdict::Mismatch);
        assert_eq!(
            file.verify(&module("a.b/C", "v1.0.1"), Hashed::Zip, one),
            Verdict::Unknown
        );
        assert!(!file.has(&module("a.b/d", "v1.0.0"), Hashed::GoMod));
        assert_eq!(file.files().count(), 2);

        file.merge(GoSum::parse(format!("a.b/C v1.0.0 {two}").as_bytes()));
        for hash in [one, two] {
            assert_eq!(file.verify(&c, Hashed::Zip, hash), Verdict::Mismatch);
        }
    }

    #[test]
    fn a_wrong_line_is_named_and_the_rest_is_kept() {
        let one = H1::of_go_mod(b"one");
        let file = GoSum::parse(
            format!("a.b v1.0.0\na v1.0.0 {one}\na.b v1 {one}\na.b v1.0.0 h2:x\na.b v1.0.0 {one}")
                .as_bytes(),
        );
        let lines: Vec<_> = file.errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
        assert!(file.has(&module("a.b", "v1.0.0"), Hashed::Zip));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = GoSum::parse(&bytes);
        }
    }
}
