// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of an HTTP proxy that makes no tunnel (CONNECT, RFC 9110 section 9.3.6), or whose tunnel ended. Whatever
//! comes back is the proxy's own packet: of the way from it to the host, times and resets say nothing.

use std::time::Duration;

use crate::{
    diagnose::{Verdict, words::time},
    kernel::events::AttemptFailure,
    timeline::AttemptSeen,
};

/// Of a proxy that was asked for a tunnel, and has not made one.
pub(super) fn verdict(attempt: &AttemptSeen) -> Verdict {
    match &attempt.failure {
        None | Some(AttemptFailure::Silent) => Verdict::RequestStalled,
        Some(_) => Verdict::TunnelRefused,
    }
}

/// The status that the proxy answered CONNECT with.
pub(super) fn status(attempt: &AttemptSeen) -> Option<u16> {
    match attempt.failure {
        Some(AttemptFailure::TunnelRefused { status }) => Some(status),
        _ => None,
    }
}

/// What the proxy made of CONNECT, `waited` after it.
pub(super) fn story(attempt: &AttemptSeen, waited: Duration) -> String {
    let (host, waited) = (&attempt.host, time(waited));
    match &attempt.failure {
        None | Some(AttemptFailure::Silent) => {
            format!("it has not answered our CONNECT to {host} for {waited}")
        }
        Some(AttemptFailure::TunnelRefused { status }) => {
            let reason = http::StatusCode::from_u16(*status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .map_or_else(String::new, |reason| format!(" ({reason})"));
            format!("it answered our CONNECT to {host} with status {status}{reason} after {waited}")
        }
        Some(AttemptFailure::Reset) => {
            format!("it reset our connection {waited} after our CONNECT to {host}")
        }
        Some(AttemptFailure::Closed) => {
            format!("it closed our connection {waited} after our CONNECT to {host}")
        }
        Some(AttemptFailure::Other { error }) => {
            format!("it did not answer our CONNECT to {host} in HTTP ({error})")
        }
        Some(other) => format!("our CONNECT to {host} came to nothing ({other:?})"),
    }
}

/// What to do about a proxy that makes no tunnel.
pub(super) fn action(attempt: &AttemptSeen, proxy: &str) -> String {
    let (host, port) = (&attempt.host, attempt.remote.port());
    match (&attempt.failure, status(attempt)) {
        (_, Some(407)) => format!(
            "Give the proxy a user and a password that it knows: HTTPS_PROXY=http://USER:PASSWORD@{proxy}:{port}."
        ),
        (_, Some(400..500)) => format!(
            "Ask whoever runs the HTTP proxy {proxy} to allow {host}, or set GOPROXY to a mirror that it allows."
        ),
        (None | Some(AttemptFailure::Silent), _) | (_, Some(_)) => format!(
            "Ask whoever runs the HTTP proxy {proxy} whether it can reach {host}, which it connects to before it answers; if this \
             machine can reach that host without the proxy, name it in NO_PROXY."
        ),
        (Some(_), None) => format!(
            "Check that HTTPS_PROXY names an HTTP proxy, and ask whoever runs {proxy} why it ends connections to {host}."
        ),
    }
}
