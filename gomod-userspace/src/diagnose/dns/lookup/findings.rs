// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a lookup, with its evidence.

use std::time::Duration;

use serde_json::json;

use super::{Failure, Judged};
use crate::{
    diagnose::{
        Cause, Confidence, Evidence, Finding, Stage, Verdict, View,
        cause::Explanation,
        words::{count, evidence, ms, time},
    },
    kernel::events::MonotonicNanos,
    timeline::DnsExchange,
};

impl Judged<'_> {
    pub(super) fn timeout(&self, view: View<'_>, ended: Option<MonotonicNanos>) -> Finding {
        let silent: Vec<&str> = self
            .types
            .iter()
            .filter(|(_, state)| state.timed_out)
            .map(|(qtype, _)| *qtype)
            .collect();
        let answered: Vec<&str> = self
            .types
            .iter()
            .filter(|(_, state)| state.settled.is_some())
            .map(|(qtype, _)| *qtype)
            .collect();
        let concerned = |exchange: &&&DnsExchange| silent.contains(&exchange.qtype.as_str());
        let mut servers: Vec<String> = self
            .questions
            .iter()
            .filter(concerned)
            .map(|exchange| exchange.server.to_string())
            .collect();
        servers.sort_unstable();
        servers.dedup();
        let attempts = silent
            .iter()
            .map(|qtype| {
                self.questions
                    .iter()
                    .filter(|exchange| exchange.qtype == *qtype)
                    .count()
            })
            .max()
            .unwrap_or_default();
        let waited = ended.or(self.ended).unwrap_or(view.now).since(self.first);
        Finding {
            verdict: Verdict::DnsTimeout,
            ended,
            evidence: evidence(json!({
                "failure": "generic_timeout_error",
                "servers": servers,
                "types": silent,
                "answered_types": answered,
                "attempts": attempts,
                "answered": answered.len(),
                "waited_ms": ms(waited),
            })),
            story: format!(
                "{}: no answer to its {} from {} in {} ({})",
                self.name,
                words_list(&silent, "question"),
                servers.join(", "),
                time(waited),
                count(attempts as u64, "attempt"),
            ),
            action: format!(
                "Check that the nameserver {} answers (`dig @ADDRESS {}`), and what else /etc/resolv.conf offers.",
                servers.join(", "),
                self.name,
            ),
            explanation: self.cause_of_silence(view),
            ..self.base(self.first)
        }
    }

    pub(super) fn slow(&self, view: View<'_>) -> Option<Finding> {
        let limit = view.limits.dns();
        self.all_settled()?;
        let (qtype, latency, at) = self
            .types
            .iter()
            .filter_map(|(qtype, state)| {
                let (at, _) = state.settled?;
                Some((*qtype, at.since(state.first), at))
            })
            .max_by_key(|(_, latency, _)| *latency)?;
        if latency <= limit {
            return None;
        }
        let asked = |exchange: &&&DnsExchange| exchange.qtype == qtype;
        let server = self.questions.iter().rev().find(asked)?.server;
        // Asked once: it is the answer that took so long.
        let once = self.questions.iter().filter(asked).count() == 1;
        Some(Finding {
            verdict: Verdict::DnsSlow,
            ended: Some(at),
            evidence: evidence(json!({
                "servers": [server.to_string()],
                "types": [qtype],
                "latency_ms": ms(latency),
                "limit_ms": ms(limit),
            })),
            story: format!(
                "{}: {server} answered the {qtype} question only after {}",
                self.name,
                time(latency)
            ),
            action: slow_action(&server.to_string()),
            explanation: once.then(|| slow_resolver(&server.to_string())),
            ..self.base(at_minus(at, latency))
        })
    }

    pub(super) fn refused(&self, view: View<'_>) -> Option<Finding> {
        let quiet = view.now.since(self.active) >= Self::quiet(view);
        let settled = self.types.values().any(|state| state.settled.is_some());
        let pending = self.types.values().any(|state| state.pending);
        if settled || pending || !(quiet || self.ended.is_some()) {
            return None;
        }
        let (at, failure) = self
            .types
            .values()
            .filter_map(|state| state.failed.clone())
            .max()?;
        let servers = self.servers();
        let listed = servers.join(", ");
        let name = self.name;
        let types: Vec<&str> = self.types.keys().copied().collect();
        let (story, rcode, errno) = match failure {
            Failure::Errno(errno @ 111) => (
                format!("{name}: nothing listens on the DNS port of {listed}"),
                None,
                Some(errno),
            ),
            Failure::Errno(errno) => (
                format!("{name}: asking {listed} failed (errno {errno})"),
                None,
                Some(errno),
            ),
            Failure::Lame => (
                format!(
                    "{name}: {listed} answered without an address and does not resolve names for others (a lame referral)"
                ),
                Some("NOERROR".to_owned()),
                None,
            ),
            Failure::Rcode(rcode) => (
                format!("{name}: {listed} answered {rcode}"),
                Some(rcode),
                None,
            ),
        };
        Some(Finding {
            verdict: Verdict::DnsRefused,
            ended: Some(at),
            evidence: evidence(json!({
                "failure": "dns_server_error",
                "servers": servers,
                "types": types,
                "rcode": rcode,
                "errno": errno,
                "attempts": self.questions.len(),
            })),
            story,
            action: format!(
                "Check that {listed} is a nameserver that serves this machine; /etc/resolv.conf names it.",
            ),
            ..self.base(self.first)
        })
    }

    /// Every answer says that the name does not exist.
    pub(in crate::diagnose) fn nonexistent(&self) -> Option<Finding> {
        let at = self.all_settled()?;
        let exists = self
            .types
            .values()
            .any(|state| state.settled.is_some_and(|(_, exists)| exists));
        let servers = self.servers();
        (!exists).then(|| Finding {
            verdict: Verdict::DnsNxdomain,
            ended: Some(at),
            evidence: evidence(json!({
                "failure": "dns_nxdomain_error",
                "servers": servers,
                "types": self.types.keys().collect::<Vec<_>>(),
                "rcode": "NXDOMAIN",
            })),
            story: format!(
                "{}: {} says after {} that this name does not exist",
                self.name,
                servers.join(", "),
                time(at.since(self.first)),
            ),
            action: format!(
                "Check the spelling of the name and ask another nameserver (`dig @ADDRESS {}`); one that filters names answers like this too.",
                self.name,
            ),
            ..self.base(self.first)
        })
    }

    fn servers(&self) -> Vec<String> {
        let mut servers: Vec<String> = self
            .questions
            .iter()
            .map(|exchange| exchange.server.to_string())
            .collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }

    fn base(&self, began: MonotonicNanos) -> Finding {
        Finding {
            subject: self.subject(),
            pid: self.pid,
            verdict: Verdict::DnsTimeout,
            stage: Stage::Dns,
            confidence: Confidence::Confirmed,
            host: Some(self.name.to_owned()),
            began,
            ended: None,
            evidence: Evidence::new(),
            story: String::new(),
            action: String::new(),
            explanation: None,
        }
    }
}

/// What to do about a nameserver that takes its time.
pub(in crate::diagnose::dns) fn slow_action(server: &str) -> String {
    format!(
        "Check the load of the nameserver {server} and the path to it, or name a nearer one in /etc/resolv.conf."
    )
}

/// A single question was answered, late.
pub(in crate::diagnose::dns) fn slow_resolver(server: &str) -> Explanation {
    Explanation {
        cause: Cause::SlowResolver,
        because: "it was asked once and did answer, so nothing got lost: it is slow".to_owned(),
        action: slow_action(server),
        evidence: Evidence::new(),
    }
}

fn at_minus(at: MonotonicNanos, earlier: Duration) -> MonotonicNanos {
    MonotonicNanos(at.0.saturating_sub(earlier.as_nanos() as u64))
}

/// "A question", "A and AAAA questions".
fn words_list(words: &[&str], noun: &str) -> String {
    match words {
        [] => noun.to_owned(),
        [one] => format!("{one} {noun}"),
        many => format!("{} {noun}s", many.join(" and ")),
    }
}
