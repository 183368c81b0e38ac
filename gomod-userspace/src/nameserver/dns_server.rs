// SPDX-License-Identifier: MIT OR Apache-2.0
//! The server of `--dns`: plain, over TLS, or over HTTPS.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rustls::pki_types::ServerName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use url::{Host, Url};

/// Port of DNS over UDP and TCP (RFC 1035 section 4.2).
const PLAIN_PORT: u16 = 53;
/// Port of DNS over TLS (RFC 7858 section 3.1).
const TLS_PORT: u16 = 853;
/// Port of HTTPS.
const HTTPS_PORT: u16 = 443;

/// A nameserver that the user wants to be asked instead of those of resolv.conf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DnsServer {
    /// By UDP, and by TCP where an answer is truncated.
    Plain(SocketAddr),
    /// By TLS.
    Tls(Peer),
    /// By HTTPS: `POST` of `application/dns-message` to this path.
    Https {
        /// Host and port.
        peer: Peer,
        /// The path, with its query if there is one.
        path: String,
    },
}

/// The far end of a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its name or address: what the certificate has to be for. A name is looked up by the system's own resolver.
    pub name: ServerName<'static>,
    /// Its port.
    pub port: u16,
}

/// A server that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given}: {reason}; give an address (192.0.2.1, [2001:db8::1]:5353), tls://HOST[:PORT], or https://HOST[:PORT]/PATH"
)]
pub struct InvalidDnsServer {
    given: String,
    reason: String,
}

/// A server that is not asked by TLS or HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given}: {reason}; give tls://HOST[:PORT] or https://HOST[:PORT]/PATH")]
pub struct NotEncrypted {
    given: String,
    reason: String,
}

impl DnsServer {
    /// A server that is asked by TLS or HTTPS, and no other.
    pub fn encrypted(given: &str) -> Result<Self, NotEncrypted> {
        let refused = |reason: String| NotEncrypted {
            given: given.to_owned(),
            reason,
        };
        match given.parse() {
            Ok(Self::Plain(_)) => Err(refused("it would be asked without encryption".to_owned())),
            Ok(server) => Ok(server),
            Err(InvalidDnsServer { reason, .. }) => Err(refused(reason)),
        }
    }
}

impl FromStr for DnsServer {
    type Err = InvalidDnsServer;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let invalid = |reason: &str| InvalidDnsServer {
            given: given.to_owned(),
            reason: reason.to_owned(),
        };
        let Some((scheme, _)) = given.split_once("://") else {
            return plain(given).ok_or_else(|| invalid("neither an IP address nor a URL"));
        };
        let url = Url::parse(given).map_err(|error| invalid(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(invalid("credentials and fragments have no meaning here"));
        }
        match scheme.to_ascii_lowercase().as_str() {
            "tls" => {
                if !matches!(url.path(), "" | "/") || url.query().is_some() {
                    return Err(invalid("DNS over TLS has no path"));
                }
                peer(&url, TLS_PORT).map(Self::Tls)
            }
            "https" => peer(&url, HTTPS_PORT).map(|peer| {
                let mut path = match url.path() {
                    "" | "/" => "/dns-query".to_owned(),
                    path => path.to_owned(),
                };
                if let Some(query) = url.query() {
                    path = format!("{path}?{query}");
                }
                Self::Https { peer, path }
            }),
            other => return Err(invalid(&format!("unknown scheme {other}"))),
        }
        .ok_or_else(|| invalid("it names no host"))
    }
}

fn plain(given: &str) -> Option<DnsServer> {
    let bare = given
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(given);
    let address = bare
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, PLAIN_PORT))
        .or_else(|_| given.parse::<SocketAddr>())
        .ok()?;
    Some(DnsServer::Plain(address))
}

fn peer(url: &Url, default_port: u16) -> Option<Peer> {
    // A scheme that URLs don't know leaves the host as it was written, addresses included.
    let name = match url.host()? {
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(address)),
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok()?,
    };
    Some(Peer {
        name,
        port: url.port().unwrap_or(default_port),
    })
}

impl fmt::Display for DnsServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => write!(formatter, "{address}"),
            Self::Tls(peer) => write!(formatter, "tls://{peer}"),
            Self::Https { peer, path } => write!(formatter, "https://{peer}{path}"),
        }
    }
}

impl Serialize for DnsServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DnsServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            ServerName::IpAddress(address) => {
                let address = SocketAddr::new(IpAddr::from(*address), self.port);
                write!(formatter, "{address}")
            }
            name => write!(formatter, "{}:{}", name.to_str(), self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(given: &str) -> String {
        given.parse::<DnsServer>().unwrap().to_string()
    }

    #[test]
    fn addresses_have_port_53_unless_they_say_another() {
        assert_eq!(shown("192.0.2.1"), "192.0.2.1:53");
        assert_eq!(shown("192.0.2.1:5353"), "192.0.2.1:5353");
        assert_eq!(shown("2001:db8::1"), "[2001:db8::1]:53");
        assert_eq!(shown("[2001:db8::1]"), "[2001:db8::1]:53");
        assert_eq!(shown("[2001:db8::1]:5353"), "[2001:db8::1]:5353");
    }

    #[test]
    fn urls_name_the_host_that_the_certificate_is_for() {
        assert_eq!(shown("tls://dns.example"), "tls://dns.example:853");
        assert_eq!(shown("tls://192.0.2.1:8853"), "tls://192.0.2.1:8853");
        assert_eq!(shown("TLS://[2001:db8::1]"), "tls://[2001:db8::1]:853");
        assert_eq!(
            shown("https://dns.example"),
            "https://dns.example:443/dns-query"
        );
        assert_eq!(
            shown("https://192.0.2.1:8443/resolve?ct=1"),
            "https://192.0.2.1:8443/resolve?ct=1"
        );
        let Ok(DnsServer::Tls(peer)) = "tls://192.0.2.1".parse() else {
            panic!("not DNS over TLS")
        };
        assert!(matches!(peer.name, ServerName::IpAddress(_)));
    }

    #[test]
    fn what_is_no_server_is_said_with_the_forms_that_are() {
        for given in [
            "",
            "dns.example",
            "192.0.2.1:99999",
            "udp://192.0.2.1",
            "tls://",
            "tls://dns.example/path",
            "https://me:secret@dns.example/",
        ] {
            let error = given.parse::<DnsServer>().unwrap_err().to_string();
            assert!(error.contains("tls://HOST"), "{error}");
        }
    }
    #[test]
    fn where_only_encryption_will_do_an_address_is_refused_with_the_forms_that_will() {
        for given in ["192.0.2.1", "[2001:db8::1]:5353", "dns.example"] {
            let error = DnsServer::encrypted(given).unwrap_err().to_string();
            assert!(error.starts_with(given), "{error}");
            assert!(error.ends_with("give tls://HOST[:PORT] or https://HOST[:PORT]/PATH"));
        }
        for given in ["tls://192.0.2.1", "https://dns.example"] {
            assert!(DnsServer::encrypted(given).is_ok());
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for given in [
            "192.0.2.1",
            "tls://[2001:db8::1]",
            "https://dns.example/resolve?ct=1",
        ] {
            let server: DnsServer = given.parse().unwrap();
            let text = serde_json::to_string(&server).unwrap();
            assert_eq!(serde_json::from_str::<DnsServer>(&text).unwrap(), server);
        }
    }
}
