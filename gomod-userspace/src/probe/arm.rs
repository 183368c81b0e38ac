// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arms of the experiment: what is tried, each differing from its neighbour in one thing.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{
    hello::{Alpn, GoRelease, HelloShape, Secrets, Versions, build},
    task::Piece,
};
use crate::nameserver::DnsServer;

/// Whom something is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The host that is probed.
    Target,
    /// The host that it is compared with.
    Control,
}

/// One arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// A nameserver is asked for a name.
    Dns {
        /// Whose name.
        of: Side,
        /// By TCP.
        tcp: bool,
        /// For AAAA.
        v6: bool,
        /// Whom.
        server: IpAddr,
    },
    /// A resolver of the user's is asked for a name, encrypted.
    Encrypted {
        /// Whose name.
        of: Side,
        /// By HTTPS; else by TLS.
        https: bool,
        /// For AAAA.
        v6: bool,
        /// Its number in the list that the experiment has.
        resolver: usize,
    },
    /// A connection that carries nothing for a while.
    Tcp {
        /// Whose address.
        at: Side,
        /// Which.
        address: SocketAddr,
    },
    /// Bytes that are no TLS, to the target.
    NonTls {
        /// Where.
        address: SocketAddr,
    },
    /// A `ClientHello`.
    Hello {
        /// Which.
        kind: Hello,
        /// Where.
        address: SocketAddr,
    },
    /// A whole handshake with the target.
    Handshake {
        /// Where.
        address: SocketAddr,
    },
    /// The first part of a file of the target's.
    Download {
        /// Where.
        address: SocketAddr,
    },
}

/// What an arm speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An address.
    Address(IpAddr),
    /// A resolver, by its number.
    Resolver(usize),
}

/// The hellos that are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hello {
    /// Target's name at the target, as the chosen release of Go sends it.
    Go,
    /// The same to the control, with its name.
    Control,
    /// The control's, without post-quantum key share.
    ControlSmall,
    /// As [`Self::Go`], without post-quantum key share: the base of all below.
    Small,
    /// Control's name at the target.
    ControlName,
    /// No name at the target.
    NoName,
    /// No name at the control.
    NoNameAtControl,
    /// Target's name at the control.
    TargetNameAtControl,
    /// In two segments, cut before the name.
    SplitBeforeName,
    /// In two segments, cut inside the name.
    SplitInsideName,
    /// In two TLS records, cut inside the name.
    SplitRecords,
    /// ALPN `http/1.1` alone, otherwise as [`Self::Go`].
    Http1,
    /// No ALPN, otherwise as [`Self::Go`].
    NoAlpn,
    /// TLS 1.3 alone.
    Tls13,
    /// TLS 1.2 alone.
    Tls12,
}

impl Hello {
    /// Every arm but the two of the base and the control, in the order of the table.
    pub const MATRIX: [Self; 12] = [
        Self::Small,
        Self::ControlName,
        Self::NoName,
        Self::NoNameAtControl,
        Self::TargetNameAtControl,
        Self::SplitBeforeName,
        Self::SplitInsideName,
        Self::SplitRecords,
        Self::Http1,
        Self::NoAlpn,
        Self::Tls13,
        Self::Tls12,
    ];

    /// Whose address it is sent to.
    pub const fn at(self) -> Side {
        match self {
            Self::Control
            | Self::ControlSmall
            | Self::NoNameAtControl
            | Self::TargetNameAtControl => Side::Control,
            _ => Side::Target,
        }
    }

    /// Whose name is in it.
    pub const fn name(self) -> Option<Side> {
        match self {
            Self::NoName | Self::NoNameAtControl => None,
            Self::Control | Self::ControlSmall | Self::ControlName => Some(Side::Control),
            _ => Some(Side::Target),
        }
    }

    /// Its stable token in the report.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Go => "hello.go",
            Self::Control => "hello.control",
            Self::ControlSmall => "hello.control_small",
            Self::Small => "hello.small",
            Self::ControlName => "hello.control_name",
            Self::NoName => "hello.no_name",
            Self::NoNameAtControl => "hello.no_name_at_control",
            Self::TargetNameAtControl => "hello.target_name_at_control",
            Self::SplitBeforeName => "hello.split_before_name",
            Self::SplitInsideName => "hello.split_inside_name",
            Self::SplitRecords => "hello.split_records",
            Self::Http1 => "hello.http1",
            Self::NoAlpn => "hello.no_alpn",
            Self::Tls13 => "hello.tls13",
            Self::Tls12 => "hello.tls12",
        }
    }

    /// What it is, for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Go => "hello as go sends it",
            Self::Control => "control: its name, its address",
            Self::ControlSmall => "control: the same, small hello",
            Self::Small => "small hello (no post-quantum key)",
            Self::ControlName => "control's name",
            Self::NoName => "no name",
            Self::NoNameAtControl => "no name at control's address",
            Self::TargetNameAtControl => "target's name at control's address",
            Self::SplitBeforeName => "two segments, cut before the name",
            Self::SplitInsideName => "two segments, cut inside the name",
            Self::SplitRecords => "two TLS records",
            Self::Http1 => "ALPN http/1.1 alone",
            Self::NoAlpn => "no ALPN",
            Self::Tls13 => "TLS 1.3 alone",
            Self::Tls12 => "TLS 1.2 alone",
        }
    }

    /// The pieces to send, each in a segment of its own (a large one takes two by itself).
    pub fn pieces(
        self,
        release: GoRelease,
        target: &str,
        control: &str,
        random: &mut fastrand::Rng,
    ) -> Vec<Piece> {
        let name = self.name().map(|side| match side {
            Side::Target => target.to_owned(),
            Side::Control => control.to_owned(),
        });
        let shape = HelloShape {
            release,
            server_name: name,
            alpn: match self {
                Self::Http1 => Alpn::Http1,
                Self::NoAlpn => Alpn::Absent,
                _ => Alpn::Http2AndHttp1,
            },
            versions: match self {
                Self::Tls13 => Versions::Only13,
                Self::Tls12 => Versions::Only12,
                _ => Versions::Both,
            },
            // What differs in one thing from the whole hello is as large as it.
            post_quantum: matches!(self, Self::Go | Self::Control | Self::Http1 | Self::NoAlpn),
        };
        let hello = build(&shape, &Secrets::generate(random));
        let range = hello.server_name.unwrap_or(0..0);
        let cut = match self {
            Self::SplitBeforeName => range.start,
            Self::SplitInsideName | Self::SplitRecords => usize::midpoint(range.start, range.end),
            _ => return vec![Piece(hello.bytes)],
        };
        if self == Self::SplitRecords {
            return vec![Piece(two_records(&hello.bytes, cut))];
        }
        let (first, second) = hello.bytes.split_at(cut);
        vec![Piece(first.to_vec()), Piece(second.to_vec())]
    }
}

