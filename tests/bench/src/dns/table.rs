// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures side by side.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::candidate::Kind;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milliseconds,
    Microseconds,
    PerSecond,
}

/// One quantity of all resolvers.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    name: String,
    unit: Unit,
    /// In the order of [`Kind::ALL`]; `None` of one that has no such quantity.
    values: Vec<Option<f64>>,
    /// How many times worse than dnsmasq's the stub's may be.
    most: f64,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Microseconds => format!("{value:.1} µs"),
            Self::PerSecond => format!("{value:.0}/s"),
        }
    }

    /// A rate is worse if it is smaller.
    fn worse_by(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Self::Milliseconds | Self::Microseconds => ours / theirs,
            Self::PerSecond => theirs / ours,
        }
    }
}

impl Figure {
    /// The error says which resolver the figure is missing of.
    pub(super) fn new(name: &str, unit: Unit, values: Vec<Option<f64>>, most: f64) -> Result<Self> {
        for (kind, value) in Kind::ALL.iter().zip(&values) {
            if kind.keeps() {
                value
                    .with_context(|| format!("{name}: nothing was measured of {}", kind.name()))?;
            }
        }
        Ok(Self {
            name: name.to_owned(),
            unit,
            values,
            most,
        })
    }

    fn of(&self, kind: Kind) -> Option<f64> {
        let index = Kind::ALL.iter().position(|other| *other == kind)?;
        *self.values.get(index)?
    }

    /// The stub's over dnsmasq's.
    fn ratio(&self) -> Option<f64> {
        Some(self.of(Kind::Stub)? / self.of(Kind::Dnsmasq)?)
    }

    /// Whether the stub is as good as dnsmasq.
    pub(super) fn passes(&self) -> Option<bool> {
        let worse = self
            .unit
            .worse_by(self.of(Kind::Stub)?, self.of(Kind::Dnsmasq)?);
        Some(worse <= self.most)
    }

    fn cells(&self) -> Vec<String> {
        let limit = match self.unit {
            Unit::PerSecond => format!("≥ {:.2}", 1.0 / self.most),
            Unit::Milliseconds | Unit::Microseconds => format!("≤ {:.2}", self.most),
        };
        let result = match self.passes() {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "",
        };
        std::iter::once(self.name.clone())
            .chain(
                self.values.iter().map(|value| {
                    value.map_or_else(|| "–".to_owned(), |value| self.unit.show(value))
                }),
            )
            .chain([
                self.ratio()
                    .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                limit,
                result.to_owned(),
            ])
            .collect()
    }
}

fn rows(figures: &[Figure]) -> Vec<Vec<String>> {
    let header = std::iter::once("")
        .chain(Kind::ALL.map(Kind::name))
        .chain(["ratio to dnsmasq", "limit", "result"])
        .map(str::to_owned)
        .collect();
    std::iter::once(header)
        .chain(figures.iter().map(Figure::cells))
        .collect()
}

/// Columns aligned by blanks.
pub(super) fn text(figures: &[Figure]) -> String {
    let rows = rows(figures);
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if column == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A table for Markdown.
pub(super) fn markdown(figures: &[Figure]) -> String {
    let rows = rows(figures);
    let mut lines = rows
        .iter()
        .map(|row| format!("| {} |\n", row.join(" | ")))
        .collect::<Vec<_>>();
    lines.insert(1, format!("|---|{}\n", "--:|".repeat(rows[0].len() - 1)));
    lines.concat()
}

/// Everything.
pub(super) fn json(figures: &[Figure]) -> Value {
    figures
        .iter()
        .map(|figure| {
            let values = Kind::ALL
                .iter()
                .zip(&figure.values)
                .map(|(kind, value)| (kind.name().to_owned(), json!(value)))
                .collect::<serde_json::Map<_, _>>();
            json!({
                "name": figure.name,
                "values": values,
                "ratio": figure.ratio(),
                "pass": figure.passes(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(unit: Unit, dnsmasq: f64, stub: f64) -> Figure {
        let values = vec![None, Some(dnsmasq), Some(9.0), Some(stub)];
        Figure::new("known name", unit, values, 1.05).unwrap()
    }

    #[test]
    fn longer_is_worse_and_so_is_a_smaller_rate() {
        assert_eq!(figure(Unit::Microseconds, 20.0, 20.5).passes(), Some(true));
        assert_eq!(figure(Unit::Microseconds, 20.0, 22.0).passes(), Some(false));
        assert_eq!(figure(Unit::PerSecond, 1000.0, 990.0).passes(), Some(true));
        assert_eq!(figure(Unit::PerSecond, 1000.0, 900.0).passes(), Some(false));
    }

    #[test]
    fn a_missed_limit_is_seen_in_every_form() {
        let figures = [figure(Unit::Microseconds, 20.0, 40.0)];
        assert!(text(&figures).contains("FAIL"));
        assert!(markdown(&figures).contains("| FAIL |"));
        assert_eq!(json(&figures)[0]["pass"], false);
        assert_eq!(json(&figures)[0]["values"]["no cache"], Value::Null);
    }

    #[test]
    fn a_resolver_without_a_figure_is_named() {
        let values = vec![None, Some(1.0), None, Some(1.0)];
        let error = Figure::new("known name", Unit::PerSecond, values, 1.0).unwrap_err();
        assert!(error.to_string().contains("unbound"), "{error}");
    }
}
