// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was found: one row a figure, as a table for people and as JSON.

use serde_json::{Value, json};

use crate::statistics::Sample;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Traced over untraced.
    Ratio,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// MiB.
    Mebibytes,
    /// A number of things.
    Count,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Ratio => "×",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Mebibytes => "MiB",
            Self::Count => "",
        }
    }

    fn number(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.3}"),
            Self::Seconds => format!("{value:.2}"),
            Self::Milliseconds | Self::Microseconds | Self::Mebibytes => format!("{value:.1}"),
            Self::Count => format!("{value:.0}"),
        }
    }

    fn show(self, value: f64) -> String {
        format!("{} {}", self.number(value), self.name())
            .trim_end()
            .to_owned()
    }
}

/// What a figure must not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// The median of all runs.
    Median(f64),
    /// The worst run.
    Worst(f64),
}

/// One figure.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// What is measured.
    pub(crate) name: String,
    /// Medians of either side, where there are two, and their unit.
    pub(crate) sides: Option<(Unit, f64, f64)>,
    /// The figure itself, of each pair or run.
    pub(crate) figure: Sample,
    /// Its unit.
    pub(crate) unit: Unit,
    /// What it must not exceed, if anything.
    pub(crate) limit: Option<Limit>,
}

impl Row {
    /// Whether the limit is kept; `None` without one.
    pub(crate) fn passes(&self) -> Option<bool> {
        self.limit.map(|limit| match limit {
            Limit::Median(most) => self.figure.median() <= most,
            Limit::Worst(most) => self.figure.maximum() <= most,
        })
    }

    fn cells(&self) -> [String; 8] {
        let side = |pick: fn(&(Unit, f64, f64)) -> f64| {
            self.sides
                .as_ref()
                .map_or_else(String::new, |sides| sides.0.show(pick(sides)))
        };
        let (limit, result) = match self.limit {
            None => (String::new(), String::new()),
            Some(limit) => {
                let (most, of) = match limit {
                    Limit::Median(most) => (most, "median"),
                    Limit::Worst(most) => (most, "worst"),
                };
                let result = if self.passes() == Some(true) {
                    "pass"
                } else {
                    "FAIL"
                };
                (
                    format!("{of} ≤ {}", self.unit.show(most)),
                    result.to_owned(),
                )
            }
        };
        [
            self.name.clone(),
            side(|sides| sides.1),
            side(|sides| sides.2),
            self.unit.show(self.figure.median()),
            format!(
                "{} – {}",
                self.unit.number(self.figure.quantile(0.1)),
                self.unit.number(self.figure.quantile(0.9))
            ),
            self.figure.values().len().to_string(),
            limit,
            result,
        ]
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit.name(),
            "untraced_median": self.sides.map(|sides| sides.1),
            "traced_median": self.sides.map(|sides| sides.2),
            "sides_unit": self.sides.map(|sides| sides.0.name()),
            "median": self.figure.median(),
            "p10": self.figure.quantile(0.1),
            "p90": self.figure.quantile(0.9),
            "maximum": self.figure.maximum(),
            "values": self.figure.values(),
            "limit": self.limit.map(|limit| match limit {
                Limit::Median(most) => json!({"median": most}),
                Limit::Worst(most) => json!({"worst": most}),
            }),
            "pass": self.passes(),
        })
    }
}

const HEADER: [&str; 8] = [
    "",
    "untraced",
    "traced",
    "figure",
    "p10 – p90",
    "n",
    "limit",
    "result",
];

/// Columns aligned by blanks.
pub(crate) fn text(rows: &[Row]) -> String {
    let cells = all_cells(rows);
    let widths: [usize; 8] = std::array::from_fn(|column| {
        cells
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = String::new();
    for row in &cells {
        let line = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if is_text(column) {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            })
            .collect::<Vec<_>>()
            .join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A table for Markdown.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut text = String::new();
    for (number, row) in all_cells(rows).iter().enumerate() {
        text.push_str("| ");
        text.push_str(&row.join(" | "));
        text.push_str(" |\n");
        if number == 0 {
            for column in 0..HEADER.len() {
                text.push_str(if is_text(column) { "|---" } else { "|--:" });
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Everything, each value included.
pub(crate) fn json(rows: &[Row]) -> Value {
    rows.iter().map(Row::json).collect()
}

fn all_cells(rows: &[Row]) -> Vec<[String; 8]> {
    std::iter::once(HEADER.map(str::to_owned))
        .chain(rows.iter().map(Row::cells))
        .collect()
}

fn is_text(column: usize) -> bool {
    column == 0 || column >= 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64], limit: Limit) -> Row {
        Row {
            name: "download".to_owned(),
            sides: Some((Unit::Seconds, 2.0, 2.02)),
            figure: Sample::new(values.iter().copied()).unwrap(),
            unit: Unit::Ratio,
            limit: Some(limit),
        }
    }

    #[test]
    fn a_median_limit_forgives_one_bad_run_and_a_worst_limit_does_not() {
        let values = [1.0, 1.01, 1.5];
        assert_eq!(row(&values, Limit::Median(1.03)).passes(), Some(true));
        assert_eq!(row(&values, Limit::Worst(1.03)).passes(), Some(false));
    }

    #[test]
    fn a_missed_limit_is_seen_in_every_form() {
        let rows = [row(&[1.04], Limit::Median(1.03))];
        assert!(text(&rows).contains("FAIL"));
        assert!(markdown(&rows).contains("| FAIL |"));
        assert_eq!(json(&rows)[0]["pass"], false);
    }

    #[test]
    fn columns_are_aligned() {
        let mut rows = vec![row(&[1.0], Limit::Median(1.03)); 2];
        rows[1].name = "a much longer name".to_owned();
        let text = text(&rows);
        let ends = text
            .lines()
            .skip(1)
            .map(|line| line.chars().take_while(|c| *c != '≤').count())
            .collect::<Vec<_>>();
        assert_eq!(ends[0], ends[1], "{text}");
    }
}
