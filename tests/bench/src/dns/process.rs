// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that serves, and ends with us.

use std::{
    env,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// Killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .spawn()
            .map(Self)
            .with_context(|| format!("cannot start {command:?}"))
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ourselves, for another task.
pub(super) fn own_command() -> Result<Command> {
    Ok(Command::new(
        env::current_exe().context("cannot find our own executable")?,
    ))
}

/// Starts a process that prints its address first.
pub(super) fn announced(mut command: Command) -> Result<(Process, SocketAddr)> {
    command.stdout(Stdio::piped());
    let mut process = Process::start(command)?;
    let stdout = process.0.stdout.take().context("stdout was not piped")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .context("cannot read the address of a server of ours")?;
    let address = line
        .trim()
        .parse()
        .with_context(|| format!("a server of ours said {line:?} in place of its address"))?;
    Ok((process, address))
}
