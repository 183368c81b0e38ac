// SPDX-License-Identifier: MIT OR Apache-2.0
//! The summary at the end of a run, as text.

mod connections;
mod findings;

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    path::Path,
    time::Duration,
};

use connections::connections;
use findings::{hazards_text, stalls_text};

use super::{
    carried::{carried, names, ways},
    json::RunFacts,
    palette::Palette,
    text::{WIDTH, columns, cut, printable, wrap},
    units,
};
use crate::{
    diagnose::{Hazard, Stall},
    timeline::{
        Connection, DnsExchange, DnsOutcome, FileProgress, ModuleFile, ModuleFileKind, Timeline,
    },
};

/// Where the values stand, after the labels.
const INDENT: &str = "               ";
/// Hosts and stalls beyond this many are counted only; the report has them all.
const SHOWN: usize = 20;

/// What a summary says besides the timeline and the stalls.
#[derive(Clone, Copy, Debug)]
pub struct SummaryFacts<'a> {
    /// The run as a whole.
    pub run: &'a RunFacts,
    /// What may cost dearly later.
    pub hazards: &'a [Hazard],
    /// Where the report was written.
    pub report: Option<&'a Path>,
    /// Where the event stream was written.
    pub events: Option<&'a Path>,
}

/// The summary, lines ended by newlines, for standard error.
pub fn summary(
    timeline: &Timeline,
    stalls: &[Stall],
    facts: &SummaryFacts<'_>,
    palette: Palette,
) -> String {
    let wall = facts.run.ended_at.since(timeline.began);
    let mut text = head(facts.run, wall, palette);
    let mut row = |label: &str, value: &str| {
        let label = format!("  {label:<13}");
        let lines = wrap(value, &label, INDENT, WIDTH);
        text += &palette.dim(&label);
        text += &lines[label.len()..];
        text.push('\n');
    };
    row("modules", &modules(&timeline.files));
    row("received", &received(&timeline.connections, wall));
    row("DNS", &dns(&timeline.dns));
    if let Some(carried) = carried(&timeline.requests, timeline.ahead) {
        row("carried", &carried);
    }
    if let Some(ways) = ways(&timeline.connections) {
        row("ways", &ways);
    }
    if timeline.events_lost > 0 {
        let lost = units::number(timeline.events_lost);
        let all = units::number(timeline.events_lost + timeline.events_received);
        row(
            "lost events",
            &format!("{lost} of {all}: what is missing above may have happened nevertheless"),
        );
    }
    for (label, path) in [("report", facts.report), ("events", facts.events)] {
        if let Some(path) = path {
            row(label, &path.to_string_lossy());
        }
    }
    text += &connections(&timeline.connections, palette);
    text += &stalls_text(timeline, stalls, palette);
    text += &hazards_text(facts.hazards, palette);
    text
}

fn head(run: &RunFacts, wall: Duration, palette: Palette) -> String {
    let end = match (run.exit_code, run.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "interrupted".to_owned(),
    };
    let took = units::duration(wall);
    let room = WIDTH.saturating_sub(columns(&took) + columns(&end) + 17);
    let command = run.command.join(" ");
    let command = cut(&printable(&command), room).into_owned();
    let name = palette.bold("gomod-trace:");
    format!(
        "{name} {} {took}, {end}\n",
        palette.bold(&format!("{command}:"))
    )
}

fn modules(files: &[ModuleFile]) -> String {
    if files.is_empty() {
        return "none were fetched".to_owned();
    }
    let mut done: BTreeMap<ModuleFileKind, HashSet<(&str, &str)>> = BTreeMap::new();
    let mut unfinished = 0;
    for file in files {
        if file.progress == FileProgress::Done {
            let versions = done.entry(file.kind).or_default();
            versions.insert((&file.module, &file.version));
        } else {
            unfinished += 1;
        }
    }
    let mut parts = Vec::new();
    for (kind, versions) in done.iter().rev() {
        parts.push(match kind {
            ModuleFileKind::Zip => {
                format!(
                    "{} (.zip)",
                    units::counted(versions.len(), "module", "modules")
                )
            }
            ModuleFileKind::Info | ModuleFileKind::Mod => {
                format!(
                    "{} .{}",
                    units::number(versions.len() as u64),
                    kind.extension()
                )
            }
        });
    }
    if unfinished > 0 {
        parts.push(format!(
            "{} not completed",
            units::counted(unfinished, "file", "files")
        ));
    }
    parts.join(", ")
}

fn received(connections: &[Connection], wall: Duration) -> String {
    let bytes: u64 = connections
        .iter()
        .map(|connection| connection.bytes_received)
        .sum();
    let mut text = units::bytes(bytes);
    if wall >= Duration::from_millis(1) && bytes > 0 {
        let _ = write!(text, ", {}", units::rate(bytes as f64 / wall.as_secs_f64()));
    }
    text
}

fn dns(exchanges: &[DnsExchange]) -> String {
    let mut text = units::counted(exchanges.len(), "query", "queries");
    let slowest = exchanges
        .iter()
        .filter_map(|exchange| match exchange.outcome {
            DnsOutcome::Answered { at, .. } => Some((at.since(exchange.sent), exchange)),
            _ => None,
        })
        .max_by_key(|(latency, _)| *latency);
    if let Some((latency, exchange)) = slowest {
        let _ = write!(
            text,
            ", slowest {} ({} {} from {})",
            units::duration(latency),
            exchange.name,
            exchange.qtype,
            exchange.server.ip(),
        );
    }
    let count = |wanted: fn(&DnsOutcome) -> bool| {
        exchanges
            .iter()
            .filter(|exchange| wanted(&exchange.outcome))
            .count()
    };
    let unanswered =
        count(|outcome| matches!(outcome, DnsOutcome::Unanswered { .. } | DnsOutcome::Pending));
    let failed = count(|outcome| matches!(outcome, DnsOutcome::Failed { .. }));
    if unanswered > 0 {
        let _ = write!(text, ", {unanswered} unanswered");
    }
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    if let Some(names) = names(exchanges) {
        let _ = write!(text, "; {names}");
    }
    text
}
