// SPDX-License-Identifier: MIT OR Apache-2.0
//! An address and a port, as both sides write them.

/// One end of a socket, aligned so that it is copied by words: 16 address bytes (IPv4 as `::ffff:a.b.c.d`) and a port in host order.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Network-order address bytes; IPv4 is v4-mapped (RFC 4291 §2.5.5.2).
    pub address: [u8; 16],
    /// Port in host order.
    pub port: u16,
    /// Keeps the size a multiple of four; always zero, so that equal endpoints are equal map keys.
    pub padding: [u8; 2],
}

const _: () = assert!(size_of::<Endpoint>() == 20);
const _: () = assert!(align_of::<Endpoint>() == 4);

impl Endpoint {
    /// An endpoint from four IPv4 address bytes in network order.
    #[inline(always)]
    pub const fn v4(octets: [u8; 4], port: u16) -> Self {
        let [a, b, c, d] = octets;
        Self {
            address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
            port,
            padding: [0; 2],
        }
    }

    /// An endpoint from sixteen IPv6 address bytes in network order.
    #[inline(always)]
    pub const fn v6(address: [u8; 16], port: u16) -> Self {
        Self {
            address,
            port,
            padding: [0; 2],
        }
    }
}
