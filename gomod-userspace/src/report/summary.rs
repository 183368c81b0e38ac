// SPDX-License-Identifier: MIT OR Apache-2.0
//! The summary at the end of a run, as text.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    path::Path,
    time::Duration,
};

use super::{
    carried::{carried, names, ways},
    json::RunFacts,
    palette::Palette,
    stall_lines::{cause, evidence, place, waiting},
    text::{WIDTH, columns, cut, printable, wrap},
    units,
};
use crate::{
    diagnose::{Cause, Hazard, Stall, Verdict},
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

/// A table with a line for each host.
fn connections(connections: &[Connection], palette: Palette) -> String {
    if connections.is_empty() {
        return String::new();
    }
    let mut hosts: Vec<(String, Vec<&Connection>)> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    for connection in connections {
        let host = match &connection.host {
            Some(host) => printable(host).into_owned(),
            None => connection.remote.ip().to_string(),
        };
        let place = *index.entry(host.clone()).or_insert_with(|| {
            hosts.push((host, Vec::new()));
            hosts.len() - 1
        });
        hosts[place].1.push(connection);
    }
    let mut rows =
        vec![["connections", "n", "connect", "TLS", "ALPN", "ClientHello"].map(str::to_owned)];
    rows.extend(
        hosts
            .iter()
            .take(SHOWN)
            .map(|(host, of_host)| host_row(host, of_host)),
    );
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(cell));
        }
    }
    let mut text = String::from("\n");
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - columns(cell));
            line += " ";
            // Numbers stand at the right of their column.
            line += &if column == 1 {
                padding + cell
            } else {
                cell.clone() + &padding
            };
            line += " ";
        }
        let line = line.trim_end();
        text += &if number == 0 {
            palette.dim(line)
        } else {
            line.into()
        };
        text.push('\n');
    }
    if hosts.len() > SHOWN {
        let _ = writeln!(
            text,
            "  and {} more",
            units::counted(hosts.len() - SHOWN, "host", "hosts")
        );
    }
    text
}

fn host_row(host: &str, connections: &[&Connection]) -> [String; 6] {
    let established = connections
        .iter()
        .filter(|connection| connection.established.is_some())
        .count();
    let mut count = connections.len().to_string();
    if established < connections.len() {
        count = format!("{established} of {count}");
    }
    let connect = connections
        .iter()
        .filter_map(|connection| Some(connection.established?.since(connection.opened)));
    let tls = connections.iter().filter_map(|connection| {
        Some(
            connection
                .handshake_done?
                .since(connection.client_hello.as_ref()?.sent),
        )
    });
    let hellos: Vec<_> = connections
        .iter()
        .filter_map(|connection| connection.client_hello.as_ref())
        .collect();
    let alpn = hellos.first().map_or_else(
        || "–".to_owned(),
        |hello| {
            if hello.hello.alpn.is_empty() {
                "none".to_owned()
            } else {
                printable(&hello.hello.alpn.join(" ")).into_owned()
            }
        },
    );
    let sizes = hellos.iter().map(|hello| hello.bytes);
    let size = match (sizes.clone().min(), sizes.max()) {
        (Some(least), Some(most)) => {
            let segments = hellos
                .iter()
                .map(|hello| hello.segments)
                .max()
                .unwrap_or_default();
            let bytes = if least == most {
                format!("{most} B")
            } else {
                format!("{least}–{most} B")
            };
            format!(
                "{bytes}, {}",
                units::counted(segments as usize, "segment", "segments")
            )
        }
        _ => "–".to_owned(),
    };
    [
        cut(host, 40).into_owned(),
        count,
        span(connect),
        span(tls),
        alpn,
        size,
    ]
}

fn span(durations: impl Iterator<Item = Duration> + Clone) -> String {
    match (durations.clone().min(), durations.max()) {
        (Some(least), Some(most)) => units::span(least, most),
        _ => "–".to_owned(),
    }
}

/// Verdict, cause and place of stalls that are told as one.
type What = (Verdict, Option<Cause>, Option<String>);

/// Stalls with the same verdict, cause and place are told once, with the story of the first.
fn stalls_text(timeline: &Timeline, stalls: &[Stall], palette: Palette) -> String {
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
fn hazards_text(hazards: &[Hazard], palette: Palette) -> String {
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
