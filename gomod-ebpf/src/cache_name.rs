// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! What the ending of a path says that the file may be. Go's sources name them all: `cmd/go/internal/modfetch` those of the
//! module cache, `cmd/go/internal/cache` those of the build cache.

use aya_ebpf::helpers::generated::bpf_probe_read_user_str;
use gomod_ebpf_common::PATH_BYTES;

use crate::process::string_length;

/// A path as it lies in a record, its valid bytes counted; what [`Self::hash`] looks at after it is zero.
#[derive(Clone, Copy)]
pub struct Name {
    path: *const [u8; PATH_BYTES],
    length: u32,
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
    /// Reads the path at `from` in the process.
    ///
    /// # Safety
    /// `path` must point at as many bytes, aligned to eight, that the program may write, and that nobody changes as long as
    /// the value is used.
    #[inline(always)]
    pub unsafe fn read(path: *mut [u8; PATH_BYTES], from: u64) -> Self {
        let bytes = path.cast::<u8>();
        // SAFETY: within the path, by the loops' bounds and the check before the second. Volatile, or they become calls of
        // memset, byte by byte.
        unsafe {
            let mut word = 0;
            while word < HASHED / 8 {
                path.cast::<u64>().add(word).write_volatile(0);
                word += 1;
            }
            let read = bpf_probe_read_user_str(bytes.cast(), PATH_BYTES as u32, from as *const _);
            let length = string_length(read);
            // Beyond the NUL, the kernel may leave what it read in the same word.
            let end = length as usize & (PATH_BYTES - 1);
            if end <= LONGEST {
                let mut after = 0;
                while after < 8 {
                    bytes.add(end + after).write_volatile(0);
                    after += 1;
                }
            }
            Self { path, length }
        }
    }

    /// Its length in bytes.
    #[inline(always)]
    pub fn length(self) -> u32 {
        self.length
    }

    /// None for a file of no interest, and for a path too long to be told whole.
    #[inline(always)]
    pub fn kind(self) -> Option<Kind> {
        if self.length < SHORTEST || self.length > LONGEST as u32 {
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

    /// Tells this name from others, by its length and its last [`HASHED`] bytes or up to seven less: of two of the same
    /// length that differ before that only, one may be taken for the other. Without a branch at each word: the verifier would
    /// follow them all.
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

/// Length of the longest name that is looked at: a word of zeroes follows it.
const LONGEST: usize = PATH_BYTES - 8;

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
