// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the programs that redirect DNS and the agent share.

use crate::Endpoint;

/// A nameserver as processes in one network namespace reach it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameServer {
    /// Network namespace (`SO_NETNS_COOKIE`).
    pub netns: u64,
    /// Address and port that processes ask.
    pub address: Endpoint,
    /// Explicit padding, always zero.
    pub padding: u32,
}

impl NameServer {
    /// The nameserver at `address` in a network namespace.
    #[inline(always)]
    pub const fn new(netns: u64, address: Endpoint) -> Self {
        Self {
            netns,
            address,
            padding: 0,
        }
    }
}

const _: () = assert!(size_of::<NameServer>() == 32);

#[cfg(feature = "userspace")]
#[expect(
    unsafe_code,
    reason = "marks plain C structs without padding as map keys and values"
)]
mod pod {
    // SAFETY: `repr(C)`, integers only, padding explicit, any bit pattern is valid.
    unsafe impl aya::Pod for super::NameServer {}
    // SAFETY: as above; 16 + 2 + 2 bytes, aligned to four.
    unsafe impl aya::Pod for super::Endpoint {}
}
