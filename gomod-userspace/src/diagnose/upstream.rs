// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hosts that the accelerator itself can't reach. What it mends within a moment is no stall.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    Cause, Confidence, Evidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
    cause::Explanation,
    causes::{Causes, Result, Trial},
    limits::OTHER_ADDRESS,
    words::{count, evidence, ms, time},
};
use crate::{
    kernel::events::{AttemptFailure, MonotonicNanos, OwnHello, Way},
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
                self.settled(view, place, attempt, causes, ledger);
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
        self.failing.contains_key(host)
            || self.open.iter().any(|place| {
                let attempt = view.timeline.attempts.get(*place);
                attempt.is_some_and(|attempt| {
                    attempt.host == host && view.now.since(began(attempt)) >= OTHER_ADDRESS
                })
            })
    }

    fn settled(
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
            if self.failing.remove(&attempt.host).is_some() {
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
        if verdict(attempt).is_none() {
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
        let over = nobody_waits(view);
        let open = &self.open;
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

fn verdict(attempt: &AttemptSeen) -> Option<Verdict> {
    let silent = if attempt.connected.is_some() {
        Verdict::HelloTimeout
    } else {
        Verdict::ConnectTimeout
    };
    match &attempt.failure {
        None | Some(AttemptFailure::Silent) => Some(silent),
        Some(AttemptFailure::Refused) => Some(Verdict::ConnectRefused),
        Some(AttemptFailure::Unreachable) => Some(Verdict::ConnectUnreachable),
        Some(AttemptFailure::Reset) => Some(Verdict::HelloReset),
        Some(AttemptFailure::Closed) => Some(Verdict::HelloClosed),
        Some(AttemptFailure::Alert { .. }) => Some(Verdict::HelloAlert),
        Some(AttemptFailure::Untrusted { .. }) => Some(Verdict::HandshakeUntrusted),
        Some(AttemptFailure::Other { .. }) => None,
    }
}

fn stage(verdict: Verdict) -> Stage {
    match verdict {
        Verdict::HandshakeUntrusted => Stage::Handshake,
        Verdict::ConnectTimeout | Verdict::ConnectRefused | Verdict::ConnectUnreachable => {
            Stage::Connect
        }
        _ => Stage::Hello,
    }
}

fn finding(view: View<'_>, attempt: &AttemptSeen, failing: &Failing) -> Finding {
    let verdict = verdict(attempt).unwrap_or(Verdict::HelloTimeout);
    let waited = attempt.over.unwrap_or(view.now).since(began(attempt));
    let peer = format!("{} ({})", attempt.host, attempt.remote);
    let hello = attempt.client_hello.as_ref();
    let after = format!("{} after our {}", time(waited), words(hello));
    let story = match &attempt.failure {
        None | Some(AttemptFailure::Silent) if attempt.connected.is_none() => {
            format!("no answer to our SYNs in {}", time(waited))
        }
        None | Some(AttemptFailure::Silent) => {
            format!("no answer to our {} in {}", words(hello), time(waited))
        }
        Some(AttemptFailure::Refused) => "our connection was refused".to_owned(),
        Some(AttemptFailure::Unreachable) => "the destination is unreachable for us".to_owned(),
        Some(AttemptFailure::Reset) => format!("our connection was reset {after}"),
        Some(AttemptFailure::Closed) => format!("the peer closed our connection {after}"),
        Some(AttemptFailure::Alert { description }) => {
            format!("the alert {description} came {after}")
        }
        Some(AttemptFailure::Untrusted { issuer, reason, .. }) => {
            format!(
                "its certificate, issued by {issuer}, is not trusted by this machine ({reason})"
            )
        }
        Some(AttemptFailure::Other { error }) => error.clone(),
    };
    let tries = match failing.tries {
        0 | 1 => String::new(),
        tries => format!(" ({})", count(tries, "try").replace("trys", "tries")),
    };
    Finding {
        subject: subject(&attempt.host),
        pid: view.asks_us_for(&attempt.host).unwrap_or_default(),
        verdict,
        stage: stage(verdict),
        confidence: Confidence::Confirmed,
        host: Some(attempt.host.clone()),
        began: failing.since,
        ended: None,
        evidence: numbers(attempt, failing, waited),
        story: format!("{peer}: {story}{tries}"),
        action: action(verdict, attempt),
        explanation: interception(attempt),
    }
}

fn numbers(attempt: &AttemptSeen, failing: &Failing, waited: std::time::Duration) -> Evidence {
    let hello = attempt.client_hello.as_ref();
    let (issuer, reason) = match &attempt.failure {
        Some(AttemptFailure::Untrusted { issuer, reason, .. }) => (Some(issuer), Some(reason)),
        _ => (None, None),
    };
    let alert = match &attempt.failure {
        Some(AttemptFailure::Alert { description }) => Some(description),
        _ => None,
    };
    evidence(json!({
        "seen_by": "gomod-trace",
        "remote": attempt.remote.to_string(),
        "tries": failing.tries.max(1),
        "waited_ms": ms(waited),
        "connect_ms": attempt.connected.map(|connected| ms(connected.since(attempt.began))),
        "client_hello_bytes": hello.map(|hello| hello.bytes),
        "alpn": hello.map(|hello| hello.alpn.clone()),
        "alert": alert,
        "issuer": issuer,
        "reason": reason,
    }))
}

/// "`ClientHello` (245 bytes)".
fn words(hello: Option<&OwnHello>) -> String {
    hello.map_or_else(
        || "ClientHello".to_owned(),
        |hello| {
            format!(
                "ClientHello ({} bytes, {})",
                hello.bytes,
                hello.alpn.join(" ")
            )
        },
    )
}

fn action(verdict: Verdict, attempt: &AttemptSeen) -> String {
    let (host, address) = (&attempt.host, attempt.remote.ip());
    match verdict {
        Verdict::HandshakeUntrusted => {
            "If a proxy of your company inspects TLS, install its CA in the system's bundle or name it in SSL_CERT_FILE; \
             otherwise find out who answers for that host before going on."
                .to_owned()
        }
        Verdict::ConnectUnreachable => format!(
            "Check the routes of this machine (`ip route get {address}`) and its firewall, or give another mirror by --mirror."
        ),
        Verdict::ConnectTimeout | Verdict::ConnectRefused => format!(
            "Ask the network team whether port {} of {address} is filtered, or give another mirror by --mirror.",
            attempt.remote.port(),
        ),
        _ => format!(
            "Run `gomod-trace probe {host}` to find out what is filtered, or give another mirror by --mirror."
        ),
    }
}

/// Our own check saw whose certificate it is.
fn interception(attempt: &AttemptSeen) -> Option<Explanation> {
    match &attempt.failure {
        Some(AttemptFailure::Untrusted {
            issuer,
            unknown_authority: true,
            ..
        }) => Some(Explanation {
            cause: Cause::Interception,
            because: "this machine knows no such authority, so TLS is intercepted on the way, or the host has a private CA"
                .to_owned(),
            action: format!(
                "Ask the network team whether they run \"{issuer}\"; if so, install its CA in the system's bundle or name it in SSL_CERT_FILE."
            ),
            evidence: Evidence::new(),
        }),
        _ => None,
    }
}
