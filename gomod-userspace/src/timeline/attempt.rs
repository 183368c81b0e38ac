// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that the accelerator opens to the hosts.

use std::{collections::BTreeMap, net::SocketAddr};

use super::Timeline;
use crate::kernel::events::{Attempt, AttemptFailure, AttemptStep, MonotonicNanos, OwnHello};

/// A connection of the accelerator, from `connect` to where it can carry requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSeen {
    /// The host that it is for, or the HTTP proxy's while it leads to one.
    pub host: String,
    /// The host's address, or its HTTP proxy's.
    pub remote: SocketAddr,
    /// When `connect` was called.
    pub began: MonotonicNanos,
    /// When TCP was connected.
    pub connected: Option<MonotonicNanos>,
    /// The `ClientHello`, known once it is over.
    pub client_hello: Option<OwnHello>,
    /// When it could carry requests, had failed, or was dropped.
    pub over: Option<MonotonicNanos>,
    /// It can carry requests.
    pub open: bool,
    /// How it failed.
    pub failure: Option<AttemptFailure>,
}

/// Places in [`Timeline::attempts`] of those that are not over.
#[derive(Clone, Debug, Default)]
pub(super) struct AttemptIndex {
    open: BTreeMap<u64, usize>,
}

impl Timeline {
    pub(super) fn attempt(&mut self, at: MonotonicNanos, attempt: &Attempt) {
        if attempt.step == AttemptStep::Began {
            self.index
                .attempts
                .open
                .insert(attempt.number, self.attempts.len());
            self.attempts.push(AttemptSeen {
                host: attempt.host.clone(),
                remote: attempt.remote,
                began: at,
                connected: None,
                client_hello: None,
                over: None,
                open: false,
                failure: None,
            });
            return;
        }
        let place = self.index.attempts.open.get(&attempt.number).copied();
        let Some(seen) = place.and_then(|place| self.attempts.get_mut(place)) else {
            // Its begin found no room on the way here: a connection of which half is known is none.
            return;
        };
        // Behind an HTTP proxy it is the host's from now on.
        seen.host.clone_from(&attempt.host);
        match &attempt.step {
            AttemptStep::Connected => seen.connected = Some(at),
            AttemptStep::Open { client_hello } => {
                seen.client_hello.clone_from(client_hello);
                seen.open = true;
            }
            AttemptStep::Failed {
                client_hello,
                failure,
            } => {
                seen.client_hello.clone_from(client_hello);
                seen.failure = Some(failure.clone());
            }
            AttemptStep::Began | AttemptStep::Dropped => {}
        }
        if !matches!(attempt.step, AttemptStep::Connected) {
            seen.over = Some(at);
            self.index.attempts.open.remove(&attempt.number);
        }
    }
}
