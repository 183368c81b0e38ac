// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nameservers that left our own stub without an answer, or gave it late, where no process had to wait for that: what
//! the network did to names is told all the same.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{Lookups, slow_action, slow_resolver};
use crate::{
    diagnose::{
        Cause, Confidence, Finding, Ledger, Stage, StallSubject, Verdict, View,
        cause::Explanation,
        words::{count, evidence, ms, time},
    },
    kernel::events::{MonotonicNanos, NameReply, Pid},
    timeline::NameserverExchange,
};

/// A server that was not waited for to the end has left a question unanswered if it took this much longer than twice
/// its slowest answer. It is also what the stub grants one that it does not know.
const MARGIN: Duration = Duration::from_millis(100);
/// So long a silence, once, says enough of a server that has answered nothing yet: more than any on this planet is away.
const ENOUGH: Duration = Duration::from_millis(500);
/// Servers that are looked at.
const MOST_SERVERS: usize = 64;

/// What is known of each nameserver.
#[derive(Clone, Debug, Default)]
pub(in crate::diagnose) struct Nameservers {
    seen: usize,
    /// Places of questions of whose names it is not yet known whether a process waits for them.
    held: Vec<usize>,
    servers: BTreeMap<String, Server>,
}

#[derive(Clone, Debug, Default)]
struct Server {
    asked: u64,
    answered: u64,
    unanswered: u64,
    slowest: Duration,
    /// It was waited for long enough to tell silence from slowness.
    certain: bool,
    /// Since when it has been silent.
    silent_since: Option<MonotonicNanos>,
}

impl Nameservers {
    pub(in crate::diagnose) fn examine(
        &mut self,
        view: View<'_>,
        lookups: &Lookups,
        ledger: &mut Ledger,
    ) {
        let exchanges = &view.timeline.nameservers;
        let places = std::mem::take(&mut self.held)
            .into_iter()
            .chain(self.seen..exchanges.len());
        let mut held = Vec::new();
        for place in places {
            let Some(exchange) = exchanges.get(place) else {
                continue;
            };
            if lookups.is_waited_for(&exchange.name) {
                held.push(place);
            } else {
                self.judge(view, exchange, lookups.was_told(&exchange.name), ledger);
            }
        }
        self.seen = exchanges.len();
        self.held = held;
    }

    fn judge(
        &mut self,
        view: View<'_>,
        exchange: &NameserverExchange,
        told: bool,
        ledger: &mut Ledger,
    ) {
        if self.servers.len() >= MOST_SERVERS && !self.servers.contains_key(&exchange.server) {
            return;
        }
        let server = self.servers.entry(exchange.server.clone()).or_default();
        let subject = StallSubject::Nameserver {
            server: exchange.server.clone(),
        };
        let over = exchange.sent + exchange.reply.after();
        server.asked += 1;
        match &exchange.reply {
            NameReply::Answered { latency, .. } => {
                server.answered += 1;
                server.slowest = server.slowest.max(*latency);
                server.silent_since = None;
                ledger.end(&subject, over);
                if *latency > view.limits.dns() && !told {
                    ledger.report(view, slow(view, exchange, *latency));
                }
            }
            NameReply::Silent { waited, given_up } => {
                if !given_up && *waited < server.slowest * 2 + MARGIN {
                    return;
                }
                server.unanswered += 1;
                let since = *server.silent_since.get_or_insert(exchange.sent);
                let known = *given_up || server.answered > 0 || *waited >= ENOUGH;
                server.certain |= known;
                if !known && server.unanswered < 2 {
                    return;
                }
                if told && ledger.current(&subject).is_none() {
                    return;
                }
                let finding = server.silent(exchange, since, *waited);
                let other = self
                    .servers
                    .iter()
                    .find(|(name, other)| **name != exchange.server && other.answered > 0)
                    .map(|(name, _)| name.clone());
                let explanation = self
                    .servers
                    .get(&exchange.server)
                    .and_then(|server| server.cause(&exchange.server, other));
                ledger.report(
                    view,
                    Finding {
                        explanation,
                        ..finding
                    },
                );
            }
            // Such a question is asked again at once, elsewhere; a process that gets no answer at all is told of.
            NameReply::Failed { .. } => {}
        }
    }
}

