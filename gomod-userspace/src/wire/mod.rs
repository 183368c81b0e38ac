// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS, TLS record and `ClientHello` parsing: bytes in, value or `Incomplete` out; pure.
//!
//! Nothing here does I/O, panics on input, or allocates more than a small multiple of what it is given.

pub mod dns;
pub mod stream;
pub mod tls;

/// What a parser makes of the bytes so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<T> {
    /// The value, and how many bytes of the input it took.
    Complete {
        /// What the bytes say.
        value: T,
        /// Bytes of the input that belong to the value.
        consumed: usize,
    },
    /// The bytes are a valid beginning, but only that.
    Incomplete {
        /// At least this many more bytes are needed, where the input tells.
        needed: Option<usize>,
    },
}

impl<T> Parsed<T> {
    /// The value, if it is whole.
    pub fn complete(self) -> Option<T> {
        match self {
            Self::Complete { value, .. } => Some(value),
            Self::Incomplete { .. } => None,
        }
    }

    /// Whether more bytes are needed.
    pub fn is_incomplete(&self) -> bool {
        matches!(self, Self::Incomplete { .. })
    }
}
