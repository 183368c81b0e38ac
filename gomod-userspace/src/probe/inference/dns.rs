// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the nameservers say of the name, beside what they say of the control's.

use std::{collections::BTreeSet, net::IpAddr};

use serde_json::json;

use super::{Experiment, Finding, bogon, encrypted::Encrypted};
use crate::{
    diagnose::{Confidence, Verdict as Passive},
    probe::{
        arm::{Arm, Side},
        results::Try,
        task::{Ending, Failure},
        verdict::Verdict,
    },
};

/// Later than this, an answer is slow: five times what a distant resolver with an empty cache takes.
const SLOW_US: u64 = 1_000_000;

/// Names of which it is known that they exist, whatever a nameserver says.
const KNOWN: [&str; 10] = [
    "proxy.golang.org",
    "sum.golang.org",
    "golang.org",
    "go.dev",
    "storage.googleapis.com",
    "goproxy.io",
    "goproxy.cn",
    "github.com",
    "www.example.com",
    "example.com",
];

/// What one nameserver says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Saying {
    Untried,
    /// It has addresses, or none of this type.
    Addresses(BTreeSet<IpAddr>),
    Nxdomain,
    /// REFUSED, SERVFAIL, or nobody there.
    Refuses,
    Silent,
    Mixed,
}

pub(super) fn infer(experiment: &Experiment) -> Vec<Finding> {
    if !experiment.asked_dns || experiment.nameservers.is_empty() {
        return Vec::new();
    }
    let said: Vec<(IpAddr, Saying, Saying)> = experiment
        .nameservers
        .iter()
        .map(|server| {
            (
                *server,
                saying(experiment, Side::Target, *server),
                saying(experiment, Side::Control, *server),
            )
        })
        .collect();
    let mut findings = Vec::new();
    findings.extend(bogon::infer(experiment));
    findings.extend(by_server(experiment, &said));
    findings.extend(slow(experiment, &said));
    findings
}

/// The A and AAAA tries by UDP of one server for one name. Both count: one that stays unanswered makes `go` wait.
pub(super) fn udp(experiment: &Experiment, of: Side, server: IpAddr) -> [&[Try]; 2] {
    [false, true].map(|v6| {
        experiment.results.tries(Arm::Dns {
            of,
            tcp: false,
            v6,
            server,
        })
    })
}

fn saying(experiment: &Experiment, of: Side, server: IpAddr) -> Saying {
    let kinds = udp(experiment, of, server).map(one_saying);
    let has = |wanted: &Saying| kinds.contains(wanted);
    // The worst of the two types is what `go` waits for or fails with.
    for bad in [
        Saying::Silent,
        Saying::Refuses,
        Saying::Nxdomain,
        Saying::Mixed,
    ] {
        if has(&bad) {
            return bad;
        }
    }
    let addresses: BTreeSet<IpAddr> = kinds
        .iter()
        .filter_map(|kind| match kind {
            Saying::Addresses(found) => Some(found.iter().copied()),
            _ => None,
        })
        .flatten()
        .collect();
    if kinds.iter().all(|kind| *kind == Saying::Untried) {
        Saying::Untried
    } else {
        Saying::Addresses(addresses)
    }
}

fn one_saying(tries: &[Try]) -> Saying {
    let empty =
        |ending: &Ending| matches!(ending, Ending::Resolved { rcode, .. } if rcode == "NOERROR");
    let count = tries.len();
    let most = |test: &dyn Fn(&Ending) -> bool| {
        tries.iter().filter(|one| test(&one.ending)).count() * 5 >= count * 4
    };
    if count == 0 {
        Saying::Untried
    } else if most(&empty) {
        Saying::Addresses(addresses(tries))
    } else if most(
        &|ending| matches!(ending, Ending::Resolved { rcode, .. } if rcode == "NXDOMAIN"),
    ) {
        Saying::Nxdomain
    } else if most(&|ending| matches!(ending, Ending::Failed(Failure::Timeout))) {
        Saying::Silent
    } else if most(&|ending| {
        matches!(
            ending,
            Ending::Resolved { .. } | Ending::Failed(Failure::DnsUnreachable { .. })
        ) && !empty(ending)
    }) {
        Saying::Refuses
    } else {
        Saying::Mixed
    }
}

pub(super) fn addresses(tries: &[Try]) -> BTreeSet<IpAddr> {
    tries
        .iter()
        .filter_map(|one| match &one.ending {
            Ending::Resolved { addresses, .. } => Some(addresses.iter().copied()),
            _ => None,
        })
        .flatten()
        .collect()
}

