// SPDX-License-Identifier: MIT OR Apache-2.0
//! The middlebox halfway along the link: looks at every frame, lets it pass, swallows it, or answers in someone's name.

mod beginning;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;

use self::beginning::{Connection, Judgement, reads_hellos};
use self::refusal::{refuse, reset_to_client, reset_to_server};
use crate::addresses::{Host, family_of, nobody};
use crate::fault::Fault;
use crate::log::Log;
use crate::wire::frame::{Packet, Segment, packet};

/// TTL of forged resets as the client sees them. Genuine packets come with [`GENUINE_TTL`].
pub const FORGED_TTL: u8 = 113;

/// TTL of the servers' packets as the client sees them: 64 less the routers on the way.
pub const GENUINE_TTL: u8 = 64 - crate::net::link::ROUTERS;

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

/// The state of the box.
#[derive(Debug)]
pub(crate) struct Middlebox {
    hosts: Vec<Host>,
    nobody: Host,
    log: Log,
    connections: HashMap<Flow, Connection>,
    forged: Vec<(Direction, Vec<u8>)>,
}

impl Middlebox {
    pub(crate) fn new(hosts: Vec<Host>, log: Log) -> Self {
        Self {
            hosts,
            nobody: nobody(),
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
            // A machine that forwards would say that there is nobody.
            Direction::ToInternet if self.nobody.has(packet.destination) => false,
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
        let refusal = faults
            .iter()
            .filter(|fault| fault.concerns(&host, family))
            .find_map(|fault| {
                refuse(fault.kind, frame, packet, segment).map(|refusal| (fault.kind, refusal))
            });
        if let Some((kind, refusal)) = refusal {
            let answer = refusal.answer.map(|answer| (Direction::ToClient, answer));
            self.forged.extend(answer);
            let what = format!("{} from port {}", refusal.what, segment.source_port);
            self.log.act(kind, host, what);
            return false;
        }
        if self.connections.len() >= REMEMBERED {
            self.connections.clear();
        }
        if faults.iter().any(|fault| reads_hellos(fault.kind)) {
            let segment_size = segment.maximum_size().map_or(USUAL_SEGMENT, usize::from);
            let connection = Connection::new(segment.end(), segment_size);
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
        let doomed = connection.read(segment, faults, family_of(&packet.destination));
        let judged = connection.judged;
        if let Some((kind, host)) = doomed {
            let what = if judged == Judgement::Reset {
                "RST to both ends"
            } else {
                "swallowed from here on"
            };
            let what = format!("ClientHello from port {}: {what}", segment.source_port);
            self.log.act(kind, host, what);
        }
        match judged {
            Judgement::Swallow => false,
            Judgement::Reset => {
                if !segment.payload.is_empty() {
                    self.forged.extend([
                        (Direction::ToClient, reset_to_client(frame, packet, segment)),
                        (
                            Direction::ToInternet,
                            reset_to_server(frame, packet, segment),
                        ),
                    ]);
                }
                false
            }
            Judgement::Open | Judgement::Pass => true,
        }
    }

    fn name_of(&self, address: IpAddr) -> String {
        self.hosts
            .iter()
            .find(|host| host.has(address))
            .map_or_else(|| address.to_string(), |host| host.name.clone())
    }
}

fn flow_of(packet: &Packet<'_>, segment: &Segment<'_>) -> Flow {
    Flow {
        client: (packet.source, segment.source_port),
        server: (packet.destination, segment.destination_port),
    }
}
