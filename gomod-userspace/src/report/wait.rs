// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run is waiting for right now, in a few words.

use std::{collections::HashSet, time::Duration};

use super::{text::printable, units};
use crate::{
    kernel::events::{MonotonicNanos, Pid},
    timeline::{Connection, DnsExchange, LockWait, ModuleFile},
};

/// Waits shorter than this are the ordinary rhythm of a download.
const NOTEWORTHY: Duration = Duration::from_secs(1);

/// The oldest wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    since: MonotonicNanos,
    whom: String,
    what: String,
}

impl Wait {
    fn new(since: MonotonicNanos, whom: &str, what: impl Into<String>) -> Self {
        Self {
            since,
            whom: printable(whom).into_owned(),
            what: what.into(),
        }
    }

    /// `waiting 12 s for proxy.golang.org: TLS handshake`.
    pub(super) fn text(&self, now: MonotonicNanos) -> String {
        format!(
            "waiting {} for {}: {}",
            units::age(now.since(self.since)),
            self.whom,
            self.what
        )
    }
}

/// The oldest noteworthy wait among what is unfinished. A wait for an answer to a request counts only while the
/// process has unfinished files, and from the last sign of life on any of its connections: idle connections are
/// kept for later.
pub(super) fn current<'a>(
    dns: impl Iterator<Item = &'a DnsExchange>,
    connections: impl Iterator<Item = &'a Connection>,
    locks: impl Iterator<Item = &'a LockWait>,
    files: impl Iterator<Item = &'a ModuleFile>,
    now: MonotonicNanos,
) -> Option<Wait> {
    let busy: HashSet<Pid> = files.map(|file| file.pid).collect();
    let mut setup: Vec<Wait> = dns
        .map(|exchange| {
            Wait::new(
                exchange.sent,
                &exchange.name,
                format!("DNS answer from {}", exchange.server.ip()),
            )
        })
        .chain(locks.map(lock))
        .collect();
    let mut answer: Option<Wait> = None;
    for connection in connections {
        if let Some(wait) = handshake(connection) {
            setup.push(wait);
        } else if busy.contains(&connection.pid)
            && let Some(wait) = response(connection)
            && answer.as_ref().is_none_or(|other| other.since < wait.since)
        {
            answer = Some(wait);
        }
    }
    setup
        .into_iter()
        .min_by_key(|wait| wait.since)
        .filter(|wait| now.since(wait.since) >= NOTEWORTHY)
        .or_else(|| answer.filter(|wait| now.since(wait.since) >= NOTEWORTHY))
}

fn lock(lock: &LockWait) -> Wait {
    let whom = match &lock.module {
        Some((module, version)) => format!("{module}@{version}"),
        None => lock.path.to_string_lossy().into_owned(),
    };
    match &lock.holder {
        Some((pid, _)) => Wait::new(lock.began, &whom, format!("lock held by process {pid}")),
        None => Wait::new(lock.began, &whom, "lock held by another process"),
    }
}

/// What a connection waits for before it can be used.
fn handshake(connection: &Connection) -> Option<Wait> {
    let whom = whom(connection);
    if connection.established.is_none() {
        return Some(Wait::new(connection.opened, &whom, "TCP connection"));
    }
    let hello = connection.client_hello.as_ref()?;
    connection
        .handshake_done
        .is_none()
        .then(|| Wait::new(hello.sent, &whom, "TLS handshake"))
}

/// What a connection in use waits for.
fn response(connection: &Connection) -> Option<Wait> {
    let traffic = connection.traffic.as_ref()?;
    let request = traffic.request?;
    match traffic.last_in {
        Some(last) if traffic.response.is_some_and(|response| response >= request) => Some(
            Wait::new(last.max(request), &whom(connection), "rest of the response"),
        ),
        _ => Some(Wait::new(request, &whom(connection), "response")),
    }
}

fn whom(connection: &Connection) -> String {
    connection
        .host
        .clone()
        .unwrap_or_else(|| connection.remote.to_string())
}
