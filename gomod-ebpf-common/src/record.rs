// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records that travel through the ring buffer.

use crate::Endpoint;

/// Longest path or executable name that is reported, bytes; longer ones are cut at the end.
pub const PATH_BYTES: usize = 512;
/// Payload carried by the small packet record.
pub const SMALL_CAPTURE: usize = 512;
/// Payload carried by the medium packet record: one full segment, or a post-quantum ClientHello.
pub const MEDIUM_CAPTURE: usize = 1792;
/// Payload carried by the large packet record: a large ClientHello or DNS message.
pub const LARGE_CAPTURE: usize = 4096;
/// Sent payload is captured up to this offset of its stream (a ClientHello, the client's Finished or alert);
/// later payload is only counted.
pub const EGRESS_CAPTURE: u32 = 8192;
/// Received payload is captured up to this offset (a ServerHello, a plaintext alert).
pub const INGRESS_CAPTURE: u32 = 2048;
/// DNS messages are captured up to this offset of a TCP stream.
pub const DNS_CAPTURE: u32 = 65536;
/// Port of DNS.
pub const DNS_PORT: u16 = 53;

/// What a record is; the first field after the time in [`RecordHeader`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// [`ExecRecord`].
    Exec = 1,
    /// [`ExitRecord`].
    Exit = 2,
    /// [`ConnectRecord`].
    Connect = 3,
    /// [`ConnectResultRecord`].
    ConnectResult = 4,
    /// [`StateRecord`].
    State = 5,
    /// [`TcpRecord`].
    Tcp = 6,
    /// [`SocketErrorRecord`].
    SocketError = 7,
    /// [`PacketRecord`].
    Packet = 8,
    /// [`FileRecord`].
    File = 9,
}

/// Start of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordHeader {
    /// When it happened, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// A [`RecordKind`].
    pub kind: u32,
    /// Process (thread group) that it concerns: the owner of the socket or the current one; 0 if unknown.
    pub pid: u32,
}

/// A process of the traced cgroup has executed a new program.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExecRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Thread group that forked it; 0 if it was forked before tracing began.
    pub parent: u32,
    /// Real user id.
    pub uid: u32,
    /// Valid bytes in `filename`.
    pub filename_len: u32,
    /// Explicit padding.
    pub padding: u32,
    /// The name given to execve, not resolved.
    pub filename: [u8; PATH_BYTES],
}

/// A process of the traced cgroup has ended (its last thread is gone).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ExitRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Argument of `exit_group`, or -1 if the process did not call it (death by signal).
    pub code: i32,
    /// Explicit padding.
    pub padding: u32,
}

/// `connect` was called on a TCP socket, or on a UDP socket towards a DNS port.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnectRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// Destination.
    pub remote: Endpoint,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u32,
}

/// `connect` failed at once, before a packet left.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ConnectResultRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// Positive errno.
    pub errno: u32,
    /// Explicit padding.
    pub padding: u32,
}

/// A TCP socket changed its state.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StateRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// State before (`TCP_ESTABLISHED` = 1, `TCP_SYN_SENT` = 2, … `TCP_CLOSE` = 7).
    pub old: u32,
    /// State after.
    pub new: u32,
}

/// What a [`TcpRecord`] tells of.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpMoment {
    /// An active connection is established.
    Established = 1,
    /// The retransmission timer fired.
    Timeout = 2,
    /// A segment was sent again.
    Retransmit = 3,
    /// The socket is closing or closed; the totals are final so far.
    Closed = 4,
}

/// The kernel's own view of a TCP connection at some moment.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TcpRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// Payload bytes acknowledged by the peer (counts the SYN as one).
    pub bytes_acked: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
    /// A [`TcpMoment`].
    pub moment: u32,
    /// Smoothed round-trip time, µs (already shifted).
    pub srtt_us: u32,
    /// Retransmitted segments over the connection's life.
    pub total_retrans: u32,
    /// TCP state.
    pub state: u32,
    /// Our end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
}

/// The kernel put an error on a socket (`sock:inet_sk_error_report`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SocketErrorRecord {
    /// Common start; `pid` is 0.
    pub header: RecordHeader,
    /// Positive errno; 0 for a soft error.
    pub errno: u32,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u32,
    /// Our end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
}

/// Set in [`PacketHead::flags`]: FIN (as in the TCP header).
pub const TCP_FIN: u8 = 0x01;
/// SYN.
pub const TCP_SYN: u8 = 0x02;
/// RST.
pub const TCP_RST: u8 = 0x04;
/// PSH.
pub const TCP_PSH: u8 = 0x08;
/// ACK.
pub const TCP_ACK: u8 = 0x10;

