// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a stall while the run goes on.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::{
    palette::Palette,
    text::{WIDTH, printable, wrap},
    units,
};
use crate::{
    diagnose::{Evidence, Hazard, Stall, StallSubject},
    kernel::events::MonotonicNanos,
};

const INDENT: &str = "    ";

/// The lines for a stall that became known, each ended by a newline.
pub fn stall_known(stall: &Stall, began: MonotonicNanos, palette: Palette) -> String {
    let mut lines = format!(
        "{} {}  {}{}{}\n",
        palette.bold("gomod-trace:"),
        units::moment(stall.began.since(began)),
        palette.red(stall.verdict.token()),
        place(stall)
            .map(|place| format!("  {}", palette.bold(&place)))
            .unwrap_or_default(),
        cause(stall),
    );
    if !stall.story.is_empty() {
        lines += &wrap(&stall.story, INDENT, INDENT, WIDTH);
        lines.push('\n');
    }
    if !stall.modules.is_empty() {
        lines += &wrap(&waiting(&stall.modules), INDENT, INDENT, WIDTH);
        lines.push('\n');
    }
    if !stall.action.is_empty() {
        lines += &wrap(&stall.action, "    → ", "      ", WIDTH);
        lines.push('\n');
    }
    lines
}

/// The lines for a hazard, each ended by a newline.
pub fn hazard_known(hazard: &Hazard, began: MonotonicNanos, palette: Palette) -> String {
    let place = hazard.place.to_string_lossy();
    let mut lines = format!(
        "{} {}  {}  {}\n",
        palette.bold("gomod-trace:"),
        units::moment(hazard.known.since(began)),
        palette.yellow(hazard.verdict.token()),
        palette.bold(&printable(&place)),
    );
    for (text, first, others) in [
        (&hazard.story, INDENT, INDENT),
        (&hazard.action, "    → ", "      "),
    ] {
        lines += &wrap(text, first, others, WIDTH);
        lines.push('\n');
    }
    lines
}

/// The lines for a stall whose cause became known later than the stall: which, why, and what to do now; `at` counts from
/// the run's begin.
pub fn stall_explained(stall: &Stall, because: &str, at: Duration, palette: Palette) -> String {
    let mut lines = format!(
        "{} {}  {}{}{}\n",
        palette.bold("gomod-trace:"),
        units::moment(at),
        palette.red(stall.verdict.token()),
        place(stall)
            .map(|place| format!("  {place}"))
            .unwrap_or_default(),
        cause(stall),
    );
    for (first, others, text) in [
        (INDENT, INDENT, because),
        ("    → ", "      ", &stall.action),
    ] {
        lines += &wrap(text, first, others, WIDTH);
        lines.push('\n');
    }
    lines
}

/// `, cause: clienthello_size`; empty where it is not known.
pub(super) fn cause(stall: &Stall) -> String {
    stall
        .cause
        .map(|cause| format!(", cause: {cause}"))
        .unwrap_or_default()
}

/// The line for a stall that is over; empty if it has no end.
pub fn stall_ended(stall: &Stall, began: MonotonicNanos, palette: Palette) -> String {
    let Some(ended) = stall.ended else {
        return String::new();
    };
    format!(
        "{} {}  {}{}  {}\n",
        palette.bold("gomod-trace:"),
        units::moment(ended.since(began)),
        stall.verdict.token(),
        place(stall)
            .map(|place| format!("  {place}"))
            .unwrap_or_default(),
        palette.green(&format!(
            "over after {}",
            units::duration(ended.since(stall.began))
        )),
    )
}

/// Where a stall is, in a word or two: the host, else the lock file.
pub(super) fn place(stall: &Stall) -> Option<String> {
    if let Some(host) = &stall.host {
        return Some(printable(host).into_owned());
    }
    match &stall.subject {
        StallSubject::Name { name, .. } => Some(printable(name).into_owned()),
        StallSubject::Nameserver { server } => Some(printable(server).into_owned()),
        StallSubject::Lock { path, .. } => Some(printable(&path.to_string_lossy()).into_owned()),
        StallSubject::Upstream { host } | StallSubject::Tunnel { host, .. } => {
            Some(printable(host).into_owned())
        }
        StallSubject::Connection(_) | StallSubject::Channels { .. } => None,
    }
}

/// The files that wait, three of them by name.
pub(super) fn waiting(modules: &[String]) -> String {
    const NAMED: usize = 3;
    let mut text = format!(
        "waiting for it: {}",
        modules[..modules.len().min(NAMED)].join(", ")
    );
    if modules.len() > NAMED {
        let _ = write!(text, " and {} more", modules.len() - NAMED);
    }
    text
}

/// Evidence on one line: `rst_ttl 64, syn_ack_ttl 52`; facts that are absent are left out.
pub(super) fn evidence(evidence: &Evidence) -> String {
    evidence
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value_text(value)?)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().filter_map(value_text).collect();
            (!texts.is_empty()).then(|| texts.join("+"))
        }
        other => Some(other.to_string()),
    }
}
