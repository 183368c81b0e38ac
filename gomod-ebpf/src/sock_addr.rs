// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! The address that a cgroup program is asked about, read and written field by field as the verifier demands.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::programs::SockAddrContext;
use gomod_ebpf_common::Endpoint;

/// The IPv4 address and port.
#[inline(always)]
pub fn get_v4(ctx: &SockAddrContext) -> Endpoint {
    // SAFETY: fields of the context, which the verifier maps to the real structure.
    unsafe {
        let addr = &raw const *ctx.sock_addr;
        let address = read_volatile(&raw const (*addr).user_ip4);
        let port = read_volatile(&raw const (*addr).user_port);
        Endpoint::v4(address.to_ne_bytes(), host_order(port))
    }
}

/// The IPv6 address and port.
#[inline(always)]
pub fn get_v6(ctx: &SockAddrContext) -> Endpoint {
    let mut address = [0; 16];
    // SAFETY: as above, word by word.
    let port = unsafe {
        let addr = &raw const *ctx.sock_addr;
        let words = [
            read_volatile(&raw const (*addr).user_ip6[0]),
            read_volatile(&raw const (*addr).user_ip6[1]),
            read_volatile(&raw const (*addr).user_ip6[2]),
            read_volatile(&raw const (*addr).user_ip6[3]),
        ];
        address[0..4].copy_from_slice(&words[0].to_ne_bytes());
        address[4..8].copy_from_slice(&words[1].to_ne_bytes());
        address[8..12].copy_from_slice(&words[2].to_ne_bytes());
        address[12..16].copy_from_slice(&words[3].to_ne_bytes());
        read_volatile(&raw const (*addr).user_port)
    };
    Endpoint::v6(address, host_order(port))
}

/// Puts another IPv4 address and port in their place.
#[inline(always)]
pub fn set_v4(ctx: &SockAddrContext, endpoint: &Endpoint) {
    let [.., a, b, c, d] = endpoint.address;
    // SAFETY: writable fields of the context.
    unsafe {
        let addr = ctx.sock_addr;
        write_volatile(&raw mut (*addr).user_ip4, u32::from_ne_bytes([a, b, c, d]));
        write_volatile(&raw mut (*addr).user_port, u32::from(endpoint.port.to_be()));
    }
}

/// Puts another IPv6 address and port in their place.
#[inline(always)]
pub fn set_v6(ctx: &SockAddrContext, endpoint: &Endpoint) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = endpoint.address;
    // SAFETY: writable fields of the context, written word by word.
    unsafe {
        let addr = ctx.sock_addr;
        let word = u32::from_ne_bytes;
        write_volatile(&raw mut (*addr).user_ip6[0], word([a, b, c, d]));
        write_volatile(&raw mut (*addr).user_ip6[1], word([e, f, g, h]));
        write_volatile(&raw mut (*addr).user_ip6[2], word([i, j, k, l]));
        write_volatile(&raw mut (*addr).user_ip6[3], word([m, n, o, p]));
        write_volatile(&raw mut (*addr).user_port, u32::from(endpoint.port.to_be()));
    }
}

/// Port in host order from the context's field, which holds it in network order in its low half.
#[inline(always)]
fn host_order(user_port: u32) -> u16 {
    u16::from_be(user_port as u16)
}
