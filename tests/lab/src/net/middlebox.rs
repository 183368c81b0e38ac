// SPDX-License-Identifier: MIT OR Apache-2.0
//! The middlebox halfway along the link: looks at every frame, lets it pass, swallows it, or answers in someone's name.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::addresses::{Host, ROUTER_V4, ROUTER_V6, family_of};
use crate::fault::{Fault, FaultKind};
use crate::log::Log;
use crate::wire::client_hello::{ClientHello, Inspection, inspect};
use crate::wire::forge::{self, Forged};
use crate::wire::frame::{ACK, Packet, RST, Segment, packet};

/// TTL of forged resets as the client sees them. Genuine packets come with [`GENUINE_TTL`].
pub const FORGED_TTL: u8 = 113;

/// TTL of the servers' packets as the client sees them: 64 less the routers on the way.
pub const GENUINE_TTL: u8 = 64 - crate::net::link::ROUTERS;

/// Bytes of a connection's beginning that are looked at.
const LOOKED_AT: usize = 32 * 1024;
/// Bytes of a segment on Ethernet where the SYN names none.
const USUAL_SEGMENT: usize = 1460;
/// Connections remembered; beyond this the table starts anew, as tables of middleboxes do.
const REMEMBERED: usize = 65_536;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    ToInternet,
    ToClient,
}

