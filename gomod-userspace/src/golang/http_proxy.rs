// SPDX-License-Identifier: MIT OR Apache-2.0
//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`: through which proxy `go` reaches a host.
//!
//! Rules: golang.org/x/net/http/httpproxy, net/http's Transport. `localhost` and loopback addresses never go through
//! a proxy.

use std::net::IpAddr;

use super::base_url::{BaseUrl, UrlError};

/// The proxy settings of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpProxySettings {
    https: Option<HttpProxy>,
    http: Option<HttpProxy>,
    exceptions: Vec<Exception>,
}

/// A proxy: `http` or `https` (both take CONNECT) or `socks5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProxy {
    /// How the proxy itself is spoken to.
    pub protocol: HttpProxyProtocol,
    /// Its host, in lower case.
    pub host: String,
    /// Its port.
    pub port: u16,
    url: BaseUrl,
}

/// How a proxy itself is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpProxyProtocol {
    /// CONNECT over plain TCP.
    Http,
    /// CONNECT over TLS.
    Https,
    /// SOCKS5, names resolved by the proxy.
    Socks5,
}

/// What a request's URL starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetScheme {
    /// `https`: `HTTPS_PROXY` counts.
    Https,
    /// `http`: `HTTP_PROXY` counts.
    Http,
}

/// A proxy variable that is not understood. Its value is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpProxyError {
    /// No URL.
    #[error("{variable} is not understood: {error}")]
    Url {
        /// The variable.
        variable: &'static str,
        /// Why.
        error: UrlError,
    },
    /// A URL of a kind that is not supported.
    #[error("{variable} has the scheme {scheme:?}: only http, https and socks5 are supported")]
    Scheme {
        /// The variable.
        variable: &'static str,
        /// The scheme.
        scheme: String,
    },
}

/// One entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    /// `*`
    All,
    /// An address, perhaps only at one port.
    Address { address: IpAddr, port: String },
    /// A network: its address and the length of its prefix.
    Network { address: IpAddr, prefix: u32 },
    /// A domain, starting with a dot.
    Domain {
        suffix: String,
        port: String,
        itself: bool,
    },
}

impl HttpProxySettings {
    /// Reads the variables; `variable` gives the value of one, `None` or empty if it is not set. The spelling in
    /// upper case goes before the one in lower case.
    pub fn from_variables<'a>(
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, HttpProxyError> {
        let any = |upper: &str, lower: &str| {
            [upper, lower]
                .into_iter()
                .filter_map(&variable)
                .find(|value| !value.is_empty())
        };
        let proxy = |upper, lower| {
            any(upper, lower)
                .map(|value| HttpProxy::parse(value, upper))
                .transpose()
        };
        Ok(Self {
            https: proxy("HTTPS_PROXY", "https_proxy")?,
            // In a CGI program `HTTP_PROXY` may come from the client: Go refuses every request then.
            http: if variable("REQUEST_METHOD").is_some_and(|method| !method.is_empty()) {
                None
            } else {
                proxy("HTTP_PROXY", "http_proxy")?
            },
            exceptions: any("NO_PROXY", "no_proxy").map_or_else(Vec::new, exceptions),
        })
    }

    /// The proxy for a request to this host (no brackets) and port; `None`: no proxy.
    pub fn proxy_for(&self, scheme: TargetScheme, host: &str, port: u16) -> Option<&HttpProxy> {
        let proxy = match scheme {
            TargetScheme::Https => self.https.as_ref(),
            TargetScheme::Http => self.http.as_ref(),
        }?;
        self.applies_to(host, port).then_some(proxy)
    }

    /// The proxies that are set, for whatever host.
    pub fn proxies(&self) -> impl Iterator<Item = &HttpProxy> {
        self.https.iter().chain(&self.http)
    }

    fn applies_to(&self, host: &str, port: u16) -> bool {
        let address = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return false;
        }
        let host = host.trim().to_lowercase();
        let port = port.to_string();
        !self
            .exceptions
            .iter()
            .any(|exception| exception.covers(&host, &port, address))
    }
}

