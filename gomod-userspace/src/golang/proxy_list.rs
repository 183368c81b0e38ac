// SPDX-License-Identifier: MIT OR Apache-2.0
//! GOPROXY: where modules are asked for, in which order, and which errors lead to the next entry.
//!
//! Rules: `proxyList` and `newProxyRepo` of cmd/go/internal/modfetch, the same in Go 1.21 and 1.27.

use super::base_url::{BaseUrl, UrlError};

/// A GOPROXY list: at least one entry, nothing after `direct` or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyList {
    entries: Vec<ProxyEntry>,
    only_files: bool,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyEntry {
    /// Where to ask.
    pub source: ProxySource,
    /// Which errors lead to the next entry.
    pub fallback: Fallback,
}

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxySource {
    /// A module proxy; the scheme is `https`, `http` or `file`.
    Url(BaseUrl),
    /// The module's own repository.
    Direct,
    /// Nowhere.
    Off,
}

/// Which errors lead to the next entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// A comma follows, or nothing: only 404 and 410.
    NotFound,
    /// `|` follows: any error.
    AnyError,
}

/// Why a GOPROXY list cannot be used; `go` stops on each of these, but for [`ProxyListError::Url`] of what is merely
/// unusual.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyListError {
    /// Nothing but separators.
    #[error("GOPROXY has no entry: set it to a URL, direct or off")]
    Empty,
    /// An entry is no URL that is understood. It is named by its number, as it may hold a password.
    #[error("entry {number} of GOPROXY is not understood: {error}")]
    Url {
        /// Its number, from 1.
        number: usize,
        /// Why.
        error: UrlError,
    },
    /// An entry's scheme is not supported.
    #[error(
        "entry {number} of GOPROXY has the scheme {scheme:?}: only https, http and file can be used"
    )]
    Scheme {
        /// Its number, from 1.
        number: usize,
        /// The scheme, perhaps empty.
        scheme: String,
    },
    /// A `file` URL with more than a path, or any other URL without a host.
    #[error(
        "entry {number} of GOPROXY: a file URL has no host (file:///PATH), any other URL must have one"
    )]
    Host {
        /// Its number, from 1.
        number: usize,
    },
}

impl ProxyList {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, ProxyListError> {
        let mut entries = Vec::new();
        let mut rest = text;
        let mut number = 0;
        while !rest.is_empty() {
            let (word, fallback, after) = match rest.find([',', '|']) {
                Some(at) if rest.as_bytes()[at] == b'|' => {
                    (&rest[..at], Fallback::AnyError, &rest[at + 1..])
                }
                Some(at) => (&rest[..at], Fallback::NotFound, &rest[at + 1..]),
                None => (rest, Fallback::NotFound, ""),
            };
            rest = after;
            let word = word.trim();
            if word.is_empty() {
                continue;
            }
            number += 1;
            let source = source(word, number)?;
            let last = !matches!(source, ProxySource::Url(_));
            // Go takes no notice of what follows them, so neither has a fallback.
            let fallback = if last { Fallback::NotFound } else { fallback };
            entries.push(ProxyEntry { source, fallback });
            if last {
                break;
            }
        }
        if entries.is_empty() {
            return Err(ProxyListError::Empty);
        }
        Ok(Self {
            entries,
            only_files: text.starts_with("file://") && !text.contains([',', '|']),
        })
    }

    /// The entries, in the order in which they are asked; never empty.
    pub fn entries(&self) -> &[ProxyEntry] {
        &self.entries
    }

    /// The module proxies among them.
    pub fn urls(&self) -> impl Iterator<Item = &BaseUrl> {
        self.entries.iter().filter_map(|entry| match &entry.source {
            ProxySource::Url(url) => Some(url),
            ProxySource::Direct | ProxySource::Off => None,
        })
    }

    /// Whether the list is one `file` URL and nothing else: then `go` takes even a toolchain without checksum database.
    pub fn is_one_directory(&self) -> bool {
        self.only_files
    }
}

