// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packets of a probe, read by Wireshark's own reader.

use std::process::Command;

use gomod_lab::{FORGED_TTL, FaultKind, PROXY};
use libtest_mimic::Trial;

use super::{PROBES, Probed, lab};
use crate::harness::{Need, Scratch, trial};

pub(super) fn trials() -> Vec<Trial> {
    let needs = PROBES.iter().copied().chain([Need::Program("tshark")]);
    vec![trial(
        "probe::tshark_reads_the_capture",
        needs,
        read_by_tshark,
    )]
}

/// The chosen fields of the packets that a display filter lets through, one line each.
fn tshark(file: &std::path::Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    // No name is looked up, no configuration of this user is read.
    command
        .args(["-n", "-r"])
        .arg(file)
        .args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn read_by_tshark() {
    let lab = lab().fault(FaultKind::SniReset).start().unwrap();
    let scratch = Scratch::new("probe::capture");
    let file = scratch.file("probe.pcapng");
    let probed = Probed::in_lab(
        "probe::capture",
        &lab,
        &["--tries", "3", "--pcap", file.to_str().unwrap()],
    );
    assert_eq!(probed.code, Some(3), "{}{}", probed.stdout, probed.stderr);

    let comments = tshark(&file, "frame.comment", &["frame.comment"]);
    assert!(
        comments.iter().any(|comment| {
            comment.contains("gomod-trace")
                && comment.contains("pid ")
                && comment.contains("hello.small")
                && comment.contains("connection_reset")
                && comment.contains("interference.sni.reset")
        }),
        "{comments:#?}"
    );
    let names = tshark(
        &file,
        "tls.handshake.type == 1",
        &["tls.handshake.extensions_server_name"],
    );
    assert!(names.iter().any(|name| name == PROXY), "{names:?}");
    let forged = tshark(
        &file,
        &format!("tcp.flags.reset == 1 && (ip.ttl == {FORGED_TTL} || ipv6.hlim == {FORGED_TTL})"),
        &["ip.src", "ipv6.src"],
    );
    assert!(!forged.is_empty(), "no forged reset");
    let questions = tshark(&file, "dns.flags.response == 0", &["dns.qry.name"]);
    assert!(questions.iter().any(|name| name == PROXY), "{questions:?}");
    let malformed = tshark(&file, "_ws.malformed", &["frame.number"]);
    assert_eq!(malformed, Vec::<String>::new());
}
