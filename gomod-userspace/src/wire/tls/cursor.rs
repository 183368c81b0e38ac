// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads big-endian fields from a slice; `None` at its end.

/// The rest of a slice, read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)
            .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A vector whose length is one byte.
    pub(super) fn vec8(&mut self) -> Option<Cursor<'a>> {
        let len = self.u8()?;
        self.take(len.into()).map(Cursor)
    }

    /// A vector whose length is two bytes.
    pub(super) fn vec16(&mut self) -> Option<Cursor<'a>> {
        let len = self.u16()?;
        self.take(len.into()).map(Cursor)
    }

    /// All the rest as 16-bit numbers; `None` if a byte is left over.
    pub(super) fn u16s(self) -> Option<impl Iterator<Item = u16> + 'a> {
        self.0.len().is_multiple_of(2).then(|| {
            self.0
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
        })
    }
}
