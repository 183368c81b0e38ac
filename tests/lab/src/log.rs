// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab did and what it was asked for, so that tests can hold it against what was seen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::addresses::Family;
use crate::fault::FaultKind;

/// Entries kept of each kind; a command that retries for ever must not eat the memory.
const KEPT: usize = 100_000;

/// One act of a fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Since the lab started.
    pub at: Duration,
    /// The fault.
    pub fault: FaultKind,
    /// The host it happened to: a name, for packets of hosts outside the lab an address.
    pub host: String,
    /// What was done to what.
    pub what: String,
}

/// One HTTP request that a server of the lab received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Since the lab started.
    pub at: Duration,
    /// The server's name.
    pub host: String,
    /// Path, without percent escapes, and query; at [`crate::WEB_PROXY`] the host and port asked for.
    pub path: String,
    /// False over plain HTTP.
    pub secure: bool,
    /// True for HTTP/2.
    pub http2: bool,
    /// The family it came over.
    pub family: Family,
    /// The credentials that came with it; at [`crate::WEB_PROXY`] those for the proxy.
    pub authorization: Option<String>,
    /// The first byte that was asked for, and is sent, if that is not the first of all.
    pub first_byte: Option<u64>,
    /// The status answered; 0 for a request that is never answered.
    pub status: u16,
    /// Bytes that a whole response would have.
    pub body_bytes: u64,
}

/// One connection to a TLS server of the lab whose handshake was completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// When the handshake was done, since the lab started.
    pub at: Duration,
    /// The server's name.
    pub host: String,
    /// True if the client resumed an earlier session, which saves it the certificates.
    pub resumed: bool,
}

/// One question that a nameserver of the lab received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Since the lab started.
    pub at: Duration,
    /// The nameserver, counted from 1.
    pub server: u8,
    /// The name asked for, without the last dot.
    pub name: String,
    /// The record type's name, such as `AAAA`.
    pub kind: String,
    /// True if it came over TCP.
    pub tcp: bool,
}

#[derive(Debug, Default)]
struct Records {
    acts: Vec<Act>,
    connections: Vec<Connection>,
    requests: Vec<Request>,
    questions: Vec<Question>,
}

/// The log of one lab.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    began: Instant,
    records: Arc<Mutex<Records>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            records: Arc::default(),
        }
    }

    pub(crate) fn act(&self, fault: FaultKind, host: impl Into<String>, what: impl Into<String>) {
        let act = Act {
            at: self.now(),
            fault,
            host: host.into(),
            what: what.into(),
        };
        tracing::debug!(fault = %act.fault, host = act.host, "{}", act.what);
        self.with(|records| keep(&mut records.acts, act));
    }

    pub(crate) fn connection(&self, connection: Connection) {
        self.with(|records| keep(&mut records.connections, connection));
    }

    pub(crate) fn request(&self, request: Request) {
        self.with(|records| keep(&mut records.requests, request));
    }

    /// Returns how many there were before.
    pub(crate) fn question(&self, question: Question) -> usize {
        self.with(|records| {
            let before = records.questions.len();
            keep(&mut records.questions, question);
            before
        })
    }

    pub(crate) fn acts(&self) -> Vec<Act> {
        self.with(|records| records.acts.clone())
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.with(|records| records.connections.clone())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.with(|records| records.requests.clone())
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        self.with(|records| records.questions.clone())
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Records) -> T) -> T {
        work(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn keep<T>(entries: &mut Vec<T>, entry: T) {
    if entries.len() < KEPT {
        entries.push(entry);
    }
}
