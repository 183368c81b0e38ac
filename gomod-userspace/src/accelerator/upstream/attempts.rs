// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tells of connections as they are opened: no kernel program watches ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::error::FailureKind;
use super::route::Route;
use crate::kernel;
use crate::kernel::events::{
    Attempt, AttemptFailure, AttemptStep, Event, EventKind, OwnHello, Pid,
};

/// Numbers the attempts of a run; without a receiver, nothing is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    count: Arc<AtomicU64>,
    sender: Option<mpsc::Sender<Event>>,
}

/// One attempt, told of until it is open or failed; let go of before, it is told as dropped.
#[derive(Debug)]
pub(super) struct Telling {
    number: u64,
    host: String,
    proxy: Option<String>,
    remote: SocketAddr,
    sender: Option<mpsc::Sender<Event>>,
    over: bool,
}

impl Attempts {
    pub(super) fn new(sender: Option<mpsc::Sender<Event>>) -> Self {
        Self {
            sender,
            ..Self::default()
        }
    }

    /// `connect` to `remote`, which is the host of `route` or its HTTP proxy, is called now.
    pub(super) fn begin(&self, route: &Route, remote: SocketAddr) -> Telling {
        let telling = Telling {
            number: self.count.fetch_add(1, Ordering::Relaxed),
            host: route.host.clone(),
            proxy: route.via.as_ref().map(|proxy| proxy.host.clone()),
            remote,
            sender: self.sender.clone(),
            over: false,
        };
        telling.tell(AttemptStep::Began);
        telling
    }
}

impl Telling {
    /// TCP is connected.
    pub(super) fn connected(&self) {
        self.tell(AttemptStep::Connected);
    }

    /// The HTTP proxy is asked for a tunnel.
    pub(super) fn tunnel_asked(&self) {
        self.tell(AttemptStep::TunnelAsked);
    }

    /// The HTTP proxy has made a tunnel.
    pub(super) fn tunnel_open(&self) {
        self.tell(AttemptStep::TunnelOpen);
    }

    /// It can carry requests.
    pub(super) fn open(mut self, client_hello: Option<OwnHello>) {
        self.over = true;
        self.tell(AttemptStep::Open { client_hello });
    }

    /// It came to nothing.
    pub(super) fn failed(mut self, client_hello: Option<OwnHello>, failure: AttemptFailure) {
        self.over = true;
        self.tell(AttemptStep::Failed {
            client_hello,
            failure,
        });
    }

    fn tell(&self, step: AttemptStep) {
        let Some(sender) = &self.sender else { return };
        // With the queue full, the timeline lacks it; no fetch waits for that.
        let _ = sender.try_send(Event {
            at: kernel::now(),
            // Nobody's but ours.
            pid: Pid(0),
            kind: EventKind::Attempt(Attempt {
                number: self.number,
                host: self.host.clone(),
                proxy: self.proxy.clone(),
                remote: self.remote,
                step,
            }),
        });
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.over {
            self.tell(AttemptStep::Dropped);
        }
    }
}

/// How connecting failed.
pub(super) fn of_connect(kind: FailureKind, error: &str) -> AttemptFailure {
    match kind {
        FailureKind::Timeout => AttemptFailure::Silent,
        FailureKind::Refused | FailureKind::Cut => AttemptFailure::Refused,
        FailureKind::Unreachable => AttemptFailure::Unreachable,
        _ => AttemptFailure::Other {
            error: error.to_owned(),
        },
    }
}
