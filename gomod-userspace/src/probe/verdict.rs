// SPDX-License-Identifier: MIT OR Apache-2.0
//! The closed list of what a probe can say of a host.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::diagnose::{Stage, Verdict as Passive};

macro_rules! verdicts {
    ($($(#[$doc:meta])* $variant:ident = $token:literal,)*) => {
        /// What a probe says of a host.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verdict {
            $($(#[$doc])* $variant,)*
            /// Seen, but the experiments do not say why: what `run` would say of it.
            Seen(Passive),
            /// The control failed too: nothing can be said of this host.
            ControlFailed,
            /// All passes.
            Ok,
        }

        impl Verdict {
            /// Those with a token of their own.
            pub const OWN: &[Self] = &[$(Self::$variant,)* Self::ControlFailed, Self::Ok];

            /// Its stable token.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$variant => $token,)*
                    Self::Seen(passive) => passive.token(),
                    Self::ControlFailed => "inconclusive.control_failed",
                    Self::Ok => "ok",
                }
            }
        }
    };
}

verdicts! {
    /// A reset follows the host's name, wherever it is sent.
    SniReset = "interference.sni.reset",
    /// Silence follows it.
    SniTimeout = "interference.sni.timeout",
    /// The connection is closed after it.
    SniClosed = "interference.sni.closed",
    /// A TLS alert follows it.
    SniAlert = "interference.sni.alert",
    /// A large (post-quantum) `ClientHello` fails, a small one passes.
    HelloSize = "interference.clienthello.size",
    /// A `ClientHello` in more than one segment fails, whatever its size.
    HelloSegmentation = "interference.clienthello.segmentation",
    /// A `ClientHello` in more than one TLS record fails.
    HelloRecord = "interference.clienthello.record",
    /// A `ClientHello` that offers `h2` fails.
    AlpnH2 = "interference.alpn.h2",
    /// Whatever is sent to the address fails.
    PostHandshake = "interference.tcp.post_handshake",
    /// SYNs stay without an answer.
    SynTimeout = "interference.tcp.syn_timeout",
    /// SYNs are answered by a reset.
    SynReset = "interference.tcp.syn_reset",
    /// ICMP says that it is forbidden.
    AdminProhibited = "interference.tcp.admin_prohibited",
    /// The certificate is of an authority that this machine does not trust.
    Interception = "interception.tls",
    /// What gets long is cut.
    VolumeCut = "interference.volume_cut",
    /// What gets long is slowed down.
    Throttling = "interference.throttling",
    /// The nameservers give different answers.
    DnsInconsistent = "interference.dns.inconsistent",
    /// An answer holds an address that no public host can have.
    DnsBogon = "interference.dns.bogon",
    /// The nameservers say that the name does not exist.
    DnsNxdomain = "interference.dns.nxdomain",
    /// Questions for this name stay without an answer.
    DnsTimeout = "interference.dns.timeout",
}

impl Verdict {
    /// Where in the life of a download it is; `None` for `ok` and for a failed control.
    pub const fn stage(self) -> Option<Stage> {
        Some(match self {
            Self::DnsInconsistent | Self::DnsBogon | Self::DnsNxdomain | Self::DnsTimeout => {
                Stage::Dns
            }
            Self::SynTimeout | Self::SynReset | Self::AdminProhibited => Stage::Connect,
            Self::SniReset
            | Self::SniTimeout
            | Self::SniClosed
            | Self::SniAlert
            | Self::HelloSize
            | Self::HelloSegmentation
            | Self::HelloRecord
            | Self::AlpnH2
            | Self::PostHandshake => Stage::Hello,
            Self::Interception => Stage::Handshake,
            Self::VolumeCut | Self::Throttling => Stage::Body,
            Self::Seen(passive) => match passive {
                Passive::DnsTimeout
                | Passive::DnsRefused
                | Passive::DnsNxdomain
                | Passive::DnsSlow => Stage::Dns,
                Passive::ConnectTimeout | Passive::ConnectRefused | Passive::ConnectUnreachable => {
                    Stage::Connect
                }
                Passive::HelloReset
                | Passive::HelloTimeout
                | Passive::HelloAlert
                | Passive::HelloClosed => Stage::Hello,
                Passive::HandshakeUntrusted => Stage::Handshake,
                Passive::BodyStalled | Passive::BodyCut | Passive::BodySlow => Stage::Body,
                _ => Stage::Request,
            },
            Self::ControlFailed | Self::Ok => return None,
        })
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.token())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts and dashboards match on these: none may change, and each new one is to be in docs/verdicts.md.
    #[test]
    fn the_tokens_are_these() {
        let tokens: Vec<_> = Verdict::OWN.iter().map(|verdict| verdict.token()).collect();
        assert_eq!(
            tokens,
            [
                "interference.sni.reset",
                "interference.sni.timeout",
                "interference.sni.closed",
                "interference.sni.alert",
                "interference.clienthello.size",
                "interference.clienthello.segmentation",
                "interference.clienthello.record",
                "interference.alpn.h2",
                "interference.tcp.post_handshake",
                "interference.tcp.syn_timeout",
                "interference.tcp.syn_reset",
                "interference.tcp.admin_prohibited",
                "interception.tls",
                "interference.volume_cut",
                "interference.throttling",
                "interference.dns.inconsistent",
                "interference.dns.bogon",
                "interference.dns.nxdomain",
                "interference.dns.timeout",
                "inconclusive.control_failed",
                "ok",
            ]
        );
        let documented = include_str!("../../../docs/verdicts.md");
        for token in tokens {
            assert!(
                documented.contains(&format!("`{token}`")),
                "docs/verdicts.md says nothing of {token}"
            );
        }
    }
}
