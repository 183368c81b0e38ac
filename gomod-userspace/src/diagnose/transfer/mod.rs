// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests without a response, and responses that stop, break off or crawl.
//!
//! What is inside of TLS can't be seen. What can: packets large enough to carry a request, bytes that came back, and
//! the module files that `go` has looked for in vain, or writes. A connection that idles stalls only if a file, or a
//! request, waits for it; without that it is kept alive for later, as HTTP does.

mod cut;
mod rate;
mod silence;

pub(super) use cut::Cuts;
pub(super) use rate::Rates;
pub(super) use silence::examine;

use std::time::Duration;

use super::{
    Confidence, Evidence, Finding, Stage, StallSubject, Verdict, View, limits::UNASKED_BYTES,
};
use crate::{
    kernel::events::MonotonicNanos,
    timeline::{Connection, StreamKind},
};

/// A packet's record and the connection's totals read the clock one after the other.
const SAME_PACKET: Duration = Duration::from_micros(20);

/// What came back for the last request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Response {
    /// Not a byte.
    Nothing,
    /// No more than servers send unasked after a handshake.
    Unclear,
    /// Something.
    Some,
}

/// A connection that has sent a request, as far as that can be told.
#[derive(Clone, Copy)]
struct Exchange<'a> {
    connection: &'a Connection,
    /// The last request.
    request: MonotonicNanos,
    /// The last bytes that came in, if any.
    last_in: Option<MonotonicNanos>,
    /// Received since the request, bytes.
    received: u64,
    /// Received over the connection's life, bytes.
    bytes_in: u64,
    response: Response,
}

impl<'a> Exchange<'a> {
    fn of(connection: &'a Connection) -> Option<Self> {
        let traffic = connection.traffic.as_ref()?;
        let begin = match connection.stream {
            // The first large packet after the server's flight is the client's Finished.
            StreamKind::Tls => connection.handshake_done? + SAME_PACKET,
            _ => connection.opened,
        };
        let request = traffic.request.filter(|request| *request > begin)?;
        let received = traffic.bytes_in.saturating_sub(traffic.bytes_in_at_request);
        let since_handshake = traffic
            .bytes_in
            .saturating_sub(connection.bytes_received_in_handshake);
        let response = if received == 0 {
            Response::Nothing
        } else if connection.stream == StreamKind::Tls && since_handshake <= UNASKED_BYTES {
            Response::Unclear
        } else {
            Response::Some
        };
        Some(Self {
            connection,
            request,
            last_in: traffic.last_in,
            received,
            bytes_in: traffic.bytes_in,
            response,
        })
    }

    /// When the last thing happened on it.
    fn idle_from(&self) -> MonotonicNanos {
        self.request.max(self.last_in.unwrap_or_default())
    }
}

/// True for a connection that can carry requests, or could until it was cut.
pub(super) fn under_way(connection: &Connection) -> bool {
    connection.established.is_some()
        && match connection.stream {
            StreamKind::Tls => connection.handshake_done.is_some(),
            StreamKind::Plain => true,
            StreamKind::Unknown | StreamKind::Dns => false,
        }
}

/// True while the peer could still answer and the client still listens.
fn is_open(view: View<'_>, connection: &Connection) -> bool {
    connection.closed.is_none()
        && connection.close_sent.is_none()
        && connection.rst_received.is_none()
        && connection.fin_received.is_none()
        && view.owner_ended(connection).is_none()
}

/// Distance of two moments, ns.
fn apart(one: MonotonicNanos, other: MonotonicNanos) -> u64 {
    one.0.abs_diff(other.0)
}

fn base(connection: &Connection, stage: Stage, began: MonotonicNanos) -> Finding {
    Finding {
        subject: StallSubject::Connection(connection.id),
        pid: connection.pid,
        verdict: Verdict::RequestStalled,
        stage,
        confidence: Confidence::Confirmed,
        host: connection.host.clone(),
        began,
        ended: None,
        evidence: Evidence::new(),
        story: String::new(),
        action: String::new(),
        explanation: None,
    }
}
