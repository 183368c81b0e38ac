// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an upstream could not be asked, in words for `go`'s user, and the status that says so without inventing one.

use std::io;

use http::StatusCode;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// A phase took longer than its deadline.
    Timeout,
    /// The name has no address, or could not be looked up.
    Name,
    /// The address refused the connection.
    Refused,
    /// There is no way to the address.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// The certificate isn't one that this machine trusts for the host. Never retried.
    Certificate,
    /// The HTTP proxy refused the tunnel.
    Proxy,
    /// The connection was closed or reset before the answer was whole.
    Cut,
    /// The answer isn't HTTP/1.1 as it should be.
    Protocol,
    /// A redirect that must not be followed, or too many of them.
    Redirect,
    /// The file became another one while it was being fetched.
    Changed,
    /// The request can't be carried: a scheme or method that isn't for module downloads.
    Request,
}

/// A fetch that failed, or a body that can't be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{story}")]
pub struct UpstreamError {
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// What happened, where, and what can be done, in plain words. Names no credential.
    pub story: String,
    /// Whether another address, connection or moment may do better.
    pub(super) again: bool,
}

impl UpstreamError {
    /// A failure that a new attempt may avoid.
    pub(super) fn passing(kind: FailureKind, story: impl Into<String>) -> Self {
        Self {
            kind,
            story: story.into(),
            again: true,
        }
    }

    /// A failure that every attempt would meet.
    pub(super) fn lasting(kind: FailureKind, story: impl Into<String>) -> Self {
        Self {
            kind,
            story: story.into(),
            again: false,
        }
    }

    /// The status to answer with: 504 for a missed deadline, 502 for every other failure. Never 404 or 410, which
    /// would send `go` to its next proxy.
    pub fn status(&self) -> StatusCode {
        match self.kind {
            FailureKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What connecting to `peer` failed with.
    pub(super) fn connect(peer: impl std::fmt::Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => FailureKind::Refused,
            io::ErrorKind::TimedOut => FailureKind::Timeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => FailureKind::Cut,
            _ => FailureKind::Unreachable,
        };
        Self::passing(kind, format!("connect to {peer}: {error}"))
    }

    /// What the TLS handshake with `host` at `peer` failed with, and who had signed its certificate where that is why.
    pub(super) fn handshake(
        host: &str,
        peer: impl std::fmt::Display,
        issuer: Option<&str>,
        error: &io::Error,
    ) -> Self {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(reason)) => Self::lasting(
                FailureKind::Certificate,
                format!(
                    "the certificate of {host} ({peer}), issued by {}, is not trusted by this machine: {reason:?}; if a company proxy inspects TLS here, add its CA to the system's certificates or to SSL_CERT_FILE",
                    issuer.unwrap_or("nobody knows whom"),
                ),
            ),
            Some(reason) => Self::passing(
                FailureKind::Tls,
                format!("TLS handshake with {host} ({peer}): {reason}"),
            ),
            None => Self::passing(
                FailureKind::Tls,
                format!("TLS handshake with {host} ({peer}): {error}"),
            ),
        }
    }

    /// What an exchange with `host` at `peer` failed with.
    pub(super) fn exchange(host: &str, peer: impl std::fmt::Display, error: &hyper::Error) -> Self {
        let mut words = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            words = format!("{words}: {inner}");
            source = inner.source();
        }
        let kind = if error.is_parse() {
            FailureKind::Protocol
        } else {
            FailureKind::Cut
        };
        Self::passing(kind, format!("{host} ({peer}): {words}"))
    }

    /// One error for all the attempts that came to nothing, the last first.
    pub(super) fn exhausted(what: &str, attempts: u32, mut failures: Vec<Self>) -> Self {
        let Some(last) = failures.pop() else {
            return Self::lasting(FailureKind::Cut, format!("{what}: no attempt was possible"));
        };
        let mut story = format!("{what}: {last}");
        failures.retain(|earlier| earlier.story != last.story);
        failures.dedup_by(|next, earlier| next.story == earlier.story);
        if attempts > 1 {
            story = format!("{story} (after {attempts} attempts)");
        }
        for earlier in failures.iter().rev().take(3) {
            story = format!("{story}; before that: {earlier}");
        }
        Self {
            kind: last.kind,
            story,
            again: last.again,
        }
    }
}
