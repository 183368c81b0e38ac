// SPDX-License-Identifier: MIT OR Apache-2.0
//! Module host and checksum database, both stalled in the same process: at once, or the second after the first, as `go`
//! asks one after the other. It stands beside the stalls that it is made of, and says what each of the two cost.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    Confidence, Finding, Ledger, Stage, Stall, StallSubject, Verdict, View,
    words::{evidence, ms, time},
};
use crate::kernel::events::{MonotonicNanos, Pid};

/// Which hosts are checksum databases, beyond the public ones; all others serve modules.
#[derive(Clone, Debug, Default)]
pub(super) struct Channels {
    databases: Vec<String>,
    seen: usize,
    /// By the process that waits: places of its stalls at hosts of each kind.
    waits: BTreeMap<Pid, Waits>,
}

#[derive(Clone, Debug, Default)]
struct Waits {
    modules: Vec<usize>,
    checksums: Vec<usize>,
    told: bool,
}

/// The public checksum database, and its mirror in China (`cmd/go`, modfetch/sumdb.go).
const PUBLIC: [&str; 2] = ["sum.golang.org", "sum.golang.google.cn"];
/// What failed sooner than this made nobody wait.
const A_WAIT: Duration = Duration::from_secs(1);

impl Channels {
    /// Takes `hosts` for checksum databases.
    pub(super) fn know(&mut self, hosts: impl IntoIterator<Item = String>) {
        self.databases.extend(hosts);
    }

    pub(super) fn examine(&mut self, view: View<'_>, ledger: &mut Ledger) {
        let stalls = ledger.stalls();
        for (place, stall) in stalls.iter().enumerate().skip(self.seen) {
            let (Some(host), Some(pid)) = (&stall.host, waiter(view, stall)) else {
                continue;
            };
            let is_database = PUBLIC.contains(&host.as_str()) || self.databases.contains(host);
            let waits = self.waits.entry(pid).or_default();
            if is_database {
                waits.checksums.push(place);
            } else {
                waits.modules.push(place);
            }
        }
        self.seen = stalls.len();
        let mut found = Vec::new();
        for (pid, waits) in &mut self.waits {
            let goes_on = ledger
                .current(&StallSubject::Channels { pid: *pid })
                .is_some();
            if waits.modules.is_empty() || waits.checksums.is_empty() || (waits.told && !goes_on) {
                continue;
            }
            let of = |places: &[usize]| Channel::of(view, *pid, places, stalls);
            if let (Some(modules), Some(checksums)) = (of(&waits.modules), of(&waits.checksums)) {
                waits.told = true;
                let ended = modules.ended.zip(checksums.ended);
                let ended = ended.map(|(one, other)| one.max(other));
                found.push((finding(*pid, &modules, &checksums), ended));
            }
        }
        for (finding, ended) in found {
            let subject = finding.subject.clone();
            ledger.report(view, finding);
            if let Some(ended) = ended {
                ledger.end(&subject, ended);
            }
        }
    }
}

/// The process that a stall keeps waiting.
fn waiter(view: View<'_>, stall: &Stall) -> Option<Pid> {
    match &stall.subject {
        StallSubject::Name { pid, .. } => Some(*pid),
        StallSubject::Connection(id) => {
            let place = (id.0 as usize).checked_sub(1)?;
            Some(view.timeline.connections.get(place)?.pid)
        }
        StallSubject::Upstream { host } | StallSubject::Tunnel { host, .. } => {
            view.asks_us_for(host)
        }
        StallSubject::Nameserver { .. }
        | StallSubject::Channels { .. }
        | StallSubject::Lock { .. } => None,
    }
}

/// The waits of a process for hosts of one kind.
struct Channel {
    hosts: Vec<String>,
    verdicts: Vec<&'static str>,
    began: MonotonicNanos,
    /// When the last of them was over, if all are.
    ended: Option<MonotonicNanos>,
    /// Moments, in order, none of which touch.
    waits: Vec<(MonotonicNanos, MonotonicNanos)>,
}

impl Channel {
    fn of(view: View<'_>, pid: Pid, places: &[usize], stalls: &[Stall]) -> Option<Self> {
        // One that was killed does not end its stalls.
        let first = places
            .iter()
            .filter_map(|place| stalls.get(*place))
            .map(|stall| stall.began)
            .min()?;
        let gone = view.timeline.process_end(pid, first).unwrap_or(view.now);
        let until = |stall: &Stall| stall.ended.unwrap_or(gone);
        let mut stalls: Vec<&Stall> = places
            .iter()
            .filter_map(|place| stalls.get(*place))
            .filter(|stall| until(stall).since(stall.began) >= A_WAIT)
            .collect();
        stalls.sort_by_key(|stall| stall.began);
        let began = stalls.first()?.began;
        let mut waits: Vec<(MonotonicNanos, MonotonicNanos)> = Vec::new();
        for stall in &stalls {
            match waits.last_mut() {
                Some((_, end)) if stall.began <= *end => *end = until(stall).max(*end),
                _ => waits.push((stall.began, until(stall))),
            }
        }
        let mut hosts: Vec<String> = stalls
            .iter()
            .filter_map(|stall| stall.host.clone())
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        let mut verdicts: Vec<&str> = stalls.iter().map(|stall| stall.verdict.token()).collect();
        verdicts.sort_unstable();
        verdicts.dedup();
        Some(Self {
            hosts,
            verdicts,
            began,
            ended: stalls
                .iter()
                .map(|stall| stall.ended)
                .collect::<Option<Vec<_>>>()
                .and_then(|ends| ends.into_iter().max()),
            waits,
        })
    }

    fn cost(&self) -> Duration {
        self.waits.iter().map(|(from, to)| to.since(*from)).sum()
    }

    /// How long both waited.
    fn at_once(&self, other: &Self) -> Duration {
        let mut both = Duration::ZERO;
        for (from, to) in &self.waits {
            for (other_from, other_to) in &other.waits {
                both += to.min(other_to).since(*from.max(other_from));
            }
        }
        both
    }
}

fn finding(pid: Pid, modules: &Channel, checksums: &Channel) -> Finding {
    let (module_hosts, checksum_hosts) = (modules.hosts.join(", "), checksums.hosts.join(", "));
    let at_once = modules.at_once(checksums);
    let how = if at_once.is_zero() {
        "one after the other".to_owned()
    } else {
        format!("{} of it for both at once", time(at_once))
    };
    Finding {
        subject: StallSubject::Channels { pid },
        pid,
        verdict: Verdict::DualChannel,
        stage: Stage::Request,
        confidence: Confidence::Confirmed,
        host: modules.hosts.first().cloned(),
        began: modules.began.min(checksums.began),
        ended: None,
        evidence: evidence(json!({
            "module_hosts": modules.hosts,
            "module_verdicts": modules.verdicts,
            "module_ms": ms(modules.cost()),
            "checksum_hosts": checksums.hosts,
            "checksum_verdicts": checksums.verdicts,
            "checksum_ms": ms(checksums.cost()),
            "at_once_ms": ms(at_once),
        })),
        story: format!(
            "process {pid} waited {} for modules from {module_hosts} and {} for checksums from {checksum_hosts}, {how}",
            time(modules.cost()),
            time(checksums.cost()),
        ),
        action: format!(
            "Have the way to both mended, {module_hosts} and {checksum_hosts}: one alone still leaves `go` waiting; a module proxy that serves the checksum database as well needs only one."
        ),
        explanation: None,
    }
}
