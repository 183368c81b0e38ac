// SPDX-License-Identifier: MIT OR Apache-2.0
//! How tests are declared, and how `go` is run in them.

use std::error::Error;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use gomod_lab::{LabError, Toolchain, toolchain};
use libtest_mimic::{Completion, Failed, Trial};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// A test named after the function. What the machine lacks makes it ignored, not failed.
macro_rules! trial {
    ($function:path) => {
        $crate::support::named_trial(stringify!($function), || $function())
    };
}
pub(crate) use trial;

pub(crate) fn named_trial(name: &str, work: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match work() {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref::<LabError>() {
            Some(lacking) if lacking.is_environmental() => Ok(Completion::ignored_with(lacking)),
            _ => Err(Failed::from(error)),
        },
    })
}

/// The newest toolchain that the project supports.
pub(crate) fn newest() -> Result<Toolchain, LabError> {
    toolchain::find("1.27")
}

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    /// None if it was still running at the limit, and was killed.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// Runs a command for at most `limit`.
pub(crate) fn run(mut command: Command, limit: Duration) -> Result<Ran, Box<dyn Error>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (mut stdout, mut stderr) = (
        child.stdout.take().ok_or("no pipe")?,
        child.stderr.take().ok_or("no pipe")?,
    );
    std::thread::scope(|scope| {
        let stdout = scope.spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let stderr = scope.spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let began = Instant::now();
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if began.elapsed() > limit => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        let text = |thread: std::thread::ScopedJoinHandle<'_, std::io::Result<String>>| {
            thread
                .join()
                .map_err(|_| "a reader panicked")?
                .map_err(Box::<dyn Error>::from)
        };
        Ok(Ran {
            status,
            stdout: text(stdout)?,
            stderr: text(stderr)?,
        })
    })
}

/// Longer than anything here takes on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);
