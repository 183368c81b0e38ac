// SPDX-License-Identifier: MIT OR Apache-2.0
//! What becomes of SYNs, and of connections that carry nothing.

use std::net::SocketAddr;

use serde_json::json;

use super::{Experiment, Finding};
use crate::{
    diagnose::{Confidence, Verdict as Passive},
    probe::{
        arm::{Arm, Side},
        results::{Fate, Try, Way, fate},
        task::{Ending, Failure, Icmp},
        verdict::Verdict,
    },
};

pub(super) fn infer(experiment: &Experiment, address: SocketAddr) -> Option<Finding> {
    let tries = experiment.results.tries(Arm::Tcp {
        at: Side::Target,
        address,
    });
    let Fate::Fails(way) = fate(tries) else {
        return None;
    };
    let beside = experiment.control_beside(address);
    let control = beside.map_or(&[][..], |address| {
        experiment.results.tries(Arm::Tcp {
            at: Side::Control,
            address,
        })
    });
    let mut finding = if way == Way::Unreachable {
        unreachable(tries, address, control)
    } else {
        let verdict = match way {
            Way::Refused => return Some(refused(tries, control)),
            Way::SynTimeout => Verdict::SynTimeout,
            Way::SynReset => Verdict::SynReset,
            Way::Reset | Way::Closed => Verdict::PostHandshake,
            _ => return None,
        };
        Finding::of_tries(verdict, tries, &[control])
    };
    // The control's address of the other family proves nothing of this one's path.
    let comparable = beside.is_some_and(|beside| beside.is_ipv4() == address.is_ipv4());
    if !fate(control).passes() {
        // Without any connection anywhere, there is no network to accuse.
        finding.verdict = Verdict::ControlFailed;
        finding = finding.at_most(Confidence::Likely);
    } else if !comparable {
        finding = finding.at_most(Confidence::Suspected);
    }
    finding
        .evidence
        .compared([("tcp", tries), ("tcp.control", control)]);
    Some(finding.at(address))
}

/// The proxy's own word: it needs no comparison to be believed, but one to be put right.
fn refused(tries: &[Try], control: &[Try]) -> Finding {
    let mut finding = Finding::of_tries(Verdict::Seen(Passive::TunnelRefused), tries, &[control]);
    let status = tries.iter().find_map(|one| match one.ending {
        // Without a status, it hung up or spoke something else.
        Ending::Failed(Failure::ProxyRefused { status }) => {
            Some(status).filter(|status| *status > 0)
        }
        _ => None,
    });
    if let Some(status) = status {
        finding.evidence.value("status", status);
    }
    finding
        .evidence
        .compared([("tcp", tries), ("tcp.control", control)]);
    finding
}

/// No route here, a router's word that there is none, or that it is forbidden.
fn unreachable(tries: &[Try], address: SocketAddr, control: &[Try]) -> Finding {
    let icmp: Option<Icmp> = tries.iter().find_map(|one| match &one.ending {
        Ending::Failed(Failure::Unreachable { icmp, .. }) => *icmp,
        _ => None,
    });
    let errno = tries.iter().find_map(|one| match &one.ending {
        Ending::Failed(Failure::Unreachable { errno, .. }) => Some(*errno),
        _ => None,
    });
    let forbidden = icmp.is_some_and(|icmp| icmp.is_prohibition(address.is_ipv6()));
    let verdict = if forbidden {
        Verdict::AdminProhibited
    } else {
        Verdict::Seen(Passive::ConnectUnreachable)
    };
    let mut finding = Finding::of_tries(verdict, tries, &[control]);
    if let Some(errno) = errno {
        finding.evidence.value("errno", errno);
    }
    match icmp {
        Some(icmp) => {
            finding.evidence.value(
                "icmp",
                json!({ "type": icmp.kind, "code": icmp.code, "from": icmp.from }),
            );
        }
        None => finding.evidence.text(
            "where",
            "this machine itself: no packet left, or no router said why",
        ),
    }
    finding
}
