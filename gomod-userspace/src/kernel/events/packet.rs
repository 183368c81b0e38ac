// SPDX-License-Identifier: MIT OR Apache-2.0
//! Packets, and what they carry.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Protocol, SocketCookie};

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the traced process.
    Egress,
    /// To the traced process.
    Ingress,
}

/// A SYN, SYN-ACK, FIN, RST, a packet of the first 8 KiB of either direction of a TCP stream, or a DNS
/// datagram. Packets that the kernel sends again are reported again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// The socket.
    pub cookie: SocketCookie,
    /// Which way.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The traced process's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// TCP flags.
    pub flags: TcpFlags,
    /// IP time to live or hop limit as seen on this machine.
    pub ttl: u8,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number; 0 in recordings that do not have it.
    #[serde(default)]
    pub ack: u32,
    /// Where the payload begins in its direction of the stream; unknown if the SYN was not seen.
    pub stream_offset: Option<u32>,
    /// Payload bytes in the packet.
    pub payload_len: u32,
    /// Payload as captured; may be shorter than the packet's.
    #[serde(with = "base64_bytes")]
    pub payload: Vec<u8>,
}

/// The flags of a TCP header, lowest byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub fn fin(self) -> bool {
        self.0 & gomod_ebpf_common::TCP_FIN != 0
    }

    /// SYN.
    pub fn syn(self) -> bool {
        self.0 & gomod_ebpf_common::TCP_SYN != 0
    }

    /// RST.
    pub fn rst(self) -> bool {
        self.0 & gomod_ebpf_common::TCP_RST != 0
    }

    /// ACK.
    pub fn ack(self) -> bool {
        self.0 & gomod_ebpf_common::TCP_ACK != 0
    }
}

mod base64_bytes {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(D::Error::custom)
    }
}
