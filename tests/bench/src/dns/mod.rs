// SPDX-License-Identifier: MIT OR Apache-2.0
//! `dns`: what the DNS stub takes to answer, beside dnsmasq, unbound, and no cache at all, before the same nameserver.
//!
//! All of them are processes of their own on loopback addresses. The nameserver before which they stand is ours: it has
//! an address for every name, and waits before it says so, as a real one far away would.

mod candidate;
mod latency;
mod lossy;
mod nameserver;
mod process;
mod query;
mod rate;
mod stub;
mod table;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use self::{
    candidate::{Candidate, Kind},
    latency::Client,
    lossy::Lossy,
    nameserver::Nameserver,
    table::{Figure, Unit},
};
use crate::{machine::Machine, statistics::Sample};

pub(crate) use nameserver::{Served, serve as serve_names};
pub(crate) use stub::{Stubbed, serve as serve_stub};

/// A name that is asked for again and again.
const KNOWN: &str = "known.example";
/// Queries for it before it is another resolver's turn.
const IN_A_ROW: u32 = 100;

/// What to measure, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Options {
    /// Rounds of all measurements; in each, every resolver has its turn.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Queries for a known name in each round.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    cached: u32,
    /// Queries for new names in each round.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    uncached: u32,
    /// Seconds of dnsperf in each round.
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// How long the nameserver waits before it answers, ms.
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=1000))]
    delay: u64,
    /// `go mod download`s each way where questions get lost; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    downloads: u16,
    /// Questions that get lost there, hundredths.
    #[arg(long, value_name = "PERCENT", default_value_t = 30, value_parser = clap::value_parser!(u8).range(0..=90))]
    loss: u8,
    /// Write every value to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the table as docs/performance.md has it.
    #[arg(long)]
    markdown: bool,
}

/// What was found of one resolver.
#[derive(Debug, Default)]
struct Found {
    /// µs.
    cached: Vec<f64>,
    /// ms.
    uncached: Vec<f64>,
    /// Per second.
    rate: Vec<f64>,
}

/// One resolver, and what was found of it.
struct Measured {
    kind: Kind,
    address: SocketAddr,
    client: Client,
    found: Found,
}

impl Measured {
    fn new(candidate: &Candidate) -> Result<Self> {
        Ok(Self {
            kind: candidate.kind,
            address: candidate.address,
            client: Client::new(candidate.address)?,
            found: Found::default(),
        })
    }
}

/// Measures and prints; true if the stub is as good as dnsmasq in everything.
pub(crate) fn measure(options: &Options) -> Result<bool> {
    if cfg!(debug_assertions) {
        eprintln!(
            "gomod-bench: not optimised: the figures say little (cargo xtask bench builds it right)"
        );
    }
    // What is missing is said now rather than minutes later.
    let tools = (options.downloads > 0)
        .then(lossy::Tools::find)
        .transpose()?;
    let nameserver = Nameserver::start(Duration::from_millis(options.delay))?;
    let candidates = Kind::ALL
        .into_iter()
        .map(|kind| Candidate::start(kind, nameserver.address()))
        .collect::<Result<Vec<_>>>()?;
    let names = rate::names().context("writing the names for dnsperf")?;
    let mut measured = candidates
        .iter()
        .map(Measured::new)
        .collect::<Result<Vec<_>>>()?;
    for round in 0..options.rounds {
        // Another one is first each time.
        measured.rotate_left(1);
        measure_round(options, round, names.path(), &mut measured)?;
    }
    measured.sort_by_key(|measured| Kind::ALL.iter().position(|kind| *kind == measured.kind));
    let found = measured
        .into_iter()
        .map(|measured| measured.found)
        .collect::<Vec<_>>();
    let figures = figures(&found)?;
    // They must not share the machine with what comes now.
    drop((candidates, nameserver));
    let lossy = tools
        .map(|tools| lossy::measure(&tools, options.downloads, options.loss))
        .transpose()?;
    print(options, &Machine::describe(None), &figures, lossy.as_ref())?;
    Ok(figures.iter().all(|figure| figure.passes() != Some(false))
        && lossy.is_none_or(|lossy| lossy.passes()))
}

/// All take turns, as short as they can be: what disturbs the machine for a while disturbs them alike.
fn measure_round(
    options: &Options,
    round: u16,
    names: &Path,
    measured: &mut [Measured],
) -> Result<()> {
    for number in 0..options.uncached {
        for measured in &mut *measured {
            // Each asks for names that nobody before asked for.
            let whose = measured.kind.name().replace(' ', "-");
            let took = measured
                .client
                .ask(&format!("n{number}.r{round}.{whose}.example"))?;
            measured.found.uncached.push(took.as_secs_f64() * 1e3);
        }
    }
    let mut keeping = measured
        .iter_mut()
        .filter(|measured| measured.kind.keeps())
        .collect::<Vec<_>>();
    for _ in 0..options.cached.div_ceil(IN_A_ROW) {
        for measured in &mut keeping {
            // The first one of a turn finds caches that others have filled, and the name unknown at the very first.
            measured.client.ask(KNOWN)?;
            for _ in 0..IN_A_ROW {
                let took = measured.client.ask(KNOWN)?;
                measured.found.cached.push(took.as_secs_f64() * 1e6);
            }
        }
    }
    for measured in keeping {
        let rate = rate::per_second(measured.address, names, options.seconds)
            .with_context(|| format!("measuring {}", measured.kind.name()))?;
        measured.found.rate.push(rate);
    }
    Ok(())
}

fn figures(found: &[Found]) -> Result<Vec<Figure>> {
    let row =
        |name: &str, unit, values: fn(&Found) -> &Vec<f64>, of: fn(&Sample) -> f64, most_ratio| {
            let values = found
                .iter()
                .map(|found| Sample::new(values(found).iter().copied()).map(|sample| of(&sample)))
                .collect();
            Figure::new(name, unit, values, most_ratio)
        };
    let worse_by = |share: f64| 1.0 + share;
    [
        row(
            "new name, median",
            Unit::Milliseconds,
            |found| &found.uncached,
            Sample::median,
            worse_by(0.05),
        ),
        row(
            "new name, p99",
            Unit::Milliseconds,
            |found| &found.uncached,
            |sample| sample.quantile(0.99),
            worse_by(0.10),
        ),
        row(
            "known name, median",
            Unit::Microseconds,
            |found| &found.cached,
            Sample::median,
            worse_by(0.05),
        ),
        row(
            "known name, p99",
            Unit::Microseconds,
            |found| &found.cached,
            |sample| sample.quantile(0.99),
            worse_by(0.10),
        ),
        row(
            "known names",
            Unit::PerSecond,
            |found| &found.rate,
            Sample::median,
            worse_by(0.0),
        ),
    ]
    .into_iter()
    .collect()
}

fn print(
    options: &Options,
    machine: &Machine,
    figures: &[Figure],
    lossy: Option<&Lossy>,
) -> Result<()> {
    if options.markdown {
        println!("{}.\n\n{}", machine.line(), table::markdown(figures));
    } else {
        println!("{}\n\n{}", machine.line(), table::text(figures));
    }
    if let Some(lossy) = lossy {
        println!("{}", lossy.table(options.markdown));
    }
    let Some(path) = &options.json else {
        return Ok(());
    };
    let all = json!({
        "schema": "gomod-bench.dns/1",
        "machine": machine.json(),
        "rounds": options.rounds,
        "delay_ms": options.delay,
        "figures": table::json(figures),
        "lossy": lossy.map(Lossy::json),
    });
    fs::write(path, format!("{all:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}
