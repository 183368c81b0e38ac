// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! What the ending of a path says that the file may be. Go's sources name them all: `cmd/go/internal/modfetch` those of the
//! module cache, `cmd/go/internal/cache` those of the build cache.

use gomod_ebpf_common::PATH_BYTES;

/// A path as it lies in a record, its valid bytes counted.
#[derive(Clone, Copy)]
pub struct Name {
    path: *const [u8; PATH_BYTES],
    length: u32,
}

/// Makes what [`Name::hash`] looks at zero, before a path is read to there.
///
/// # Safety
/// `path` must point at as many bytes, aligned to eight, that the program may write.
#[inline(always)]
pub unsafe fn clear(path: *mut [u8; PATH_BYTES]) {
    let mut index = 0;
    while index < HASHED / 8 {
        // SAFETY: within the path. Volatile, or it becomes a call of memset, byte by byte.
        unsafe { path.cast::<u64>().add(index).write_volatile(0) };
        index += 1;
    }
}

/// What a file may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `VERSION.info`, `VERSION.mod` or `VERSION.zip`.
    Module,
    /// One that is being written under a temporary name: `….tmp`.
    Temporary,
    /// An action or an output of the build cache.
    Build,
}

impl Name {
    /// # Safety
    /// `path` must point at as many bytes in memory that the program may read, for as long as the value is used; the first
    /// `length` of them must have been written.
    #[inline(always)]
    pub unsafe fn new(path: *const [u8; PATH_BYTES], length: u32) -> Self {
        Self { path, length }
    }

    /// None for a file of no interest, and for a path too long to be told whole.
    #[inline(always)]
    pub fn kind(self) -> Option<Kind> {
        if self.length < SHORTEST || self.length >= PATH_BYTES as u32 {
            return None;
        }
        let tail = [
            self.from_end(5),
            self.from_end(4),
            self.from_end(3),
            self.from_end(2),
            self.from_end(1),
        ];
        match tail {
            [_, b'.', b't', b'm', b'p'] => Some(Kind::Temporary),
            [b'.', b'i', b'n', b'f', b'o'] | [_, b'.', b'z', b'i', b'p'] => Some(Kind::Module),
            [_, b'.', b'm', b'o', b'd'] if !self.is_go_mod() => Some(Kind::Module),
            [a, b, c, b'-', b'a' | b'd']
                if is_hexadecimal(a)
                    && is_hexadecimal(b)
                    && is_hexadecimal(c)
                    && self.length > BUILD_CACHE_NAME =>
            {
                Some(Kind::Build)
            }
            _ => None,
        }
    }

    /// True for a `go.mod`: of an extracted module, or of the project. A version does not begin with `g`.
    #[inline(always)]
    fn is_go_mod(self) -> bool {
        self.from_end(7) == b'/' && self.from_end(6) == b'g' && self.from_end(5) == b'o'
    }

    /// True for `….zipNNN.tmp`, where the number has one digit to nine (`tempFile` of modfetch/cache.go).
    #[inline(always)]
    pub fn is_temporary_zip(self) -> bool {
        let mut back = 5;
        while back < 14 && self.from_end(back).is_ascii_digit() {
            back += 1;
        }
        [
            self.from_end(back + 3),
            self.from_end(back + 2),
            self.from_end(back + 1),
            self.from_end(back),
        ] == *b".zip"
    }

    /// Tells this name from others, by its length and its last [`HASHED`] bytes or a few less. What follows it there must
    /// be zero. Without a branch at each: the verifier would follow them all.
    #[inline(always)]
    pub fn hash(self) -> u64 {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        // At a whole word, so that the name ends in the last one; far too large for a name that is shorter. The mask tells
        // the verifier how large at most.
        let last = (self.length as usize).wrapping_sub(HASHED - 7) & (PATH_BYTES - 8);
        let at = if last > PATH_BYTES - HASHED { 0 } else { last };
        let mut hash = u64::from(self.length);
        let mut index = 0;
        while index < HASHED / 8 {
            // SAFETY: within the path's room, as the name is shorter than that; the path is aligned in its record.
            let word = unsafe { *self.path.cast::<u8>().add(at).cast::<u64>().add(index) };
            hash = (hash ^ word).wrapping_mul(MULTIPLIER);
            hash ^= hash >> 32;
            index += 1;
        }
        hash
    }

    /// The byte that far from the end, the last one being 1. Any byte of the path's room if the name is shorter.
    #[inline(always)]
    fn from_end(self, back: u32) -> u8 {
        let at = self.length.wrapping_sub(back) as usize & (PATH_BYTES - 1);
        // SAFETY: within the path's room, by the mask.
        unsafe { *self.path.cast::<u8>().add(at) }
    }
}

/// How much of a name is hashed, bytes: paths of module caches are seldom longer.
const HASHED: usize = 128;

/// Length of the shortest name that is looked at; those of caches are longer.
const SHORTEST: u32 = 8;

/// Length of a build cache's file name: 64 hexadecimal digits, `-a` or `-d` (`fileName` of cmd/go/internal/cache).
const BUILD_CACHE_NAME: u32 = 66;

#[inline(always)]
fn is_hexadecimal(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
