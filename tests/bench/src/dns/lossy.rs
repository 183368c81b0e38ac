// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of `go mod download` where questions get lost: plain `go`, which is only watched, beside one whose names
//! are answered by us, in turns at the same nameserver.

use std::{collections::BTreeMap, fmt::Write as _, path::Path, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use gomod_lab::{FaultKind, Lab, Modules, Project, Toolchain, toolchain};
use serde_json::{Value, json};

use crate::{measured::Agent, overhead::read_report};

/// The slowest lookup may take this long, ms.
const LIMIT_MS: f64 = 1_000.0;
/// Few and small: only names are measured.
const MODULES: u16 = 4;

/// How a download goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Ours,
}

impl Way {
    const ALL: [Self; 2] = [Self::Plain, Self::Ours];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain go",
            Self::Ours => "gomod-trace",
        }
    }

    fn option(self) -> Option<&'static str> {
        match self {
            Self::Plain => Some("--observe"),
            Self::Ours => None,
        }
    }
}

/// The lookups of all downloads of one way.
#[derive(Debug, Default)]
struct Lookups {
    /// From the first question until all types were answered, ms.
    took: Vec<f64>,
    /// Those that a type was never answered of.
    failed: usize,
    /// Downloads that did not succeed.
    downloads_failed: usize,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Lossy {
    percent: u8,
    downloads: u16,
    plain: Lookups,
    ours: Lookups,
}

/// What the downloads are made with.
pub(super) struct Tools {
    agent: Agent,
    toolchain: Toolchain,
}

impl Tools {
    pub(super) fn find() -> Result<Self> {
        Ok(Self {
            agent: Agent::find(None)?,
            toolchain: toolchain::find("1.27")?,
        })
    }
}

/// Downloads so often each way, with so many hundredths of the questions lost.
pub(super) fn measure(tools: &Tools, downloads: u16, percent: u8) -> Result<Lossy> {
    let lab = Lab::builder()
        .modules(Modules::many(MODULES))
        .fault(FaultKind::DnsLoss(percent))
        .start()?;
    let project = lab.project()?;
    let reports = tempfile::tempdir().context("cannot make a temporary directory")?;
    let report = reports.path().join("report.json");
    let mut found = Lossy {
        percent,
        downloads,
        plain: Lookups::default(),
        ours: Lookups::default(),
    };
    for _ in 0..downloads {
        for way in Way::ALL {
            let of_way = match way {
                Way::Plain => &mut found.plain,
                Way::Ours => &mut found.ours,
            };
            download(way, tools, &project, &report)
                .and_then(|succeeded| {
                    of_way.downloads_failed += usize::from(!succeeded);
                    of_way.add(&read_report(&report)?)
                })
                .with_context(|| format!("a download by {}", way.name()))?;
        }
    }
    Ok(found)
}

/// True if it succeeded.
fn download(way: Way, tools: &Tools, project: &Project<'_>, report: &Path) -> Result<bool> {
    project.clear_module_cache()?;
    let status = project
        .command(&tools.toolchain, &tools.agent.path)
        .arg("run")
        .args(way.option())
        .args(["--quiet", "--report"])
        .arg(report)
        .arg("--")
        .arg(tools.toolchain.go())
        .args(["mod", "download"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot start gomod-trace")?;
    // `go` fails with 1 where a lookup has failed; anything else is not what is measured here.
    ensure!(matches!(status.code(), Some(0 | 1)), "{status}");
    Ok(status.success())
}

impl Lookups {
    /// Adds the lookups that a report tells of.
    fn add(&mut self, report: &Value) -> Result<()> {
        let mut names: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for row in report["dns"].as_array().context("a report without dns")? {
            let name = row["name"].as_str().context("a question without a name")?;
            names.entry(name).or_default().push(row);
        }
        ensure!(!names.is_empty(), "no name was looked up");
        for rows in names.values() {
            match lookup(rows) {
                Some(took) => self.took.push(took),
                None => self.failed += 1,
            }
        }
        Ok(())
    }

    fn slowest(&self) -> f64 {
        self.took.iter().copied().fold(0.0, f64::max)
    }

    fn over_limit(&self) -> usize {
        self.took.iter().filter(|took| **took > LIMIT_MS).count()
    }
}

/// Milliseconds from the first question for a name until every type that was asked for is answered; `None` if one never
/// was.
fn lookup(rows: &[&Value]) -> Option<f64> {
    let began = rows
        .iter()
        .filter_map(|row| row["sent_ms"].as_f64())
        .fold(f64::INFINITY, f64::min);
    let mut answered: BTreeMap<&str, Option<f64>> = BTreeMap::new();
    for row in rows {
        let at = row["latency_ms"]
            .as_f64()
            .and_then(|latency| Some(row["sent_ms"].as_f64()? + latency));
        let first = answered.entry(row["type"].as_str()?).or_default();
        *first = match (*first, at) {
            (Some(first), Some(at)) => Some(first.min(at)),
            (first, at) => first.or(at),
        };
    }
    let ends: Option<Vec<f64>> = answered.into_values().collect();
    Some(ends?.into_iter().fold(began, f64::max) - began)
}

impl Lossy {
    /// Every lookup that we answered succeeded in time.
    pub(super) fn passes(&self) -> bool {
        self.ours.over_limit() == 0 && self.ours.failed == 0 && self.ours.downloads_failed == 0
    }

    fn rows(&self) -> Vec<[String; 5]> {
        let count = |number: fn(&Lookups) -> usize| {
            [&self.plain, &self.ours].map(|lookups| number(lookups).to_string())
        };
        let row = |name: &str, [plain, ours]: [String; 2], limit: &str, passes: Option<bool>| {
            let result = match passes {
                Some(true) => "pass",
                Some(false) => "FAIL",
                None => "",
            };
            [
                name.to_owned(),
                plain,
                ours,
                limit.to_owned(),
                result.to_owned(),
            ]
        };
        let ours = &self.ours;
        vec![
            [
                format!(
                    "{} × go mod download, {} % of questions lost",
                    self.downloads, self.percent
                ),
                Way::Plain.name().to_owned(),
                Way::Ours.name().to_owned(),
                "limit".to_owned(),
                "result".to_owned(),
            ],
            row(
                "lookups",
                count(|lookups| lookups.took.len() + lookups.failed),
                "",
                None,
            ),
            row(
                "slowest lookup",
                [&self.plain, &self.ours].map(|lookups| format!("{:.0} ms", lookups.slowest())),
                "≤ 1000 ms",
                Some(ours.slowest() <= LIMIT_MS),
            ),
            row(
                "lookups over 1 s",
                count(Lookups::over_limit),
                "0",
                Some(ours.over_limit() == 0),
            ),
            row(
                "lookups without an answer",
                count(|lookups| lookups.failed),
                "0",
                Some(ours.failed == 0),
            ),
            row(
                "downloads that failed",
                count(|lookups| lookups.downloads_failed),
                "0",
                Some(ours.downloads_failed == 0),
            ),
        ]
    }

    /// As a table, for people or for Markdown.
    pub(super) fn table(&self, markdown: bool) -> String {
        let rows = self.rows();
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            if markdown {
                let _ = writeln!(text, "| {} |", row.join(" | "));
                if number == 0 {
                    let _ = writeln!(text, "|---|{}", "--:|".repeat(row.len() - 1));
                }
                continue;
            }
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let widths = rows.iter().map(|row| row[column].chars().count());
                let width = widths.max().unwrap_or(0);
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// Everything.
    pub(super) fn json(&self) -> Value {
        let of = |lookups: &Lookups| {
            json!({
                "lookups_ms": lookups.took,
                "failed": lookups.failed,
                "downloads_failed": lookups.downloads_failed,
            })
        };
        json!({
            "lost_percent": self.percent,
            "downloads": self.downloads,
            "plain": of(&self.plain),
            "ours": of(&self.ours),
            "pass": self.passes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, kind: &str, sent: f64, latency: Option<f64>) -> Value {
        json!({"name": name, "type": kind, "sent_ms": sent, "latency_ms": latency})
    }

    #[test]
    fn a_lookup_lasts_until_its_last_type_is_answered_first() {
        let report = json!({"dns": [
            row("a.example", "A", 10.0, None),
            row("a.example", "AAAA", 10.0, Some(20.0)),
            row("a.example", "A", 5010.0, Some(20.0)),
            row("a.example", "A", 5020.0, Some(90.0)),
            row("b.example", "A", 40.0, Some(5.0)),
            row("c.example", "A", 60.0, None),
            row("c.example", "AAAA", 60.0, Some(1.0)),
        ]});
        let mut lookups = Lookups::default();
        lookups.add(&report).unwrap();
        assert_eq!(lookups.took, [5020.0, 5.0]);
        assert_eq!((lookups.failed, lookups.over_limit()), (1, 1));
    }

    #[test]
    fn a_slow_or_failed_lookup_of_ours_fails() {
        let lossy = |ours| Lossy {
            percent: 30,
            downloads: 1,
            plain: Lookups::default(),
            ours,
        };
        let took = |took| Lookups {
            took: vec![took],
            ..Lookups::default()
        };
        assert!(lossy(took(900.0)).passes());
        assert!(!lossy(took(1_100.0)).passes());
        let failed = lossy(Lookups {
            failed: 1,
            ..took(1.0)
        });
        assert!(!failed.passes());
        assert!(failed.table(false).contains("FAIL"));
        assert!(failed.table(true).contains("| FAIL |"));
        assert_eq!(failed.json()["pass"], false);
    }

    #[test]
    fn a_report_without_lookups_is_no_success() {
        let nothing = json!({"dns": []});
        assert!(Lookups::default().add(&nothing).is_err());
    }
}
