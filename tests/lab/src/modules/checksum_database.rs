// SPDX-License-Identifier: MIT OR Apache-2.0
//! A checksum database over the lab's modules: the tree of RFC 6962, signed notes, lookups and tiles, as `go` asks for
//! them (golang.org/x/mod/sumdb, packages `tlog` and `note`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use sha2::{Digest, Sha256};

use super::ModuleSet;
use crate::LabError;
use crate::addresses::SUMDB;

type Hash = [u8; 32];

/// Levels of the tree in a tile: the height in tile paths.
const HEIGHT: usize = 8;
/// Algorithm byte of Ed25519 in note keys.
const ED25519: u8 = 1;

/// A database of one record for each module, in their order.
#[derive(Debug)]
pub(crate) struct ChecksumDatabase {
    records: Vec<String>,
    leaves: Vec<Hash>,
    /// The signed note on the whole tree.
    latest: String,
    /// What GOSUMDB is set to: name, key hash, key.
    verifier: String,
}

impl ChecksumDatabase {
    pub(crate) fn over(modules: &ModuleSet) -> Result<Self, LabError> {
        let records = modules
            .all()
            .map(|module| module.go_sum().concat())
            .collect::<Vec<_>>();
        let leaves = records
            .iter()
            .map(|record| leaf(record.as_bytes()))
            .collect::<Vec<_>>();
        let text = format!(
            "go.sum database tree\n{}\n{}\n",
            leaves.len(),
            STANDARD.encode(root(&leaves))
        );

        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let public = [&[ED25519], key.der_bytes()].concat();
        let digest = Sha256::digest([SUMDB.as_bytes(), b"\n", &public].concat());
        let id = [digest[0], digest[1], digest[2], digest[3]];
        let signature = STANDARD.encode([&id[..], &key.sign(text.as_bytes())?].concat());
        Ok(Self {
            latest: format!("{text}\n\u{2014} {SUMDB} {signature}\n"),
            verifier: format!(
                "{SUMDB}+{:08x}+{}",
                u32::from_be_bytes(id),
                STANDARD.encode(public)
            ),
            records,
            leaves,
        })
    }

    pub(crate) fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The answer to a path below the database's root; `None` if there is nothing there.
    pub(crate) fn answer(&self, path: &str, modules: &ModuleSet) -> Option<Vec<u8>> {
        if path == "/latest" {
            return Some(self.latest.clone().into_bytes());
        }
        if let Some(wanted) = path.strip_prefix("/lookup/") {
            let (escaped, version) = wanted.split_once('@')?;
            let number = modules.position(escaped)?;
            if modules.find(escaped)?.version != version {
                return None;
            }
            return Some(
                format!("{number}\n{}\n{}", self.records[number], self.latest).into_bytes(),
            );
        }
        self.tile(path.strip_prefix("/tile/8/")?)
    }

    /// A tile: `LEVEL/NUMBER`, or `LEVEL/NUMBER.p/WIDTH` for one that is not full. The lab has fewer than 1000 of a level.
    fn tile(&self, path: &str) -> Option<Vec<u8>> {
        let (level, rest) = path.split_once('/')?;
        let level = level.parse::<usize>().ok().filter(|level| *level < 4)? * HEIGHT;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (
                number,
                width
                    .parse()
                    .ok()
                    .filter(|width| (1..1 << HEIGHT).contains(width))?,
            ),
            None => (rest, 1 << HEIGHT),
        };
        let first = number
            .parse::<usize>()
            .ok()
            .filter(|number| *number < 1000)?
            << HEIGHT;
        (first..first + width)
            .map(|index| {
                self.leaves
                    .get(index << level..(index + 1) << level)
                    .map(root)
            })
            .collect::<Option<Vec<Hash>>>()
            .map(|hashes| hashes.concat())
    }
}

/// RFC 6962 section 2.1.
fn leaf(record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(record)
        .finalize()
        .into()
}

/// RFC 6962 section 2.1, over the hashes of leaves.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Sha256::new()
                .chain_update([1])
                .chain_update(root(left))
                .chain_update(root(right))
                .finalize()
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::{Modules, shared};

    #[test]
    fn a_tree_of_three_has_its_full_pair_left() {
        let leaves = [leaf(b"a"), leaf(b"b"), leaf(b"c")];
        let pair = root(&leaves[..2]);
        let expected: Hash = Sha256::new()
            .chain_update([1])
            .chain_update(pair)
            .chain_update(leaves[2])
            .finalize()
            .into();
        assert_eq!(root(&leaves), expected);
    }

    #[test]
    fn tiles_are_there_in_their_width_and_not_beyond() {
        let specification = Modules {
            count: 300,
            average_bytes: 10,
            seed: 1,
        };
        let modules = ModuleSet::new(shared(specification), Vec::new());
        let database = ChecksumDatabase::over(&modules).unwrap();
        let bytes = |path: &str| database.answer(path, &modules).map(|answer| answer.len());
        assert_eq!(bytes("/tile/8/0/000"), Some(256 * 32));
        assert_eq!(bytes("/tile/8/0/001.p/44"), Some(44 * 32));
        assert_eq!(bytes("/tile/8/0/001.p/45"), None);
        assert_eq!(bytes("/tile/8/1/000.p/1"), Some(32));
        for wrong in [
            "/tile/8/0/x",
            "/tile/8/9/000",
            "/tile/8/0/000.p/0",
            "/lookup/none@v1.0.0",
            "/else",
        ] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
