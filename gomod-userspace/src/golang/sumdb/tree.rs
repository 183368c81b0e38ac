// SPDX-License-Identifier: MIT OR Apache-2.0
//! The database's log: a Merkle tree (RFC 6962 section 2.1), served as tiles of eight levels.
//!
//! Rules: golang.org/x/mod/sumdb/tlog. Tiles are not trusted: a proof is what leads from them to the signed root.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::SumdbError;

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Levels of the tree in a tile.
const HEIGHT: u32 = 8;
const HASH_LEN: usize = 32;
/// More records than this no tree has: coordinates stay within 64 bits.
const MAX_SIZE: u64 = 1 << 62;

/// A tree: how many records it has, and its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// How many records.
    pub size: u64,
    /// The root's hash.
    pub root: Hash,
}

/// The place of a tile in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Its level, in tiles, from the leaves up.
    pub level: u32,
    /// Its number within the level.
    pub number: u64,
    /// How many hashes it has, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// Its path below the database's URL: `tile/8/LEVEL/NUMBER`, with `.p/WIDTH` if it is not full.
    pub fn path(&self) -> String {
        let mut number = format!("{:03}", self.number % 1000);
        let mut rest = self.number / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let path = format!("tile/{HEIGHT}/{}/{number}", self.level);
        if self.width == 1 << HEIGHT {
            path
        } else {
            format!("{path}.p/{}", self.width)
        }
    }
}

impl Tree {
    /// Reads a tree's description, the text of a signed note; lines after the third are for later versions.
    pub fn parse(text: &str) -> Result<Self, SumdbError> {
        let mut lines = text.split('\n');
        let (title, size, root) = (lines.next(), lines.next(), lines.next());
        let size = size
            .filter(|size| size.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|size| size.parse().ok())
            .filter(|size| *size <= MAX_SIZE);
        let root = root.and_then(|root| STANDARD.decode(root).ok()?.try_into().ok());
        match (title, size, root) {
            (Some("go.sum database tree"), Some(size), Some(root)) if lines.next().is_some() => {
                Ok(Self { size, root })
            }
            _ => Err(SumdbError::Tree),
        }
    }

    /// The tiles that prove a record to be in the tree.
    pub fn tiles_for_record(&self, number: u64) -> BTreeSet<Tile> {
        if number >= self.size {
            return BTreeSet::new();
        }
        self.visited(|low, high| !(low..high).contains(&number))
    }

    /// The tiles that prove an older tree to be the beginning of this one.
    pub fn tiles_for_older(&self, size: u64) -> BTreeSet<Tile> {
        if size == 0 || size >= self.size {
            return BTreeSet::new();
        }
        self.visited(|low, high| size <= low || high <= size)
    }

