// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel saw of the worker's sockets, by their cookies.

use std::collections::BTreeMap;

use super::results::Seen;
use crate::{
    kernel::events::{Direction, Event, EventKind, MonotonicNanos, Packet, Protocol, SocketCookie},
    timeline::Timeline,
};

/// Packets kept of one socket: a hello, its answer, their retransmissions, and what ended it.
const PACKETS: usize = 64;
/// Packets kept of a whole probe, some 70 MB at worst; the rest is counted.
const ALL_PACKETS: usize = 50_000;

/// Keeps events.
#[derive(Debug)]
pub struct Witness {
    timeline: Timeline,
    packets: BTreeMap<SocketCookie, Vec<(MonotonicNanos, Packet)>>,
    kept: usize,
    omitted: u64,
    payload: bool,
}

impl Witness {
    /// Payload is kept for a capture only.
    pub fn new(began: MonotonicNanos, payload: bool) -> Self {
        Self {
            timeline: Timeline::new(began),
            packets: BTreeMap::new(),
            kept: 0,
            omitted: 0,
            payload,
        }
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: &Event) {
        self.timeline.apply(event);
        let EventKind::Packet(packet) = &event.kind else {
            return;
        };
        let of_socket = self.packets.entry(packet.cookie).or_default();
        if of_socket.len() >= PACKETS || self.kept >= ALL_PACKETS {
            self.omitted += 1;
            return;
        }
        self.kept += 1;
        let mut packet = packet.clone();
        if !self.payload {
            packet.payload = Vec::new();
        }
        of_socket.push((event.at, packet));
    }

    /// Events that were lost before they came here, and packets that there was no room for.
    pub fn missed(&self) -> u64 {
        self.timeline.events_lost + self.omitted
    }

    /// All packets by socket, each in the order of their times.
    pub fn packets(&self) -> impl Iterator<Item = (SocketCookie, &[(MonotonicNanos, Packet)])> {
        self.packets
            .iter()
            .map(|(cookie, packets)| (*cookie, packets.as_slice()))
    }

    /// What was seen of a TCP socket; `None` if nothing was.
    pub fn seen(&self, cookie: u64) -> Option<Seen> {
        let cookie = SocketCookie(cookie);
        let packets = self.packets.get(&cookie)?;
        if packets
            .iter()
            .any(|(_, packet)| packet.protocol == Protocol::Udp)
        {
            return None;
        }
        let mut seen = from_packets(packets);
        if let Some(connection) = self
            .timeline
            .connections
            .iter()
            .rev()
            .find(|connection| connection.cookie == cookie)
        {
            seen.syn_retransmits = connection.syn_retransmits;
            seen.retransmits = connection.retransmits.max(
                connection
                    .client_hello
                    .as_ref()
                    .map_or(0, |hello| hello.retransmits),
            );
            seen.rtt_us = seen.rtt_us.or(connection.handshake_rtt_us.map(u64::from));
            let whole = connection.bytes_acked >= connection.bytes_sent;
            // Without an acknowledgement and without another try, the kernel had no time to find out.
            seen.acked =
                (connection.bytes_sent > 0 && (whole || seen.retransmits > 0)).then_some(whole);
        }
        Some(seen)
    }
}

fn from_packets(packets: &[(MonotonicNanos, Packet)]) -> Seen {
    let mut seen = Seen::default();
    let (mut syn, mut syns, mut last_out, mut closed_by_us) = (None, 0, None, false);
    let mut sequences = Vec::new();
    for (at, packet) in packets {
        let flags = packet.flags;
        match packet.direction {
            Direction::Egress => {
                if flags.syn() {
                    syns += 1;
                    syn = Some(*at);
                }
                if packet.payload_len > 0 && seen.rsts == 0 {
                    last_out = Some(*at);
                }
                closed_by_us |= flags.fin() || flags.rst();
            }
            Direction::Ingress => {
                if flags.syn() {
                    seen.syn_ack_ttl.get_or_insert(packet.ttl);
                    if let (1, Some(syn)) = (syns, syn) {
                        seen.rtt_us.get_or_insert(at.since(syn).as_micros() as u64);
                    }
                }
                // After our own close a reset is the usual answer to late data.
                if flags.rst() && !closed_by_us {
                    seen.rsts += 1;
                    seen.rst_ttl.get_or_insert(packet.ttl);
                    sequences.push(packet.seq);
                    if let Some(out) = last_out {
                        seen.rst_after_us
                            .get_or_insert(at.since(out).as_micros() as u64);
                    }
                }
                seen.data_after_rst |= packet.payload_len > 0 && seen.rsts > 0;
            }
        }
    }
    sequences.dedup();
    seen.rsts_stepped = sequences.len() > 1;
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::events::{Pid, TcpFlags};

    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    /// A packet `at` µs.
    fn packet(at: u64, direction: Direction, flags: u8, ttl: u8, seq: u32, payload: u32) -> Event {
        Event {
            at: MonotonicNanos(at * 1000),
            pid: Pid(7),
            kind: EventKind::Packet(Packet {
                cookie: SocketCookie(1),
                direction,
                protocol: Protocol::Tcp,
                local: "198.18.0.2:40000".parse().unwrap(),
                remote: "198.18.2.1:443".parse().unwrap(),
                flags: TcpFlags(flags),
                ttl,
                seq,
                ack: 0,
                stream_offset: Some(0),
                payload_len: payload,
                payload: vec![0; payload as usize],
            }),
        }
    }

    fn seen(events: &[Event]) -> Seen {
        let mut witness = Witness::new(MonotonicNanos(0), false);
        for event in events {
            witness.apply(event);
        }
        witness.seen(1).unwrap()
    }

    #[test]
    fn resets_are_told_with_their_ttl_time_and_number() {
        let (out, back) = (Direction::Egress, Direction::Ingress);
        let events = [
            packet(0, out, SYN, 64, 0, 0),
            packet(50_000, back, SYN | ACK, 57, 0, 0),
            packet(50_100, out, ACK, 64, 1, 300),
            packet(60_100, back, RST, 113, 1, 0),
            packet(60_110, back, RST, 113, 1461, 0),
            packet(100_200, back, ACK, 57, 1, 1200),
        ];
        let seen = seen(&events);
        assert_eq!((seen.syn_ack_ttl, seen.rst_ttl), (Some(57), Some(113)));
        assert_eq!(
            (seen.rtt_us, seen.rst_after_us),
            (Some(50_000), Some(10_000))
        );
        assert_eq!(
            (seen.rsts, seen.rsts_stepped, seen.data_after_rst),
            (2, true, true)
        );
    }

    #[test]
    fn a_reset_after_our_own_close_is_none() {
        let (out, back) = (Direction::Egress, Direction::Ingress);
        let events = [
            packet(0, out, SYN, 64, 0, 0),
            packet(10, back, SYN | ACK, 57, 0, 0),
            packet(20, out, RST | ACK, 64, 1, 0),
            packet(30, back, RST, 57, 1, 0),
        ];
        assert_eq!(seen(&events).rsts, 0);
    }

    #[test]
    fn no_socket_takes_more_than_its_share() {
        let mut witness = Witness::new(MonotonicNanos(0), true);
        for at in 0..200 {
            witness.apply(&packet(at, Direction::Egress, ACK, 64, 1, 1));
        }
        assert_eq!(
            witness.packets().map(|(_, kept)| kept.len()).sum::<usize>(),
            PACKETS
        );
        assert_eq!(witness.missed(), 200 - PACKETS as u64);
    }
}
