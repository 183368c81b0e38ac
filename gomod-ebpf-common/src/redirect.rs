// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the redirecting programs and the agent share.

use crate::Endpoint;

/// Ports of the agent's listeners on the loopback addresses of one network namespace; 0 where there is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// Port on 127.0.0.1, host order.
    pub v4: u16,
    /// Port on `::1`, host order.
    pub v6: u16,
}

/// Where a redirected socket wanted to go.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Socket cookie.
    pub cookie: u64,
    /// The destination that the process asked for.
    pub remote: Endpoint,
    /// Process (thread group) that owns the socket.
    pub pid: u32,
}

/// The near end of a redirected connection, which is the peer's address where the agent accepts it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NearEnd {
    /// Network namespace (`SO_NETNS_COOKIE`).
    pub netns: u64,
    /// Address and port.
    pub local: Endpoint,
    /// Explicit padding, always zero.
    pub padding: u32,
}

/// Slot of the accelerator in the table of heartbeats.
pub const ACCELERATOR: u32 = 0;

/// Slot of the DNS stub in the table of heartbeats.
pub const STUB: u32 = 1;

/// A heartbeat older than this means that the agent hangs: nothing is redirected any more, ns.
pub const HEARTBEAT_LIMIT_NS: u64 = 2_000_000_000;

const _: () = {
    assert!(size_of::<Listeners>() == 4);
    assert!(size_of::<Origin>() == 32);
    assert!(size_of::<NearEnd>() == 32);
};

#[cfg(feature = "userspace")]
#[expect(
    unsafe_code,
    reason = "marks plain C structs without padding as map keys and values"
)]
mod pod {
    // SAFETY: `repr(C)`, integers only, padding explicit, any bit pattern is valid.
    unsafe impl aya::Pod for super::Listeners {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Origin {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::NearEnd {}
}
