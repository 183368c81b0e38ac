// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TCP connection from `connect` to its end.

use std::net::SocketAddr;

use crate::{
    kernel::events::{MonotonicNanos, Pid, SocketCookie, Traffic, Way},
    wire::tls::{Alert, ClientHello},
};

/// Number of a connection in its run, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Closed with FIN, by either side.
    Fin,
    /// The peer, or somebody in its name, reset it.
    RstReceived,
    /// This side reset it.
    RstSent,
    /// The kernel gave up: on unanswered SYNs or, once established, on data that was never acknowledged.
    ConnectTimeout,
    /// The process gave up before the connection was established.
    Abandoned,
    /// The SYN was answered by a reset.
    Refused,
    /// No route, or the network said so.
    Unreachable,
    /// Still open when the run ended.
    Open,
}

/// What a connection carries, told by its port and first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Nothing went out yet.
    #[default]
    Unknown,
    /// TLS from the first byte on.
    Tls,
    /// DNS over TCP.
    Dns,
    /// Something else: plain HTTP, or CONNECT to a proxy.
    Plain,
}

/// The `ClientHello` as it went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHelloSeen {
    /// What it says.
    pub hello: ClientHello,
    /// Bytes on the stream, record headers included.
    pub bytes: u32,
    /// TCP segments it took, retransmissions not counted.
    pub segments: u32,
    /// Segments of it that were sent again.
    pub retransmits: u32,
    /// When its last byte went out for the first time.
    pub sent: MonotonicNanos,
}

/// The server's first answer to the `ClientHello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHelloSeen {
    /// Negotiated version ("1.3"), if it could be read.
    pub version: Option<String>,
    /// Cipher suite's IANA name, if it could be read.
    pub cipher: Option<String>,
    /// When it came in.
    pub at: MonotonicNanos,
}

/// A TCP connection of a traced process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Number in this run.
    pub id: ConnectionId,
    /// Socket.
    pub cookie: SocketCookie,
    /// Owner.
    pub pid: Pid,
    /// Where to.
    pub remote: SocketAddr,
    /// Our end, once known.
    pub local: Option<SocketAddr>,
    /// Name of the host: the SNI, else the name whose DNS answer held the address.
    pub host: Option<String>,
    /// When `connect` was called.
    pub opened: MonotonicNanos,
    /// When it was established.
    pub established: Option<MonotonicNanos>,
    /// When it was over.
    pub closed: Option<MonotonicNanos>,
    /// SYNs sent beyond the first.
    pub syn_retransmits: u32,
    /// Segments sent again, SYNs not counted.
    pub retransmits: u32,
    /// Smoothed round-trip time, µs.
    pub srtt_us: Option<u32>,
    /// From the first SYN to the SYN-ACK, µs; unknown if a SYN was sent twice.
    pub handshake_rtt_us: Option<u32>,
    /// Payload sent, bytes.
    pub bytes_sent: u64,
    /// Payload received, bytes.
    pub bytes_received: u64,
    /// Payload that the peer acknowledged, bytes.
    pub bytes_acked: u64,
    /// TTL of the SYN-ACK.
    pub syn_ack_ttl: Option<u8>,
    /// TTL of the first RST received.
    pub rst_ttl: Option<u8>,
    /// When the first RST came in.
    pub rst_received: Option<MonotonicNanos>,
    /// When the peer's FIN came in.
    pub fin_received: Option<MonotonicNanos>,
    /// When our FIN or RST went out.
    pub close_sent: Option<MonotonicNanos>,
    /// It was an RST.
    pub reset_sent: bool,
    /// What it carries.
    pub stream: StreamKind,
    /// `ClientHello`, once whole.
    pub client_hello: Option<ClientHelloSeen>,
    /// When the first payload went out (the `ClientHello` may not be whole yet, or it's no TLS).
    pub first_out: Option<MonotonicNanos>,
    /// When the first payload came in.
    pub first_in: Option<MonotonicNanos>,
    /// `ServerHello`.
    pub server_hello: Option<ServerHelloSeen>,
    /// A plaintext alert from the server before the handshake was done.
    pub server_alert: Option<(MonotonicNanos, Alert)>,
    /// The client answered the server's flight with an alert instead of its Finished.
    pub client_alert: Option<MonotonicNanos>,
    /// That alert's description, where it was sent in plaintext (TLS 1.2).
    pub client_alert_description: Option<String>,
    /// The client sent its Finished.
    pub handshake_done: Option<MonotonicNanos>,
    /// Payload received until then, bytes.
    pub bytes_received_in_handshake: u64,
    /// First payload received after the first request.
    pub first_byte: Option<MonotonicNanos>,
    /// Latest totals.
    pub traffic: Option<Traffic>,
    /// Positive errno that the kernel reported, or that `connect` returned.
    pub errno: Option<u32>,
    /// `connect` failed at once, before a packet left.
    pub failed_locally: bool,
    /// How it ended.
    pub ended: Ended,
    /// How it goes to its host.
    pub way: Way,
    /// Why it goes that way, where the accelerator decided it.
    pub why: Option<String>,
}

