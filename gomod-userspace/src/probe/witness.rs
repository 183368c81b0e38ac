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
            // The kernel counts the SYN as one byte.
            seen.acked = (connection.bytes_sent > 0 && connection.bytes_acked > 0)
                .then_some(connection.bytes_acked > connection.bytes_sent);
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
