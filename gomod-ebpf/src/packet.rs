// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//! Packets of traced sockets: counted all, reported where they tell something (SYN, SYN-ACK, FIN, RST with
//! their TTLs, the first payload of a stream, DNS).
//!
//! cgroup_skb sees the IP packet before segmentation and after netfilter's OUTPUT, so a ClientHello is
//! usually one packet here although it leaves in two. Not seen: ICMP, and what netfilter drops on INPUT.

use aya_ebpf::{
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_get_socket_cookie, bpf_skb_load_bytes},
    },
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use gomod_ebpf_common::{
    DNS_CAPTURE, DNS_PORT, EGRESS, EGRESS_CAPTURE, Endpoint, Flow, INGRESS, INGRESS_CAPTURE,
    LARGE_CAPTURE, MEDIUM_CAPTURE, PacketHead, PacketRecord, RecordKind, SMALL_CAPTURE, TCP_ACK,
    TCP_FIN, TCP_RST, TCP_SYN,
};

use crate::{
    flow, names,
    ring::{self, Wake},
    socket::{TCP, UDP},
};

/// Verdict: let the packet pass. Observation never gives another.
const PASS: i32 = 1;

/// Watches packets that leave.
///
/// cgroup_skb/egress, kernel 4.10 (cookie 4.12), CAP_BPF + CAP_NET_ADMIN. Without it, neither DNS nor TLS of
/// the process is seen.
#[cgroup_skb(egress)]
pub fn packet_out(ctx: SkBuffContext) -> i32 {
    let _ = watch(&ctx, EGRESS);
    PASS
}

/// Watches packets that arrive.
///
/// cgroup_skb/ingress, as [`packet_out`].
#[cgroup_skb(ingress)]
pub fn packet_in(ctx: SkBuffContext) -> i32 {
    let _ = watch(&ctx, INGRESS);
    PASS
}

/// What the IP header says.
struct Network {
    source: [u8; 16],
    destination: [u8; 16],
    protocol: u8,
    ttl: u8,
    header_len: u32,
}

/// What the TCP or UDP header says.
struct Transport {
    source_port: u16,
    destination_port: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    payload_offset: u32,
}

#[inline(always)]
fn watch(ctx: &SkBuffContext, direction: u8) -> Option<()> {
    // SAFETY: the context is valid for this helper.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.skb.skb.cast()) };
    let flow = flow::of(cookie)?;
    let (network, transport) = headers(ctx)?;
    // GSO and GRO packets carry no true length in their IP header: take the buffer's.
    let payload_len = ctx.len().checked_sub(transport.payload_offset)?;
    let stream_offset = account(flow, direction, &transport, payload_len);
    let (remote_address, remote_port) = if direction == EGRESS {
        (network.destination, transport.destination_port)
    } else {
        (network.source, transport.source_port)
    };
    let remote = Endpoint::v6(remote_address, remote_port);
    let server = names::server_of_packet(flow, &remote);
    let is_dns = remote_port == DNS_PORT || server.is_some();
    let limit = if is_dns {
        DNS_CAPTURE
    } else if direction == EGRESS {
        EGRESS_CAPTURE
    } else {
        INGRESS_CAPTURE
    };
    let captures = if u32::from(network.protocol) == UDP {
        is_dns
    } else {
        payload_len > 0 && stream_offset < limit
    };
    if !captures && transport.flags & (TCP_SYN | TCP_FIN | TCP_RST) == 0 {
        return None;
    }
    let local = if direction == EGRESS {
        Endpoint::v6(network.source, transport.source_port)
    } else {
        Endpoint::v6(network.destination, transport.destination_port)
    };
    // Who answers in a nameserver's stead is of no interest.
    let remote = server.map_or(&remote, |server| &server.address);
    let head = PacketHead {
        header: ring::header(RecordKind::Packet, flow.pid),
        cookie,
        local,
        remote: *remote,
        seq: transport.seq,
        ack: transport.ack,
        stream_offset,
        payload_len,
        captured: 0,
        protocol: network.protocol,
        direction,
        flags: transport.flags,
        ttl: network.ttl,
    };
    let wake = if transport.flags & TCP_RST != 0 {
        Wake::Now
    } else {
        Wake::Later
    };
    if !captures {
        ring::send(head, wake);
    } else if payload_len <= SMALL_CAPTURE as u32 {
        send_with_payload::<SMALL_CAPTURE>(ctx, head, transport.payload_offset, wake);
    } else if payload_len <= MEDIUM_CAPTURE as u32 {
        send_with_payload::<MEDIUM_CAPTURE>(ctx, head, transport.payload_offset, wake);
    } else {
        send_with_payload::<LARGE_CAPTURE>(ctx, head, transport.payload_offset, wake);
    }
    Some(())
}

/// Both headers. One load gets them of TCP over IPv4 without options, and the whole of IPv6's.
#[inline(always)]
fn headers(ctx: &SkBuffContext) -> Option<(Network, Transport)> {
    let Ok(start) = ctx.load::<[u8; 40]>(0) else {
        // Only UDP over IPv4 is shorter.
        let network = network4(&ctx.load::<[u8; 20]>(0).ok()?);
        let transport = transport(ctx, &network)?;
        return Some((network, transport));
    };
    if start[0] >> 4 != 4 {
        let network = network6(&start);
        let transport = transport(ctx, &network)?;
        return Some((network, transport));
    }
    let [network, rest] = halves(&start);
    let network = network4(network);
    let transport = if network.header_len == 20 && u32::from(network.protocol) == TCP {
        tcp(rest, network.header_len)
    } else {
        transport(ctx, &network)?
    };
    Some((network, transport))
}

