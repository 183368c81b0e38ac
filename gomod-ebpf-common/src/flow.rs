// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running account of one socket, kept in the kernel and sampled by the agent.

/// Totals of one TCP or UDP socket of a traced process. Key: its socket cookie.
///
/// The kernel counts payload per packet here instead of reporting each packet; the agent reads the
/// entries of open connections a few times a second.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// When the socket was made, ns.
    pub created_ns: u64,
    /// Payload bytes sent, retransmissions included.
    pub bytes_out: u64,
    /// Payload bytes received, duplicates included.
    pub bytes_in: u64,
    /// Last packet with payload sent, ns; 0 if none.
    pub last_out_ns: u64,
    /// Last packet with payload received, ns; 0 if none.
    pub last_in_ns: u64,
    /// Last packet sent that is large enough to carry a request ([`Flow::REQUEST_BYTES`]), ns.
    pub request_ns: u64,
    /// `bytes_in` at that moment.
    pub bytes_in_at_request: u64,
    /// First payload received after that moment, ns; 0 while there is none.
    pub response_ns: u64,
    /// Initial sequence number of ours (that of the SYN), valid once `flags` says so.
    pub initial_seq_out: u32,
    /// Initial sequence number of the peer (that of the SYN-ACK), valid once `flags` says so.
    pub initial_seq_in: u32,
    /// Process (thread group) that made the socket.
    pub pid: u32,
    /// Payload bytes of the last packet received.
    pub last_in_len: u32,
    /// [`Flow::SAW_SYN`], [`Flow::SAW_SYN_ACK`], [`Flow::ASKS_STUB`].
    pub flags: u32,
    /// Number of packets large enough to carry a request.
    pub requests: u32,
    /// Highest acknowledgement of the peer, as a sequence number of ours; valid once [`Flow::SAW_SYN_ACK`] is set.
    pub acked_seq_out: u32,
    /// Always 0: fills the struct up to its alignment.
    pub padding: u32,
}

impl Flow {
    /// A packet with at least this much payload may carry a request. HTTP/2's `WINDOW_UPDATE`, PING and
    /// SETTINGS acknowledgements in a TLS record stay below; a GET's HEADERS frame does not.
    pub const REQUEST_BYTES: u32 = 56;
    /// `initial_seq_out` is known.
    pub const SAW_SYN: u32 = 1;
    /// `initial_seq_in` is known.
    pub const SAW_SYN_ACK: u32 = 2;
    /// Its questions to a nameserver were redirected to the agent's stub at least once.
    pub const ASKS_STUB: u32 = 4;
}

const _: () = assert!(size_of::<Flow>() == 96);

#[cfg(feature = "userspace")]
#[expect(
    unsafe_code,
    reason = "marks a plain C struct without padding as readable from a map"
)]
// SAFETY: `repr(C)`, integers only, no implicit padding (96 = 8×8 + 8×4), any bit pattern is valid.
unsafe impl aya::Pod for Flow {}
