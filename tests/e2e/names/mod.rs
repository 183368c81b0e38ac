// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of a run that are answered by our own stub: the real `go`, glibc, musl and `dig` with nameservers that fail in
//! the ways they do, first without us.

mod agent;
mod clients;
mod configuration;
mod faults;
mod kept;

use std::net::IpAddr;
use std::path::Path;

use gomod_lab::{Lab, PROXY, Project};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Outcome, Scratch, Traced, newest_go, product};

/// Half of what resolvers wait for one answer, ms: a lookup below it has waited for no lost one.
const PATIENT_MS: f64 = 2_500.0;
/// What resolvers wait for one answer, ms, and a little less than that.
const RESOLVER_MS: f64 = 4_900.0;

/// Starts of `go` that look nothing up. One alone may be over before we have read what it is set to.
const STARTS_OF_GO: &str = "for i in 1 2 3 4 5 6 7 8; do go version; done";

pub(crate) fn trials() -> Vec<Trial> {
    [
        faults::trials(),
        agent::trials(),
        clients::trials(),
        configuration::trials(),
        kept::trials(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The command only watched.
fn watched(name: &str, project: &Project<'_>, words: &[&str]) -> Outcome {
    let command = project.command(&newest_go(), product::path());
    Traced::start(&format!("names::{name}::watched"), command, words).finish()
}

/// The command with names answered by us.
fn answered(name: &str, project: &Project<'_>, words: &[&str]) -> Outcome {
    start(name, project, &[], words).finish()
}

fn start(name: &str, project: &Project<'_>, options: &[&str], words: &[&str]) -> Traced {
    let command = project.command(&newest_go(), product::path());
    let scratch = Scratch::new(&format!("names::{name}"));
    Traced::carried_in(scratch, command, options, words)
}

/// `dns[]` of a name.
fn rows<'a>(outcome: &'a Outcome, name: &str) -> Vec<&'a Value> {
    outcome
        .list("dns")
        .iter()
        .filter(|row| row["name"] == name)
        .collect()
}

/// Milliseconds between question and answer; `None` without an answer.
fn latency(row: &Value) -> Option<f64> {
    row["latency_ms"].as_f64()
}

/// Every question of the run was answered, and none took as long as one lost packet costs a resolver.
fn all_answered_soon(outcome: &Outcome) {
    let rows = outcome.list("dns");
    assert!(!rows.is_empty(), "nothing was asked");
    for row in rows {
        assert!(
            latency(row).is_some_and(|latency| latency < PATIENT_MS),
            "{row}\n{}",
            outcome.stderr
        );
    }
}

/// The addresses that answers of the run held are exactly the host's.
fn addresses_are_right(outcome: &Outcome, lab: &Lab, name: &str) {
    let host = lab.host(name).unwrap();
    for row in rows(outcome, name) {
        for answer in row["answers"].as_array().unwrap() {
            let address: IpAddr = answer.as_str().unwrap().parse().unwrap();
            assert!(
                address == IpAddr::from(host.v4) || address == IpAddr::from(host.v6),
                "{row}"
            );
        }
    }
}

/// What the command printed holds an address of the module proxy.
fn printed_an_address(outcome: &Outcome, lab: &Lab) {
    let host = lab.host(PROXY).unwrap();
    assert!(
        outcome.stdout.contains(&host.v4.to_string())
            || outcome.stdout.contains(&host.v6.to_string()),
        "{}\n{}",
        outcome.stdout,
        outcome.stderr
    );
}

/// How many questions for a name reached a nameserver of the lab.
fn questions_at(lab: &Lab, server: u8, name: &str) -> usize {
    lab.questions()
        .iter()
        .filter(|question| question.server == server && question.name == name)
        .count()
}

/// Waits for a file of the test, then goes on.
fn after(marker: &Path, then: &str) -> String {
    format!(
        "while ! test -e {}; do sleep 0.1; done; {then}",
        marker.display()
    )
}
