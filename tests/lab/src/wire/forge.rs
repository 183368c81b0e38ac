// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets that a middlebox makes itself: TCP resets and ICMP errors.

use std::net::IpAddr;

use crate::wire::frame::{ETHERNET, TCP, checksum, packet};

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// A TCP segment without payload, to be put on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forged {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: u8,
    /// Time to live, or hop limit, as the receiver will see it.
    pub(crate) ttl: u8,
}

/// The frame of a forged segment. `ethernet` is the header it starts with.
pub(crate) fn segment(ethernet: [u8; ETHERNET], forged: &Forged) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(20);
    tcp.extend_from_slice(&forged.source_port.to_be_bytes());
    tcp.extend_from_slice(&forged.destination_port.to_be_bytes());
    tcp.extend_from_slice(&forged.sequence.to_be_bytes());
    tcp.extend_from_slice(&forged.acknowledgment.to_be_bytes());
    tcp.extend_from_slice(&[5 << 4, forged.flags, 0, 0, 0, 0, 0, 0]);
    let sum = transport_checksum(forged.source, forged.destination, TCP, &tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    ip_frame(
        ethernet,
        forged.source,
        forged.destination,
        TCP,
        forged.ttl,
        &tcp,
    )
}

/// The ICMP error "host unreachable" of its family that `router` would answer to `frame`; `None` if that is not IP.
pub(crate) fn host_unreachable(
    ethernet: [u8; ETHERNET],
    frame: &[u8],
    router: IpAddr,
    ttl: u8,
) -> Option<Vec<u8>> {
    let original = packet(frame)?;
    let ip = &frame[ETHERNET..];
    let (protocol, kind, code, quoted) = match router {
        // RFC 792: the header and at least eight bytes; RFC 1812 allows 576 in all.
        IpAddr::V4(_) => (ICMP, 3, 1, &ip[..ip.len().min(548)]),
        // RFC 4443 section 3.1, address unreachable; never over 1280 bytes.
        IpAddr::V6(_) => (ICMP_V6, 1, 3, &ip[..ip.len().min(1232)]),
    };
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(quoted);
    let sum = match router {
        IpAddr::V4(_) => checksum(&[&message]),
        IpAddr::V6(_) => transport_checksum(router, original.source, ICMP_V6, &message),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Some(ip_frame(
        ethernet,
        router,
        original.source,
        protocol,
        ttl,
        &message,
    ))
}

/// The Ethernet header of a frame that goes the other way.
pub(crate) fn turned_round(frame: &[u8]) -> [u8; ETHERNET] {
    let mut header = [0; ETHERNET];
    header[..6].copy_from_slice(&frame[6..12]);
    header[6..12].copy_from_slice(&frame[..6]);
    header[12..].copy_from_slice(&frame[12..14]);
    header
}

/// The Ethernet header of a frame that goes the same way.
pub(crate) fn same_way(frame: &[u8]) -> [u8; ETHERNET] {
    let mut header = [0; ETHERNET];
    header.copy_from_slice(&frame[..ETHERNET]);
    header
}

fn ip_frame(
    ethernet: [u8; ETHERNET],
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ttl: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = ethernet.to_vec();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = (20 + payload.len()) as u16;
            let mut header = vec![0x45, 0];
            header.extend_from_slice(&total.to_be_bytes());
            header.extend_from_slice(&[0, 0, 0x40, 0, ttl, protocol, 0, 0]);
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend_from_slice(&header);
        }
        (source, destination) => {
            frame.extend_from_slice(&[0x60, 0, 0, 0]);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
            frame.extend_from_slice(&[protocol, ttl]);
            frame.extend_from_slice(&octets(source));
            frame.extend_from_slice(&octets(destination));
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Over the pseudo-header of RFC 9293 section 3.1 or RFC 8200 section 8.1; for these lengths their sums agree.
fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> u16 {
    let length = (payload.len() as u16).to_be_bytes();
    checksum(&[
        &octets(source),
        &octets(destination),
        &[0, protocol],
        &length,
        payload,
    ])
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{ACK, RST, cross_routers};

    const V4: [u8; ETHERNET] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    const V6: [u8; ETHERNET] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];

    fn reset(source: &str, destination: &str) -> Forged {
        Forged {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: 443,
            destination_port: 40000,
            sequence: 7,
            acknowledgment: 9,
            flags: RST | ACK,
            ttl: 113,
        }
    }

    #[test]
    fn forged_segments_read_back_and_their_checksums_hold() {
        for (ethernet, forged) in [
            (V4, reset("198.18.2.1", "198.18.0.2")),
            (V6, reset("2001:2:0:2::1", "2001:2::2")),
        ] {
            let frame = segment(ethernet, &forged);
            let packet = packet(&frame).unwrap();
            assert_eq!(
                (packet.source, packet.destination),
                (forged.source, forged.destination)
            );
            assert_eq!(
                transport_checksum(packet.source, packet.destination, TCP, packet.payload),
                0
            );
            let segment = packet.segment().unwrap();
            assert_eq!(
                (segment.sequence, segment.acknowledgment, segment.flags),
                (7, 9, RST | ACK)
            );
        }
    }

    #[test]
    fn crossing_routers_lowers_ttl_and_keeps_the_header_checksum_right() {
        let mut frame = segment(V4, &reset("198.18.2.1", "198.18.0.2"));
        assert!(cross_routers(&mut frame, 7));
        assert_eq!(frame[ETHERNET + 8], 106);
        assert_eq!(checksum(&[&frame[ETHERNET..ETHERNET + 20]]), 0);
        assert!(
            !cross_routers(&mut frame, 106),
            "a packet without hops left does not pass"
        );
    }

    #[test]
    fn unreachable_quotes_the_packet_it_answers() {
        let original = segment(V6, &reset("2001:2::2", "2001:2:0:2::1"));
        let frame = host_unreachable(
            turned_round(&original),
            &original,
            "2001:2::1".parse().unwrap(),
            64,
        )
        .unwrap();
        let answer = packet(&frame).unwrap();
        assert_eq!(answer.protocol, ICMP_V6);
        assert_eq!(answer.payload[..2], [1, 3]);
        assert_eq!(answer.payload[8..], original[ETHERNET..]);
        assert_eq!(
            transport_checksum(answer.source, answer.destination, ICMP_V6, answer.payload),
            0
        );
    }
}
