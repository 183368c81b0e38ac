// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports against `docs/report.schema.json`.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::run;
use crate::{
    diagnose::{Cause, Stall, Verdict},
    kernel::events::{Answered, FetchedAhead, Pid, SocketCookie, Source, Way},
    report::{Report, SCHEMA},
    timeline::RequestSeen,
};

pub(super) fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/report.schema.json")).unwrap()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

#[track_caller]
pub(super) fn assert_valid(validator: &Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

fn report() -> Value {
    let (timeline, stalls, facts) = (run::timeline(), run::stalls(), run::facts());
    let hazards = run::hazards();
    serde_json::to_value(Report::build(&timeline, &stalls, &hazards, &facts)).unwrap()
}

#[test]
fn a_rich_report_fits_the_schema() {
    assert_valid(&validator(), &report());
}

#[test]
fn a_report_of_nothing_fits_the_schema() {
    let mut facts = run::facts();
    (facts.exit_code, facts.signal) = (None, Some(9));
    let timeline = crate::timeline::Timeline::default();
    let value = serde_json::to_value(Report::build(&timeline, &[], &[], &facts)).unwrap();
    assert_valid(&validator(), &value);
    assert_eq!(value["exit_code"], Value::Null);
    assert_eq!(value["signal"], 9);
}

#[test]
fn carried_requests_fit_the_schema() {
    let (mut timeline, facts) = (run::timeline(), run::facts());
    timeline.requests.push(RequestSeen {
        pid: Pid(101),
        done: timeline.began,
        answered: Answered {
            cookie: SocketCookie(1),
            host: "proxy.golang.org".into(),
            path: "/example.com/%21a/@v/v1.2.3.zip".into(),
            status: Some(200),
            bytes: 12,
            source: Source::Joined,
            attempts: 1,
            resumed: 0,
            resumed_bytes: 0,
            began: timeline.began,
            first_byte: None,
            whole: false,
        },
    });
    timeline.ahead = Some(FetchedAhead {
        files: 3,
        bytes: 4_096,
        used: 2,
        unused: 1,
        unused_bytes: 512,
    });
    timeline.connections[0].way = Way::Accelerated;
    timeline.connections[0].why = Some("module host".into());
    let report = Report::build(&timeline, &[], &[], &facts);
    let value = serde_json::to_value(report).unwrap();
    assert_valid(&validator(), &value);
    let request = &value["requests"][0];
    assert_eq!(request["source"], "joined");
    assert_eq!(
        (
            &value["prefetch"]["used"],
            &value["prefetch"]["unused_bytes"]
        ),
        (&2.into(), &512.into())
    );
    assert_eq!(
        (&request["module"], &request["version"], &request["file"]),
        (&"example.com/A".into(), &"v1.2.3".into(), &"zip".into())
    );
    assert_eq!(request["done_ms"], Value::Null);
    assert_eq!(value["connections"][0]["path"], "accelerated");
}

#[test]
fn every_verdict_fits_the_schema_and_it_knows_no_other() {
    let (timeline, facts) = (run::timeline(), run::facts());
    let (of_hazards, of_stalls): (Vec<Verdict>, Vec<Verdict>) =
        Verdict::ALL.iter().partition(|verdict| verdict.is_hazard());
    let stalls: Vec<Stall> = of_stalls
        .iter()
        .map(|verdict| Stall {
            verdict: *verdict,
            ..run::stalls().remove(0)
        })
        .collect();
    let hazards = run::hazards();
    let report = Report::build(&timeline, &stalls, &hazards, &facts);
    assert_valid(&validator(), &serde_json::to_value(report).unwrap());
    for (name, verdicts) in [("stall", of_stalls), ("hazard", of_hazards)] {
        let tokens: Vec<&str> = verdicts.iter().map(|verdict| verdict.token()).collect();
        assert_eq!(
            schema()["$defs"][name]["properties"]["verdict"]["enum"],
            json!(tokens)
        );
    }
    assert_eq!(schema()["properties"]["schema"]["const"], SCHEMA);
}

#[test]
fn every_cause_fits_the_schema_and_it_knows_no_other() {
    let (timeline, facts) = (run::timeline(), run::facts());
    let stalls: Vec<Stall> = Cause::ALL
        .iter()
        .map(|cause| Stall {
            cause: Some(*cause),
            ..run::stalls().remove(0)
        })
        .collect();
    let value = serde_json::to_value(Report::build(&timeline, &stalls, &[], &facts)).unwrap();
    assert_valid(&validator(), &value);
    let tokens: Vec<Option<&str>> = Cause::ALL
        .iter()
        .map(|cause| Some(cause.token()))
        .chain([None])
        .collect();
    assert_eq!(
        schema()["$defs"]["stall"]["properties"]["cause"]["enum"],
        json!(tokens)
    );
}

#[test]
fn a_report_that_says_something_else_does_not_fit() {
    let validator = validator();
    let report = report();
    for (pointer, value) in [
        ("/schema", json!("gomod-trace.report/2")),
        ("/mode", json!("guess")),
        ("/started", json!("yesterday")),
        ("/wall_ms", json!(-1)),
        ("/connections/0/ended", json!("vanished")),
        ("/connections/0/path", json!("indirect")),
        ("/connections/0/connect_ms", json!("12")),
        ("/connections/0/client_hello/alpn", json!("h2")),
        ("/dns/0/source", json!("hearsay")),
        ("/dns/0/transport", json!("pigeon")),
        ("/modules/0/files", json!(["sum"])),
        ("/stalls/0/verdict", json!("anomaly.hello.vanished")),
        ("/stalls/0/stage", json!("goodbye")),
        ("/stalls/0/confidence", json!("certain")),
        ("/stalls/0/evidence", json!({"Not A Name": 1})),
        ("/stalls/0/verdict", json!("hazard.cache.shared")),
        ("/hazards/0/verdict", json!("contention.lock")),
        ("/hazards/0/known_ms", json!(-1)),
    ] {
        let mut mutated = report.clone();
        *mutated.pointer_mut(pointer).unwrap() = value.clone();
        assert!(!validator.is_valid(&mutated), "{pointer} = {value}");
    }
    for pointer in [
        "",
        "/processes/0",
        "/dns/0",
        "/connections/0",
        "/connections/0/client_hello",
        "/connections/0/server_hello",
        "/modules/0",
        "/stalls/0",
        "/hazards/0",
        "/events",
    ] {
        let object = |report: &mut Value| {
            report
                .pointer_mut(pointer)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .clone()
        };
        let mut more = report.clone();
        let mut changed = object(&mut more);
        changed.insert("unheard_of".into(), json!(1));
        *more.pointer_mut(pointer).unwrap() = changed.into();
        assert!(!validator.is_valid(&more), "unknown field in '{pointer}'");
        for name in object(&mut report.clone()).keys() {
            let mut less = report.clone();
            less.pointer_mut(pointer)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(name);
            assert!(!validator.is_valid(&less), "'{pointer}' without {name}");
        }
    }
}

#[test]
fn facts_are_counted_from_the_start_and_absent_ones_are_null() {
    let report = report();
    assert_eq!(report["started"], "2026-03-01T12:30:15.123456+01:00");
    assert_eq!(report["wall_ms"], 12_400.0);
    assert_eq!(
        report["processes"][0]["exe"], "/bin/sh",
        "in the order they started"
    );
    assert_eq!(report["processes"][0]["parent"], Value::Null);
    assert_eq!(report["processes"][1]["go_version"], "go1.27.3");
    assert_eq!(report["dns"][0]["latency_ms"], 23.0);
    assert_eq!(report["dns"][1]["latency_ms"], Value::Null);
    assert_eq!(report["dns"][2]["rcode"], Value::Null);
    let good = &report["connections"][0];
    assert_eq!(good["connect_ms"], 12.0);
    assert_eq!(good["hello_ms"], 17.0);
    assert_eq!(good["first_byte_ms"], 110.0);
    assert_eq!(good["closed_ms"], Value::Null);
    assert_eq!(good["client_hello"]["segments"], 2);
    assert_eq!(report["connections"][1]["remote"], "[2001:2::10]:443");
    assert_eq!(report["connections"][1]["client_hello"], Value::Null);
    assert_eq!(report["requests"], json!([]));
    assert_eq!(
        report["modules"],
        json!([
            {"path": "example.com/a", "version": "v1.2.3", "files": ["mod", "zip"],
             "bytes": 1_048_776, "began_ms": 15.0, "done_ms": 2_000.0},
            {"path": "example.com/b", "version": "v1.2.3", "files": ["zip"],
             "bytes": 4_096, "began_ms": 410.0, "done_ms": null},
        ])
    );
    assert_eq!(report["stalls"][0]["lasted_ms"], 1.0);
    assert_eq!(report["stalls"][2]["lasted_ms"], Value::Null);
    assert_eq!(report["stalls"][3]["connection"], Value::Null);
    assert_eq!(report["hazards"][0]["known_ms"], 8.0);
    assert_eq!(report["events"], json!({"received": 12_345, "lost": 37}));
}

#[test]
fn a_module_fetched_by_two_processes_is_told_once() {
    let mut timeline = run::timeline();
    let mut other = timeline.files[2].clone();
    other.pid.0 += 1;
    other.wanted = run::ms(5);
    other.bytes = Some(5_000);
    other.done = Some(run::ms(9_000));
    timeline.files.push(other);
    let facts = run::facts();
    let report = serde_json::to_value(Report::build(&timeline, &[], &[], &facts)).unwrap();
    assert_eq!(
        report["modules"][1],
        json!({"path": "example.com/b", "version": "v1.2.3", "files": ["zip"],
               "bytes": 5_000, "began_ms": 5.0, "done_ms": 9_000.0})
    );
}
