// SPDX-License-Identifier: MIT OR Apache-2.0
//! From results to verdicts; pure.
//!
//! One variable at a time: a cause is named only where an arm fails and its neighbour, which differs in that one thing,
//! passes. Where the control fails as well, nothing is said of the host.

mod bogon;
mod connect;
mod dns;
mod encrypted;
mod finding;
mod hello;
#[cfg(test)]
mod tests;
mod transfer;

use std::net::{IpAddr, SocketAddr};

pub use finding::{Evidence, Finding};

use super::{
    arm::{Arm, Hello, Side},
    results::{Fate, Results, Try, fate},
    task::Ending,
    verdict::Verdict,
};
use crate::{diagnose::Confidence, nameserver::DnsServer};

/// What inference looks at.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The host.
    pub host: String,
    /// The control.
    pub control: String,
    /// Its addresses that were tried, or the proxy's.
    pub targets: Vec<SocketAddr>,
    /// The control's.
    pub controls: Vec<SocketAddr>,
    /// The address at which the matrix was done.
    pub matrix: Option<SocketAddr>,
    /// The nameservers.
    pub nameservers: Vec<IpAddr>,
    /// Resolvers that were asked encrypted, beside them.
    pub resolvers: Vec<DnsServer>,
    /// The nameservers were asked for the host's addresses (not with a proxy, nor if /etc/hosts has them).
    pub asked_dns: bool,
    /// All of it went through an HTTP proxy.
    pub proxied: bool,
    /// What came of it.
    pub results: Results,
}

impl Experiment {
    /// The control's address that is used beside this one: of its family, if there is one.
    pub fn control_beside(&self, target: SocketAddr) -> Option<SocketAddr> {
        control_beside(&self.controls, target)
    }

    fn hello(&self, kind: Hello, target: SocketAddr) -> Fate {
        self.place(kind, target).map_or(Fate::Untried, |address| {
            fate(self.results.hello(kind, address))
        })
    }

    /// Where a hello of this kind goes in the matrix at `target`.
    fn place(&self, kind: Hello, target: SocketAddr) -> Option<SocketAddr> {
        match kind.at() {
            Side::Target => Some(target),
            Side::Control => self.control_beside(target),
        }
    }

    /// Whether the control answers some hello of its own.
    fn control_passes(&self, beside: SocketAddr) -> bool {
        [Hello::Control, Hello::ControlSmall]
            .into_iter()
            .any(|kind| self.hello(kind, beside).passes())
    }
}

/// See [`Experiment::control_beside`].
pub fn control_beside(controls: &[SocketAddr], target: SocketAddr) -> Option<SocketAddr> {
    controls
        .iter()
        .find(|control| control.is_ipv4() == target.is_ipv4())
        .or(controls.first())
        .copied()
}

/// All that can be said, the strongest first; never empty.
pub fn infer(experiment: &Experiment) -> Vec<Finding> {
    let mut findings = dns::infer(experiment);
    for address in &experiment.targets {
        findings.extend(connect::infer(experiment, *address));
        findings.extend(transfer::infer(experiment, *address));
    }
    findings.extend(hello::infer(experiment));
    merge(&mut findings);
    if findings.is_empty() {
        findings.push(quiet(experiment));
    }
    findings
}

/// The same at several addresses is one verdict; and where a control failed, that alone is told.
fn merge(findings: &mut Vec<Finding>) {
    let mut merged: Vec<Finding> = Vec::new();
    for finding in findings.drain(..) {
        match merged
            .iter_mut()
            .find(|other| other.verdict == finding.verdict)
        {
            Some(same) => same.absorb(finding),
            None => merged.push(finding),
        }
    }
    if merged
        .iter()
        .any(|finding| finding.verdict != Verdict::ControlFailed)
    {
        merged.retain(|finding| finding.verdict != Verdict::ControlFailed);
    }
    merged.sort_by_key(|finding| {
        (
            std::cmp::Reverse(finding.confidence),
            matches!(finding.verdict, Verdict::Seen(_)),
            finding.verdict,
        )
    });
    *findings = merged;
}

/// Nothing was found: all passes, or too little was tried to say so.
fn quiet(experiment: &Experiment) -> Finding {
    let results = &experiment.results;
    let tries = experiment
        .targets
        .iter()
        .flat_map(|address| {
            [
                results.hello(Hello::Go, *address),
                results.tries(Arm::Handshake { address: *address }),
            ]
        })
        .flatten();
    let (mut n, mut m) = (0, 0);
    for one in tries {
        m += 1;
        n += u32::from(one.ending.failure_word().is_none());
    }
    let passes = |arm| fate(results.tries(arm)) == Fate::Passes;
    let whole = !experiment.targets.is_empty()
        && experiment.targets.iter().all(|address| {
            passes(Arm::Hello {
                kind: Hello::Go,
                address: *address,
            })
        })
        && experiment
            .targets
            .iter()
            .any(|address| passes(Arm::Handshake { address: *address }));
    let unsteady: Vec<String> = results
        .arms()
        .filter(|(arm, tries)| is_unsteady(arm, tries))
        .map(|(arm, _)| arm.named(&experiment.resolvers).to_string())
        .collect();
    if !whole || !unsteady.is_empty() {
        let mut finding = Finding::new(Verdict::ControlFailed, Confidence::Suspected, m - n, m);
        finding.evidence.text(
            "why",
            "tries fail without a pattern, or too few could be made: try again, with more --tries",
        );
        if !unsteady.is_empty() {
            finding.evidence.value("failing", unsteady);
        }
        return finding;
    }
    let confidence = match n {
        0..3 => Confidence::Suspected,
        3..5 => Confidence::Likely,
        _ => Confidence::Confirmed,
    };
    let mut finding = Finding::new(Verdict::Ok, confidence, n, m);
    note_server(&mut finding, results);
    finding
}

/// True for what `go` needs and what fails without a pattern: by turns, or, as a transfer, in another way than those that have
/// a verdict.
fn is_unsteady(arm: &Arm, tries: &[Try]) -> bool {
    match arm {
        Arm::Download { .. } => matches!(fate(tries), Fate::Mixed | Fate::Fails(_)),
        Arm::Handshake { .. }
        | Arm::Hello {
            kind: Hello::Go | Hello::Small,
            ..
        } => fate(tries) == Fate::Mixed,
        _ => false,
    }
}

/// Who signed the certificate, as an authority that this machine trusts may intercept too; and whether a file came at all.
fn note_server(finding: &mut Finding, results: &Results) {
    for (_, tries) in results.arms() {
        for one in tries {
            match &one.ending {
                Ending::Trusted { issuer, .. } => finding.evidence.text("issuer", issuer),
                Ending::Downloaded(transfer) if transfer.status >= 300 => {
                    finding.evidence.text(
                        "transfer",
                        format!(
                            "the host has no such file (status {}): whether long transfers pass was not seen, name one that it has with --path",
                            transfer.status
                        ),
                    );
                }
                _ => {}
            }
        }
    }
}
