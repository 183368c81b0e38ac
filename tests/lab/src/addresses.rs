// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and addresses of the lab, from the ranges set aside for benchmarks (RFC 2544: 198.18.0.0/15, RFC 5180: `2001:2::/48`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The public module proxy that `go` asks by default.
pub const PROXY: &str = "proxy.golang.org";
/// The public checksum database.
pub const SUMDB: &str = "sum.golang.org";
/// The host of the generated modules' own paths: serves them to `GOPROXY=direct`.
pub const DIRECT: &str = "code.example.org";
/// A host of modules for those who have its password: [`crate::PRIVATE_LOGIN`].
pub const PRIVATE: &str = "private.example.org";
/// A host of git repositories.
pub const GIT: &str = "git.example.org";
/// A company's HTTP proxy, for those who have its password: [`crate::WEB_PROXY_LOGIN`].
pub const WEB_PROXY: &str = "webproxy.example.net";
/// The port of [`WEB_PROXY`].
pub const WEB_PROXY_PORT: u16 = 3128;
/// A TLS host that no fault touches unless it is named: the control of an experiment.
pub const CONTROL: &str = "www.example.com";

/// The client's addresses.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The client's address.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 2);
/// The router between client and internet: the far end of the link, and the source of ICMP errors.
pub const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The router's address.
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 1);

/// One end of a connection between client and internet, by family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Internet Protocol version 4.
    V4,
    /// Internet Protocol version 6.
    V6,
}

impl Family {
    pub(crate) fn of(peer: &SocketAddr) -> Self {
        family_of(&peer.ip())
    }
}

/// Which families the lab's client has addresses, routes and DNS answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    /// Both.
    #[default]
    Both,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Families {
    /// True if `family` is among them.
    pub const fn has(self, family: Family) -> bool {
        matches!(
            (self, family),
            (Self::Both, _) | (Self::V4, Family::V4) | (Self::V6, Family::V6)
        )
    }
}

/// The family of an address.
pub const fn family_of(address: &IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// A host on the internet side, with the one address it has in each family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its DNS name.
    pub name: String,
    /// Its A record.
    pub v4: Ipv4Addr,
    /// Its AAAA record.
    pub v6: Ipv6Addr,
}

impl Host {
    pub(crate) fn numbered(name: &str, network: u8, number: u8) -> Self {
        Self {
            name: name.to_owned(),
            v4: Ipv4Addr::new(198, 18, network, number),
            v6: Ipv6Addr::new(0x2001, 2, 0, u16::from(network), 0, 0, 0, u16::from(number)),
        }
    }

    /// True if `address` is one of its own.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        address == IpAddr::V4(self.v4) || address == IpAddr::V6(self.v6)
    }

    /// Its addresses among `families`.
    pub fn addresses(&self, families: Families) -> impl Iterator<Item = IpAddr> + use<> {
        [IpAddr::V4(self.v4), IpAddr::V6(self.v6)]
            .into_iter()
            .filter(move |address| families.has(family_of(address)))
    }
}

/// The resolvers of a lab, in the order of resolv.conf.
pub(crate) fn nameservers(count: u8) -> Vec<Host> {
    (1..=count)
        .map(|number| Host::numbered(&format!("ns{number}.example.net"), 1, number))
        .collect()
}

/// Nobody: packets to its addresses vanish.
pub(crate) fn nobody() -> Host {
    Host::numbered("nobody.example.net", 3, 1)
}

/// The TLS hosts of a lab: the known ones, then `extra`.
pub(crate) fn tls_hosts(extra: &[String]) -> Vec<Host> {
    [PROXY, SUMDB, DIRECT, CONTROL, PRIVATE, GIT, WEB_PROXY]
        .into_iter()
        .chain(extra.iter().map(String::as_str))
        .zip(1u8..)
        .map(|(name, number)| Host::numbered(name, 2, number))
        .collect()
}
