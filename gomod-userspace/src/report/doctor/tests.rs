// SPDX-License-Identifier: MIT OR Apache-2.0
//! An examination with one check of each kind, told in each way.

use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::{diagnose::Verdict, report::Palette};

fn check(check: &'static str, state: State, finding: &str) -> Check {
    Check {
        check,
        subject: None,
        state,
        finding: finding.into(),
        remedy: None,
        verdict: None,
        evidence: serde_json::Map::new(),
    }
}

fn examination() -> Examination {
    let mut shared = check(
        "caches.shared",
        State::Warn,
        "GOCACHE (/m) and GOMODCACHE (/m) are the same directory: `go clean -modcache` deletes both",
    );
    shared.verdict = Some(Verdict::CacheShared);
    shared.remedy = Some("Give each a directory of its own.".into());
    let mut silent = check("names.server", State::Fail, "no answer within 2 s");
    silent.subject = Some("198.18.1.1".into());
    silent.evidence.insert("latency_ms".into(), json!(null));
    silent.remedy = Some("take it out of resolv.conf".into());
    let mut well = check("names.resolv_conf", State::Ok, "198.18.1.1");
    well.remedy = Some("never shown".into());
    Examination {
        version: "0.1.0",
        uid: 1000,
        sudo: true,
        checks: vec![
            check("kernel.version", State::Ok, "Linux 6.18.5"),
            check("kernel.programs", State::Unknown, "not tried: see above"),
            well,
            silent,
            shared,
        ],
    }
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/doctor.schema.json")).unwrap()
}

#[test]
fn the_report_follows_its_schema() {
    let examination = examination();
    let report = DoctorReport::build(datetime!(2026-01-02 03:04:05 UTC), &examination);
    let report = serde_json::to_value(report).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let deviations: Vec<String> = validator
        .iter_errors(&report)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(deviations.is_empty(), "{deviations:#?}\n{report:#}");
    assert_eq!(report["schema"], SCHEMA);
    assert_eq!(
        report["summary"],
        json!({"ok": 2, "warn": 1, "fail": 1, "unknown": 1})
    );
    assert_eq!(report["checks"][4]["verdict"], "hazard.cache.shared");
    for (pointer, value) in [
        ("/schema", json!("gomod-trace.doctor/2")),
        ("/checks/0/check", json!("kernel.colour")),
        ("/checks/0/state", json!("fine")),
        ("/checks/0/finding", json!("")),
    ] {
        let mut wrong = report.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&wrong), "{pointer}");
    }
}

#[test]
fn the_screen_is_read_at_a_glance() {
    let text = screen(&examination(), Palette::PLAIN);
    assert_eq!(text, include_str!("screen.txt"), "\n{text}");
    let coloured = screen(&examination(), Palette::COLOURED);
    let mut stripped = coloured.clone();
    for code in [
        "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
    ] {
        stripped = stripped.replace(code, "");
    }
    assert_ne!(coloured, text);
    assert_eq!(stripped, text, "colours change nothing but the colour");
}

#[test]
fn what_stands_in_files_cannot_draw_on_the_terminal() {
    let mut evil = examination();
    evil.checks[0].finding = "a\x1b[2Jb".into();
    evil.checks[3].subject = Some("c\x07".into());
    evil.checks[4].remedy = Some("d\x1b]0;e".into());
    let text = screen(&evil, Palette::PLAIN);
    assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'));
}
