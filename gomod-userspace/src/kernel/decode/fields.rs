// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers, addresses and paths of a record.

use std::{
    ffi::OsStr,
    net::{Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

use gomod_ebpf_common as record;

use super::DecodeError;
use crate::kernel::events::SocketCookie;

/// The fields of a record, one after the other.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            total: bytes.len(),
        }
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(DecodeError::Short { found: self.total })?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Short { found: self.total })?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(super) fn cookie(&mut self) -> Result<SocketCookie, DecodeError> {
        self.u64().map(SocketCookie)
    }

    pub(super) fn endpoint(&mut self) -> Result<SocketAddr, DecodeError> {
        let address = Ipv6Addr::from(self.array::<16>()?).to_canonical();
        let port = u16::from_ne_bytes(self.array()?);
        self.array::<2>()?;
        Ok(SocketAddr::new(address, port))
    }

    pub(super) fn path(&mut self, length: u32) -> Result<PathBuf, DecodeError> {
        let bytes = self.bytes(record::PATH_BYTES)?;
        let bytes = bytes
            .get(..length as usize)
            .ok_or(DecodeError::Short { found: self.total })?;
        Ok(PathBuf::from(OsStr::from_bytes(bytes)))
    }
}