impl Connection {
    /// A connection of which nothing is known but that it was attempted.
    pub fn new(
        id: ConnectionId,
        cookie: SocketCookie,
        pid: Pid,
        remote: SocketAddr,
        opened: MonotonicNanos,
    ) -> Self {
        Self {
            id,
            cookie,
            pid,
            remote,
            local: None,
            host: None,
            opened,
            established: None,
            closed: None,
            syn_retransmits: 0,
            retransmits: 0,
            srtt_us: None,
            handshake_rtt_us: None,
            bytes_sent: 0,
            bytes_received: 0,
            bytes_acked: 0,
            syn_ack_ttl: None,
            rst_ttl: None,
            rst_received: None,
            fin_received: None,
            close_sent: None,
            reset_sent: false,
            stream: StreamKind::Unknown,
            client_hello: None,
            first_out: None,
            first_in: None,
            server_hello: None,
            server_alert: None,
            client_alert: None,
            client_alert_description: None,
            handshake_done: None,
            bytes_received_in_handshake: 0,
            first_byte: None,
            traffic: None,
            errno: None,
            failed_locally: false,
            ended: Ended::Open,
            way: Way::Direct,
            why: None,
        }
    }

    /// The best round-trip time known, µs: the kernel's, else that of the TCP handshake.
    pub fn rtt_us(&self) -> Option<u32> {
        self.srtt_us.or(self.handshake_rtt_us)
    }

    /// When the peer, or somebody in its name, reset the connection before this side closed it.
    pub fn reset_by_peer(&self) -> Option<MonotonicNanos> {
        self.rst_received
            .filter(|rst| self.close_sent.is_none_or(|close| *rst <= close))
    }

    /// When the peer closed the connection before this side did.
    pub fn closed_by_peer(&self) -> Option<MonotonicNanos> {
        self.fin_received
            .filter(|fin| self.close_sent.is_none_or(|close| *fin <= close))
    }

    /// `host (address:port)`, or the address alone.
    pub fn peer(&self) -> String {
        match &self.host {
            Some(host) => format!("{host} ({})", self.remote),
            None => self.remote.to_string(),
        }
    }

    /// Tells from the facts how the connection ended; called again whenever a fact comes late.
    pub(super) fn settle(&mut self) {
        if self.closed.is_none() {
            return;
        }
        self.ended = match (self.established, self.errno) {
            (None, Some(ETIMEDOUT)) => Ended::ConnectTimeout,
            (None, Some(ECONNREFUSED)) => Ended::Refused,
            // A socket that is given up before it is connected has this error from its own kernel (`tcp_disconnect`).
            (None, Some(ECONNRESET) | None) if self.rst_received.is_some() => Ended::Refused,
            (None, Some(ECONNRESET) | None) => Ended::Abandoned,
            (None, Some(_)) => Ended::Unreachable,
            (Some(_), _) if self.reset_by_peer().is_some() => Ended::RstReceived,
            (Some(_), _) if self.reset_sent => Ended::RstSent,
            (Some(_), Some(ECONNRESET)) if self.close_sent.is_none() => Ended::RstReceived,
            (Some(_), Some(ETIMEDOUT)) => Ended::ConnectTimeout,
            (Some(_), _) => Ended::Fin,
        };
    }
}

const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
