// SPDX-License-Identifier: MIT OR Apache-2.0
//! One command, run to its end: how long, how much processor time, how much memory the agent had at most.

use std::{
    env, fs,
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    libc,
    sys::{
        ptrace,
        resource::UsageWho,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::timed::processor_time;

/// For about a second after a run the kernel still takes programs off tracepoints: that must not disturb the next run.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// What one run took.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The monotonic clock when it began.
    pub(crate) began: Duration,
    /// From before the fork until it was waited for.
    pub(crate) wall: Duration,
    /// User and system time of the command and all its children.
    pub(crate) processor: Duration,
    /// User and system time of this process meanwhile: the servers, and the kernel programs that run in their context.
    pub(crate) servers: Duration,
    /// The agent's `VmHWM` when it ended, KiB; `None` of a command that is not the agent.
    pub(crate) peak_kib: Option<u64>,
    /// Standard output.
    pub(crate) output: String,
}

/// The agent under measurement.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    /// The `gomod-trace` executable.
    pub(crate) path: PathBuf,
}

impl Agent {
    /// The one given, or the one that was built together with us.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => env::current_exe()
                .context("cannot find our own executable")?
                .with_file_name("gomod-trace"),
        };
        if !path.is_file() {
            bail!(
                "{} does not exist: `cargo xtask bench` builds it, or name another by --agent",
                path.display()
            );
        }
        Ok(Self { path })
    }

    /// What comes before the traced command.
    pub(crate) fn arguments(report: &Path) -> Vec<std::ffi::OsString> {
        ["run", "--observe", "--quiet", "--report"]
            .map(Into::into)
            .into_iter()
            .chain([report.into(), "--".into()])
            .collect()
    }
}

/// The monotonic clock.
pub(crate) fn monotonic() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Runs a command that is not the agent.
pub(crate) fn run(command: Command) -> Result<Run> {
    measure(command, |pid| {
        loop {
            match waitpid(pid, None)? {
                WaitStatus::Exited(_, code) => return Ok((code, None)),
                WaitStatus::Signaled(_, signal, _) => return Ok((killed_by(signal), None)),
                _ => {}
            }
        }
    })
}

/// Runs the agent.
///
/// `ru_maxrss` would tell of its largest child and of the memory it had as our copy before exec. So the kernel is asked
/// to stop it (`PTRACE_O_TRACEEXIT`) when it ends, while its memory is still there to be read.
pub(crate) fn run_agent(command: Command) -> Result<Run> {
    let run = measure(command, |pid| {
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT)
            .context("ptrace(PTRACE_SEIZE) of the agent, to read its peak memory: run as root, and not under another tracer")?;
        let mut peak = None;
        loop {
            match waitpid(pid, Some(WaitPidFlag::__WALL))? {
                WaitStatus::Exited(_, code) => return Ok((code, peak)),
                WaitStatus::Signaled(_, signal, _) => return Ok((killed_by(signal), peak)),
                WaitStatus::PtraceEvent(_, _, event) => {
                    if event == libc::PTRACE_EVENT_EXIT {
                        peak = Some(peak_kib(pid)?);
                    }
                    resume(pid, None)?;
                }
                WaitStatus::Stopped(_, signal) => resume(pid, Some(signal))?,
                _ => {}
            }
        }
    })?;
    settle();
    Ok(run)
}

/// Waits until nothing of an agent's run is left in the kernel.
pub(crate) fn settle() {
    thread::sleep(AFTERMATH);
}

fn measure(
    mut command: Command,
    wait: impl FnOnce(Pid) -> Result<(i32, Option<u64>)>,
) -> Result<Run> {
    let mut stderr = tempfile::tempfile().context("cannot make a temporary file")?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(
        stderr
            .try_clone()
            .context("cannot duplicate a descriptor")?,
    );
    let (own, children) = (
        processor_time(UsageWho::RUSAGE_SELF)?,
        processor_time(UsageWho::RUSAGE_CHILDREN)?,
    );
    let began = monotonic();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let (code, peak_kib) = wait(Pid::from_raw(child.id() as i32))
        .with_context(|| format!("cannot wait for {command:?}"))?;
    let wall = monotonic().saturating_sub(began);
    let processor = processor_time(UsageWho::RUSAGE_CHILDREN)?.saturating_sub(children);
    let servers = processor_time(UsageWho::RUSAGE_SELF)?.saturating_sub(own);
    if code != 0 {
        let mut said = String::new();
        stderr.rewind().context("cannot read a temporary file")?;
        stderr
            .read_to_string(&mut said)
            .context("cannot read a temporary file")?;
        bail!("{command:?} ended with {code}: {}", said.trim());
    }
    Ok(Run {
        began,
        wall,
        processor,
        servers,
        peak_kib,
        output: output_of(&mut child)?,
    })
}

/// What it printed: little, so that it lies in the pipe still.
fn output_of(child: &mut Child) -> Result<String> {
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut output)
            .context("cannot read the command's output")?;
    }
    Ok(output)
}

fn peak_kib(pid: Pid) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_peak(&status).with_context(|| format!("{path} has no VmHWM line"))
}

fn parse_peak(status: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .trim()
        .strip_suffix(" kB")?
        .parse()
        .ok()
}

fn resume(pid: Pid, signal: Option<Signal>) -> Result<()> {
    match ptrace::cont(pid, signal) {
        // Killed while it was stopped: the next wait tells.
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).context("ptrace(PTRACE_CONT) of the agent"),
    }
}

/// As a shell says it.
fn killed_by(signal: Signal) -> i32 {
    128 + signal as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_in_kib() {
        assert_eq!(
            parse_peak("Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t   13572 kB\n"),
            Some(13572)
        );
        assert_eq!(parse_peak("Name:\tzombie\n"), None);
    }

    #[test]
    fn a_run_has_its_output_and_its_processor_time() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done",
        ]);
        let run = run(command).unwrap();
        assert_eq!(run.output, "done\n");
        assert!(run.processor > Duration::ZERO);
        assert_eq!(run.peak_kib, None);
    }

    #[test]
    fn a_failed_run_is_an_error_with_what_it_said() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no network >&2; exit 3"]);
        let error = format!("{:#}", run(command).unwrap_err());
        assert!(error.contains("ended with 3: no network"), "{error}");
    }
}
