// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each TCP segment tells of its connection.

use gomod_ebpf_common::INGRESS_CAPTURE;

use super::{
    Connection, Timeline,
    connection::StreamKind,
    socket::{Socket, requests_begin},
};
use crate::kernel::events::{Direction, MonotonicNanos, Packet, Pid, canonical, is_loopback};

impl Timeline {
    pub(super) fn tcp_packet(&mut self, at: MonotonicNanos, pid: Pid, packet: &Packet) {
        let flags = packet.flags;
        let outgoing = packet.direction == Direction::Egress;
        // The peer's SYN or our SYN-ACK: we are the server.
        if flags.syn() && outgoing == flags.ack() {
            return;
        }
        if self.index.sockets.accepted.contains(&packet.cookie) {
            return;
        }
        let new_syn = flags.syn()
            && outgoing
            && self.connection_mut(packet.cookie).is_some_and(|known| {
                known.closed.is_some_and(|closed| closed < at)
                    // A redirected connection keeps the remote that it asked for; its packets go to our listener.
                    || (known.remote != canonical(packet.remote)
                        && (!is_loopback(packet.remote.ip()) || is_loopback(known.remote.ip())))
            });
        if new_syn {
            self.open(at, pid, packet.cookie, canonical(packet.remote));
        } else if flags.rst() && packet.payload_len == 0 {
            // A lone RST is no reason to make up a connection.
        } else {
            self.ensure(at, pid, packet.cookie, packet.remote);
        }
        self.learn_local(packet.cookie, packet.local);
        let Some(socket) = self.index.sockets.by_cookie.get_mut(&packet.cookie) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(socket.place) else {
            return;
        };
        if at < connection.opened && connection.local.is_none() {
            connection.opened = at;
        }
        if outgoing {
            sent(at, packet, connection, socket);
        } else {
            received(at, packet, connection, socket);
        }
        if packet.payload_len > 0 {
            self.payload(at, pid, packet);
        }
        if let Some(connection) = self.connection_mut(packet.cookie) {
            connection.settle();
        }
    }

    fn payload(&mut self, at: MonotonicNanos, pid: Pid, packet: &Packet) {
        let Some(socket) = self.index.sockets.by_cookie.get_mut(&packet.cookie) else {
            return;
        };
        let Some(connection) = self.connections.get_mut(socket.place) else {
            return;
        };
        match connection.stream {
            StreamKind::Dns => self.dns_segment(at, pid, packet),
            StreamKind::Plain => {}
            StreamKind::Unknown | StreamKind::Tls => {
                if over(connection) {
                    socket.handshake = None;
                } else {
                    let handshake = socket.handshake.get_or_insert_default();
                    handshake.segment(at, packet, connection);
                    if over(connection) {
                        socket.handshake = None;
                    }
                }
            }
        }
    }
}

/// The TLS handshake is over, one way or the other, or there is none.
fn over(connection: &Connection) -> bool {
    connection.handshake_done.is_some()
        || connection.client_alert.is_some()
        || connection.closed.is_some()
        || connection.stream == StreamKind::Plain
}

fn sent(at: MonotonicNanos, packet: &Packet, connection: &mut Connection, socket: &mut Socket) {
    let flags = packet.flags;
    if flags.syn() {
        socket.syns = socket.syns.saturating_add(1);
        socket.first_syn.get_or_insert(at);
        connection.syn_retransmits = connection.syn_retransmits.max(socket.syns - 1);
    }
    if flags.fin() || flags.rst() {
        connection.close_sent.get_or_insert(at);
        connection.reset_sent |= flags.rst();
    }
    if packet.payload_len > 0 {
        connection.first_out.get_or_insert(at);
        let end = u64::from(packet.stream_offset.unwrap_or(0)) + u64::from(packet.payload_len);
        connection.bytes_sent = connection.bytes_sent.max(end);
        if packet.payload_len >= gomod_ebpf_common::Flow::REQUEST_BYTES
            && requests_begin(connection).is_some_and(|begin| at > begin)
        {
            socket.first_request.get_or_insert(at);
        }
    }
}

fn received(at: MonotonicNanos, packet: &Packet, connection: &mut Connection, socket: &mut Socket) {
    let flags = packet.flags;
    if flags.syn() {
        connection.syn_ack_ttl.get_or_insert(packet.ttl);
        connection.established.get_or_insert(at);
        if socket.syns == 1
            && let Some(syn) = socket.first_syn
        {
            connection
                .handshake_rtt_us
                .get_or_insert(at.since(syn).as_micros() as u32);
        }
    }
    if flags.rst() {
        connection.rst_ttl.get_or_insert(packet.ttl);
        connection.rst_received.get_or_insert(at);
    }
    // One that overtook what was sent before it closes nothing yet: the kernel's change of state tells when it does. Further
    // on in a stream not every packet is reported.
    let overtook =
        |begin: u32| begin <= INGRESS_CAPTURE && u64::from(begin) > connection.bytes_received;
    if flags.fin() && !packet.stream_offset.is_some_and(overtook) {
        connection.fin_received.get_or_insert(at);
    }
    if packet.payload_len > 0 {
        connection.first_in.get_or_insert(at);
        let end = u64::from(packet.stream_offset.unwrap_or(0)) + u64::from(packet.payload_len);
        connection.bytes_received = connection.bytes_received.max(end);
        if socket.first_request.is_some() {
            connection.first_byte.get_or_insert(at);
        }
    }
}
