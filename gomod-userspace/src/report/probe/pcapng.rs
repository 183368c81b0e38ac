// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel programs saw of the probe's packets, as pcapng (draft-ietf-opsawg-pcapng) for Wireshark.
//!
//! The kernel programs report addresses, ports, numbers, flags, TTL and the first payload of each packet. The headers are
//! made of those again: window, options and identification were not seen and are zero, checksums are computed.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::kernel::events::{Direction, MonotonicNanos, Packet, Protocol};

/// `LINKTYPE_RAW`: packets begin with the IP header.
const RAW_IP: u16 = 101;
const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USER_APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TIMESTAMP_RESOLUTION: u16 = 9;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The packets of one socket.
#[derive(Debug)]
pub struct Capture<'a> {
    /// In the order of their times.
    pub packets: &'a [(MonotonicNanos, Packet)],
    /// Whose, for what, and what came of it: on its first packet.
    pub comment: String,
}

/// Writes all packets in the order of their times. `epoch` is the wall-clock time, since 1970, of moment zero of the
/// kernel's clock.
pub fn write_capture(
    output: &mut impl Write,
    captures: &[Capture<'_>],
    summary: &str,
    epoch: Duration,
) -> io::Result<()> {
    section(output, summary)?;
    let mut order: BTreeMap<(MonotonicNanos, usize, usize), (&Packet, Option<&str>)> =
        BTreeMap::new();
    for (number, capture) in captures.iter().enumerate() {
        for (place, (at, packet)) in capture.packets.iter().enumerate() {
            let comment = (place == 0).then_some(capture.comment.as_str());
            order.insert((*at, number, place), (packet, comment));
        }
    }
    for ((at, ..), (packet, comment)) in order {
        let Some((bytes, whole)) = ip_packet(packet) else {
            continue;
        };
        let at = epoch + Duration::from_nanos(at.0);
        let mut body = Vec::with_capacity(bytes.len() + 64);
        let nanoseconds = at.as_nanos() as u64;
        body.extend(0u32.to_le_bytes());
        body.extend(((nanoseconds >> 32) as u32).to_le_bytes());
        body.extend((nanoseconds as u32).to_le_bytes());
        body.extend((bytes.len() as u32).to_le_bytes());
        body.extend((whole as u32).to_le_bytes());
        body.extend(&bytes);
        pad(&mut body);
        if let Some(comment) = comment {
            option(&mut body, OPT_COMMENT, comment.as_bytes());
            option(&mut body, OPT_END, &[]);
        }
        block(output, 6, &body)?;
    }
    output.flush()
}

fn section(output: &mut impl Write, summary: &str) -> io::Result<()> {
    let mut body = Vec::new();
    body.extend(0x1a2b_3c4d_u32.to_le_bytes());
    body.extend(1u16.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    body.extend((-1i64).to_le_bytes());
    option(&mut body, OPT_COMMENT, summary.as_bytes());
    option(
        &mut body,
        SHB_USER_APPLICATION,
        concat!("gomod-trace ", env!("CARGO_PKG_VERSION")).as_bytes(),
    );
    option(&mut body, OPT_END, &[]);
    block(output, 0x0a0d_0d0a, &body)?;

    let mut body = Vec::new();
    body.extend(RAW_IP.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    body.extend(0u32.to_le_bytes());
    option(&mut body, IF_NAME, b"gomod-trace probe");
    option(&mut body, IF_TIMESTAMP_RESOLUTION, &[9]);
    option(&mut body, OPT_END, &[]);
    block(output, 1, &body)
}

fn block(output: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    output.write_all(&kind.to_le_bytes())?;
    output.write_all(&length)?;
    output.write_all(body)?;
    output.write_all(&length)
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX) - 3)];
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// The packet's captured bytes, and how long it was; `None` for what cannot be (ends of two families).
fn ip_packet(packet: &Packet) -> Option<(Vec<u8>, usize)> {
    let (source, destination) = match packet.direction {
        Direction::Egress => (packet.local, packet.remote),
        Direction::Ingress => (packet.remote, packet.local),
    };
    let missing = (packet.payload_len as usize).saturating_sub(packet.payload.len());
    let (protocol, mut segment) = match packet.protocol {
        Protocol::Tcp => (TCP, tcp_header(packet, source, destination)),
        Protocol::Udp => (UDP, udp_header(packet, source, destination)),
    };
    segment.extend(&packet.payload);
    let whole = segment.len() + missing;
    // A checksum over bytes that are not there would be wrong: zero says so for UDP, and Wireshark checks neither.
    let sum_at = if protocol == TCP { 16 } else { 6 };
    if missing == 0 {
        let sum = transport_checksum(source.ip(), destination.ip(), protocol, &segment);
        segment[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let mut bytes = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            // One skb may be larger than what leaves the machine, but a length has sixteen bits.
            header.extend(((whole + 20).min(65_535) as u16).to_be_bytes());
            header.extend([0, 0, 0x40, 0, packet.ttl, protocol, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((whole.min(65_535) as u16).to_be_bytes());
            header.extend([protocol, packet.ttl]);
            header.extend(from.octets());
            header.extend(to.octets());
            header
        }
        _ => return None,
    };
    let whole = bytes.len() + whole;
    bytes.extend(segment);
    Some((bytes, whole))
}

fn tcp_header(packet: &Packet, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut header = Vec::with_capacity(20 + packet.payload.len());
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header.extend(packet.seq.to_be_bytes());
    header.extend(packet.ack.to_be_bytes());
    header.extend([5 << 4, packet.flags.0, 0, 0, 0, 0, 0, 0]);
    header
}

fn udp_header(packet: &Packet, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut header = Vec::with_capacity(8 + packet.payload.len());
    header.extend(source.port().to_be_bytes());
    header.extend(destination.port().to_be_bytes());
    header.extend(((packet.payload_len + 8).min(65_535) as u16).to_be_bytes());
    header.extend([0, 0]);
    header
}

fn transport_checksum(from: IpAddr, to: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let length = (segment.len() as u32).to_be_bytes();
    let tail = [0, 0, 0, protocol];
    match (from.to_canonical(), to.to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            checksum(&[&from.octets(), &to.octets(), &tail, &length, segment])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            checksum(&[&from.octets(), &to.octets(), &tail, &length, segment])
        }
        _ => 0,
    }
}

/// RFC 1071, over parts of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u32 = parts
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .fold(0, u32::wrapping_add);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::kernel::events::{SocketCookie, TcpFlags};

    fn packet(local: &str, remote: &str, payload: &[u8], length: u32) -> Packet {
        Packet {
            cookie: SocketCookie(1),
            direction: Direction::Ingress,
            protocol: Protocol::Tcp,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            flags: TcpFlags(0x18),
            ttl: 57,
            seq: 0x0102_0304,
            ack: 9,
            stream_offset: Some(0),
            payload_len: length,
            payload: payload.to_vec(),
        }
    }

    #[test]
    fn headers_say_what_was_seen_and_their_sums_fit() {
        for (local, remote, header) in [
            ("198.18.0.2:4000", "198.18.2.1:443", 20),
            ("[2001:2::2]:4000", "[2001:2::1]:443", 40),
        ] {
            let (bytes, whole) = ip_packet(&packet(local, remote, b"odd", 3)).unwrap();
            assert_eq!(whole, bytes.len());
            assert_eq!(bytes.len(), header + 20 + 3);
            assert_eq!(bytes[if header == 20 { 8 } else { 7 }], 57);
            let segment = &bytes[header..];
            assert_eq!(
                segment[..4],
                [443u16.to_be_bytes(), 4000u16.to_be_bytes()].concat()
            );
            assert_eq!(segment[4..8], [1, 2, 3, 4]);
            let (from, to) = (
                remote.parse::<SocketAddr>().unwrap(),
                local.parse::<SocketAddr>().unwrap(),
            );
            // A sum over what holds its own sum is zero.
            assert_eq!(transport_checksum(from.ip(), to.ip(), TCP, segment), 0);
        }
    }

    #[test]
    fn a_packet_captured_in_part_keeps_its_length() {
        let (bytes, whole) =
            ip_packet(&packet("198.18.0.2:1", "198.18.2.1:443", b"abc", 1400)).unwrap();
        assert_eq!((bytes.len(), whole), (43, 1440));
        assert_eq!(bytes[2..4], 1440u16.to_be_bytes());
    }
}
