// SPDX-License-Identifier: MIT OR Apache-2.0
//! An examination on one screen.

use std::{borrow::Cow, fmt::Write as _};

use super::{
    super::{
        palette::Palette,
        text::{WIDTH, columns, printable, wrap},
    },
    Examination,
};
use crate::doctor::{Check, State};

/// Where findings stand, after mark and label.
const INDENT: usize = 22;

/// The text, lines ended by newlines.
pub fn screen(examination: &Examination, palette: Palette) -> String {
    let called = if examination.sudo {
        ", who called sudo"
    } else {
        ""
    };
    let mut text = format!(
        "{}: this machine for uid {}{called}\n",
        palette.bold(&format!("gomod-trace doctor {}", examination.version)),
        examination.uid
    );
    let mut section = "";
    for check in &examination.checks {
        let (of_section, _) = check.check.split_once('.').unwrap_or_default();
        if section != of_section {
            section = of_section;
            let _ = writeln!(text, "\n  {}", palette.dim(section));
        }
        row(&mut text, check, palette);
    }
    let counts = [
        (State::Ok, "well"),
        (State::Warn, "to look at"),
        (State::Fail, "wrong"),
        (State::Unknown, "not seen"),
    ]
    .map(|(state, word)| format!("{} {word}", examination.count(state)));
    let _ = writeln!(text, "\n  {}", counts.join(", "));
    text
}

fn row(text: &mut String, check: &Check, palette: Palette) {
    let mark: Cow<'_, str> = match check.state {
        State::Ok => palette.green("✓"),
        State::Warn => palette.yellow("!"),
        State::Fail => palette.red("✗"),
        State::Unknown => palette.dim("?"),
    };
    let label = label(check);
    let padding = " ".repeat(INDENT.saturating_sub(columns(&label) + 4).max(1));
    let indent = " ".repeat(INDENT);
    let first = format!("  x {label}{padding}");
    let finding = match check.verdict {
        Some(verdict) => format!("{verdict}: {}", check.finding),
        None => check.finding.clone(),
    };
    let lines = wrap(&finding, &first, &indent, WIDTH);
    // The mark is painted last: colours have no width.
    let _ = writeln!(text, "  {mark}{}", &lines["  x".len()..]);
    if let Some(remedy) = &check.remedy
        && check.state != State::Ok
    {
        let lines = wrap(
            remedy,
            &format!("{indent}→ "),
            &format!("{indent}  "),
            WIDTH,
        );
        text.push_str(&lines);
        text.push('\n');
    }
}

/// The subject, or else the thing.
fn label(check: &Check) -> String {
    if let Some(subject) = &check.subject {
        return printable(subject).into_owned();
    }
    let (_, thing) = check.check.split_once('.').unwrap_or_default();
    match thing {
        "unset" => "not set".to_owned(),
        "cgroup2" => "cgroup v2".to_owned(),
        "btf" => "BTF".to_owned(),
        "http_proxy" => "HTTP proxy".to_owned(),
        "resolv_conf" => "resolv.conf".to_owned(),
        "nsswitch" => "nsswitch.conf".to_owned(),
        "resolved" => "systemd-resolved".to_owned(),
        "modules" => "GOMODCACHE".to_owned(),
        "build" => "GOCACHE".to_owned(),
        other => other.replace('_', " "),
    }
}
