// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab has no fault for, by rules of iptables in the client's own network namespace.

use std::collections::BTreeSet;

use gomod_lab::Families;
use libtest_mimic::Trial;
use serde_json::Value;

use super::{PROBES, Probed, lab};
use crate::harness::{Need, product, trial};

/// A rule for packets to the public module proxy, and what must be said of it.
struct Case {
    name: &'static str,
    rule: &'static str,
    verdict: &'static str,
    evidence: fn(&Value),
}

/// The bytes of a TLS handshake record's header, looked for where the payload begins: 20 bytes of IP, 32 of TCP.
const CASES: &[Case] = &[
    Case {
        name: "administratively_prohibited",
        rule: "-j REJECT --reject-with icmp-admin-prohibited",
        verdict: "interference.tcp.admin_prohibited",
        evidence: |evidence| {
            assert_eq!(evidence["icmp"]["code"], 13, "{evidence:#}");
        },
    },
    Case {
        name: "whatever_is_sent_is_dropped",
        rule: "-m length --length 70: -m tcp ! --syn -j DROP",
        verdict: "interference.tcp.post_handshake",
        evidence: |evidence| {
            assert_eq!(
                evidence["passed"]["hello.control_name"], "0/5",
                "{evidence:#}"
            );
            assert_eq!(evidence["passed"]["hello.control"], "5/5", "{evidence:#}");
        },
    },
    // A hello's first segment that is shorter than any whole hello. Reset, not dropped: what is sent again after a loss is
    // put together by the sender's own kernel, and passes.
    Case {
        name: "hellos_in_pieces_are_reset",
        rule: "-m string --algo bm --from 52 --to 56 --hex-string |160301| -m length --length :240 -j REJECT --reject-with tcp-reset",
        verdict: "interference.clienthello.segmentation",
        evidence: |evidence| {
            assert_eq!(evidence["passed"]["hello.small"], "5/5", "{evidence:#}");
            assert_eq!(
                evidence["passed"]["hello.split_records"], "5/5",
                "{evidence:#}"
            );
        },
    },
    // A first record of less than 256 bytes. TLS 1.2's hello has one, too; no verdict depends on it.
    Case {
        name: "hellos_in_two_records_are_dropped",
        rule: "-m string --algo bm --from 52 --to 57 --hex-string |16030100| -j DROP",
        verdict: "interference.clienthello.record",
        evidence: |evidence| {
            assert_eq!(
                evidence["passed"]["hello.split_inside_name"], "5/5",
                "{evidence:#}"
            );
        },
    },
];

pub(super) fn trials() -> Vec<Trial> {
    CASES
        .iter()
        .map(|case| {
            let needs = PROBES.iter().copied().chain([Need::Program("iptables")]);
            trial(format!("probe::firewall::{}", case.name), needs, || {
                run(case);
            })
        })
        .collect()
}

fn run(case: &Case) {
    let lab = lab().families(Families::V4).start().unwrap();
    let target = lab.host(gomod_lab::PROXY).unwrap().v4;
    let script = format!(
        "iptables -w -A OUTPUT -d {target} -p tcp --dport 443 {} && exec \"$@\"",
        case.rule.replace('|', "\\|")
    );
    let mut command = lab.command("sh");
    command.args(["-c", &script, "sh"]).arg(product::path());
    let probed = Probed::of(&format!("probe::firewall::{}", case.name), command, &[]);
    let seen = format!("{}{}{:#}", probed.stdout, probed.stderr, probed.report);
    assert_eq!(probed.tokens(), BTreeSet::from([case.verdict]), "{seen}");
    assert_eq!(probed.verdicts()[0]["confidence"], "confirmed", "{seen}");
    (case.evidence)(&probed.verdicts()[0]["evidence"]);
    assert_eq!(probed.code, Some(3), "{seen}");
}