impl HttpProxy {
    fn parse(value: &str, variable: &'static str) -> Result<Self, HttpProxyError> {
        // As in Go, `HOST:PORT` is no URL with a host, and is read again with a scheme before it.
        let url = BaseUrl::parse(value)
            .ok()
            .filter(|url| !url.host().is_empty())
            .map_or_else(|| BaseUrl::parse(&format!("http://{value}")), Ok)
            .map_err(|error| HttpProxyError::Url { variable, error })?;
        let protocol = match url.scheme() {
            "http" => HttpProxyProtocol::Http,
            "https" => HttpProxyProtocol::Https,
            "socks5" | "socks5h" => HttpProxyProtocol::Socks5,
            other => {
                return Err(HttpProxyError::Scheme {
                    variable,
                    scheme: other.to_owned(),
                });
            }
        };
        let (host, port) = (url.host().to_owned(), url.port());
        let port = port
            .filter(|_| !host.is_empty())
            .ok_or(HttpProxyError::Url {
                variable,
                error: UrlError::Host,
            })?;
        Ok(Self {
            protocol,
            host,
            port,
            url,
        })
    }

    /// The value of the `Proxy-Authorization` header, if the setting has credentials; a secret.
    pub fn authorization(&self) -> Option<String> {
        self.url.basic_authorization()
    }
}

fn exceptions(text: &str) -> Vec<Exception> {
    let mut exceptions = Vec::new();
    for entry in text.split(',') {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return vec![Exception::All];
        }
        exceptions.extend(exception(&entry));
    }
    exceptions
}

/// One entry, trimmed and in lower case; `None` if it is empty or makes no sense.
fn exception(entry: &str) -> Option<Exception> {
    if let Some((address, prefix)) = entry.split_once('/')
        && let (Ok(address), Ok(prefix)) = (address.parse::<IpAddr>(), prefix.parse::<u32>())
        && prefix <= bits(address).1
    {
        return Some(Exception::Network { address, prefix });
    }
    let (host, port) = split_port(entry);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(Exception::Address {
            address: address.to_canonical(),
            port: port.to_owned(),
        });
    }
    let host = if host.starts_with("*.") {
        &host[1..]
    } else {
        host
    };
    let first = host.chars().next()?;
    Some(Exception::Domain {
        suffix: if first == '.' {
            host.to_owned()
        } else {
            format!(".{host}")
        },
        port: port.to_owned(),
        itself: first != '.',
    })
}

/// `HOST:PORT`, `[IPv6]:PORT`, or a host with colons or none of them and no port.
fn split_port(entry: &str) -> (&str, &str) {
    if let Some((host, port)) = entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        return (host, port);
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port),
        _ => (entry, ""),
    }
}

impl Exception {
    fn covers(&self, host: &str, port: &str, address: Option<IpAddr>) -> bool {
        let at_port = |only: &String| only.is_empty() || only == port;
        match (self, address) {
            (Self::All, _) => true,
            (
                Self::Address {
                    address: wanted,
                    port: only,
                },
                Some(address),
            ) => *wanted == address && at_port(only),
            (
                Self::Network {
                    address: network,
                    prefix,
                },
                Some(address),
            ) => {
                let ((network, width), (address, its_width)) = (bits(*network), bits(address));
                width == its_width
                    && (network ^ address)
                        .checked_shr(width - prefix)
                        .is_none_or(|differs| differs == 0)
            }
            (
                Self::Domain {
                    suffix,
                    port: only,
                    itself,
                },
                None,
            ) => {
                (host.ends_with(suffix.as_str()) || (*itself && host == &suffix[1..]))
                    && at_port(only)
            }
            _ => false,
        }
    }
}

