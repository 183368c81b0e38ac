// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was asked and answered, for the timeline.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::kernel::events::MonotonicNanos;

/// Something the stub did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A client got its answer.
    Answered(Answered),
    /// A nameserver was asked.
    Exchanged(Exchanged),
}

/// A client's query and the answer that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The client's end. Its port tells the socket.
    pub client: SocketAddr,
    /// How the client asked.
    pub transport: ClientTransport,
    /// The client's transaction number.
    pub id: u16,
    /// The name asked for, lower case, without the dot at its end; the root is `.`. Empty if the query could not be
    /// read and was passed on as it was.
    pub name: String,
    /// The type asked for, such as `AAAA`; `TYPEn` if unknown (RFC 3597). Empty as [`Answered::name`].
    pub qtype: String,
    /// The nameserver that the client asked.
    pub server: SocketAddr,
    /// When the query was read.
    pub received_at: MonotonicNanos,
    /// When the answer was sent.
    pub answered_at: MonotonicNanos,
    /// The response code by its IANA name, such as `NOERROR`.
    pub rcode: String,
    /// The addresses in the answer.
    pub answers: Vec<IpAddr>,
    /// Where the answer came from.
    pub source: AnswerSource,
    /// What the network took to give this answer, when it was fetched.
    pub fetched_in: Duration,
}

/// How a client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientTransport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerSource {
    /// A nameserver, while the client waited.
    Network,
    /// An earlier answer that still holds.
    Cache,
    /// As [`AnswerSource::Cache`], fetched before anybody asked.
    Prewarmed,
    /// An earlier answer that had expired up to 30 seconds ago, while all nameservers were silent.
    Stale,
}

/// One question sent to one nameserver, and what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The nameserver, as in resolv.conf, or as the user gave it.
    pub server: String,
    /// How it was asked.
    pub transport: UpstreamTransport,
    /// The name asked for, as in [`Answered::name`].
    pub name: String,
    /// The type asked for, as in [`Answered::qtype`].
    pub qtype: String,
    /// The how many-th question to any server for this answer; from 1.
    pub attempt: u32,
    /// When the question was sent.
    pub sent_at: MonotonicNanos,
    /// What became of it.
    pub outcome: ExchangeOutcome,
}

/// How a nameserver was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamTransport {
    /// One datagram each way.
    Udp,
    /// A TCP connection.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
}

/// What became of a question to a nameserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// It answered.
    Answered {
        /// From question to answer.
        latency: Duration,
        /// The response code by its IANA name.
        rcode: String,
    },
    /// No answer within this time, or none until it was no longer needed.
    Silent {
        /// How long it was waited for.
        waited: Duration,
        /// Whether it was waited for as long as anybody would; else another server's answer was enough.
        given_up: bool,
    },
    /// The network or the server turned it down.
    Failed {
        /// From question to failure.
        after: Duration,
        /// What went wrong, in plain words.
        error: String,
    },
}

/// `CLOCK_MONOTONIC`, the clock of the kernel's events.
pub(super) fn now() -> MonotonicNanos {
    let now = clock_gettime(ClockId::Monotonic);
    MonotonicNanos((now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64)
}
