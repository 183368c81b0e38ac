// SPDX-License-Identifier: MIT OR Apache-2.0
//! Causes that only a comparison tells: a connection that failed, and another one of the same run that differs in one
//! point and passed. The other one may come later than the stall, and from the accelerator.

mod inference;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::trial::{ONE_SEGMENT, Result, Trial, Whose};
use super::{Ledger, Stage, StallId, StallSubject, Verdict, View};

/// Trials of one host that are kept: the first ones tell as much as any.
const MOST: usize = 64;
/// Hosts that are kept.
const MOST_HOSTS: usize = 256;

/// What was tried in this run.
#[derive(Clone, Debug, Default)]
pub(super) struct Causes {
    trials: Vec<Trial>,
    kept: BTreeMap<String, usize>,
    /// Something was tried since the last look.
    fresh: bool,
    /// Stalls looked at for being explained, and those that are not yet.
    seen: usize,
    unexplained: BTreeSet<usize>,
}

impl Causes {
    /// Takes a trial in.
    pub(super) fn tried(&mut self, trial: Trial) {
        if self.kept.len() >= MOST_HOSTS && !self.kept.contains_key(&trial.host) {
            return;
        }
        // Passing hellos of the same form say nothing new; failing ones are rare.
        let known = trial.result == Result::Passed
            && self.trials.iter().any(|earlier| {
                earlier.host == trial.host
                    && earlier.proxy == trial.proxy
                    && earlier.remote == trial.remote
                    && earlier.result == trial.result
                    && earlier.hello == trial.hello
            });
        let kept = self.kept.entry(trial.host.clone()).or_default();
        if known || *kept >= MOST {
            return;
        }
        *kept += 1;
        self.fresh = true;
        self.trials.push(trial);
    }

    /// Explains what can be explained by now.
    pub(super) fn examine(&mut self, view: View<'_>, ledger: &mut Ledger) {
        let stalls = ledger.stalls();
        for (place, stall) in stalls.iter().enumerate().skip(self.seen) {
            if concerns(stall.verdict) && stall.cause.is_none() {
                self.unexplained.insert(place);
                self.fresh = true;
            }
        }
        self.seen = stalls.len();
        if !std::mem::take(&mut self.fresh) {
            return;
        }
        let mut explained = Vec::new();
        for place in &self.unexplained {
            let Some(stall) = stalls.get(*place) else {
                continue;
            };
            let Some(failed) = self.failed(&stall.subject, stall.host.as_deref(), stall.verdict)
            else {
                continue;
            };
            let began = view.timeline.began;
            let explanation = if stall.stage == Stage::Connect {
                inference::of_connect(failed, &self.trials, began)
            } else {
                inference::of_hello(failed, &self.trials, began)
            };
            if let Some(explanation) = explanation {
                explained.push((*place, explanation));
            }
        }
        for (place, explanation) in explained {
            self.unexplained.remove(&place);
            ledger.explain(StallId(place as u32 + 1), explanation, view.now);
        }
    }

    /// The trial that a stall is about.
    fn failed(
        &self,
        subject: &StallSubject,
        host: Option<&str>,
        verdict: Verdict,
    ) -> Option<&Trial> {
        let whose = match subject {
            StallSubject::Connection(id) => Whose::Process(*id),
            StallSubject::Upstream { .. } => Whose::Ours,
            _ => return None,
        };
        self.trials.iter().find(|trial| {
            trial.whose == whose
                && Some(trial.host.as_str()) == host
                && match trial.result {
                    Result::Passed => false,
                    Result::NotConnected => verdict == Verdict::ConnectTimeout,
                    Result::NoAnswer { .. } => verdict != Verdict::ConnectTimeout,
                }
        })
    }
}

/// Verdicts of which a comparison may tell the cause.
fn concerns(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::ConnectTimeout
            | Verdict::HelloReset
            | Verdict::HelloTimeout
            | Verdict::HelloAlert
            | Verdict::HelloClosed
    )
}
