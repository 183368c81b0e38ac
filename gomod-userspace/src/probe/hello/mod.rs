// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `ClientHello` that a given Go release sends, byte for byte but for its random values.
//!
//! Order, lists and sizes are those of `crypto/tls` on a machine with AES instructions; the tests hold them against
//! hellos captured from the real `go` commands. A server can answer such a hello with its `ServerHello`: the key shares
//! are valid, their private halves are thrown away, so the handshake goes no further.

mod build;
mod secrets;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use build::{ClientHelloBytes, build};
pub use secrets::Secrets;

/// A minor release of Go whose hello is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the releases'")]
pub enum GoRelease {
    Go1_21,
    Go1_22,
    Go1_23,
    Go1_24,
    Go1_25,
    Go1_26,
    Go1_27,
}

impl GoRelease {
    /// All, oldest first.
    pub const ALL: [Self; 7] = [
        Self::Go1_21,
        Self::Go1_22,
        Self::Go1_23,
        Self::Go1_24,
        Self::Go1_25,
        Self::Go1_26,
        Self::Go1_27,
    ];

    /// The newest of them.
    pub const NEWEST: Self = Self::Go1_27;

    /// Its number, `1.27`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Go1_21 => "1.21",
            Self::Go1_22 => "1.22",
            Self::Go1_23 => "1.23",
            Self::Go1_24 => "1.24",
            Self::Go1_25 => "1.25",
            Self::Go1_26 => "1.26",
            Self::Go1_27 => "1.27",
        }
    }

    /// Whether it sends a post-quantum key share, unless told not to (since 1.24, `X25519MLKEM768`).
    pub fn is_post_quantum(self) -> bool {
        self >= Self::Go1_24
    }
}

impl fmt::Display for GoRelease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "go{}", self.number())
    }
}

/// A release that is not among the known ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no hello of Go {0:?} is known: give one of 1.21 to 1.27")]
pub struct UnknownRelease(String);

impl FromStr for GoRelease {
    type Err = UnknownRelease;

    /// Reads `1.27`, `go1.27` and `go1.27.3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("go").unwrap_or(text);
        Self::ALL
            .into_iter()
            .find(|release| {
                number
                    .strip_prefix(release.number())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .ok_or_else(|| UnknownRelease(text.to_owned()))
    }
}

/// What the hello offers as application protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alpn {
    /// `h2`, `http/1.1`: what `go` offers.
    Http2AndHttp1,
    /// `http/1.1` alone.
    Http1,
    /// No such extension: `GODEBUG=http2client=0`.
    Absent,
}

/// Which versions of TLS it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Versions {
    /// 1.3 and 1.2: what `go` offers.
    Both,
    /// 1.3 alone.
    Only13,
    /// 1.2 alone.
    Only12,
}

/// Everything about a hello that is not random.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HelloShape {
    /// Whose hello.
    pub release: GoRelease,
    /// The name in the SNI extension; `None`: no such extension.
    pub server_name: Option<String>,
    /// Application protocols.
    pub alpn: Alpn,
    /// Versions.
    pub versions: Versions,
    /// With the post-quantum key share, where the release has one; without: `GODEBUG=tlsmlkem=0`.
    pub post_quantum: bool,
}

impl HelloShape {
    /// As `go` sends it to a host.
    pub fn of_go(release: GoRelease, server_name: &str) -> Self {
        Self {
            release,
            server_name: Some(server_name.to_owned()),
            alpn: Alpn::Http2AndHttp1,
            versions: Versions::Both,
            post_quantum: true,
        }
    }
}