    /// Checks that the tree has this record at this number; `tile` gives the bytes of a tile that
    /// [`Self::tiles_for_record`] named.
    pub fn check_record<'a>(
        &self,
        number: u64,
        record: &str,
        tile: impl Fn(&Tile) -> Option<&'a [u8]>,
    ) -> Result<(), SumdbError> {
        if number >= self.size {
            return Err(SumdbError::NotInTree);
        }
        let leaf = Sha256::new().chain_update([0]).chain_update(record);
        let leaf: Hash = leaf.finalize().into();
        let whole = |low, high| !(low..high).contains(&number);
        let root = fold(0, self.size, &whole, &mut |level, at| {
            if (level, at) == (0, number) {
                Ok(leaf)
            } else {
                self.read(level, at, &tile)
            }
        })?;
        if root == self.root {
            Ok(())
        } else {
            Err(SumdbError::NotInTree)
        }
    }

    /// Checks that an older tree is the beginning of this one; `tile` gives the bytes of a tile that
    /// [`Self::tiles_for_older`] named.
    pub fn check_older<'a>(
        &self,
        older: &Self,
        tile: impl Fn(&Tile) -> Option<&'a [u8]>,
    ) -> Result<(), SumdbError> {
        let same = if older.size == 0 {
            older.root == empty()
        } else if older.size == self.size {
            older.root == self.root
        } else if older.size > self.size {
            false
        } else {
            let mut read = |level, at| self.read(level, at, &tile);
            // Both roots come from the same hashes: those that make up the older tree and those that were added.
            let whole = |low, high| older.size <= low || high <= older.size;
            fold(0, self.size, &whole, &mut read)? == self.root
                && fold(0, older.size, &|_, _| true, &mut read)? == older.root
        };
        if same { Ok(()) } else { Err(SumdbError::Fork) }
    }

    /// Checks that tiles fit together: each full one hashes to its entry in the tile above, where that is among them. A
    /// proof leaves out the entries that it computes, so that a tile may be wrong in one of them and prove a record.
    pub fn check_tiles(&self, tiles: &BTreeMap<Tile, &[u8]>) -> Result<(), SumdbError> {
        let read = |tile: &Tile| tiles.get(tile).copied();
        for tile in tiles.keys().filter(|tile| tile.width == 1 << HEIGHT) {
            // The same hash, read from the tile itself and from its entry above.
            let level = tile.level * HEIGHT;
            let (above, ..) = self.place(level + HEIGHT, tile.number);
            if !tiles.contains_key(&above) {
                continue;
            }
            let mut row = Vec::with_capacity(1 << HEIGHT);
            for at in 0..1 << HEIGHT {
                row.push(self.read(level, (tile.number << HEIGHT) + at, &read)?);
            }
            if root_of(row) != Some(self.read(level + HEIGHT, tile.number, &read)?) {
                return Err(SumdbError::Tile { path: above.path() });
            }
        }
        Ok(())
    }

    fn visited(&self, whole: impl Fn(u64, u64) -> bool) -> BTreeSet<Tile> {
        let mut tiles = BTreeSet::new();
        // Nothing is read, so nothing fails.
        let _ = fold(0, self.size, &whole, &mut |level, at| {
            tiles.insert(self.place(level, at).0);
            Ok([0; HASH_LEN])
        });
        tiles
    }

    /// The tile that holds the hashes below this one, and which of its hashes they are.
    fn place(&self, level: u32, at: u64) -> (Tile, usize, usize) {
        let (tile_level, below) = (level / HEIGHT, level % HEIGHT);
        let first = at << below;
        let number = first >> HEIGHT;
        let there = (self.size >> (tile_level * HEIGHT)) - (number << HEIGHT);
        let tile = Tile {
            level: tile_level,
            number,
            width: there.min(1 << HEIGHT),
        };
        let start = (first - (number << HEIGHT)) as usize;
        (tile, start, start + (1 << below))
    }

    fn read<'a>(
        &self,
        level: u32,
        at: u64,
        tile: &impl Fn(&Tile) -> Option<&'a [u8]>,
    ) -> Result<Hash, SumdbError> {
        let (place, start, end) = self.place(level, at);
        let wrong = || SumdbError::Tile { path: place.path() };
        let bytes = tile(&place).ok_or_else(wrong)?;
        if bytes.len() as u64 != place.width * HASH_LEN as u64 {
            return Err(wrong());
        }
        let hashes = bytes
            .get(start * HASH_LEN..end * HASH_LEN)
            .ok_or_else(wrong)?;
        let row: Vec<Hash> = hashes
            .chunks_exact(HASH_LEN)
            .filter_map(|hash| hash.try_into().ok())
            .collect();
        root_of(row).ok_or_else(wrong)
    }
}

/// The hash over a full row of hashes, a power of two of them.
fn root_of(mut row: Vec<Hash>) -> Option<Hash> {
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| node(pair[0], pair[1])).collect();
    }
    row.first().copied()
}

/// The hash over the records from `low` to `high`. A full subtree is taken whole, from `read`, where `whole` allows.
fn fold(
    low: u64,
    high: u64,
    whole: &impl Fn(u64, u64) -> bool,
    read: &mut impl FnMut(u32, u64) -> Result<Hash, SumdbError>,
) -> Result<Hash, SumdbError> {
    let size = high - low;
    if size == 0 {
        return Ok(empty());
    }
    if size == 1 || (size.is_power_of_two() && whole(low, high)) {
        let level = size.trailing_zeros();
        return read(level, low >> level);
    }
    let half = 1 << (u64::BITS - 1 - (size - 1).leading_zeros());
    let left = fold(low, low + half, whole, read)?;
    let right = fold(low + half, high, whole, read)?;
    Ok(node(left, right))
}

fn node(left: Hash, right: Hash) -> Hash {
    let both = Sha256::new().chain_update([1]).chain_update(left);
    both.chain_update(right).finalize().into()
}

