// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parts of bodies.

use sha2::{Digest, Sha256};

/// A part of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths.
    Percent(u8),
    /// Any length, another for each path; which follows from this seed.
    Random(u64),
}

impl Amount {
    /// This part of the body of `total` bytes that `path` has: at least one byte short of the whole, if the body has any.
    pub fn of(self, total: u64, path: &str) -> u64 {
        let amount = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => total * u64::from(percent.min(100)) / 100,
            Self::Random(seed) => {
                let digest = Sha256::new()
                    .chain_update(seed.to_le_bytes())
                    .chain_update(path)
                    .finalize();
                let dice = digest
                    .iter()
                    .take(8)
                    .fold(0u64, |dice, byte| dice << 8 | u64::from(*byte));
                dice % total.max(1)
            }
        };
        amount.min(total.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_never_the_whole() {
        for amount in [
            Amount::Bytes(100),
            Amount::Percent(100),
            Amount::Random(1),
            Amount::Random(2),
        ] {
            assert_eq!(amount.of(0, "/a"), 0);
            assert!(amount.of(100, "/a") < 100);
        }
    }

    #[test]
    fn random_parts_differ_by_path_and_seed_and_repeat() {
        let part = |seed, path| Amount::Random(seed).of(1 << 40, path);
        assert_eq!(part(1, "/a"), part(1, "/a"));
        assert_ne!(part(1, "/a"), part(1, "/b"));
        assert_ne!(part(1, "/a"), part(2, "/a"));
    }
}
