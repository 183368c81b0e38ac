// SPDX-License-Identifier: MIT OR Apache-2.0
//! One lookup of one process: its questions of all types, to all servers, in all attempts.

mod causes;
mod findings;

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

pub(super) use self::findings::{slow_action, slow_resolver};

use crate::{
    diagnose::{
        Ledger, StallSubject, View,
        limits::{RESOLVER_RETRY, RESOLVER_TIMEOUT},
    },
    kernel::events::{MonotonicNanos, Pid},
    timeline::{DnsExchange, DnsOutcome},
};

/// A lookup is over when nothing was asked or answered for this long.
const QUIET: Duration = Duration::from_millis(300);

/// What became of a lookup's questions of one type.
#[derive(Clone, Debug, Default)]
struct TypeState {
    first: MonotonicNanos,
    /// The answer that counts: when, and whether the name exists.
    settled: Option<(MonotonicNanos, bool)>,
    addresses: Vec<IpAddr>,
    /// The last failure, and when.
    failed: Option<(MonotonicNanos, Failure)>,
    pending: bool,
    timed_out: bool,
}

/// Why an answer does not help.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    /// A response code other than NOERROR and NXDOMAIN.
    Rcode(String),
    /// An empty referral.
    Lame,
    /// Not even an answer: the socket got this error.
    Errno(u32),
}

/// What was told of a lookup.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::diagnose) struct Told {
    /// That it waits.
    wait: bool,
    /// That what came is of no use.
    refusal: bool,
}

impl Told {
    pub(in crate::diagnose) fn anything(self) -> bool {
        self.wait || self.refusal
    }
}

/// A lookup, looked at as a whole.
pub(in crate::diagnose) struct Judged<'a> {
    pid: Pid,
    name: &'a str,
    questions: &'a [&'a DnsExchange],
    types: BTreeMap<&'a str, TypeState>,
    first: MonotonicNanos,
    last_sent: MonotonicNanos,
    /// When something was last sent or came back.
    pub(in crate::diagnose) active: MonotonicNanos,
    connected: Option<MonotonicNanos>,
    ended: Option<MonotonicNanos>,
}

impl<'a> Judged<'a> {
    pub(in crate::diagnose) fn new(
        view: View<'_>,
        pid: Pid,
        name: &'a str,
        first: MonotonicNanos,
        questions: &'a [&'a DnsExchange],
        connected: &BTreeMap<(Pid, IpAddr), MonotonicNanos>,
    ) -> Self {
        let ended = view.timeline.process_end(pid, first);
        let mut types: BTreeMap<&'a str, TypeState> = BTreeMap::new();
        let mut last_sent = first;
        let mut active = first;
        for exchange in questions {
            last_sent = last_sent.max(exchange.sent);
            active = active
                .max(exchange.sent)
                .max(exchange.outcome.at().unwrap_or_default());
            let state = types
                .entry(exchange.qtype.as_str())
                .or_insert_with(|| TypeState {
                    first: exchange.sent,
                    ..TypeState::default()
                });
            state.first = state.first.min(exchange.sent);
            state.timed_out |= timed_out(view, exchange, ended);
            match &exchange.outcome {
                DnsOutcome::Pending => state.pending = true,
                DnsOutcome::Answered {
                    at,
                    rcode,
                    addresses,
                    ..
                } if exchange.outcome.is_final() => {
                    state.settled = state.settled.or(Some((*at, rcode == "NOERROR")));
                    state
                        .addresses
                        .extend(addresses.iter().map(IpAddr::to_canonical));
                }
                DnsOutcome::Answered {
                    at,
                    rcode,
                    truncated: false,
                    lame,
                    ..
                } => {
                    let failure = if *lame {
                        Failure::Lame
                    } else {
                        Failure::Rcode(rcode.clone())
                    };
                    state.failed = Some((*at, failure));
                }
                DnsOutcome::Failed { at, errno } => {
                    state.failed = Some((*at, Failure::Errno(*errno)));
                }
                DnsOutcome::Answered { .. } | DnsOutcome::Unanswered { .. } => {}
            }
        }
        let connected = types
            .values()
            .flat_map(|state| &state.addresses)
            .filter_map(|address| connected.get(&(pid, *address)).copied())
            .filter(|opened| *opened >= first)
            .min();
        Self {
            pid,
            name,
            questions,
            types,
            first,
            last_sent,
            active,
            connected,
            ended,
        }
    }

    fn all_settled(&self) -> Option<MonotonicNanos> {
        let settled = self
            .types
            .values()
            .map(|state| state.settled.map(|(at, _)| at));
        settled.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When the resolver got all answers, or was of no interest any more.
    fn done(&self, view: View<'_>) -> Option<MonotonicNanos> {
        let gave_up = self.last_sent + RESOLVER_TIMEOUT;
        let gave_up = (view.now >= gave_up + RESOLVER_RETRY).then_some(gave_up);
        let failed = self
            .types
            .values()
            .all(|state| state.settled.is_some() || (state.failed.is_some() && !state.pending));
        let failed = (failed && view.now.since(self.active) >= QUIET).then_some(self.active);
        let done = self.all_settled().or(self.connected).or(failed).or(gave_up);
        view.first_end(self.pid, self.first, [done])
    }

    pub(in crate::diagnose) fn is_over(&self, view: View<'_>) -> bool {
        self.ended.is_some()
            || (self.done(view).is_some() && view.now.since(self.active) >= Self::quiet(view))
    }

    /// After so long without a question or an answer, no further one is expected.
    fn quiet(view: View<'_>) -> Duration {
        QUIET + view.limits.median().unwrap_or_default() * 2
    }

    pub(in crate::diagnose) fn exists(&self) -> bool {
        self.types.values().any(|state| !state.addresses.is_empty())
    }

    pub(in crate::diagnose) fn report(&self, view: View<'_>, told: &mut Told, ledger: &mut Ledger) {
        let subject = self.subject();
        if ledger.current(&subject).is_some() {
            ledger.report(view, self.timeout(view, None));
            if let Some(done) = self.done(view) {
                ledger.end(&subject, done);
            }
        } else if !told.wait && !told.refusal {
            let finding = if self.types.values().any(|state| state.timed_out) {
                Some(self.timeout(view, self.done(view)))
            } else {
                self.slow(view)
            };
            if let Some(finding) = finding {
                told.wait = true;
                ledger.report(view, finding);
            }
        }
        // Waited for, and then refused: both are told.
        if !told.refusal
            && ledger.current(&subject).is_none()
            && let Some(finding) = self.refused(view)
        {
            told.refusal = true;
            ledger.report(view, finding);
        }
    }

    fn subject(&self) -> StallSubject {
        StallSubject::Name {
            pid: self.pid,
            name: self.name.to_owned(),
        }
    }
}

/// The resolver had to give up on this question, or is about to.
fn timed_out(view: View<'_>, exchange: &DnsExchange, ended: Option<MonotonicNanos>) -> bool {
    let until = ended.unwrap_or(view.now);
    match exchange.outcome {
        DnsOutcome::Pending => until.since(exchange.sent) >= RESOLVER_TIMEOUT,
        DnsOutcome::Unanswered { at } => {
            let waited = at.since(exchange.sent);
            // At the end of the process nobody gave up: that may have been a cancelled lookup.
            waited
                >= if Some(at) == ended {
                    RESOLVER_TIMEOUT
                } else {
                    RESOLVER_RETRY
                }
        }
        DnsOutcome::Answered { .. } | DnsOutcome::Failed { .. } => false,
    }
}
