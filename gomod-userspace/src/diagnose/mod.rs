// SPDX-License-Identifier: MIT OR Apache-2.0
//! Timeline to stalls and verdicts; pure: no I/O, no clock of its own.
//!
//! [`Diagnosis::examine`] is called some ten times a second and whenever something urgent happened, and looks only
//! at what is still under way. A stall becomes known while it happens and ends at the moment when the thing moves
//! again; its verdict never changes, but its cause may become known later, when something else that differs in one point
//! passes. One cause gives one verdict: a lookup, connection or lock that waits because of another one is not told of.

mod cause;
mod causes;
mod connect;
mod dns;
mod dual;
mod hazard;
mod hello;
mod ledger;
mod limits;
mod lock;
mod stall;
#[cfg(test)]
mod tests;
mod transfer;
mod upstream;
mod verdict;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use cause::Cause;
pub use hazard::{Hazard, SharedCaches};
pub use limits::Limits;
pub use stall::{Evidence, Stall, StallChange, StallId, StallSubject};
pub use verdict::{Confidence, Stage, Verdict};

use self::{
    causes::Trial,
    ledger::{Finding, Ledger},
};
use crate::{
    kernel::events::{MonotonicNanos, Pid, Way},
    timeline::{Connection, Timeline},
};

/// Names the stalls of one run.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    ledger: Ledger,
    limits: Limits,
    connections: Connections,
    dns: dns::Lookups,
    nameservers: dns::Nameservers,
    upstreams: upstream::Upstreams,
    causes: causes::Causes,
    channels: dual::Channels,
    locks: lock::Locks,
    hazards: hazard::Hazards,
    cuts: transfer::Cuts,
    rates: transfer::Rates,
}

/// Connections that may still stall.
#[derive(Clone, Debug, Default)]
struct Connections {
    /// How many of the timeline's were looked at.
    seen: usize,
    live: BTreeMap<usize, Told>,
}

/// Stages of a connection of which something was said: nothing more is said of the same.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    connect: bool,
    hello: bool,
}

/// What a rule sees.
#[derive(Clone, Copy)]
struct View<'a> {
    timeline: &'a Timeline,
    limits: &'a Limits,
    now: MonotonicNanos,
}

impl View<'_> {
    /// When the owner of a connection ended.
    fn owner_ended(&self, connection: &Connection) -> Option<MonotonicNanos> {
        self.timeline.process_end(connection.pid, connection.opened)
    }

    /// The first of the moments at which a stall of a process may have ended. A process that ends by itself ends
    /// its stalls; one that was killed does not: nothing moved again, somebody lost patience.
    fn first_end(
        &self,
        pid: Pid,
        began: MonotonicNanos,
        ends: impl IntoIterator<Item = Option<MonotonicNanos>>,
    ) -> Option<MonotonicNanos> {
        let first = ends.into_iter().flatten().min();
        let process = self.timeline.process_at(pid, began);
        let ended = self.timeline.process_end(pid, began);
        let killed = ended.filter(|_| process.is_none_or(|process| process.exit_code.is_none()));
        match (first, killed) {
            (Some(first), Some(killed)) => Some(first).filter(|first| *first < killed),
            (None, Some(_)) => None,
            (first, None) => [first, ended].into_iter().flatten().min(),
        }
    }

    /// A process whose requests to `host` are answered by us, the last that came.
    fn asks_us_for(&self, host: &str) -> Option<Pid> {
        /// Further back, somebody else waits.
        const NEWEST: usize = 256;
        let newest = self.timeline.connections.iter().rev().take(NEWEST);
        newest
            .filter(|connection| connection.way == Way::Accelerated)
            .find(|connection| connection.host.as_deref() == Some(host))
            .map(|connection| connection.pid)
    }

    /// Labels of the module files that `pid`, or who forked it, waits for.
    fn modules(&self, pid: Pid) -> Vec<String> {
        /// More than `go` fetches at once on a usual machine; a longer list helps nobody.
        const MOST: usize = 32;
        let parent = self.timeline.parent_of(pid);
        let whose = if self.timeline.fetches_modules(pid) {
            Some(pid)
        } else {
            parent
        };
        let open = whose.into_iter().flat_map(|pid| {
            let failed = self.timeline.failed_files(pid);
            self.timeline.unfinished_files(pid).chain(failed)
        });
        open.take(MOST)
            .map(crate::timeline::ModuleFile::label)
            .collect()
    }
}

