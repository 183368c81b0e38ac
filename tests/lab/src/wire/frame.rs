// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ethernet frames with IPv4 or IPv6 in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const ETHERNET: usize = 14;
pub(crate) const TCP: u8 = 6;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// An IP packet in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) payload: &'a [u8],
}

/// A TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: u8,
    pub(crate) options: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// Reads a frame; `None` for anything that is not IP, and for IPv6 with extension headers before its payload's own.
pub(crate) fn packet(frame: &[u8]) -> Option<Packet<'_>> {
    let (ethernet, ip) = frame.split_at_checked(ETHERNET)?;
    match [ethernet[12], ethernet[13]] {
        [0x08, 0x00] => {
            let header = ip.get(..20)?;
            let length = usize::from(header[0] & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
            if header[0] >> 4 != 4 || length < 20 || fragment != 0 {
                return None;
            }
            Some(Packet {
                source: IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&header[12..16]).ok()?)),
                destination: IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(&header[16..20]).ok()?)),
                protocol: header[9],
                payload: ip.get(length..total)?,
            })
        }
        [0x86, 0xdd] => {
            let header = ip.get(..40)?;
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            Some(Packet {
                source: IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&header[8..24]).ok()?)),
                destination: IpAddr::V6(Ipv6Addr::from(
                    <[u8; 16]>::try_from(&header[24..40]).ok()?,
                )),
                protocol: header[6],
                payload: ip.get(40..40 + length)?,
            })
        }
        _ => None,
    }
}

impl<'a> Packet<'a> {
    /// The TCP segment inside, if there is one.
    pub(crate) fn segment(&self) -> Option<Segment<'a>> {
        let header = self.payload.get(..20).filter(|_| self.protocol == TCP)?;
        let length = usize::from(header[12] >> 4) * 4;
        Some(Segment {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgment: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            flags: header[13],
            options: self.payload.get(20..length)?,
            payload: self.payload.get(length..)?,
        })
    }
}

impl Segment<'_> {
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// True for a connection's first segment.
    pub(crate) fn opens(&self) -> bool {
        self.flags & (SYN | ACK) == SYN
    }

    /// The sequence number after this segment.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.sequence
            .wrapping_add(self.payload.len() as u32)
            .wrapping_add(flags)
    }

    /// The maximum segment size option of a SYN (RFC 9293 section 3.7.1).
    pub(crate) fn maximum_size(&self) -> Option<u16> {
        let mut options = self.options;
        loop {
            match options {
                [1, rest @ ..] => options = rest,
                [2, 4, high, low, ..] => return Some(u16::from_be_bytes([*high, *low])),
                [kind, length, ..] if *kind != 0 && *length >= 2 => {
                    options = options.get(usize::from(*length)..)?;
                }
                _ => return None,
            }
        }
    }
}

/// True for frames that are for one receiver. Others (neighbour discovery, multicast reports) have no one to answer them here.
pub(crate) fn is_unicast_ip(frame: &[u8]) -> bool {
    frame.len() > ETHERNET
        && frame[0] & 1 == 0
        && matches!([frame[12], frame[13]], [0x08, 0x00] | [0x86, 0xdd])
}

/// Lowers time to live or hop limit by `hops`, as so many routers would; false if none is left.
pub(crate) fn cross_routers(frame: &mut [u8], hops: u8) -> bool {
    let position = if frame[12] == 0x08 {
        ETHERNET + 8
    } else {
        ETHERNET + 7
    };
    let Some(left) = frame
        .get(position)
        .and_then(|ttl| ttl.checked_sub(hops))
        .filter(|left| *left > 0)
    else {
        return false;
    };
    frame[position] = left;
    if frame[12] == 0x08 {
        let length = usize::from(frame[ETHERNET] & 0x0f) * 4;
        let Some(header) = frame.get_mut(ETHERNET..ETHERNET + length) else {
            return false;
        };
        header[10..12].fill(0);
        let sum = checksum(&[header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    true
}

/// The Internet checksum (RFC 1071) over `parts`, each of even length but the last.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
