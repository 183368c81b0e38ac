// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel reports, as values: the only thing the timeline is built from.
//!
//! Events can be written and read as JSON lines (`run --record FILE`), so that a run can be told again.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Sub,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

mod attempt;
mod caches;
mod carried;
mod nameserver;
mod packet;

pub use attempt::{Attempt, AttemptFailure, AttemptStep, OwnHello};
pub use caches::{CacheSource, Caches};
pub use carried::{Answered, FetchedAhead, Source, Way};
pub use nameserver::{NameAnswered, NameAsked, NameReply, NameSource};
pub use packet::{Direction, Packet, TcpFlags};

/// A moment of `CLOCK_MONOTONIC`, nanoseconds since boot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MonotonicNanos(pub u64);

impl MonotonicNanos {
    /// Time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Sub for MonotonicNanos {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl std::ops::Add<Duration> for MonotonicNanos {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_nanos() as u64))
    }
}

/// A process (thread group) id.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The kernel's identity of a socket, unique until reboot.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SocketCookie(pub u64);

/// Something that happened, when, and to which process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: MonotonicNanos,
    /// The process concerned: owner of the socket, or the one that acted; 0 if unknown.
    pub pid: Pid,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// Tells that `count` events found no room; nothing if none did.
    pub fn lost(at: MonotonicNanos, count: u64) -> Option<Self> {
        (count > 0).then_some(Self {
            at,
            pid: Pid(0),
            kind: EventKind::Lost { count },
        })
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A program was executed.
    Exec(Exec),
    /// The process ended; `code` is unknown for a death by signal.
    Exit {
        /// Argument of `exit_group`.
        code: Option<i32>,
    },
    /// `connect` was called, or a datagram sent from an unconnected socket.
    Connect {
        /// The socket.
        cookie: SocketCookie,
        /// Where to.
        remote: SocketAddr,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// `connect` failed before any packet left.
    ConnectFailed {
        /// The socket.
        cookie: SocketCookie,
        /// Positive errno.
        errno: u32,
    },
    /// A TCP socket changed its state.
    State {
        /// The socket.
        cookie: SocketCookie,
        /// Before.
        old: TcpState,
        /// After.
        new: TcpState,
    },
    /// The kernel's view of a connection at some moment.
    Tcp(Tcp),
    /// The kernel put an error on a socket; matched by its two ends.
    SocketError {
        /// Positive errno; 0 for a soft error.
        errno: u32,
        /// TCP or UDP.
        protocol: Protocol,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// A packet that tells something: see [`Packet`].
    Packet(Packet),
    /// A file of the module cache was touched, or the first one of a build cache opened.
    File(File),
    /// Totals of a connection that is open, sampled.
    Traffic(Traffic),
    /// Size of a file that a process is writing, sampled.
    FileSize {
        /// Absolute path.
        path: PathBuf,
        /// Bytes so far.
        bytes: u64,
    },
    /// Who holds the lock that a process waits for.
    LockHolder {
        /// Absolute path of the lock file.
        path: PathBuf,
        /// The holder.
        holder: Pid,
        /// Its command line, words joined by spaces; empty if unknown.
        command: String,
    },
    /// The accelerator decided how a redirected connection is carried.
    Carried {
        /// The socket of the process.
        cookie: SocketCookie,
        /// How.
        way: Way,
        /// Why so.
        why: String,
        /// The host that it names.
        host: Option<String>,
    },
    /// The accelerator has answered a request.
    Answered(Answered),
    /// How much the accelerator has fetched before it was asked for, so far.
    FetchedAhead(FetchedAhead),
    /// The accelerator opens a connection to a host.
    Attempt(Attempt),
    /// The DNS stub has answered a question.
    NameAnswered(NameAnswered),
    /// The DNS stub has asked a nameserver.
    NameAsked(NameAsked),
    /// Where the caches of a `go` process lie became known.
    Caches(Caches),
    /// Events that the ring buffer, or a queue on the way to the timeline, had no room for since the last report of this
    /// kind.
    Lost {
        /// How many.
        count: u64,
    },
}

/// A program was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Who forked the process; 0 if that was before tracing began.
    pub parent: Pid,
    /// Real user id.
    pub uid: u32,
    /// Resolved executable, or the name given to `execve` where the process was gone too soon.
    pub exe: PathBuf,
    /// Arguments; empty if the process was gone too soon.
    pub argv: Vec<String>,
    /// Working directory.
    pub cwd: Option<PathBuf>,
    /// Version of the `go` command ("go1.27.3"), set only where the executable is one: its file is named
    /// `go` and its build info names `cmd/go`.
    pub go_version: Option<String>,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// TCP states as the kernel numbers them (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are RFC 9293's")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynReceived,
    Unknown,
}

/// When a [`Tcp`] view was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TcpMoment {
    /// The active connection was established.
    Established,
    /// The retransmission timer fired.
    Timeout,
    /// A segment was sent again.
    Retransmit,
    /// The connection closed.
    Closed,
}

/// The kernel's view of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tcp {
    /// The socket.
    pub cookie: SocketCookie,
    /// When this view was taken.
    pub moment: TcpMoment,
    /// State.
    pub state: TcpState,
    /// Smoothed round-trip time, µs; 0 if not measured.
    pub srtt_us: u32,
    /// Segments sent again over the connection's life.
    pub total_retransmits: u32,
    /// Payload acknowledged by the peer, plus one for the SYN.
    pub bytes_acked: u64,
    /// Payload received in order.
    pub bytes_received: u64,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOperation {
    /// `openat` returned; `result` is the descriptor or a negative errno. Not told of each file that is there: see
    /// [`gomod_ebpf_common::FileOperation`].
    Open,
    /// `renameat` has succeeded; the path is the new name.
    Rename,
    /// `flock` was called and may now wait.
    LockWait,
    /// That `flock` returned; `result` is 0 or a negative errno.
    LockDone,
    /// `unlinkat` was called.
    Unlink,
}

/// A file of the module cache was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Thread.
    pub tid: u32,
    /// What was done.
    pub operation: FileOperation,
    /// See [`FileOperation`].
    pub result: i32,
    /// Flags of `openat` or the operation of `flock`.
    pub flags: u32,
    /// Absolute path, lexically cleaned. For the lock operations: the lock file's.
    pub path: PathBuf,
}

/// Totals of an open connection. Payload bytes as they passed the machine's IP layer; see
/// [`gomod_ebpf_common::Flow`] for what each one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// The socket.
    pub cookie: SocketCookie,
    /// Payload sent.
    pub bytes_out: u64,
    /// Payload received.
    pub bytes_in: u64,
    /// Last payload sent.
    pub last_out: Option<MonotonicNanos>,
    /// Last payload received.
    pub last_in: Option<MonotonicNanos>,
    /// Last packet sent that may carry a request.
    pub request: Option<MonotonicNanos>,
    /// Payload received before that request.
    pub bytes_in_at_request: u64,
    /// First payload received after it.
    pub response: Option<MonotonicNanos>,
    /// Packets sent that may carry a request.
    pub requests: u32,
    /// Payload of the last packet received, bytes.
    pub last_in_len: u32,
    /// Payload that the peer has acknowledged, of the first 4 GiB; 0 in recordings that do not have it.
    #[serde(default)]
    pub bytes_acked: u64,
}

/// An address without its port, v4-mapped ones as IPv4.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// True for an address that cannot be reached through a network: loopback.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
