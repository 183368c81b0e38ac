// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the worker is asked to do, and what it saw: the words of the pipe between the two.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::nameserver::DnsServer;

/// One thing to try, once, on sockets of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Comes back with the answer.
    pub id: u32,
    /// Longest wait for each answer of the network, ms.
    pub limit_ms: u64,
    /// What.
    pub act: Act,
}

/// How a TCP connection gets to where it should.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Route {
    /// Whom the socket connects to.
    pub address: SocketAddr,
    /// If that is an HTTP proxy: what it is asked for.
    pub connect: Option<Connect>,
}

/// A CONNECT request (RFC 9110 section 9.3.6).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Connect {
    /// `HOST:PORT`.
    pub authority: String,
    /// Value of `Proxy-Authorization`; a secret.
    pub authorization: Option<String>,
}

impl std::fmt::Debug for Connect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Connect({})", self.authority)
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Ask a nameserver.
    Dns {
        /// Whom.
        server: SocketAddr,
        /// By TCP; else by UDP.
        tcp: bool,
        /// For which name.
        name: String,
        /// For AAAA; else for A.
        v6: bool,
    },
    /// Ask a resolver by TLS or HTTPS.
    Encrypted {
        /// Whom.
        server: DnsServer,
        /// For which name.
        name: String,
        /// For AAAA; else for A.
        v6: bool,
    },
    /// Connect, send nothing, and see whether the connection is left alone for so long.
    Idle {
        /// Where.
        route: Route,
        /// How long, ms.
        hold_ms: u64,
    },
    /// Connect, send these bytes, and see what comes back.
    Bytes {
        /// Where.
        route: Route,
        /// Pieces, each sent in a segment of its own.
        pieces: Vec<Piece>,
        /// Only a `ServerHello` is right; else any answer is, also a close.
        expects_hello: bool,
    },
    /// A whole TLS handshake, with the certificate checked for this name.
    Handshake {
        /// Where.
        route: Route,
        /// The name.
        name: String,
    },
    /// A handshake, then a GET for the first bytes of a file.
    Download {
        /// Where.
        route: Route,
        /// The name.
        name: String,
        /// Path and query.
        path: String,
        /// How many bytes.
        bytes: u64,
    },
}

/// Bytes for one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Piece(#[serde(with = "base64_bytes")] pub Vec<u8>);

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The task's.
    pub id: u32,
    /// The socket, as the kernel numbers it.
    pub cookie: Option<u64>,
    /// TCP handshake, µs.
    pub connect_us: Option<u64>,
    /// From the question (or the connect, or the last byte sent) to the answer, or to giving up, µs.
    pub took_us: u64,
    /// How it ended.
    pub ending: Ending,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The nameserver answered.
    Resolved {
        /// `NOERROR`, `NXDOMAIN`, …
        rcode: String,
        /// Addresses; may be none.
        addresses: Vec<IpAddr>,
    },
    /// Connected and left alone; or, where no hello was expected, answered somehow.
    Quiet,
    /// A `ServerHello` or `HelloRetryRequest`.
    ServerHello {
        /// `1.3`, where it could be read.
        version: Option<String>,
    },
    /// A plaintext alert.
    Alert {
        /// Its number.
        code: u8,
        /// Its name.
        description: String,
    },
    /// Bytes that are no TLS; their beginning, printable.
    NotTls {
        /// At most 64 characters.
        beginning: String,
    },
    /// The handshake is done and the certificate is trusted.
    Trusted {
        /// Who signed the certificate.
        issuer: String,
        /// `1.3`.
        version: String,
    },
    /// The certificate was refused.
    Untrusted {
        /// Who signed it.
        issuer: String,
        /// Why.
        reason: String,
        /// No trusted authority signed it; else it is expired, or for another name.
        unknown_issuer: bool,
    },
    /// The whole part of the file came.
    Downloaded(Transfer),
    /// The file broke off.
    Cut(Transfer),
    /// The file stopped, the connection stays.
    Stopped(Transfer),
    /// It was still coming when time was up.
    Unfinished(Transfer),
    /// The request stayed without an answer.
    NoResponse,
    /// It failed before.
    Failed(Failure),
}

