// SPDX-License-Identifier: MIT OR Apache-2.0
//! The list of faults: their names, their arguments, one line on each.

use std::time::Duration;

use super::{Amount, FaultKind, RefusedWith};

/// A fault as it is listed for people.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Its name on command lines.
    pub name: &'static str,
    /// What may follow the name after `=`; empty if nothing may.
    pub argument: &'static str,
    /// It with its usual argument.
    pub usual: FaultKind,
    /// One line: where it acts, and what a plain `go` makes of it.
    pub about: &'static str,
}

const fn plain(name: &'static str, usual: FaultKind, about: &'static str) -> Description {
    Description {
        name,
        argument: "",
        usual,
        about,
    }
}

const fn with(
    name: &'static str,
    argument: &'static str,
    usual: FaultKind,
    about: &'static str,
) -> Description {
    Description {
        name,
        argument,
        usual,
        about,
    }
}

/// TLS alert `handshake_failure` (RFC 8446 section 6).
const HANDSHAKE_FAILURE: u8 = 40;

/// All faults.
pub const CATALOGUE: &[Description] = &[
    plain(
        "dns-drop",
        FaultKind::DnsDrop,
        "nameserver: questions are never answered; go gives up after 10 s a server (i/o timeout)",
    ),
    with(
        "dns-delay",
        "DURATION",
        FaultKind::DnsDelay(Duration::from_secs(3)),
        "nameserver: answers come late; go waits up to 5 s, then asks again",
    ),
    plain(
        "dns-nxdomain",
        FaultKind::DnsNxdomain,
        "nameserver: the name does not exist; go fails at once (no such host)",
    ),
    plain(
        "dns-refused",
        FaultKind::DnsRefused,
        "nameserver: refuses to answer; go fails at once (server misbehaving)",
    ),
    plain(
        "dns-servfail",
        FaultKind::DnsServfail,
        "nameserver: answers that it failed; go fails after a second try (server misbehaving)",
    ),
    plain(
        "dns-dead-first",
        FaultKind::DnsDeadFirst,
        "nameserver: an address that nobody has comes before the right one; go gives it half of its 30 s",
    ),
    with(
        "dns-loss",
        "PERCENT",
        FaultKind::DnsLoss(30),
        "nameserver: so many hundredths of the questions over UDP are never answered; go waits 5 s for each",
    ),
    plain(
        "dns-truncated",
        FaultKind::DnsTruncated,
        "nameserver: answers over UDP are truncated; go asks again over TCP and succeeds",
    ),
    plain(
        "dns-lame",
        FaultKind::DnsLame,
        "nameserver: empty answers without recursion; go fails after a second try (lame referral)",
    ),
    plain(
        "dns-wrong-id",
        FaultKind::DnsWrongId,
        "nameserver: a forged answer with another id comes before the right one; go ignores it",
    ),
    plain(
        "dns-wrong-source",
        FaultKind::DnsWrongSource,
        "nameserver: a forged answer from another port comes before the right one; go never sees it",
    ),
    plain(
        "syn-drop",
        FaultKind::SynDrop,
        "middlebox: SYNs vanish; go gives up after 30 s (i/o timeout)",
    ),
    plain(
        "connect-refused",
        FaultKind::ConnectRefused,
        "middlebox: RST to every SYN; go fails at once (connection refused)",
    ),
    plain(
        "host-unreachable",
        FaultKind::HostUnreachable,
        "router: ICMP host unreachable to every SYN; go fails at once (no route to host)",
    ),
    plain(
        "no-route",
        FaultKind::NoRoute,
        "client: unreachable route to the host, no packet leaves; go fails at once (no route to host)",
    ),
    plain(
        "sni-reset",
        FaultKind::SniReset,
        "middlebox: ClientHello with the host's name is answered by forged RSTs; go fails at once (connection reset by peer)",
    ),
    plain(
        "sni-drop",
        FaultKind::SniDrop,
        "middlebox: the connection vanishes from the ClientHello with the host's name on; go gives up after 10 s (TLS handshake timeout)",
    ),
    plain(
        "large-hello-drop",
        FaultKind::LargeHelloDrop,
        "middlebox: the connection vanishes if its ClientHello is larger than one segment; go from 1.24 gives up after 10 s",
    ),
    plain(
        "h2-hello-silence",
        FaultKind::H2HelloSilence,
        "server: a ClientHello that offers h2 is never answered; go gives up after 10 s (TLS handshake timeout)",
    ),
    with(
        "tls-alert",
        "NUMBER",
        FaultKind::TlsAlert(HANDSHAKE_FAILURE),
        "server: alert (40 handshake_failure, 112 unrecognized_name) for a ServerHello; go fails at once (remote error: tls)",
    ),
    plain(
        "tls-close",
        FaultKind::TlsClose,
        "server: closes after the ClientHello; go fails at once (EOF)",
    ),
    plain(
        "untrusted-certificate",
        FaultKind::UntrustedCertificate,
        "server: certificate of an unknown authority; go fails at once (x509)",
    ),
    plain(
        "silence",
        FaultKind::Silence,
        "server: takes requests and never answers; go hangs for ever and prints nothing",
    ),
    with(
        "status",
        "NUMBER[/RETRY_AFTER_SECONDS]",
        FaultKind::Status(RefusedWith {
            status: 503,
            retry_after: None,
        }),
        "server: answers with this status; go fails at once (503 Service Unavailable)",
    ),
    with(
        "body-cut",
        "BYTES|PERCENT%|random:SEED",
        FaultKind::BodyCut(Amount::Percent(50)),
        "server: closes within the body, without close_notify; go fails (unexpected EOF)",
    ),
    with(
        "body-reset",
        "BYTES|PERCENT%|random:SEED",
        FaultKind::BodyReset(Amount::Percent(50)),
        "server: resets within the body; go fails (connection reset by peer)",
    ),
    with(
        "body-stop",
        "BYTES|PERCENT%|random:SEED",
        FaultKind::BodyStop(Amount::Percent(50)),
        "server: stops within the body, connection open; go hangs for ever and prints nothing",
    ),
    with(
        "body-slow",
        "BYTES_PER_SECOND",
        FaultKind::BodySlow(4096),
        "server: sends the body slowly; go waits, prints nothing, and succeeds in the end",
    ),
    plain(
        "body-corrupt",
        FaultKind::BodyCorrupt,
        "server: one bit of the body is wrong; go fails (checksum error, checksum mismatch)",
    ),
    plain(
        "lock-held",
        FaultKind::LockHeld,
        "client: another process holds the lock of the project's first module; go hangs for ever and prints nothing",
    ),
];

impl FaultKind {
    /// Its entry in [`CATALOGUE`].
    pub(super) fn name(self) -> &'static str {
        let discriminant = std::mem::discriminant(&self);
        CATALOGUE
            .iter()
            .find(|entry| std::mem::discriminant(&entry.usual) == discriminant)
            .map_or("unlisted", |entry| entry.name)
    }
}
