// SPDX-License-Identifier: MIT OR Apache-2.0
//! `stalls[]`.

use serde::Serialize;

use super::{Tell, at, between};
use crate::{
    diagnose::{Cause, Confidence, Evidence, Stage, Stall, StallSubject, Verdict},
    kernel::events::MonotonicNanos,
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct StallFact<'a> {
    verdict: Verdict,
    stage: Stage,
    confidence: Confidence,
    cause: Option<Cause>,
    host: Option<&'a str>,
    connection: Option<u32>,
    modules: &'a [String],
    began_ms: f64,
    lasted_ms: Option<f64>,
    evidence: &'a Evidence,
    story: &'a str,
    action: &'a str,
}

impl Tell for Stall {
    type Fact<'a> = StallFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> StallFact<'_> {
        StallFact {
            verdict: self.verdict,
            stage: self.stage,
            confidence: self.confidence,
            cause: self.cause,
            host: self.host.as_deref(),
            connection: match &self.subject {
                StallSubject::Connection(id) => Some(id.0),
                StallSubject::Name { .. }
                | StallSubject::Nameserver { .. }
                | StallSubject::Upstream { .. }
                | StallSubject::Tunnel { .. }
                | StallSubject::Channels { .. }
                | StallSubject::Lock { .. } => None,
            },
            modules: &self.modules,
            began_ms: at(self.began, began),
            lasted_ms: between(Some(self.began), self.ended),
            evidence: &self.evidence,
            story: &self.story,
            action: &self.action,
        }
    }
}
