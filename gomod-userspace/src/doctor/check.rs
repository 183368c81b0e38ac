// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of one thing of the machine.

use serde::Serialize;
use serde_json::Value;

use crate::diagnose::{Evidence, Verdict};

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but costs time, safety or evidence now or some day.
    Warn,
    /// It does not work, or makes `go` fail or stall.
    Fail,
    /// It could not be seen.
    Unknown,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Which: `SECTION.THING`, a stable token.
    pub check: &'static str,
    /// Of several things of that kind, which one; the word on the screen.
    pub subject: Option<String>,
    /// How it is.
    pub state: State,
    /// What was found, in plain words.
    pub finding: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The verdict that a run would give.
    pub verdict: Option<Verdict>,
    /// The facts behind it.
    pub evidence: Evidence,
}

impl Check {
    fn new(check: &'static str, state: State, finding: impl Into<String>) -> Self {
        Self {
            check,
            subject: None,
            state,
            finding: finding.into(),
            remedy: None,
            verdict: None,
            evidence: Evidence::new(),
        }
    }

    pub(super) fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(check, State::Ok, finding)
    }

    pub(super) fn warn(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(check, State::Warn, finding)
    }

    pub(super) fn fail(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(check, State::Fail, finding)
    }

    pub(super) fn unknown(check: &'static str, finding: impl Into<String>) -> Self {
        Self::new(check, State::Unknown, finding)
    }

    pub(super) fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn facts(mut self, facts: Value) -> Self {
        if let Value::Object(facts) = facts {
            self.evidence = facts;
        }
        self
    }

    pub(super) fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }
}
