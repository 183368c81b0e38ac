// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server in a race.

use std::sync::Arc;
use std::time::Duration;

use super::super::answer::Worth;
use super::super::server::Server;

/// How long "there is none" is put off for a server listed before, at least.
pub(super) const HELD_FOR: Duration = Duration::from_millis(500);
/// And at least for so many times its patience, so that it is asked more than once in it however far it is.
const HELD_PATIENCES: u32 = 2;

/// One of the group in a race.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) server: Arc<Server>,
    /// It has not answered for so long that it has its turn last.
    pub(super) known_dead: bool,
    /// It has said something in this round that does not end the race by itself.
    pub(super) spoke: Option<Worth>,
    /// The last question to it could not even be sent, or was turned down by its machine.
    pub(super) unreachable: bool,
}

impl Runner {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        Self {
            server: Arc::clone(server),
            known_dead: server.health.is_dead(),
            spoke: None,
            unreachable: false,
        }
    }

    /// Nothing more is to be had from it in this round.
    pub(super) fn is_done(&self) -> bool {
        self.spoke.is_some() || self.unreachable
    }

    /// How long "there is none" by another one is put off for it. A company's server that asks others for a name that it
    /// does not have takes a few hundred milliseconds, and with the wait before it, a server that has just died costs well
    /// below a second. One that is known to be dead may have been slow for one name only: it has the time that its answers
    /// usually take.
    pub(super) fn is_heard_for(&self) -> Duration {
        let patience = self.server.patience();
        if self.known_dead {
            patience
        } else {
            HELD_FOR.max(patience * HELD_PATIENCES)
        }
    }

    /// How often it is asked at a time while "there is none" is put off for it.
    pub(super) fn is_asked_again(&self) -> usize {
        if self.known_dead || self.loses_nothing() {
            1
        } else {
            2
        }
    }

    /// It could not find out, just now.
    pub(super) fn failed(&self) -> bool {
        self.spoke == Some(Worth::Failed)
    }

    /// It is asked by a stream.
    pub(super) fn loses_nothing(&self) -> bool {
        self.server.address().is_none()
    }
}