fn empty() -> Hash {
    Sha256::digest([]).into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    use proptest::prelude::*;

    /// A tree over these records, by the definition of RFC 6962, and all its tiles.
    pub(crate) fn grown(records: &[String]) -> (Tree, BTreeMap<Tile, Vec<u8>>) {
        let leaves: Vec<Hash> = records
            .iter()
            .map(|record| {
                Sha256::new()
                    .chain_update([0])
                    .chain_update(record)
                    .finalize()
                    .into()
            })
            .collect();
        let size = leaves.len() as u64;
        let mut tiles = BTreeMap::new();
        for level in 0.. {
            let step = 1_usize << (HEIGHT * level);
            let row: Vec<Hash> = leaves.chunks_exact(step).map(defined).collect();
            if row.is_empty() {
                break;
            }
            for (number, hashes) in row.chunks(256).enumerate() {
                let tile = Tile {
                    level,
                    number: number as u64,
                    width: hashes.len() as u64,
                };
                tiles.insert(tile, hashes.concat());
            }
        }
        (
            Tree {
                size,
                root: defined(&leaves),
            },
            tiles,
        )
    }

    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(defined(left), defined(right))
            }
        }
    }

    fn records(count: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("record {number}\n"))
            .collect()
    }

    #[test]
    fn paths_have_three_digits_an_element() {
        let tile = |level, number, width| {
            Tile {
                level,
                number,
                width,
            }
            .path()
        };
        assert_eq!(tile(4, 1_234_067, 1), "tile/8/4/x001/x234/067.p/1");
        assert_eq!(tile(0, 5, 256), "tile/8/0/005");
    }

    #[test]
    fn only_trees_are_trees() {
        let good = "go.sum database tree\n2\nnND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=\n";
        assert_eq!(Tree::parse(good).unwrap().size, 2);
        Tree::parse(&format!("{good}more\n")).unwrap();
        for wrong in [
            "",
            "go.sum database tree\n2\n",
            &good.replace('2', "-2"),
            &good.replace("2\n", "9999999999999999999\n"),
            &good.replace("nND", ""),
            good.trim_end(),
        ] {
            assert_eq!(Tree::parse(wrong), Err(SumdbError::Tree), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_record_is_proven_and_no_other(count in 1usize..1200, pick in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
            let records = records(count);
            let (tree, tiles) = grown(&records);
            let number = pick.index(count);
            let read = |tile: &Tile| tiles.get(tile).map(Vec::as_slice);
            prop_assert_eq!(tree.check_record(number as u64, &records[number], read), Ok(()));
            prop_assert_eq!(tree.check_record(number as u64, "other\n", read), Err(SumdbError::NotInTree));
            prop_assert_eq!(tree.check_record(count as u64, "other\n", read), Err(SumdbError::NotInTree));
            let named = tree.tiles_for_record(number as u64);
            let only_named = |tile: &Tile| named.contains(tile).then(|| read(tile)).flatten();
            prop_assert_eq!(tree.check_record(number as u64, &records[number], only_named), Ok(()));
            prop_assert!(named.len() <= 4);
            if count > 1 {
                let wrong = Tree { root: [flip.index(256) as u8; 32], ..tree };
                prop_assert!(wrong.check_record(number as u64, &records[number], read).is_err());
                prop_assert!(tree.check_record(number as u64, &records[number], |_| Some(&[0; 32][..])).is_err());
            }
        }

        #[test]
        fn a_tile_with_one_wrong_entry_does_not_fit(count in 256usize..1200, pick in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
            let records = records(count);
            let (tree, tiles) = grown(&records);
            let named: BTreeMap<Tile, &[u8]> = tree
                .tiles_for_record(pick.index(count) as u64)
                .into_iter()
                .map(|tile| (tile, &*tiles[&tile]))
                .collect();
            prop_assert_eq!(tree.check_tiles(&named), Ok(()));
            for (tile, above) in named.iter().filter(|(tile, _)| tile.level > 0) {
                let mut wrong = above.to_vec();
                wrong[flip.index(above.len())] ^= 1;
                let mut forged = named.clone();
                forged.insert(*tile, &wrong);
                let read = |tile: &Tile| forged.get(tile).copied();
                let proves = tree.check_record(pick.index(count) as u64, &records[pick.index(count)], read);
                prop_assert!(proves.is_err() || tree.check_tiles(&forged).is_err());
            }
        }

        #[test]
        fn a_tree_grows_and_does_not_change(count in 1usize..1200, pick in any::<prop::sample::Index>()) {
            let records = records(count);
            let (tree, tiles) = grown(&records);
            let size = pick.index(count + 1);
            let (older, _) = grown(&records[..size]);
            let named = tree.tiles_for_older(size as u64);
            let read = |tile: &Tile| named.contains(tile).then(|| tiles.get(tile).map(Vec::as_slice)).flatten();
            prop_assert_eq!(tree.check_older(&older, read), Ok(()));
            let forked = Tree { root: [7; 32], ..older };
            prop_assert_eq!(tree.check_older(&forked, read), Err(SumdbError::Fork));
            if size < count {
                prop_assert_eq!(older.check_older(&tree, read), Err(SumdbError::Fork));
            }
        }

        #[test]
        fn coordinates_of_any_size_never_panic(size in 0..=MAX_SIZE, number in any::<u64>()) {
            let tree = Tree { size, root: [0; 32] };
            let _ = tree.tiles_for_record(number);
            let _ = tree.tiles_for_older(number);
            prop_assert!(tree.check_record(number, "x", |_| None).is_err());
        }
    }
}
