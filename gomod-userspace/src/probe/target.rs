// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which host is meant.

use std::{fmt, net::IpAddr, str::FromStr};

/// A host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Lower case, no final dot.
    pub name: String,
    /// TCP port.
    pub port: u16,
}

/// Why a word names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// An address.
    #[error(
        "{0:?} is an address: a filter by name can only be seen with a name; give the host's, such as proxy.golang.org"
    )]
    Address(String),
    /// A URL.
    #[error("{0:?} is a URL: give its host alone, such as proxy.golang.org")]
    Url(String),
    /// Not a port.
    #[error(
        "{0:?} has no port after its colon: give HOST or HOST:PORT, with a port from 1 to 65535"
    )]
    Port(String),
    /// Not a name.
    #[error("{0:?} is no host name: give one such as proxy.golang.org")]
    Name(String),
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let is_address =
            bare.parse::<IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok();
        if is_address {
            return Err(HostError::Address(text.to_owned()));
        }
        if text.contains("://") || text.contains('/') {
            return Err(HostError::Url(text.to_owned()));
        }
        let (name, port) = match text.split_once(':') {
            None => (text, 443),
            Some((name, port)) => (
                name,
                port.parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(|| HostError::Port(text.to_owned()))?,
            ),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(HostError::Name(text.to_owned()));
        }
        Ok(Self { name, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == 443 {
            formatter.write_str(&self.name)
        } else {
            write!(formatter, "{}:{}", self.name, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports_are_read() {
        let host: Host = "Proxy.GoLang.org.".parse().unwrap();
        assert_eq!(host.to_string(), "proxy.golang.org");
        assert_eq!("a.example:8443".parse::<Host>().unwrap().port, 8443);
    }

    #[test]
    fn what_is_no_name_is_told_so() {
        for (text, part) in [
            ("198.18.2.1", "is an address"),
            ("198.18.2.1:443", "is an address"),
            ("[2001:2::1]", "is an address"),
            ("https://a.example", "is a URL"),
            ("a.example:", "no port"),
            ("a.example:0", "no port"),
            ("a.example:70000", "no port"),
            ("", "no host name"),
            ("a..example", "no host name"),
            ("ä.example", "no host name"),
            ("a b", "no host name"),
        ] {
            let error = text.parse::<Host>().unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains(&format!("{text:?}")),
                "{error}"
            );
        }
    }
}
