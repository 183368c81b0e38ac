// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-trace probe` in the lab: each fault, and pairs of them, as ground truth; and what it says where it can't work.

mod capture;
mod cases;
mod encrypted;
mod firewall;
mod proxy;
mod refusals;
mod worker;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use gomod_lab::{Lab, LabBuilder, PROXY};
use jsonschema::Validator;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Need, Running, Scratch, product};

/// What a traced probe in a lab needs.
const PROBES: &[Need] = &[Need::Tracing, Need::Lab];

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../docs/probe.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

pub(crate) fn trials() -> Vec<Trial> {
    [
        cases::trials(),
        capture::trials(),
        encrypted::trials(),
        firewall::trials(),
        proxy::trials(),
        refusals::trials(),
        worker::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A lab at a distance that is usual.
fn lab() -> LabBuilder {
    Lab::builder().rtt(Duration::from_millis(20))
}

/// What became of a probe.
#[derive(Debug)]
struct Probed {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    report: Value,
}

impl Probed {
    /// Appends `probe`, the public module proxy and these words to `command`, and lets it end. The report follows its
    /// schema.
    fn of(trial: &str, command: Command, words: &[&str]) -> Self {
        Self::of_host(trial, command, PROXY, words)
    }

    fn of_host(trial: &str, mut command: Command, host: &str, words: &[&str]) -> Self {
        let scratch = Scratch::new(&trial.replace(['/', '*'], "_"));
        let json = scratch.file("report.json");
        command
            .args(["probe", host, "--json"])
            .arg(&json)
            .args(words);
        for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            if !command.get_envs().any(|(key, _)| key == name) {
                command.env_remove(name);
            }
        }
        let mut running = Running::start(command, &scratch, "probe");
        let code = running.wait().code();
        let report: Value = fs::read(&json)
            .ok()
            .map(|bytes| serde_json::from_slice(&bytes).unwrap())
            .unwrap_or_default();
        if !report.is_null() {
            let deviations: Vec<String> = SCHEMA
                .iter_errors(&report)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(
                deviations.is_empty(),
                "the report does not follow docs/probe.schema.json: {deviations:#?}\n{report:#}"
            );
        }
        Self {
            code,
            stdout: running.stdout(),
            stderr: running.stderr(),
            report,
        }
    }

    fn in_lab(trial: &str, lab: &Lab, words: &[&str]) -> Self {
        Self::of(trial, lab.command(product::path()), words)
    }

    /// Verdicts of the only host.
    fn verdicts(&self) -> &[Value] {
        self.report["hosts"][0]["verdicts"]
            .as_array()
            .unwrap_or_else(|| panic!("no report:\n{}{}", self.stdout, self.stderr))
    }

    fn tokens(&self) -> BTreeSet<&str> {
        self.verdicts()
            .iter()
            .map(|verdict| verdict["verdict"].as_str().unwrap())
            .collect()
    }
}
