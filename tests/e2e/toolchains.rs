// SPDX-License-Identifier: MIT OR Apache-2.0
//! The releases of Go that are out there: each is recognised, and its ClientHello read whole.

use gomod_lab::{Lab, PROXY, toolchain};
use libtest_mimic::Trial;

use crate::harness::traced::number;
use crate::harness::{DOWNLOAD, Need, Traced, product, trial};

/// Release, and the sizes of its ClientHello to [`PROXY`]: from 1.24 it carries a post-quantum key.
const RELEASES: [(&str, std::ops::RangeInclusive<u64>); 7] = [
    ("1.21", 280..=292),
    ("1.22", 280..=292),
    ("1.23", 280..=292),
    ("1.24", 1490..=1545),
    ("1.25", 1490..=1545),
    ("1.26", 1490..=1545),
    ("1.27", 1490..=1545),
];

pub(crate) fn trials() -> Vec<Trial> {
    RELEASES
        .into_iter()
        .map(|(release, hello)| {
            trial(
                format!("toolchains::go_{release}"),
                [Need::Tracing, Need::Lab, Need::Go(release)],
                move || download(release, &hello),
            )
        })
        .collect()
}

fn download(release: &str, hello_bytes: &std::ops::RangeInclusive<u64>) {
    let toolchain = toolchain::find(release).unwrap();
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let command = project.command(&toolchain, product::path());
    let outcome = Traced::start(&format!("toolchains::{release}"), command, DOWNLOAD).finish();
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert!(
        outcome.list("stalls").is_empty(),
        "{:#}",
        outcome.report["stalls"]
    );
    let versions = outcome
        .list("processes")
        .iter()
        .map(|process| process["go_version"].as_str().unwrap())
        .collect::<Vec<_>>();
    assert_eq!(versions, [format!("go{}", toolchain.version)]);
    assert_eq!(outcome.list("modules").len(), lab.modules().len());

    let hellos = outcome
        .list("connections")
        .iter()
        .map(|connection| &connection["client_hello"])
        .filter(|hello| !hello.is_null())
        .collect::<Vec<_>>();
    assert!(!hellos.is_empty(), "{:#}", outcome.report["connections"]);
    for hello in hellos {
        assert_eq!(hello["sni"], PROXY);
        assert_eq!(hello["alpn"], serde_json::json!(["h2", "http/1.1"]));
        assert_eq!(hello["versions"], serde_json::json!(["1.3", "1.2"]));
        let bytes = number(&hello["bytes"]);
        assert!(hello_bytes.contains(&bytes), "{bytes} bytes: {hello:#}");
        let segments = if bytes > 1460 { 2 } else { 1 };
        assert_eq!(hello["segments"], segments, "{hello:#}");
        let post_quantum = hello["groups"]
            .as_array()
            .unwrap()
            .iter()
            .any(|group| group == "X25519MLKEM768");
        assert_eq!(post_quantum, segments == 2, "{hello:#}");
    }
}
