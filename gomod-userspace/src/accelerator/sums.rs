// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes that module files must have in this run: from go.sum files, and from proven records of a checksum
//! database.
//!
//! One hash for each file. Where two sources contradict each other none is known any more: whom `go` would believe
//! depends on which of its processes asks, and what is unsure is neither kept nor served from what was kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{PoisonError, RwLock};

use crate::golang::go_sum::{Hashed, Verdict};
use crate::golang::{GoSum, H1, ModuleVersion};

/// What is known in a run; shared by all who verify.
#[derive(Debug, Default)]
pub struct Sums {
    known: RwLock<HashMap<(ModuleVersion, Hashed), Known>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Hash(H1),
    Contradicted,
}

impl Sums {
    /// Adds what a project's go.sum says; of a workspace, each module's go.sum and go.work.sum.
    pub fn add(&self, go_sum: &GoSum) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (module, file, hash) in go_sum.hashes() {
            match known.entry((module.clone(), file)) {
                Entry::Vacant(vacant) => {
                    vacant.insert(Known::Hash(hash));
                }
                Entry::Occupied(mut occupied) if *occupied.get() != Known::Hash(hash) => {
                    occupied.insert(Known::Contradicted);
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    /// Adds records of a checksum database: what [`Lookup::verify`](crate::golang::sumdb::Lookup::verify) gave, so that
    /// signature and inclusion were checked.
    pub fn learn(&self, proven: &GoSum) {
        self.add(proven);
    }

    /// The one hash that is right for the file. `None` if nothing is known of it, or it was contradicted.
    pub fn expected(&self, module: &ModuleVersion, file: Hashed) -> Option<H1> {
        match self.get(module, file)? {
            Known::Hash(hash) => Some(hash),
            Known::Contradicted => None,
        }
    }

    /// Compares a file's hash; nothing that was contradicted is ever [`Verdict::Verified`].
    pub fn verify(&self, module: &ModuleVersion, file: Hashed, hash: H1) -> Verdict {
        match self.get(module, file) {
            None => Verdict::Unknown,
            Some(Known::Hash(right)) if right == hash => Verdict::Verified,
            Some(_) => Verdict::Mismatch,
        }
    }

    fn get(&self, module: &ModuleVersion, file: Hashed) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(module.clone(), file)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(version: &str) -> ModuleVersion {
        ModuleVersion {
            path: "example.com/m".to_owned(),
            version: version.to_owned(),
        }
    }

    fn go_sum(text: &str) -> GoSum {
        let sum = GoSum::parse(text.as_bytes());
        assert_eq!(sum.errors, []);
        sum
    }

    #[test]
    fn a_file_has_the_hash_of_go_sum_or_of_a_record() {
        let [one, two] = [b"one".as_slice(), b"two"].map(H1::of_go_mod);
        let sums = Sums::default();
        assert_eq!(sums.expected(&module("v1.0.0"), Hashed::Zip), None);
        sums.add(&go_sum(&format!("example.com/m v1.0.0 {one}")));
        sums.learn(&go_sum(&format!("example.com/m v1.0.0/go.mod {two}")));
        // A second project that agrees.
        sums.add(&go_sum(&format!("example.com/m v1.0.0 {one}")));
        let m = module("v1.0.0");
        assert_eq!(sums.expected(&m, Hashed::Zip), Some(one));
        assert_eq!(sums.expected(&m, Hashed::GoMod), Some(two));
        assert_eq!(sums.expected(&module("v1.0.1"), Hashed::Zip), None);
        assert_eq!(sums.verify(&m, Hashed::Zip, one), Verdict::Verified);
        assert_eq!(sums.verify(&m, Hashed::Zip, two), Verdict::Mismatch);
        let other = sums.verify(&module("v1.0.1"), Hashed::Zip, one);
        assert_eq!(other, Verdict::Unknown);
    }

    #[test]
    fn a_contradiction_stays_one() {
        let [one, two] = [b"one".as_slice(), b"two"].map(H1::of_go_mod);
        let sums = Sums::default();
        let m = module("v1.0.0");
        for hash in [one, two, one] {
            sums.add(&go_sum(&format!("example.com/m v1.0.0 {hash}")));
        }
        assert_eq!(sums.expected(&m, Hashed::Zip), None);
        for hash in [one, two] {
            assert_eq!(sums.verify(&m, Hashed::Zip, hash), Verdict::Mismatch);
        }
        // Also within one file.
        let sums = Sums::default();
        sums.add(&go_sum(&format!(
            "example.com/m v1.0.0 {one}\nexample.com/m v1.0.0 {two}"
        )));
        assert_eq!(sums.expected(&m, Hashed::Zip), None);
    }
}
