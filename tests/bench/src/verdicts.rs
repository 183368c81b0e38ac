// SPDX-License-Identifier: MIT OR Apache-2.0
//! `gomod-bench verdicts`: known faults, and what a probe says of them, over distances and losses.

mod confusion;
mod truth;

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use gomod_lab::{Lab, PROXY, units};
use serde_json::Value;

use self::{
    confusion::Confusion,
    truth::{TRUTHS, Truth},
};

/// Options of `verdicts`.
#[derive(Args, Debug, Clone, PartialEq)]
pub(crate) struct Options {
    /// Probes of each fault at each distance and loss.
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
    /// Probes at once; each waits most of its time.
    #[arg(long, value_name = "N", default_value_t = 6)]
    at_once: usize,
    /// Write every verdict of every probe to FILE, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One probe to be made.
#[derive(Debug, Clone, Copy)]
struct Trial {
    truth: &'static Truth,
    rtt: Duration,
    loss: f64,
    seed: u64,
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
    let mut trials = Vec::new();
    for seed in 1..=u64::from(options.repeat) {
        for &rtt in &options.rtt {
            for &loss in &options.loss {
                for truth in TRUTHS {
                    let chosen = options
                        .fault
                        .as_ref()
                        .is_none_or(|name| truth.name().starts_with(name.as_str()));
                    if chosen {
                        trials.push(Trial {
                            truth,
                            rtt,
                            loss,
                            seed,
                        });
                    }
                }
            }
        }
    }
    if trials.is_empty() {
        bail!("no fault is named so; `gomod-lab faults` lists them, and `none` is none");
    }
    let all = trials.len();
    // Taken from the end.
    trials.reverse();
    let queue = Mutex::new(trials);
    let confusion = Mutex::new(Confusion::default());
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..options.at_once.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(trial) = next else { return };
                    match probe(&agent, trial) {
                        Ok(report) => {
                            let mut confusion =
                                confusion.lock().unwrap_or_else(PoisonError::into_inner);
                            confusion.add(trial.truth, trial.rtt, trial.loss, &report);
                            eprint!("\r{} of {all}", confusion.count());
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
    let confusion = confusion
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    print!("{}", confusion.text());
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", confusion.json()))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(confusion.meets_goals())
}

/// A lab with the fault, and the verdicts of a probe in it.
fn probe(agent: &std::path::Path, trial: Trial) -> Result<Vec<Value>> {
    let mut builder = Lab::builder()
        .rtt(trial.rtt)
        .loss(trial.loss)
        .seed(trial.seed)
        .nameservers(trial.truth.nameservers);
    for fault in trial.truth.faults {
        builder = builder.fault(fault.parse::<gomod_lab::Fault>()?);
    }
    let lab = builder.start()?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let json = directory.path().join("probe.json");
    let mut command: Command = lab.command(agent);
    command
        .args(["probe", PROXY, "--quiet", "--json"])
        .arg(&json)
        .env_remove("HTTPS_PROXY")
        .env_remove("https_proxy")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if trial.truth.transfers {
        command.args(["--path", &zip_of(&lab)]);
    }
    let output = command.output().context("cannot start gomod-trace")?;
    let text = fs::read(&json).with_context(|| {
        format!(
            "{}: no report: {}",
            trial.truth.name(),
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let report: Value = serde_json::from_slice(&text).context("the report is no JSON")?;
    Ok(report["hosts"][0]["verdicts"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// Path of a zip at the module proxy, upper case escaped as its protocol asks.
fn zip_of(lab: &Lab) -> String {
    let module = &lab.modules()[0];
    let mut path = String::from("/");
    for letter in module.path.chars() {
        if letter.is_ascii_uppercase() {
            path.push('!');
        }
        path.push(letter.to_ascii_lowercase());
    }
    format!("{path}/@v/{}.zip", module.version)
}