impl Server {
    fn silent(
        &self,
        exchange: &NameserverExchange,
        since: MonotonicNanos,
        waited: Duration,
    ) -> Finding {
        let server = &exchange.server;
        let of_all = format!("{} of {}", self.unanswered, count(self.asked, "question"));
        Finding {
            verdict: Verdict::DnsTimeout,
            confidence: match (self.certain, self.answered) {
                (false, _) => Confidence::Suspected,
                (true, 0) if self.unanswered > 1 => Confidence::Confirmed,
                (true, _) => Confidence::Likely,
            },
            evidence: evidence(json!({
                "failure": "generic_timeout_error",
                "servers": [server],
                "types": [exchange.qtype],
                "name": exchange.name,
                "attempts": self.unanswered,
                "asked": self.asked,
                "answered": self.answered,
                "waited_ms": ms(waited),
            })),
            story: format!(
                "The nameserver {server} left {of_all} unanswered, last the {} question for {} for {}; no process had to wait for it",
                exchange.qtype,
                exchange.name,
                time(waited),
            ),
            action: format!(
                "Each question that is never answered costs 5 s without us: check the nameserver {server} (`dig @ADDRESS {}`) and the path to it, or take it out of /etc/resolv.conf.",
                exchange.name,
            ),
            ..base(exchange, since)
        }
    }
}

impl Server {
    /// Why it was silent: `other` is a nameserver that answers.
    fn cause(&self, name: &str, other: Option<String>) -> Option<Explanation> {
        if self.answered > 0 {
            return Some(Explanation {
                cause: Cause::LostAnswers,
                because: format!(
                    "it answered {} others, so a packet got lost",
                    count(self.answered, "question")
                ),
                action: format!(
                    "Ask the network team for lost UDP packets on the way to the nameserver {name}; each one costs 5 s without us."
                ),
                evidence: crate::diagnose::Evidence::new(),
            });
        }
        let other = other.filter(|_| self.certain && self.unanswered > 1)?;
        Some(Explanation {
            cause: Cause::SilentNameserver,
            because: format!("the nameserver {other} does answer, so it is {name} that is silent"),
            action: format!(
                "Take the nameserver {name} out of /etc/resolv.conf, or have it mended; without us each question to it costs 5 s."
            ),
            evidence: evidence(json!({"silent_server": name, "answering_server": other})),
        })
    }
}

fn slow(view: View<'_>, exchange: &NameserverExchange, latency: Duration) -> Finding {
    let server = &exchange.server;
    Finding {
        verdict: Verdict::DnsSlow,
        ended: Some(exchange.sent + latency),
        evidence: evidence(json!({
            "servers": [server],
            "types": [exchange.qtype],
            "name": exchange.name,
            "latency_ms": ms(latency),
            "limit_ms": ms(view.limits.dns()),
        })),
        story: format!(
            "The nameserver {server} answered the {} question for {} only after {}; no process had to wait for it",
            exchange.qtype,
            exchange.name,
            time(latency),
        ),
        action: slow_action(server),
        explanation: Some(slow_resolver(server)),
        ..base(exchange, exchange.sent)
    }
}

fn base(exchange: &NameserverExchange, began: MonotonicNanos) -> Finding {
    Finding {
        subject: StallSubject::Nameserver {
            server: exchange.server.clone(),
        },
        // No process's.
        pid: Pid(0),
        verdict: Verdict::DnsTimeout,
        stage: Stage::Dns,
        confidence: Confidence::Confirmed,
        host: Some(exchange.server.clone()),
        began,
        ended: None,
        evidence: crate::diagnose::Evidence::new(),
        story: String::new(),
        action: String::new(),
        explanation: None,
    }
}
