// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checksum databases: what a lookup answers is right if it is in the tree whose root the database signed.
//!
//! Rules: golang.org/x/mod/sumdb. Pure: whoever fetches lookups and tiles passes their bytes on. To use a hash, open
//! the answer with [`Lookup::open`], fetch [`Lookup::tiles`], and ask [`Lookup::verify`].

mod note;
mod tree;

use std::collections::BTreeSet;

pub use note::Verifier;
pub use tree::{Hash, Tile, Tree};

use super::dirhash::H1;
use super::go_sum::{GoSum, Hashed};
use super::module_path::{ModulePathError, ModuleVersion, escape_path, escape_version};

/// The most that an answer to a lookup has; real ones have some hundred bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why a checksum database is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumdbError {
    /// No verifier key.
    #[error("GOSUMDB's key is not of the form NAME+HASH+KEY, or its hash does not fit")]
    Key,
    /// No signed note.
    #[error(
        "the checksum database's answer is no signed note: something between may have changed it"
    )]
    Note,
    /// Not signed by the database.
    #[error("the checksum database's answer is not signed with its key")]
    Signature,
    /// No tree in the note.
    #[error("the checksum database signed something that describes no tree")]
    Tree,
    /// No record.
    #[error("the checksum database's answer to a lookup has no record")]
    Record,
    /// A tile is missing or has the wrong length.
    #[error("{path} of the checksum database is missing or has a wrong length")]
    Tile {
        /// Its path.
        path: String,
    },
    /// The record is not in the tree.
    #[error("the checksum database's record is not in its signed tree")]
    NotInTree,
    /// Two signed trees contradict each other.
    #[error("the checksum database signed two trees that contradict each other")]
    Fork,
}

/// The answer to a lookup, its signature checked; the record is not proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The record's number.
    pub number: u64,
    /// The signed tree.
    pub tree: Tree,
    record: String,
}

impl Lookup {
    /// The path to ask for, below the database's URL.
    pub fn path(module: &ModuleVersion) -> Result<String, ModulePathError> {
        let (path, version) = (escape_path(&module.path)?, escape_version(&module.version)?);
        Ok(format!("lookup/{path}@{version}"))
    }

    /// Reads an answer: the record's number, its lines, an empty line, and a signed note on the tree.
    pub fn open(answer: &[u8], verifier: &Verifier) -> Result<Self, SumdbError> {
        let answer = std::str::from_utf8(answer)
            .ok()
            .filter(|answer| answer.len() <= MAX_ANSWER)
            .ok_or(SumdbError::Record)?;
        let (number, rest) = answer.split_once('\n').ok_or(SumdbError::Record)?;
        let number = Some(number)
            .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|number| number.parse().ok())
            .ok_or(SumdbError::Record)?;
        let end = rest.find("\n\n").ok_or(SumdbError::Record)?;
        let (record, note) = (&rest[..=end], &rest[end + 2..]);
        let control = |letter: char| letter < ' ' && letter != '\n';
        if end == 0 || record.contains(control) {
            return Err(SumdbError::Record);
        }
        Ok(Self {
            number,
            tree: Tree::parse(verifier.open(note)?)?,
            record: record.to_owned(),
        })
    }

    /// The tiles that prove the record.
    pub fn tiles(&self) -> BTreeSet<Tile> {
        self.tree.tiles_for_record(self.number)
    }

    /// Proves the record and gives what it says, in the form of go.sum.
    pub fn verify<'a>(
        &self,
        tile: impl Fn(&Tile) -> Option<&'a [u8]>,
    ) -> Result<GoSum, SumdbError> {
        self.tree.check_record(self.number, &self.record, tile)?;
        Ok(GoSum::parse(self.record.as_bytes()))
    }
}

/// Whether proven records say that a file has this hash.
pub fn confirms(sums: &GoSum, module: &ModuleVersion, file: Hashed, hash: H1) -> bool {
    sums.verify(module, file, hash) == super::go_sum::Verdict::Verified
}

#[cfg(test)]
pub(crate) mod tests;
