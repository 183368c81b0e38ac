// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the accelerator's own connections to the hosts meet: the kernel programs watch those of the command alone.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A step of a connection that the accelerator opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Number of the connection in its run.
    pub number: u64,
    /// The host that it is for.
    pub host: String,
    /// The name of the HTTP proxy that it is to lead through.
    #[serde(default)]
    pub proxy: Option<String>,
    /// The address: the host's, or its HTTP proxy's.
    pub remote: SocketAddr,
    /// What happened.
    pub step: AttemptStep,
}

/// What happened to a connection that the accelerator opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptStep {
    /// `connect` was called.
    Began,
    /// TCP is connected; what goes out next is the `ClientHello`, or what an HTTP proxy is asked.
    Connected,
    /// The HTTP proxy is asked for a tunnel to the host (`CONNECT`, RFC 9110 section 9.3.6).
    TunnelAsked,
    /// The HTTP proxy answered that there is one: what follows is to the host.
    TunnelOpen,
    /// It can carry requests. Without TLS, there was no `ClientHello`.
    Open {
        /// The `ClientHello`.
        client_hello: Option<OwnHello>,
    },
    /// It came to nothing.
    Failed {
        /// The `ClientHello`, if one went out.
        client_hello: Option<OwnHello>,
        /// How.
        failure: AttemptFailure,
    },
    /// Another address was quicker, or nobody needs it any more.
    Dropped,
}

/// A `ClientHello` of our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnHello {
    /// Bytes on the stream, record header included.
    pub bytes: u32,
    /// Application protocols offered.
    pub alpn: Vec<String>,
}

/// How a connection came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptFailure {
    /// Nothing came within the deadline.
    Silent,
    /// The SYN was answered by a reset.
    Refused,
    /// No route, or the network said so.
    Unreachable,
    /// Reset after the `ClientHello`, or after CONNECT.
    Reset,
    /// Closed after the `ClientHello`, or after CONNECT.
    Closed,
    /// The HTTP proxy answered CONNECT with a status that opens no tunnel.
    TunnelRefused {
        /// The status.
        status: u16,
    },
    /// The `ClientHello` was answered by this alert.
    Alert {
        /// Its name as IANA writes it, snake case.
        description: String,
    },
    /// The certificate was refused.
    Untrusted {
        /// Distinguished name of the issuer of the last certificate of the chain.
        issuer: String,
        /// Why, in words.
        reason: String,
        /// The authority is not one that this machine trusts.
        unknown_authority: bool,
    },
    /// Something else, in words.
    Other {
        /// What.
        error: String,
    },
}