impl Direction {
    pub(crate) const fn reverse(self) -> Self {
        match self {
            Self::ToInternet => Self::ToClient,
            Self::ToClient => Self::ToInternet,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Flow {
    client: (IpAddr, u16),
    server: (IpAddr, u16),
}

/// A connection from the client, from its SYN on.
#[derive(Debug)]
struct Connection {
    /// Sequence number of the client's first byte.
    first: u32,
    segment: usize,
    /// The client's first bytes, as far as they came without gap.
    beginning: Vec<u8>,
    /// Segments that came before their turn.
    early: Vec<(u32, Vec<u8>)>,
    judged: Judgement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    Open,
    Pass,
    Swallow,
    Reset,
}

/// The state of the box.
#[derive(Debug)]
pub(crate) struct Middlebox {
    hosts: Vec<Host>,
    log: Log,
    connections: HashMap<Flow, Connection>,
    forged: Vec<(Direction, Vec<u8>)>,
}

impl Middlebox {
    pub(crate) fn new(hosts: Vec<Host>, log: Log) -> Self {
        Self {
            hosts,
            log,
            connections: HashMap::new(),
            forged: Vec::new(),
        }
    }

    /// Frames made since the last call, each with its direction. To be asked for after every [`Self::passes`].
    pub(crate) fn take_forged(&mut self) -> std::vec::Drain<'_, (Direction, Vec<u8>)> {
        self.forged.drain(..)
    }

    /// True if `frame` goes on.
    pub(crate) fn passes(&mut self, direction: Direction, frame: &[u8], faults: &[Fault]) -> bool {
        if faults.is_empty() && self.connections.is_empty() {
            return true;
        }
        let Some(packet) = packet(frame) else {
            return true;
        };
        let Some(segment) = packet.segment() else {
            return true;
        };
        match direction {
            Direction::ToInternet => {
                if segment.opens() {
                    return self.passes_syn(frame, &packet, &segment, faults);
                }
                self.passes_client(frame, &packet, &segment, faults)
            }
            Direction::ToClient => {
                let flow = Flow {
                    client: (packet.destination, segment.destination_port),
                    server: (packet.source, segment.source_port),
                };
                !self.connections.get(&flow).is_some_and(|connection| {
                    matches!(connection.judged, Judgement::Swallow | Judgement::Reset)
                })
            }
        }
    }

    fn passes_syn(
        &mut self,
        frame: &[u8],
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        faults: &[Fault],
    ) -> bool {
        let host = self.name_of(packet.destination);
        let family = family_of(&packet.destination);
        for fault in faults.iter().filter(|fault| fault.concerns(&host, family)) {
            match fault.kind {
                FaultKind::SynDrop => {
                    self.log.act(
                        fault.kind,
                        host,
                        format!("swallowed SYN from port {}", segment.source_port),
                    );
                    return false;
                }
                FaultKind::ConnectRefused => {
                    // As the host itself would answer, TTL included.
                    self.forge_to_client(frame, packet, segment, 0, GENUINE_TTL);
                    self.log.act(
                        fault.kind,
                        host,
                        format!("RST to SYN from port {}", segment.source_port),
                    );
                    return false;
                }
                FaultKind::HostUnreachable => {
                    let router = if packet.source.is_ipv4() {
                        ROUTER_V4.into()
                    } else {
                        ROUTER_V6.into()
                    };
                    let answer =
                        forge::host_unreachable(forge::turned_round(frame), frame, router, 64);
                    self.forged
                        .extend(answer.map(|answer| (Direction::ToClient, answer)));
                    self.log.act(
                        fault.kind,
                        host,
                        format!(
                            "ICMP host unreachable to SYN from port {}",
                            segment.source_port
                        ),
                    );
                    return false;
                }
                _ => {}
            }
        }
        if self.connections.len() >= REMEMBERED {
            self.connections.clear();
        }
        if faults.iter().any(|fault| reads_hellos(fault.kind)) {
            let connection = Connection {
                first: segment.end(),
                segment: segment.maximum_size().map_or(USUAL_SEGMENT, usize::from),
                beginning: Vec::new(),
                early: Vec::new(),
                judged: Judgement::Open,
            };
            self.connections
                .insert(flow_of(packet, segment), connection);
        }
        true
    }

    fn passes_client(
        &mut self,
        frame: &[u8],
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        faults: &[Fault],
    ) -> bool {
        let flow = flow_of(packet, segment);
        let Some(connection) = self.connections.get_mut(&flow) else {
            return true;
        };
        if connection.judged == Judgement::Open && !segment.payload.is_empty() {
            connection.add(segment.sequence, segment.payload);
            let segment_size = connection.segment;
            let inspected = inspect(&connection.beginning);
            let too_long = connection.beginning.len() >= LOOKED_AT;
            let (hello, complete) = match inspected {
                Inspection::Complete(hello) => (hello, true),
                Inspection::Incomplete(hello) => (hello, too_long),
                Inspection::NotHello => (ClientHello::default(), true),
            };
            let found = faults.iter().find_map(|fault| {
                judge(fault, &hello, segment_size, family_of(&packet.destination))
                    .map(|judgement| (judgement, fault.kind))
            });
            if let Some((judgement, kind)) = found {
                connection.judged = judgement;
                let host = hello.server_name.clone().unwrap_or_default();
                let what = if judgement == Judgement::Reset {
                    "RST to both ends"
                } else {
                    "swallowed from here on"
                };
                self.log.act(
                    kind,
                    host,
                    format!("ClientHello from port {}: {what}", segment.source_port),
                );
            } else if complete {
                connection.judged = Judgement::Pass;
                connection.beginning = Vec::new();
            }
        }
        match self
            .connections
            .get(&flow)
            .map(|connection| connection.judged)
        {
            Some(Judgement::Swallow) => false,
            Some(Judgement::Reset) => {
                if !segment.payload.is_empty() {
                    self.forge_to_client(
                        frame,
                        packet,
                        segment,
                        segment.acknowledgment,
                        FORGED_TTL,
                    );
                    let reset = Forged {
                        source: packet.source,
                        destination: packet.destination,
                        source_port: segment.source_port,
                        destination_port: segment.destination_port,
                        sequence: segment.sequence,
                        acknowledgment: segment.acknowledgment,
                        flags: RST | ACK,
                        ttl: FORGED_TTL,
                    };
                    self.forged.push((
                        Direction::ToInternet,
                        forge::segment(forge::same_way(frame), &reset),
                    ));
                }
                false
            }
            Some(Judgement::Open | Judgement::Pass) | None => true,
        }
    }

    /// A reset that answers `segment` in the server's name.
    fn forge_to_client(
        &mut self,
        frame: &[u8],
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        sequence: u32,
        ttl: u8,
    ) {
        let reset = Forged {
            source: packet.destination,
            destination: packet.source,
            source_port: segment.destination_port,
            destination_port: segment.source_port,
            sequence,
            acknowledgment: segment.end(),
            flags: RST | ACK,
            ttl,
        };
        self.forged.push((
            Direction::ToClient,
            forge::segment(forge::turned_round(frame), &reset),
        ));
    }

    fn name_of(&self, address: IpAddr) -> String {
        self.hosts
            .iter()
            .find(|host| IpAddr::V4(host.v4) == address || IpAddr::V6(host.v6) == address)
            .map_or_else(|| address.to_string(), |host| host.name.clone())
    }
}

impl Connection {
    /// Takes a segment in, whatever order they come in.
    fn add(&mut self, sequence: u32, payload: &[u8]) {
        if self.early.len() < 64 {
            self.early.push((sequence, payload.to_vec()));
        }
        loop {
            let next = self.first.wrapping_add(self.beginning.len() as u32);
            let before = self.beginning.len();
            self.early.retain(|(sequence, bytes)| {
                // How far into this segment the wanted byte lies; "negative" for one that is still too early.
                let skip = next.wrapping_sub(*sequence) as usize;
                if skip >= 1 << 31 {
                    return true;
                }
                if self.beginning.len() == before && skip < bytes.len() {
                    self.beginning.extend_from_slice(&bytes[skip..]);
                    return false;
                }
                skip < bytes.len()
            });
            if self.beginning.len() == before {
                return;
            }
        }
    }
}

fn flow_of(packet: &Packet<'_>, segment: &Segment<'_>) -> Flow {
    Flow {
        client: (packet.source, segment.source_port),
        server: (packet.destination, segment.destination_port),
    }
}

const fn reads_hellos(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::SniReset | FaultKind::SniDrop | FaultKind::LargeHelloDrop
    )
}

fn judge(
    fault: &Fault,
    hello: &ClientHello,
    segment: usize,
    family: crate::addresses::Family,
) -> Option<Judgement> {
    let named = hello
        .server_name
        .as_deref()
        .is_some_and(|name| fault.concerns(name, family));
    match fault.kind {
        FaultKind::SniReset if named => Some(Judgement::Reset),
        FaultKind::SniDrop if named => Some(Judgement::Swallow),
        FaultKind::LargeHelloDrop
            if named && hello.length.is_some_and(|length| length > segment) =>
        {
            Some(Judgement::Swallow)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::{PROXY, tls_hosts};
    use crate::wire::frame::{ETHERNET, SYN};

    /// A `ClientHello` for `proxy.golang.org`, as short as can be.
    fn hello() -> Vec<u8> {
        let name = PROXY.as_bytes();
        let length = |bytes: usize| (bytes as u16).to_be_bytes();
        let server_name = [&length(name.len() + 3)[..], &[0], &length(name.len()), name].concat();
        let extensions = [&[0, 0][..], &length(server_name.len()), &server_name].concat();
        let body = [
            &[3, 3][..],
            &[0; 32],
            &[0, 0, 2, 0x13, 1, 1, 0],
            &length(extensions.len()),
            &extensions,
        ]
        .concat();
        [
            &[22, 3, 1][..],
            &length(body.len() + 4),
            &[1, 0],
            &length(body.len()),
            &body,
        ]
        .concat()
    }

    /// A frame from the client to the proxy.
    fn frame(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut ethernet = [0; ETHERNET];
        ethernet[12..].copy_from_slice(&[0x08, 0x00]);
        let segment = Forged {
            source: "198.18.0.2".parse().unwrap(),
            destination: "198.18.2.1".parse().unwrap(),
            source_port: 40_000,
            destination_port: 443,
            sequence,
            acknowledgment: 5000,
            flags,
            ttl: 64,
        };
        let mut frame = forge::segment(ethernet, &segment);
        frame.extend_from_slice(payload);
        let total = ((frame.len() - ETHERNET) as u16).to_be_bytes();
        frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&total);
        frame
    }

    fn middlebox() -> Middlebox {
        Middlebox::new(tls_hosts(&[]), Log::new())
    }

    fn forged(middlebox: &mut Middlebox) -> Vec<(Direction, u32, u32)> {
        middlebox
            .take_forged()
            .map(|(direction, frame)| {
                let segment = packet(&frame).unwrap().segment().unwrap();
                assert!(segment.has(RST));
                (direction, segment.sequence, segment.acknowledgment)
            })
            .collect()
    }

    #[test]
    fn a_hello_in_pieces_out_of_order_is_reset_at_both_ends_where_they_are() {
        let faults = [Fault::from(FaultKind::SniReset)];
        let (hello, mut middlebox) = (hello(), middlebox());
        let (first, second) = hello.split_at(20);
        assert!(middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
        assert!(middlebox.passes(Direction::ToInternet, &frame(120, ACK, second), &faults));
        assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, first), &faults));
        assert_eq!(
            forged(&mut middlebox),
            [
                (Direction::ToClient, 5000, 120),
                (Direction::ToInternet, 100, 5000)
            ]
        );
        // A retransmission, because a reset was lost, is answered again.
        assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, &hello), &faults));
        assert_eq!(forged(&mut middlebox).len(), 2);
    }

    #[test]
    fn a_dropped_name_takes_the_whole_connection_with_it() {
        let faults = [Fault::from(FaultKind::SniDrop)];
        let mut middlebox = middlebox();
        assert!(middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
        assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, &hello()), &faults));
        assert!(!middlebox.passes(Direction::ToInternet, &frame(100, ACK, &[]), &faults));
        assert!(forged(&mut middlebox).is_empty());
    }

    #[test]
    fn size_is_held_against_the_segment_size_of_the_syn() {
        let faults = [Fault::from(FaultKind::LargeHelloDrop)];
        let mut large = hello();
        // A record and a message that promise more than a segment: the rest has yet to come.
        large[3..5].copy_from_slice(&1600u16.to_be_bytes());
        large[7..9].copy_from_slice(&1596u16.to_be_bytes());
        for (hello, passes) in [(hello(), true), (large, false)] {
            let mut middlebox = middlebox();
            assert!(middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
            assert_eq!(
                middlebox.passes(Direction::ToInternet, &frame(100, ACK, &hello), &faults),
                passes
            );
        }
    }

    #[test]
    fn a_refusal_acknowledges_the_syn() {
        let faults = [Fault::from(FaultKind::ConnectRefused)];
        let mut middlebox = middlebox();
        assert!(!middlebox.passes(Direction::ToInternet, &frame(99, SYN, &[]), &faults));
        assert_eq!(forged(&mut middlebox), [(Direction::ToClient, 0, 100)]);
    }
}
