// SPDX-License-Identifier: MIT OR Apache-2.0
//! `hazards[]`.

use serde::Serialize;

use super::{Tell, at};
use crate::{
    diagnose::{Confidence, Evidence, Hazard, Verdict},
    kernel::events::MonotonicNanos,
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct HazardFact<'a> {
    verdict: Verdict,
    confidence: Confidence,
    pid: u32,
    known_ms: f64,
    evidence: &'a Evidence,
    story: &'a str,
    action: &'a str,
}

impl Tell for Hazard {
    type Fact<'a> = HazardFact<'a>;

    fn tell(&self, began: MonotonicNanos) -> HazardFact<'_> {
        HazardFact {
            verdict: self.verdict,
            confidence: self.confidence,
            pid: self.pid.0,
            known_ms: at(self.known, began),
            evidence: &self.evidence,
            story: &self.story,
            action: &self.action,
        }
    }
}
