// SPDX-License-Identifier: MIT OR Apache-2.0
//! The start: until the traced command executes, and what a run of a command that does nothing takes in all.

use std::{env, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};

use super::sample;
use crate::{
    measured::{self, Agent},
    paired::{self, Side},
    table::{Limit, Row, Unit},
};

/// From the start of gomod-trace to the exec of the child, ms.
const LIMIT: f64 = 150.0;

struct Start {
    until_exec: Duration,
    whole: Duration,
}

/// Starts a command that prints the clock as its first act.
pub(crate) fn measure(agent: &Agent, reports: &Path, pairs: usize) -> Result<Vec<Row>> {
    let own = env::current_exe().context("cannot find our own executable")?;
    let report = reports.join("startup.json");
    let starts = paired::run("start", pairs, |side| {
        let run = match side {
            Side::Untraced => {
                let mut command = Command::new(&own);
                command.arg("clock");
                measured::run(command)?
            }
            Side::Traced => {
                let mut command = Command::new(&agent.path);
                command
                    .args(Agent::arguments(&report))
                    .arg(&own)
                    .arg("clock");
                measured::run_agent(command)?
            }
        };
        let clock = run.output.trim().parse().with_context(|| {
            format!("the command printed {:?} instead of its clock", run.output)
        })?;
        Ok(Start {
            until_exec: Duration::from_nanos(clock).saturating_sub(run.began),
            whole: run.wall,
        })
    })?;
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let until = |start: &Start| ms(start.until_exec);
    let whole = |start: &Start| ms(start.whole);
    let sides = |pick: &dyn Fn(&Start) -> f64| -> Result<_> {
        Ok((
            Unit::Milliseconds,
            sample(starts.iter().map(|pair| pick(&pair.untraced)))?.median(),
            sample(starts.iter().map(|pair| pick(&pair.traced)))?.median(),
        ))
    };
    Ok(vec![
        Row {
            name: "from start to the command's first instruction".to_owned(),
            sides: Some(sides(&until)?),
            figure: sample(starts.iter().map(|pair| until(&pair.traced)))?,
            unit: Unit::Milliseconds,
            limit: Some(Limit::Median(LIMIT)),
        },
        Row {
            name: "a command that does nothing, added".to_owned(),
            sides: Some(sides(&whole)?),
            figure: sample(
                starts
                    .iter()
                    .map(|pair| whole(&pair.traced) - whole(&pair.untraced)),
            )?,
            unit: Unit::Milliseconds,
            limit: None,
        },
    ])
}
