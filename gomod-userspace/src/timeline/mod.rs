// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes, DNS exchanges, connections and module files as they unfold.
//!
//! A [`Timeline`] is built from [events](crate::kernel::events) alone, in the order of their times, and holds
//! facts, no judgement: those are [`crate::diagnose`]'s.

mod attempt;
mod caches;
mod connection;
mod dns;
mod handshake;
mod lock;
mod module;
mod nameserver;
mod process;
mod request;
#[cfg(test)]
pub(crate) mod script;
mod segment;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use attempt::{AttemptSeen, Leg};
pub use caches::CachesSeen;
pub use connection::{
    ClientHelloSeen, Connection, ConnectionId, Ended, ServerHelloSeen, StreamKind,
};
pub use dns::{DNS_PORT, DnsExchange, DnsOutcome, DnsTransport};
pub use lock::LockWait;
pub use module::{FileProgress, ModuleFile, ModuleFileKind};
pub use nameserver::{NameserverExchange, StubAnswer};
pub use process::Process;
pub use request::RequestSeen;

use crate::kernel::events::{Event, EventKind, FetchedAhead, MonotonicNanos, Pid, Protocol};

/// Everything known of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// When the run began; times in reports count from here.
    pub began: MonotonicNanos,
    /// Processes of the traced cgroup by id; a reused id replaces the ended process only in this index,
    /// see `ended_processes`.
    pub processes: BTreeMap<Pid, Process>,
    /// Ended processes whose id was used again.
    pub ended_processes: Vec<Process>,
    /// DNS questions in the order they were sent.
    pub dns: Vec<DnsExchange>,
    /// Questions of the DNS stub to nameservers, in the order in which they were over.
    pub nameservers: Vec<NameserverExchange>,
    /// TCP connections in the order they were opened.
    pub connections: Vec<Connection>,
    /// Module files that were wanted, in that order.
    pub files: Vec<ModuleFile>,
    /// Lock waits in the order they began.
    pub locks: Vec<LockWait>,
    /// Where the caches of `go` processes lie, in the order in which that became known.
    pub caches: Vec<CachesSeen>,
    /// Requests that the accelerator answered, in the order in which that ended.
    pub requests: Vec<RequestSeen>,
    /// What the accelerator had fetched ahead when it told last; `None` where nothing is carried.
    pub ahead: Option<FetchedAhead>,
    /// Connections that the accelerator opened, each leg of their ways, in that order.
    pub attempts: Vec<AttemptSeen>,
    /// Events taken in.
    pub events_received: u64,
    /// Events that found no room on their way here: in the ring buffer, or in a queue of our own.
    pub events_lost: u64,
    /// Ways from an event to what it is of; no facts.
    pub(crate) index: Index,
}

/// See [`Timeline::index`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    processes: process::ProcessIndex,
    dns: dns::DnsIndex,
    sockets: socket::SocketIndex,
    files: module::FileIndex,
    locks: lock::LockIndex,
    attempts: attempt::AttemptIndex,
}

impl Timeline {
    /// An empty timeline of a run that begins now.
    pub fn new(began: MonotonicNanos) -> Self {
        Self {
            began,
            ..Self::default()
        }
    }

    /// Takes an event in. Events may be late by some milliseconds, missing, or of things that began before the
    /// run did; none of that is an error.
    pub fn apply(&mut self, event: &Event) {
        self.events_received = self.events_received.saturating_add(1);
        let Event { at, pid, ref kind } = *event;
        match kind {
            EventKind::Exec(exec) => self.exec(at, pid, exec),
            EventKind::Exit { code } => self.exit(at, pid, *code),
            EventKind::Connect {
                cookie,
                remote,
                protocol: Protocol::Tcp,
            } => {
                self.connect(at, pid, *cookie, *remote);
            }
            EventKind::ConnectFailed { cookie, errno } => self.connect_failed(at, *cookie, *errno),
            EventKind::State { cookie, old, new } => self.tcp_state(at, *cookie, *old, *new),
            EventKind::Tcp(tcp) => self.tcp_view(at, pid, tcp),
            EventKind::SocketError {
                errno,
                protocol,
                local,
                remote,
            } => {
                self.socket_error(at, *errno, *protocol, *local, *remote);
            }
            EventKind::Packet(packet) if packet.protocol == Protocol::Tcp => {
                self.tcp_packet(at, pid, packet);
            }
            EventKind::Packet(packet) => self.dns_datagram(at, pid, packet),
            EventKind::File(file) => self.file(at, pid, file),
            EventKind::Traffic(traffic) => self.traffic(traffic),
            EventKind::FileSize { path, bytes } => self.file_size(at, pid, path, *bytes),
            EventKind::LockHolder {
                path,
                holder,
                command,
            } => {
                self.lock_holder(path, *holder, command);
            }
            EventKind::Carried {
                cookie,
                way,
                why,
                host,
            } => self.carried(*cookie, *way, why, host.as_deref()),
            EventKind::Attempt(attempt) => self.attempt(at, attempt),
            EventKind::NameAnswered(answered) => self.stub_answered(answered),
            EventKind::NameAsked(asked) => self.stub_asked(at, asked),
            EventKind::Answered(answered) => self.requests.push(RequestSeen {
                pid,
                done: at,
                answered: answered.clone(),
            }),
            EventKind::FetchedAhead(ahead) => self.ahead = Some(*ahead),
            EventKind::Caches(caches) => self.caches.push(CachesSeen {
                pid,
                at,
                caches: caches.clone(),
            }),
            EventKind::Lost { count } => self.events_lost = self.events_lost.saturating_add(*count),
            // Says nothing that the question itself does not say.
            EventKind::Connect {
                protocol: Protocol::Udp,
                ..
            } => {}
        }
    }

    /// The run is over: what is still under way will not be told of any more. Connections and files of
    /// processes that have ended are closed; those of processes that live on stay open.
    pub fn finish(&mut self, at: MonotonicNanos) {
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if connection.closed.is_none()
                && let Some(closed) = connection.close_sent
            {
                // Our side is closed; the peer's answer is no part of the run any more.
                connection.closed = Some(closed);
                connection.settle();
            }
            let connection = &self.connections[place];
            if connection.closed.is_none()
                && connection.established.is_none()
                && let Some(ended) = self.process_end(connection.pid, connection.opened)
            {
                let connection = &mut self.connections[place];
                connection.closed = Some(ended.min(at));
                connection.settle();
            }
        }
    }
}