fn source(word: &str, number: usize) -> Result<ProxySource, ProxyListError> {
    match word {
        "off" => return Ok(ProxySource::Off),
        "direct" => return Ok(ProxySource::Direct),
        _ => {}
    }
    let scheme = |scheme: &str| ProxyListError::Scheme {
        number,
        scheme: scheme.to_owned(),
    };
    let text = if word.contains(":/") {
        word.to_owned()
    } else if word.contains(['.', ':', '/']) && !word.starts_with('/') {
        format!("https://{word}")
    } else {
        // A word without any punctuation is kept for keywords to come, and a bare path has no scheme.
        return Err(scheme(""));
    };
    let url = BaseUrl::parse(&text).map_err(|error| ProxyListError::Url { number, error })?;
    let has_host = !url.host().is_empty();
    match url.scheme() {
        "https" | "http" if has_host => Ok(ProxySource::Url(url)),
        "file" if !has_host && !url.has_user_info() => Ok(ProxySource::Url(url)),
        "https" | "http" | "file" => Err(ProxyListError::Host { number }),
        other => Err(scheme(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> Vec<(String, Fallback)> {
        let word = |entry: &ProxyEntry| match &entry.source {
            ProxySource::Url(url) => url.to_string(),
            ProxySource::Direct => "direct".to_owned(),
            ProxySource::Off => "off".to_owned(),
        };
        ProxyList::parse(text)
            .unwrap()
            .entries()
            .iter()
            .map(|entry| (word(entry), entry.fallback))
            .collect()
    }

    #[test]
    fn separators_tell_the_fallback() {
        use Fallback::{AnyError, NotFound};
        let entry = |text: &str, fallback| (text.to_owned(), fallback);
        assert_eq!(
            list("https://a.example/x/ | b.example:8443,direct,https://never.example"),
            [
                entry("https://a.example/x", AnyError),
                entry("https://b.example:8443", NotFound),
                entry("direct", NotFound),
            ]
        );
        assert_eq!(list(",,off|direct"), [entry("off", NotFound)]);
        assert_eq!(
            list("localhost/x,http://u:p@c.example"),
            [
                entry("https://localhost/x", NotFound),
                entry("http://c.example", NotFound)
            ]
        );
    }

    #[test]
    fn directories_are_proxies() {
        let one = ProxyList::parse("file:///srv/modules").unwrap();
        assert!(one.is_one_directory());
        assert_eq!(
            one.urls().map(BaseUrl::path).collect::<Vec<_>>(),
            ["/srv/modules"]
        );
        assert!(
            !ProxyList::parse("file:///srv,off")
                .unwrap()
                .is_one_directory()
        );
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in ["", " ", ",", "|,"] {
            assert_eq!(ProxyList::parse(text), Err(ProxyListError::Empty), "{text}");
        }
        let scheme = |number, scheme: &str| ProxyListError::Scheme {
            number,
            scheme: scheme.into(),
        };
        for (text, error) in [
            ("noproxy", scheme(1, "")),
            ("/srv/modules", scheme(1, "")),
            ("https://a.example,ftp://b.example", scheme(2, "ftp")),
            ("file://host/srv", ProxyListError::Host { number: 1 }),
            ("https:///x", ProxyListError::Host { number: 1 }),
            (
                "https://u:secret@a b",
                ProxyListError::Url {
                    number: 1,
                    error: UrlError::Character,
                },
            ),
        ] {
            let got = ProxyList::parse(text).unwrap_err();
            assert!(!got.to_string().contains("secret"));
            assert_eq!(got, error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>(), like in "[a-z:/.,| @]{0,60}") {
            for text in [text, like] {
                if let Ok(list) = ProxyList::parse(&text) {
                    prop_assert!(!list.entries().is_empty());
                    let (last, rest) = list.entries().split_last().unwrap();
                    prop_assert!(rest.iter().all(|entry| matches!(entry.source, ProxySource::Url(_))));
                    let _ = last;
                }
            }
        }
    }
}