/// The one record of a hello as two, cut at this place of the first form.
fn two_records(hello: &[u8], cut: usize) -> Vec<u8> {
    let (header, body) = hello.split_at(crate::wire::tls::HEADER_LEN);
    let (first, second) = body.split_at(cut - header.len());
    [first, second]
        .into_iter()
        .flat_map(|part| {
            let length = (part.len() as u16).to_be_bytes();
            [&header[..3], &length, part].concat()
        })
        .collect()
}

impl Arm {
    /// What it speaks to: tries at the same place keep apart.
    pub fn place(&self) -> Place {
        match self {
            Self::Dns { server, .. } => Place::Address(*server),
            Self::Encrypted { resolver, .. } => Place::Resolver(*resolver),
            Self::Tcp { address, .. }
            | Self::NonTls { address }
            | Self::Hello { address, .. }
            | Self::Handshake { address }
            | Self::Download { address } => Place::Address(address.ip()),
        }
    }

    /// Its stable name in the report: a token, and where. Numbers of resolvers are those of this list.
    pub fn named<'a>(&'a self, resolvers: &'a [DnsServer]) -> Named<'a> {
        Named {
            arm: self,
            resolvers,
        }
    }

    /// What it is, for people, without the place.
    pub fn label(&self) -> String {
        let question = |of: &Side, v6: &bool, how: &str| {
            format!(
                "{} of {} by {how}",
                if *v6 { "AAAA" } else { "A" },
                match of {
                    Side::Target => "the name",
                    Side::Control => "the control",
                },
            )
        };
        match self {
            Self::Dns { of, tcp, v6, .. } => question(of, v6, if *tcp { "TCP" } else { "UDP" }),
            Self::Encrypted { of, https, v6, .. } => {
                question(of, v6, if *https { "HTTPS" } else { "TLS" })
            }
            Self::Tcp { at, .. } => match at {
                Side::Target => "connection, then nothing",
                Side::Control => "control: connection, then nothing",
            }
            .to_owned(),
            Self::NonTls { .. } => "bytes that are no TLS".to_owned(),
            Self::Hello { kind, .. } => kind.label().to_owned(),
            Self::Handshake { .. } => "whole handshake, certificate checked".to_owned(),
            Self::Download { .. } => "first part of a file".to_owned(),
        }
    }
}

/// An arm by its name.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    arm: &'a Arm,
    resolvers: &'a [DnsServer],
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let question = |of: &Side, v6: &bool, how: &str| {
            format!(
                "dns.{}{how}.{}",
                match of {
                    Side::Target => "",
                    Side::Control => "control.",
                },
                if *v6 { "aaaa" } else { "a" },
            )
        };
        match self.arm {
            Arm::Dns {
                of,
                tcp,
                v6,
                server,
            } => {
                let token = question(of, v6, if *tcp { "tcp" } else { "udp" });
                write!(formatter, "{token}@{server}")
            }
            Arm::Encrypted {
                of,
                https,
                v6,
                resolver,
            } => {
                let token = question(of, v6, if *https { "https" } else { "tls" });
                match self.resolvers.get(*resolver) {
                    Some(server) => write!(formatter, "{token}@{server}"),
                    None => write!(formatter, "{token}@{resolver}"),
                }
            }
            Arm::Tcp { at, address } => write!(
                formatter,
                "tcp{}@{address}",
                match at {
                    Side::Target => "",
                    Side::Control => ".control",
                }
            ),
            Arm::NonTls { address } => write!(formatter, "non_tls@{address}"),
            Arm::Hello { kind, address } => write!(formatter, "{}@{address}", kind.token()),
            Arm::Handshake { address } => write!(formatter, "handshake@{address}"),
            Arm::Download { address } => write!(formatter, "download@{address}"),
        }
    }
}
