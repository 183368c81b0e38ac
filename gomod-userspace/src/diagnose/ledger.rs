// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps the stalls: which are known, which go on, which are the same thing tried again.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Confidence, Evidence, Stage, Stall, StallChange, StallId, StallSubject, Verdict, View,
};
use crate::kernel::events::{MonotonicNanos, Pid};

/// What a rule has found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) subject: StallSubject,
    pub(super) pid: Pid,
    pub(super) verdict: Verdict,
    pub(super) stage: Stage,
    pub(super) confidence: Confidence,
    pub(super) host: Option<String>,
    pub(super) began: MonotonicNanos,
    /// Set where it is over already.
    pub(super) ended: Option<MonotonicNanos>,
    pub(super) evidence: Evidence,
    pub(super) story: String,
    pub(super) action: String,
}

/// Failures of one process at one host that are one thing, tried again and again.
type Repeated = (Pid, Option<String>, Verdict, Stage);

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    stalls: Vec<Stall>,
    current: BTreeMap<StallSubject, usize>,
    failures: BTreeMap<Repeated, usize>,
    changes: Vec<StallChange>,
}

impl Ledger {
    pub(super) fn stalls(&self) -> &[Stall] {
        &self.stalls
    }

    pub(super) fn take_changes(&mut self) -> Vec<StallChange> {
        std::mem::take(&mut self.changes)
    }

    /// The stall of this subject that goes on.
    pub(super) fn current(&self, subject: &StallSubject) -> Option<&Stall> {
        self.current
            .get(subject)
            .and_then(|place| self.stalls.get(*place))
    }

    /// Takes a finding in. One of a stall that is known already renews its evidence.
    pub(super) fn report(&mut self, view: View<'_>, mut finding: Finding) {
        // Times of events of several CPUs may disagree by a little.
        finding.began = finding.began.min(view.now);
        finding.ended = finding.ended.map(|ended| ended.max(finding.began));
        if let Some(place) = self.current.get(&finding.subject).copied() {
            if let Some(stall) = self.stalls.get_mut(place)
                && stall.verdict == finding.verdict
            {
                stall.evidence = finding.evidence;
                stall.story = finding.story;
                if let Some(ended) = finding.ended {
                    self.end(&finding.subject, ended);
                }
            }
            return;
        }
        let repeated = (
            finding.pid,
            finding.host.clone(),
            finding.verdict,
            finding.stage,
        );
        if finding.ended.is_some() {
            if let Some(earlier) = self.failures.get(&repeated)
                && let Some(stall) = self.stalls.get_mut(*earlier)
            {
                let tries = stall
                    .evidence
                    .get("tries")
                    .and_then(serde_json::Value::as_u64)
                    .unwrap_or(1);
                stall
                    .evidence
                    .insert("tries".to_owned(), json!(tries.saturating_add(1)));
                return;
            }
            self.failures.insert(repeated, self.stalls.len());
        } else {
            self.current
                .insert(finding.subject.clone(), self.stalls.len());
        }
        let mut evidence = finding.evidence;
        if finding.ended.is_some() {
            evidence.entry("tries").or_insert(json!(1));
        }
        let stall = Stall {
            id: StallId(self.stalls.len() as u32 + 1),
            subject: finding.subject,
            verdict: finding.verdict,
            stage: finding.stage,
            confidence: finding.confidence,
            host: finding.host,
            modules: view.modules(finding.pid),
            began: finding.began,
            known: view.now,
            ended: finding.ended,
            evidence,
            story: finding.story,
            action: finding.action,
        };
        self.changes.push(StallChange::Known(stall.clone()));
        self.stalls.push(stall);
    }

    /// The subject moves again, or is gone.
    pub(super) fn end(&mut self, subject: &StallSubject, at: MonotonicNanos) {
        if let Some(place) = self.current.remove(subject)
            && let Some(stall) = self.stalls.get_mut(place)
        {
            stall.ended = Some(at.max(stall.began));
            self.changes.push(StallChange::Ended(stall.clone()));
        }
    }
}
