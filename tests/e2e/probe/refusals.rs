// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad arguments, unresolvable names, no network, no root: one clear error, or a reduced result that says so.

use std::collections::BTreeSet;
use std::process::Command;

use gomod_lab::{FaultKind, Identity};
use libtest_mimic::Trial;

use super::{PROBES, Probed, lab};
use crate::harness::{Scratch, product, trial};

/// For what must be mended on the command line or in the machine.
const USAGE_OR_SETUP: i32 = 2;

pub(super) fn trials() -> Vec<Trial> {
    let in_lab =
        |name: &str, test: fn()| trial(format!("probe::{name}"), PROBES.iter().copied(), test);
    vec![
        trial("probe::bad_command_lines", [], bad_command_lines),
        in_lab("a_name_that_does_not_exist", no_such_name),
        in_lab("without_network", without_network),
        in_lab("without_root", without_root),
        in_lab("two_hosts", two_hosts),
    ]
}

fn bad_command_lines() {
    let scratch = Scratch::new("probe::bad_command_lines");
    let directory = scratch.path().to_str().unwrap();
    for (words, expected) in [
        (&["probe"][..], "HOST"),
        (&["probe", "198.18.2.1"], "is an address"),
        (&["probe", "https://proxy.golang.org/x"], "is a URL"),
        (&["probe", "a.example:x"], "no port"),
        (&["probe", "a.example", "--tries", "0"], "1..=20"),
        (&["probe", "a.example", "--go", "1.5"], "1.21 to 1.27"),
        (
            &["probe", "a.example", "--control", "a.example"],
            "--control",
        ),
        (
            &["probe", "a.example", "--dns", "192.0.2.1"],
            "give tls://HOST[:PORT] or https://HOST[:PORT]/PATH",
        ),
        (&["probe", "a.example", "--path", "x y"], "--path"),
        (&["probe", "a.example", "--json", "-"], "/dev/stdout"),
        (
            &["probe", "a.example", "--json", directory],
            "names a directory",
        ),
    ] {
        let output = Command::new(product::path()).args(words).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(USAGE_OR_SETUP),
            "{words:?}: {stderr}"
        );
        assert!(stderr.contains(expected), "{words:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

fn no_such_name() {
    let lab = lab().start().unwrap();
    let command = lab.command(product::path());
    let probed = Probed::of_host("probe::no_such_name", command, "no-such-host.example", &[]);
    assert_eq!(probed.code, Some(3), "{}", probed.stderr);
    assert_eq!(
        probed.tokens(),
        BTreeSet::from(["interference.dns.nxdomain"])
    );
    let verdict = &probed.verdicts()[0];
    // It may as well not exist: nothing more than a suspicion, and that is said.
    assert_eq!(verdict["confidence"], "suspected", "{verdict:#}");
    assert!(
        verdict["evidence"]["unless"]
            .as_str()
            .unwrap()
            .contains("spelling"),
        "{verdict:#}"
    );
}

fn without_network() {
    let lab = lab().start().unwrap();
    let mut command = lab.command("unshare");
    command.arg("--net").arg(product::path());
    let probed = Probed::of("probe::without_network", command, &[]);
    assert_eq!(
        probed.code,
        Some(USAGE_OR_SETUP),
        "{}{}",
        probed.stdout,
        probed.stderr
    );
    assert_eq!(probed.stderr.lines().count(), 1, "{}", probed.stderr);
    assert!(
        probed.stderr.contains("there is no network"),
        "{}",
        probed.stderr
    );
    assert!(probed.report.is_null() && probed.stdout.is_empty());
}

fn without_root() {
    let lab = lab().fault(FaultKind::SniReset).start().unwrap();
    let nobody = Identity {
        uid: 65534,
        gid: 65534,
    };
    let probed = Probed::of(
        "probe::without_root",
        lab.command_as(product::path(), nobody),
        &[],
    );
    assert_eq!(probed.code, Some(3), "{}", probed.stderr);
    assert_eq!(probed.tokens(), BTreeSet::from(["interference.sni.reset"]));
    let evidence = &probed.verdicts()[0]["evidence"];
    assert_eq!(evidence["traced"], false, "{evidence:#}");
    assert!(evidence["rst_ttl"].is_null(), "{evidence:#}");
    assert!(probed.stdout.contains("not traced"), "{}", probed.stdout);
    assert!(
        probed.stderr.lines().count() == 1 && probed.stderr.contains("sudo "),
        "{}",
        probed.stderr
    );

    let mut command = lab.command_as(product::path(), nobody);
    command.args(["probe", "proxy.golang.org", "--pcap", "/dev/null"]);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(USAGE_OR_SETUP), "{stderr}");
    assert!(stderr.contains("--pcap needs tracing"), "{stderr}");
}

fn two_hosts() {
    let lab = lab()
        .fault(gomod_lab::Fault::from(FaultKind::ConnectRefused).host("sum.golang.org"))
        .start()
        .unwrap();
    let probed = Probed::in_lab(
        "probe::two_hosts",
        &lab,
        &["sum.golang.org", "--tries", "2"],
    );
    assert_eq!(probed.code, Some(3), "{}", probed.stderr);
    let hosts = probed.report["hosts"].as_array().unwrap();
    let first = |index: usize| hosts[index]["verdicts"][0]["verdict"].as_str().unwrap();
    assert_eq!((first(0), first(1)), ("ok", "interference.tcp.syn_reset"));
    // Two tries: never sure.
    assert_eq!(hosts[1]["verdicts"][0]["confidence"], "suspected");
}
