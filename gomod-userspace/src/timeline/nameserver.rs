// SPDX-License-Identifier: MIT OR Apache-2.0
//! What our own DNS stub did: how it answered a process, and how the nameservers answered it.

use std::{net::SocketAddr, time::Duration};

use super::{DnsExchange, DnsOutcome, Timeline, dns::DnsIndex};
use crate::{
    kernel::events::{MonotonicNanos, NameAnswered, NameAsked, NameReply, NameSource},
    wire::dns::Query,
};

/// Answers that wait for their question. The kernel tells of it some milliseconds later.
const MAX_EARLY: usize = 256;
/// Questions that are looked through for the one of an answer, newest first.
const LOOK_BACK: usize = 512;

/// An answer of the stub to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubAnswer {
    /// Where it came from.
    pub source: NameSource,
    /// What the network took to give it, when it was fetched: the process would have waited at least that long.
    pub fetched_in: Duration,
}

/// A question of the stub to a nameserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameserverExchange {
    /// The nameserver: an address and port, or a URL.
    pub server: String,
    /// Name, lower case, without the final dot.
    pub name: String,
    /// "A", "AAAA", …
    pub qtype: String,
    /// The how many-th question for this answer, to whichever nameserver; from 1.
    pub attempt: u32,
    /// When it was sent.
    pub sent: MonotonicNanos,
    /// What became of it.
    pub reply: NameReply,
}

impl DnsExchange {
    /// What the network took to give the answer, whenever that was; `None` without an answer.
    pub fn network_time(&self) -> Option<Duration> {
        let DnsOutcome::Answered { at, .. } = &self.outcome else {
            return None;
        };
        let waited = at.since(self.sent);
        Some(self.stub.map_or(waited, |stub| stub.fetched_in))
    }
}

impl From<&NameAnswered> for StubAnswer {
    fn from(answered: &NameAnswered) -> Self {
        Self {
            source: answered.source,
            fetched_in: answered.fetched_in,
        }
    }
}

impl DnsIndex {
    /// What the stub has already answered to a question.
    pub(super) fn take_early(
        &mut self,
        local: SocketAddr,
        server: SocketAddr,
        query: &Query,
    ) -> Option<StubAnswer> {
        let place = self.early.iter().position(|answered| {
            (answered.client, answered.server, answered.id) == (local, server, query.id)
                && answered.name == query.name
                && answered.qtype == query.qtype
        })?;
        self.early.remove(place).as_ref().map(StubAnswer::from)
    }
}

impl Timeline {
    pub(super) fn stub_answered(&mut self, answered: &NameAnswered) {
        let is_its = |exchange: &&mut DnsExchange| {
            exchange.stub.is_none()
                && (exchange.local, exchange.server, exchange.id)
                    == (answered.client, answered.server, answered.id)
                && exchange.name == answered.name
                && exchange.qtype == answered.qtype
        };
        if let Some(exchange) = self.dns.iter_mut().rev().take(LOOK_BACK).find(is_its) {
            exchange.stub = Some(answered.into());
            return;
        }
        let early = &mut self.index.dns.early;
        if early.len() >= MAX_EARLY {
            early.pop_front();
        }
        early.push_back(answered.clone());
    }

    pub(super) fn stub_asked(&mut self, at: MonotonicNanos, asked: &NameAsked) {
        self.nameservers.push(NameserverExchange {
            server: asked.server.clone(),
            name: asked.name.clone(),
            qtype: asked.qtype.clone(),
            attempt: asked.attempt,
            sent: at,
            reply: asked.reply.clone(),
        });
    }
}
