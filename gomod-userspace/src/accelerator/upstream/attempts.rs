// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tells of connections as they are opened: no kernel program watches ours.

use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{OwnedPermit, Sender, error::TrySendError};

use super::error::FailureKind;
use super::route::Route;
use crate::kernel;
use crate::kernel::events::{
    Attempt, AttemptFailure, AttemptStep, Event, EventKind, OwnHello, Pid,
};

/// Most that one attempt tells: its begin, TCP, CONNECT, the tunnel, its end.
const STEPS: usize = 5;

/// Numbers the attempts of a run; without a receiver, nothing is told.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    count: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    sender: Option<Sender<Event>>,
}

/// One attempt, told of until it is open or failed; let go of before, it is told as dropped.
#[derive(Debug)]
pub(super) struct Telling {
    number: u64,
    host: String,
    proxy: Option<String>,
    remote: SocketAddr,
    /// Places in the queue for all that may be told; none for an attempt of which nothing is.
    room: Vec<OwnedPermit<Event>>,
    over: bool,
}

impl Attempts {
    pub(super) fn new(sender: Option<Sender<Event>>) -> Self {
        Self {
            sender,
            ..Self::default()
        }
    }

    /// `connect` to `remote`, which is the host of `route` or its HTTP proxy, is called now.
    ///
    /// An attempt is told of from its begin to its end, or not at all: one whose end found no room would wait for ever in
    /// the timeline. So room for all of it is taken now.
    pub(super) fn begin(&self, route: &Route, remote: SocketAddr) -> Telling {
        let mut telling = Telling {
            number: self.count.fetch_add(1, Ordering::Relaxed),
            host: route.host.clone(),
            proxy: route.via.as_ref().map(|proxy| proxy.host.clone()),
            remote,
            room: self.room(),
            over: false,
        };
        telling.tell(AttemptStep::Began);
        telling
    }

    /// Attempts that are not told of, because the queue was full.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn room(&self) -> Vec<OwnedPermit<Event>> {
        let Some(sender) = &self.sender else {
            return Vec::new();
        };
        let places = iter::repeat_with(|| sender.clone().try_reserve_owned()).take(STEPS);
        match places.collect() {
            Ok(room) => room,
            Err(full) => {
                if matches!(full, TrySendError::Full(_)) {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
                Vec::new()
            }
        }
    }
}

impl Telling {
    /// TCP is connected.
    pub(super) fn connected(&mut self) {
        self.tell(AttemptStep::Connected);
    }

    /// The HTTP proxy is asked for a tunnel.
    pub(super) fn tunnel_asked(&mut self) {
        self.tell(AttemptStep::TunnelAsked);
    }

    /// The HTTP proxy has made a tunnel.
    pub(super) fn tunnel_open(&mut self) {
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

    fn tell(&mut self, step: AttemptStep) {
        let Some(place) = self.room.pop() else { return };
        place.send(Event {
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
