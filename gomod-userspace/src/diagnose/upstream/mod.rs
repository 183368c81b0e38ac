// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hosts that the accelerator itself can't reach. What it mends within a moment is no stall.

mod findings;

use std::collections::{BTreeMap, BTreeSet};

use self::findings::{finding, verdict};
use super::{
    Ledger, StallSubject, View,
    causes::{Causes, Result, Trial},
    limits::OTHER_ADDRESS,
};
use crate::{
    kernel::events::{AttemptFailure, MonotonicNanos, Way},
    timeline::{AttemptSeen, Connection},
};

/// Hosts that are looked at.
const MOST_HOSTS: usize = 256;

/// The accelerator's connections that are under way, and the hosts that don't let it in.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstreams {
    seen: usize,
    /// Places in the timeline of attempts that are not over.
    open: BTreeSet<usize>,
    failing: BTreeMap<String, Failing>,
    /// When a host last let us in, or the last command that waited for it ended.
    settled: BTreeMap<String, MonotonicNanos>,
    /// When it did so after it had not for a while: what waits is asked for only now.
    mended: BTreeMap<String, MonotonicNanos>,
}

/// A host of which no connection came about since its first failure.
#[derive(Clone, Debug)]
struct Failing {
    tries: u64,
    /// Place of the last attempt that failed, or is silent for too long.
    last: usize,
    since: MonotonicNanos,
    /// When the first failure was seen.
    first: MonotonicNanos,
    told: bool,
}

impl Upstreams {
    pub(super) fn examine(&mut self, view: View<'_>, causes: &mut Causes, ledger: &mut Ledger) {
        let attempts = &view.timeline.attempts;
        self.open.extend(self.seen..attempts.len());
        self.seen = attempts.len();
        // In the order in which they were over: an answer after a failure mends it.
        let mut over: Vec<usize> = self
            .open
            .iter()
            .filter(|place| attempts.get(**place).is_none_or(|seen| seen.over.is_some()))
            .copied()
            .collect();
        over.sort_by_key(|place| attempts.get(*place).and_then(|seen| seen.over));
        for place in over {
            self.open.remove(&place);
            if let Some(attempt) = attempts.get(place) {
                self.ended(view, place, attempt, causes, ledger);
            }
        }
        self.silent(view, ledger);
        self.tell(view, ledger);
    }

    /// True while this connection is answered by us, and we are kept waiting at its host's door: its requests wait for
    /// that.
    pub(super) fn holds_up(&self, view: View<'_>, connection: &Connection) -> bool {
        let Some(host) = connection
            .host
            .as_deref()
            .filter(|_| connection.way == Way::Accelerated)
        else {
            return false;
        };
        let just_mended = self
            .mended
            .get(host)
            .is_some_and(|mended| view.now.since(*mended) < view.limits.own_connection(None));
        just_mended
            || self.failing.contains_key(host)
            || self.open.iter().any(|place| {
                let attempt = view.timeline.attempts.get(*place);
                attempt.is_some_and(|attempt| {
                    attempt.host == host && view.now.since(began(attempt)) >= OTHER_ADDRESS
                })
            })
    }

    fn ended(
        &mut self,
        view: View<'_>,
        place: usize,
        attempt: &AttemptSeen,
        causes: &mut Causes,
        ledger: &mut Ledger,
    ) {
        let Some(over) = attempt.over else { return };
        if attempt.open {
            causes.tried(Trial::of_attempt(attempt, Result::Passed));
            if self.settled.len() < MOST_HOSTS || self.settled.contains_key(&attempt.host) {
                self.settled.insert(attempt.host.clone(), over);
            }
            if let Some(failing) = self.failing.remove(&attempt.host) {
                if failing.told {
                    self.mended.insert(attempt.host.clone(), over);
                }
                ledger.end(&subject(&attempt.host), over);
            }
            return;
        }
        let Some(failure) = &attempt.failure else {
            return;
        };
        if !matches!(failure, AttemptFailure::Other { .. }) {
            causes.tried(Trial::of_attempt(attempt, result(attempt, failure)));
        }
        // Silence that had lasted before is news; a failure at once is mended by what passed meanwhile.
        let round_trip = attempt
            .connected
            .map(|connected| connected.since(attempt.began));
        let news_after = match failure {
            AttemptFailure::Silent => began(attempt) + view.limits.own_connection(round_trip),
            _ => attempt.began,
        };
        if verdict(attempt).is_none() || self.settled_after(&attempt.host, news_after) {
            return;
        }
        if self.failing.len() >= MOST_HOSTS && !self.failing.contains_key(&attempt.host) {
            return;
        }
        let failing = self
            .failing
            .entry(attempt.host.clone())
            .or_insert_with(|| Failing::new(place, attempt, over));
        failing.tries += 1;
        failing.last = place;
        if failing.told {
            ledger.report(view, finding(view, attempt, failing));
        }
    }