#[inline(always)]
fn halves(start: &[u8; 40]) -> [&[u8; 20]; 2] {
    // SAFETY: two arrays of 20 bytes, one after the other, fill one of 40.
    let halves = unsafe { &*core::ptr::from_ref(start).cast::<[[u8; 20]; 2]>() };
    [&halves[0], &halves[1]]
}

#[inline(always)]
fn network4(header: &[u8; 20]) -> Network {
    let [.., a, b, c, d, e, f, g, h] = *header;
    Network {
        source: Endpoint::v4([a, b, c, d], 0).address,
        destination: Endpoint::v4([e, f, g, h], 0).address,
        protocol: header[9],
        ttl: header[8],
        header_len: u32::from(header[0] & 0x0f) * 4,
    }
}

/// Extension headers before TCP or UDP are not followed: Linux sends none by itself.
#[inline(always)]
fn network6(header: &[u8; 40]) -> Network {
    let mut source = [0; 16];
    let mut destination = [0; 16];
    source.copy_from_slice(&header[8..24]);
    destination.copy_from_slice(&header[24..40]);
    Network {
        source,
        destination,
        protocol: header[6],
        ttl: header[7],
        header_len: 40,
    }
}

/// The header behind the network's.
#[inline(always)]
fn transport(ctx: &SkBuffContext, network: &Network) -> Option<Transport> {
    let offset = network.header_len;
    match u32::from(network.protocol) {
        TCP => Some(tcp(&ctx.load(offset as usize).ok()?, offset)),
        UDP => Some(udp(&ctx.load(offset as usize).ok()?, offset)),
        _ => None,
    }
}

#[inline(always)]
fn tcp(header: &[u8; 20], offset: u32) -> Transport {
    Transport {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        seq: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        ack: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        flags: header[13],
        payload_offset: offset + u32::from(header[12] >> 4) * 4,
    }
}

#[inline(always)]
fn udp(header: &[u8; 8], offset: u32) -> Transport {
    Transport {
        source_port: u16::from_be_bytes([header[0], header[1]]),
        destination_port: u16::from_be_bytes([header[2], header[3]]),
        seq: 0,
        ack: 0,
        flags: 0,
        payload_offset: offset + 8,
    }
}

/// Enters a packet into its socket's account; returns where its payload stands in the stream.
#[inline(always)]
fn account(flow: &mut Flow, direction: u8, transport: &Transport, payload_len: u32) -> u32 {
    // The time is for payload; the many acknowledgements don't need it.
    let now = if payload_len > 0 {
        // SAFETY: plain helper call without pointers.
        unsafe { bpf_ktime_get_ns() }
    } else {
        0
    };
    let is_syn = transport.flags & TCP_SYN != 0;
    let (initial_seq, known) = if direction == EGRESS {
        if is_syn {
            flow.initial_seq_out = transport.seq;
            flow.flags |= Flow::SAW_SYN;
        }
        if payload_len > 0 {
            flow.bytes_out += u64::from(payload_len);
            flow.last_out_ns = now;
            if payload_len >= Flow::REQUEST_BYTES {
                flow.request_ns = now;
                flow.bytes_in_at_request = flow.bytes_in;
                flow.response_ns = 0;
                flow.requests += 1;
            }
        }
        (flow.initial_seq_out, flow.flags & Flow::SAW_SYN)
    } else {
        if is_syn && transport.flags & TCP_ACK != 0 {
            flow.initial_seq_in = transport.seq;
            flow.acked_seq_out = transport.ack;
            flow.flags |= Flow::SAW_SYN_ACK;
        } else if transport.flags & (TCP_ACK | TCP_RST) == TCP_ACK
            && transport.ack.wrapping_sub(flow.acked_seq_out).cast_signed() > 0
        {
            flow.acked_seq_out = transport.ack;
        }
        if payload_len > 0 {
            flow.bytes_in += u64::from(payload_len);
            flow.last_in_ns = now;
            flow.last_in_len = payload_len;
            if flow.response_ns == 0 && flow.request_ns != 0 {
                flow.response_ns = now;
            }
        }
        (flow.initial_seq_in, flow.flags & Flow::SAW_SYN_ACK)
    };
    if known == 0 {
        u32::MAX
    } else if is_syn {
        0
    } else {
        transport.seq.wrapping_sub(initial_seq).wrapping_sub(1)
    }
}

#[inline(always)]
fn send_with_payload<const N: usize>(
    ctx: &SkBuffContext,
    head: PacketHead,
    offset: u32,
    wake: Wake,
) {
    let Some(mut entry) = ring::reserve::<PacketRecord<N>>() else {
        return;
    };
    let record = entry.as_mut_ptr();
    let wanted = u64::from(head.payload_len).min(N as u64);
    // The compiler knows the bounds and drops their check; the verifier has lost them on the way and needs it.
    // SAFETY: a local variable.
    let wanted = unsafe { core::ptr::read_volatile(&raw const wanted) };
    // SAFETY: `record` points at reserved memory of its size; `head` is written whole, and the agent reads only
    // `captured` bytes of the payload.
    unsafe {
        (*record).head = head;
        let loaded = wanted > 0
            && wanted <= N as u64
            && bpf_skb_load_bytes(
                ctx.skb.skb.cast(),
                offset,
                (&raw mut (*record).payload).cast(),
                wanted as u32,
            ) == 0;
        (*record).head.captured = if loaded { wanted as u32 } else { 0 };
    }
    ring::submit(entry, wake);
}