/// A part of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// HTTP status.
    pub status: u16,
    /// Bytes that came.
    pub bytes: u64,
    /// Bytes that were promised.
    pub promised: Option<u64>,
    /// From the first to the last of them, µs.
    pub took_us: u64,
}

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Failure {
    /// SYNs stayed without answer.
    ConnectTimeout,
    /// RST to the SYN.
    ConnectRefused,
    /// No route, here or on the way.
    Unreachable {
        /// Positive errno.
        errno: i32,
        /// The ICMP message behind it, if one came.
        icmp: Option<Icmp>,
    },
    /// Connected, then reset.
    Reset,
    /// Connected, then no answer.
    Timeout,
    /// Connected, then closed without an answer.
    Closed,
    /// The proxy said no.
    ProxyRefused {
        /// HTTP status.
        status: u16,
    },
    /// The nameserver's port has no listener, or it can't be reached.
    DnsUnreachable {
        /// Positive errno.
        errno: i32,
    },
    /// The resolver's own name has no address.
    DnsNoAddress,
    /// The resolver answered by HTTPS, without success.
    DnsHttpStatus {
        /// HTTP status.
        status: u16,
    },
    /// Something of this machine's.
    System {
        /// What and why.
        what: String,
    },
}

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Who sent it.
    pub from: Option<IpAddr>,
}

impl Icmp {
    /// Whether it says that somebody forbids it: ICMP 3/9, 3/10, 3/13 (RFC 1812 section 5.2.7.1), `ICMPv6` 1/1, 1/5, 1/6
    /// (RFC 4443 section 3.1).
    pub fn is_prohibition(self, v6: bool) -> bool {
        if v6 {
            self.kind == 1 && matches!(self.code, 1 | 5 | 6)
        } else {
            self.kind == 3 && matches!(self.code, 9 | 10 | 13)
        }
    }
}

impl Failure {
    /// OONI's word for it (`netx/errorx`), where there is one.
    pub fn word(&self) -> &'static str {
        match self {
            Self::ConnectTimeout | Self::Timeout => "generic_timeout_error",
            Self::ConnectRefused => "connection_refused",
            Self::Unreachable { .. } => "host_unreachable",
            Self::Reset => "connection_reset",
            Self::Closed => "eof_error",
            Self::ProxyRefused { .. } => "proxy_refused",
            Self::DnsUnreachable { .. } | Self::DnsNoAddress => "dns_server_unreachable",
            Self::DnsHttpStatus { .. } => "http_unexpected_status_code",
            Self::System { .. } => "system_error",
        }
    }
}

impl Ending {
    /// OONI's word for what went wrong; `None` if nothing did. Whether an alert or a DNS answer is wrong, others judge.
    pub fn failure_word(&self) -> Option<&'static str> {
        match self {
            Self::Resolved { rcode, addresses } => match rcode.as_str() {
                "NXDOMAIN" => Some("dns_nxdomain_error"),
                "REFUSED" => Some("dns_refused_error"),
                "NOERROR" if addresses.is_empty() => Some("dns_no_answer"),
                "NOERROR" => None,
                _ => Some("dns_server_failure"),
            },
            Self::Alert { .. } => Some("ssl_failed_handshake"),
            Self::NotTls { .. } => Some("not_tls"),
            Self::Untrusted {
                unknown_issuer: true,
                ..
            } => Some("ssl_unknown_authority"),
            Self::Untrusted { .. } => Some("ssl_invalid_certificate"),
            Self::Cut(_) => Some("body_cut"),
            Self::Stopped(_) => Some("body_stalled"),
            Self::Unfinished(_) => Some("body_slow"),
            Self::NoResponse => Some("no_response"),
            Self::Failed(failure) => Some(failure.word()),
            Self::Quiet | Self::ServerHello { .. } | Self::Trusted { .. } | Self::Downloaded(_) => {
                None
            }
        }
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
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
