// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that ends with its value, and what it printed.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{Scratch, eventually};

/// A command in a process group of its own. Dropped: the group is killed.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    status: Option<ExitStatus>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command`; its output goes to `NAME.stdout` and `NAME.stderr` in `scratch`.
    pub(crate) fn start(mut command: Command, scratch: &Scratch, name: &str) -> Self {
        let stdout = scratch.file(&format!("{name}.stdout"));
        let stderr = scratch.file(&format!("{name}.stderr"));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .process_group(0);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            child,
            status: None,
            stdout,
            stderr,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // Not waited for yet: the id is still its own.
        if self.ended().is_none() {
            kill(self.id(), signal).unwrap();
        }
    }

    /// Sends a signal to all that it started, as a terminal does.
    pub(crate) fn signal_group(&mut self, signal: Signal) {
        if self.ended().is_none() {
            killpg(self.id(), signal).unwrap();
        }
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let stderr = self.stderr.clone();
        eventually(
            &format!("process {} ends", self.pid()),
            || fs::read_to_string(&stderr).unwrap_or_default(),
            || self.ended(),
        )
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap()).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = killpg(self.id(), Signal::SIGKILL);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// State letter of a process, if it exists.
pub(crate) fn state(pid: u32) -> Option<char> {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()?
        .rsplit_once(") ")?
        .1
        .chars()
        .next()
}

/// True while the process runs.
pub(crate) fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}
