// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers in somebody's name: to SYNs that are not let through, and resets.

use super::{FORGED_TTL, GENUINE_TTL};
use crate::addresses::{ROUTER_V4, ROUTER_V6};
use crate::fault::FaultKind;
use crate::wire::forge::{self, Forged};
use crate::wire::frame::{ACK, Packet, RST, Segment};

/// What becomes of a SYN that is not let through.
pub(super) struct Refusal {
    /// The frame to the client, if it gets one.
    pub(super) answer: Option<Vec<u8>>,
    pub(super) what: &'static str,
}

/// What `fault` does to the SYN `frame`; `None` if it lets SYNs pass.
pub(super) fn refuse(
    fault: FaultKind,
    frame: &[u8],
    packet: &Packet<'_>,
    syn: &Segment<'_>,
) -> Option<Refusal> {
    let (answer, what) = match fault {
        FaultKind::SynDrop => (None, "swallowed SYN"),
        // As the host itself would answer, TTL included.
        FaultKind::ConnectRefused => {
            let reset = to_client(packet, syn, 0, GENUINE_TTL);
            let reset = forge::segment(forge::turned_round(frame), &reset);
            (Some(reset), "RST to SYN")
        }
        FaultKind::HostUnreachable => {
            let router = if packet.source.is_ipv4() {
                ROUTER_V4.into()
            } else {
                ROUTER_V6.into()
            };
            let answer = forge::host_unreachable(forge::turned_round(frame), frame, router, 64);
            (answer, "ICMP host unreachable to SYN")
        }
        _ => return None,
    };
    Some(Refusal { answer, what })
}

/// A reset that answers `segment` in the server's name.
pub(super) fn reset_to_client(frame: &[u8], packet: &Packet<'_>, segment: &Segment<'_>) -> Vec<u8> {
    let reset = to_client(packet, segment, segment.acknowledgment, FORGED_TTL);
    forge::segment(forge::turned_round(frame), &reset)
}

/// A reset in the client's name, in place of `segment`.
pub(super) fn reset_to_server(frame: &[u8], packet: &Packet<'_>, segment: &Segment<'_>) -> Vec<u8> {
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
    forge::segment(forge::same_way(frame), &reset)
}

fn to_client(packet: &Packet<'_>, segment: &Segment<'_>, sequence: u32, ttl: u8) -> Forged {
    Forged {
        source: packet.destination,
        destination: packet.source,
        source_port: segment.destination_port,
        destination_port: segment.source_port,
        sequence,
        acknowledgment: segment.end(),
        flags: RST | ACK,
        ttl,
    }
}
