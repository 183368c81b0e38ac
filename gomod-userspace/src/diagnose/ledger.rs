// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps the stalls: which are known, which go on, which are the same thing tried again.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    Confidence, Evidence, Stage, Stall, StallChange, StallId, StallSubject, Verdict, View,
    cause::Explanation,
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
    /// The cause, where the rule itself can tell it.
    pub(super) explanation: Option<Explanation>,
}

/// Failures of one process at one host that are one thing, tried again and again.
type Repeated = (Pid, Option<String>, Verdict, Stage);

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    stalls: Vec<Stall>,
    current: BTreeMap<StallSubject, usize>,
    failures: BTreeMap<Repeated, usize>,
    explanations: BTreeMap<usize, Explanation>,
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
                let id = stall.id;
                match (stall.cause, finding.explanation) {
                    (None, Some(new)) => self.explain(id, new, view.now),
                    (Some(_), Some(newer)) => {
                        apply(stall, &newer);
                        self.explanations.insert(place, newer);
                    }
                    (Some(_), None) => {
                        if let Some(known) = self.explanations.get(&place) {
                            apply(stall, known);
                        }
                    }
                    (None, None) => {}
                }
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
        let place = self.stalls.len();
        let mut stall = Stall {
            id: StallId(place as u32 + 1),
            subject: finding.subject,
            verdict: finding.verdict,
            stage: finding.stage,
            confidence: finding.confidence,
            cause: None,
            host: finding.host,
            modules: view.modules(finding.pid),
            began: finding.began,
            known: view.now,
            ended: finding.ended,
            evidence,
            story: finding.story,
            action: finding.action,
        };
        if let Some(explanation) = finding.explanation {
            apply(&mut stall, &explanation);
            self.explanations.insert(place, explanation);
        }
        self.changes.push(StallChange::Known(stall.clone()));
        self.stalls.push(stall);
    }

    /// The cause of a stall became known. The first one counts.
    pub(super) fn explain(&mut self, id: StallId, explanation: Explanation, now: MonotonicNanos) {
        let place = (id.0 as usize).saturating_sub(1);
        if let Some(stall) = self.stalls.get_mut(place)
            && stall.cause.is_none()
        {
            apply(stall, &explanation);
            self.changes.push(StallChange::Explained {
                stall: stall.clone(),
                because: explanation.because.clone(),
                at: now,
            });
            self.explanations.insert(place, explanation);
        }
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

fn apply(stall: &mut Stall, explanation: &Explanation) {
    stall.cause = Some(explanation.cause);
    stall.story = format!("{}; {}", stall.story, explanation.because);
    stall.action.clone_from(&explanation.action);
    for (name, value) in &explanation.evidence {
        stall.evidence.insert(name.clone(), value.clone());
    }
}
