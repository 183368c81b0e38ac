// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of connections.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use super::SHOWN;
use crate::{
    report::{
        palette::Palette,
        text::{columns, cut, printable},
        units,
    },
    timeline::Connection,
};

/// A table with a line for each host.
pub(super) fn connections(connections: &[Connection], palette: Palette) -> String {
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
