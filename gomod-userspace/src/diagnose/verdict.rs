// SPDX-License-Identifier: MIT OR Apache-2.0
//! The closed list of what can be said of a stall.

use serde::Serialize;

/// Where in the life of a download it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words are their own explanation")]
pub enum Stage {
    Dns,
    Connect,
    Hello,
    Handshake,
    Request,
    Body,
    Lock,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Fits, but so would other causes.
    Suspected,
    /// The usual cause of what was seen.
    Likely,
    /// Seen directly.
    Confirmed,
}

macro_rules! verdicts {
    ($($(#[$doc:meta])* $variant:ident = $token:literal,)*) => {
        /// A passive verdict: what was seen, never why somebody did it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verdict {
            $($(#[$doc])* $variant,)*
        }

        impl Verdict {
            /// All of them, in the order of a download's life.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable token.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$variant => $token,)*
                }
            }
        }
    };
}

verdicts! {
    /// A DNS question stayed without an answer.
    DnsTimeout = "anomaly.dns.timeout",
    /// A nameserver refused, failed, or nobody listened on its port.
    DnsRefused = "anomaly.dns.refused",
    /// A nameserver says that the name does not exist.
    DnsNxdomain = "anomaly.dns.nxdomain",
    /// A DNS answer came late.
    DnsSlow = "anomaly.dns.slow",
    /// SYNs stayed without an answer.
    ConnectTimeout = "anomaly.connect.timeout",
    /// The SYN was answered by a reset.
    ConnectRefused = "anomaly.connect.refused",
    /// No route, or the network reported the destination as unreachable.
    ConnectUnreachable = "anomaly.connect.unreachable",
    /// An HTTP proxy answered CONNECT with another status than 2xx, or with the end of the connection.
    TunnelRefused = "anomaly.tunnel.refused",
    /// A reset came after the `ClientHello`, before any answer.
    HelloReset = "anomaly.hello.reset",
    /// The `ClientHello` stayed without an answer.
    HelloTimeout = "anomaly.hello.timeout",
    /// The `ClientHello` was answered by an alert.
    HelloAlert = "anomaly.hello.alert",
    /// The connection was closed in answer to the `ClientHello`.
    HelloClosed = "anomaly.hello.closed",
    /// The client rejected the server's certificate.
    HandshakeUntrusted = "anomaly.handshake.untrusted",
    /// A request went out and nothing came back.
    RequestStalled = "anomaly.request.stalled",
    /// A response began and stopped.
    BodyStalled = "anomaly.body.stalled",
    /// A response was cut off.
    BodyCut = "anomaly.body.cut",
    /// A response comes too slowly.
    BodySlow = "anomaly.body.slow",
    /// Module host and checksum database stalled in the same process, at once or one after the other.
    DualChannel = "anomaly.dual_channel",
    /// Another process holds a lock of the module cache.
    LockContention = "contention.lock",
    /// Build cache and module cache are, or lie in, the same directory.
    CacheShared = "hazard.cache.shared",
}

impl Verdict {
    /// True if it is said of a [`Hazard`](super::Hazard), never of a [`Stall`](super::Stall).
    pub const fn is_hazard(self) -> bool {
        matches!(self, Self::CacheShared)
    }
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.token())
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.token())
    }
}
