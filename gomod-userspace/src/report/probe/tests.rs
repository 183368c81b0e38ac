// SPDX-License-Identifier: MIT OR Apache-2.0
//! A probe of one host, told in each way.

use std::time::Duration;

use serde_json::Value;
use time::macros::datetime;

use super::*;
use crate::{
    probe::{
        Host,
        arm::{Arm, Hello, Side},
        conductor::Probed,
        hello::GoRelease,
        inference::{Experiment, infer},
        results::{Results, try_of},
        task::{Ending, Failure},
    },
    report::Palette,
};

/// A host whose name is reset, tried five times.
fn reset() -> Probed {
    let (target, control) = (
        "198.18.2.1:443".parse().unwrap(),
        "198.18.2.4:443".parse().unwrap(),
    );
    let mut results = Results::default();
    let kinds = [Hello::Go, Hello::Control, Hello::ControlSmall]
        .into_iter()
        .chain(Hello::MATRIX);
    for kind in kinds {
        let address = match kind.at() {
            Side::Target => target,
            Side::Control => control,
        };
        for _ in 0..5 {
            let ending = if kind.name() == Some(Side::Target) {
                Ending::Failed(Failure::Reset)
            } else {
                Ending::ServerHello { version: None }
            };
            results.add(Arm::Hello { kind, address }, try_of(ending));
        }
    }
    let experiment = Experiment {
        host: "proxy.golang.org".into(),
        control: "www.example.com".into(),
        targets: vec![target],
        controls: vec![control],
        matrix: Some(target),
        nameservers: Vec::new(),
        resolvers: Vec::new(),
        asked_dns: false,
        proxied: false,
        results,
    };
    Probed {
        host: "proxy.golang.org".parse::<Host>().unwrap(),
        findings: infer(&experiment),
        experiment,
        sockets: Vec::new(),
        release: GoRelease::NEWEST,
        took: Duration::from_millis(9_200),
    }
}

#[test]
fn the_report_follows_its_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/probe.schema.json")).unwrap();
    let hosts = [reset()];
    let report = ProbeReport::build(datetime!(2026-01-02 03:04:05 UTC), &hosts);
    let report = serde_json::to_value(report).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let deviations: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(deviations.is_empty(), "{deviations:#?}\n{report:#}");
    let host = &report["hosts"][0];
    assert_eq!(report["schema"], SCHEMA);
    assert_eq!(report["started"], "2026-01-02T03:04:05Z");
    assert_eq!(host["verdicts"][0]["verdict"], "interference.sni.reset");
    assert_eq!(host["verdicts"][0]["stage"], "hello");
    assert_eq!(host["arms"].as_array().unwrap().len(), 15);
    // Each verdict a probe can give is one that the schema knows.
    let known = schema["$defs"]["verdict"]["properties"]["verdict"]["enum"]
        .as_array()
        .unwrap();
    for verdict in crate::probe::Verdict::OWN {
        assert!(known.contains(&verdict.token().into()), "{verdict}");
    }
}

#[test]
fn the_table_is_read_at_a_glance() {
    let text = table(&reset(), false, Palette::PLAIN);
    let expected = include_str!("table.txt");
    assert_eq!(text, expected, "\n{text}");
}