/// The address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(variables: &[(&str, &str)]) -> Result<HttpProxySettings, HttpProxyError> {
        HttpProxySettings::from_variables(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        })
    }

    #[test]
    fn upper_case_goes_first_and_schemes_have_their_own() {
        let settings = settings(&[
            ("HTTPS_PROXY", "corp.example:3128"),
            ("https_proxy", "http://never.example"),
            ("HTTP_PROXY", ""),
            ("http_proxy", "https://user:p%40ss@plain.example"),
        ])
        .unwrap();
        let https = settings
            .proxy_for(TargetScheme::Https, "proxy.golang.org", 443)
            .unwrap();
        assert_eq!(
            (
                https.protocol,
                https.host.as_str(),
                https.port,
                https.authorization()
            ),
            (HttpProxyProtocol::Http, "corp.example", 3128, None)
        );
        let http = settings
            .proxy_for(TargetScheme::Http, "proxy.golang.org", 80)
            .unwrap();
        assert_eq!((http.protocol, http.port), (HttpProxyProtocol::Https, 443));
        assert_eq!(http.authorization().as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(settings.proxies().count(), 2);
        assert!(!format!("{settings:?}").contains("p%40ss"));
    }

    #[test]
    fn exceptions_are_kept() {
        let no = "corp.example, .dot.example,*.star.example:8443,10.0.0.0/8,192.0.2.7,198.51.100.9:443,\
                  [2001:db8::1]:443,2001:db8:1::/48, :80,";
        let settings = settings(&[("HTTPS_PROXY", "http://p.example"), ("no_proxy", no)]).unwrap();
        for (host, port, through) in [
            ("corp.example", 443, false),
            ("a.CORP.example", 443, false),
            ("notcorp.example", 443, true),
            ("dot.example", 443, true),
            ("a.dot.example", 443, false),
            ("a.star.example", 443, true),
            ("a.star.example", 8443, false),
            ("star.example", 8443, true),
            ("10.9.8.7", 443, false),
            ("11.0.0.1", 443, true),
            ("192.0.2.7", 1, false),
            ("::ffff:192.0.2.7", 1, false),
            ("198.51.100.9", 443, false),
            ("198.51.100.9", 444, true),
            ("2001:db8::1", 443, false),
            ("2001:db8::1", 80, true),
            ("2001:db8:1:2::3", 80, false),
            ("localhost", 443, false),
            ("127.0.0.9", 443, false),
            ("::1", 443, false),
            ("proxy.golang.org", 443, true),
        ] {
            let proxy = settings.proxy_for(TargetScheme::Https, host, port);
            assert_eq!(proxy.is_some(), through, "{host}:{port}");
        }
        let all = self::settings(&[("HTTPS_PROXY", "http://p.example"), ("NO_PROXY", "a.b, *")]);
        assert_eq!(
            all.unwrap()
                .proxy_for(TargetScheme::Https, "c.example", 443),
            None
        );
        let net =
            self::settings(&[("HTTPS_PROXY", "p.example"), ("NO_PROXY", "0.0.0.0/0")]).unwrap();
        assert_eq!(net.proxy_for(TargetScheme::Https, "203.0.113.1", 443), None);
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_secret() {
        for value in ["http://u:secret@a b", "gopher://u:secret@a.example"] {
            let error = settings(&[("HTTPS_PROXY", value)]).unwrap_err().to_string();
            assert!(
                error.starts_with("HTTPS_PROXY") && !error.contains("secret"),
                "{error}"
            );
        }
        let cgi = settings(&[("HTTP_PROXY", "p.example:1"), ("REQUEST_METHOD", "GET")]).unwrap();
        assert_eq!(cgi.proxies().count(), 0);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(proxy in any::<String>(), no in any::<String>(), like in "[0-9a-f:./,\\[\\]*]{0,60}", host in any::<String>()) {
            for no in [no, like] {
                if let Ok(settings) = settings(&[("HTTPS_PROXY", &proxy), ("NO_PROXY", &no)]) {
                    let _ = settings.proxy_for(TargetScheme::Https, &host, 443);
                }
                let settings = settings(&[("HTTPS_PROXY", "p.example"), ("NO_PROXY", &no)]).unwrap();
                for host in [host.as_str(), "1.2.3.4", "2001:db8::1", "a.example"] {
                    let _ = settings.proxy_for(TargetScheme::Https, host, 443);
                }
            }
        }
    }
}