impl Diagnosis {
    /// Nothing looked at yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with the names of hosts that are checksum databases beside the public ones.
    pub fn with_databases(hosts: impl IntoIterator<Item = String>) -> Self {
        let mut diagnosis = Self::default();
        diagnosis.channels.know(hosts);
        diagnosis
    }

    /// All stalls so far, in the order they became known.
    pub fn stalls(&self) -> &[Stall] {
        self.ledger.stalls()
    }

    /// All hazards so far, in the order they became known; the list only grows.
    pub fn hazards(&self) -> &[Hazard] {
        self.hazards.found()
    }

    /// Looks at what is under way and says what is new. `now` never goes back between calls.
    pub fn examine(&mut self, timeline: &Timeline, now: MonotonicNanos) -> Vec<StallChange> {
        for place in self.connections.seen..timeline.connections.len() {
            self.connections.live.insert(place, Told::default());
        }
        self.connections.seen = timeline.connections.len();
        let live = || {
            self.connections
                .live
                .keys()
                .filter_map(|place| timeline.connections.get(*place))
        };
        self.limits.learn(live());
        let view = View {
            timeline,
            limits: &self.limits,
            now,
        };
        let ledger = &mut self.ledger;
        self.dns.examine(view, ledger);
        self.nameservers.examine(view, &self.dns, ledger);
        self.locks.examine(view, ledger);
        self.upstreams.examine(view, &mut self.causes, ledger);
        self.hazards.examine(view);
        let mut transfers: BTreeMap<Pid, Vec<&Connection>> = BTreeMap::new();
        let mut establishing = BTreeSet::new();
        let mut retired = BTreeSet::new();
        for (place, told) in &mut self.connections.live {
            let Some(connection) = timeline.connections.get(*place) else {
                continue;
            };
            let silent = connect::examine(view, connection, &mut told.connect, ledger)
                .then_some(causes::Result::NotConnected);
            let result = hello::examine(view, connection, &mut told.hello, ledger).or(silent);
            if let Some(trial) = result.and_then(|result| Trial::of_connection(connection, result))
            {
                self.causes.tried(trial);
            }
            if transfer::under_way(connection) {
                transfers
                    .entry(connection.pid)
                    .or_default()
                    .push(connection);
            } else if connection.closed.is_none() && connection.close_sent.is_none() {
                establishing.insert(connection.pid);
            }
            if is_over(view, connection) {
                retired.insert(*place);
            }
        }
        for (pid, connections) in &transfers {
            let waits = establishing.contains(pid) || self.dns.asks(*pid);
            let moving: Vec<&Connection> = connections
                .iter()
                .filter(|connection| !self.upstreams.holds_up(view, connection))
                .copied()
                .collect();
            transfer::examine(view, *pid, &moving, waits, ledger);
            self.cuts.examine(view, *pid, connections, ledger);
        }
        self.rates.examine(view, &transfers, ledger);
        self.causes.examine(view, ledger);
        self.channels.examine(view, ledger);
        for place in retired {
            let current = timeline.connections.get(place).is_some_and(|connection| {
                ledger
                    .current(&StallSubject::Connection(connection.id))
                    .is_some()
            });
            if !current {
                self.connections.live.remove(&place);
            }
        }
        self.ledger.take_changes()
    }
}

/// True if nothing can be said of the connection any more.
fn is_over(view: View<'_>, connection: &Connection) -> bool {
    let over = connection.closed.or(view.owner_ended(connection));
    over.is_some_and(|over| view.now.since(over) >= limits::AFTERMATH)
}