/// [`PacketHead::direction`]: from the traced process to the network.
pub const EGRESS: u8 = 0;
/// [`PacketHead::direction`]: from the network to the traced process.
pub const INGRESS: u8 = 1;

/// A packet of a traced socket: SYN, SYN-ACK, FIN, RST, the first payload of a stream, or a DNS datagram.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PacketHead {
    /// Common start.
    pub header: RecordHeader,
    /// Socket cookie.
    pub cookie: u64,
    /// The traced process's end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// TCP sequence number; 0 for UDP.
    pub seq: u32,
    /// TCP acknowledgement number; 0 for UDP.
    pub ack: u32,
    /// Offset of the payload in its direction's stream (TCP, 0 = first byte after the SYN);
    /// `u32::MAX` if the SYN was not seen.
    pub stream_offset: u32,
    /// Payload bytes in the packet.
    pub payload_len: u32,
    /// Payload bytes that follow in this record.
    pub captured: u32,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub protocol: u8,
    /// [`EGRESS`] or [`INGRESS`].
    pub direction: u8,
    /// TCP flags; 0 for UDP.
    pub flags: u8,
    /// IP time to live or hop limit.
    pub ttl: u8,
}

/// A [`PacketHead`] with room for `N` payload bytes. The ring buffer reserves constant sizes only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PacketRecord<const N: usize> {
    /// What the packet is.
    pub head: PacketHead,
    /// Its payload; the first [`PacketHead::captured`] bytes are valid.
    pub payload: [u8; N],
}

/// A wait for a lock shorter than this is not told of, ns. The agent tells only of waits that it saw last longer.
pub const LOCK_WAIT_NS: u64 = 50_000_000;

/// A thread that may wait in `flock`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locking {
    /// Since when, ns of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
    /// The descriptor of the file to be locked.
    pub descriptor: u32,
    /// Explicit padding.
    pub padding: u32,
}

#[cfg(feature = "userspace")]
#[expect(
    unsafe_code,
    reason = "marks a plain C struct without padding as readable from a map"
)]
// SAFETY: `repr(C)`, integers only, no implicit padding, any bit pattern is valid.
unsafe impl aya::Pod for Locking {}

/// What a [`FileRecord`] tells of.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOperation {
    /// `openat` returned; `result` is the descriptor or a negative errno. Of a module file: that it is not there; and that
    /// it is, if the process had looked for it in vain, or to say where the cache is. Of a temporary file: that one of a
    /// zip was made, and that any was read.
    Open = 1,
    /// `renameat` has succeeded; `path` is the new name.
    Rename = 2,
    /// A `flock` that had waited for [`LOCK_WAIT_NS`] returned; `result` is 0 or a negative errno.
    LockDone = 4,
    /// `unlinkat` was called.
    Unlink = 5,
}

/// A traced process touched a file whose name looks like one of the module cache.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FileRecord {
    /// Common start.
    pub header: RecordHeader,
    /// Thread.
    pub tid: u32,
    /// A [`FileOperation`].
    pub operation: u32,
    /// See [`FileOperation`].
    pub result: i32,
    /// Flags of `openat`; 0 for the others.
    pub flags: u32,
    /// Valid bytes in `path`; 0 where the operation has none.
    pub path_len: u32,
    /// Explicit padding.
    pub padding: u32,
    /// The path as given by the process, relative or absolute, without the trailing NUL.
    pub path: [u8; PATH_BYTES],
}

const _: () = {
    assert!(size_of::<RecordHeader>() == 16);
    assert!(size_of::<ExecRecord>() == 16 + 16 + PATH_BYTES);
    assert!(size_of::<ExitRecord>() == 24);
    assert!(size_of::<ConnectRecord>() == 48);
    assert!(size_of::<ConnectResultRecord>() == 32);
    assert!(size_of::<StateRecord>() == 32);
    assert!(size_of::<TcpRecord>() == 96);
    assert!(size_of::<SocketErrorRecord>() == 64);
    assert!(size_of::<PacketHead>() == 88);
    assert!(size_of::<PacketRecord<SMALL_CAPTURE>>() == 88 + SMALL_CAPTURE);
    assert!(size_of::<PacketRecord<MEDIUM_CAPTURE>>() == 88 + MEDIUM_CAPTURE);
    assert!(size_of::<PacketRecord<LARGE_CAPTURE>>() == 88 + LARGE_CAPTURE);
    assert!(size_of::<FileRecord>() == 40 + PATH_BYTES);
    assert!(size_of::<Locking>() == 16);
    assert!(core::mem::offset_of!(RecordHeader, kind) == 8);
    assert!(core::mem::offset_of!(PacketRecord<SMALL_CAPTURE>, payload) == 88);
};
