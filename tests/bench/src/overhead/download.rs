// SPDX-License-Identifier: MIT OR Apache-2.0
//! `go mod download` of 150 modules over a link without delay, where nothing hides what tracing costs.

use std::{env, path::Path};

use anyhow::{Context as _, Result, ensure};
use gomod_lab::{Lab, Modules, Toolchain};
use tempfile::TempDir;

use super::{read_report, sample};
use crate::{
    measured::{self, Agent, Run},
    paired::{self, Pair, Side},
    table::{Limit, Row, Unit},
    timed::Taken,
};

/// Traced over untraced, wall time.
const RATIO_LIMIT: f64 = 1.03;

/// The agent's peak memory, MiB.
const MEMORY_LIMIT: f64 = 30.0;

struct Download {
    /// The `go` command by itself.
    go: Taken,
    run: Run,
}

/// Downloads into an empty module cache, with and without tracing.
pub(crate) fn measure(
    agent: &Agent,
    toolchain: &Toolchain,
    modules: Modules,
    reports: &Path,
    pairs: usize,
) -> Result<Vec<Row>> {
    let lab = Lab::builder()
        .segmentation_offload()
        .modules(modules)
        .start()?;
    let caches = caches()?;
    let project = lab.project_in(caches.path())?;
    let report = reports.join("download.json");
    let own = env::current_exe().context("cannot find our own executable")?;
    let downloads = paired::run("download", pairs, |side| {
        project.clear_module_cache()?;
        let mut command = match side {
            Side::Untraced => project.foreground_command(toolchain, &own),
            Side::Traced => {
                let mut command = project.foreground_command(toolchain, &agent.path);
                command.args(Agent::arguments(&report)).arg(&own);
                command
            }
        };
        command
            .args(["timed", "--"])
            .arg(toolchain.go())
            .args(["mod", "download"]);
        let run = match side {
            Side::Untraced => measured::run(command)?,
            Side::Traced => {
                let run = measured::run_agent(command)?;
                check(&report, modules.count)?;
                run
            }
        };
        Ok(Download {
            go: Taken::parse(&run.output)?,
            run,
        })
    })?;
    rows(&downloads)
}

fn rows(downloads: &[Pair<Download>]) -> Result<Vec<Row>> {
    let own = |one: &Download| one.go.wall.as_secs_f64();
    let whole = |one: &Download| one.run.wall.as_secs_f64();
    let processor = |one: &Download| (one.run.processor + one.run.servers).as_secs_f64();
    let agent = |one: &Download| {
        one.run
            .processor
            .saturating_sub(one.go.processor)
            .as_secs_f64()
    };
    let sides = |pick: &dyn Fn(&Download) -> f64| -> Result<_> {
        Ok((
            Unit::Seconds,
            sample(downloads.iter().map(|pair| pick(&pair.untraced)))?.median(),
            sample(downloads.iter().map(|pair| pick(&pair.traced)))?.median(),
        ))
    };
    let ratio = |name: &str, pick: &dyn Fn(&Download) -> f64, limit| -> Result<_> {
        Ok(Row {
            name: name.to_owned(),
            sides: Some(sides(pick)?),
            figure: sample(
                downloads
                    .iter()
                    .map(|pair| pick(&pair.traced) / pick(&pair.untraced)),
            )?,
            unit: Unit::Ratio,
            limit,
        })
    };
    Ok(vec![
        ratio(
            "go mod download, from exec to exit",
            &own,
            Some(Limit::Median(RATIO_LIMIT)),
        )?,
        ratio("… with the start and the end of gomod-trace", &whole, None)?,
        ratio(
            "… processor time of go, servers and agent",
            &processor,
            None,
        )?,
        Row {
            name: "… processor time of the agent".to_owned(),
            sides: None,
            figure: sample(downloads.iter().map(|pair| agent(&pair.traced) * 1e3))?,
            unit: Unit::Milliseconds,
            limit: None,
        },
        memory(
            "… the agent's peak memory",
            downloads.iter().map(|pair| &pair.traced.run),
            Some(Limit::Worst(MEMORY_LIMIT)),
        )?,
    ])
}

/// A directory for the module cache, removed at the end: in memory where it can be, as a disk would blur the figures.
fn caches() -> Result<TempDir> {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .context("cannot make a temporary directory")
}

/// The row of an agent's memory.
pub(crate) fn memory<'a>(
    name: &str,
    runs: impl Iterator<Item = &'a Run>,
    limit: Option<Limit>,
) -> Result<Row> {
    Ok(Row {
        name: name.to_owned(),
        sides: None,
        figure: sample(runs.filter_map(|run| Some(run.peak_kib? as f64 / 1024.0)))?,
        unit: Unit::Mebibytes,
        limit,
    })
}

/// A run that did not trace the download, or lost events, must not count as a cheap one.
fn check(report: &Path, modules: u16) -> Result<()> {
    let report = read_report(report)?;
    let lost = report["events"]["lost"].as_u64();
    ensure!(
        lost == Some(0),
        "the report of a download tells of lost events: {lost:?}"
    );
    let seen = report["modules"].as_array().map_or(0, Vec::len);
    ensure!(
        seen >= usize::from(modules),
        "the report of a download of {modules} modules names {seen}"
    );
    Ok(())
}
