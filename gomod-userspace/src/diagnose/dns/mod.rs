// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lookups that stay without an answer, or get one that doesn't help.

mod lookup;
mod nameservers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use self::lookup::{Judged, Told, slow_action, slow_resolver};
pub(super) use self::nameservers::Nameservers;
use super::{Finding, Ledger, View};
use crate::{
    kernel::events::{MonotonicNanos, Pid},
    timeline::DnsExchange,
};

/// Names of a search list are tried one after the other; after this long no further one comes.
const SEARCH_QUIET: Duration = Duration::from_secs(1);
/// Questions of one lookup that are looked at: the newest.
const MOST_QUESTIONS: usize = 128;

/// Lookups that are under way, or may have a consequence yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookups {
    seen: usize,
    connections_seen: usize,
    live: BTreeMap<(Pid, String), Lookup>,
    /// Newest connection of a process to an address: by then it needed no lookup any more.
    connected: BTreeMap<(Pid, IpAddr), MonotonicNanos>,
    /// Names without an address, by process and first label: candidates for a verdict.
    missing: BTreeMap<(Pid, String), Missing>,
    /// Names that a process had to wait for.
    told: BTreeSet<String>,
}

#[derive(Clone, Debug)]
struct Lookup {
    first: MonotonicNanos,
    /// Places in the timeline.
    questions: Vec<usize>,
    told: Told,
}

#[derive(Clone, Debug, Default)]
struct Missing {
    active: MonotonicNanos,
    nonexistent: BTreeMap<String, Finding>,
    resolved: Vec<String>,
}

impl Lookups {
    pub(super) fn examine(&mut self, view: View<'_>, ledger: &mut Ledger) {
        self.take_in(view);
        let mut over = Vec::new();
        for ((pid, name), lookup) in &mut self.live {
            let questions: Vec<&DnsExchange> = lookup
                .questions
                .iter()
                .filter_map(|place| view.timeline.dns.get(*place))
                .collect();
            let judged = Judged::new(view, *pid, name, lookup.first, &questions, &self.connected);
            judged.report(view, &mut lookup.told, ledger);
            if lookup.told.anything() && !self.told.contains(name) {
                self.told.insert(name.clone());
            }
            if let Some(missing) = self.missing.get_mut(&(*pid, first_label(name))) {
                missing.active = missing.active.max(judged.active);
            }
            if judged.is_over(view) {
                over.push((
                    *pid,
                    name.clone(),
                    judged.active,
                    judged.nonexistent(),
                    judged.exists(),
                ));
            }
        }
        // Those that don't exist first: a group begins with one of them.
        over.sort_by_key(|(.., nonexistent, _)| nonexistent.is_none());
        for (pid, name, active, nonexistent, exists) in over {
            self.live.remove(&(pid, name.clone()));
            let group = (pid, first_label(&name));
            if nonexistent.is_some() || self.missing.contains_key(&group) {
                let missing = self.missing.entry(group).or_default();
                missing.active = missing.active.max(active);
                if let Some(finding) = nonexistent {
                    missing.nonexistent.insert(name, finding);
                } else if exists {
                    missing.resolved.push(name);
                }
            }
        }
        self.tell_missing(view, ledger);
    }

    /// True while the process waits for an answer.
    pub(super) fn asks(&self, pid: Pid) -> bool {
        self.live
            .range((pid, String::new())..)
            .next()
            .is_some_and(|((of, _), _)| *of == pid)
    }

    /// True while it is not known whether a process has to wait for this name.
    fn is_waited_for(&self, name: &str) -> bool {
        self.live.keys().any(|(_, waited)| waited == name)
    }

    /// True if a stall of this name was told.
    fn was_told(&self, name: &str) -> bool {
        self.told.contains(name)
    }

    fn take_in(&mut self, view: View<'_>) {
        for connection in view
            .timeline
            .connections
            .get(self.connections_seen..)
            .unwrap_or_default()
        {
            let key = (connection.pid, connection.remote.ip().to_canonical());
            let newest = self.connected.entry(key).or_default();
            *newest = connection.opened.max(*newest);
        }
        self.connections_seen = view.timeline.connections.len();
        for place in self.seen..view.timeline.dns.len() {
            let Some(exchange) = view.timeline.dns.get(place) else {
                continue;
            };
            let key = (exchange.pid, exchange.name.clone());
            let fresh = || Lookup {
                first: exchange.sent,
                questions: Vec::new(),
                told: Told::default(),
            };
            let lookup = self.live.entry(key).or_insert_with(fresh);
            // The same question after its answer is another lookup.
            let settled = lookup.questions.iter().any(|place| {
                view.timeline.dns.get(*place).is_some_and(|earlier| {
                    earlier.qtype == exchange.qtype
                        && earlier.outcome.is_final()
                        && earlier.outcome.at().is_some_and(|at| at < exchange.sent)
                })
            });
            if settled && !lookup.told.anything() {
                *lookup = fresh();
            }
            if lookup.questions.len() >= MOST_QUESTIONS {
                lookup.questions.remove(0);
            }
            lookup.questions.push(place);
        }
        self.seen = view.timeline.dns.len();
    }

    fn tell_missing(&mut self, view: View<'_>, ledger: &mut Ledger) {
        let live = &self.live;
        self.missing.retain(|(pid, label), missing| {
            let ended = view.timeline.process_end(*pid, missing.active).is_some();
            let searching = live
                .range((*pid, label.clone())..)
                .take_while(|((of, name), _)| of == pid && name.starts_with(label.as_str()));
            let quiet = view.now.since(missing.active) >= SEARCH_QUIET;
            if !ended
                && (!quiet
                    || searching
                        .into_iter()
                        .any(|((_, name), _)| first_label(name) == *label))
            {
                return true;
            }
            let names: Vec<String> = missing.nonexistent.keys().cloned().collect();
            for (name, finding) in std::mem::take(&mut missing.nonexistent) {
                let suffix_of_another = names
                    .iter()
                    .chain(&missing.resolved)
                    .any(|other| extends(&name, other));
                let found_with_suffix = missing.resolved.iter().any(|other| extends(other, &name));
                if !suffix_of_another && !found_with_suffix {
                    ledger.report(view, finding);
                }
            }
            false
        });
    }
}

/// True if `longer` is `shorter` with a search suffix.
fn extends(longer: &str, shorter: &str) -> bool {
    longer
        .strip_prefix(shorter)
        .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
}

fn first_label(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}