    /// Since that moment, a connection to the host passed, or nobody waits any more.
    fn settled_after(&self, host: &str, moment: MonotonicNanos) -> bool {
        self.settled
            .get(host)
            .is_some_and(|settled| *settled >= moment)
    }

    /// Those that have been silent for too long, while they are.
    fn silent(&mut self, view: View<'_>, ledger: &mut Ledger) {
        for place in &self.open {
            let Some(attempt) = view.timeline.attempts.get(*place) else {
                continue;
            };
            let round_trip = attempt
                .connected
                .map(|connected| connected.since(attempt.began));
            let limit = view.limits.own_connection(round_trip);
            let known = self.failing.get(&attempt.host);
            if view.now.since(began(attempt)) < limit
                || known.is_some_and(|failing| failing.told)
                || (known.is_none() && self.failing.len() >= MOST_HOSTS)
                || quicker(view, attempt)
                || self.settled_after(&attempt.host, began(attempt) + limit)
            {
                continue;
            }
            let failing = self
                .failing
                .entry(attempt.host.clone())
                .or_insert_with(|| Failing::new(*place, attempt, view.now));
            failing.last = *place;
            failing.told = true;
            ledger.report(view, finding(view, attempt, failing));
        }
    }

    /// Those that failed and were not mended: when nothing is under way any more, or when nobody waits any more.
    fn tell(&mut self, view: View<'_>, ledger: &mut Ledger) {
        if self.failing.is_empty() {
            return;
        }
        let over = nobody_waits(view);
        let (open, settled) = (&self.open, &mut self.settled);
        self.failing.retain(|host, failing| {
            let Some(attempt) = view.timeline.attempts.get(failing.last) else {
                return false;
            };
            let under_way = || {
                open.iter().any(|place| {
                    let other = view.timeline.attempts.get(*place);
                    other.is_some_and(|other| other.host == *host)
                })
            };
            let late = view.now.since(failing.first) >= OTHER_ADDRESS;
            if !failing.told && (over.is_some() || (late && !under_way())) {
                failing.told = true;
                ledger.report(view, finding(view, attempt, failing));
            }
            match over.filter(|over| failing.told && *over >= failing.since) {
                Some(over) => {
                    ledger.end(&subject(host), over);
                    settled.insert(host.clone(), over);
                    false
                }
                None => true,
            }
        });
    }
}

impl Failing {
    fn new(place: usize, attempt: &AttemptSeen, first: MonotonicNanos) -> Self {
        Self {
            tries: 0,
            last: place,
            since: began(attempt),
            first,
            told: false,
        }
    }
}

/// When the last `go` ended by itself, if none runs any more.
fn nobody_waits(view: View<'_>) -> Option<MonotonicNanos> {
    let all = || {
        let processes = view.timeline.processes.values();
        processes.filter(|process| process.is_go())
    };
    if all().any(|process| process.ended.is_none()) {
        return None;
    }
    all()
        .filter(|process| process.exit_code.is_some())
        .filter_map(|process| process.ended)
        .max()
}

/// Another address of the host was quicker, or another connection passed since.
fn quicker(view: View<'_>, attempt: &AttemptSeen) -> bool {
    view.timeline.attempts.iter().rev().take(256).any(|other| {
        other.host == attempt.host
            && other.connected.is_some_and(|at| at >= attempt.began)
            && attempt.connected.is_none()
    })
}

fn subject(host: &str) -> StallSubject {
    StallSubject::Upstream {
        host: host.to_owned(),
    }
}

/// Since when the attempt waits for what it waits for.
fn began(attempt: &AttemptSeen) -> MonotonicNanos {
    attempt.connected.unwrap_or(attempt.began)
}

fn result(attempt: &AttemptSeen, failure: &AttemptFailure) -> Result {
    if attempt.connected.is_none() {
        return Result::NotConnected;
    }
    let (Some(connected), Some(over)) = (attempt.connected, attempt.over) else {
        return Result::NotConnected;
    };
    match failure {
        AttemptFailure::Untrusted { .. } => Result::Passed,
        // Sooner than the server can have answered, by the round trip that connecting took.
        AttemptFailure::Reset => Result::NoAnswer {
            on_path: over.since(connected) * 5 < connected.since(attempt.began) * 4,
        },
        _ => Result::NoAnswer { on_path: false },
    }
}
