// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with the lab's network, by name.

mod amount;
mod catalogue;
mod in_force;
mod pattern;
mod text;

use std::time::Duration;

pub use amount::Amount;
pub use catalogue::{CATALOGUE, Description};
pub(crate) use in_force::Faults;
pub use pattern::Pattern;

use crate::addresses::{Family, PROXY};

/// A fault and where it applies.
///
/// Written as text: `NAME[=ARGUMENT][,host=HOST][,path=PATTERN][,family=v4|v6][,server=N][,times=N]`, for instance
/// `sni-reset,host=sum.golang.org` or `body-stop=4096,path=*/m003/@v/*.zip,times=1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// Hosts it happens to. Unless named: every name for DNS, `proxy.golang.org` otherwise.
    pub host: Pattern,
    /// Request paths it happens to, for faults of requests. Unless named: `*.zip` for bodies, every path for silence.
    pub path: Pattern,
    /// The one family it happens to; `None` for both. For DNS: v4 is the question for A, v6 that for AAAA.
    pub family: Option<Family>,
    /// The one nameserver it happens at, counted from 1 in resolv.conf's order; `None` for all.
    pub server: Option<u8>,
    /// How often it happens to the same thing, then never again; `None` for always. For faults of servers only: the same
    /// path of a host, or for what comes before requests the same host.
    pub times: Option<u32>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The nameserver takes the question and never answers. `go`: `i/o timeout` after 10 s for each server.
    DnsDrop,
    /// The nameserver answers late. `go`: waits, succeeds if this is below 5 s.
    DnsDelay(Duration),
    /// The nameserver says that the name does not exist. `go`: `no such host`, at once.
    DnsNxdomain,
    /// The nameserver refuses to answer. `go`: `server misbehaving`, at once.
    DnsRefused,
    /// The nameserver failed. `go`: `server misbehaving`, after a second try.
    DnsServfail,
    /// The nameserver puts an address that nobody has before the right one. `go`: gives the dead one half of its 30 s.
    DnsDeadFirst,
    /// So many hundredths of the questions get no answer over UDP. `go`: waits 5 s for each, fails after two in a row.
    DnsLoss(u8),
    /// Answers over UDP are truncated to nothing. `go`: asks again over TCP, succeeds.
    DnsTruncated,
    /// The nameserver knows nothing of the name and asks nobody: an empty answer without recursion. `go`: `lame
    /// referral`, after a second try.
    DnsLame,
    /// A forged answer with another id, and an address that nobody has, comes before the right one. `go`: ignores it.
    DnsWrongId,
    /// The same from another port, with the right id. `go`: never sees it.
    DnsWrongSource,
    /// A middlebox swallows SYNs. `go`: `i/o timeout` after 30 s.
    SynDrop,
    /// A middlebox answers SYNs as a host without listener does. `go`: `connection refused`, at once.
    ConnectRefused,
    /// The router answers SYNs with ICMP host unreachable. `go`: `no route to host`, at once.
    HostUnreachable,
    /// The client's own routing table has no way. `go`: `no route to host`, at once; no packet leaves.
    NoRoute,
    /// A middlebox reads the server name and forges resets to both sides, their TTL unlike the server's. `go`: `connection reset by peer`.
    SniReset,
    /// A middlebox reads the server name and swallows the connection from then on. `go`: `TLS handshake timeout` after 10 s.
    SniDrop,
    /// A middlebox swallows connections whose `ClientHello` is larger than one segment. `go` from 1.24: `TLS handshake timeout`.
    LargeHelloDrop,
    /// The server acknowledges, and never answers, a `ClientHello` whose ALPN offers `h2`. `go`: `TLS handshake timeout`.
    H2HelloSilence,
    /// The server answers the `ClientHello` with this alert and closes. `go`: `remote error: tls: …`, at once.
    TlsAlert(u8),
    /// The server closes after the `ClientHello`. `go`: `EOF`, at once.
    TlsClose,
    /// The server's certificate is signed by an authority nobody knows. `go`: `certificate signed by unknown authority`.
    UntrustedCertificate,
    /// The server takes a request and never answers. `go`: hangs for ever, prints nothing.
    Silence,
    /// The server answers requests with this status. `go`: fails at once, with the status.
    Status(RefusedWith),
    /// The server closes the connection, without TLS's `close_notify`, after part of the body. `go`: `unexpected EOF`.
    BodyCut(Amount),
    /// The server resets the connection after part of the body. `go`: `connection reset by peer`.
    BodyReset(Amount),
    /// The server stops sending after part of the body; the connection stays open. `go`: hangs for ever, prints nothing.
    BodyStop(Amount),
    /// The server sends the body at so many bytes a second. `go`: waits, prints nothing, succeeds in the end.
    BodySlow(u32),
    /// One bit of the body is wrong. `go`: `checksum error` for a zip, `checksum mismatch` for a go.mod.
    BodyCorrupt,
    /// Another process holds the lock of the project's first module. `go`: hangs for ever, prints nothing.
    LockHeld,
}

/// How a server refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusedWith {
    /// The status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
}

impl FaultKind {
    /// True for what a nameserver does.
    pub const fn is_dns(self) -> bool {
        matches!(
            self,
            Self::DnsDrop
                | Self::DnsDelay(_)
                | Self::DnsNxdomain
                | Self::DnsRefused
                | Self::DnsServfail
                | Self::DnsDeadFirst
                | Self::DnsLoss(_)
                | Self::DnsTruncated
                | Self::DnsLame
                | Self::DnsWrongId
                | Self::DnsWrongSource
        )
    }

    /// True for what happens to a response's body.
    pub const fn is_body(self) -> bool {
        matches!(
            self,
            Self::BodyCut(_)
                | Self::BodyReset(_)
                | Self::BodyStop(_)
                | Self::BodySlow(_)
                | Self::BodyCorrupt
        )
    }

    /// True for what a server or nameserver does: these can be counted, as retransmissions of packets can't.
    pub const fn is_of_servers(self) -> bool {
        self.is_dns()
            || self.is_body()
            || matches!(
                self,
                Self::H2HelloSilence
                    | Self::TlsAlert(_)
                    | Self::TlsClose
                    | Self::UntrustedCertificate
                    | Self::Silence
                    | Self::Status(_)
            )
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self {
            kind,
            host: Pattern::new(if kind.is_dns() { "*" } else { PROXY }),
            path: Pattern::new(if kind.is_body() { "*.zip" } else { "*" }),
            family: None,
            server: None,
            times: None,
        }
    }
}

impl Fault {
    /// The same for hosts that match `host`.
    #[must_use]
    pub fn host(mut self, host: impl Into<Pattern>) -> Self {
        self.host = host.into();
        self
    }

    /// The same for request paths that match `path`.
    #[must_use]
    pub fn path(mut self, path: impl Into<Pattern>) -> Self {
        self.path = path.into();
        self
    }

    /// The same for one family alone.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// The same at one nameserver alone, counted from 1.
    #[must_use]
    pub fn server(mut self, server: u8) -> Self {
        self.server = Some(server);
        self
    }

    /// The same, so often for each path or host.
    ///
    /// # Panics
    /// For a fault that is not of servers ([`FaultKind::is_of_servers`]).
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        assert!(self.kind.is_of_servers(), "{} can't be counted", self.kind);
        self.times = Some(times);
        self
    }

    /// True if it applies to `host` over `family`.
    pub(crate) fn concerns(&self, host: &str, family: Family) -> bool {
        self.family.is_none_or(|only| only == family) && self.host.matches(host)
    }
}
