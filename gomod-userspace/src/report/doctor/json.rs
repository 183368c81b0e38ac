// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doctor's report, schema `gomod-trace.doctor/1` (docs/doctor.schema.json).

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Examination;
use crate::{
    diagnose::{Evidence, Verdict},
    doctor::State,
};

/// Value of `schema`.
pub const SCHEMA: &str = "gomod-trace.doctor/1";

/// The whole report.
#[derive(Debug, Serialize)]
pub struct DoctorReport<'a> {
    schema: &'static str,
    version: &'static str,
    started: String,
    uid: u32,
    sudo: bool,
    summary: Summary,
    checks: Vec<CheckReport<'a>>,
}

#[derive(Debug, Serialize)]
struct Summary {
    ok: usize,
    warn: usize,
    fail: usize,
    unknown: usize,
}

#[derive(Debug, Serialize)]
struct CheckReport<'a> {
    check: &'static str,
    subject: Option<&'a str>,
    state: State,
    verdict: Option<Verdict>,
    finding: &'a str,
    remedy: Option<&'a str>,
    evidence: &'a Evidence,
}

impl<'a> DoctorReport<'a> {
    /// Of this examination.
    pub fn build(started: OffsetDateTime, examination: &'a Examination) -> Self {
        let checks = examination.checks.iter().map(|check| CheckReport {
            check: check.check,
            subject: check.subject.as_deref(),
            state: check.state,
            verdict: check.verdict,
            finding: &check.finding,
            remedy: check.remedy.as_deref(),
            evidence: &check.evidence,
        });
        Self {
            schema: SCHEMA,
            version: examination.version,
            started: started.format(&Rfc3339).unwrap_or_default(),
            uid: examination.uid,
            sudo: examination.sudo,
            summary: Summary {
                ok: examination.count(State::Ok),
                warn: examination.count(State::Warn),
                fail: examination.count(State::Fail),
                unknown: examination.count(State::Unknown),
            },
            checks: checks.collect(),
        }
    }
}
