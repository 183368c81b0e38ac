// SPDX-License-Identifier: MIT OR Apache-2.0
//! The URLs that Go's settings name: module proxies, checksum databases, HTTP proxies.
//!
//! Stricter than Go's net/url on purpose: what is refused here is not intercepted, which is always safe.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A URL without query and fragment. Its user information is kept apart and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: String,
    host: String,
    port: Option<u16>,
    path: String,
    user_info: Option<String>,
}

/// Why a text is no usable URL. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Nothing before `:`.
    #[error("the scheme is missing: write https://HOST/PATH")]
    Scheme,
    /// Empty, or characters that a host name, an IPv4 address or an IPv6 address in brackets cannot have.
    #[error(
        "the host is missing or malformed; international names must be written in their xn-- form"
    )]
    Host,
    /// Not 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// A space, a control character, `?`, `#`, or `%` without two hexadecimal digits.
    #[error("a query, a fragment or a character that must be escaped as %XX is in it")]
    Character,
}

impl BaseUrl {
    /// Reads `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH]` or `SCHEME:/PATH`.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(UrlError::Scheme)?;
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return Err(UrlError::Scheme);
        }
        if !is_escaped(rest) {
            return Err(UrlError::Character);
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None if rest.starts_with('/') => ("", rest),
            None => return Err(UrlError::Host),
        };
        let (user_info, address) = match authority.rsplit_once('@') {
            Some((user_info, address)) => (Some(user_info.to_owned()), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address)?;
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            host,
            port,
            path: clean(path),
            user_info,
        })
    }

    /// `https`, `http`, `file`…, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host in lower case, without brackets and without a dot at the end; empty if there is none.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, or the scheme's usual one; `None` if neither is known.
    pub fn port(&self) -> Option<u16> {
        self.port.or(match self.scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            "socks5" | "socks5h" => Some(1080),
            _ => None,
        })
    }

    /// The path, escaped, without a slash at its end: empty, or `/PATH`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of an `Authorization` or `Proxy-Authorization` header for the user information; a secret.
    pub fn basic_authorization(&self) -> Option<String> {
        let user_info = self.user_info.as_deref()?;
        let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
        let mut plain = unescape(user);
        plain.push(b':');
        plain.extend(unescape(password));
        Some(format!("Basic {}", STANDARD.encode(plain)))
    }

    /// Whether there is user information.
    pub fn has_user_info(&self) -> bool {
        self.user_info.is_some()
    }

    /// The URL of what is at `below`, a path that is escaped already and does not start with a slash; without
    /// user information.
    pub fn join(&self, below: &str) -> String {
        format!("{self}/{below}")
    }
}

/// Without user information and without a slash at the end.
impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme)?;
        if self.host.contains(':') {
            write!(formatter, "[{}]", self.host)?;
        } else {
            formatter.write_str(&self.host)?;
        }
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(&self.path)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = if self.has_user_info() {
            " (with user information)"
        } else {
            ""
        };
        write!(formatter, "BaseUrl({self}{secret})")
    }
}

/// Splits `HOST[:PORT]`, `[IPv6][:PORT]`.
fn host_and_port(address: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| UrlError::Host)?;
        match after.strip_prefix(':') {
            Some(port) => (host, port),
            None if after.is_empty() => (host, ""),
            None => return Err(UrlError::Host),
        }
    } else {
        let (host, port) = address.split_once(':').unwrap_or((address, ""));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !host.bytes().all(allowed) || (host.is_empty() && !port.is_empty()) {
            return Err(UrlError::Host);
        }
        (host.strip_suffix('.').unwrap_or(host), port)
    };
    let port = if port.is_empty() {
        None
    } else {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse().ok().filter(|port| digits && *port != 0);
        Some(number.ok_or(UrlError::Port)?)
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// Whether only characters stand in it that a URL may have, and no query or fragment.
fn is_escaped(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        b'?' | b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
        other => other.is_ascii_graphic(),
    })
}

/// The path as Go's path.Join leaves it, without a slash at its end.
fn clean(path: &str) -> String {
    let mut elements: Vec<&str> = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => {
                elements.pop();
            }
            other => elements.push(other),
        }
    }
    elements.iter().flat_map(|element| ["/", element]).collect()
}

/// The bytes that a text with `%XX` stands for.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_are_told_apart() {
        let url = BaseUrl::parse("HTTPS://us%40er:p%3Aw@Proxy.Example.:8443//a/./b/../c/").unwrap();
        assert_eq!(
            (url.scheme(), url.host(), url.port(), url.path()),
            ("https", "proxy.example", Some(8443), "/a/c")
        );
        assert_eq!(
            url.basic_authorization().as_deref(),
            Some("Basic dXNAZXI6cDp3")
        );
        assert_eq!(
            url.join("x/@v/list"),
            "https://proxy.example:8443/a/c/x/@v/list"
        );
        let six = BaseUrl::parse("http://[2001:DB8::1]").unwrap();
        assert_eq!((six.host(), six.port()), ("2001:db8::1", Some(80)));
        assert_eq!(six.to_string(), "http://[2001:db8::1]");
        let file = BaseUrl::parse("file:///srv/go").unwrap();
        assert_eq!(
            (file.host(), file.port(), file.path()),
            ("", None, "/srv/go")
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let url = BaseUrl::parse("https://user:secret@proxy.example/p").unwrap();
        let printed = format!("{url} {url:?} {}", url.join("x"));
        assert!(
            !printed.contains("secret") && !printed.contains("user:"),
            "{printed}"
        );
        assert!(url.has_user_info());
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for (text, error) in [
            ("proxy.example", UrlError::Scheme),
            ("1a://x", UrlError::Scheme),
            ("proxy.example:3128", UrlError::Host),
            ("https://a b", UrlError::Character),
            ("https://a/%zz", UrlError::Character),
            ("https://a/?q", UrlError::Character),
            ("https://bücher.example", UrlError::Character),
            ("https://a:0", UrlError::Port),
            ("https://a:65536", UrlError::Port),
            ("https://a:+1", UrlError::Port),
            ("https://:80", UrlError::Host),
            ("https://[::1", UrlError::Host),
            ("https://[x]", UrlError::Host),
            ("https://[::1]x", UrlError::Host),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), like in "[a-z]{1,5}:[a-z/@:%\\[\\]0-9.]{0,30}") {
            for text in [text, like] {
                if let Ok(url) = BaseUrl::parse(&text) {
                    let _ = url.basic_authorization();
                    prop_assert!(!url.path().ends_with('/'));
                    prop_assert!(!url.host().contains('@'));
                }
            }
        }
    }
}
