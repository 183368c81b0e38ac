// SPDX-License-Identifier: MIT OR Apache-2.0
//! A body in memory: the pieces that it came in, not copied, within bounds for each body and for all together.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// Of one body, bytes.
const OF_ONE: usize = 1 << 20;
/// Of all bodies of this process, bytes: what a run may hold of what `go` has not asked for yet.
const OF_ALL: usize = 24 << 20;
/// Pieces below this size are copied, bytes: a small one may hold on to the whole buffer that it was read into.
const SMALL: usize = 4 << 10;

/// What all bodies hold.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The pieces of one body.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Each with its place in the body; none is empty.
    pieces: Vec<(u64, Bytes)>,
    length: u64,
}

impl Memory {
    /// Appends; gives the piece back if there is no room for it.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), Bytes> {
        let size = piece.len();
        if self.length as usize + size > OF_ONE {
            return Err(piece);
        }
        if HELD.fetch_add(size, Ordering::Relaxed) + size > OF_ALL {
            HELD.fetch_sub(size, Ordering::Relaxed);
            return Err(piece);
        }
        let piece = if size < SMALL {
            Bytes::copy_from_slice(&piece)
        } else {
            piece
        };
        self.pieces.push((self.length, piece));
        self.length += size as u64;
        Ok(())
    }

    /// What is there from `position` on, at least a byte if that is not the end.
    pub(super) fn at(&self, position: u64) -> Bytes {
        let after = self.pieces.partition_point(|(start, _)| *start <= position);
        let Some((start, piece)) = after.checked_sub(1).and_then(|last| self.pieces.get(last))
        else {
            return Bytes::new();
        };
        let skipped = usize::try_from(position - start).unwrap_or(usize::MAX);
        piece.slice(skipped.min(piece.len())..)
    }

    /// Writes all of it to the start of `file`.
    pub(super) fn write_to(&self, file: &File) -> io::Result<()> {
        self.pieces
            .iter()
            .try_for_each(|(start, piece)| file.write_all_at(piece, *start))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        HELD.fetch_sub(self.length as usize, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_found() {
        let mut memory = Memory::default();
        for size in [1, SMALL, 3, 2 * SMALL] {
            memory.push(vec![size as u8; size].into()).unwrap();
        }
        let mut position = 0;
        let mut sizes = Vec::new();
        loop {
            let piece = memory.at(position);
            if piece.is_empty() {
                break;
            }
            sizes.push(piece.len());
            position += piece.len() as u64;
        }
        assert_eq!(sizes, [1, SMALL, 3, 2 * SMALL]);
        assert_eq!(memory.at(2).len(), SMALL - 1);
        assert_eq!(memory.at(1 << 40), "");
        assert_eq!(Memory::default().at(0), "");
    }

    #[test]
    fn one_body_has_its_bound() {
        let mut memory = Memory::default();
        memory.push(vec![0; OF_ONE].into()).unwrap();
        assert_eq!(memory.push(Bytes::from_static(b"x")).unwrap_err(), "x");
    }
}
