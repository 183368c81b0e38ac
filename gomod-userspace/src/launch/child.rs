// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting the command, and watching it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};
use rustix::time::{ClockId, clock_gettime};

use super::failure::Failure;
use super::forked::{Plan, fork_into, null_terminated};
use super::invoker::Source;
use super::overlay::{OverlayStep, Refusal, TrustOverlay};
use super::{Cgroup, Ending, InheritedSignals, Invoker, LaunchError, Step, limits, search};

/// What may be asked of [`Child::spawn`] beyond the ordinary.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpawnOptions<'a> {
    trust: Option<&'a TrustOverlay>,
}

impl<'a> SpawnOptions<'a> {
    /// Gives the command a mount namespace of its own, in which it trusts one certificate more.
    #[must_use]
    pub const fn trusting(mut self, overlay: &'a TrustOverlay) -> Self {
        self.trust = Some(overlay);
        self
    }
}

/// The running command.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    spawned_at: Duration,
}

impl Child {
    /// Runs `argv` as the invoker, in the cgroup, which it joins before anything else.
    ///
    /// It inherits standard streams, terminal, process group, working directory (even one it may not enter), resource
    /// limits (as they were before [`raise_descriptor_limit`](super::raise_descriptor_limit) and
    /// [`forbid_core_dumps`](super::forbid_core_dumps)) and descriptors without `FD_CLOEXEC`. Signal mask and dispositions
    /// become those this process began with.
    ///
    /// # Errors
    /// [`LaunchError::NotFound`] and [`LaunchError::NotExecutable`] for the command, [`LaunchError::Overlay`] if only the
    /// overlay stood in the way (without it, the command can be started), [`LaunchError::Step`] for what else comes
    /// before exec, [`LaunchError::System`]. On error, no process is left.
    pub fn spawn(
        argv: &[CString],
        invoker: &Invoker,
        cgroup: &Cgroup,
        options: SpawnOptions<'_>,
    ) -> Result<Self, LaunchError> {
        let command = argv
            .first()
            .ok_or(LaunchError::BadCommand("no command was given after `--`"))?;
        let candidates = search::candidates(command, invoker);
        if candidates.is_empty() {
            return Err(search::explain(
                command,
                &candidates,
                invoker,
                0,
                libc::ENOENT,
            ));
        }
        let (report, failure) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| system("pipe2")(error.into()))?;
        let procs = cgroup.open_procs()?;
        let mut plan = Plan {
            cgroup: cgroup.as_fd(),
            procs: procs.as_fd(),
            failure: failure.as_fd(),
            trust: options.trust,
            identity: (!matches!(invoker.source, Source::Plain)).then_some(invoker),
            umask: invoker.umask,
            limits: limits::for_child(),
            signals: InheritedSignals::at_start(),
            candidates: candidates.iter().map(|file| file.as_ptr()).collect(),
            argv: null_terminated(argv),
            // The shell's name and the script stand before the arguments.
            shell_argv: [c"/bin/sh".as_ptr(), ptr::null()]
                .into_iter()
                .chain(null_terminated(&argv[1..]))
                .collect(),
            environment: null_terminated(&invoker.environment),
        };
        let pid = fork_into(&mut plan)?;
        drop(plan);
        drop(failure);
        // The child is not reaped yet, so its pid can't be another's.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|error| system("pidfd_open")(error.into()));
        let failed = Failure::receive(report);
        let spawned_at = monotonic();
        let pidfd = pidfd.inspect_err(|_| {
            // It can't be watched, so it must not run.
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
        })?;
        let child = Self {
            pid,
            pidfd,
            spawned_at,
        };
        let Some(failed) = failed.map_err(system("read"))? else {
            return Ok(child);
        };
        // It has ended or will at once; its status tells nothing more.
        let _ = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED);
        Err(match failed.step {
            Step::Exec => search::explain(
                command,
                &candidates,
                invoker,
                failed.detail as usize,
                failed.errno,
            ),
            step => match options.trust {
                Some(overlay) if step == Step::Trust => overlay
                    .refused(Refusal {
                        step: OverlayStep::from_raw(failed.detail),
                        errno: failed.errno,
                    })
                    .into(),
                _ => LaunchError::Step {
                    step,
                    source: io::Error::from_raw_os_error(failed.errno),
                },
            },
        })
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// When exec was known to have succeeded, on `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`.
    #[must_use]
    pub const fn spawned_at(&self) -> Duration {
        self.spawned_at
    }

    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Reaps it if it has ended.
    pub(super) fn try_wait(&self) -> io::Result<Option<Ending>> {
        let status = waitid(
            WaitId::PidFd(self.pidfd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        )?;
        Ok(status.as_ref().and_then(Ending::from_status))
    }

    /// By which signal it is stopped at present. Unlike the news of a stop, this is never out of date.
    pub(super) fn stopped(&self) -> io::Result<Option<i32>> {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = match waitid(WaitId::PidFd(self.pidfd()), options) {
            Ok(status) => status,
            // It has ended: whoever asks for stops alone is told that there is no such child.
            Err(rustix::io::Errno::CHILD) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(status
            .as_ref()
            .and_then(rustix::process::WaitIdStatus::stopping_signal))
    }
}

fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
}

fn system(call: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    LaunchError::system(
        call,
        "check `ulimit -n` and free memory; the kernel must be 5.4 or newer",
    )
}
