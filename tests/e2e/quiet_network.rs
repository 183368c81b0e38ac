// SPDX-License-Identifier: MIT OR Apache-2.0
//! A network without faults, near and far: the whole download is told, and no stall.

use std::fs;
use std::thread;
use std::time::Duration;

use gomod_lab::{Lab, LabBuilder, PROXY, Project, Toolchain};
use libtest_mimic::Trial;

use crate::harness::needs::DOWNLOADS;
use crate::harness::traced::number;
use crate::harness::{DOWNLOAD, Outcome, Traced, newest_go, product, trial};

/// Runs in each network.
const RUNS: usize = 10;
/// Of these, at once.
const AT_ONCE: usize = 2;

/// What is different in the run.
#[derive(Clone, Copy, Debug)]
struct Variant {
    rtt: Duration,
    environment: &'static [(&'static str, &'static str)],
    alpn: &'static [&'static str],
    /// True if packets get lost: then a lookup may wait for its second try, and a stall that says so is the truth.
    lossy: bool,
}

const H2: Variant = Variant {
    rtt: Duration::ZERO,
    environment: &[],
    alpn: &["h2", "http/1.1"],
    lossy: false,
};

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, test: fn()| {
        trial(
            format!("quiet_network::{name}"),
            DOWNLOADS.iter().copied(),
            test,
        )
    };
    vec![
        trial("ten_runs_at_200_ms", || ten_runs(200)),
        trial("ten_runs_at_50_ms", || ten_runs(50)),
        trial("three_runs_at_50_ms_with_1_percent_loss", || {
            for seed in 1..=3 {
                let lab = Lab::builder().loss(0.01).seed(seed);
                let variant = Variant {
                    rtt: Duration::from_millis(50),
                    lossy: true,
                    ..H2
                };
                runs("loss", lab, variant, 1);
            }
        }),
        trial("ten_runs_at_0_ms", || ten_runs(0)),
        trial("http_1", || {
            let variant = Variant {
                environment: &[("GODEBUG", "http2client=0")],
                alpn: &[],
                ..H2
            };
            runs("http_1", Lab::builder(), variant, 1);
        }),
        trial("a_small_hello", || {
            let variant = Variant {
                environment: &[("GODEBUG", "tlsmlkem=0,tlssecpmlkem=0")],
                ..H2
            };
            runs("a_small_hello", Lab::builder(), variant, 1);
        }),
        trial("nothing_to_download", nothing_to_download),
    ]
}

fn ten_runs(rtt_ms: u64) {
    let variant = Variant {
        rtt: Duration::from_millis(rtt_ms),
        ..H2
    };
    runs(
        &format!("ten_runs_at_{rtt_ms}_ms"),
        Lab::builder(),
        variant,
        RUNS,
    );
}

fn runs(name: &str, lab: LabBuilder, variant: Variant, count: usize) {
    let lab = lab.rtt(variant.rtt).start().unwrap();
    thread::scope(|scope| {
        for first in 0..AT_ONCE.min(count) {
            let lab = &lab;
            scope.spawn(move || {
                for number in (first..count).step_by(AT_ONCE) {
                    let project = lab.project().unwrap();
                    let outcome = download(&format!("{name}.{number}"), &project, variant);
                    judge(&outcome, lab, &project, variant);
                }
            });
        }
    });
}

fn download(name: &str, project: &Project<'_>, variant: Variant) -> Outcome {
    let mut command = project.command(&newest_go(), product::path());
    command.envs(variant.environment.iter().copied());
    Traced::start(&format!("quiet_network::{name}"), command, DOWNLOAD).finish()
}

fn judge(outcome: &Outcome, lab: &Lab, project: &Project<'_>, variant: Variant) {
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
    let unanswered = outcome
        .list("dns")
        .iter()
        .any(|exchange| exchange["latency_ms"].is_null());
    for stall in outcome.list("stalls") {
        let lost_lookup = variant.lossy && unanswered && stall["stage"] == "dns";
        assert!(lost_lookup, "in a quiet network: {stall:#}");
    }
    assert!(variant.lossy || !unanswered, "{:#}", outcome.report["dns"]);
    judge_process(outcome, &newest_go());
    judge_modules(outcome, lab, project);
    judge_connections(outcome, variant);
}

