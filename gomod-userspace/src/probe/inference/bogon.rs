// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answers with addresses at which the host can't be.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde_json::json;

use super::{
    Experiment, Finding,
    dns::{addresses, udp},
};
use crate::{
    diagnose::Confidence,
    probe::{
        arm::{Arm, Side},
        results::{Fate, Try, fate},
        task::Ending,
        verdict::Verdict,
    },
};

/// Addresses that no public host can have. Private ones only where nobody serves the host there: companies do give their
/// own proxies such addresses.
pub(super) fn infer(experiment: &Experiment) -> Option<Finding> {
    let answers: Vec<Try> = experiment
        .nameservers
        .iter()
        .flat_map(|server| udp(experiment, Side::Target, *server))
        .flatten()
        .filter(|one| one.ending.failure_word().is_none())
        .cloned()
        .collect();
    let served = |address: &IpAddr| {
        experiment.targets.iter().any(|target| {
            target.ip() == *address
                && fate(
                    experiment
                        .results
                        .tries(Arm::Handshake { address: *target }),
                ) == Fate::Passes
        })
    };
    let bogons: BTreeSet<IpAddr> = addresses(&answers)
        .into_iter()
        .filter(|address| is_never_public(*address) || (is_private(*address) && !served(address)))
        .collect();
    if bogons.is_empty() {
        return None;
    }
    let wrong = answers
        .iter()
        .filter(|one| {
            matches!(&one.ending, Ending::Resolved { addresses, .. }
                if addresses.iter().any(|address| bogons.contains(address)))
        })
        .count() as u32;
    let confidence = match wrong {
        0..3 => Confidence::Suspected,
        3..5 => Confidence::Likely,
        _ if bogons.iter().all(|address| is_never_public(*address)) => Confidence::Confirmed,
        _ => Confidence::Likely,
    };
    let mut finding = Finding::new(Verdict::DnsBogon, confidence, wrong, answers.len() as u32);
    finding.evidence.value("bogons", json!(bogons));
    finding
        .evidence
        .value("servers", json!(experiment.nameservers));
    Some(finding)
}

/// IANA's special-purpose registries (RFC 6890), without those that are private, and without 198.18.0.0/15, which
/// laboratories and some VPN clients do serve hosts on.
pub(super) fn is_never_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let first = v4.octets()[0];
            first == 0
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || v4.is_multicast()
                || v4.is_broadcast()
                || first >= 240
                || v4 == Ipv4Addr::UNSPECIFIED
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6 == Ipv6Addr::UNSPECIFIED
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || (first == 0x2001 && v6.segments()[1] == 0xdb8)
                || (first == 0x100 && v6.segments()[1..4] == [0, 0, 0])
        }
    }
}

/// RFC 1918, RFC 6598 and RFC 4193.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}
