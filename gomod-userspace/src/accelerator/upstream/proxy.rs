// SPDX-License-Identifier: MIT OR Apache-2.0
//! The HTTP proxy that a process is told to go through, and which of its connections do.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

/// An HTTP proxy: `http://` or `https://`, with the credentials of its URL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpProxy {
    /// Whether the proxy itself is spoken to over TLS.
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) authorization: Option<HeaderValue>,
}

/// A proxy URL that can't be used. Does not repeat the URL: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Not a URL.
    #[error("the HTTP proxy's address is not a URL ({0}): write http://host:port")]
    Url(String),
    /// A proxy of another kind.
    #[error("proxies of the scheme {0} are not supported: only http and https")]
    Scheme(String),
}

impl HttpProxy {
    /// One at this host (an address without brackets), spoken to in clear text and shown this value of `Proxy-Authorization`. `None` if that can't be one.
    pub fn new(host: &str, port: u16, authorization: Option<&str>) -> Option<Self> {
        let authorization = match authorization {
            Some(value) => {
                let mut value = HeaderValue::try_from(value).ok()?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Some(Self {
            tls: false,
            host: if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            },
            port,
            authorization,
        })
    }

    /// Reads `http://[user[:password]@]host[:port]`, also `https://`, and without a scheme as `go` does.
    pub fn parse(text: &str) -> Result<Self, InvalidProxy> {
        let url = match Url::parse(text) {
            Ok(url) if url.has_host() => url,
            _ if text.contains("://") => return Err(InvalidProxy::Url("no host".to_owned())),
            _ => Url::parse(&format!("http://{text}"))
                .map_err(|error| InvalidProxy::Url(error.to_string()))?,
        };
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(InvalidProxy::Scheme(other.to_owned())),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host
            .ok_or_else(|| InvalidProxy::Url("no host".to_owned()))?
            .to_owned();
        let port = url
            .port_or_known_default()
            .unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            tls,
            host,
            port,
            authorization: basic_authorization(&url),
        })
    }
}

impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}:{}",
            if self.tls { "https" } else { "http" },
            self.host,
            self.port
        )
    }
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `Basic` credentials from a URL's user and password (RFC 7617), marked as not to be printed.
pub(super) fn basic_authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = percent_decoded(url.username());
    pair.push(b':');
    pair.extend(percent_decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = tail.first_chunk::<2>().and_then(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8)
        });
        match pair {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    decoded
}

/// Which proxy a URL is fetched through. Asked again for each redirect, as another host may be exempt.
#[derive(Clone)]
pub struct Via(Arc<Choose>);

/// Names the proxy for a URL.
type Choose = dyn Fn(&Url) -> Option<HttpProxy> + Send + Sync;

impl Via {
    /// Through no proxy.
    pub fn direct() -> Self {
        Self(Arc::new(|_| None))
    }

    /// Through `proxy`, whatever the URL.
    pub fn proxy(proxy: HttpProxy) -> Self {
        Self(Arc::new(move |_| Some(proxy.clone())))
    }

    /// Through what `choose` says.
    pub fn chosen_by(choose: impl Fn(&Url) -> Option<HttpProxy> + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    /// The proxy for `url`.
    pub(super) fn of(&self, url: &Url) -> Option<HttpProxy> {
        (self.0)(url)
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Via")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_with_and_without_scheme_and_port() {
        for (text, shown) in [
            ("http://proxy.test:3128", "http://proxy.test:3128"),
            ("proxy.test:3128", "http://proxy.test:3128"),
            ("proxy.test", "http://proxy.test:80"),
            ("https://proxy.test", "https://proxy.test:443"),
            ("http://[2001:2::1]:8080/", "http://[2001:2::1]:8080"),
        ] {
            assert_eq!(HttpProxy::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn credentials_are_taken_and_never_shown() {
        let proxy = HttpProxy::parse("http://us%40er:pa%3ass%zz@proxy.test:3128").unwrap();
        let expected = format!("Basic {}", STANDARD.encode("us@er:pa:ss%zz"));
        assert_eq!(proxy.authorization.as_ref().unwrap(), expected.as_str());
        let shown = format!("{proxy} {proxy:?} {:?}", proxy.authorization);
        assert!(!shown.contains("pa") && !shown.contains("Basic"), "{shown}");
    }

    #[test]
    fn other_kinds_of_proxy_are_refused_without_repeating_the_address() {
        assert_eq!(
            HttpProxy::parse("socks5://u:secret@h:1"),
            Err(InvalidProxy::Scheme("socks5".to_owned()))
        );
        for text in ["http://", "http://u:secret@", "u:secret@:x"] {
            let words = HttpProxy::parse(text).unwrap_err().to_string();
            assert!(!words.contains("secret"), "{words}");
        }
    }
}