/// One `go`, known by version and words.
fn judge_process(outcome: &Outcome, toolchain: &Toolchain) {
    let [go] = outcome.list("processes") else {
        panic!("{:#}", outcome.report["processes"]);
    };
    assert_eq!(go["go_version"], format!("go{}", toolchain.version));
    assert_eq!(go["argv"], serde_json::json!(DOWNLOAD));
    assert_eq!(go["exe"], toolchain.go().to_str().unwrap());
    assert_eq!(go["exit_code"], 0);
    assert!(!go["ended_ms"].is_null());
}

/// Every module, each with its three files and their bytes.
fn judge_modules(outcome: &Outcome, lab: &Lab, project: &Project<'_>) {
    let told = outcome.list("modules");
    assert_eq!(told.len(), lab.modules().len());
    for module in lab.modules() {
        let fact = told
            .iter()
            .find(|fact| fact["path"] == module.path)
            .unwrap_or_else(|| panic!("{} is missing", module.path));
        assert_eq!(fact["version"], module.version);
        assert_eq!(fact["files"], serde_json::json!(["info", "mod", "zip"]));
        assert!(!fact["done_ms"].is_null(), "{fact:#}");
        let sizes = ["info", "mod", "zip"].map(|kind| {
            let file = project.lock_file(module).with_extension(kind);
            fs::metadata(file).unwrap().len()
        });
        assert_eq!(sizes[2], module.zip_bytes());
        assert_eq!(
            number(&fact["bytes"]),
            sizes.iter().sum::<u64>(),
            "{fact:#} {sizes:?}"
        );
    }
}

fn judge_connections(outcome: &Outcome, variant: Variant) {
    let connections = outcome.list("connections");
    assert!(!connections.is_empty());
    let least_srtt_us = variant.rtt.as_micros() as u64 * 8 / 10;
    let mut received = 0;
    for connection in connections {
        assert_eq!(connection["host"], PROXY, "{connection:#}");
        received += number(&connection["bytes_received"]);
        // Go dials both families, and drops the loser at any moment.
        if connection["client_hello"].is_null() {
            continue;
        }
        let hello = &connection["client_hello"];
        assert_eq!(hello["sni"], PROXY, "{connection:#}");
        assert_eq!(
            hello["alpn"],
            serde_json::json!(variant.alpn),
            "{connection:#}"
        );
        assert!(
            number(&connection["srtt_us"]) >= least_srtt_us,
            "{connection:#}"
        );
        let connect_us = connection["connect_ms"].as_f64().unwrap() * 1000.0;
        assert!(connect_us >= least_srtt_us as f64, "{connection:#}");
        assert_eq!(
            connection["syn_ack_ttl"],
            gomod_lab::GENUINE_TTL,
            "{connection:#}"
        );
    }
    let content = outcome
        .list("modules")
        .iter()
        .map(|module| number(&module["bytes"]))
        .sum::<u64>();
    assert!(
        received >= content,
        "{received} B received, {content} B written"
    );
    for exchange in outcome.list("dns") {
        assert_eq!(exchange["name"], PROXY, "{exchange:#}");
        assert_eq!(exchange["server"], "198.18.1.1:53", "{exchange:#}");
        if !exchange["latency_ms"].is_null() {
            assert_eq!(exchange["rcode"], "NOERROR", "{exchange:#}");
            assert_eq!(exchange["answers"].as_array().unwrap().len(), 1);
        }
    }
}

/// A second download asks the network nothing, and so nothing is told of it.
fn nothing_to_download() {
    let lab = Lab::builder().start().unwrap();
    let project = lab.project().unwrap();
    let first = download("nothing_to_download.first", &project, H2);
    assert!(first.status.success(), "{}", first.stderr);
    let second = download("nothing_to_download.second", &project, H2);
    assert!(second.status.success(), "{}", second.stderr);
    for list in ["dns", "connections", "requests", "modules", "stalls"] {
        assert!(second.list(list).is_empty(), "{:#}", second.report[list]);
    }
}
