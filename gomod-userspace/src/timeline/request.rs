// SPDX-License-Identifier: MIT OR Apache-2.0
//! A request that was answered by us.

use super::{Timeline, socket::CarriedEarly};
use crate::kernel::events::{Answered, MonotonicNanos, Pid, SocketCookie, Way};

/// A request that the accelerator answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSeen {
    /// Who asked.
    pub pid: Pid,
    /// When the answer had ended.
    pub done: MonotonicNanos,
    /// What was asked and answered.
    pub answered: Answered,
}

impl Timeline {
    /// It was decided how a connection is carried.
    pub(super) fn carried(
        &mut self,
        cookie: SocketCookie,
        way: Way,
        why: &str,
        host: Option<&str>,
    ) {
        let Some(connection) = self.connection_mut(cookie) else {
            let early = CarriedEarly {
                way,
                why: why.to_owned(),
                host: host.map(str::to_owned),
            };
            self.index.sockets.carried.insert(cookie, early);
            return;
        };
        connection.way = way;
        connection.why = Some(why.to_owned());
        if let Some(host) = host {
            connection.host = Some(host.to_owned());
        }
    }
}
