// SPDX-License-Identifier: MIT OR Apache-2.0
//! `overhead`: all measurements, one table.

mod connections;
mod download;
mod startup;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use gomod_lab::{Modules, toolchain};
use serde_json::{Value, json};

use crate::{
    machine::Machine,
    measured::Agent,
    statistics::Sample,
    table::{self, Row},
};

/// What to measure, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Options {
    /// Pairs of runs of each measurement; even numbers are balanced best.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) pairs: u16,
    /// One measurement alone; may be given several times.
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Part>,
    /// Modules to download.
    #[arg(long, value_name = "N", default_value_t = Modules::large().count, value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub(crate) modules: u16,
    /// Average size of a module's zip, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = Modules::large().average_bytes)]
    pub(crate) module_bytes: u32,
    /// Short connections in each run.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,
    /// The Go release that downloads.
    #[arg(long, value_name = "VERSION", default_value = "1.27")]
    pub(crate) go: String,
    /// The gomod-trace executable; unless given, the one beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// Write every value to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Print the table as docs/performance.md has it.
    #[arg(long)]
    pub(crate) markdown: bool,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// `go mod download`.
    Download,
    /// From start to exec.
    Start,
    /// Short connections.
    Connections,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pairs: 10,
            only: Vec::new(),
            modules: Modules::large().count,
            module_bytes: Modules::large().average_bytes,
            connections: 10_000,
            go: "1.27".to_owned(),
            agent: None,
            json: None,
            markdown: false,
        }
    }
}

/// Measures and prints; true if every limit is kept.
pub(crate) fn measure(options: &Options) -> Result<bool> {
    if cfg!(debug_assertions) {
        eprintln!(
            "gomod-bench: not optimised: the figures say little (cargo xtask bench builds it right)"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "network namespaces and kernel programs need root: run `sudo cargo xtask bench overhead`"
        );
    }
    let agent = Agent::find(options.agent.as_deref())?;
    let toolchain = toolchain::find(&options.go)?;
    let machine = Machine::describe(Some(&toolchain.version));
    let reports = tempfile::tempdir().context("cannot make a temporary directory")?;
    let pairs = usize::from(options.pairs);
    let wanted = |part| options.only.is_empty() || options.only.contains(&part);
    let mut rows = Vec::new();
    if wanted(Part::Download) {
        let modules = Modules {
            count: options.modules,
            average_bytes: options.module_bytes,
            ..Modules::large()
        };
        rows.extend(
            download::measure(&agent, &toolchain, modules, reports.path(), pairs)
                .context("measuring the download")?,
        );
    }
    if wanted(Part::Start) {
        rows.extend(
            startup::measure(&agent, reports.path(), pairs).context("measuring the start")?,
        );
    }
    if wanted(Part::Connections) {
        rows.extend(
            connections::measure(&agent, options.connections, reports.path(), pairs)
                .context("measuring short connections")?,
        );
    }
    print(options, &machine, &rows)?;
    Ok(rows.iter().all(|row| row.passes() != Some(false)))
}

fn print(options: &Options, machine: &Machine, rows: &[Row]) -> Result<()> {
    if options.markdown {
        println!("{}.\n\n{}", machine.line(), table::markdown(rows));
    } else {
        println!("{}\n\n{}", machine.line(), table::text(rows));
    }
    let Some(path) = &options.json else {
        return Ok(());
    };
    let all = json!({
        "schema": "gomod-bench.overhead/1",
        "machine": machine.json(),
        "pairs": options.pairs,
        "modules": options.modules,
        "module_bytes": options.module_bytes,
        "connections": options.connections,
        "figures": table::json(rows),
    });
    let text = serde_json::to_string_pretty(&all).context("writing JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// A sample, which there is because every measurement has at least one pair.
pub(crate) fn sample(values: impl IntoIterator<Item = f64>) -> Result<Sample> {
    Sample::new(values).context("a measurement gave no number")
}

/// A report of the agent.
pub(crate) fn read_report(path: &Path) -> Result<Value> {
    let text = fs::read(path)
        .with_context(|| format!("the agent left no report at {}", path.display()))?;
    let report =
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    // The next run must write its own.
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(report)
}
