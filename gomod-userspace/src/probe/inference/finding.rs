// SPDX-License-Identifier: MIT OR Apache-2.0
//! A verdict, how sure it is, and on what.

use std::net::SocketAddr;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::{
    results::{Seen, Tally, Try},
    verdict::Verdict,
};
use crate::diagnose::Confidence;

/// What is said of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What.
    pub verdict: Verdict,
    /// How sure.
    pub confidence: Confidence,
    /// Tries in which it was seen.
    pub n: u32,
    /// Tries.
    pub m: u32,
    /// On what.
    pub evidence: Evidence,
}

/// Facts by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Evidence(Map<String, Value>);

/// Takes a number out of what was seen.
type Pick = dyn Fn(&Seen) -> Option<u64>;

impl Finding {
    pub(super) fn new(verdict: Verdict, confidence: Confidence, n: u32, m: u32) -> Self {
        Self {
            verdict,
            confidence,
            n,
            m,
            evidence: Evidence::default(),
        }
    }

    /// Of the tries of an arm that fails, compared with `others` that pass.
    pub(super) fn of_tries(verdict: Verdict, failing: &[Try], others: &[&[Try]]) -> Self {
        let tally = Tally::of(failing);
        let (n, m) = (tally.tries - tally.passed, tally.tries);
        let thorough = others.iter().all(|tries| {
            let tally = Tally::of(tries);
            tally.tries >= 5 && tally.passed == tally.tries
        });
        let confidence = match (n, m) {
            _ if m < 3 => Confidence::Suspected,
            _ if n == m && m >= 5 && thorough => Confidence::Confirmed,
            _ => Confidence::Likely,
        };
        let mut finding = Self::new(verdict, confidence, n, m);
        finding.evidence.kernel(failing);
        finding
    }

    /// At most so sure.
    pub(super) fn at_most(mut self, confidence: Confidence) -> Self {
        self.confidence = self.confidence.min(confidence);
        self
    }

    pub(super) fn at(mut self, address: SocketAddr) -> Self {
        self.evidence
            .0
            .insert("addresses".to_owned(), json!([address]));
        self
    }

    /// At this address, too, as far as it was tried.
    pub(super) fn also_at(&mut self, address: SocketAddr) {
        if let Some(Value::Array(addresses)) = self.evidence.0.get_mut("addresses") {
            addresses.push(json!(address));
        }
    }

    /// The same at another address.
    pub(super) fn absorb(&mut self, other: Self) {
        self.n += other.n;
        self.m += other.m;
        self.confidence = self.confidence.max(other.confidence);
        for (name, value) in other.evidence.0 {
            match self.evidence.0.get_mut(&name) {
                Some(Value::Array(mine)) => {
                    if let Value::Array(theirs) = value {
                        for one in theirs {
                            if !mine.contains(&one) {
                                mine.push(one);
                            }
                        }
                    }
                }
                Some(_) => {}
                None => {
                    self.evidence.0.insert(name, value);
                }
            }
        }
    }
}

impl Evidence {
    /// All facts, in their order.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(in crate::probe) fn text(&mut self, name: &str, text: impl Into<String>) {
        self.0.insert(name.to_owned(), Value::String(text.into()));
    }

    pub(in crate::probe) fn value(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// `0/5` of each arm that was compared.
    pub(super) fn compared<'a>(&mut self, arms: impl IntoIterator<Item = (&'a str, &'a [Try])>) {
        let compared: Map<String, Value> = arms
            .into_iter()
            .filter(|(_, tries)| !tries.is_empty())
            .map(|(name, tries)| (name.to_owned(), Tally::of(tries).share().into()))
            .collect();
        self.0.insert("passed".to_owned(), Value::Object(compared));
    }

    /// What the kernel saw of the failing tries: the median of numbers, the first of what does not vary.
    fn kernel(&mut self, failing: &[Try]) {
        let seen: Vec<&Seen> = failing
            .iter()
            .filter(|one| one.ending.failure_word().is_some())
            .filter_map(|one| one.seen.as_ref())
            .collect();
        if seen.is_empty() {
            return;
        }
        let median = |pick: &Pick| {
            let mut numbers: Vec<u64> = seen.iter().copied().filter_map(pick).collect();
            numbers.sort_unstable();
            numbers.get(numbers.len() / 2).copied()
        };
        let numbers: [(&str, &Pick); 6] = [
            ("syn_ack_ttl", &|seen| seen.syn_ack_ttl.map(u64::from)),
            ("rst_ttl", &|seen| seen.rst_ttl.map(u64::from)),
            ("rst_after_us", &|seen| seen.rst_after_us),
            ("rtt_us", &|seen| seen.rtt_us),
            ("retransmits", &|seen| Some(u64::from(seen.retransmits))),
            ("syn_retransmits", &|seen| {
                Some(u64::from(seen.syn_retransmits))
            }),
        ];
        for (name, pick) in numbers {
            if let Some(number) = median(pick) {
                self.value(name, number);
            }
        }
        if let Some(acked) = seen.iter().find_map(|seen| seen.acked) {
            self.value("acknowledged", acked);
        }
        if seen.iter().any(|seen| seen.rst_ttl.is_some()) {
            self.injection(&seen);
        }
    }

    /// Signs that a reset was not the server's own; a score of four, no proof: a firewall that copies the TTL shows none.
    fn injection(&mut self, seen: &[&Seen]) {
        // Less than half of the resets shows nothing.
        let most = |sign: &dyn Fn(&Seen) -> bool| {
            seen.iter().filter(|seen| sign(seen)).count() * 2 > seen.len()
        };
        let mut signs = Vec::new();
        if most(
            &|seen| matches!((seen.rst_ttl, seen.syn_ack_ttl), (Some(rst), Some(syn_ack)) if rst.abs_diff(syn_ack) > 1),
        ) {
            signs.push("its TTL is not that of the server's SYN-ACK");
        }
        if most(
            &|seen| matches!((seen.rst_after_us, seen.rtt_us), (Some(after), Some(rtt)) if after * 10 < rtt * 9),
        ) {
            signs.push("it came sooner than a round trip to the server takes");
        }
        if most(&|seen| seen.rsts > 1 && seen.rsts_stepped) {
            signs.push("several came, with stepped sequence numbers");
        }
        if most(&|seen| seen.data_after_rst) {
            signs.push("genuine data came after it");
        }
        self.value("rst_injected_signs", signs.len() as u64);
        self.value("rst_injected_because", signs);
    }
}