fn by_server(experiment: &Experiment, said: &[(IpAddr, Saying, Saying)]) -> Vec<Finding> {
    let answers = |saying: &Saying| matches!(saying, Saying::Addresses(found) if !found.is_empty());
    // A server that fails for the control too is broken, and says nothing of this name.
    let (sound, broken): (Vec<_>, Vec<_>) =
        said.iter().partition(|(_, _, control)| answers(control));
    let mut findings = Vec::new();
    if sound.is_empty() {
        let failing = said
            .iter()
            .filter(|(_, target, _)| !answers(target))
            .count();
        if failing == said.len() {
            findings.push(of_servers(experiment, Verdict::ControlFailed, said.iter()));
        }
        return findings;
    }
    if sound.iter().any(|(_, target, _)| answers(target)) {
        let differing: Vec<_> = sound
            .iter()
            .copied()
            .filter(|(_, target, _)| {
                matches!(target, Saying::Nxdomain | Saying::Silent | Saying::Refuses)
                    || matches!(target, Saying::Addresses(found) if found.is_empty())
            })
            .collect();
        if !differing.is_empty() {
            findings.push(of_servers(experiment, Verdict::DnsInconsistent, differing));
        }
    } else {
        let all = |wanted: &Saying| sound.iter().all(|(_, target, _)| target == wanted);
        let nothing = all(&Saying::Addresses(BTreeSet::new()));
        let verdict = if nothing || all(&Saying::Nxdomain) {
            Some(Verdict::DnsNxdomain)
        } else if all(&Saying::Silent) {
            Some(Verdict::DnsTimeout)
        } else if all(&Saying::Refuses) {
            Some(Verdict::Seen(Passive::DnsRefused))
        } else if sound.len() > 1 {
            Some(Verdict::DnsInconsistent)
        } else {
            None
        };
        if let Some(verdict) = verdict {
            let mut finding = of_servers(experiment, verdict, sound.iter().copied());
            if verdict == Verdict::DnsNxdomain
                && (nothing || !KNOWN.contains(&experiment.host.as_str()))
            {
                // Where another resolver knows the name, it exists.
                let known = Encrypted::of(experiment);
                finding = finding.at_most(known.confidence());
                if known.is_empty() {
                    finding.evidence.text(
                        "unless",
                        "the name does not exist: look at its spelling, and ask from another network",
                    );
                }
            }
            findings.push(finding);
        }
    }
    for (server, _, control) in broken {
        let verdict = match control {
            Saying::Silent => Verdict::Seen(Passive::DnsTimeout),
            Saying::Refuses => Verdict::Seen(Passive::DnsRefused),
            _ => continue,
        };
        let one = said.iter().filter(|(other, _, _)| other == server);
        findings.push(of_servers(experiment, verdict, one));
    }
    findings
}

fn of_servers<'a>(
    experiment: &Experiment,
    verdict: Verdict,
    servers: impl IntoIterator<Item = &'a (IpAddr, Saying, Saying)>,
) -> Finding {
    let servers: Vec<IpAddr> = servers.into_iter().map(|(server, _, _)| *server).collect();
    let of = |side| -> Vec<Try> {
        servers
            .iter()
            .flat_map(|server| udp(experiment, side, *server))
            .flatten()
            .cloned()
            .collect()
    };
    let wrong: Vec<Try> = of(Side::Target)
        .into_iter()
        // An existing name without addresses of one family is nothing wrong.
        .filter(|one| one.ending.failure_word() != Some("dns_no_answer"))
        .collect();
    let control = of(Side::Control);
    let sound: Vec<Try> = control
        .iter()
        .filter(|one| one.ending.failure_word() != Some("dns_no_answer"))
        .cloned()
        .collect();
    let mut finding = Finding::of_tries(verdict, &wrong, &[&sound]);
    if verdict == Verdict::ControlFailed {
        finding = finding.at_most(Confidence::Likely);
    }
    finding.evidence.value("servers", json!(servers));
    let tcp: Vec<Try> = servers
        .iter()
        .flat_map(|server| {
            experiment.results.tries(Arm::Dns {
                of: Side::Target,
                tcp: true,
                v6: false,
                server: *server,
            })
        })
        .cloned()
        .collect();
    // Where the control fails, too, nothing is said of the name.
    let encrypted = if verdict == Verdict::ControlFailed {
        Encrypted::default()
    } else {
        Encrypted::of(experiment)
    };
    encrypted.name(&mut finding.evidence);
    finding.evidence.compared([
        ("udp", wrong.as_slice()),
        ("tcp", tcp.as_slice()),
        ("control", control.as_slice()),
        ("encrypted", encrypted.tries.as_slice()),
    ]);
    finding
}

/// The fastest server's median counts: `go` asks one after the other, but only the first where it answers.
fn slow(experiment: &Experiment, said: &[(IpAddr, Saying, Saying)]) -> Option<Finding> {
    let (server, _, _) = said
        .iter()
        .find(|(_, target, _)| matches!(target, Saying::Addresses(_)))?;
    let tries: Vec<Try> = udp(experiment, Side::Target, *server)
        .into_iter()
        .flatten()
        .filter(|one| matches!(one.ending, Ending::Resolved { .. }))
        .cloned()
        .collect();
    let slow = tries.iter().filter(|one| one.took_us >= SLOW_US).count();
    if slow * 5 < tries.len() * 4 || tries.is_empty() {
        return None;
    }
    let confidence = if slow >= 5 {
        Confidence::Confirmed
    } else {
        Confidence::Likely
    };
    let mut times: Vec<u64> = tries.iter().map(|one| one.took_us).collect();
    times.sort_unstable();
    let mut finding = Finding::new(
        Verdict::Seen(Passive::DnsSlow),
        confidence,
        slow as u32,
        tries.len() as u32,
    );
    finding.evidence.value("servers", json!([server]));
    finding
        .evidence
        .value("median_ms", times[times.len() / 2] / 1000);
    Some(finding)
}
