// SPDX-License-Identifier: MIT OR Apache-2.0
//! The probe's report, schema `gomod-trace.probe/1` (docs/probe.schema.json).

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    diagnose::{Confidence, Stage},
    probe::{
        Verdict,
        advice::advise,
        conductor::Probed,
        inference::{Evidence, Finding},
        results::Tally,
    },
};

/// Value of `schema`.
pub const SCHEMA: &str = "gomod-trace.probe/1";

/// The whole report.
#[derive(Debug, Serialize)]
pub struct ProbeReport<'a> {
    schema: &'static str,
    started: String,
    hosts: Vec<HostReport<'a>>,
}

#[derive(Debug, Serialize)]
struct HostReport<'a> {
    host: String,
    addresses: Vec<IpAddr>,
    verdicts: Vec<VerdictReport<'a>>,
    arms: Vec<ArmReport>,
    advice: Vec<String>,
}

#[derive(Debug, Serialize)]
struct VerdictReport<'a> {
    verdict: Verdict,
    stage: Option<Stage>,
    confidence: Confidence,
    n: u32,
    m: u32,
    evidence: &'a Evidence,
}

#[derive(Debug, Serialize)]
struct ArmReport {
    name: String,
    tries: u32,
    passed: u32,
    failures: BTreeMap<&'static str, u32>,
    median_ms: Option<f64>,
}

impl<'a> ProbeReport<'a> {
    /// Of these hosts.
    pub fn build(started: OffsetDateTime, hosts: &'a [Probed]) -> Self {
        Self {
            schema: SCHEMA,
            started: started.format(&Rfc3339).unwrap_or_default(),
            hosts: hosts.iter().map(host).collect(),
        }
    }
}

fn host(probed: &Probed) -> HostReport<'_> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    if !probed.experiment.proxied {
        addresses.extend(
            probed
                .experiment
                .targets
                .iter()
                .map(std::net::SocketAddr::ip),
        );
    }
    HostReport {
        host: probed.host.to_string(),
        addresses,
        verdicts: probed.findings.iter().map(verdict).collect(),
        arms: probed
            .experiment
            .results
            .arms()
            .map(|(arm, tries)| {
                let tally = Tally::of(tries);
                ArmReport {
                    name: arm.named(&probed.experiment.resolvers).to_string(),
                    tries: tally.tries,
                    passed: tally.passed,
                    failures: tally.failures,
                    median_ms: tally.median_us.map(|us| us as f64 / 1000.0),
                }
            })
            .collect(),
        advice: probed
            .findings
            .iter()
            .flat_map(|finding| {
                let advice = advise(probed, finding);
                advice.team.into_iter().chain(advice.here)
            })
            .collect(),
    }
}

fn verdict(finding: &Finding) -> VerdictReport<'_> {
    VerdictReport {
        verdict: finding.verdict,
        stage: finding.verdict.stage(),
        confidence: finding.confidence,
        n: finding.n,
        m: finding.m,
        evidence: &finding.evidence,
    }
}
