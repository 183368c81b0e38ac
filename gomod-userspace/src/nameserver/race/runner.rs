// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server in a race.

use std::sync::Arc;

use super::super::answer::Worth;
use super::super::server::Server;

/// One of the group in a race.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) server: Arc<Server>,
    /// It has not answered for so long that it isn't waited for.
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

    /// Nobody's word is put off for it.
    pub(super) fn is_settled(&self) -> bool {
        self.is_done() || self.known_dead
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
