// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a command takes by its own clock: printed by whoever runs inside the trace, read by whoever is outside.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::json;

/// A command to be timed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wrapped {
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<std::ffi::OsString>,
}

/// Time taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) wall: Duration,
    /// User and system time.
    pub(crate) processor: Duration,
}

impl Taken {
    /// What `work` takes, by the processor time of `who`.
    pub(crate) fn by(who: UsageWho, work: impl FnOnce() -> Result<()>) -> Result<Self> {
        let before = processor_time(who)?;
        let began = Instant::now();
        work()?;
        Ok(Self {
            wall: began.elapsed(),
            processor: processor_time(who)?.saturating_sub(before),
        })
    }

    /// Prints it for [`Taken::parse`].
    pub(crate) fn print(self) {
        println!(
            "{}",
            json!({
                "wall_ns": self.wall.as_nanos() as u64,
                "processor_ns": self.processor.as_nanos() as u64,
            })
        );
    }

    /// What [`Taken::print`] printed.
    pub(crate) fn parse(output: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(output)
            .with_context(|| format!("the command printed {output:?} instead of its times"))?;
        let time = |name: &str| {
            value[name]
                .as_u64()
                .map(Duration::from_nanos)
                .with_context(|| format!("the command printed no {name}: {output:?}"))
        };
        Ok(Self {
            wall: time("wall_ns")?,
            processor: time("processor_ns")?,
        })
    }
}

/// Runs the command and prints what it took.
pub(crate) fn run(wrapped: &Wrapped) -> Result<()> {
    let [program, arguments @ ..] = &wrapped.command[..] else {
        anyhow::bail!("no command to time");
    };
    Taken::by(UsageWho::RUSAGE_CHILDREN, || {
        let status = Command::new(program)
            .args(arguments)
            .status()
            .with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(
            status.success(),
            "{} ended with {status}",
            program.display()
        );
        Ok(())
    })?
    .print();
    Ok(())
}

/// User and system time so far.
pub(crate) fn processor_time(who: UsageWho) -> Result<Duration> {
    let usage = getrusage(who).context("getrusage")?;
    let part = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
    };
    Ok(part(usage.user_time()) + part(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        let taken = Taken::parse(r#"{"wall_ns": 1500, "processor_ns": 7}"#).unwrap();
        assert_eq!(taken.wall, Duration::from_nanos(1500));
        assert_eq!(taken.processor, Duration::from_nanos(7));
        assert!(Taken::parse("killed").is_err());
    }

    #[test]
    fn work_takes_processor_time() {
        let taken = Taken::by(UsageWho::RUSAGE_SELF, || {
            let until = processor_time(UsageWho::RUSAGE_SELF)? + Duration::from_millis(2);
            while processor_time(UsageWho::RUSAGE_SELF)? < until {}
            Ok(())
        })
        .unwrap();
        assert!(taken.processor >= Duration::from_millis(2), "{taken:?}");
    }
}
