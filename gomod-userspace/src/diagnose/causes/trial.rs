// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection that was tried, as an experiment: its address, the form of its `ClientHello`, and how it went.

use std::net::SocketAddr;

use crate::{
    kernel::events::{MonotonicNanos, Way},
    timeline::{AttemptSeen, Connection, ConnectionId},
};

/// A `ClientHello` above this needs more than one TCP segment on an MTU of 1500 bytes.
pub(in crate::diagnose) const ONE_SEGMENT: u32 = 1400;

/// How far a trial came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::diagnose) enum Result {
    /// TCP did not come about.
    NotConnected,
    /// The `ClientHello` got no proper answer. `on_path`: something between here and the server did that, not the
    /// server.
    NoAnswer { on_path: bool },
    /// The handshake went through.
    Passed,
}

/// Whose connection it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::diagnose) enum Whose {
    /// A process's.
    Process(ConnectionId),
    /// The accelerator's.
    Ours,
}

/// The form of a `ClientHello`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::diagnose) struct Form {
    pub(in crate::diagnose) bytes: u32,
    pub(in crate::diagnose) alpn: Vec<String>,
}

impl Form {
    pub(super) fn large(&self) -> bool {
        self.bytes > ONE_SEGMENT
    }

    pub(super) fn h2(&self) -> bool {
        self.alpn.iter().any(|protocol| protocol == "h2")
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::diagnose) struct Trial {
    pub(in crate::diagnose) host: String,
    /// The HTTP proxy in whose tunnel it was.
    pub(in crate::diagnose) proxy: Option<String>,
    /// The proxy's where there is one.
    pub(in crate::diagnose) remote: SocketAddr,
    /// `None` where no hello went out.
    pub(in crate::diagnose) hello: Option<Form>,
    pub(in crate::diagnose) result: Result,
    pub(in crate::diagnose) whose: Whose,
    pub(in crate::diagnose) at: MonotonicNanos,
}

impl Trial {
    /// What a process's connection shows of the network. One that we answer ourselves shows nothing.
    pub(in crate::diagnose) fn of_connection(
        connection: &Connection,
        result: Result,
    ) -> Option<Self> {
        if connection.way == Way::Accelerated {
            return None;
        }
        let hello = connection.client_hello.as_ref().map(|hello| Form {
            bytes: hello.bytes,
            alpn: hello.hello.alpn.clone(),
        });
        Some(Self {
            host: connection.host.clone()?,
            // What is sent to a proxy in clear text is no hello.
            proxy: None,
            remote: connection.remote,
            at: connection
                .client_hello
                .as_ref()
                .map_or(connection.opened, |hello| hello.sent),
            hello,
            // What is copied by us has our own TTL, and we acknowledge it.
            result: match result {
                Result::NoAnswer { .. } if connection.way == Way::Spliced => {
                    Result::NoAnswer { on_path: false }
                }
                result => result,
            },
            whose: Whose::Process(connection.id),
        })
    }

    /// The same of a connection of the accelerator.
    pub(in crate::diagnose) fn of_attempt(attempt: &AttemptSeen, result: Result) -> Self {
        Self {
            host: attempt.destination().to_owned(),
            proxy: attempt.behind().map(str::to_owned),
            remote: attempt.remote,
            at: attempt.connected.unwrap_or(attempt.began),
            hello: attempt.client_hello.as_ref().map(|hello| Form {
                bytes: hello.bytes,
                alpn: hello.alpn.clone(),
            }),
            result,
            whose: Whose::Ours,
        }
    }

    pub(super) fn passed(&self) -> bool {
        self.result == Result::Passed
    }

    pub(super) fn connected(&self) -> bool {
        self.result != Result::NotConnected
    }
}
