// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections that the accelerator opens to the hosts.

use std::{collections::BTreeMap, net::SocketAddr};

use super::Timeline;
use crate::kernel::events::{Attempt, AttemptFailure, AttemptStep, MonotonicNanos, OwnHello};

/// A connection of the accelerator on one leg of its way. Directly to a host, the way has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSeen {
    /// The host that it is for.
    pub host: String,
    /// The HTTP proxy on the way there.
    pub proxy: Option<String>,
    /// Which part of the way.
    pub leg: Leg,
    /// The address: the host's, or its HTTP proxy's.
    pub remote: SocketAddr,
    /// When `connect` was called, or an HTTP proxy asked for a tunnel.
    pub began: MonotonicNanos,
    /// When TCP was connected, or the tunnel open.
    pub connected: Option<MonotonicNanos>,
    /// The `ClientHello`, known once it is over.
    pub client_hello: Option<OwnHello>,
    /// When it led on, had failed, or was dropped.
    pub over: Option<MonotonicNanos>,
    /// It led on: it can carry requests, or CONNECT.
    pub open: bool,
    /// How it failed.
    pub failure: Option<AttemptFailure>,
}

/// A part of the way to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// TCP, and TLS if any: to the host, or to the HTTP proxy that is to make a tunnel.
    Dial,
    /// The HTTP proxy is asked for a tunnel to the host, by CONNECT.
    Tunnel,
    /// TLS with the host, in the tunnel.
    Inside,
}

impl AttemptSeen {
    /// Whom this leg leads to: the host, or the HTTP proxy on the way there.
    pub fn destination(&self) -> &str {
        match (self.leg, &self.proxy) {
            (Leg::Dial, Some(proxy)) => proxy,
            _ => &self.host,
        }
    }

    /// The HTTP proxy that stands between us and where this leg leads: packets and their times are the proxy's.
    pub fn behind(&self) -> Option<&str> {
        match self.leg {
            Leg::Dial => None,
            Leg::Tunnel | Leg::Inside => self.proxy.as_deref(),
        }
    }

    fn new(at: MonotonicNanos, attempt: &Attempt, leg: Leg) -> Self {
        Self {
            host: attempt.host.clone(),
            proxy: attempt.proxy.clone(),
            leg,
            remote: attempt.remote,
            began: at,
            connected: None,
            client_hello: None,
            over: None,
            open: false,
            failure: None,
        }
    }
}

/// Places in [`Timeline::attempts`] of those that are not over.
#[derive(Clone, Debug, Default)]
pub(super) struct AttemptIndex {
    open: BTreeMap<u64, usize>,
}

impl Timeline {
    pub(super) fn attempt(&mut self, at: MonotonicNanos, attempt: &Attempt) {
        if attempt.step == AttemptStep::Began {
            self.begin_leg(AttemptSeen::new(at, attempt, Leg::Dial), attempt.number);
            return;
        }
        let place = self.index.attempts.open.get(&attempt.number).copied();
        let Some(seen) = place.and_then(|place| self.attempts.get_mut(place)) else {
            // Its begin was not told: a connection of which half is known is none.
            return;
        };
        match &attempt.step {
            AttemptStep::Connected => {
                seen.connected = Some(at);
                return;
            }
            AttemptStep::TunnelAsked => {
                seen.open = true;
                seen.over = Some(at);
                self.begin_leg(AttemptSeen::new(at, attempt, Leg::Tunnel), attempt.number);
                return;
            }
            AttemptStep::TunnelOpen => {
                seen.connected = Some(at);
                seen.open = true;
                seen.over = Some(at);
                // The host is as far away as it took the proxy to reach it.
                let mut inside = AttemptSeen::new(seen.began, attempt, Leg::Inside);
                inside.connected = Some(at);
                self.begin_leg(inside, attempt.number);
                return;
            }
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
        seen.over = Some(at);
        self.index.attempts.open.remove(&attempt.number);
    }

    fn begin_leg(&mut self, leg: AttemptSeen, number: u64) {
        self.index.attempts.open.insert(number, self.attempts.len());
        self.attempts.push(leg);
    }
}
