// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thousands of short connections over the loopback of a network namespace: whether an event is lost, and the cost each.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gomod_lab::Lab;

use super::{download, read_report, sample};
use crate::{
    measured::{self, Agent, Run},
    paired::{self, Pair, Side},
    table::{Limit, Row, Unit},
    timed::Taken,
    traffic,
};

/// Connections open at once.
const AT_ONCE: u32 = 8;

struct Burst {
    sent: Taken,
    run: Run,
    lost: u64,
}

/// Runs the client with and without tracing.
pub(crate) fn measure(agent: &Agent, count: u32, reports: &Path, pairs: usize) -> Result<Vec<Row>> {
    let own = env::current_exe().context("cannot find our own executable")?;
    let report = reports.join("connections.json");
    let lab = Lab::builder().start()?;
    let listener = lab
        .on_client(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))?
        .context("cannot listen in the namespace")?;
    let port = listener
        .local_addr()
        .context("the listener has no address")?
        .port();
    // As many servers as clients, and some for those that wait for the end of a connection.
    let bursts = traffic::serve(&listener, AT_ONCE * 2, || {
        paired::run("connections", pairs, |side| {
            let mut command = match side {
                Side::Untraced => lab.command(&own),
                Side::Traced => {
                    let mut command = lab.command(&agent.path);
                    command.args(Agent::arguments(&report)).arg(&own);
                    command
                }
            };
            command
                .arg("connect")
                .args(["--port", &port.to_string()])
                .args(["--count", &count.to_string()])
                .args(["--at-once", &AT_ONCE.to_string()]);
            let (run, lost) = match side {
                Side::Untraced => (measured::run(command)?, 0),
                Side::Traced => (measured::run_agent(command)?, lost(&report, count)?),
            };
            Ok(Burst {
                sent: Taken::parse(&run.output)?,
                run,
                lost,
            })
        })
    })?;
    rows(&bursts, count)
}

fn rows(bursts: &[Pair<Burst>], count: u32) -> Result<Vec<Row>> {
    let each = |duration: Duration| duration.as_secs_f64() * 1e6 / f64::from(count);
    let wall = |burst: &Burst| each(burst.sent.wall);
    let path = |burst: &Burst| each(burst.sent.processor + burst.run.servers);
    let agent = |burst: &Burst| each(burst.run.processor.saturating_sub(burst.sent.processor));
    let added = |name: &str, pick: &dyn Fn(&Burst) -> f64| -> Result<_> {
        Ok(Row {
            name: name.to_owned(),
            sides: Some((
                Unit::Microseconds,
                sample(bursts.iter().map(|pair| pick(&pair.untraced)))?.median(),
                sample(bursts.iter().map(|pair| pick(&pair.traced)))?.median(),
            )),
            figure: sample(
                bursts
                    .iter()
                    .map(|pair| pick(&pair.traced) - pick(&pair.untraced)),
            )?,
            unit: Unit::Microseconds,
            limit: None,
        })
    };
    Ok(vec![
        Row {
            name: format!("{count} short connections, events lost"),
            sides: None,
            figure: sample(bursts.iter().map(|pair| pair.traced.lost as f64))?,
            unit: Unit::Count,
            limit: Some(Limit::Worst(0.0)),
        },
        added("… wall time each, added", &wall)?,
        added("… processor time each of client and server, added", &path)?,
        added("… processor time each of the agent", &agent)?,
        download::memory(
            "… the agent's peak memory",
            bursts.iter().map(|pair| &pair.traced.run),
            None,
        )?,
    ])
}

/// Events lost according to the report, which must tell of every connection if none was.
fn lost(report: &Path, count: u32) -> Result<u64> {
    let report = read_report(report)?;
    let lost = report["events"]["lost"]
        .as_u64()
        .context("the report has no events.lost")?;
    let seen = report["connections"].as_array().map_or(0, Vec::len);
    ensure!(
        lost > 0 || seen == count as usize,
        "the report tells of {seen} connections and no lost event, but there were {count}"
    );
    Ok(lost)
}
