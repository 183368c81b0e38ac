// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hosts that the accelerator itself can't reach. What it mends within a moment is no stall.

mod findings;
mod tunnel;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use self::findings::{finding, verdict};
use super::{
    Ledger, StallSubject, View,
    causes::{Causes, Result, Trial},
    limits::OTHER_ADDRESS,
};
use crate::{
    kernel::events::{AttemptFailure, MonotonicNanos, Way},
    timeline::{AttemptSeen, Connection, Leg},
};

/// Hosts that are looked at.
const MOST_HOSTS: usize = 256;

/// The accelerator's connections that are under way, and what doesn't let them in.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstreams {
    seen: usize,
    /// Places in the timeline of attempts that are not over.
    open: BTreeSet<usize>,
    failing: BTreeMap<StallSubject, Failing>,
    /// When each last let us in, or the last command that waited for it ended.
    settled: BTreeMap<StallSubject, MonotonicNanos>,
    /// Hosts that we got further to after we had not for a while, and when: what waits is asked for only now.
    mended: BTreeMap<String, MonotonicNanos>,
}

/// A host, tunnel or proxy of which nothing came about since its first failure.
#[derive(Clone, Debug)]
struct Failing {
    /// The hosts that it keeps us from.
    hosts: BTreeSet<String>,
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
            || self
                .failing
                .values()
                .any(|failing| failing.hosts.contains(host))
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
        let subject = subject(attempt);
        if let Some(result) = result(attempt) {
            causes.tried(Trial::of_attempt(attempt, result));
        }
        if attempt.open {
            if let Some(failing) = self.failing.remove(&subject) {
                if failing.told {
                    let hosts = failing.hosts.into_iter();
                    self.mended.extend(hosts.map(|host| (host, over)));
                }
                ledger.end(&subject, over);
            }
            if self.settled.len() < MOST_HOSTS || self.settled.contains_key(&subject) {
                self.settled.insert(subject, over);
            }
            return;
        }
        let Some(failure) = &attempt.failure else {
            return;
        };
        // Silence that had lasted before is news; a failure at once is mended by what passed meanwhile.
        let news_after = match failure {
            AttemptFailure::Silent => began(attempt) + limit(view, attempt),
            _ => attempt.began,
        };
        if verdict(attempt).is_none() || self.settled_after(&subject, news_after) {
            return;
        }
        if self.failing.len() >= MOST_HOSTS && !self.failing.contains_key(&subject) {
            return;
        }
        let failing = self
            .failing
            .entry(subject)
            .or_insert_with(|| Failing::new(attempt, over));
        failing.tries += 1;
        failing.tried(place, attempt);
        if failing.told {
            ledger.report(view, finding(view, attempt, failing));
        }
    }

    /// Since that moment, another one passed, or nobody waits any more.
    fn settled_after(&self, subject: &StallSubject, moment: MonotonicNanos) -> bool {
        self.settled
            .get(subject)
            .is_some_and(|settled| *settled >= moment)
    }

    /// Those that have been silent for too long, while they are.
    fn silent(&mut self, view: View<'_>, ledger: &mut Ledger) {
        for place in &self.open {
            let Some(attempt) = view.timeline.attempts.get(*place) else {
                continue;
            };
            let (subject, limit) = (subject(attempt), limit(view, attempt));
            let known = self.failing.get(&subject);
            if view.now.since(began(attempt)) < limit
                || known.is_some_and(|failing| failing.told)
                || (known.is_none() && self.failing.len() >= MOST_HOSTS)
                || quicker(view, attempt)
                || self.settled_after(&subject, began(attempt) + limit)
            {
                continue;
            }
            let failing = self
                .failing
                .entry(subject)
                .or_insert_with(|| Failing::new(attempt, view.now));
            failing.tried(*place, attempt);
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
        self.failing.retain(|whom, failing| {
            let Some(attempt) = view.timeline.attempts.get(failing.last) else {
                return false;
            };
            let under_way = || {
                open.iter().any(|place| {
                    let other = view.timeline.attempts.get(*place);
                    other.is_some_and(|other| failing.hosts.contains(&other.host))
                })
            };
            let late = view.now.since(failing.first) >= OTHER_ADDRESS;
            if !failing.told && (over.is_some() || (late && !under_way())) {
                failing.told = true;
                ledger.report(view, finding(view, attempt, failing));
            }
            match over.filter(|over| failing.told && *over >= failing.since) {
                Some(over) => {
                    ledger.end(whom, over);
                    settled.insert(whom.clone(), over);
                    false
                }
                None => true,
            }
        });
    }
}

impl Failing {
    fn new(attempt: &AttemptSeen, first: MonotonicNanos) -> Self {
        Self {
            hosts: BTreeSet::new(),
            tries: 0,
            last: 0,
            since: began(attempt),
            first,
            told: false,
        }
    }

    fn tried(&mut self, place: usize, attempt: &AttemptSeen) {
        self.last = place;
        if self.hosts.len() < MOST_HOSTS {
            self.hosts.insert(attempt.host.clone());
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

/// Another address was quicker, or another connection passed since.
fn quicker(view: View<'_>, attempt: &AttemptSeen) -> bool {
    let subject = subject(attempt);
    view.timeline.attempts.iter().rev().take(256).any(|other| {
        attempt.connected.is_none()
            && other.connected.is_some_and(|at| at >= attempt.began)
            && self::subject(other) == subject
    })
}

/// What keeps us waiting on that leg.
fn subject(attempt: &AttemptSeen) -> StallSubject {
    match (attempt.leg, &attempt.proxy) {
        (Leg::Tunnel, Some(proxy)) => StallSubject::Tunnel {
            proxy: proxy.clone(),
            host: attempt.host.clone(),
        },
        _ => StallSubject::Upstream {
            host: attempt.destination().to_owned(),
        },
    }
}

/// Since when the attempt waits for what it waits for.
fn began(attempt: &AttemptSeen) -> MonotonicNanos {
    attempt.connected.unwrap_or(attempt.began)
}

/// How long it may wait for that.
fn limit(view: View<'_>, attempt: &AttemptSeen) -> Duration {
    match attempt.leg {
        Leg::Tunnel => view.limits.own_tunnel(),
        Leg::Dial | Leg::Inside => {
            let round_trip = attempt
                .connected
                .map(|connected| connected.since(attempt.began));
            view.limits.own_connection(round_trip)
        }
    }
}

/// What the attempt shows as an experiment: nothing where it was dropped or failed in a way of its own, and nothing of the
/// host where a proxy is asked for it.
fn result(attempt: &AttemptSeen) -> Option<Result> {
    if attempt.leg == Leg::Tunnel {
        return None;
    }
    if attempt.open {
        return Some(Result::Passed);
    }
    let failure = attempt.failure.as_ref()?;
    if matches!(failure, AttemptFailure::Other { .. }) {
        return None;
    }
    let (Some(connected), Some(over)) = (attempt.connected, attempt.over) else {
        return Some(Result::NotConnected);
    };
    // Sooner than the server can have answered, by the round trip that connecting took. In a tunnel it is the proxy that
    // ends the connection, whatever the host did and whenever.
    let too_soon = over.since(connected) * 5 < connected.since(attempt.began) * 4;
    Some(match failure {
        AttemptFailure::Untrusted { .. } => Result::Passed,
        AttemptFailure::Reset => Result::NoAnswer {
            on_path: attempt.behind().is_none() && too_soon,
        },
        _ => Result::NoAnswer { on_path: false },
    })
}
