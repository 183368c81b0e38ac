// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stalls and hazards.

use std::{fmt::Write as _, time::Duration};

use super::SHOWN;
use crate::{
    diagnose::{Cause, Hazard, Stall, Verdict},
    report::{
        palette::Palette,
        stall_lines::{cause, evidence, place, waiting},
        text::{WIDTH, columns, printable, wrap},
        units,
    },
    timeline::Timeline,
};

/// Verdict, cause and place of stalls that are told as one.
type What = (Verdict, Option<Cause>, Option<String>);

/// Stalls with the same verdict, cause and place are told once, with the story of the first.
pub(super) fn stalls_text(timeline: &Timeline, stalls: &[Stall], palette: Palette) -> String {
    if stalls.is_empty() {
        return "\n  no stalls\n".to_owned();
    }
    let mut merged: Vec<(What, Vec<&Stall>)> = Vec::new();
    for stall in stalls {
        let what = (stall.verdict, stall.cause, place(stall));
        match merged.iter_mut().find(|(known, _)| *known == what) {
            Some((_, same)) => same.push(stall),
            None => merged.push((what, vec![stall])),
        }
    }
    let mut text = format!(
        "\n  {}\n",
        palette.dim(&units::counted(stalls.len(), "stall", "stalls"))
    );
    for ((verdict, _, place), same) in merged.iter().take(SHOWN) {
        let Some(first) = same.first() else { continue };
        let _ = write!(
            text,
            "  {:>9}  {}",
            units::moment(first.began.since(timeline.began)),
            palette.red(verdict.token())
        );
        if let Some(place) = place {
            let _ = write!(text, "  {}", palette.bold(place));
        }
        if same.len() > 1 {
            let _ = write!(text, "  ×{}", same.len());
        }
        let _ = writeln!(text, ", {}{}", lasted(same), cause(first));
        let indent = "             ";
        let numbers = evidence(&first.evidence);
        let waiting = if first.modules.is_empty() {
            String::new()
        } else {
            waiting(&first.modules)
        };
        for (first_indent, paragraph) in [
            (indent, &first.story),
            (indent, &waiting),
            ("             → ", &first.action),
        ] {
            if !paragraph.is_empty() {
                let others = " ".repeat(columns(first_indent));
                text += &wrap(paragraph, first_indent, &others, WIDTH);
                text.push('\n');
            }
        }
        if !numbers.is_empty() {
            text += &palette.dim(&wrap(&format!("seen: {numbers}"), indent, indent, WIDTH));
            text.push('\n');
        }
    }
    if merged.len() > SHOWN {
        let _ = writeln!(text, "  and {} more kinds of stalls", merged.len() - SHOWN);
    }
    text
}

/// A hazard each; nothing without one.
pub(super) fn hazards_text(hazards: &[Hazard], palette: Palette) -> String {
    if hazards.is_empty() {
        return String::new();
    }
    let heading = units::counted(hazards.len(), "hazard", "hazards");
    let mut text = format!("\n  {}\n", palette.dim(&heading));
    for hazard in hazards.iter().take(SHOWN) {
        let place = hazard.place.to_string_lossy();
        let _ = writeln!(
            text,
            "             {}  {}",
            palette.yellow(hazard.verdict.token()),
            palette.bold(&printable(&place))
        );
        let indent = "             ";
        text += &wrap(&hazard.story, indent, indent, WIDTH);
        text.push('\n');
        text += &wrap(&hazard.action, "             → ", "               ", WIDTH);
        text.push('\n');
    }
    text
}

/// How long stalls lasted, together.
fn lasted(stalls: &[&Stall]) -> String {
    let ended: Option<Vec<Duration>> = stalls
        .iter()
        .map(|stall| Some(stall.ended?.since(stall.began)))
        .collect();
    match ended {
        None => "never ended".to_owned(),
        Some(lasted) if lasted.len() == 1 => {
            format!("lasted {}", units::duration(lasted.iter().sum()))
        }
        Some(lasted) => format!("lasted {} in all", units::duration(lasted.iter().sum())),
    }
}
