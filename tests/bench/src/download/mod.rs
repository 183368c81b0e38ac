// SPDX-License-Identifier: MIT OR Apache-2.0
//! `download`: how long all files of a project take, by every way there is, over several networks.

mod arm;
mod course;
mod figures;
mod goals;
mod grid;
mod scenario;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use gomod_lab::{Modules, toolchain};
use serde_json::json;

use self::{
    arm::Arm,
    course::{Cast, Course, Trip},
    figures::Figures,
    scenario::Scenario,
};
use crate::{machine::Machine, measured::Agent};

/// Of an average zip, bytes: 120 of them are 50 MB.
const MODULE_BYTES: u32 = 417_000;
const MODULES: u16 = 120;

/// What to measure, and how often.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Rounds of each scenario; in a round each way is measured once. Unless given: as many as ten minutes have room for.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: Option<u16>,
    /// One scenario alone; may be given several times.
    #[arg(long, value_enum, value_name = "SCENARIO")]
    only: Vec<Scenario>,
    /// One run at a time, also in scenarios where the processor has nothing to do: slower, and the last doubt less.
    #[arg(long)]
    one_by_one: bool,
    /// Modules to download.
    #[arg(long, value_name = "N", default_value_t = MODULES, value_parser = clap::value_parser!(u16).range(1..=5000))]
    modules: u16,
    /// Average size of a module's zip, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = MODULE_BYTES)]
    module_bytes: u32,
    /// The Go release that downloads.
    #[arg(long, value_name = "VERSION", default_value = "1.27")]
    go: String,
    /// The gomod-trace executable; unless given, the one beside this program.
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Write every value to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the tables as docs/performance.md has them.
    #[arg(long)]
    markdown: bool,
}

/// What one round gave.
pub(super) type Round = BTreeMap<Arm, Trip>;

/// Measures and prints; true if every goal is reached.
pub(crate) fn measure(options: &Options) -> Result<bool> {
    if cfg!(debug_assertions) {
        eprintln!(
            "gomod-bench: not optimised: the figures say little (cargo xtask bench builds it right)"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "network namespaces and kernel programs need root: run `sudo cargo xtask bench download`"
        );
    }
    let agent = Agent::find(options.agent.as_deref())?;
    let toolchain = toolchain::find(&options.go)?;
    let machine = Machine::describe(Some(&toolchain.version));
    let modules = Modules {
        count: options.modules,
        average_bytes: options.module_bytes,
        ..Modules::large()
    };
    let filled = course::in_memory()?;
    let cast = Cast {
        agent,
        toolchain,
        filled: filled.path().to_owned(),
    };
    let bytes = warm_up(&cast, modules)?;
    let figures = Figures::new(run_all(options, &cast, modules)?);
    let head = format!(
        "{}. {} modules, {:.1} MB of zip files.",
        machine.line(),
        modules.count,
        bytes as f64 / 1e6
    );
    if options.markdown {
        println!("{head}\n\n{}", figures.markdown());
    } else {
        println!("{head}\n\n{}", figures.text());
    }
    if let Some(path) = &options.json {
        let all = json!({
            "schema": "gomod-bench.download/1",
            "machine": machine.json(),
            "modules": options.modules,
            "zip_bytes": bytes,
            "scenarios": figures.json(),
        });
        write_json(path, &all)?;
    }
    Ok(figures.all_goals_reached())
}

/// Fills the store of the user who has one, and the machine's own caches. Returns the bytes of all zips.
fn warm_up(cast: &Cast, modules: Modules) -> Result<u64> {
    eprintln!("warming up");
    let lab = Scenario::Rtt0.network(0).modules(modules).start()?;
    let course = Course::prepare(&lab, cast.clone())?;
    for arm in [Arm::Plain, Arm::Filled] {
        course.run(arm).context("warming up")?;
    }
    Ok(lab.modules().iter().map(gomod_lab::Module::zip_bytes).sum())
}

/// Rounds of one scenario in one lab.
#[derive(Debug, Clone, Copy)]
struct Lane {
    scenario: Scenario,
    /// The first round's number, and how many there are.
    first: usize,
    count: usize,
}

fn run_all(
    options: &Options,
    cast: &Cast,
    modules: Modules,
) -> Result<BTreeMap<Scenario, Vec<Round>>> {
    let wanted = |scenario: &Scenario| options.only.is_empty() || options.only.contains(scenario);
    let rounds = |scenario: Scenario| options.runs.map_or(scenario.rounds(), usize::from);
    let (waiting, busy): (Vec<_>, Vec<_>) = Scenario::ALL
        .into_iter()
        .filter(wanted)
        .partition(|scenario| scenario.waits() && !options.one_by_one);
    let mut found = BTreeMap::<_, Vec<Round>>::new();
    for scenario in busy {
        let lane = Lane {
            scenario,
            first: 0,
            count: rounds(scenario),
        };
        found.insert(scenario, run_lane(cast, modules, lane)?);
    }
    let mut lanes = Vec::new();
    for scenario in waiting {
        let count = rounds(scenario);
        lanes.extend(match scenario {
            // A quarter of the others' time: all its rounds fit beside one of theirs.
            Scenario::Rtt50 => vec![Lane {
                scenario,
                first: 0,
                count,
            }],
            _ => (0..count)
                .map(|first| Lane {
                    scenario,
                    first,
                    count: 1,
                })
                .collect(),
        });
    }
    let found_beside = Mutex::new(BTreeMap::<_, Vec<Round>>::new());
    // More at once than this, and the labs would get into each other's way.
    for beside in lanes.chunks(5) {
        thread::scope(|scope| {
            beside
                .iter()
                .map(|lane| {
                    scope.spawn(|| -> Result<()> {
                        let rounds = run_lane(cast, modules, *lane)?;
                        found_beside
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .entry(lane.scenario)
                            .or_default()
                            .extend(rounds);
                        Ok(())
                    })
                })
                .collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
        })?;
    }
    found.extend(
        found_beside
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
    );
    Ok(found)
}

fn run_lane(cast: &Cast, modules: Modules, lane: Lane) -> Result<Vec<Round>> {
    let scenario = lane.scenario;
    let lab = scenario.network(lane.first).modules(modules).start()?;
    let course = Course::prepare(&lab, cast.clone())?;
    (lane.first..lane.first + lane.count)
        .map(|round| {
            // Rounds that run beside each other are at different arms at any time.
            arm::order(round + scenario as usize)
                .map(|arm| {
                    let trip = course
                        .run(arm)
                        .with_context(|| format!("{}: {}", scenario.name(), arm.name()))?;
                    eprintln!(
                        "{}, round {}: {}: {:.2} s",
                        scenario.key(),
                        round + 1,
                        arm.name(),
                        trip.wall.as_secs_f64()
                    );
                    Ok((arm, trip))
                })
                .collect()
        })
        .collect()
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("writing JSON")?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
