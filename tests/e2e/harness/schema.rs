// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports and event lines against `docs/report.schema.json`.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../../docs/report.schema.json");

static REPORT: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&parsed()).unwrap());

static EVENT: LazyLock<Validator> = LazyLock::new(|| {
    let mut schema = parsed();
    let definitions = schema["$defs"].take();
    let event = json!({
        "$schema": schema["$schema"],
        "$ref": "#/$defs/event",
        "$defs": definitions,
    });
    jsonschema::validator_for(&event).unwrap()
});

fn parsed() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// Panics with every deviation of a report.
pub(crate) fn check_report(report: &Value) {
    check(&REPORT, report, "the report");
}

/// Panics with every deviation of a line of the event stream.
pub(crate) fn check_event(event: &Value) {
    check(&EVENT, event, "a line of the event stream");
}

fn check(validator: &Validator, value: &Value, what: &str) {
    let deviations = validator
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect::<Vec<_>>();
    assert!(
        deviations.is_empty(),
        "{what} does not follow docs/report.schema.json:\n{}\n{value:#}",
        deviations.join("\n")
    );
}
