// SPDX-License-Identifier: MIT OR Apache-2.0
//! A probe for people: what was tried, what it means, what to do.

use std::{fmt::Write as _, time::Duration};

use serde_json::Value;

use super::super::{palette::Palette, units};
use crate::{
    diagnose::Confidence,
    probe::{
        Verdict,
        advice::advise,
        arm::{Arm, Side},
        conductor::Probed,
        inference::Finding,
        results::{Tally, Try},
    },
};

/// One host.
pub fn table(probed: &Probed, traced: bool, palette: Palette) -> String {
    let mut text = String::new();
    let tried: u32 = probed
        .experiment
        .results
        .arms()
        .map(|(_, tries)| tries.len() as u32)
        .sum();
    let _ = writeln!(
        text,
        "{}  control {}, hello of {}, {} tries in {}{}",
        palette.bold(&probed.host.to_string()),
        probed.experiment.control,
        probed.release,
        tried,
        units::duration(probed.took),
        if traced {
            ""
        } else {
            "; not traced: no TTLs, retransmits or resets from the kernel (needs root)"
        },
    );
    let mut rows: Vec<(&Arm, &[Try])> = probed.experiment.results.arms().collect();
    rows.sort_by_key(|(arm, _)| section(arm, probed));
    let width = rows
        .iter()
        .map(|(arm, _)| label(arm).chars().count())
        .max()
        .unwrap_or(0);
    let mut place = None;
    for (arm, tries) in rows {
        let heading = heading(arm, probed);
        if place.as_ref() != Some(&heading) {
            let _ = writeln!(text, "  {}", palette.dim(&heading));
            place = Some(heading);
        }
        row(&mut text, arm, tries, width, palette);
    }
    for finding in &probed.findings {
        text.push('\n');
        verdict(&mut text, probed, finding, palette);
    }
    text
}

/// What stands together, and in which order: names, connections, the target's addresses, the control's.
fn section(arm: &Arm, probed: &Probed) -> (u8, usize) {
    let experiment = &probed.experiment;
    let number = |list: &[std::net::SocketAddr], address| {
        list.iter().position(|one| one == address).unwrap_or(0)
    };
    match arm {
        Arm::Dns { server, .. } => {
            let servers = &experiment.nameservers;
            (0, servers.iter().position(|one| one == server).unwrap_or(0))
        }
        Arm::Encrypted { resolver, .. } => (0, experiment.nameservers.len() + resolver),
        Arm::Tcp { .. } => (1, 0),
        Arm::Hello { kind, address } if kind.at() == Side::Control => {
            (3, number(&experiment.controls, address))
        }
        Arm::Hello { address, .. }
        | Arm::NonTls { address }
        | Arm::Handshake { address }
        | Arm::Download { address } => (2, number(&experiment.targets, address)),
    }
}

fn heading(arm: &Arm, probed: &Probed) -> String {
    match arm {
        Arm::Dns { server, .. } => format!("nameserver {server}"),
        Arm::Encrypted { resolver, .. } => match probed.experiment.resolvers.get(*resolver) {
            Some(server) => format!("resolver {server}"),
            None => format!("resolver {resolver}"),
        },
        Arm::Tcp { .. } => "TCP".to_owned(),
        Arm::Hello { kind, address } if kind.at() == Side::Control => {
            format!("to {} at {address}", probed.experiment.control)
        }
        Arm::Hello { address, .. }
        | Arm::NonTls { address }
        | Arm::Handshake { address }
        | Arm::Download { address } => format!("to {} at {address}", probed.experiment.host),
    }
}

fn label(arm: &Arm) -> String {
    match arm {
        Arm::Tcp { address, .. } => format!("{} ({address})", arm.label()),
        _ => arm.label(),
    }
}

fn row(text: &mut String, arm: &Arm, tries: &[Try], width: usize, palette: Palette) {
    let tally = Tally::of(tries);
    let mark = if tally.passed == tally.tries {
        palette.green("✓")
    } else if tally.passed == 0 {
        palette.red("✗")
    } else {
        palette.bold("!")
    };
    let label = label(arm);
    let padding = width.saturating_sub(label.chars().count());
    let mut failures: Vec<String> = tally
        .failures
        .iter()
        .map(|(word, count)| format!("{count}× {word}"))
        .collect();
    failures.sort();
    let median = tally
        .median_us
        .map_or_else(String::new, |us| units::duration(Duration::from_micros(us)));
    let line = format!(
        "    {mark} {label}{:padding$}  {:>5}  {median:>8}  {}",
        "",
        tally.share(),
        failures.join(", "),
    );
    text.push_str(line.trim_end());
    text.push('\n');
}

fn verdict(text: &mut String, probed: &Probed, finding: &Finding, palette: Palette) {
    let token = finding.verdict.token();
    let painted = if finding.verdict == Verdict::Ok {
        palette.green(token)
    } else {
        palette.red(token)
    };
    let confidence = match finding.confidence {
        Confidence::Suspected => "suspected",
        Confidence::Likely => "likely",
        Confidence::Confirmed => "confirmed",
    };
    let _ = writeln!(
        text,
        "  {painted}  {confidence}, {} of {} tries",
        finding.n, finding.m
    );
    // What passed is in the rows above.
    for (name, value) in finding
        .evidence
        .facts()
        .filter(|(name, _)| *name != "passed")
    {
        let _ = writeln!(
            text,
            "    {} {}",
            palette.dim(&format!("{name}:")),
            plain(value)
        );
    }
    let advice = advise(probed, finding);
    if let Some(team) = advice.team {
        let _ = writeln!(text, "  {} {team}", palette.bold("For the network team:"));
    }
    for line in advice.here {
        let _ = writeln!(text, "  {} {line}", palette.bold("Now:"));
    }
}

/// A value without JSON's marks.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}
