// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a TLS handshake from the packets of both directions, as far as it is in plaintext.

use super::{
    Connection,
    connection::{ClientHelloSeen, ServerHelloSeen, StreamKind},
};
use crate::{
    kernel::events::{Direction, MonotonicNanos, Packet},
    wire::{
        Parsed,
        stream::{Inserted, Reassembly},
        tls::{
            Alert, ClientHello, ClientReaction, ContentType, ServerHello, client_reaction, records,
        },
    },
};

/// First byte of a handshake record (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// Payload of a full segment on an MTU of 1500 bytes, without TCP options: what one packet larger than that
/// is cut into after the place where it is seen.
const SEGMENT_BYTES_V4: u32 = 1460;
const SEGMENT_BYTES_V6: u32 = 1440;

/// The beginning of both directions of a stream; dropped when the handshake is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Handshake {
    sent: Reassembly,
    received: Reassembly,
    segments: u32,
    retransmits: u32,
}

impl Handshake {
    /// Takes a packet with payload into account.
    pub(super) fn segment(
        &mut self,
        at: MonotonicNanos,
        packet: &Packet,
        connection: &mut Connection,
    ) {
        let Some(offset) = packet.stream_offset else {
            return;
        };
        match packet.direction {
            Direction::Egress => self.sent(at, offset, packet, connection),
            Direction::Ingress => {
                self.received.insert(u64::from(offset), &packet.payload);
                self.read_server(at, connection);
                // The client's answer may have been delivered before the hello that it answers.
                self.read_reaction(at, connection);
            }
        }
    }

    fn sent(
        &mut self,
        at: MonotonicNanos,
        offset: u32,
        packet: &Packet,
        connection: &mut Connection,
    ) {
        let inserted = self.sent.insert(u64::from(offset), &packet.payload);
        let before_answer = connection.first_in.is_none();
        match inserted {
            Inserted::Retransmission if before_answer => {
                self.retransmits = self.retransmits.saturating_add(1);
            }
            Inserted::New | Inserted::BeyondCapacity if connection.client_hello.is_none() => {
                let full = if packet.remote.is_ipv6() {
                    SEGMENT_BYTES_V6
                } else {
                    SEGMENT_BYTES_V4
                };
                self.segments = self
                    .segments
                    .saturating_add(packet.payload_len.div_ceil(full));
            }
            _ => {}
        }
        if connection.stream == StreamKind::Unknown {
            match self.sent.contiguous().first() {
                Some(&HANDSHAKE_RECORD) => connection.stream = StreamKind::Tls,
                Some(_) => connection.stream = StreamKind::Plain,
                None => {}
            }
        }
        if let Some(hello) = &mut connection.client_hello {
            hello.retransmits = self.retransmits;
        } else {
            self.read_client(at, connection);
        }
        self.read_reaction(at, connection);
    }

    fn read_client(&self, at: MonotonicNanos, connection: &mut Connection) {
        match ClientHello::parse(self.sent.contiguous()) {
            Ok(Parsed::Complete {
                value: hello,
                consumed,
            }) => {
                if hello.server_name.is_some() {
                    connection.host.clone_from(&hello.server_name);
                }
                connection.stream = StreamKind::Tls;
                connection.client_hello = Some(ClientHelloSeen {
                    hello,
                    bytes: consumed as u32,
                    segments: self.segments,
                    retransmits: self.retransmits,
                    sent: at,
                });
            }
            Ok(Parsed::Incomplete { .. }) => {}
            Err(_) if self.sent.contiguous().is_empty() => {}
            Err(_) => connection.stream = StreamKind::Plain,
        }
    }

    fn read_server(&self, at: MonotonicNanos, connection: &mut Connection) {
        let stream = self.received.contiguous();
        let mut retried = 0;
        for record in records(stream) {
            let Ok(record) = record else {
                return;
            };
            match record.content_type {
                ContentType::Alert => {
                    if connection.server_alert.is_none()
                        && let Some(bytes) = stream.get(record.offset..)
                        && let Ok(Parsed::Complete { value, .. }) = Alert::parse(bytes)
                    {
                        connection.server_alert = Some((at, value));
                    }
                    return;
                }
                ContentType::Handshake
                    if connection.server_hello.is_none() && record.offset >= retried =>
                {
                    let bytes = stream.get(record.offset..).unwrap_or_default();
                    let Ok(Parsed::Complete { value, consumed }) = ServerHello::parse(bytes) else {
                        return;
                    };
                    if value.hello_retry_request {
                        retried = record.offset + consumed.max(1);
                        continue;
                    }
                    connection.server_hello = Some(ServerHelloSeen {
                        version: value.version,
                        cipher: Some(value.cipher),
                        at,
                    });
                }
                _ => {}
            }
        }
    }

    fn read_reaction(&self, at: MonotonicNanos, connection: &mut Connection) {
        let (Some(hello), Some(server)) = (&connection.client_hello, &connection.server_hello)
        else {
            return;
        };
        let stream = self.sent.contiguous();
        let rest = stream.get(hello.bytes as usize..).unwrap_or_default();
        match client_reaction(rest) {
            Some(ClientReaction::Continues) => done(at, connection),
            Some(ClientReaction::Alert { description }) => {
                connection.client_alert = Some(at.max(server.at));
                connection.client_alert_description = description;
            }
            // Bytes beyond a gap: an event was lost, but the client did go on.
            None if self.sent.has_gap() => done(at, connection),
            None => {}
        }
    }
}

fn done(at: MonotonicNanos, connection: &mut Connection) {
    connection.handshake_done = Some(at);
    connection.bytes_received_in_handshake = connection.bytes_received;
}
