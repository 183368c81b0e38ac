// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a probe could not be done.

use std::io;

/// Why a probe could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The worker could not be started.
    #[error(
        "cannot start the probe's worker {program}: {source}; check `ulimit -u` and that the file can be executed"
    )]
    Start {
        /// Our own binary.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The worker is gone, or says what nobody understands.
    #[error("the probe's worker ended before its time{said}; run again with GOMOD_TRACE_LOG=debug")]
    Worker {
        /// What it said last, with a colon before it; empty if nothing.
        said: String,
    },
    /// Nothing can be reached at all.
    #[error(
        "there is no network: no nameserver can be reached ({why}); connect this machine, and look at `ip route` and /etc/resolv.conf"
    )]
    NoNetwork {
        /// The kernel's word.
        why: String,
    },
    /// The HTTP proxy has no address.
    #[error(
        "the proxy {proxy} of HTTPS_PROXY cannot be resolved: {why}; correct HTTPS_PROXY, or use --direct"
    )]
    ProxyName {
        /// Its host and port.
        proxy: String,
        /// Why.
        why: String,
    },
    /// A proxy of a kind that can't be spoken to.
    #[error(
        "HTTPS_PROXY names a proxy of the kind {kind}, which the probe cannot speak to; use --direct to ignore it"
    )]
    ProxyKind {
        /// `https` or `socks5`.
        kind: &'static str,
    },
    /// The variable is not understood.
    #[error("{0}; correct it, or use --direct to ignore it")]
    ProxySetting(#[from] crate::golang::http_proxy::HttpProxyError),
    /// No nameservers.
    #[error("cannot read /etc/resolv.conf: {0}; name at least one nameserver there")]
    Nameservers(String),
}
