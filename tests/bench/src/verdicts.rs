// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-bench verdicts`: known faults, and what is said of them, over distances and losses: by a probe, by a run that
//! only observes, and by one that carries the traffic.

mod confusion;
mod passive;
mod passive_truth;
mod probe;
mod truth;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use gomod_lab::{Lab, units};
use serde_json::{Map, Value};

use self::{
    confusion::{Answer, Confusion},
    passive_truth::{PASSIVE, Passive, Way},
    truth::{TRUTHS, Truth},
};

/// Options of `verdicts`.
#[derive(Args, Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// Experiments with each fault at each distance and loss.
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeat: u32,
    /// Round-trip times.
    #[arg(long, value_name = "TIME", value_delimiter = ',', default_value = "5ms,50ms,200ms", value_parser = units::parse_duration)]
    rtt: Vec<Duration>,
    /// Shares of packets lost in each direction.
    #[arg(long, value_name = "SHARE", value_delimiter = ',', default_value = "0,0.01", value_parser = units::parse_share)]
    loss: Vec<f64>,
    /// Only faults whose name begins so.
    #[arg(long, value_name = "NAME")]
    fault: Option<String>,
    /// Whose verdicts.
    #[arg(
        long,
        value_name = "WHOSE",
        value_delimiter = ',',
        default_value = "probe,observed,carried"
    )]
    of: Vec<Whose>,
    /// Experiments at once; each waits most of its time.
    #[arg(long, value_name = "N", default_value_t = 6)]
    at_once: usize,
    /// Seed of the first repetition's losses; each further one counts on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write every verdict of every experiment to FILE, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Who says something of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Whose {
    /// `gomod-trace probe`.
    Probe,
    /// `gomod-trace run --observe`.
    Observed,
    /// `gomod-trace run`.
    Carried,
}

impl Whose {
    fn plural(self) -> &'static str {
        match self {
            Self::Probe => "probes",
            Self::Observed => "observed runs",
            Self::Carried => "carried runs",
        }
    }
}

/// The network of one experiment.
#[derive(Debug, Clone, Copy)]
struct Network {
    rtt: Duration,
    loss: f64,
    seed: u64,
}

impl Network {
    fn lab(self, faults: &[&str], nameservers: u8) -> Result<Lab> {
        let mut builder = Lab::builder()
            .rtt(self.rtt)
            .loss(self.loss)
            .seed(self.seed)
            .nameservers(nameservers);
        for fault in faults {
            builder = builder.fault(fault.parse::<gomod_lab::Fault>()?);
        }
        Ok(builder.start()?)
    }
}

/// What is done on it.
#[derive(Debug, Clone, Copy)]
enum Experiment {
    Probe(&'static Truth),
    Passive(&'static Passive),
}

impl Experiment {
    fn all() -> impl Iterator<Item = Self> {
        let probes = TRUTHS.iter().map(Self::Probe);
        probes.chain(PASSIVE.iter().map(Self::Passive))
    }

    fn whose(self) -> Whose {
        match self {
            Self::Probe(_) => Whose::Probe,
            Self::Passive(truth) if truth.way == Way::Observed => Whose::Observed,
            Self::Passive(_) => Whose::Carried,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Probe(truth) => truth.name(),
            Self::Passive(truth) => truth.name(),
        }
    }

    fn run(self, agent: &Path, network: Network) -> Result<Answer> {
        match self {
            Self::Probe(truth) => probe::run(agent, truth, network),
            Self::Passive(truth) => passive::run(agent, truth, network),
        }
    }
}

/// Measures, prints, and says whether the goals are met: no wrong cause, 95 of 100 right.
pub(crate) fn measure(options: &Options) -> Result<bool> {
    let agent = env::current_exe()
        .context("cannot find our own executable")?
        .with_file_name("gomod-trace");
    if !agent.exists() {
        bail!(
            "{} is not there: build it in the same profile",
            agent.display()
        );
    }
    let mut experiments = planned(options);
    if experiments.is_empty() {
        bail!("no fault is named so; `gomod-lab faults` lists them, and `none` is none");
    }
    let all = experiments.len();
    // Taken from the end.
    experiments.reverse();
    let queue = Mutex::new(experiments);
    let confusions = Mutex::new(BTreeMap::<Whose, Confusion>::new());
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..options.at_once.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some((experiment, network)) = next else {
                        return;
                    };
                    match experiment.run(&agent, network) {
                        Ok(answer) => {
                            let mut confusions =
                                confusions.lock().unwrap_or_else(PoisonError::into_inner);
                            confusions
                                .entry(experiment.whose())
                                .or_default()
                                .add(&answer);
                            let done: u32 = confusions.values().map(Confusion::count).sum();
                            eprint!("\r{done} of {all}");
                        }
                        Err(error) => {
                            queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        }
                    }
                }
            });
        }
    });
    eprintln!();
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let confusions = confusions
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for (whose, confusion) in &confusions {
        println!("{}", confusion.text(whose.plural()));
    }
    if let Some(path) = &options.json {
        let document: Map<String, Value> = confusions
            .iter()
            .map(|(whose, confusion)| (whose.plural().replace(' ', "_"), confusion.json()))
            .collect();
        fs::write(path, format!("{:#}\n", Value::Object(document)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(confusions.values().all(Confusion::meets_goals))
}

fn planned(options: &Options) -> Vec<(Experiment, Network)> {
    let chosen: Vec<Experiment> = Experiment::all()
        .filter(|experiment| options.of.contains(&experiment.whose()))
        .filter(|experiment| {
            let begins = |name: &String| experiment.name().starts_with(name.as_str());
            options.fault.as_ref().is_none_or(begins)
        })
        .collect();
    let mut planned = Vec::new();
    for seed in (options.seed..).take(options.repeat as usize) {
        for &rtt in &options.rtt {
            for &loss in &options.loss {
                for experiment in &chosen {
                    // Each loses other packets than the one before.
                    let seed = seed * 10_000 + planned.len() as u64;
                    planned.push((*experiment, Network { rtt, loss, seed }));
                }
            }
        }
    }
    planned
}
